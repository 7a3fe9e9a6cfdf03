"""Whose opinions on a case are compared: students, folds, passes with dropout, or flipped images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mednoisy.active.features import single_network
from mednoisy.active.uncertainty_maps import NEEDS_MEMBERS
from mednoisy.data.counter_based_random import Draw
from mednoisy.errors import UserError, did_you_mean
from mednoisy.inference.sliding_window import SlidingWindow

KINDS = {
    "deployed": "the deployed network alone",
    "students": "the run's students",
    "folds": "the networks of its folds",
    "dropout": "passes with dropout",
    "flips": "flipped images",
}
PASSES = 10  # with dropout; the papers take 10 to 20, each of which costs a prediction


@dataclass(frozen=True)
class Members:
    """Networks that are asked about every case, and how.

    Attributes:
        kind: one of `KINDS`.
        networks: by name, mapping images to logits; a single one for `deployed`, `dropout` and `flips`.
        draw: of the query; passes with dropout are seeded by it and the case's id, so that neither the order of cases
            nor what was computed before changes them.
        passes: with dropout.
    """

    kind: str
    networks: Mapping[str, nn.Module]
    draw: Draw
    passes: int = PASSES

    def probabilities(self, image: Tensor, inferer: SlidingWindow, case: str) -> Tensor:
        """(M, K, *spatial) on the CPU, of an image (C, *spatial) on the networks' device; evaluation mode throughout.

        All members of a case are held at once, and one case at a time: 2 classes, 10 members and 8 million voxels
        take 640 MB.
        """
        for network in self.networks.values():
            network.eval()
        if self.kind == "dropout":
            return torch.stack([*self._passes(image, inferer, case)])
        if self.kind == "flips":
            return torch.stack([*self._flipped(image, inferer)])
        scores = inferer.scores_of_all(image[None], self.networks, progress=True)
        return torch.stack([scores[name][0].cpu() for name in self.networks])

    def _passes(self, image: Tensor, inferer: SlidingWindow, case: str) -> Iterator[Tensor]:
        (network,) = self.networks.values()
        devices = [image.device] if image.device.type == "cuda" else []
        for number in range(self.passes):
            with torch.random.fork_rng(devices=devices), dropping(network):
                torch.manual_seed(self.draw.key(f"dropout/{case}/{number}", bits=56))
                yield inferer.scores_of_all(image[None], self.networks)[next(iter(self.networks))][0].cpu()

    def _flipped(self, image: Tensor, inferer: SlidingWindow) -> Iterator[Tensor]:
        """As it is, then flipped along each axis of the patch."""
        name = next(iter(self.networks))
        for axes in ((), *((axis,) for axis in range(1, 1 + len(inferer.patch_size)))):
            scores = inferer.scores_of_all(image.flip(axes)[None], self.networks)[name][0]
            yield scores.flip(axes).cpu()


def dropouts(network: nn.Module) -> list[nn.modules.dropout._DropoutNd]:
    """The layers that drop anything in training."""
    return [part for part in network.modules() if isinstance(part, nn.modules.dropout._DropoutNd) and part.p > 0]


@contextmanager
def dropping(network: nn.Module) -> Iterator[None]:
    """With dropout at work, everything else in evaluation mode."""
    layers = dropouts(network)
    for layer in layers:
        layer.train()
    try:
        yield
    finally:
        for layer in layers:
            layer.eval()


def chosen_members(
    kind: str | None, score: str | None, deployed: nn.Module, peers: Mapping[str, Mapping[str, nn.Module]], draw: Draw
) -> Members:
    """Who is asked for a score.

    Without a wish: the folds, else the students where there are two or more of them, else the deployed network alone,
    which for `bald` and `variance` is asked again and again with dropout.

    Args:
        kind: wished, one of `KINDS`.
        score: of `uncertainty_maps.MAPS`; None where only probabilities are wanted.
        deployed: the network that predicts.
        peers: networks that can be compared, by kind (`folds`, `students`) and name.
        draw: of the query.

    Raises:
        UserError: E514, the run has no such members, or one where the score compares several; E515, unknown kind.
    """
    if kind is not None and kind not in KINDS:
        raise UserError("E515", f"unknown --members {kind!r}", did_you_mean(kind, KINDS))
    several = {name: networks for name, networks in peers.items() if len(networks) > 1}
    again = "dropout or flips" if dropouts(single_network(deployed)) else "flips"  # one network, asked several times
    members = " or ".join([*several, again])
    if kind in ("folds", "students"):
        if kind not in several:
            cause = f"the run has not several {kind} to compare"
            raise UserError("E514", cause, f"Give --members {members}")
        return Members(kind, several[kind], draw)
    single = {"deployed": single_network(deployed) if kind == "dropout" else deployed}
    if kind == "dropout" and not dropouts(single["deployed"]):
        raise UserError("E514", "the run's network has no dropout", f"Give --members {members}")
    if kind == "deployed" and score in NEEDS_MEMBERS:
        cause = f"{score} compares several opinions, the deployed network has one"
        raise UserError("E514", cause, f"Give --members {members}, or --strategy entropy")
    if kind is not None:
        return Members(kind, single, draw)
    for name in ("folds", "students"):
        if name in several:
            return Members(name, several[name], draw)
    if score == "disagreement":
        cause = "disagreement compares two students or folds, the run has one network"
        raise UserError("E514", cause, f"Give --members {again}, or train with --method sdcl or --folds")
    if score in NEEDS_MEMBERS:
        if not dropouts(deployed):
            cause = f"{score} needs dropout, two students or folds, and the run has none of them"
            raise UserError("E514", cause, "Give --members flips, --strategy entropy, or train with --folds")
        return Members("dropout", {"deployed": single_network(deployed)}, draw)
    return Members("deployed", single, draw)
