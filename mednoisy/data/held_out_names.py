"""Which labeled studies no network learns from, where labels come in one after the other: names alone decide."""

from __future__ import annotations

from collections.abc import Sequence

from mednoisy.data.counter_based_random import Draw

HELD_SHARE = 5  # one of so many


def is_held_out(name: str) -> bool:
    """Whether a study of this name is held out wherever labels are many: one of five, for good."""
    return _key(name) % HELD_SHARE == 0


def held_out_of_few(names: Sequence[str]) -> set[str]:
    """Names to hold out of any number of labeled studies, so that no later call holds out what could be learned from.

    Where no name is one that is held out for good, one of two or more stands in for it, until a name that is, or that
    comes before it, has a label. None where all names are held out for good: a network then learns from them, and has
    no figure.
    """
    held = {name for name in names if is_held_out(name)}
    if len(held) == len(names):
        return set()
    if held or len(names) < 2:
        return held
    return {min(names, key=_key)}


def _key(name: str) -> int:
    return Draw(0, "held out", 0).key(name)
