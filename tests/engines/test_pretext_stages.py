"""A pretext before a method: what it reads, what it hands over, and that a killed run goes on bit for bit."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from mednoisy.data.stream_loader import StreamLoader
from mednoisy.engines import checkpoint
from mednoisy.engines.learning_rates import Constant
from mednoisy.engines.pretext_stages import pretext_stage, start_from_run, weights_of_run, with_pretext
from mednoisy.engines.stages import Stage, completed, plan_of, students_of
from mednoisy.errors import UserError
from mednoisy.methods.contrastive import Contrastive
from mednoisy.methods.cps import CrossPseudoSupervision
from mednoisy.methods.masked_autoencoding import MaskedAutoencoding
from mednoisy.methods.restoration import Restoration
from mednoisy.methods.sdcl import SDCL
from mednoisy.methods.supervised import Supervised
from mednoisy.networks.vnet import ResVNet, VNet
from mednoisy.perturb import Flip, Gamma, Geometry, Intensity
from tests.engines.small import At, assert_same, kept, small_stream, small_trainer
from tests.engines.test_resume import Killed, kill

PRETEXTS: dict[str, Any] = {
    "restoration": Restoration,
    "masked_autoencoding": MaskedAutoencoding,
    "contrastive": partial(Contrastive, width=8),
}
ADAM = partial(torch.optim.Adam, lr=0.01)


def vnet(seed: int = 0, width: int = 2) -> VNet:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return VNet(3, 1, 2, width=width, norm="batch", convolutions=(1, 1))


def residual(seed: int = 0) -> ResVNet:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return ResVNet(3, 1, 2, width=2, norm="batch", blocks=(1,), convolutions=(1,), stem_kernel=3)


def complete(stages: list[Stage], pretext: str = "restoration", steps: int = 4, total: int = 12) -> list[Stage]:
    return completed(with_pretext(stages, pretext, PRETEXTS, 3, steps, total), ADAM, Constant())


def two_students(pretext: str = "restoration") -> list[Stage]:
    """A pretext, then SDCL's second stage with both of its networks."""
    a, b = vnet(1), residual(2)
    return complete([Stage("selftraining", partial(SDCL, a, b), 1, ADAM, labeled=2, unlabeled=2)], pretext)


def fresh_networks(pretext: str = "restoration") -> list[Stage]:
    """Two stages that each train a network of their own, as a noisy student does."""
    first, second = vnet(1), vnet(1)
    return complete(
        [
            Stage("teacher", partial(Supervised, first), 1, ADAM, labeled=2),
            Stage("student1", partial(Supervised, second), 1, ADAM, labeled=2),
        ],
        pretext,
    )


def run(folder: Path, stages: list[Stage], **options: Any) -> None:
    trainer = small_trainer(folder, stages, **options)
    try:
        trainer.run()
    finally:
        trainer.run_folder.close()


def initial(stages: list[Stage]) -> list[dict[str, torch.Tensor]]:
    return [{key: value.clone() for key, value in network.state_dict().items()} for network in students_of(stages)]


# 12 steps, the pretext's 4, saved after 3, 4, 6, 9, 12, and after each validation (of stages with predictors).
@pytest.mark.parametrize("make", [two_students, fresh_networks])
@pytest.mark.parametrize("step", [2, 4, 5, 8, 9, 11])
def test_a_killed_run_goes_on_bit_for_bit_across_the_boundary(tmp_path, make, step):
    """Also in a stage whose network no checkpoint of the stage before holds."""
    run(tmp_path / "whole", make())
    with pytest.raises(Killed):
        run(tmp_path / "killed", make(), handlers=[At(step, kill)])
    run(tmp_path / "killed", make(), resume=True)
    assert_same(kept(tmp_path / "killed"), kept(tmp_path / "whole"))


@pytest.mark.parametrize("pretext", PRETEXTS)
def test_later_networks_begin_with_the_encoder_and_their_own_decoder(tmp_path, pretext):
    """At learning rate 0 after the pretext, each ends with the encoder of its kind; the log has one line of counts."""
    stages = two_students(pretext)
    before = initial(stages)
    still = partial(torch.optim.SGD, lr=0.0)
    stages = [stages[0], Stage("selftraining", stages[1].method, stages[1].share, still, labeled=2, unlabeled=2)]
    run(tmp_path / "run", stages, validate_every=None)
    content = checkpoint.load(tmp_path / "run" / "checkpoints" / f"pretext_{pretext}.pt")
    assert (content["step"], content["stage"], list(content["students"])) == (4, pretext, ["a", "b"])
    learned = 0
    for name, network, start in zip("ab", students_of(stages), before, strict=True):
        for key, value in network.state_dict().items():
            trained = content["students"][name].get(key)
            if key.endswith(("running_mean", "running_var", "num_batches_tracked")):
                continue  # go on moving
            if key.startswith("encoder."):
                assert torch.equal(value, trained), key
                learned += not torch.equal(value, start[key])
            else:
                assert torch.equal(value, start[key]), key
    assert learned > 10
    lines = [line for line in (tmp_path / "run" / "log.txt").read_text().splitlines() if "hands over" in line]
    assert len(lines) == 1
    assert f"pretext {pretext} hands over its encoder: a 18 of 18 entries (" in lines[0]
    assert "; b " in lines[0]


def test_the_pretext_reads_all_images_and_no_label():
    loader = StreamLoader(small_stream(labeled=2, unlabeled=3)).with_all_images()
    batches = list(loader.steps("restoration", range(2), 0, 5))
    for batch in batches:
        assert sorted(batch.unlabeled_ids) == ["p0", "p1", "p50", "p51", "p52"]
        assert (len(batch.labeled), len(batch.labels), len(batch.unlabeled)) == (0, 0, 5)
    assert batches[0].unlabeled_ids != batches[1].unlabeled_ids
    assert all("label" not in loader.stream.unlabeled[index] for index in range(5))


def test_augmentation_of_a_pretexts_batch_is_that_of_its_images():
    chain = {"spatial": Geometry([Flip(probability=1.0)]), "intensity": Intensity([Gamma(probability=1.0)])}
    loader = StreamLoader(small_stream(labeled=1, unlabeled=2, **chain)).with_all_images()
    batch = next(loader.steps("restoration", range(1), 0, 3))
    changed = loader.stream.augmented(batch)
    assert changed.unlabeled_weak.shape == batch.unlabeled.shape
    assert not torch.equal(changed.unlabeled_weak, batch.unlabeled)
    assert not torch.equal(changed.unlabeled_weak, changed.unlabeled)
    assert changed.labels.dtype == torch.int64


def test_networks_of_one_kind_are_trained_once():
    """Cross pseudo supervision has two of a kind, SDCL one of each."""
    twins = [Stage("training", partial(CrossPseudoSupervision, vnet(1), vnet(2)), labeled=2, unlabeled=2)]
    assert len(students_of(twins)) == 2
    assert len(complete(twins)[0].method().students) == 1
    assert list(two_students()[0].method().students) == ["a", "b"]
    wider = [Stage(f"s{width}", partial(Supervised, vnet(1, width)), labeled=2) for width in (2, 3)]
    assert list(complete(wider)[0].method().students) == ["student", "student_s3"]


@pytest.mark.parametrize("steps", [1, 3, 5, 10])
def test_the_pretext_has_its_steps_and_the_others_their_ratio(steps):
    """Of 12 steps; two stages share the rest 1 to 2, as they would share all."""
    stages = [
        Stage("one", partial(Supervised, vnet()), 100, ADAM, labeled=2),
        Stage("two", partial(Supervised, vnet()), 200, ADAM, labeled=2),
    ]
    found = [planned.steps for planned in plan_of(with_pretext(stages, "restoration", PRETEXTS, 2, steps, 12), 12)]
    assert found[0] == steps
    assert sum(found) == 12
    assert found[2] == pytest.approx(2 * found[1], abs=2)


def test_stages_stay_as_they_are_without_a_pretext():
    stages = [Stage("training", partial(Supervised, vnet()), labeled=2)]
    assert with_pretext(stages, None, PRETEXTS, 2, 99, 12) == stages


@pytest.mark.parametrize(
    ("pretext", "steps", "message"),
    [
        ("restauration", 4, r"E501 unknown pretext 'restauration'. Did you mean 'restoration'\?"),
        (
            "restoration",
            12,
            r"E502 12 of 12 steps .* 1 stages come after it\. .* pretext_steps=N, N from 1 to 11",
        ),
        ("restoration", 0, "E502 0 of 12 steps"),
        ("restoration", "half", "E502 half of 12 steps"),
        ("training", 4, "E501"),
    ],
)
def test_pretexts_that_cannot_be(pretext, steps, message):
    stages = [Stage("training", partial(Supervised, vnet()), labeled=2)]
    with pytest.raises(UserError, match=message):
        with_pretext(stages, pretext, PRETEXTS, 2, steps, 12)


def test_a_pretext_twice_and_one_on_a_network_without_encoder():
    alone = [pretext_stage("restoration", PRETEXTS, {"student": vnet()}, 2)]
    with pytest.raises(UserError, match="E507 the run would learn the pretext restoration twice"):
        with_pretext(alone, "restoration", PRETEXTS, 2, 4, 12)
    assert len(with_pretext(alone, "contrastive", PRETEXTS, 2, 4, 12)) == 2
    plain = nn.Sequential(nn.Conv3d(1, 2, 1))
    with pytest.raises(UserError, match="E503 Sequential cannot learn a pretext"):
        with_pretext([Stage("s", partial(Supervised, plain), labeled=2)], "restoration", PRETEXTS, 2, 4, 12)


def test_a_batch_larger_than_all_images_is_refused_before_anything_is_written(tmp_path):
    stage = complete([Stage("training", partial(Supervised, vnet()), labeled=1)])
    with pytest.raises(UserError, match=r"E220 a step draws 3 crops .*, labeled or not, and there are 2"):
        run(tmp_path / "run", stage, stream=small_stream(labeled=1, unlabeled=1))
    assert not (tmp_path / "run").exists()


def test_a_lost_pretext_stops_a_run_that_would_go_on(tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(Killed):
        run(folder, fresh_networks(), handlers=[At(7, kill)])
    (folder / "checkpoints" / "pretext_restoration.pt").unlink()
    with pytest.raises(UserError, match=r"E506 .*pretext_restoration\.pt, from which later stages start, is gone"):
        run(folder, fresh_networks(), resume=True)


def alone(folder: Path, pretext: str = "restoration", network: nn.Module | None = None, **options: Any) -> None:
    """A run of a pretext and nothing else."""
    stage = pretext_stage(pretext, PRETEXTS, {"student": network or vnet(1)}, 3)
    run(folder, [replace(stage, optimiser=ADAM)], **options)


def test_a_pretext_alone_validates_nothing_and_can_be_started_from(tmp_path):
    alone(tmp_path / "pretext")
    folder = tmp_path / "pretext" / "checkpoints"
    assert sorted(path.name for path in folder.glob("*.pt")) == ["last.pt", "pretext_restoration.pt", "previous.pt"]
    name, weights = weights_of_run(tmp_path / "pretext")
    assert (name, list(weights)) == ("restoration", ["student"])
    target = vnet(9)
    decoder = {key: value.clone() for key, value in target.decoder.state_dict().items()}
    stages = [Stage("training", partial(Supervised, target), labeled=2)]
    line = start_from_run(stages, tmp_path / "pretext")
    assert line.startswith(
        f"pretext restoration of {tmp_path / 'pretext'} hands over its encoder: student 18 of 18 entr"
    )
    for key, value in target.encoder.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            assert torch.equal(value, weights["student"][f"encoder.{key}"]), key
    assert all(torch.equal(value, decoder[key]) for key, value in target.decoder.state_dict().items())
    wide = [Stage("training", partial(Supervised, vnet(9, width=3)), labeled=2)]
    with pytest.raises(UserError, match="E504 nothing of the pretext of"):
        start_from_run(wide, tmp_path / "pretext")


def test_a_run_without_a_finished_pretext_is_no_start(tmp_path):
    run(tmp_path / "run", [Stage("training", partial(Supervised, vnet()), 1, ADAM, labeled=2)], steps=3)
    for folder in (tmp_path / "run", tmp_path / "nowhere"):
        with pytest.raises(UserError, match=f"E508 {folder} holds no finished pretext"):
            weights_of_run(folder)


def test_a_killed_pretext_alone_goes_on_bit_for_bit(tmp_path):
    alone(tmp_path / "whole", "contrastive")
    with pytest.raises(Killed):
        alone(tmp_path / "killed", "contrastive", handlers=[At(7, kill)])
    alone(tmp_path / "killed", "contrastive", resume=True)
    assert_same(kept(tmp_path / "killed"), kept(tmp_path / "whole"))


def test_examples_are_pictures_of_the_middle_slice(tmp_path):
    """Black and white are the original's 0.5th and 99.5th percentile; a voxel is a whole number of pixels."""
    alone(tmp_path / "run", steps=3)
    folder = tmp_path / "run" / "pretext" / "restoration"
    listed = json.loads((folder / "examples.json").read_text(encoding="utf-8"))
    assert listed["stage"] == "restoration"
    assert len({example["case"] for example in listed["examples"]}) == 4
    for example in listed["examples"]:
        assert list(example["pictures"]) == ["original", "corrupted", "restored"]
        for name in example["pictures"].values():
            with Image.open(folder / name) as picture:
                assert (picture.size, picture.mode) == ((192, 192), "L")  # 8 x 8 voxels of 24 pixels
                pixels = np.asarray(picture)
            assert (pixels[:24, :24] == pixels[0, 0]).all()
    with Image.open(folder / listed["examples"][0]["pictures"]["original"]) as picture:
        pixels = np.asarray(picture)
    assert (pixels.min(), pixels.max()) == (0, 255)


def test_stages_that_draw_images_draw_nothing_else():
    with pytest.raises(ValueError, match="draws images of all cases, so none of a section alone"):
        Stage("pretext", partial(Restoration, {"student": vnet()}), images=2, labeled=1)
    with pytest.raises(ValueError, match="labeled, is 0; it must be a whole number from 1 on"):
        Stage("training", partial(Supervised, vnet()))
