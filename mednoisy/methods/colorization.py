"""Colorization: a network colours gray pictures so that a discriminator takes them for real ones."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mednoisy.data.batch import Batch
from mednoisy.data.counter_based_random import Draw
from mednoisy.errors import UserError
from mednoisy.losses.adversarial import (
    least_squares_fooling,
    least_squares_judging,
    loss_sensitive_fooling,
    loss_sensitive_judging,
)
from mednoisy.losses.segmentation import full_precision
from mednoisy.methods.method import Step, Terms
from mednoisy.methods.pretext import Pretext, all_images
from mednoisy.networks.discriminators import ColourDiscriminator, score_map, with_spectral_norm
from mednoisy.networks.reconstruction import (
    HEAD_SEED,
    QUARTER,
    at_quarter,
    image_channels,
    image_dimensions,
    quartered,
    reconstructing,
)
from mednoisy.perturb.strong_views import grey

Adversarial = Literal["least_squares", "loss_sensitive"]
SMALLEST = 0.5  # share of each side of a crop that a picture must fill; white lies beyond it
GRAY = 1.01  # of 255: pictures whose channels are nowhere further apart are gray
NAMED = 3  # cases that a message names
WON, WON_STEPS = 0.01, 100  # loss of a discriminator that has nothing left to learn, and for how long


class Colorization(Pretext):
    """Networks colour pictures from their gray alone, against a discriminator that sees colours beside gray.

    A picture in the networks' unit is brought to -1..1. Its gray (the luma of ITU-R 601) is given to the network as
    three equal channels, in the networks' unit again; what the last layer, new for three colours, gives at a quarter of
    the size goes through tanh. The target is the picture at that size. The generator's loss is the mean absolute
    difference plus the adversarial term; the discriminator has six channels, colours and gray, and learns from the
    same step's pictures. Both are students with optimisers of their own, and both move at the end of a step.

    Args:
        networks: by name of the student, for pictures of three channels; copies are trained, each against a
            discriminator of its own.
        mean, deviation: of each channel, by which pictures of 0..255 were normalised; None: they are no colours.
        adversarial: "least_squares" or "loss_sensitive" (the paper cites the latter and names the former), whose
            margin is the mean absolute difference of a pair.
        reconstruction: weight of the mean absolute difference beside the adversarial term's 1.
        discriminator: makes one, from (B, 6, rows, columns) to scores, or to a list whose last entry they are; None:
            the paper's layers.
        sigmoid: whether a picture's score is the mean of the sigmoids of its map, as published; else each place of
            the map is scored for itself, for least squares alone.
        spectral_norm: whether each convolution of the discriminator is divided by its largest singular value.
        learning_rate, betas: of Adam, for generator and discriminator.
        discriminator_rate: learning rate of the discriminator where it has another.
        skip_gray: whether gray pictures are left out instead of refused.

    Raises:
        UserError: E538, networks or pictures without three colours in two dimensions; E503, a network that cannot give
            images.
        ValueError: another adversarial term, or scores that it cannot take.

    Source: Tajbakhsh et al. 2019, arXiv:1901.08707. Departures: the paper gives no kernels of the discriminator and no
    norm of the reconstruction; encoders see gray as normalised for segmentation.
    """

    mean: Tensor
    deviation: Tensor
    restores = False
    shown_between = (-1.0, 1.0)

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        mean: Sequence[float] | None = (127.5, 127.5, 127.5),
        deviation: Sequence[float] | None = (127.5, 127.5, 127.5),
        adversarial: Adversarial = "least_squares",
        reconstruction: float = 1.0,
        discriminator: Callable[[], nn.Module] | None = None,
        sigmoid: bool = True,
        spectral_norm: bool = False,
        learning_rate: float = 2e-4,
        betas: tuple[float, float] = (0.5, 0.999),
        discriminator_rate: float | None = None,
        skip_gray: bool = False,
    ):
        super().__init__()
        if adversarial not in get_args(Adversarial):
            raise ValueError(f"adversarial is {adversarial!r}; it must be one of {', '.join(get_args(Adversarial))}")
        if adversarial == "loss_sensitive" and not sigmoid:
            raise ValueError("adversarial is 'loss_sensitive', which needs scores in 0..1; sigmoid must be true")
        if discriminator is not None and (isinstance(discriminator, nn.Module) or not callable(discriminator)):
            raise ValueError("discriminator must make a network (_mode_: callable), for each generator has its own")
        for network in networks.values():
            _check_colours(network, mean, deviation)
        self.adversarial, self.reconstruction, self.sigmoid = adversarial, reconstruction, sigmoid
        self.rates = learning_rate, learning_rate if discriminator_rate is None else discriminator_rate
        self.betas, self.skip_gray = (betas[0], betas[1]), skip_gray
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation, dtype=torch.float32)[:, None, None], persistent=False)
        self.beyond = tuple((255 - m) / d for m, d in zip(mean or (), deviation or (), strict=True))
        self.starts = dict(networks)
        alone = len(networks) == 1
        self.critics = {name: "discriminator" if alone else f"discriminator_{name}" for name in networks}
        self.students = nn.ModuleDict({name: reconstructing(network) for name, network in networks.items()})
        for number, (name, network) in enumerate(networks.items()):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(HEAD_SEED + 1 + number)
                critic = ColourDiscriminator() if discriminator is None else discriminator()
                critic = with_spectral_norm(critic) if spectral_norm else critic
            self.students[self.critics[name]] = critic.to(next(network.parameters()).device)

    def losses(self, batch: Batch, step: Step) -> dict[str, Terms]:
        """`reconstruction` and `adversarial` of generators; `adversarial` of discriminators, and mean scores."""
        colours = self._unit(full_precision(all_images(batch)))
        gray = grey(colours)
        real, seen = quartered(colours), quartered(gray)
        terms: dict[str, Terms] = {}
        for name in self.starts:
            made, critic = self._coloured(name, gray), self.critics[name]
            of_made, of_real = self._scores(critic, made, seen), self._scores(critic, real, seen)
            gap = (made - real).abs()
            terms[name] = Terms(
                reconstruction=(self.reconstruction, gap.mean()), adversarial=(1.0, self._fooling(of_made))
            )
            terms[critic] = Terms(
                adversarial=(1.0, self._judging(of_real, of_made, gap.flatten(1).mean(dim=1))),
                score_of_real=(0.0, of_real.mean()),
                score_of_generated=(0.0, of_made.mean()),
            )
        return terms

    def optimiser(self, student: str) -> Callable[..., Optimizer]:
        """Adam, at the rate of a generator or a discriminator."""
        return partial(torch.optim.Adam, lr=self.rates[0 if student in self.starts else 1], betas=self.betas)

    @torch.no_grad()
    def example(self, images: Tensor, draw: Draw) -> dict[str, Tensor]:
        """`gray`, what each student makes of it, and the `real` colours, all in -1..1 and at a quarter of the size."""
        colours = self._unit(full_precision(images))
        gray = grey(colours)
        made = {
            "generated" if len(self.starts) == 1 else f"generated by {name}": self._coloured(name, gray)
            for name in self.starts
        }
        return {"gray": quartered(gray), **made, "real": quartered(colours)}

    def left_out(self, cases: Sequence[Mapping[str, Any]], patch_size: Sequence[int]) -> dict[str, str]:
        """Gray pictures, where they may be skipped.

        Raises:
            UserError: E539, pictures are gray; E540, pictures are too small for a crop; E541, crops are too small for
                the discriminator.
        """
        self._check_crops(patch_size)
        least = [SMALLEST * side for side in patch_size]
        small = [c["id"] for c in cases if any(s < n for s, n in zip(c["image"].shape[1:], least, strict=True))]
        if small:
            cause = f"{_among(small, len(cases))} smaller than half a crop of {_size(patch_size)} along an axis"
            raise UserError("E540", cause, "Use smaller crops (--set patch_size=[R,C]), or take them from the datalist")
        gray = [case["id"] for case in cases if self._is_gray(case["image"])]
        if gray and not (self.skip_gray and len(gray) < len(cases)):
            cause = f"{_among(gray, len(cases))} gray (R = G = B), and colorization learns from colours"
            skip = "Leave them out by --skip-gray, or take them from the datalist"
            raise UserError("E539", cause, skip if len(gray) < len(cases) else "Take --pretext restoration instead")
        return dict.fromkeys(gray, "gray")

    def remark(self, rows: Sequence[Mapping[str, Any]]) -> str | None:
        """That a discriminator has won, once."""
        for critic in self.critics.values():
            if rows and _won_at(rows, f"{critic}/adversarial") == len(rows) - 1:
                return (
                    f"the {critic} wins outright: its loss has been below {WON} for {WON_STEPS} steps, which teaches "
                    "the generator little. Bound it by --set pretexts#colorization#spectral_norm=true, or slow it by "
                    f"--set pretexts#colorization#discriminator_rate={self.rates[1] / 4:g}"
                )
        return None

    def _check_crops(self, patch_size: Sequence[int]) -> None:
        quarter = [-(-side // QUARTER) for side in patch_size]
        for critic in self.critics.values():
            probe = copy.deepcopy(self.students[critic]).to("meta").train()
            try:
                score_map(probe, torch.empty(2, 6, *quarter, device="meta"))
            except (RuntimeError, ValueError) as fault:
                pairs = f"colours and gray of {_size(quarter)} pixels, a quarter of a crop of {_size(patch_size)}"
                cause = f"the {critic} cannot score {pairs}: {str(fault).splitlines()[0]}"
                cure = "Use larger crops (--set patch_size=[R,C]), or another discriminator of 6 channels"
                raise UserError("E541", cause, cure) from fault

    def _is_gray(self, image: Tensor) -> bool:
        levels = image.to(self.mean.device) * self.deviation + self.mean
        return bool((levels.amax(dim=0) - levels.amin(dim=0)).max() <= GRAY)

    def _unit(self, images: Tensor) -> Tensor:
        """Pictures in the networks' unit as colours in -1..1."""
        return (images * self.deviation + self.mean) / 127.5 - 1

    def _coloured(self, name: str, gray: Tensor) -> Tensor:
        """(B, 3, r, c) in -1..1: colours that a student gives gray pictures (B, 1, R, C), at a quarter of the size."""
        given = ((gray + 1) * 127.5 - self.mean) / self.deviation
        return full_precision(at_quarter(self.students[name], given)).tanh()

    def _scores(self, critic: str, colours: Tensor, gray: Tensor) -> Tensor:
        """(B,) in 0..1, or (B, *) without `sigmoid`: how real colours look beside their gray."""
        pair = torch.cat([colours, gray.expand_as(colours)], dim=1)
        scores = full_precision(score_map(self.students[critic], pair))
        return scores.sigmoid().flatten(1).mean(dim=1) if self.sigmoid else scores

    def _judging(self, real: Tensor, generated: Tensor, gaps: Tensor) -> Tensor:
        if self.adversarial == "least_squares":
            return least_squares_judging(real, generated)
        return loss_sensitive_judging(real, generated, gaps)

    def _fooling(self, generated: Tensor) -> Tensor:
        if self.adversarial == "least_squares":
            return least_squares_fooling(generated)
        return loss_sensitive_fooling(generated)


def _check_colours(network: nn.Module, mean: Sequence[float] | None, deviation: Sequence[float] | None) -> None:
    channels, axes = image_channels(network), image_dimensions(network)
    why = None
    if (channels, axes) != (3, 2):
        why = f"{type(network).__name__} takes images of {channels} channel{'s' * (channels > 1)} and {axes} axes"
    elif mean is None or deviation is None or {len(mean), len(deviation)} != {3}:
        why = "this bundle does not say how it normalises each (colour_mean, colour_deviation)"
    if why is not None:
        cause = f"colorization needs pictures of three colour channels, and {why}"
        cure = "Take another pretext, such as --pretext restoration, or a bundle for pictures, such as dermoscopy"
        raise UserError("E538", cause, cure)


def _won_at(rows: Sequence[Mapping[str, Any]], column: str) -> int | None:
    """The first row by which a loss has been below `WON` for `WON_STEPS` steps; None where there is none."""
    began: int | None = None
    for number, row in enumerate(rows):
        if not float(row.get(column, "nan")) < WON:
            began = None
        else:
            began = int(row["step"]) if began is None else began
            if int(row["step"]) - began >= WON_STEPS:
                return number
    return None


def _among(ids: Sequence[str], total: int) -> str:
    """How many of all cases, their share, and some of them by name, as the subject of a sentence."""
    names = ", ".join(repr(name) for name in ids[:NAMED])
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    verb = "is" if len(ids) == 1 else "are"
    return f"{len(ids)} of {total} pictures ({100 * len(ids) / total:.3g} %: {names}{more}) {verb}"


def _size(sides: Sequence[int]) -> str:
    return "x".join(map(str, sides))
