"""Pretexts in a run: the stage before a method's own, and the encoders that it hands to the networks after it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mednoisy.data.stream_loader import StreamLoader
from mednoisy.engines import checkpoint
from mednoisy.engines.run_folder import STARTED_FROM, RunFolder
from mednoisy.engines.stages import PlannedStage, Stage, named_networks, networks_to_start
from mednoisy.errors import UserError, did_you_mean
from mednoisy.methods.method import Method
from mednoisy.methods.pretext import Pretext
from mednoisy.networks.reconstruction import encoder_of
from mednoisy.networks.transfer import ENCODER, Transferred, check_transferred, transfer_best

LOGGER = logging.getLogger("mednoisy")
MakePretext = Callable[[Mapping[str, nn.Module]], Pretext]
PREFIX = "pretext_"  # of the file of a finished pretext among a run's checkpoints


def pretext_stage(
    name: str, pretexts: Mapping[str, MakePretext], networks: Mapping[str, nn.Module], images: int, share: float = 1
) -> Stage:
    """A stage in which copies of `networks` learn the pretext of that name from all images of a run.

    Args:
        name: of the pretext, and of the stage.
        pretexts: what makes each pretext that there is.
        networks: by name of the student.
        images: crops a step (and process).
        share: see `Stage`.

    Raises:
        UserError: E501, there is no such pretext.
    """
    check_pretext(name, pretexts)
    return Stage(name, partial(pretexts[name], dict(networks)), share, images=images)


def check_pretext(name: Any, pretexts: Mapping[str, Any]) -> None:
    """Refuse a name that no pretext has.

    Raises:
        UserError: E501.
    """
    if name not in pretexts:
        raise UserError("E501", f"unknown pretext {name!r}", did_you_mean(str(name), pretexts))


def with_pretext(
    stages: Sequence[Stage],
    pretext: str | None,
    pretexts: Mapping[str, MakePretext],
    images: int,
    steps: int,
    total: int,
) -> list[Stage]:
    """A method's stages, after one for a pretext where that is wanted.

    The pretext trains one network of each kind that the stages train: those whose encoders are alike in names and
    shapes share it.

    Args:
        stages: of the method.
        pretext: its name; None leaves the stages as they are.
        pretexts: what makes each pretext that there is.
        images: crops a step (and process).
        steps: of the pretext; the method's stages share the rest as they would share all.
        total: steps of the run.

    Raises:
        UserError: E501, there is no such pretext; E502, it would leave a stage without a step, or have none; E507, the
            stages begin with it already; E503, a network that cannot learn it.
    """
    if pretext is None:
        return list(stages)
    check_pretext(pretext, pretexts)
    if pretext in [stage.name for stage in stages]:
        raise UserError("E507", f"the run would learn the pretext {pretext} twice", "Drop --pretext, or take another")
    most = total - len(stages)
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= most:
        cause = f"{steps} of {total} steps are asked for the pretext; {len(stages)} stages come after it"
        fewest = len(stages) + max(steps if isinstance(steps, int) else 1, 1)
        few = f"Use --steps {fewest} or more"
        raise UserError("E502", cause, f"Use --set pretext_steps=N, N from 1 to {most}" if most > 0 else few)
    share = sum(stage.share for stage in stages) * steps / (total - steps)
    return [pretext_stage(pretext, pretexts, _of_each_kind(stages), images, share), *stages]


def _of_each_kind(stages: Sequence[Stage]) -> dict[str, nn.Module]:
    """One network for each kind of encoder among those that stages train, by the name of its student."""
    named: dict[str, nn.Module] = {}
    kinds: list[Any] = []
    for stage in stages:
        with torch.random.fork_rng(devices=[]):
            method = stage.method()
        for name, network in networks_to_start(method).items():
            kind = [(key, value.shape) for key, value in encoder_of(network).state_dict().items()]
            if kind not in kinds:
                kinds.append(kind)
                named[name if name not in named else f"{name}_{stage.name}"] = network
    return named


def images_for(loader: StreamLoader, method: Method) -> tuple[StreamLoader, dict[str, str]]:
    """A loader of the images of all cases but those that a pretext leaves out, and of these the reasons, by id.

    Raises:
        UserError: what the pretext refuses, see `Pretext.left_out`.
    """
    everything = loader.with_all_images()
    if not isinstance(method, Pretext):
        return everything, {}
    stream, cases = everything.stream, everything.stream.unlabeled
    assert cases is not None  # `with_all_images` has set it
    left_out = method.left_out([cases[index] for index in range(len(cases))], stream.patch_size)
    return loader.with_all_images(left_out, method.beyond), left_out


def keep_pretext(planned: PlannedStage, method: Method, folder: Path) -> None:
    """Write what a pretext has learned, at the end of its stage, among a run's checkpoints; of other methods nothing.

    Raises:
        UserError: E320, the disk is full.
    """
    if isinstance(method, Pretext):
        students = {name: student.state_dict() for name, student in method.networks.items()}
        content = {"step": planned.last, "stage": planned.stage.name, "students": students}
        checkpoint.save(_file(folder, planned.stage), content)


def hand_over_pretext(plan: Sequence[PlannedStage], ended: PlannedStage, method: Method) -> None:
    """Move the encoders of a pretext that has ended into the networks of all stages after it; the log tells counts.

    Raises:
        UserError: E504, nothing of them fits.
    """
    if isinstance(method, Pretext):
        weights = {name: student.state_dict() for name, student in method.networks.items()}
        done = start_from(_networks_after(plan, ended), weights, f"pretext {ended.stage.name}")
        LOGGER.info("%s", in_words(ended.stage.name, done))


def take_up_pretexts(plan: Sequence[PlannedStage], current: PlannedStage, folder: Path) -> None:
    """Bring networks to where they were when a stage began that is gone on with: what pretexts before it handed over.

    What the stage trains comes from its own checkpoint; this is for networks of later stages, which it does not hold.

    Raises:
        UserError: E506, the file of a pretext is gone; E322, it is damaged.
    """
    for planned in plan[: plan.index(current)]:
        if isinstance(planned.stage.method(), Pretext):
            path = _file(folder, planned.stage)
            if not path.is_file():
                cause = f"{path}, from which later stages start, is gone"
                raise UserError("E506", cause, "Restore it, or train again")
            start_from(_networks_after(plan, planned), checkpoint.load(path)["students"], str(path))


def start_from(
    networks: Sequence[tuple[str, nn.Module]],
    weights: Mapping[str, Mapping[str, Tensor]],
    source: str,
    parts: Sequence[str] = ENCODER,
) -> dict[str, Transferred]:
    """Start networks, in place, from that of some students whose encoder fits best; the counts by network.

    Args:
        networks: with the names of their students.
        weights: state dicts of the students of a pretext.
        source: where they are from, for the message.
        parts: of a network, see `transfer_weights`.

    Raises:
        UserError: E504, nothing fits any of the networks.
    """
    done: dict[str, Transferred] = {}
    for name, network in networks:
        done[name if name not in done else f"{name} {len(done) + 1}"] = transfer_best(weights, network, parts)
    check_transferred(done, source)
    return done


def in_words(pretext: str, done: Mapping[str, Transferred]) -> str:
    """What went from a pretext into which networks, in one line."""
    return f"pretext {pretext} hands over its encoder: " + "; ".join(f"{name} {each}" for name, each in done.items())


def weights_of_run(folder: Path | str) -> tuple[str, dict[str, dict[str, Tensor]]]:
    """Name and students' weights of the last pretext that a run has finished; nothing but the tensors is read.

    Raises:
        UserError: E508, the folder holds no finished pretext; E322, its file is damaged.
    """
    files = sorted((Path(folder) / "checkpoints").glob(f"{PREFIX}*.pt"))
    if not files:
        cause = f"{folder} holds no finished pretext (checkpoints/{PREFIX}NAME.pt)"
        raise UserError("E508", cause, "Give the folder of a run that has finished its stage of a pretext")
    contents = [checkpoint.load(path) for path in files]
    last = max(contents, key=lambda content: int(content["step"]))
    return str(last["stage"]), dict(last["students"])


def start_from_run(
    stages: Sequence[Stage], folder: Path | str, parts: Sequence[str] = ENCODER, run: RunFolder | None = None
) -> str:
    """Start the networks that stages train from the pretext of another run; what matched, in one line.

    Args:
        folder: of the other run.
        parts: of a network, see `transfer_weights`.
        run: the run that starts, which keeps what it starts from and goes on from that: its later stages need it,
            and the other run may be gone by then.

    Raises:
        UserError: as `weights_of_run`; E504, nothing fits.
    """
    kept = None if run is None else run.path / STARTED_FROM
    if run is not None and run.resume and kept is not None and kept.is_file():
        content = checkpoint.load(kept)
        name, weights = str(content["stage"]), dict(content["students"])
    else:
        name, weights = weights_of_run(folder)
    matched = start_from(named_networks(stages), weights, f"the pretext of {folder}", parts)
    if run is not None and kept is not None and not kept.is_file():
        run.on_open.append(partial(checkpoint.save, kept, {"stage": name, "students": weights}))
    return in_words(f"{name} of {folder}", matched)


def _file(folder: Path, stage: Stage) -> Path:
    return folder / f"{PREFIX}{stage.name}.pt"


def _networks_after(plan: Sequence[PlannedStage], ended: PlannedStage) -> list[tuple[str, nn.Module]]:
    return named_networks([planned.stage for planned in plan[plan.index(ended) + 1 :]])
