"""Weights that one network hands to another: what matches by name and shape, and how much that was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mednoisy.errors import UserError

COUNTER = "num_batches_tracked"
NAMED = 2  # entries without a counterpart that are told by name
ENCODER = ("encoder",)  # the part that is taken where nothing else is said: decoder and head start anew


@dataclass(frozen=True)
class Transferred:
    """What `transfer_weights` did.

    Attributes:
        entries: that were copied, batch norm's statistics among them and its counters not.
        wanted: entries of the network's parts in question.
        values: numbers in what was copied.
        unmatched: names of the others, which the source lacks or has in another shape.
    """

    entries: int
    wanted: int
    values: int
    unmatched: tuple[str, ...] = ()

    def __str__(self) -> str:
        more = len(self.unmatched) - NAMED
        names = ", ".join(self.unmatched[:NAMED]) + (f" and {more} more" if more > 0 else "")
        without = f", not {names}" if names else ""
        return f"{self.entries} of {self.wanted} entries ({self.values:,} numbers{without})"


@dataclass(frozen=True)
class Fit:
    """How the weights of one network fit another by name and shape.

    Attributes:
        matching, wanted: how many entries of the network's parts they have, and how many there are.
        missing: names that they lack.
        misshapen: names that have another shape there, with both shapes.
    """

    matching: int
    wanted: int
    missing: tuple[str, ...]
    misshapen: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether all entries match."""
        return 0 < self.matching == self.wanted

    def __str__(self) -> str:
        faults = [
            f"{len(names)} {what} ({', '.join(names[:2])}{', ...' if len(names) > 2 else ''})"
            for names, what in ((self.missing, "are missing"), (self.misshapen, "have another shape"))
            if names
        ]
        return "; ".join([f"{self.matching} of {self.wanted} entries match", *faults])


def fit_of(weights: Mapping[str, Tensor], network: nn.Module, parts: Sequence[str] = ENCODER) -> Fit:
    """What of the network's parts the weights hold; arguments as of `transfer_weights`, nothing is copied."""
    own = _of_parts(network, parts)
    misshapen = tuple(
        f"{name} {list(weights[name].shape)} for {list(value.shape)}"
        for name, value in own.items()
        if name in weights and weights[name].shape != value.shape
    )
    missing = tuple(name for name in own if name not in weights)
    return Fit(len(own) - len(missing) - len(misshapen), len(own), missing, misshapen)


def transfer_weights(weights: Mapping[str, Tensor], network: nn.Module, parts: Sequence[str] = ENCODER) -> Transferred:
    """Copy into `network`, in place, what the weights of another hold under the same name and in the same shape.

    Args:
        weights: state dict of the other network.
        parts: names of the submodules concerned; what lies outside keeps its values.

    Returns:
        The counts; 0 entries where nothing matches, and then nothing was changed.
    """
    own = _of_parts(network, parts)
    matching = _matching(weights, own)
    with torch.no_grad():
        for name in matching:
            own[name].copy_(weights[name])  # a state dict shares its memory with the network
    unmatched = tuple(name for name in own if name not in matching)
    return Transferred(len(matching), len(own), sum(own[name].numel() for name in matching), unmatched)


def transfer_best(
    sources: Mapping[str, Mapping[str, Tensor]], network: nn.Module, parts: Sequence[str] = ENCODER
) -> Transferred:
    """`transfer_weights` from that one of several networks of which most entries match; of equal ones the first."""
    own = _of_parts(network, parts)
    best = max(sources.values(), key=lambda weights: len(_matching(weights, own)))
    return transfer_weights(best, network, parts)


def check_transferred(done: Mapping[str, Transferred], source: str) -> None:
    """Refuse a start from weights of which nothing went into any network.

    Args:
        done: by name of each network.
        source: where the weights are from, for the message.

    Raises:
        UserError: E504.
    """
    if not any(each.entries for each in done.values()):
        wanted = ", ".join(f"{name} {each.wanted}" for name, each in done.items())
        raise UserError(
            "E504",
            f"nothing of {source} fits this run's networks by name and shape (entries they have: {wanted})",
            "Take a pretext of the same encoder: its class, width, levels, norm and image channels",
        )


def _of_parts(network: nn.Module, parts: Sequence[str]) -> dict[str, Tensor]:
    """What can be handed over; not batch norm's counters, which are of one shape in all networks and of no use."""
    entries = network.state_dict().items()
    return {name: value for name, value in entries if name.partition(".")[0] in parts and not name.endswith(COUNTER)}


def _matching(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    return [name for name, value in own.items() if name in weights and weights[name].shape == value.shape]
