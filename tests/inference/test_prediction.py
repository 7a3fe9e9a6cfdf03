"""A planted network's label map comes back on the grid of the file, whatever preprocessing did to the image."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import (
    Compose,
    CropForegroundd,
    Lambdad,
    NormalizeIntensityd,
    Orientationd,
    Spacingd,
    SpatialPadd,
    ToTensord,
)
from PIL import Image
from scipy.spatial.transform import Rotation
from torch import nn

from mednoisy.data.images import write_picture
from mednoisy.data.label_maps import read_label_map
from mednoisy.data.load_case import LoadCased
from mednoisy.errors import UserError
from mednoisy.evaluation.prediction_pairs import on_grid_of
from mednoisy.inference.label_map_files import label_file, write_labels
from mednoisy.inference.prediction import predict_case, predict_files, to_source_grid
from mednoisy.inference.sliding_window import SlidingWindow
from mednoisy.networks.ensemble import MeanEnsemble

SHAPE, SPACING, RADIUS_MM = (44, 40, 15), (0.9, 1.1, 3.0), 13.0
WINDOW = SlidingWindow((32, 32, 16), (24, 24, 12))


class Threshold(nn.Module):
    """Class 1 where the image is above a level."""

    def __init__(self, level: float):
        super().__init__()
        self.level = level

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.zeros_like(image), 4 * (image - self.level)], dim=1)


@pytest.fixture
def source(tmp_path) -> nibabel.Nifti1Image:
    """A ball 13 mm in radius, brightness falling from its centre, on an anisotropic grid turned about two axes.

    The image falls by 1 a millimetre, so 0 is the ball's surface.
    """
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xz", [20, 115], degrees=True).as_matrix() @ np.diag(SPACING)
    affine[:3, 3] = (-37.0, 12.5, 88.0)
    voxels = np.stack(np.meshgrid(*(np.arange(size) for size in SHAPE), indexing="ij"), axis=-1)
    from_centre = (voxels - (np.array(SHAPE) - 1) / 2) * SPACING
    image = nibabel.Nifti1Image((RADIUS_MM - np.linalg.norm(from_centre, axis=-1)).astype(np.float32), affine)
    nibabel.save(image, tmp_path / "ball.nii.gz")
    return image


def case(tmp_path) -> dict[str, str]:
    return {"id": "case 7", "image": str(tmp_path / "ball.nii.gz")}


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


CHAINS = {
    "nothing": [],
    "spacing": [Spacingd("image", 1.5)],
    "finer": [Spacingd("image", 0.8)],
    "everything": [
        Orientationd("image", "LPS", labels=None),
        Spacingd("image", (1.5, 1.2, 1.8)),
        CropForegroundd("image", "image", select_fn=lambda x: x > -2, allow_smaller=False),
        SpatialPadd("image", (48, 48, 48), constant_values=-20),
    ],
}


@pytest.mark.parametrize("chain", CHAINS)
def test_planted_mask_comes_back_on_the_source_grid(source, tmp_path, chain):
    expected = source.get_fdata() > 0
    preprocessing = Compose([LoadCased("image"), *CHAINS[chain]])
    predictors = {"student": Threshold(0.0)}
    paths = predict_files([case(tmp_path)], predictors, preprocessing, WINDOW, tmp_path / "out")
    assert paths == {"case 7": {"student": tmp_path / "out" / "student" / "case 7.nii.gz"}}
    written = nibabel.load(paths["case 7"]["student"])
    assert written.shape == SHAPE
    assert written.get_data_dtype() == np.uint8
    np.testing.assert_allclose(written.affine, source.affine, atol=1e-5)
    np.testing.assert_allclose(written.header.get_zooms(), SPACING, rtol=1e-5)
    found = np.asarray(written.dataobj) == 1
    assert dice(found, expected) > 0.97
    if chain == "nothing":
        assert (found == expected).all()
    assert sorted(path.name for path in (tmp_path / "out" / "student").iterdir()) == ["case 7.nii.gz"]


def test_linear_scores_come_back_exactly(source, tmp_path):
    """Where scores are linear in position, so is their interpolation: a round trip leaves them as they were."""
    preprocessing = Compose([LoadCased("image"), Spacingd("image", 1.0)])
    image = preprocessing(case(tmp_path))["image"]

    def slope(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        voxels = np.stack([*np.meshgrid(*(np.arange(size) for size in shape), indexing="ij"), np.ones(shape)])
        return np.tensordot(affine[:3], voxels, axes=1)  # the position in millimetres, three channels

    scores = torch.from_numpy(slope(image.affine.numpy(), image.shape[1:])).float()
    inner = (slice(None), *(slice(2, -2),) * 3)
    found = to_source_grid(scores, image, preprocessing).numpy()[inner]
    np.testing.assert_allclose(found, slope(source.affine, SHAPE)[inner], atol=1e-3)


def test_the_probability_of_the_chosen_class_comes_back_with_it(source, tmp_path):
    """Where nothing is resampled it is the sigmoid of the distance from the decision; none unless asked for."""

    class Certain(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.cat([torch.zeros_like(image), image], dim=1)

    arguments = (case(tmp_path), {"a": Certain()}, Compose([LoadCased("image")]), WINDOW)
    assert predict_case(*arguments).confidence == {}
    found = predict_case(*arguments, confidence=True)
    assert found.confidence["a"].dtype == np.float32
    np.testing.assert_allclose(found.confidence["a"], 1 / (1 + np.exp(-np.abs(source.get_fdata()))), atol=1e-6)
    crop = CropForegroundd("image", "image", select_fn=lambda x: x > 0, allow_smaller=False)
    cropped = predict_case(*arguments[:2], Compose([LoadCased("image"), crop]), WINDOW, confidence=True)
    assert cropped.confidence["a"][0, 0, 0] == 0


def test_what_was_cropped_away_is_background(source, tmp_path):
    """Even for a network that sees class 1 everywhere."""
    crop = CropForegroundd("image", "image", select_fn=lambda x: x > 0, allow_smaller=False)
    prediction = predict_case(case(tmp_path), {"a": Threshold(-99.0)}, Compose([LoadCased("image"), crop]), WINDOW)
    inside = np.nonzero(source.get_fdata() > 0)
    box = tuple(slice(axis.min(), axis.max() + 1) for axis in inside)
    assert prediction.labels["a"][box].all()
    assert prediction.labels["a"].sum() == prediction.labels["a"][box].size


@pytest.mark.parametrize("spacing", [0.7, 1.5, 4.0])
def test_resampling_loses_no_border(source, tmp_path, spacing):
    preprocessing = Compose([LoadCased("image"), Spacingd("image", spacing)])
    assert predict_case(case(tmp_path), {"a": Threshold(-99.0)}, preprocessing, WINDOW).labels["a"].all()


def test_a_colour_picture_is_predicted_on_its_pixels(tmp_path):
    class Red(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image[:, [2, 0]]

    pixels = np.zeros((30, 40, 3), np.uint8)
    pixels[5:20, 10:32, 0] = 200
    Image.fromarray(pixels).save(tmp_path / "skin.png")
    preprocessing = Compose([LoadCased("image"), SpatialPadd("image", (48, 48))])
    found = predict_case(tmp_path / "skin.png", {"a": Red()}, preprocessing, SlidingWindow((32, 32), (16, 16)))
    assert (found.labels["a"] == (pixels[..., 0] > 0)).all()


def test_all_predictors_from_one_call(source, tmp_path):
    narrow, wide = Threshold(2.0), Threshold(-2.0)
    predictors = {"mean": MeanEnsemble([narrow, wide]), "narrow": narrow, "wide": wide}
    found = predict_case(tmp_path / "ball.nii.gz", predictors, Compose([LoadCased("image")]), WINDOW)
    image = source.get_fdata()
    for name, level in {"narrow": 2.0, "wide": -2.0, "mean": 0.0}.items():
        assert found.labels[name].dtype == np.uint8
        assert (found.labels[name] == (image > level)).all()
    np.testing.assert_allclose(found.affine, source.affine, atol=1e-5)


def test_networks_predict_in_evaluation_mode_and_keep_their_own(source, tmp_path):
    class Asking(Threshold):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            assert not self.training
            return super().forward(image)

    network = Asking(0.0).train()
    predict_case(case(tmp_path), {"a": network}, Compose([LoadCased("image")]), WINDOW)
    assert network.training


def test_a_label_is_never_read(source, tmp_path):
    labeled = case(tmp_path) | {"label": str(tmp_path / "absent.nii.gz")}
    predict_case(labeled, {"a": Threshold(0.0)}, Compose([LoadCased(("image", "label"))]), WINDOW)


def test_an_unreadable_case_is_named_and_nothing_is_left(source, tmp_path):
    (tmp_path / "damaged.nii.gz").write_bytes(b"nothing")
    cases = [{"id": "p031", "image": str(tmp_path / "damaged.nii.gz")}]
    preprocessing = Compose([LoadCased("image"), NormalizeIntensityd("image")])
    with pytest.raises(UserError, match=r"^E202 case 'p031': ") as caught:
        predict_files(cases, {"a": Threshold(0.0)}, preprocessing, WINDOW, tmp_path / "out")
    assert caught.value.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_two_cases_of_one_id_are_refused_before_any_is_predicted(source, tmp_path):
    with pytest.raises(UserError, match=r"^E207 case 'case 7': several cases have this id"):
        predict_files(
            [case(tmp_path)] * 2, {"a": Threshold(0.0)}, Compose([LoadCased("image")]), WINDOW, tmp_path / "out"
        )
    assert not (tmp_path / "out").exists()


def test_lost_geometry_is_refused(source, tmp_path):
    plain = Compose([LoadCased("image"), ToTensord("image", track_meta=False)])
    with pytest.raises(ValueError, match="plain tensor; the source's geometry is needed"):
        predict_case(case(tmp_path), {"a": Threshold(0.0)}, plain, WINDOW)
    with pytest.raises(ValueError, match="lacks \\['original_affine', 'spatial_shape'\\]"):
        to_source_grid(torch.zeros(2, 4, 4, 4), MetaTensor(torch.zeros(1, 4, 4, 4)), plain)


def test_preprocessing_that_cannot_be_undone_is_refused(source, tmp_path):
    halved = Compose([LoadCased("image"), Lambdad("image", lambda image: image[:, ::2], track_meta=False)])
    with pytest.raises(ValueError, match=r"cannot be undone: it leads back to \(22, 40, 15\) voxels, not to"):
        predict_case(case(tmp_path), {"a": Threshold(0.0)}, halved, WINDOW)


def test_a_fault_of_a_transform_stays_itself(source, tmp_path):
    def broken(image):
        raise IndexError("our own mistake")

    preprocessing = Compose([LoadCased("image"), Lambdad("image", broken)])
    with pytest.raises(RuntimeError, match="applying transform"):
        predict_case(case(tmp_path), {"a": Threshold(0.0)}, preprocessing, WINDOW)


def test_a_picture_s_labels_come_back_on_its_grid(tmp_path):
    """Square and asymmetric, so that exchanged axes would pass every check of sizes."""
    labels = np.zeros((16, 16), np.uint8)
    labels[2:5, 1:12] = 1
    write_picture(tmp_path / "reference.png", labels.astype(bool))
    path = label_file(tmp_path, "prediction", tmp_path / "image.jpg")
    write_labels(path, labels, np.eye(4))
    reference = read_label_map(tmp_path / "reference.png").image
    prediction = read_label_map(path).image
    compared, _ = on_grid_of(prediction, reference)
    np.testing.assert_array_equal(compared, reference.array)
