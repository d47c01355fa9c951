"""Each network gives what MONAI 1.6.1 itself gave for the same weights and the same input."""
# ruff: noqa: E501  a table

from __future__ import annotations

import zlib
from typing import Any

import pytest
import torch
from torch import nn

from napari_medseg.errors import ModelError
from napari_medseg.models.build import build
from napari_medseg.models.monai_network import network_of_bundle

# class, arguments, and of MONAI's answer: first, at a third, middle and last number, deviation
ANSWERS: dict[str, tuple[str, dict[str, Any], list[float]]] = {
    'UNet plain': ('UNet', {'spatial_dims': 3, 'in_channels': 1, 'out_channels': 2, 'channels': [4, 8, 16], 'strides': [2, 2]}, [-0.16053, 1.60986, -0.04397, -0.32426, 1.63147]),
    'UNet residual batch': ('UNet', {'spatial_dims': 3, 'in_channels': 1, 'out_channels': 2, 'channels': [4, 8, 16], 'strides': [2, 2], 'num_res_units': 2, 'norm': 'batch', 'dropout': 0.1}, [-9574.97363, 43271.30469, -9209.24219, -4676.67773, 90242.40625]),
    'UNet 2-D group': ('UNet', {'spatial_dims': 2, 'in_channels': 3, 'out_channels': 4, 'channels': [4, 8, 8], 'strides': [2, 2], 'num_res_units': 1, 'act': 'relu', 'norm': ['group', {'num_groups': 2}]}, [-0.43232, -0.31884, -0.15579, 0.21636, 1.98942]),
    'UNet thick': ('UNet', {'spatial_dims': 3, 'in_channels': 1, 'out_channels': 3, 'channels': [4, 8], 'strides': [[2, 2, 1]], 'kernel_size': [3, 3, 1], 'up_kernel_size': 3, 'bias': False, 'adn_ordering': 'AN'}, [-3.05652, -3.17958, 1.96179, 0.39072, 3.62258]),
    'BasicUNet': ('BasicUNet', {'spatial_dims': 2, 'features': [4, 4, 8, 8, 8, 6]}, [0.07886, -0.443, 0.30655, 0.19095, 0.29773]),
    'BasicUNet linear': ('BasicUNet', {'spatial_dims': 2, 'in_channels': 2, 'out_channels': 3, 'features': [4, 4, 8, 8, 8, 6], 'upsample': 'nontrainable', 'norm': 'batch', 'act': 'relu'}, [0.05342, 0.24815, 0.60732, 0.11146, 0.51742]),
    'DynUNet': ('DynUNet', {'spatial_dims': 3, 'in_channels': 1, 'out_channels': 3, 'kernel_size': [[3, 3, 1], [3, 3, 3], [3, 3, 3]], 'strides': [[1, 1, 1], [2, 2, 1], [2, 2, 2]], 'upsample_kernel_size': [[2, 2, 1], [2, 2, 2]], 'filters': [4, 8, 8], 'deep_supervision': False}, [-0.13372, -0.2137, -0.19704, -0.10136, 0.44502]),
    'DynUNet residual': ('DynUNet', {'spatial_dims': 2, 'in_channels': 2, 'out_channels': 3, 'kernel_size': [3, 3, 3], 'strides': [1, 2, 2], 'upsample_kernel_size': [2, 2], 'filters': [4, 8, 8], 'res_block': True, 'trans_bias': True, 'norm_name': 'batch', 'act_name': ['elu', {'alpha': 0.5}]}, [-0.23549, -0.10171, -0.16796, -0.07057, 0.16234]),
    'SegResNet': ('SegResNet', {'spatial_dims': 3, 'init_filters': 8, 'in_channels': 2, 'out_channels': 3, 'blocks_down': [1, 1, 2], 'blocks_up': [1, 1], 'dropout_prob': 0.2}, [0.09294, -0.08892, -0.09891, -0.20913, 0.1847]),
    'SegResNet deconv': ('SegResNet', {'spatial_dims': 2, 'init_filters': 8, 'blocks_down': [1, 1, 2], 'blocks_up': [1, 1], 'upsample_mode': 'deconv', 'norm': 'batch'}, [194.9879, 43.85792, 19.51085, -125.18593, 337.98935]),
}  # fmt: skip


def set_weights(network: nn.Module) -> None:
    """The weights that MONAI's network had: waves that begin where each name says."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            bare = name.removeprefix("encoder.")
            start = zlib.crc32(bare.encode()) % 97
            wave = 0.2 * torch.sin(
                torch.arange(parameter.numel(), dtype=torch.float64) * 0.7 + start
            )
            if parameter.ndim == 1 and name.endswith(("weight", "running_var")):
                wave = wave + 1
            parameter.copy_(wave.reshape(parameter.shape))


def image(channels: int, dims: int) -> torch.Tensor:
    wave = torch.cos(torch.arange(channels * 32**dims, dtype=torch.float64) * 0.31)
    return wave.reshape(1, channels, *[32] * dims).float()


@pytest.mark.parametrize("name", ANSWERS)
def test_a_network_answers_as_monai_does(name: str) -> None:
    kind, arguments, expected = ANSWERS[name]
    described = network_of_bundle(kind, arguments)
    network = build(described.config, described.in_channels, described.out_channels).eval()
    set_weights(network)
    with torch.inference_mode():
        answer = network(image(described.in_channels, described.config.dims)).flatten()
    third, middle = len(answer) // 3, len(answer) // 2
    got = [float(answer[i]) for i in (0, third, middle, -1)] + [float(answer.std())]
    assert got == pytest.approx(expected, abs=2e-4, rel=1e-4)


def test_statistics_of_batches_stay_as_they_were_learned() -> None:
    described = network_of_bundle(*ANSWERS["UNet residual batch"][:2])
    network = build(described.config, 1, 2).train()
    set_weights(network)
    before = {name: p.clone() for name, p in network.named_parameters() if "running" in name}
    network.requires_grad_(True)
    network(image(1, 3)).square().mean().backward()
    after = dict(network.named_parameters())
    assert before
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(after[name].grad is None for name in before)


@pytest.mark.parametrize(
    "wrong",
    [
        {"norm": ["batch", {"track_running_stats": False}]},
        {"norm": "layer"},
        {"act": "swish"},
        {"num_res_units": 99},
        {"kernel_size": 4},
        {"hook": 1},
        {"in_channels": True},
        {"channels": [4]},
        {"strides": [9]},
        {"adn_ordering": "XYZ"},
    ],
)
def test_what_is_not_understood_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ModelError):
        network_of_bundle("UNet", {**ANSWERS["UNet plain"][1], **wrong})


def test_another_network_is_refused_with_the_list() -> None:
    with pytest.raises(ModelError, match="UNet, BasicUNet, DynUNet, SegResNet, got ViT"):
        network_of_bundle("ViT", {})
