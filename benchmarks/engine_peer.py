"""MONAI's and nnU-Net's sliding windows on a tensor that `engine.py` prepared; run by it.

Needs an environment with torch, monai, nnunetv2 and dynamic-network-architectures; nothing of
napari-medseg.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import numpy as np

warnings.filterwarnings("ignore")
for one in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
    os.environ.setdefault(one, ".")

import torch  # noqa: E402


class Null(torch.nn.Module):
    """Gives a ready answer: what is left is the engine's own work."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs, self.ready = outputs, {}

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        shape = tuple(batch.shape[2:])
        if shape not in self.ready:
            generator = torch.Generator().manual_seed(0)
            logits = torch.randn(1, self.outputs, *shape, generator=generator)
            self.ready[shape] = logits.to(batch.device)
        return self.ready[shape].clone()


def network(work: Path, features: list[int], outputs: int) -> torch.nn.Module:
    if not features:
        return Null(outputs)
    from dynamic_network_architectures.architectures.unet import PlainConvUNet

    n = len(features)
    net = PlainConvUNet(
        1, n, features, torch.nn.Conv3d, [[3, 3, 3]] * n, [[1] * 3] + [[2] * 3] * (n - 1), 2,
        outputs, 2, conv_bias=True, norm_op=torch.nn.InstanceNorm3d,
        norm_op_kwargs={"eps": 1e-5, "affine": True}, nonlin=torch.nn.LeakyReLU,
        nonlin_kwargs={"inplace": True}, deep_supervision=False,
    )  # fmt: skip
    net.load_state_dict(torch.load(work / "weights.pt", weights_only=True), strict=False)
    return net.eval()


def nnunet(
    net: torch.nn.Module, patch: tuple[int, ...], outputs: int, device: torch.device
) -> object:
    """nnU-Net's predictor around a network, without mirroring."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(
        tile_step_size=0.5, use_gaussian=True, use_mirroring=False,
        perform_everything_on_device=device.type != "cpu", device=device, verbose=False,
        allow_tqdm=False,
    )  # fmt: skip

    predictor.network = net.to(device)
    predictor.configuration_manager = SimpleNamespace(patch_size=list(patch))
    predictor.label_manager = SimpleNamespace(num_segmentation_heads=outputs)
    predictor.allowed_mirroring_axes = None
    return predictor


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("engine", choices=["monai", "nnunet"])
    parser.add_argument("work", type=Path)
    parser.add_argument("--features", default="")
    parser.add_argument("--outputs", type=int, required=True)
    parser.add_argument("--patch", default="128,128,128")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    device = torch.device(args.device)
    patch = tuple(int(n) for n in args.patch.split(","))
    net = network(args.work, [int(n) for n in args.features.split(",") if n], args.outputs)
    tensor = torch.from_numpy(np.load(args.work / "tensor.npy"))
    net.to(device)
    if args.engine == "monai":
        from monai.inferers import sliding_window_inference

        def run() -> torch.Tensor:
            return sliding_window_inference(
                tensor[None].to(device), patch, 1, net, overlap=0.5, mode="gaussian"
            )[0].argmax(0)
    else:
        predictor = nnunet(net, patch, args.outputs, device)

        def run() -> torch.Tensor:
            return predictor.predict_sliding_window_return_logits(tensor).argmax(0)

    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), time.process_time()
    with torch.inference_mode():
        labels = run().to(torch.uint8).cpu().numpy()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    np.save(args.work / f"{args.engine}.npy", labels)
    name = {"monai": "monai", "nnunet": "nnunetv2"}[args.engine]
    found = {"wall": wall, "cpu": cpu, "peak_gb": peak / 1e6, "base_gb": base / 1e6}
    sys.stdout.write(json.dumps({**found, "version": f"{name} {version(name)}"}) + "\n")


if __name__ == "__main__":
    main()
