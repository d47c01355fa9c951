from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian

from napari_medseg import io
from napari_medseg.errors import ReadError

Writer = Callable[..., Path]
HALF_LIFE_S = 6586.2  # of fluorine-18


def test_ct_becomes_hounsfield_units_in_int16(
    write_series: Writer, ramp: npt.NDArray[np.int16]
) -> None:
    volume = io.read(write_series(lambda z: {"RescaleSlope": 1, "RescaleIntercept": -1024}))
    np.testing.assert_array_equal(volume.array, ramp - 1024)
    assert (volume.unit, volume.array.dtype) == ("HU", np.int16)
    assert volume.window == (-160, 240)


def test_values_beyond_int16_do_not_wrap(write_series: Writer) -> None:
    low = np.full((5, 4), -32000, "<i2").tobytes()
    scale = {"RescaleSlope": 1, "RescaleIntercept": -1024, "PixelData": low}
    assert io.read(write_series(lambda z: scale)).array.min() == -33024


def test_every_slice_has_its_own_slope(write_series: Writer, ramp: npt.NDArray[np.int16]) -> None:
    def scale(z: int) -> dict[str, object]:
        return {"Modality": "PT", "RescaleSlope": z + 0.5, "RescaleIntercept": 0}

    slopes = np.arange(6)[:, None, None] + 0.5
    np.testing.assert_allclose(io.read(write_series(scale)).array, ramp * slopes, rtol=1e-6)


def test_a_slope_of_zero_does_not_flatten_the_picture(
    write_series: Writer, ramp: npt.NDArray[np.int16]
) -> None:
    volume = io.read(write_series(lambda z: {"RescaleSlope": 0, "RescaleIntercept": 0}))
    np.testing.assert_array_equal(volume.array, ramp)


def test_the_files_window_is_given_in_its_unit(write_series: Writer) -> None:
    folder = write_series(lambda z: {"WindowCenter": [40, 300], "WindowWidth": [400, 2000]})
    assert io.read(folder).window == (-160, 240)


def test_monochrome1_is_told_and_not_turned(
    write_series: Writer, ramp: npt.NDArray[np.int16]
) -> None:
    volume = io.read(write_series(lambda z: {"PhotometricInterpretation": "MONOCHROME1"}))
    assert volume.inverted
    np.testing.assert_array_equal(volume.array, ramp)


def pet(**tags: object) -> dict[str, object]:
    """70 kg, 350 MBq, injected one half-life before the scan."""
    tracer = Dataset()
    tracer.RadionuclideTotalDose, tracer.RadionuclideHalfLife = 350e6, HALF_LIFE_S
    tracer.RadiopharmaceuticalStartTime = "100000"
    usual: dict[str, object] = {
        "Modality": "PT",
        "Units": "BQML",
        "RescaleSlope": 100,
        "RescaleIntercept": 0,
        "PatientWeight": 70,
        "SeriesTime": "114946",
        "DecayCorrection": "START",
        "CorrectedImage": ["DECY", "ATTN"],
        "RadiopharmaceuticalInformationSequence": Sequence([tracer]),
    }
    return usual | tags


def test_pet_becomes_suv_by_body_weight(write_series: Writer, ramp: npt.NDArray[np.int16]) -> None:
    volume = io.read(write_series(lambda z: pet()))
    truth = ramp * 100.0 * 70_000 / (350e6 / 2)  # half of the dose is left
    assert volume.unit == "SUV"
    np.testing.assert_allclose(volume.array, truth, rtol=1e-4)


@pytest.mark.parametrize("lacking", ["PatientWeight", "SeriesTime"])
def test_pet_stays_activity_where_a_tag_is_missing(
    write_series: Writer, ramp: npt.NDArray[np.int16], lacking: str
) -> None:
    volume = io.read(write_series(lambda z: {k: v for k, v in pet().items() if k != lacking}))
    assert volume.unit == "Bq/ml"
    np.testing.assert_allclose(volume.array, ramp * 100)


def test_one_suv_factor_from_the_earliest_bed_serves_every_slice(
    write_series: Writer, ramp: npt.NDArray[np.int16]
) -> None:
    beds = ("121000", "115500", "114946")  # the last slices were scanned first

    def tags(z: int) -> dict[str, object]:
        return pet(SeriesTime="130000", AcquisitionTime=beds[z // 2], RescaleSlope=z + 1)

    slopes = np.arange(1, 7)[:, None, None]
    truth = ramp * slopes * 70_000 / (350e6 / 2)
    np.testing.assert_allclose(io.read(write_series(tags)).array, truth, rtol=1e-4)


@pytest.mark.parametrize("lacking", ["PatientWeight", "AcquisitionTime", "CorrectedImage"])
def test_one_file_without_a_tag_keeps_the_whole_pet_in_activity(
    write_series: Writer, ramp: npt.NDArray[np.int16], lacking: str
) -> None:
    def tags(z: int) -> dict[str, object]:
        whole = pet(AcquisitionTime="114946")
        return {k: v for k, v in whole.items() if z != 4 or k != lacking}

    volume = io.read(write_series(tags))
    assert volume.unit == "Bq/ml"
    np.testing.assert_allclose(volume.array, ramp * 100)


def test_an_absurd_half_life_is_not_made_suv(write_series: Writer) -> None:
    tags = pet()
    tags["RadiopharmaceuticalInformationSequence"][0].RadionuclideHalfLife = 1e-3  # type: ignore[index]
    assert io.read(write_series(lambda z: tags)).unit == "Bq/ml"


def test_uncorrected_pet_is_not_called_suv(write_series: Writer) -> None:
    assert io.read(write_series(lambda z: pet(CorrectedImage=["ATTN"]))).unit == "Bq/ml"


@pytest.mark.parametrize(
    "text", ["Chest of MUELLER", "seen 19520803", "K-0042 thorax", "Klinikum Nord CT"]
)
def test_a_description_that_names_the_patient_is_not_shown(write_series: Writer, text: str) -> None:
    who = {
        "PatientName": "Mueller^Anna",
        "PatientID": "K-0042",
        "PatientBirthDate": "19520803",
        "InstitutionName": "Klinikum Nord",
        "SeriesDescription": text,
    }
    volume = io.read(write_series(lambda z: who))
    assert volume.name == "CT 3"
    assert not any(word in repr(volume) for word in ("ueller", "K-0042", "1952", "Klinikum"))


def test_the_real_pet_agrees_with_its_published_suv(kit: Path) -> None:
    study = kit / "sts_dicom"
    truth = io.read(next((study / "expected_nifti").rglob("*PET*image.nii.gz")))
    ours = io.read(study / "STS_008" / "PET")
    assert ours.unit == "SUV"
    assert ours.array.max() == pytest.approx(truth.array.max(), rel=1e-3)


@pytest.mark.parametrize("name", ["emri_small.dcm", "emri_small_big_endian.dcm"])
def test_a_multi_frame_file_is_a_stack(kit: Path, name: str) -> None:
    folder = kit / "dicom_misc" / "pydicom"
    volume = io.read(folder / name)
    np.testing.assert_array_equal(volume.array, pydicom.dcmread(folder / name).pixel_array)


def test_an_enhanced_ct_has_its_frames_own_places(kit: Path) -> None:
    volume = io.read(kit / "dicom_misc" / "pydicom" / "eCT_Supplemental.dcm")
    assert volume.array.shape == (2, 512, 512)
    assert volume.geometry.spacing_mm == pytest.approx((10, 0.388672, 0.388672))


@pytest.mark.parametrize(
    "name", ["emri_small_jpeg_2k_lossless.dcm", "JLSL_16_15_1_1F.dcm", "OBXXXX1A_rle.dcm"]
)
def test_compressed_pixels_are_decoded_in_a_child(kit: Path, name: str) -> None:
    path = kit / "dicom_misc" / "pydicom" / name
    np.testing.assert_array_equal(
        io.read(path).array, np.atleast_3d(pydicom.dcmread(path).pixel_array.T).T
    )


def test_a_decoder_that_crashes_costs_one_file(kit: Path, tmp_path: Path) -> None:
    bad = bytearray((kit / "dicom_misc" / "pydicom" / "JLSL_16_15_1_1F.dcm").read_bytes())
    frame = bad.index(b"\xff\xf7")  # JPEG-LS start of frame: length, precision, height, width
    bad[frame + 7 : frame + 9] = b"\0\0"
    (tmp_path / "bad.dcm").write_bytes(bad)
    with pytest.raises(ReadError, match=r"bad\.dcm"):
        io.read(tmp_path / "bad.dcm")


def deflated(write_series: Writer) -> Path:
    """One slice, deflated as PS3.5 A.5 says."""
    path = write_series(heights_mm=(0,)) / "IM000"
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path)
    return path


def test_a_deflated_file_is_read(write_series: Writer, ramp: npt.NDArray[np.int16]) -> None:
    np.testing.assert_array_equal(io.read(deflated(write_series)).array, ramp[:1])


def test_a_deflate_bomb_is_refused_before_it_fills_the_memory(write_series: Writer) -> None:
    path = deflated(write_series)
    whole = path.read_bytes()
    start = 144 + int.from_bytes(whole[140:144], "little")  # behind the file meta information
    pack = zlib.compressobj(1, wbits=-15)
    zeros = b"".join(pack.compress(bytes(1 << 20)) for _ in range(300)) + pack.flush()
    path.write_bytes(whole[:start] + zeros)
    with pytest.raises(ReadError, match=r"IM000: .* unpack"):
        io.read(path)
