"""`medseg …`: every station of the loop without a window; one file a command."""

from __future__ import annotations

from collections.abc import Sequence

STOPPED = 130  # 128 + SIGINT, the shells' convention


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code; Ctrl-C is quiet while the program still loads too."""
    try:
        from napari_medseg.cli import root

        return root.main(argv)
    except KeyboardInterrupt:
        return STOPPED
