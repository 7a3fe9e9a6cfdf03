"""A fingerprint has the numbers that were put into the images, and nothing of whom they show."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from mednoisy.configure.fingerprint import _Seen, fingerprint
from mednoisy.configure.intensities import Sampler
from mednoisy.configure.modality import modality_of, named
from mednoisy.data.datalist import Datalist
from mednoisy.data.image import Image
from mednoisy.data.phantoms import make_dataset
from mednoisy.errors import UserError
from tests.configure.made import write_dataset


def of(folder):
    return fingerprint(Datalist.load(folder / "datalist.json"))


def block():
    """Zeros of 10 x 12 x 8 with a block of 4 x 6 x 4 of 100, and its label."""
    image, label = np.zeros((10, 12, 8), np.int16), np.zeros((10, 12, 8), np.uint8)
    image[3:7, 2:8, 0:4], label[3:7, 2:8, 0:4] = 100, 1
    return image, label


def test_sizes_spacings_and_foreground_are_those_of_the_files(tmp_path):
    """The block takes 96 of 960 voxels; it reaches 2, 4 and 4 voxels from the centre."""
    image, label = block()
    larger = np.zeros((20, 12, 8), np.int16)
    larger[0, 0, 0] = 7
    affine = np.diag([0.5, 0.75, 3.0, 1.0])
    found = of(write_dataset(tmp_path, {"a": (image, label), "b": (larger, None)}, affine))
    assert found.sizes == [[10, 12, 8], [20, 12, 8]]
    assert found.spacings == [[0.5, 0.75, 3.0]] * 2
    assert found.median_size == [15, 12, 8]
    assert found.median_extent == [7.5, 9, 24]
    assert (found.located, found.oriented, found.coarsest_last) == (True, True, 1.0)
    assert (found.labeled_cases, found.unlabeled_cases) == (1, 1)
    assert found.class_shares == [0.1]
    assert found.reach == [2, 6, 24]  # mm around the centre: 4 of 10 voxels, 8 of 12, all 8
    assert (found.foreground.low, found.foreground.high, found.foreground.deviation) == (100, 100, 0)
    assert (found.intensities.least, found.intensities.largest, found.intensities.whole) == (0, 100, True)


def test_axes_are_those_of_the_patient_however_a_file_stores_them(tmp_path):
    """Stored as slices first and turned: the fingerprint is that of the plain file."""
    image, label = block()
    affine = np.diag([1.0, 2.0, 4.0, 1.0])
    plain = of(write_dataset(tmp_path / "plain", {"a": (image, label)}, affine))
    (tmp_path / "turned").mkdir()
    for name, array in (("a", image), ("a-label", label)):
        stored = nibabel.Nifti1Image(array, affine)
        codes = nibabel.orientations.axcodes2ornt(("I", "P", "L"))
        turned = stored.as_reoriented(nibabel.orientations.ornt_transform(nibabel.io_orientation(affine), codes))
        nibabel.save(turned, tmp_path / "turned" / f"{name}.nii.gz")
    (tmp_path / "turned" / "datalist.json").write_bytes((tmp_path / "plain" / "datalist.json").read_bytes())
    found = of(tmp_path / "turned")
    assert found.sizes == plain.sizes == [[10, 12, 8]]
    assert found.spacings == plain.spacings == [[1.0, 2.0, 4.0]]
    assert found.reach == plain.reach
    assert (plain.coarsest_last, found.coarsest_last) == (1.0, 0.0)


def test_nothing_of_files_or_patients_is_in_its_text(tmp_path):
    image, label = block()
    found = of(write_dataset(tmp_path / "folder of Smith", {"Smith^John": (image, label), "Smith^Jane": (image, None)}))
    text = found.as_json()
    assert "mith" not in text
    assert "nii" not in text


@pytest.mark.parametrize("kind", ["lesion", "atrium"])
def test_phantoms(tmp_path, kind):
    make_dataset(tmp_path, kind, labeled=2, unlabeled=1, test=1)
    found = of(tmp_path)
    assert (len(found.sizes), found.labeled_cases, found.unlabeled_cases) == (3, 2, 1)
    if kind == "lesion":
        assert (found.pictures, found.axes, found.channels, found.modality) == (
            True,
            2,
            ["red", "green", "blue"],
            "RGB",
        )
    else:
        assert (found.pictures, found.median_size, found.median_spacing) == (False, [48, 48, 32], [2.5, 2.5, 2.5])


def test_labels_that_show_nothing_leave_no_foreground(tmp_path):
    image, label = block()
    found = of(write_dataset(tmp_path, {"a": (image, 0 * label)}))
    assert found.foreground is None
    assert found.class_shares == [0]


def test_an_unreadable_image_is_refused_by_its_case(tmp_path):
    image, label = block()
    write_dataset(tmp_path, {"a": (image, label), "b": (image, None)})
    (tmp_path / "b.nii.gz").write_bytes(b"no image")
    with pytest.raises(UserError, match="E202 case 'b'"):
        of(tmp_path)


def test_no_label_at_all_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"E383 .*datalist\.json has no labeled case"):
        of(write_dataset(tmp_path, {"a": (block()[0], None)}))


def test_other_channels_are_refused_by_their_case():
    def image(channels):
        return Image(np.zeros((4, 4, 4, channels)), np.eye(4), (1.0, 1.0, 1.0))

    seen = _Seen(classes=2)
    seen.add(image(2), None, "first")
    with pytest.raises(UserError, match="E384 case 'odd': its image has 4 channels, those before it have 2"):
        seen.add(image(4), None, "odd")


def test_pictures_and_volumes_together_are_refused(tmp_path):
    image, label = block()
    write_dataset(tmp_path, {"a": (image, label), "b": (image[..., 0] + np.eye(10, 12, dtype=np.int16), None)})
    with pytest.raises(UserError, match=r"E385 case 'b': .*has two axes and is no picture"):
        of(tmp_path)


@pytest.mark.parametrize(
    ("channel", "modality"),
    [("CT", "CT"), ("T1w MRI", "MR"), ("cine MRI", "MR"), ("t2_flair", "MR"), ("direct light", None), ("scan", None)],
)
def test_names_of_channels_tell_the_modality_by_whole_words(channel, modality):
    assert named(channel) == modality


@pytest.mark.parametrize(
    ("values", "modality"),
    [
        (np.arange(-1024, 1500), "CT"),
        (np.arange(0, 2500), "unknown"),
        (np.arange(-4096, 4096), "unknown"),  # a phase image
        (np.arange(-1024, 1500) / 1.5, "unknown"),
    ],
)
def test_intensities_tell_hounsfield_units(values, modality):
    sampler = Sampler()
    sampler.add(values)
    assert modality_of(["scan"], sampler.summary()) == modality


def test_channels_of_different_modalities_are_mixed():
    sampler = Sampler()
    sampler.add(np.arange(10))
    assert modality_of(["CT", "PET"], sampler.summary()) == "mixed"
    assert modality_of(["T1", "T2"], sampler.summary()) == "MR"


def test_every_image_weighs_the_same_in_percentiles():
    """A hundred thousand zeros and twenty thousand tens: the mean is 5."""
    sampler = Sampler()
    sampler.add(np.zeros(100_000))
    sampler.add(np.full(20_000, 10.0))
    assert sampler.summary().mean == 5
