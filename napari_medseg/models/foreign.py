"""Models of other programs: what a file or folder is, and the one reader for it.

>>> segmenter = import_model(Path("nnUNet_results/…/nnUNetTrainer__nnUNetPlans__3d_fullres"))

No reader runs what a file brings: weights come as numbers, configurations as data, networks from
closed lists.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from napari_medseg.errors import ModelError
from napari_medseg.jobs import Job, Notice, Progress
from napari_medseg.models import checkpoint, monai_bundle, nnunet, onnx_import
from napari_medseg.models.card import ModelCard
from napari_medseg.models.import_options import ImportOptions
from napari_medseg.models.segmenter import Segmenter

DEFAULT = ImportOptions()
NNUNET = ("plans.json", "dataset.json")
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z")
PICKLES = (".pt", ".pth", ".ts", ".ckpt", ".pkl", ".pickle", ".bin", ".joblib", ".npz", ".h5")


def import_model(source: Path, options: ImportOptions = DEFAULT) -> Segmenter:
    """The segmenter that a file or folder of another program holds.

    Raises
    ------
    ModelError
        It is none of those that can be read, is damaged, or asks for more than numbers.
    """
    source = Path(source)
    with _readable(source):
        found = _read(source, options)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return replace(found, lineage=replace(found.lineage, how="import", created=created))


def import_job(source: Path, target: Path, options: ImportOptions = DEFAULT) -> Job[ModelCard]:
    """`import_model`, saved as `target`; yields `Progress`, and `Notice` for what differs."""
    yield Progress(0, 2, f"Reading {Path(source).name}")
    segmenter = import_model(source, options)
    for text in warnings_of(segmenter):
        yield Notice(text)
    yield Progress(1, 2, "Saving")
    card = checkpoint.save(segmenter, target)
    yield Progress(2, 2, "Saved")
    return card


def warnings_of(segmenter: Segmenter) -> tuple[str, ...]:
    """What the model does otherwise than in the program it comes from."""
    return tuple(str(text) for text in segmenter.lineage.config.get("warnings", ()))


def _read(source: Path, options: ImportOptions) -> Segmenter:
    ending = source.suffix.lower()
    if source.is_dir():
        return _read_folder(source, options)
    if not source.is_file():
        raise ModelError("a model must be a file or a folder that exists; name another")
    if ending == ".onnx":
        return onnx_import.read(source, options)
    if ending == ".safetensors":
        return checkpoint.load(source)
    if ending in ARCHIVES:
        raise ModelError("an archive must be unpacked first; then name the folder in it")
    if ending in PICKLES:
        raise ModelError(
            "weights alone do not say their network; name the nnU-Net or MONAI folder they lie in"
        )
    raise ModelError("a model must be an nnU-Net or MONAI folder or an .onnx file; name such a one")


def _read_folder(folder: Path, options: ImportOptions) -> Segmenter:
    if monai_bundle.is_bundle(folder):
        return monai_bundle.read(folder)
    if _is_nnunet(folder) or any(_is_nnunet(one) for one in folder.glob("*__*__*")):
        return nnunet.read(folder, options.configuration, options.folds, options.checkpoint)
    raise ModelError(
        "a folder must hold plans.json (nnU-Net) or configs/ (MONAI), this one holds neither"
    )


def _is_nnunet(folder: Path) -> bool:
    return any((folder / name).is_file() for name in NNUNET)


@contextmanager
def _readable(source: Path) -> Iterator[None]:
    """Errors of the disk are refusals of the model, and each names it."""
    try:
        yield
    except ModelError as error:
        error.name = error.name or source.name
        raise
    except OSError as error:
        raise ModelError(
            f"a model must be readable, {error.strerror}; choose another", source.name
        ) from error
    except MemoryError as error:
        raise ModelError("a model must fit in memory; close other programs", source.name) from error
