"""Model files that somebody made to run code, to fill the memory, or to be believed.

Every gadget that would run leaves a file in the folder of canaries. `cases()` lists them all;
`Case.make(folder, canaries)` writes one and gives the path to hand to the reader.
"""

from __future__ import annotations

import builtins
import codecs
import ctypes
import functools
import gzip
import hashlib
import importlib
import io
import json
import operator
import os
import pickle
import pty
import random
import runpy
import shutil
import struct
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.hub
from foreign_models import METADATA, UNET, monai_bundle, monai_state, small_segmenter, tiny_onnx
from safetensors.torch import save_file

from napari_medseg.models import checkpoint

Maker = Callable[[Path, Path], Path]


@dataclass(frozen=True)
class Case:
    """A hostile file: its name, which reader it is for, and how it is made."""

    name: str
    reader: str  # "import" or "own": a checkpoint for verify, show and the shelf
    make: Maker


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Any, *args: Any, state: Any = None) -> None:
        self.function, self.args, self.state = function, args, state

    def __call__(self) -> None:
        """So that pickle takes what a call gives for a function."""

    def __reduce__(self) -> tuple[Any, ...]:
        made = (self.function, self.args)
        return made if self.state is None else (*made, self.state)


class Sleeper:
    """Runs when its state is set."""

    def __setstate__(self, state: str) -> None:
        os.system(state)


def gadgets(canary: Path) -> dict[str, Any]:
    """Objects that write `canary` when they are unpickled."""
    touch, script = f"touch '{canary}'", canary.with_suffix(".script.py")
    code = f"open({str(canary)!r}, 'w').close()"
    hub = canary.with_suffix(".hub")
    inner = pickle.dumps(Call(os.system, touch))
    sleeper = Sleeper.__new__(Sleeper)
    sleeper.__dict__ = {"state": touch}
    return {
        "os.system": Call(os.system, touch),
        "subprocess.Popen": Call(subprocess.Popen, ["touch", str(canary)]),
        "subprocess.run": Call(subprocess.run, ["touch", str(canary)]),
        "exec": Call(builtins.exec, code),
        "eval": Call(builtins.eval, f"__import__('os').system({touch!r})"),
        "getattr": Call(
            Call(builtins.getattr, Call(importlib.import_module, "os"), "system"), touch
        ),
        "runpy": Call(runpy.run_path, str(script)),
        "importlib": Call(importlib.import_module, "canary_of_import"),
        "torch.hub.load": Call(
            functools.partial(torch.hub.load, source="local", trust_repo=True), str(hub), "entry"
        ),
        "numpy.load": Call(functools.partial(np.load, allow_pickle=True), str(canary) + ".npy"),
        "functools.partial": Call(functools.partial(os.system, touch)),
        "operator.methodcaller": Call(operator.methodcaller("system", touch), os),
        "pty.spawn": Call(pty.spawn, ["touch", str(canary)]),
        "ctypes": Call(ctypes.CDLL, str(canary) + ".so"),
        "codecs": Call(builtins.exec, Call(codecs.decode, code.encode(), "utf-8")),
        "pickle.loads": Call(pickle.loads, inner),
        "setstate": sleeper,
        "build": Call(dict, state=Call(os.system, touch)),
        "open": Call(builtins.open, str(canary), "w"),
        "shutil.copy": Call(shutil.copy, "/etc/hostname", str(canary)),
        "torch.load": Call(
            functools.partial(torch.load, weights_only=False), str(canary) + ".nested"
        ),
    }


def lay_out(canary: Path) -> None:
    """The files that some gadgets need to do their worst."""
    code = f"open({str(canary)!r}, 'w').close()\n"
    canary.with_suffix(".script.py").write_text(code)
    (canary.parent / "canary_of_import.py").write_text(code)
    hub = canary.with_suffix(".hub")
    hub.mkdir()
    (hub / "hubconf.py").write_text(f"{code}def entry(): pass\n")
    touch = Call(os.system, f"touch '{canary}'")
    Path(f"{canary}.nested").write_bytes(archive(pickled(touch)))
    np.save(f"{canary}.npy", np.array([touch], dtype=object), allow_pickle=True)


def pickled(value: Any) -> bytes:
    """`operator.methodcaller` of a module cannot be pickled with it: by name then."""
    stream = io.BytesIO()
    _Pickler(stream, protocol=2).dump(value)
    return stream.getvalue()


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if value is os:
            return importlib.import_module, ("os",)
        return NotImplemented


def archive(data: bytes, weights: dict[str, torch.Tensor] | None = None) -> bytes:
    """A file of torch.save whose data.pkl is `data`."""
    good = io.BytesIO()
    torch.save(weights or {"w": torch.ones(3)}, good)
    return rewritten(good.getvalue(), lambda name, old: data if name.endswith("data.pkl") else old)


def rewritten(data: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """The archive with other contents, stored as torch does."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for entry in old.infolist():
            new.writestr(entry.filename, change(entry.filename, old.read(entry)))
    return out.getvalue()


def _torch_bytes(value: Any, **how: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, **how)
    return stream.getvalue()


def containers(gadget: Any) -> dict[str, Callable[[], bytes]]:
    """The ways to hide an object in a file of weights."""
    raw = pickled({"state_dict": gadget})
    good = pickle.dumps({"w": 1.0}, 2)
    magic = [pickled(one) for one in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    return {
        "zip": lambda: archive(raw),
        "legacy": lambda: b"".join([*magic, raw, pickled([])]),
        "raw": lambda: raw,
        "swapped": lambda: archive(raw, monai_state()),
        "appended": lambda: archive(good + raw),
        "gz": lambda: gzip.compress(raw),
    }


def _gadget_case(gadget: str, container: str, reader: str) -> Case:
    def make(folder: Path, canaries: Path) -> Path:
        canary = canaries / f"{gadget}-{container}".replace(".", "-")
        data = containers(gadgets(canary)[gadget])[container]()
        return _in_model(folder, data, reader)

    return Case(f"{gadget} in {container} for {reader}", "import", make)


def _in_model(folder: Path, weights: bytes, kind: str) -> Path:
    """A MONAI or nnU-Net folder with these bytes as its weights."""
    if kind == "MONAI":
        bundle = monai_bundle(folder / "bundle")
        (bundle / "models" / "model.pt").write_bytes(weights)
        return bundle
    results = folder / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    (results / "fold_0").mkdir(parents=True)
    (results / "plans.json").write_text(json.dumps(PLANS))
    (results / "dataset.json").write_text(json.dumps(DATASET))
    (results / "fold_0" / "checkpoint_final.pth").write_bytes(weights)
    return results


CONV, NORM = "torch.nn.modules.conv.Conv3d", "torch.nn.modules.instancenorm.InstanceNorm3d"
ARCHITECTURE: dict[str, Any] = {
    "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
    "arch_kwargs": {
        "n_stages": 2,
        "features_per_stage": [4, 8],
        "conv_op": CONV,
        "kernel_sizes": [[3, 3, 3], [3, 3, 3]],
        "strides": [[1, 1, 1], [2, 2, 2]],
        "n_conv_per_stage": [1, 1],
        "n_conv_per_stage_decoder": [1],
        "conv_bias": True,
        "norm_op": NORM,
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    },
    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
}
PLANS: dict[str, Any] = {
    "dataset_name": "Dataset001_A",
    "plans_name": "nnUNetPlans",
    "image_reader_writer": "SimpleITKIO",
    "transpose_forward": [0, 1, 2],
    "transpose_backward": [0, 1, 2],
    "configurations": {
        "3d_fullres": {
            "patch_size": [16, 16, 16],
            "spacing": [1.0, 1.0, 1.0],
            "normalization_schemes": ["ZScoreNormalization"],
            "use_mask_for_norm": [False],
            "architecture": ARCHITECTURE,
        }
    },
}
DATASET = {
    "channel_names": {"0": "MRI"},
    "labels": {"background": 0, "a": 1},
    "file_ending": ".nii.gz",
}


def _weights_case(name: str, data: Callable[[], bytes], kind: str = "MONAI") -> Case:
    return Case(f"{name} for {kind}", "import", lambda folder, _: _in_model(folder, data(), kind))


def bomb(size: int, name: str = "archive/data/0") -> bytes:
    """An archive of torch.save with a deflated entry that unpacks to `size` zeros."""
    out = io.BytesIO()
    pickle_bytes = pickle.dumps({"w": 1}, 2)
    with zipfile.ZipFile(out, "w") as new:
        new.writestr("archive/data.pkl", pickle_bytes)
        entry = zipfile.ZipInfo(name)
        entry.compress_type = zipfile.ZIP_DEFLATED
        with new.open(entry, "w", force_zip64=True) as file:
            for _ in range(size >> 20):
                file.write(bytes(1 << 20))
    return out.getvalue()


def _slip(name: str) -> bytes:
    out = io.BytesIO(archive(pickle.dumps({"w": 1}, 2)))
    with zipfile.ZipFile(out, "a") as new:
        new.writestr(name, b"x")
    return out.getvalue()


def _crowd() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as new:
        new.writestr("archive/data.pkl", pickle.dumps({}, 2))
        for n in range(20_001):
            new.writestr(f"archive/data/{n}", b"")
    return out.getvalue()


def _flipped(weights: dict[str, torch.Tensor]) -> bytes:
    data = bytearray(_torch_bytes(weights))
    raw = next(iter(weights.values())).numpy().tobytes()[:16]
    data[data.index(raw)] ^= 1
    return bytes(data)


def _changed(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[], bytes]:
    def make() -> bytes:
        state = monai_state()
        change(state)
        return _torch_bytes(state)

    return make


def _fill(value: float) -> Callable[[dict[str, torch.Tensor]], object]:
    return lambda state: next(iter(state.values())).fill_(value)


def _reshape(state: dict[str, torch.Tensor]) -> None:
    name = next(iter(state))
    state[name] = state[name][:1]


def _expanded(state: dict[str, torch.Tensor]) -> None:
    name = next(iter(state))
    state[name] = torch.zeros(1).expand(10**9)


NESTED = b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b"."


def _scripted() -> bytes:
    import warnings

    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), stream)
    return stream.getvalue()


def weights_cases(bomb_bytes: int) -> Iterator[Case]:
    """Files of weights that are damaged, too large, or not what they say."""
    whole = _torch_bytes(monai_state())
    for share in (0.01, 0.5, 0.9, 0.999):
        yield _weights_case(
            f"truncated to {share:.1%}", lambda s=share: whole[: int(len(whole) * s)]
        )
    plain: dict[str, Callable[[], bytes]] = {
        "empty": lambda: b"",
        "a web page": lambda: b"<!DOCTYPE html><html>not found</html>",
        "a Git LFS pointer": lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
        "random bytes": lambda: random.Random(0).randbytes(4096),
        "TorchScript": _scripted,
        "a whole module": lambda: _torch_bytes(torch.nn.Linear(2, 2)),
        "a deflated bomb": lambda: bomb(bomb_bytes),
        "a deflated bomb as data.pkl": lambda: bomb(bomb_bytes, "archive/data.pkl.bak/data.pkl"),
        "a gz bomb": lambda: gzip.compress(bytes(min(bomb_bytes, 256 << 20)), 1),
        "20 001 entries": _crowd,
        "a name that climbs out": lambda: _slip("archive/../../../escaped"),
        "an absolute name": lambda: _slip("/tmp/escaped"),
        "one flipped bit": lambda: _flipped(monai_state()),
        "NaN weights": _changed(_fill(float("nan"))),
        "infinite weights": _changed(_fill(float("inf"))),
        "another shape": _changed(_reshape),
        "a weight too few": _changed(lambda state: state.pop(next(iter(state)))),
        "a weight too many": _changed(lambda state: state.update(extra=torch.ones(2))),
        "a number named a billion times": _changed(_expanded),
        "a text of 4 GB": lambda: archive(b"\x80\x04\x8d" + struct.pack("<Q", 1 << 32) + b"x."),
        "200 000 lists in each other": lambda: archive(NESTED),
        "a list": lambda: _torch_bytes([1, 2]),
    }  # fmt: skip
    for name, data in plain.items():
        yield _weights_case(name, data)
    for name in ("a deflated bomb", "TorchScript", "a name that climbs out", "random bytes"):
        yield _weights_case(name, plain[name], "nnU-Net")


def header_file(header: bytes | dict[str, Any], body: bytes = b"") -> bytes:
    """A safetensors file with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def _entry(shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}


TWICE = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
HEADERS: dict[str, bytes] = {
    "a tensor named twice": header_file(TWICE + TWICE[1:-1] + b"}", bytes(4)),
    "overlapping tensors": header_file({"a": _entry([1], 0, 4), "b": _entry([1], 2, 6)}, bytes(6)),
    "a hole": header_file({"a": _entry([1], 0, 4), "b": _entry([1], 8, 12)}, bytes(12)),
    "an offset outside": header_file({"a": _entry([1], 0, 400)}, bytes(4)),
    "2^62 numbers": header_file({"a": _entry([1 << 31, 1 << 31], 0, 4)}, bytes(4)),
    "a header of 2^63 bytes": struct.pack("<Q", 1 << 63) + b"{}",
    "trailing bytes": header_file({"a": _entry([1], 0, 4)}, bytes(9)),
    "broken JSON": header_file(b'{"a": {'),
    "JSON 100 000 deep": header_file(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "no tensors": header_file({}),
    "a header of text": header_file(b'"hello, this is text"'),
}


def header_cases() -> Iterator[Case]:
    """Hostile safetensors headers, as a bundle's weights and as our own checkpoint."""
    for name, data in HEADERS.items():

        def in_bundle(folder: Path, _: Path, data: bytes = data) -> Path:
            bundle = monai_bundle(folder / "bundle")
            (bundle / "models" / "model.safetensors").write_bytes(data)
            return bundle

        def alone(folder: Path, _: Path, data: bytes = data) -> Path:
            (folder / "model.safetensors").write_bytes(data)
            return folder / "model.safetensors"

        yield Case(f"safetensors with {name} for MONAI", "import", in_bundle)
        yield Case(f"safetensors with {name}", "own", alone)


def lying(change: Callable[[dict[str, Any]], object]) -> Maker:
    """A checkpoint of ours whose description was changed and signed anew."""

    def make(folder: Path, _: Path) -> Path:
        path = folder / "lying.safetensors"
        checkpoint.save(small_segmenter(), path)
        data = path.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        body = json.loads(header["__metadata__"]["medseg"])
        body.pop("sha256")
        change(body)
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        header["__metadata__"]["medseg"] = json.dumps({**body, "sha256": digest})
        path.write_bytes(header_file(header, data[8 + length :]))
        return path

    return make


def _set(part: str, **values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda body: body[part].update(values)


LIES: dict[str, Callable[[dict[str, Any]], object]] = {
    "a network called os.system": _set("network", family="os.system"),
    "features of 2^40": _set("network", features=[1 << 40, 8]),
    "a million stages": _set("network", features=[4] * 1_000_000),
    "more convolutions than may be": _set("network", convs_per_stage=10**9),
    "kernels of a million": _set("network", kernels=[[10**6] * 3, [10**6] * 3]),
    "a graph that is none": _set("network", family="onnx"),
    "a network of MONAI without a shape": _set("network", family="monai"),
    "a normalisation of its own": _set("recipe", normalise="__import__('os')"),
    "a recipe without labels' values": _set("recipe", labels=[{"name": "a"}]),
    "a schema of the future": lambda body: body.update(schema=99),
    "members without end": lambda body: body.update(members=10**9),
    "no recipe": lambda body: body.pop("recipe"),
}


def own_cases() -> Iterator[Case]:
    """Checkpoints that look like ours."""
    for name, change in LIES.items():
        yield Case(f"a checkpoint with {name}", "own", lying(change))
    for share in (0.001, 0.3, 0.99):

        def cut(folder: Path, _: Path, share: float = share) -> Path:
            path = folder / "cut.safetensors"
            checkpoint.save(small_segmenter(), path)
            data = path.read_bytes()
            path.write_bytes(data[: int(len(data) * share)])
            return path

        yield Case(f"a checkpoint cut to {share:.1%}", "own", cut)

    def bare(folder: Path, _: Path) -> Path:
        save_file({"w": torch.ones(2)}, folder / "bare.safetensors")
        return folder / "bare.safetensors"

    yield Case("bare weights", "own", bare)


def _bundle_case(name: str, network: Any = UNET, **config: Any) -> Case:
    def make(folder: Path, canaries: Path) -> Path:
        bundle = monai_bundle(folder / "bundle", **config)
        text = (bundle / "configs" / "inference.json").read_text()
        whole = json.loads(text)
        whole["network_def"] = network
        text = json.dumps(whole).replace("CANARY", str(canaries / name.replace(" ", "-")))
        (bundle / "configs" / "inference.json").write_text(text)
        return bundle

    return Case(f"a bundle with {name}", "import", make)


def _yaml_case(name: str, text: str) -> Case:
    def make(folder: Path, canaries: Path) -> Path:
        bundle = monai_bundle(folder / "bundle")
        (bundle / "configs" / "inference.json").unlink()
        filled = text.replace("CANARY", str(canaries / name.replace(" ", "-")))
        (bundle / "configs" / "inference.yaml").write_text(filled)
        return bundle

    return Case(f"a bundle with {name}", "import", make)


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
SHELL = "__import__('os').system('touch CANARY')"


def bundle_cases() -> Iterator[Case]:
    """Configurations that name code, compute, or grow."""
    yield _bundle_case("a target of os", {"_target_": "os.system", "command": "touch CANARY"})
    yield _bundle_case("a target of its own", {"_target_": "scripts.net.Net", "spatial_dims": 3})
    yield _bundle_case("a target that climbs", {"_target_": "monai.apps.utils.download_url"})
    yield _bundle_case("an expression as network", f"${SHELL}")
    yield _bundle_case("an expression as number", {**UNET, "channels": f"${SHELL}"})
    yield _bundle_case("an expression inside", {**UNET, "strides": ["$" + SHELL]})
    yield _bundle_case("a circle", {**UNET, "channels": "@loop"}, loop="@loop")
    yield _bundle_case("channels of 2^60", {**UNET, "channels": [1 << 60, 8]})
    yield _bundle_case(
        "a million levels", {**UNET, "channels": [4] * 10**6, "strides": [2] * 10**6}
    )
    yield _bundle_case("a kernel of a million", {**UNET, "kernel_size": 10**6 + 1})
    yield _bundle_case("words for numbers", {**UNET, "in_channels": "1; import os"})
    yield _bundle_case("an unknown argument", {**UNET, "hook": "os.system"})
    steps = [{"_target_": "Lambdad", "keys": "image", "func": f"$lambda x: {SHELL}"}]
    yield _bundle_case("a lambda", preprocessing={"_target_": "Compose", "transforms": steps})
    steps = [{"_target_": "subprocess.Popen", "args": ["touch", "CANARY"]}]
    yield _bundle_case("a transform of code", preprocessing={"transforms": steps})
    steps = [{"_target_": "Spacingd", "keys": "image", "pixdim": [1e-9, 1e-9, 1e-9]}]
    yield _bundle_case("voxels of a picometre", preprocessing={"transforms": steps})
    yield _yaml_case(
        "YAML that builds objects", "x: !!python/object/apply:os.system ['touch CANARY']"
    )
    yield _yaml_case("YAML of a billion laughs", LAUGHS)
    yield _yaml_case("YAML 10 000 deep", "[" * 10_000 + "]" * 10_000)

    def deep(folder: Path, _: Path) -> Path:
        bundle = monai_bundle(folder / "bundle")
        (bundle / "configs" / "inference.json").write_text('{"a":' * 10**5 + "1" + "}" * 10**5)
        return bundle

    def wide(folder: Path, _: Path) -> Path:
        bundle = monai_bundle(folder / "bundle")
        outputs = {"pred": {"channel_def": "../../etc/passwd"}}
        about = {**METADATA, "network_data_format": {"outputs": outputs, "inputs": 7}}
        (bundle / "configs" / "metadata.json").write_text(json.dumps([about]))
        return bundle

    yield Case("a bundle 100 000 deep", "import", deep)
    yield Case("a bundle whose metadata is a list", "import", wide)


def _plans_case(name: str, change: Callable[[dict[str, Any]], None]) -> Case:
    def make(folder: Path, canaries: Path) -> Path:
        results = _in_model(folder, _torch_bytes({"network_weights": monai_state()}), "nnU-Net")
        text = json.dumps(PLANS).replace("CANARY", str(canaries / name.replace(" ", "-")))
        plans = json.loads(text)
        change(plans)
        (results / "plans.json").write_text(json.dumps(plans))
        return results

    return Case(f"plans with {name}", "import", make)


def _stage(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda plans: plans["configurations"]["3d_fullres"].update(values)


def _architecture(**values: Any) -> Callable[[dict[str, Any]], None]:
    def change(plans: dict[str, Any]) -> None:
        plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"].update(values)

    return change


def _network_class(name: str) -> Callable[[dict[str, Any]], None]:
    def change(plans: dict[str, Any]) -> None:
        plans["configurations"]["3d_fullres"]["architecture"]["network_class_name"] = name

    return change


def plans_cases() -> Iterator[Case]:
    """nnU-Net plans that name code, leave their folder, or grow."""
    yield _plans_case("a class of os", _network_class("os.system"))
    yield _plans_case("a class of the folder", _network_class("..evil.Net"))
    yield _plans_case("a norm of code", _architecture(norm_op="subprocess.Popen"))
    yield _plans_case("a convolution of code", _architecture(conv_op="os.system"))
    yield _plans_case("features of 2^50", _architecture(features_per_stage=[1 << 50, 8]))
    yield _plans_case(
        "a million stages", _architecture(n_stages=10**6, features_per_stage=[4] * 10**6)
    )
    yield _plans_case("a patch of 10^9", _stage(patch_size=[10**9] * 3))
    yield _plans_case("no spacing", _stage(spacing=[0, float("nan"), -1]))
    yield _plans_case("a scheme that climbs", _stage(normalization_schemes=["../../evil"]))
    yield _plans_case("a parent of itself", _stage(inherits_from="3d_fullres", architecture=None))
    yield _plans_case("no configurations", lambda plans: plans.update(configurations=[1]))
    yield _plans_case(
        "a transposition of letters", lambda p: p.update(transpose_forward=["a", 0, 9])
    )

    def labels(folder: Path, _: Path) -> Path:
        results = _in_model(folder, _torch_bytes({"network_weights": monai_state()}), "nnU-Net")
        bad = {**DATASET, "labels": {"background": 0, "../../x": [10**12, "$(touch x)"]}}
        (results / "dataset.json").write_text(json.dumps(bad))
        return results

    yield Case("a dataset.json with labels of code", "import", labels)


def onnx_cases() -> Iterator[Case]:  # noqa: C901  a list of small changes
    """Graphs that reach out, loop or grow."""
    import onnx
    from onnx import TensorProto, helper

    def made(change: Callable[[Any], None]) -> Maker:
        def make(folder: Path, canaries: Path) -> Path:
            path = tiny_onnx(folder / "model.onnx")
            model = onnx.load_model_from_string(path.read_bytes())
            change(model)
            path.write_bytes(model.SerializeToString())
            return path

        return make

    def external(model: Any) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../../../../etc/passwd")

    def custom(model: Any) -> None:
        model.opset_import.append(helper.make_opsetid("evil.ops", 1))
        model.graph.node[0].domain = "evil.ops"

    def hidden(model: Any) -> None:
        model.graph.node[0].domain = "com.microsoft"

    def huge(model: Any) -> None:
        model.graph.initializer.append(helper.make_tensor("big", TensorProto.FLOAT, [0], []))
        model.graph.initializer[-1].dims[:] = [1 << 30, 1 << 30]

    def filled(model: Any) -> None:
        shape = helper.make_tensor("shape", TensorProto.INT64, [3], [1 << 20, 1 << 20, 1 << 10])
        model.graph.initializer.append(shape)
        model.graph.node.append(helper.make_node("ConstantOfShape", ["shape"], ["memory"]))

    def loop(model: Any) -> None:
        body = helper.make_graph([], "body", [], [])
        model.graph.node.append(helper.make_node("Loop", ["", ""], ["never"], body=body))

    def nested(model: Any) -> None:
        graph = helper.make_graph([helper.make_node("Loop", [], ["x"])], "deep", [], [])
        for _ in range(9):
            graph = helper.make_graph(
                [helper.make_node("If", ["c"], ["x"], then_branch=graph)], "deep", [], []
            )
        model.graph.node.append(graph.node[0])

    def function(model: Any) -> None:
        model.functions.add(name="f", domain="evil")

    def two(model: Any) -> None:
        model.graph.input.append(helper.make_tensor_value_info("b", TensorProto.FLOAT, [1]))

    def mapped(model: Any) -> None:
        model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64

    def sick(model: Any) -> None:
        tensor = model.graph.initializer[0]
        tensor.raw_data = np.full(len(tensor.raw_data) // 4, np.nan, np.float32).tobytes()

    def recipe(model: Any) -> None:
        helper.set_model_props(model, {"medseg": '{"labels": "__import__(\'os\')"}'})

    changes = {
        "weights in /etc/passwd": external,
        "operators of its own": custom,
        "an operator of another house": hidden,
        "a constant of 2^60 numbers": huge,
        "a tensor of 2^50 numbers made at run time": filled,
        "a loop": loop,
        "a loop nine branches down": nested,
        "functions": function,
        "two inputs": two,
        "whole numbers as output": mapped,
        "NaN weights": sick,
        "a recipe of code": recipe,
        "an opset of the future": lambda model: setattr(model.opset_import[0], "version", 10**6),
        "no nodes": lambda model: model.graph.ClearField("node"),
    }
    for name, change in changes.items():
        yield Case(f"ONNX with {name}", "import", made(change))
    for name, data in {"random bytes": b"\x08\x09" * 99, "text": b"not a graph " * 9}.items():

        def plain(folder: Path, _: Path, data: bytes = data) -> Path:
            (folder / "model.onnx").write_bytes(data)
            return folder / "model.onnx"

        yield Case(f"ONNX of {name}", "import", plain)


def stray_cases() -> Iterator[Case]:
    """Files that a user may well point at."""
    for name, data in {
        "weights.pth": b"PK\x03\x04",
        "weights.pkl": pickle.dumps(1),
        "model.zip": b"PK\x05\x06" + bytes(18),
        "model.npz": b"",
        "model.keras": b"PK",
    }.items():

        def make(folder: Path, _: Path, name: str = name, data: bytes = data) -> Path:
            (folder / name).write_bytes(data)
            return folder / name

        yield Case(f"a lone {name}", "import", make)

    def device(folder: Path, _: Path) -> Path:
        bundle = monai_bundle(folder / "bundle")
        (bundle / "models" / "model.pt").unlink()
        (bundle / "models" / "model.pt").symlink_to("/dev/zero")
        return bundle

    yield Case("a bundle whose weights are /dev/zero", "import", device)
    yield Case("an empty folder", "import", lambda folder, _: folder)


def cases(bomb_bytes: int = 64 << 20) -> list[Case]:
    """All of them."""
    names = list(gadgets(Path("canary")))
    hidden = ["zip", "legacy", "raw", "swapped", "appended", "gz"]
    by_pickle = [
        _gadget_case(gadget, container, ("MONAI", "nnU-Net")[(i + j) % 2])
        for i, gadget in enumerate(names)
        for j, container in enumerate(hidden)
    ]
    return [
        *by_pickle,
        *weights_cases(bomb_bytes),
        *header_cases(),
        *own_cases(),
        *bundle_cases(),
        *plans_cases(),
        *onnx_cases(),
        *stray_cases(),
    ]
