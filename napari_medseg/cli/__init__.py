"""`medseg …`: every station of the loop without a window; one file a command."""

from napari_medseg.cli.root import app, main

__all__ = ["app", "main"]
