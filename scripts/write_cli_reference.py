"""Write the reference of the command line from its own help.

usage: write_cli_reference.py FILE
"""

from __future__ import annotations

import html
import sys
from pathlib import Path

import typer
from typer.cli import get_docs_for_click
from typer.models import Context

from napari_medseg.cli.root import __doc__ as about
from napari_medseg.cli.root import app


def main() -> None:
    """Write it."""
    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=Context(command), name="medseg")
    head, rest = text.split("\n", 1)
    note = (about or "").split("\n\n", 1)[1].strip()
    Path(sys.argv[1]).write_text(html.unescape(f"{head}\n\n{note}\n{rest.rstrip()}\n"))


if __name__ == "__main__":
    main()
