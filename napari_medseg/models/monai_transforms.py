"""A bundle's transforms as a recipe; what a recipe cannot say is told, or refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from napari_medseg.errors import ModelError
from napari_medseg.models.monai_config import arguments, is_off, resolved
from napari_medseg.preprocess.recipe import Grid, Normalise

HARMLESS = {
    *(
        "LoadImage",
        "EnsureChannelFirst",
        "AddChannel",
        "AsChannelFirst",
        "EnsureType",
        "CastToType",
    ),
    *("ToTensor", "ToDevice", "SpatialPad", "DivisiblePad", "SelectItems", "DeleteItems"),
    *("Identity", "SplitDim", "ConcatItems", "CopyItems", "SqueezeDim"),
}
AFTERWARDS = {
    *("Activations", "AsDiscrete", "Invert", "SaveImage", "EnsureType", "ToTensor", "Identity"),
    *("CopyItems", "DeleteItems", "ToDevice"),
}
_DECISIONS = ("sigmoid", "softmax", "argmax")
RAS = "SAR"  # its array is (X, Y, Z): see Recipe.orientation
Fields = dict[str, Any]


@dataclass
class Found:
    """What the transforms say so far: fields of a `Recipe`, and sentences for the user."""

    dims: int
    fields: Fields = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def recipe_fields(config: Mapping[str, Any], dims: int) -> Found:
    """The fields of a recipe that ``preprocessing`` and ``inferer`` give.

    Raises
    ------
    ModelError
        A transform would change the answer and is not known.
    """
    found = Found(dims, {"orientation": _orientation("RAS", dims), "grid": Grid.CORNER})
    names = []
    for entry in _steps(config, "preprocessing"):
        name, values = arguments(config, entry)
        name = _bare(name)
        names.append(name)
        if name in _READERS:
            _READERS[name](found, values)
        elif name not in HARMLESS:
            raise ModelError(
                f"a bundle's preprocessing must be known, {name[:40]} is not; export it as ONNX"
            )
    if "normalise" not in found.fields:  # then the numbers of the file are what it reads
        found.fields |= {"normalise": Normalise.RANGE, "window": (0.0, 1.0), "clip": False}
    _judge_order(names, found)
    return found


def read_postprocessing(config: Mapping[str, Any], outputs: int) -> tuple[bool, list[str]]:
    """Whether each output is judged by itself (a sigmoid), and sentences on what is not done."""
    warnings: list[str] = []
    said: set[str] = set()
    cuts: list[float] = []
    for entry in _steps(config, "postprocessing"):
        name, values = arguments(config, entry)
        name = _bare(name)
        if name in ("Activations", "AsDiscrete"):
            said |= {word for word in _DECISIONS if _any(values.get(word))}
            cuts += _cuts(values)
        if name not in AFTERWARDS:
            warnings.append(f"the bundle's {name[:40]} is left out; see the recipe's rules")
    return "sigmoid" in said, [*warnings, *_cut_otherwise(said, cuts, outputs)]


def _cuts(values: Fields) -> list[float]:
    """Where AsDiscrete cuts; older MONAI says so in two words."""
    found = values.get("threshold")
    if found is None and _any(values.get("threshold_values")):
        found = values.get("logit_thresh", 0.5)
    cuts = found if isinstance(found, list) else [found]
    return [float(one) for one in cuts if isinstance(one, (int, float)) and type(one) is not bool]


def _cut_otherwise(said: set[str], cuts: list[float], outputs: int) -> list[str]:
    """What makes other labels of the outputs than the largest one, or 0.5 of a sigmoid."""
    if "argmax" in said:
        return []
    other = [cut for cut in cuts if cut != 0.5]
    halves = "sigmoid" in said or (outputs == 2 and "softmax" in said)  # the larger is above 0.5
    if halves and other:
        return [f"probabilities are cut at 0.5, the bundle cuts them at {other[0]:g}"]
    if not halves and cuts:
        return [f"the largest output is the label, the bundle cuts each output at {cuts[0]:g}"]
    if not halves and "softmax" not in said:
        return ["the largest output is the label, the bundle does not say what is"]
    return []


def patch_of(config: Mapping[str, Any], dims: int) -> tuple[int, ...]:
    """The inferer's ``roi_size``; empty where it says none."""
    entry = config.get("inferer")
    if entry is None:
        return ()
    _, values = arguments(config, entry)
    size = values.get("roi_size")
    size = [size] * dims if type(size) is int else size
    if not isinstance(size, list) or not all(type(one) is int and one > 0 for one in size):
        return ()
    return tuple(size[-dims:])


def _steps(config: Mapping[str, Any], name: str) -> list[Any]:
    entry = resolved(config, config.get(name))
    if isinstance(entry, dict):
        entry = resolved(config, entry.get("transforms"))
    if entry is None:
        return []
    if not isinstance(entry, list):
        raise ModelError(f"a bundle's {name} must be a list of transforms")
    return [one for one in entry if not is_off(config, one)]


def _bare(name: str) -> str:
    """ "Spacing" of "Spacingd", "SpacingD" and "SpacingDict"."""
    for ending in ("Dict", "d", "D"):
        if name.endswith(ending) and name != "SplitDim" and not name.endswith("Pad"):
            return name.removesuffix(ending)
    return name


def _orient(found: Found, values: Fields) -> None:
    codes = values.get("axcodes", "RAS")
    if not isinstance(codes, str) or len(codes) != 3:
        raise ModelError(f"Orientation must name three sides, got {str(codes)[:20]}")
    found.fields["orientation"] = _orientation(codes.upper(), found.dims)


def _orientation(codes: str, dims: int) -> str:
    """MONAI's axes (X, Y, Z) as ours from the last to the first."""
    return codes[::-1] if dims == 3 else codes[1] + codes[0] + codes[2]


def _space(found: Found, values: Fields) -> None:
    size = values.get("pixdim")
    size = [size] * 3 if isinstance(size, (int, float)) else size
    if not isinstance(size, list) or len(size) < found.dims:
        raise ModelError(f"Spacing's pixdim must be {found.dims} lengths, got {str(size)[:30]}")
    mm = [float(one) for one in size[:3]]
    if not all(0.01 <= one <= 100 for one in mm):
        raise ModelError(f"Spacing's pixdim must be 0.01 to 100 mm, got {mm}")
    found.fields["spacing_mm"] = tuple(mm) if found.dims == 3 else (1.0, mm[0], mm[1])
    mode = values.get("mode", "bilinear")
    first = mode[0] if isinstance(mode, list) and mode else mode
    if first not in ("bilinear", "trilinear", 1):
        found.warnings.append(f"scans are resampled linearly, the bundle used {str(first)[:20]}")


def _range(found: Found, values: Fields) -> None:
    low, high = float(values["a_min"]), float(values["a_max"])
    bottom, top = values.get("b_min"), values.get("b_max")
    _normalise(found, Normalise.RANGE, values, window=(low, high))
    if not high > low:
        raise ModelError(f"ScaleIntensityRange must have a_min below a_max, got {low} and {high}")
    found.fields["onto"] = (low, high) if bottom is None or top is None else _pair(bottom, top)


def _percentiles(found: Found, values: Fields) -> None:
    if values.get("relative"):
        raise ModelError("ScaleIntensityRangePercentiles must not be relative; export as ONNX")
    ends = _pair(values["lower"], values["upper"])
    _normalise(found, Normalise.PERCENTILES, values, percentiles=ends)
    found.fields["onto"] = _pair(values["b_min"], values["b_max"])


def _whole_range(found: Found, values: Fields) -> None:
    if values.get("factor") is not None:
        raise ModelError("ScaleIntensity must have no factor; export it as ONNX")
    _normalise(found, Normalise.PERCENTILES, {"clip": True}, percentiles=(0.0, 100.0))
    found.fields["onto"] = _pair(values.get("minv", 0.0), values.get("maxv", 1.0))


def _mean_std(found: Found, values: Fields) -> None:
    centre, width = values.get("subtrahend"), values.get("divisor")
    if isinstance(centre, (int, float)) and isinstance(width, (int, float)) and width > 0:
        window = (float(centre), float(centre) + float(width))
        _normalise(found, Normalise.RANGE, {"clip": False}, window=window)
        found.fields["onto"] = (0.0, 1.0)
        return
    if centre is not None or width is not None:
        raise ModelError("NormalizeIntensity must have one subtrahend and one divisor")
    _normalise(found, Normalise.MEAN_STD, {}, nonzero=bool(values.get("nonzero", False)))
    if not values.get("channel_wise", False):
        found.fields["channel_wise"] = False


def _crop(found: Found, values: Fields) -> None:
    """Answers inside stay as they are: a tile sees no further than itself."""


def _normalise(found: Found, kind: Normalise, values: Fields, **more: Any) -> None:
    if "normalise" in found.fields:
        raise ModelError("a bundle must scale intensities once, this one does twice; use ONNX")
    found.fields |= {"normalise": kind, "clip": bool(values.get("clip", False)), **more}


def _pair(low: Any, high: Any) -> tuple[float, float]:
    return float(low), float(high)


def _judge_order(names: list[str], found: Found) -> None:
    scaled = [i for i, name in enumerate(names) if name in _SCALING]
    spaced = names.index("Spacing") if "Spacing" in names else None
    cropped = names.index("CropForeground") if "CropForeground" in names else None
    kind = found.fields["normalise"]
    if scaled and spaced is not None and scaled[0] < spaced:
        found.warnings.append("intensities are scaled after resampling, the bundle did it before")
    if scaled and cropped is not None and cropped < scaled[0] and kind is not Normalise.RANGE:
        found.warnings.append("intensity statistics are the whole scan's, the bundle cropped first")


_SCALING: dict[str, Callable[[Found, Fields], None]] = {
    "ScaleIntensityRange": _range,
    "ScaleIntensityRangePercentiles": _percentiles,
    "ScaleIntensity": _whole_range,
    "NormalizeIntensity": _mean_std,
}
_READERS = {
    "Orientation": _orient,
    "Spacing": _space,
    "CropForeground": _crop,
    **_SCALING,
}


def _any(value: Any) -> bool:
    return any(value) if isinstance(value, list) else bool(value)
