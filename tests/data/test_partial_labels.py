"""What nobody looked at is one code of its own from the file to the batch, and tells itself by the labels' type."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from PIL import Image as Picture

from mednoisy.composition import compose, known
from mednoisy.data.cached_cases import CachedCases
from mednoisy.data.ignored_voxels import IGNORED, without_ignored
from mednoisy.data.images import write_nifti, write_picture
from mednoisy.data.load_case import LoadCased
from mednoisy.data.partial_labels import PARTIAL, known_codes
from mednoisy.data.resizing import ResizedInPlaned, SpacedInPlaned
from mednoisy.data.training_stream import TrainingStream
from mednoisy.data.volume_slices import Slices
from mednoisy.errors import UserError
from mednoisy.evaluation.overlap import dice_by_class

AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])


def codes(*shape: int, seed: int = 0) -> torch.Tensor:
    """Blocks of 0, 1, 2 and 3, uint8, with ragged edges."""
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    ramp = torch.linspace(0, 4, shape[-2])[:, None].expand(shape)
    return (ramp + noise - 0.5).clamp(0, 3.99).to(torch.uint8)


def exchanged(labels: torch.Tensor, old: int, new: int) -> torch.Tensor:
    return torch.where(labels == old, new, labels)


def test_known_codes_are_indices():
    labels = torch.tensor([[3, IGNORED, 0]], dtype=PARTIAL)
    plain, known_ = known_codes(labels)
    assert plain.dtype == torch.int64
    assert plain.tolist() == [[3, 0, 0]]
    assert known_.tolist() == [[True, False, True]]
    of_each = torch.tensor([[False, True, True]])
    assert known_codes(labels, of_each)[1].tolist() == [[False, False, True]]


def test_labels_without_ignored_voxels_are_taken_as_they_are():
    """No copy and no mask: what such a run computes is what it always did."""
    labels, where = torch.tensor([[3, 0]]), torch.tensor([True, False])
    assert known_codes(labels)[0] is labels
    assert known_codes(labels)[1] is None
    assert known_codes(labels, where)[1] is where


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.float32])
def test_labels_of_another_type_are_refused(dtype):
    with pytest.raises(TypeError, match=r"they must be torch.int64, or torch.int16 where some are ignored"):
        known_codes(torch.zeros(1, 2, dtype=dtype))


def test_partial_labels_are_no_indices():
    """A loss that does not know of them stops, instead of learning or reading beyond an array."""
    labels, logits = torch.full((1, 2), IGNORED, dtype=PARTIAL), torch.zeros(1, 3, 2)
    with pytest.raises(RuntimeError, match="Expected dtype int"):
        logits.clone().scatter_(1, labels[None], 1)
    with pytest.raises(RuntimeError, match="expected target dtype to be Long or Byte"):
        torch.nn.functional.cross_entropy(logits, labels)


def test_figures_are_those_of_known_voxels():
    """Hand-made: of 3 known voxels the reference has 2 of the class, the prediction 2, both 1: Dice 1/2."""
    reference, prediction = np.array([1, 1, 0, IGNORED, IGNORED]), np.array([1, 0, 1, 1, 0])
    assert dice_by_class(without_ignored(prediction, reference), reference, [1]) == [0.5]
    whole = np.array([1, 1, 0, 0, 1])
    assert without_ignored(prediction, whole) is prediction


@pytest.fixture
def case(tmp_path):
    image = np.random.default_rng(0).standard_normal((12, 16, 6))
    labels = codes(12, 16, 6).numpy().astype(np.int16)
    labels[..., 4:], labels[:3, :3] = 1000, 9
    write_nifti(tmp_path / "image.nii.gz", image, AFFINE)
    write_nifti(tmp_path / "label.nii.gz", labels, AFFINE)
    return {"id": "p7", "image": str(tmp_path / "image.nii.gz"), "label": str(tmp_path / "label.nii.gz")}


def test_every_ignored_code_is_loaded_as_one(case):
    """Also one that 8 bits could not hold."""
    label = LoadCased(codes=range(4))(case | {"ignore": "9 1000"})["label"]
    wanted = codes(12, 16, 6)
    wanted[..., 4:] = wanted[:3, :3] = IGNORED
    assert label.dtype == torch.uint8
    assert torch.equal(label.as_tensor()[0], wanted)


@pytest.mark.parametrize(("ignore", "found"), [("", "9, 1000"), ("9", "1000"), ("255", "9, 1000")])
def test_codes_that_are_not_declared_are_refused(case, ignore, found):
    with pytest.raises(UserError, match=rf"E206 case 'p7': .* holds {found}; known codes are 0, 1, 2, 3"):
        LoadCased(codes=range(4))(case | {"ignore": ignore})


def test_an_undeclared_255_is_refused_beside_a_declared_code(case, tmp_path):
    """The file's 255 is not what 255 means inside."""
    labels = np.zeros((12, 16, 6), np.uint8)
    labels[0], labels[1] = 255, 9
    write_nifti(case["label"], labels, AFFINE)
    with pytest.raises(UserError, match=r"E206 case 'p7': .* holds 255; known codes are 0, 1, 2, 3"):
        LoadCased(codes=range(4))(case | {"ignore": "9"})


def test_white_of_a_mask_is_a_class_beside_an_ignored_grey(tmp_path):
    mask = np.zeros((20, 30), np.uint8)
    mask[5:15, 5:15], mask[:, 20:] = 255, 128
    write_picture(tmp_path / "image.png", np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8))
    Picture.fromarray(mask).save(tmp_path / "label.png")
    item = {"id": "p7", "image": str(tmp_path / "image.png"), "label": str(tmp_path / "label.png"), "ignore": "128"}
    label = LoadCased(codes=(0, 1), axes=2, channels=3)(item)["label"][0].numpy()
    np.testing.assert_array_equal(label, np.select([mask == 255, mask == 128], [1, IGNORED], 0))


@pytest.mark.parametrize("transform", ["resized", "enlarged", "spaced", "slices"])
def test_resizing_treats_ignored_voxels_as_a_code_like_any_other(transform):
    """What becomes of 255 is what becomes of 3 in the same places."""
    shape = (1, 40, 56) if transform in ("resized", "enlarged") else (1, 40, 56, 3)
    labels = codes(40, 56, 3).movedim(-1, 0)[:1] if len(shape) == 3 else codes(1, 3, 40, 56).movedim(1, -1)
    change = {
        "resized": ResizedInPlaned(["image", "label"], [16, 21]),
        "enlarged": ResizedInPlaned(["image", "label"], [64, 80]),
        "spaced": SpacedInPlaned(["image", "label"], 1.7),
        "slices": ResizedInPlaned(["image", "label"], [16, 21, -1]),
    }[transform]

    def changed(labels: torch.Tensor) -> torch.Tensor:
        affine = torch.diag(torch.tensor([1.0, 1.0, 5.0, 1.0]))
        item = {"image": MetaTensor(torch.rand(shape), affine=affine), "label": MetaTensor(labels, affine=affine)}
        return change(item)["label"].as_tensor()

    marked = changed(exchanged(labels, 3, IGNORED))
    assert (marked == IGNORED).any()
    assert torch.equal(marked, exchanged(changed(labels), 3, IGNORED))


def spatial_chains() -> list:
    """The changes of geometry of every bundle under every recipe."""
    return [(bundle, recipe) for bundle in known("bundle") for recipe in known("recipe")]


@pytest.mark.parametrize(("bundle", "recipe"), spatial_chains())
def test_every_chain_treats_ignored_voxels_as_a_code_like_any_other(bundle, recipe):
    """Turns, flips, affine maps, bends: what becomes of 255 is what becomes of 3, each change happening for certain."""
    parser = ConfigParser()
    parser.read_config([str(path) for path in compose(bundle, "supervised", recipe).config_files])
    dimensions = len(parser.get_parsed_content("patch_size"))
    patch = (24, 24, 24)[:dimensions]
    parser["patch_size"] = list(patch)
    chain = parser.get_parsed_content("train#spatial")
    labels = torch.stack([codes(*patch, seed=seed) for seed in range(6)])
    images = torch.rand(6, 3 if dimensions == 2 else 1, *patch)
    for each in (chain, chain.certain()):
        drawn = [each.draw(np.random.default_rng(number), images.shape[1:]) for number in range(6)]
        marked = each.apply(images, exchanged(labels, 3, IGNORED), drawn)[1]
        assert marked.dtype == torch.uint8
        assert torch.equal(marked, exchanged(each.apply(images, labels, drawn)[1], 3, IGNORED))
        assert (marked == IGNORED).any()


def cached(slab: bool) -> CachedCases:
    """Two cases of 12 x 12 x 6; the second and its last three slices perhaps marked."""

    def load(case):
        labels = codes(12, 12, 6, seed=case["number"])
        if slab and case["number"]:
            labels[..., 3:] = IGNORED
        image = torch.rand(1, 12, 12, 6, generator=torch.Generator().manual_seed(case["number"]))
        return {"id": f"c{case['number']}", "image": MetaTensor(image), "label": labels[None]}

    return CachedCases([{"number": 0}, {"number": 1}], load)


def test_the_type_of_labels_says_whether_some_case_is_partly_labeled():
    """It is that of all batches of a run, whatever a batch itself holds; otherwise labels are int64 as ever."""
    for slab, dtype in ((True, PARTIAL), (False, torch.int64)):
        stream = TrainingStream(cached(slab), None, (8, 8, 4))
        batches = [stream.augmented(stream.batch("stage", step, 1, 0)) for step in range(12)]
        assert {batch.labels.dtype for batch in batches} == {dtype}
        assert {bool((batch.labels == IGNORED).any()) for batch in batches} == ({True, False} if slab else {False})


def test_slices_that_nobody_looked_at_are_not_drawn():
    slices = Slices(cached(slab=True))
    assert slices.partly_labeled
    wanted = [*(f"c0/{number}" for number in range(6)), "c1/0", "c1/1", "c1/2"]
    assert [slices[number]["id"] for number in range(len(slices))] == wanted
    assert len(Slices(cached(slab=False))) == 12
