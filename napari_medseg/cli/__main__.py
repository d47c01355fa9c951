"""`python -m napari_medseg.cli`, the same as `medseg`."""

import sys

from napari_medseg.cli import main

if __name__ == "__main__":
    sys.exit(main())
