"""What `medseg info` makes of every broken, odd and tricky file, as a Markdown table.

    python benchmarks/bad_inputs.py [FOLDER] [--fail]

FOLDER holds the files and their manifest.json. A case is "ok" (exit code 0, nothing to say), "warn"
(exit code 0, warnings) or "refuse" (exit code 3, one line); labels are checked against their image.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KIT = Path(__file__).parents[2] / "shared" / "data" / "bad_inputs"
REFUSED = 3
LONGEST_LINE = 200
TOLD = {"g04_no_form_codes.nii.gz"}  # "ok", but its unknown orientation is to be told
IMAGE_OF = {  # labels that are wrong only beside an image
    "l06_wrong_shape.nii.gz": "reference_image.nii.gz",
    "real_label_of_another_organ.nii.gz": "reference_image.nii.gz",
    "real_label_without_image.nii.gz": "real_image_without_label.nii.gz",
}
MEANT = {"real_label_without_image.nii.gz": "refuse"}  # as the label of any other image


@dataclass(frozen=True)
class Outcome:
    """What one call gave."""

    got: str
    text: str
    seconds: float


def outcome(folder: Path, entry: dict[str, Any]) -> Outcome:
    """Run `medseg info` on one case."""
    path, name = folder / entry["path"], entry["path"]
    image = entry["truth"].get("image", IMAGE_OF.get(name))
    command = [sys.executable, "-m", "napari_medseg.cli", "info", str(path), "--json"]
    command += ["--label-of", str(folder / image)] if image else []
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    seconds = time.monotonic() - started
    return Outcome(*_judged(done, name), seconds)


def _judged(done: subprocess.CompletedProcess[str], name: str) -> tuple[str, str]:
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    if done.returncode == REFUSED:
        errors = [line for line in lines if line.startswith("error: ")]
        fine = (
            len(errors) == 1 and len(errors[0]) <= LONGEST_LINE and "Traceback" not in done.stderr
        )
        return ("refuse" if fine else "BADLY REFUSED"), errors[0] if errors else done.stderr[-200:]
    if done.returncode != 0:
        return f"EXIT {done.returncode}", done.stderr[-200:]
    answer = json.loads(done.stdout)
    told = [note for one in answer["series"] for note in one["warnings"]]
    told += [note for note in answer.get("warnings", []) if not note.endswith(tuple(told))]
    return ("warn" if told and name not in TOLD else "ok"), "; ".join(dict.fromkeys(told))


def main() -> int:
    """Print the table; 1 if a case is not as expected and --fail is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=KIT)
    parser.add_argument("--fail", action="store_true", help="exit with 1 if a case differs")
    arguments = parser.parse_args()
    entries = json.loads((arguments.folder / "manifest.json").read_text("utf-8"))["entries"]
    wrong = 0
    sys.stdout.write("| case | expected | got | said |\n|---|---|---|---|\n")
    for entry in entries:
        expected = MEANT.get(entry["path"], entry["expect"])
        one = outcome(arguments.folder, entry)
        right = one.got in expected.split("_or_")
        wrong += not right
        mark = "" if right else " **≠**"
        row = f"| {entry['path']} | {entry['expect']} | {one.got}{mark} | {one.text} |\n"
        sys.stdout.write(row)
        sys.stdout.flush()
    sys.stdout.write(f"\n{len(entries) - wrong} of {len(entries)} as expected\n")
    return 1 if wrong and arguments.fail else 0


if __name__ == "__main__":
    sys.exit(main())
