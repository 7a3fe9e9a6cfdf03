"""A run that colours first: resumed bit for bit, handed over without its discriminator, watched, shown and refused."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.networks.nets import PatchDiscriminator
from PIL import Image

from mednoisy.data.cached_cases import CachedCases
from mednoisy.data.stream_loader import StreamLoader
from mednoisy.data.training_stream import TrainingStream
from mednoisy.engines import checkpoint
from mednoisy.engines.learning_rates import Polynomial
from mednoisy.engines.pretext_stages import images_for, start_from_run, with_pretext
from mednoisy.engines.stages import Stage, completed
from mednoisy.errors import UserError
from mednoisy.methods.colorization import Colorization
from mednoisy.methods.supervised import Supervised
from mednoisy.networks.unet import UNet
from tests.engines.small import At, assert_same, kept, small_trainer
from tests.engines.small_pictures import SIDE, colouring_stages, picture_cases, picture_stream, small_unet
from tests.engines.test_resume import Killed, kill

ADAM = partial(torch.optim.Adam, lr=0.01)
OPTIONS: dict[str, dict[str, Any]] = {
    "published": {},
    "bounded": {
        "adversarial": "loss_sensitive",
        "spectral_norm": True,
        "discriminator_rate": 8e-4,
    },
    "patch": {"discriminator": partial(PatchDiscriminator, 2, 4, 6, num_layers_d=1, padding=2), "sigmoid": False},
}


def stages(**options: Any) -> list[Stage]:
    """Colours for 5 steps of 12, then segmentation."""
    segmenting = [Stage("training", partial(Supervised, small_unet()), labeled=2)]
    pretexts = {"colorization": partial(Colorization, **options)}
    return completed(with_pretext(segmenting, "colorization", pretexts, 3, 5, 12), ADAM, Polynomial())


def run(folder: Path, of: list[Stage], stream: TrainingStream | None = None, **options: Any) -> None:
    trainer = small_trainer(folder, of, stream=stream or picture_stream(), validate_every=None, **options)
    try:
        trainer.run()
    finally:
        trainer.run_folder.close()


def rows_of(folder: Path) -> list[dict[str, str]]:
    with open(folder / "progress.csv", newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


# 12 steps, colours in the first 5; saved after 3, 5, 6, 9 and 12.
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("step", [2, 4, 5, 7])
def test_a_killed_adversarial_run_goes_on_bit_for_bit(tmp_path, options, step):
    """In the stage of colours, at its last step, and after it; both students, their optimisers and their buffers."""
    run(tmp_path / "whole", stages(**OPTIONS[options]))
    with pytest.raises(Killed):
        run(tmp_path / "killed", stages(**OPTIONS[options]), handlers=[At(step, kill)])
    run(tmp_path / "killed", stages(**OPTIONS[options]), resume=True)
    assert_same(kept(tmp_path / "killed"), kept(tmp_path / "whole"))


def test_a_checkpoint_in_the_midst_holds_both_students_and_optimisers(tmp_path):
    with pytest.raises(Killed):
        run(tmp_path / "run", stages(), handlers=[At(4, kill)])
    content = checkpoint.load_last(tmp_path / "run" / "checkpoints", torch.device("cpu"))
    assert (content["step"], content["stage"]) == (3, "colorization")
    assert list(content["optimisers"]) == ["student", "discriminator"]
    assert {name.split(".")[1] for name in content["method"]} == {"student", "discriminator"}
    assert all(state["state"] for state in content["optimisers"].values())


def test_the_encoder_is_handed_over_and_the_discriminator_to_nobody(tmp_path):
    run(tmp_path / "run", stages())
    content = checkpoint.load(tmp_path / "run" / "checkpoints" / "pretext_colorization.pt")
    assert list(content["students"]) == ["student"]
    log = (tmp_path / "run" / "log.txt").read_text(encoding="utf-8")
    entries = [key for key in small_unet().encoder.state_dict() if not key.endswith("num_batches_tracked")]
    assert f"pretext colorization hands over its encoder: student {len(entries)} of {len(entries)} entries (" in log


def test_all_terms_of_a_run_are_finite_and_in_its_table(tmp_path):
    run(tmp_path / "run", colouring_stages(), steps=12)
    names = [f"student/{term}" for term in ("reconstruction", "adversarial")]
    names += [f"discriminator/{term}" for term in ("adversarial", "score_of_real", "score_of_generated")]
    values = np.array([[float(row[name]) for name in names] for row in rows_of(tmp_path / "run")])
    assert len(values) == 3
    assert np.isfinite(values).all()
    assert (values > 0).all()


def test_generator_and_discriminator_learn_at_their_own_rates(tmp_path):
    """Whatever the run's optimiser; the schedule of the run slows both."""
    trainer = small_trainer(
        tmp_path / "run",
        colouring_stages(discriminator_rate=8e-4),
        steps=4,
        stream=picture_stream(),
        validate_every=None,
    )
    rates = []

    def note(engine: Any) -> None:
        optimisers = engine.training.optimisers.optimisers
        rates.append([optimisers[name].param_groups[0]["lr"] for name in ("student", "discriminator")])

    for step in (1, 2):
        At(step, note).attach(trainer)
    trainer.run()
    trainer.run_folder.close()
    factor = 0.75**0.9  # in the second step of four
    assert rates == [pytest.approx([2e-4, 8e-4]), pytest.approx([2e-4 * factor, 8e-4 * factor])]


def test_another_network_is_told_what_matched_and_what_not(tmp_path):
    """A network whose first level alone is as wide; one without anything in common is refused."""
    run(tmp_path / "pretext", colouring_stages())
    same = [Stage("training", partial(Supervised, small_unet(9)), labeled=2)]
    assert "student 24 of 24 entries (366 numbers)" in start_from_run(same, tmp_path / "pretext")
    with torch.random.fork_rng():
        other = UNet(2, 3, 2, widths=(2, 6), norm="batch", dropout=(0.1, 0.2))
    half = start_from_run([Stage("training", partial(Supervised, other), labeled=2)], tmp_path / "pretext")
    assert "student 12 of 24 entries (110 numbers, not encoder.levels.1." in half
    assert half.endswith(" and 10 more)")
    wide = [Stage("training", partial(Supervised, small_unet(9, width=3)), labeled=2)]
    with pytest.raises(UserError, match=r"E504 nothing of the pretext of .*entries they have: student 24"):
        start_from_run(wide, tmp_path / "pretext")


def test_grids_are_in_tensorboard_and_pictures_on_disk(tmp_path):
    """Gray, generated and real side by side, a row for each of four crops, at each saving and at the end."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(tmp_path / "run", colouring_stages(), steps=5)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"), size_guidance={"images": 0})
    events.Reload()
    shown = events.Images("pretext/colorization")
    assert [image.step for image in shown] == [3, 5]
    side = 192 + 4  # 4 x 4 pixels, each 48 wide, and a rim
    assert {(image.width, image.height) for image in shown} == {(3 * side, 4 * side)}
    folder = tmp_path / "run" / "pretext" / "colorization"
    with Image.open(folder / "0_real.png") as real, Image.open(folder / "0_gray.png") as gray:
        assert (real.mode, gray.mode, real.size) == ("RGB", "L", (192, 192))
        red, green, blue = (np.asarray(real)[..., channel].astype(float) for channel in range(3))
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        assert np.abs(luma - np.asarray(gray)).max() < 1.5


def test_pictures_are_shown_as_they_are_read():
    """Rows downwards; a slice of a volume has x to the right instead."""
    from mednoisy.data.counter_based_random import Draw
    from mednoisy.engines.pretext_examples import drawn_examples

    image = torch.zeros(1, 3, SIDE, SIDE) - 1
    image[:, :, :4] = 1  # white rows at the top
    shown = drawn_examples(Colorization({"student": small_unet()}), image, Draw(0, "examples", 0))[0]["real"]
    assert (shown[0] == 255).all()
    assert (shown[-1] == 0).all()


def test_gray_pictures_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UserError, match=r"E539 2 of 7 pictures \(28.6 %: 'p50', 'p51'\) are gray"):
        run(tmp_path / "run", stages(), picture_stream(gray=2))
    assert not (tmp_path / "run").exists()


def test_gray_pictures_that_are_skipped_are_counted_and_never_drawn(tmp_path, capfd):
    run(tmp_path / "run", stages(skip_gray=True), picture_stream(gray=2))
    told = "mednoisy: 2 of 7 images (28.6 %) are gray and take no part in the pretext colorization"
    assert capfd.readouterr().err.count(told) == 1
    method = stages(skip_gray=True)[0].method()
    loader, left_out = images_for(StreamLoader(picture_stream(gray=2)), method)
    assert left_out == {"p50": "gray", "p51": "gray"}
    drawn = {case for batch in loader.steps("colorization", range(4), 0, 5) for case in batch.unlabeled_ids}
    assert drawn == {"p0", "p1", "p2", "p52", "p53"}


def test_too_few_pictures_in_colour_are_refused(tmp_path):
    stream = TrainingStream(picture_cases(0, 2, labels=True), picture_cases(50, 4, labels=False, gray=4), (SIDE, SIDE))
    with pytest.raises(UserError, match=r"E220 a step draws 3 crops .*, and there are 2"):
        run(tmp_path / "run", stages(skip_gray=True), stream)


def test_crops_are_padded_with_white_in_the_networks_unit():
    """Of the colour stage alone: the crops of others are what their bundle pads them with."""

    def load(case: dict) -> dict:
        return {"id": case["id"], "image": MetaTensor(torch.rand(3, 10, 16))}

    small = CachedCases([{"id": "a"}, {"id": "b"}], load)
    loader = StreamLoader(TrainingStream(small, None, (SIDE, SIDE)))
    method = Colorization({"student": small_unet()}, mean=(100.0, 110.0, 120.0), deviation=(50.0, 55.0, 60.0))
    white = torch.tensor([155 / 50, 145 / 55, 135 / 60])[:, None]
    crop = images_for(loader, method)[0].stream.batch("colorization", 0, 0, 1).unlabeled[0]
    for row in (0, 1, 2, 13, 14, 15):
        torch.testing.assert_close(crop[:, row], white.expand(3, SIDE))
    assert (crop[:, 3:13] < 1).all()
    plain = loader.with_all_images().stream.batch("other", 0, 0, 1).unlabeled[0]
    assert (plain[:, :3] == 0).all()


def test_a_discriminator_that_wins_is_told_once_in_a_run(tmp_path, capfd, monkeypatch):
    """Also where the run is interrupted after that: the rows before are part of what it goes on with."""
    from mednoisy.methods import colorization

    monkeypatch.setattr(colorization, "WON", 1.0)  # any loss
    monkeypatch.setattr(colorization, "WON_STEPS", 4)
    told = "mednoisy: the discriminator wins outright: its loss has been below 1.0 for 4 steps"
    with pytest.raises(Killed):
        run(tmp_path / "run", colouring_stages(), handlers=[At(10, kill)])
    assert capfd.readouterr().err.count(told) == 1
    run(tmp_path / "run", colouring_stages(), resume=True)
    assert capfd.readouterr().err.count(told) == 0
