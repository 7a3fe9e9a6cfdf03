from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from mednoisy.perturb.distortions import median_of_neighbours
from mednoisy.perturb.monai_transforms import (
    MedianOfNeighboursd,
    RandLocalEqualisationd,
    RandMotionBlurd,
    RandRadialDistortiond,
    RandViewd,
    chosen,
)
from mednoisy.perturb.strong_views import StrongView


def image() -> torch.Tensor:
    return torch.rand(3, 6, 7, generator=torch.Generator().manual_seed(0))


def test_the_random_state_decides_the_look():
    transform = RandViewd("image", StrongView(jitter=1.0))
    looks = [transform.set_random_state(seed=seed)({"image": image()})["image"] for seed in (1, 1, 2)]
    assert torch.equal(looks[0], looks[1])
    assert not torch.equal(looks[0], looks[2])


def test_a_state_gives_one_look_after_another():
    transform = RandViewd("image", StrongView(jitter=1.0)).set_random_state(seed=1)
    assert not torch.equal(transform({"image": image()})["image"], transform({"image": image()})["image"])


def test_only_named_images_change_and_never_in_place():
    item = {"image": image(), "label": torch.ones(1, 6, 7)}
    changed = RandViewd("image", StrongView(jitter=1.0)).set_random_state(seed=1)(item)
    assert torch.equal(item["image"], image())
    assert changed["label"] is item["label"]


def test_no_probability_is_no_change():
    transform = RandViewd("image", StrongView(jitter=0.0, blur=0.0)).set_random_state(seed=1)
    assert torch.equal(transform({"image": image()})["image"], image())


DISTORTIONS = (RandRadialDistortiond, RandMotionBlurd, RandLocalEqualisationd)


@pytest.mark.parametrize("kind", DISTORTIONS)
def test_the_random_state_decides_the_distortion(kind):
    transform = kind(["image"], prob=1.0)
    first, again, other = (transform.set_random_state(seed=s)({"image": image()})["image"] for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("kind", DISTORTIONS)
def test_a_distortion_of_no_probability(kind):
    assert torch.equal(kind(["image"], prob=0.0).set_random_state(seed=1)({"image": image()})["image"], image())


@pytest.mark.parametrize("kind", DISTORTIONS)
def test_distortions_keep_the_shape_and_give_plain_tensors(kind):
    item = {"image": MetaTensor(image()), "label": torch.ones(1, 6, 7)}
    changed = kind(["image"], prob=1.0).set_random_state(seed=1)(item)
    assert type(changed["image"]) is torch.Tensor
    assert changed["image"].shape == image().shape
    assert torch.equal(item["image"].as_tensor(), image())
    assert changed["label"] is item["label"]


def test_image_and_label_pass_the_same_lens():
    transform = RandRadialDistortiond(["image", "label"], prob=1.0, mode=["nearest", "nearest"])
    rows = torch.arange(40.0).expand(1, 40, 40)
    changed = transform.set_random_state(seed=3)({"image": rows, "label": rows})
    assert not torch.equal(changed["image"], rows)
    assert torch.equal(changed["image"], changed["label"])


def test_a_lens_passes_an_item_without_label():
    transform = RandRadialDistortiond(["image", "label"], prob=1.0, allow_missing_keys=True)
    assert transform.set_random_state(seed=3)({"image": image()}).keys() == {"image"}


def test_medians_of_an_item():
    changed = MedianOfNeighboursd("image")({"image": MetaTensor(image())})["image"]
    assert torch.equal(changed, median_of_neighbours(image()))


def test_a_transform_is_chosen_by_name():
    options = {"blur": RandMotionBlurd("image"), "none": None}
    assert chosen("blur", options) is options["blur"]
    assert torch.equal(chosen("none", options)({"image": image()})["image"], image())
    with pytest.raises(ValueError, match="there is no 'blurr' here; choose from blur, none"):
        chosen("blurr", options)
