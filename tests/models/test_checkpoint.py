"""A checkpoint is whole, ours and unchanged, or it is refused."""

from __future__ import annotations

import json
import random
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from napari_medseg.errors import ModelError, WriteError, one_line
from napari_medseg.models.build import build, network_of, weights_of
from napari_medseg.models.card import Lineage, read_card, recipe_of_text, recipe_text
from napari_medseg.models.checkpoint import load, save
from napari_medseg.models.config import Family, NetworkConfig
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.recipe import Denoise, Normalise, Recipe
from napari_medseg.volume import Label

SMALL = NetworkConfig(features=(2, 4), strides=((1, 1, 1), (2, 2, 2)), convs_per_stage=1)
RECIPE = Recipe(
    labels=(Label(1, "liver", "#aa0000"), Label(7, "tumour")),
    channels=("CT",),
    spacing_mm=(2.5, 1.0, 1.0),
    patch=(8, 16, 16),
    denoise=Denoise.MEDIAN,
    normalise=Normalise.CT_WINDOW,
    window=(-100.0, 250.0),
)
OURS = [family for family in Family if family.ours]


@pytest.fixture
def segmenter() -> Segmenter:
    torch.manual_seed(0)
    weights = weights_of(build(SMALL, 1, 3))
    lineage = Lineage(how="train", cases=3, scores={"liver": 0.9}, config={"lr": 0.001})
    return Segmenter("small", SMALL, weights, RECIPE, lineage)


@pytest.fixture
def path(segmenter: Segmenter, tmp_path: Path) -> Path:
    save(segmenter, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_a_segmenter_comes_back_as_it_was(segmenter: Segmenter, path: Path) -> None:
    back = load(path)
    assert (back.name, back.network, back.recipe, back.lineage) == (
        segmenter.name,
        segmenter.network,
        segmenter.recipe,
        segmenter.lineage,
    )
    assert all(torch.equal(back.weights[name], w) for name, w in segmenter.weights.items())


def test_a_loaded_network_gives_the_same_logits(segmenter: Segmenter, path: Path) -> None:
    batch = torch.randn(1, 1, 8, 16, 16)
    with torch.inference_mode():
        assert torch.equal(network_of(load(path))(batch), network_of(segmenter)(batch))


def test_a_recipe_of_before_there_was_a_coarse_look_allows_none() -> None:
    old = json.loads(recipe_text(replace(RECIPE, scout=2.0, borders=True)))
    del old["scout"], old["borders"]
    assert recipe_of_text(json.dumps(old)) == RECIPE


def test_what_a_coarse_look_may_do_comes_back(segmenter: Segmenter, path: Path) -> None:
    recipe = replace(RECIPE, scout=2.0, borders=True)
    save(replace(segmenter, recipe=recipe), path)
    assert read_card(path).recipe == recipe


def test_a_card_is_read_without_torch(path: Path) -> None:
    code = (
        "import sys; from napari_medseg.models.card import read_card; "
        f"card = read_card({str(path)!r}); assert card.name == 'small'; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_equal_weights_have_equal_versions_and_others_do_not(
    segmenter: Segmenter, path: Path, tmp_path: Path
) -> None:
    name, tensor = next(iter(segmenter.weights.items()))
    other = replace(segmenter, weights={**segmenter.weights, name: tensor + 1e-3})
    assert save(segmenter, tmp_path / "a.safetensors").version == read_card(path).version
    assert save(other, tmp_path / "b.safetensors").version != read_card(path).version


def test_every_flipped_bit_is_noticed(path: Path) -> None:
    whole, chance = path.read_bytes(), random.Random(0)
    for _ in range(300):
        position, bit = chance.randrange(len(whole)), chance.randrange(8)
        damaged = bytearray(whole)
        damaged[position] ^= 1 << bit
        path.write_bytes(bytes(damaged))
        with pytest.raises(ModelError):
            load(path)


@pytest.mark.parametrize("keep", [0, 5, 8, 100, -1])
def test_a_truncated_file_is_refused_in_one_line(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelError) as refusal:
        load(path)
    assert len(one_line(refusal.value)) <= 200
    assert "model.safetensors" in one_line(refusal.value)


def test_bare_weights_of_another_program_are_refused(segmenter: Segmenter, tmp_path: Path) -> None:
    save_file(dict(segmenter.weights), tmp_path / "bare.safetensors")
    with pytest.raises(ModelError, match="carry its recipe"):
        load(tmp_path / "bare.safetensors")


def test_a_header_that_names_a_thing_twice_is_refused(tmp_path: Path) -> None:
    header = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},' * 1
    header += b'"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    (tmp_path / "twice.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"x")
    with pytest.raises(ModelError, match="once"):
        read_card(tmp_path / "twice.safetensors")


def test_nan_weights_are_refused(segmenter: Segmenter, tmp_path: Path) -> None:
    name, tensor = next(iter(segmenter.weights.items()))
    sick = {**segmenter.weights, name: torch.full_like(tensor, torch.nan)}
    save(replace(segmenter, weights=sick), tmp_path / "nan.safetensors")
    with pytest.raises(ModelError, match="finite"):
        load(tmp_path / "nan.safetensors")


def test_weights_of_another_network_are_refused(segmenter: Segmenter, tmp_path: Path) -> None:
    wide = replace(SMALL, features=(2, 8))
    save(replace(segmenter, network=wide), tmp_path / "wide.safetensors")
    with pytest.raises(ModelError, match="must be"):
        load(tmp_path / "wide.safetensors")


def test_a_failed_save_leaves_the_old_file(segmenter: Segmenter, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here")
    with pytest.raises(WriteError):
        save(segmenter, tmp_path / "file" / "model.safetensors")
    assert (tmp_path / "file").read_text() == "here"


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("family", OURS)
def test_every_family_gives_logits_of_the_inputs_size(family: Family, dims: int) -> None:
    strides = ((1,) * dims, (2,) * dims, (2,) * dims)
    network = build(NetworkConfig(family, dims, (4, 8, 8), strides), 2, 5)
    assert network(torch.randn(1, 2, *(8,) * dims)).shape == (1, 5, *(8,) * dims)


@pytest.mark.parametrize("family", OURS)
def test_deep_supervision_gives_the_finest_logits_first(family: Family) -> None:
    network = build(NetworkConfig(family, 3, (4, 8, 8), ((1,) * 3, (2,) * 3, (2,) * 3)), 1, 2)
    network.deep_supervision = True
    assert [tuple(o.shape[2:]) for o in network(torch.randn(1, 1, 8, 8, 8))] == [
        (8, 8, 8),
        (4, 4, 4),
    ]


def test_thick_slices_are_first_convolved_in_the_plane() -> None:
    strides = ((1, 1, 1), (1, 2, 2), (2, 2, 2))
    config = NetworkConfig(features=(4, 8, 8), strides=strides)
    assert config.kernel_sizes == ((1, 3, 3), (3, 3, 3), (3, 3, 3))
    assert config.total_stride == (2, 4, 4)


@pytest.mark.parametrize(
    "wrong", [{"features": (1,) * 30}, {"strides": ((1, 1),)}, {"dims": 4}, {"features": (9**9, 4)}]
)
def test_a_network_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ModelError):
        replace(SMALL, **wrong)  # type: ignore[arg-type]


def test_a_description_of_the_wrong_kind_is_refused(path: Path) -> None:
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"]["medseg"] = json.dumps({"schema": "new"})
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
    with pytest.raises(ModelError):
        read_card(path)


@pytest.mark.parametrize(
    ("channel", "modality"),
    [
        *[("CT", "CT"), ("ct_venous", "CT"), ("MRI", "MR"), ("T1w", "MR"), ("PET", "PT")],
        *[("image", ""), ("contrast", ""), ("usual", ""), ("channel 0", ""), ("T10", "")],
    ],
)
def test_a_card_tells_the_modality_that_its_channel_names(
    path: Path, channel: str, modality: str
) -> None:
    card = read_card(path)
    assert replace(card, recipe=replace(RECIPE, channels=(channel,))).modality == modality
