"""Whether each wheel holds the package, the manifest and the sample data as they are in the tree.

usage: check_wheel.py ROOT WHEEL...
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile


def expected(root: Path) -> dict[str, bytes]:
    """What a wheel must hold: name inside the wheel and content."""
    listed = subprocess.run(
        ["git", "ls-files", "napari_medseg", "sample_data"],
        cwd=root, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    inside = {
        f"napari_medseg/{name}" if name.startswith("sample_data/") else name: root / name
        for name in listed
    }
    return {name: path.read_bytes() for name, path in inside.items()}


def main() -> int:
    """0 when every wheel is complete."""
    root = Path(sys.argv[1])
    wanted = expected(root)
    faults = 0
    for wheel in sys.argv[2:]:
        with ZipFile(wheel) as archive:
            held = {name: archive.read(name) for name in archive.namelist()}
        wrong = sorted(name for name, content in wanted.items() if held.get(name) != content)
        sys.stdout.write(
            f"{Path(wheel).name}: {len(held)} files, {len(wrong)} missing or changed\n"
        )
        for name in wrong:
            sys.stdout.write(f"  {name}\n")
        faults += len(wrong)
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
