"""Make the README's pictures, docs/images/: the demo's session in both window sizes, and the loop.

xvfb-run -a -s "-screen 0 1440x900x24" python scripts/screenshots.py
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import demo
from PIL import Image

IMAGES = demo.ROOT / "docs" / "images"
SIZES = ((1440, 900), (1280, 720))
PICTURES = {"2_segmented": "segment", "3_corrected": "correct", "5_before_after": "finetune"}
STATIONS = (
    ("Segment", "a network proposes a mask", "#2f7de1"),
    ("Correct", "you fix what is wrong", "#f58231"),
    ("Fine-tune", "it learns while you go on", "#3cb44b"),
)


def small(source: Path, target: Path) -> None:
    """A picture in all its colours, below 300 kB: a palette would make them grey."""
    with Image.open(source) as picture:
        picture.convert("RGB").save(target, optimize=True)


def loop() -> str:
    """The loop as an SVG that reads on white and on black."""
    boxes = [_station(n, *words) for n, words in enumerate(STATIONS)]
    return "\n".join(
        [
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 230" role="img" '
            'aria-label="A scan comes in; segment, correct, fine-tune, and segment again better" '
            'font-family="system-ui, sans-serif" text-anchor="middle">',
            '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
            'markerHeight="7" orient="auto"><path d="M0 0L10 5L0 10z" fill="#8a8f98"/></marker>'
            "</defs>",
            '<g fill="none" stroke="#8a8f98" stroke-width="3" marker-end="url(#tip)">',
            '<path d="M88 75H126"/><path d="M352 75H390"/><path d="M616 75H654"/>',
            '<path d="M766 122C766 205 240 205 240 128"/></g>',
            '<text x="46" y="81" font-size="19" fill="#8a8f98">a scan</text>',
            *boxes,
            '<text x="503" y="212" font-size="17" fill="#8a8f98">the next mask is better</text>',
            "</svg>\n",
        ]
    )


def _station(number: int, title: str, words: str, color: str) -> str:
    x = 130 + number * 264
    middle = x + 110
    return (
        f'<rect x="{x}" y="30" width="220" height="90" rx="12" fill="{color}"/>'
        f'<text x="{middle}" y="70" font-size="24" font-weight="600" fill="#fff">{title}</text>'
        f'<text x="{middle}" y="98" font-size="15" fill="#fff">{words}</text>'
    )


def session(size: tuple[int, int]) -> None:
    """Run the demo's session in a window of this size and keep its pictures."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MEDSEG_DATA_DIR"] = str(Path(folder) / "data")
        one = demo.Session(size, Path(folder))
        try:
            one.run()
        finally:
            one.end()
        for name, title in PICTURES.items():
            small(Path(folder) / f"{name}.png", IMAGES / f"{title}-{size[0]}x{size[1]}.png")


def main() -> int:
    """All pictures; 0 when done. With a size ("1280x720") that one only."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    (IMAGES / "loop.svg").write_text(loop())
    for size in SIZES:
        if len(sys.argv) < 2 or sys.argv[1] == f"{size[0]}x{size[1]}":
            session(size)
    return 0


if __name__ == "__main__":
    sys.exit(main())
