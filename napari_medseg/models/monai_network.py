"""A bundle's ``network_def`` as one of the closed list of networks, in numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from napari_medseg.errors import ModelError
from napari_medseg.models.config import Family, NetworkConfig
from napari_medseg.models.monai_shape import Act, MonaiShape, Net, Norm, Up

IGNORED = {"dropout", "dropout_prob", "deep_supervision", "deep_supr_num", "dimensions"}
MOST_CHANNELS = 4096


@dataclass(frozen=True)
class Described:
    """A network and its ends."""

    config: NetworkConfig
    in_channels: int
    out_channels: int


class Given:
    """Arguments that are taken one by one; each must be plain and of the right kind."""

    def __init__(self, net: str, values: Mapping[str, Any]) -> None:
        self._net = net
        self._left = {key: value for key, value in values.items() if key not in IGNORED}
        self.dims = self.whole("spatial_dims", values.get("dimensions", 3), 2, 3)

    def whole(self, name: str, default: Any = None, low: int = 1, high: int = MOST_CHANNELS) -> int:
        """A whole number."""
        value = self._left.pop(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.wrong(name, f"a whole number from {low} to {high}", value)
        return value

    def flag(self, name: str, default: bool) -> bool:
        value = self._left.pop(name, default)
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false", value)
        return value

    def wholes(self, name: str, default: Sequence[int] | None = None) -> tuple[int, ...]:
        """Some whole numbers."""
        value = self._left.pop(name, default)
        if not isinstance(value, (list, tuple)) or not all(type(one) is int for one in value):
            raise self.wrong(name, "whole numbers", value)
        return tuple(value)

    def rows(self, name: str, default: Any = None) -> tuple[tuple[int, ...], ...]:
        """One number or one number an axis for each level."""
        value = self._left.pop(name, default)
        if not isinstance(value, (list, tuple)):
            raise self.wrong(name, "a list", value)
        return tuple(self._row(name, one) for one in value)

    def row(self, name: str, default: int) -> tuple[int, ...]:
        """One number an axis."""
        return self._row(name, self._left.pop(name, default))

    def kind(self, name: str, default: Any) -> tuple[str, dict[str, Any]]:
        """ "batch" or ["group", {"num_groups": 8}]."""
        value = self._left.pop(name, default)
        if value is None:
            return "none", {}
        word, more = value if isinstance(value, (list, tuple)) and len(value) == 2 else (value, {})
        if not isinstance(word, str) or not isinstance(more, dict):
            raise self.wrong(name, "a name, or a name and its numbers", value)
        return word.lower(), dict(more)

    def word(self, name: str, default: str) -> str:
        value = self._left.pop(name, default)
        if not isinstance(value, str):
            raise self.wrong(name, "a word", value)
        return value

    def done(self) -> None:
        """Nothing may be left that would change the network."""
        if self._left:
            name = sorted(self._left)[0]
            raise ModelError(f"a {self._net} is read without {name[:40]}; export it as ONNX")

    def wrong(self, name: str, meant: str, value: object) -> ModelError:
        return ModelError(f"{self._net}'s {name} must be {meant}, got {str(value)[:40]}")

    def _row(self, name: str, value: Any) -> tuple[int, ...]:
        row = [value] * self.dims if type(value) is int else value
        if not isinstance(row, (list, tuple)) or not all(type(one) is int for one in row):
            raise self.wrong(name, "whole numbers", value)
        return tuple(row)


def network_of_bundle(name: str, values: Mapping[str, Any]) -> Described:
    """The network that a bundle's ``_target_`` and arguments describe.

    Raises
    ------
    ModelError
        It is none of the closed list, or an argument is not understood.
    """
    net = next((one for one in Net if one.lower() == name.lower()), None)
    if net is None:
        known = ", ".join(Net)
        raise ModelError(f"a bundle's network must be {known}, got {name[:40]}; export it as ONNX")
    given = Given(net, values)
    defaults = (1, 2) if net in (Net.BASIC, Net.SEGRES) else (None, None)
    ends = given.whole("in_channels", defaults[0]), given.whole("out_channels", defaults[1])
    try:
        config = _READERS[net](given)
    except (TypeError, ValueError) as error:
        raise ModelError(f"a {net}'s arguments must be plain numbers, {error}") from error
    given.done()
    return Described(config, *ends)


def _unet(given: Given) -> NetworkConfig:
    features = given.wholes("channels")
    strides = given.rows("strides")[: len(features) - 1]
    kernel, up_kernel = given.row("kernel_size", 3), given.row("up_kernel_size", 3)
    if any(n % 2 == 0 for n in kernel):
        raise ModelError(f"a UNet's kernels must be odd, got {kernel}")
    order = given.word("adn_ordering", "NDA").upper()
    residual = given.whole("num_res_units", 0, 0, 16)
    bias = given.flag("bias", True)
    looks = _looks(given, "norm", "instance", "act", "prelu")
    shape = MonaiShape(
        Net.UNET, bias=bias, order=order, residual=residual, up_kernel=up_kernel, **looks
    )
    return _config(given, features, ((1,) * given.dims, *strides), (kernel,) * len(features), shape)


def _basic(given: Given) -> NetworkConfig:
    *features, last = given.wholes("features", (32, 32, 64, 128, 256, 32))
    looks = _looks(
        given,
        "norm",
        ["instance", {"affine": True}],
        "act",
        ["leakyrelu", {"negative_slope": 0.1}],
    )
    bias, up = given.flag("bias", True), _up(given, "upsample", "deconv")
    shape = MonaiShape(Net.BASIC, bias=bias, last=last, up=up, **looks)
    return _halving(given, features, shape)


def _dynamic(given: Given) -> NetworkConfig:
    kernels, strides = given.rows("kernel_size"), given.rows("strides")
    ups = given.rows("upsample_kernel_size")
    most = 320 if given.dims == 3 else 512
    grown = [min(32 * 2**i, most) for i in range(len(strides))]
    features = given.wholes("filters", grown)[: len(strides)]
    if ups != strides[1:]:
        raise ModelError("a DynUNet's upsample_kernel_size must be its strides; export it as ONNX")
    looks = _looks(given, "norm_name", ["instance", {"affine": True}], "act_name", "leakyrelu")
    residual, bias = given.flag("res_block", False), given.flag("trans_bias", False)
    shape = MonaiShape(Net.DYNAMIC, bias=bias, residual=int(residual), **looks)
    return _config(given, features, strides, kernels, shape)


def _segres(given: Given) -> NetworkConfig:
    first = given.whole("init_filters", 8)
    down = given.wholes("blocks_down", (1, 2, 2, 4))
    up = given.wholes("blocks_up", (1, 1, 1))
    groups = given.whole("num_groups", 8)
    norm: Any = ["group", {"num_groups": groups}]
    if given.word("norm_name", "group").lower() != "group" or not given.flag(
        "use_conv_final", True
    ):
        raise ModelError("a SegResNet must have group norm and a final convolution")
    looks = _looks(given, "norm", norm, "act", "relu")
    if looks["act"] is Act.PRELU:
        raise ModelError("a SegResNet's act must be without weights, got prelu; export it as ONNX")
    mode = _up(given, "upsample_mode", "nontrainable")
    shape = MonaiShape(Net.SEGRES, up=mode, blocks_down=down, blocks_up=up, **looks)
    return _halving(given, [first * 2**i for i in range(len(down))], shape)


_READERS: dict[Net, Callable[[Given], NetworkConfig]] = {
    Net.UNET: _unet,
    Net.BASIC: _basic,
    Net.DYNAMIC: _dynamic,
    Net.SEGRES: _segres,
}


def _halving(given: Given, features: Sequence[int], shape: MonaiShape) -> NetworkConfig:
    d = given.dims
    strides = ((1,) * d, *((2,) * d for _ in features[1:]))
    return _config(given, features, strides, ((3,) * d,) * len(features), shape)


def _config(
    given: Given,
    features: Sequence[int],
    strides: Sequence[tuple[int, ...]],
    kernels: Sequence[tuple[int, ...]],
    shape: MonaiShape,
) -> NetworkConfig:
    if not strides or set(strides[0]) != {1}:
        raise ModelError("a network's first level must keep the size; export it as ONNX")
    numbers = tuple(features), tuple(strides)
    return NetworkConfig(
        Family.MONAI, given.dims, *numbers, 1, False, kernels=tuple(kernels), monai=shape
    )


def _looks(
    given: Given, norm: str, norm_default: Any, act: str, act_default: Any
) -> dict[str, Any]:
    """Normalisation and activation."""
    word, more = given.kind(norm, norm_default)
    names = {"instance_nvfuser": "instance"}
    kind = _member(given, Norm, norm, names.get(word, word))
    looks: dict[str, Any] = {"norm": kind, "eps": float(more.pop("eps", 1e-5))}
    affine = bool(more.pop("affine", kind is not Norm.INSTANCE))
    if kind is Norm.INSTANCE:
        looks["affine"] = affine
    elif not affine:
        raise given.wrong(norm, "with weights", word)
    if kind is Norm.GROUP:
        looks["groups"] = more.pop("num_groups", None)
    word, extra = given.kind(act, act_default)
    looks["act"] = _member(given, Act, act, word)
    for name, key in (("negative_slope", Act.LEAKY), ("alpha", Act.ELU)):
        if looks["act"] is key:
            looks["slope"] = float(extra.pop(name, 1.0 if key is Act.ELU else 0.01))
    left = {*more, *extra} - {"inplace", "init", "momentum"}
    if left or not isinstance(looks.get("groups", 8), int):
        raise given.wrong(norm, f"read without {sorted(left)}", {**more, **extra})
    return looks


def _up(given: Given, name: str, default: str) -> Up:
    word = given.word(name, default)
    found: Up = _member(given, Up, name, word.lower())
    return found


def _member(given: Given, kind: Any, name: str, word: str) -> Any:
    if word not in [one.value for one in kind]:
        raise given.wrong(name, " or ".join(kind), word)
    return kind(word)
