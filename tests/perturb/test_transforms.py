from __future__ import annotations

import torch

from mednoisy.perturb.transforms import RandViewd
from mednoisy.perturb.views import StrongView


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
