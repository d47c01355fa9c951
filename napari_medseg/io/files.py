"""What a file's name says: its format, and the stem from which other names are made."""

from __future__ import annotations

from pathlib import Path

from napari_medseg.errors import ReadError

FORMATS = {  # ending: the module of this room that reads it; longer endings first
    ".nii.gz": "nifti",
    ".hdr.gz": "nifti",
    ".img.gz": "nifti",
    ".nii": "nifti",
    ".hdr": "nifti",
    ".img": "nifti",
    ".nrrd": "nrrd",
    ".nhdr": "nrrd",
    ".mha": "metaimage",
    ".mhd": "metaimage",
    ".mgz": "mgh",
    ".mgh": "mgh",
    ".dcm": "dicom",
    ".dicom": "dicom",
    ".ima": "dicom",
    ".png": "picture",
    ".tiff": "picture",
    ".tif": "picture",
    ".jpeg": "picture",
    ".jpg": "picture",
}
READABLE = tuple(FORMATS)
WRITABLE = (".nii.gz", ".nii", ".nrrd", ".mha")
MASK_WRITABLE = (*WRITABLE, ".png", ".tif", ".tiff")  # pictures only for the masks of pictures


def ending(path: Path | str) -> str:
    """The known ending of a name, in small letters; else what follows its last dot."""
    name = Path(path).name.lower()
    return next((known for known in READABLE if name.endswith(known)), Path(name).suffix)


def stem(path: Path | str) -> str:
    """The name without its format's ending: "case.v2.nii.gz" gives "case.v2"."""
    name = Path(path).name
    known = ending(name)
    return name[: -len(known)] if known in READABLE and len(name) > len(known) else name


def format_of(path: Path) -> str:
    """Which module of this room reads the file or folder.

    Raises
    ------
    ReadError
        There is nothing at `path`, or nothing that we read.
    """
    if not path.exists():
        raise ReadError("there must be a file or folder of this name, got none", path.name)
    known = FORMATS.get(ending(path))
    if path.is_dir():
        return "dicom"
    if known is None and looks_like_dicom(
        path
    ):  # scanners write names such as "I10" and "1.2.840.1"
        return "dicom"
    if known is None:
        raise ReadError(
            f"must be one of {' '.join(READABLE)} or DICOM, got another kind", path.name
        )
    return known


def looks_like_dicom(path: Path) -> bool:
    """Whether the first bytes are DICOM's, with the 128-byte preamble or without."""
    try:
        with path.open("rb") as stream:
            start = stream.read(132)
    except OSError:
        return False
    if start[128:] == b"DICM":
        return True
    little, big = start[:2] in (b"\x08\x00", b"\x02\x00"), start[:2] in (b"\x00\x08", b"\x00\x02")
    element = int.from_bytes(start[2:4], "little" if little else "big")
    return len(start) == 132 and (little or big) and element <= 0x20
