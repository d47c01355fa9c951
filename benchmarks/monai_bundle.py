"""Imported MONAI bundles beside MONAI itself on the same scan, as a Markdown table.

    python benchmarks/monai_bundle.py PYTHON_WITH_MONAI [--out FILE]

PYTHON_WITH_MONAI makes each bundle with random weights, prepares the scan and predicts with MONAI's
own transforms and `SlidingWindowInferer`; we import the bundle and predict. One tile covers the
scan, so that only the network, the preparation and the way back to the scan's grid are compared:
random weights leave the two labels so close that any other tiling shows.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

SAMPLES = Path(__file__).parents[1] / "sample_data"
BATCH = {"norm": "batch"}
NETS: dict[str, dict[str, Any]] = {
    "UNet": {"channels": [8, 16, 32], "strides": [2, 2], "num_res_units": 2, **BATCH},
    "BasicUNet": {"features": [8, 8, 16, 16, 32, 8]},
    "DynUNet": {
        "kernel_size": [3, 3, 3],
        "strides": [1, 2, 2],
        "upsample_kernel_size": [2, 2],
        "filters": [8, 16, 32],
        "res_block": True,
    },
    "SegResNet": {"blocks_down": [1, 2, 2], "blocks_up": [1, 1]},
}
HU = {"_target_": "ScaleIntensityRanged", "a_min": -200, "a_max": 300, "b_min": 0, "b_max": 1}
SCANS: dict[str, dict[str, Any]] = {
    "chest_ct": {**HU, "clip": True},
    "brain_mr": {"_target_": "NormalizeIntensityd", "nonzero": True, "channel_wise": True},
}
GRID = (64, 64, 32)  # X, Y, Z: one tile


def configuration(name: str, scan: str) -> dict[str, Any]:
    """inference.json of a bundle whose one tile is the whole scan."""
    import nibabel as nib

    header = nib.load(SAMPLES / f"{scan}.nii.gz").header
    sizes = zip(header.get_data_shape(), header.get_zooms(), GRID, strict=True)
    pixdim = [float((n - 1) * mm / (wanted - 1)) for n, mm, wanted in sizes]
    keys = {"keys": "image"}
    steps = [
        {"_target_": "LoadImaged", **keys},
        {"_target_": "EnsureChannelFirstd", **keys},
        {"_target_": "Orientationd", "axcodes": "RAS", **keys},
        {"_target_": "Spacingd", "pixdim": pixdim, "mode": "bilinear", **keys},
        {**SCANS[scan], **keys},
    ]
    ends = {"spatial_dims": 3, "in_channels": 1, "out_channels": 3}
    return {
        "network_def": {"_target_": name, **ends, **NETS[name]},
        "preprocessing": {"_target_": "Compose", "transforms": steps},
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": list(GRID), "overlap": 0.5},
    }


def peer(folder: Path, image: str) -> None:
    """MONAI's side: random weights, its own tensor and mask."""
    import torch
    from monai.bundle import ConfigParser
    from monai.data import MetaTensor
    from monai.transforms import Invertd

    parser = ConfigParser(json.loads((folder / "configs" / "inference.json").read_text()))
    torch.manual_seed(0)
    network, before = (parser.get_parsed_content(n) for n in ("network_def", "preprocessing"))
    network.eval()
    (folder / "models").mkdir()
    torch.save(network.state_dict(), folder / "models" / "model.pt")
    data = before({"image": image})
    with torch.inference_mode():
        scores = parser.get_parsed_content("inferer")(data["image"][None].as_tensor(), network)[0]
    data["pred"] = MetaTensor(scores, affine=data["image"].affine)
    back = Invertd(keys="pred", transform=before, orig_keys="image", nearest_interp=False)
    labels = back(data)["pred"].argmax(0).numpy().astype(np.uint8)
    np.savez(folder / "peer.npz", tensor=np.asarray(data["image"]), labels=labels)


def compared(python: str, folder: Path, name: str, scan: str) -> str:
    """A row of the table."""
    from napari_medseg.inference.config import EngineName, Mode, PredictConfig
    from napari_medseg.inference.predict import predict
    from napari_medseg.io import read
    from napari_medseg.jobs import finish
    from napari_medseg.models.foreign import import_model
    from napari_medseg.preprocess.prepare import prepare

    path = SAMPLES / f"{scan}.nii.gz"
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "inference.json").write_text(json.dumps(configuration(name, scan)))
    subprocess.run([python, "-W", "ignore", __file__, "peer", folder, path], check=True)
    theirs = np.load(folder / "peer.npz", allow_pickle=False)
    segmenter, volume = import_model(folder), read(path)
    tensor = prepare(volume, segmenter.recipe).tensor.numpy()
    config = PredictConfig(device="cpu", engine=EngineName.TORCH, mode=Mode.FULL)
    ours = finish(predict(volume, segmenter, config)).mask.labels
    other = theirs["labels"].T
    far = float(np.abs(tensor - theirs["tensor"]).max())
    dice = np.nanmean([_dice(ours == n, other == n) for n in (1, 2)])
    same = float((ours == other).mean())
    return f"| {name} | {scan} | {far:.1e} | {same:.6f} | {dice:.6f} |"


def _dice(a: np.ndarray, b: np.ndarray) -> float:  # type: ignore[type-arg]
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero(a & b) / total if total else float("nan")


def main() -> int:
    """Print the table."""
    if sys.argv[1] == "peer":
        peer(Path(sys.argv[2]), sys.argv[3])
        return 0
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("python")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    version = subprocess.run(
        [options.python, "-W", "ignore", "-c", "import monai; print(monai.__version__)"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    lines = [
        "# Imported MONAI bundles beside MONAI",
        "",
        f"{datetime.now(UTC).date()}, MONAI {version}, CPU, float32, random weights; one tile.",
        "",
        "| network | scan | prepared scan, largest difference | equal labels | Dice, mean |",
        "|---|---|--:|--:|--:|",
    ]
    with tempfile.TemporaryDirectory() as name:
        for net in NETS:
            for scan in SCANS:
                lines.append(compared(options.python, Path(name) / f"{net}-{scan}", net, scan))
    text = "\n".join(lines) + "\n"
    if options.out:
        options.out.write_text(text)
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
