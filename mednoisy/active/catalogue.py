"""The strategies by the names of the command line, and what each needs to know of the cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from mednoisy.active.pool import Batch, Pick, Pool
from mednoisy.active.strategies.badge import badge
from mednoisy.active.strategies.ceal import ceal
from mednoisy.active.strategies.clasp_pe import clasp_pe
from mednoisy.active.strategies.clusters import clusters
from mednoisy.active.strategies.foreground_random import foreground_random
from mednoisy.active.strategies.kcenter import kcenter
from mednoisy.active.strategies.probcover import probcover
from mednoisy.active.strategies.random_cases import random_cases, stochastic_batches
from mednoisy.active.strategies.typiclust import typiclust
from mednoisy.active.strategies.uncertainty import most_uncertain, power, uncertain_and_different
from mednoisy.data.counter_based_random import Draw
from mednoisy.errors import UserError, did_you_mean

Strategy = Callable[[Pool, Batch, Draw], list[Pick]]


@dataclass(frozen=True)
class Entry:
    """A strategy of the catalogue.

    Attributes:
        strategy: what chooses.
        needs: fields of the pool.
        score: the map of uncertainty that `uncertainty` is pooled from, see `uncertainty_maps.py`.
        oracle: whether it reads the pool's true labels, which an annotator has not.
    """

    strategy: Strategy
    needs: tuple[str, ...] = ()
    score: str | None = None
    oracle: bool = False


FEATURES, SCORE = ("features",), ("uncertainty",)
STRATEGIES = {
    "random": Entry(random_cases),
    "foreground_random_33": Entry(partial(foreground_random, share=1 / 3), ("foreground",), oracle=True),
    "foreground_random_66": Entry(partial(foreground_random, share=2 / 3), ("foreground",), oracle=True),
    "predicted_foreground_random": Entry(partial(foreground_random, share=2 / 3), ("foreground",)),
    "clusters": Entry(clusters, FEATURES),
    "typiclust": Entry(typiclust, FEATURES),
    "probcover": Entry(probcover, FEATURES),
    "kcenter": Entry(kcenter, FEATURES),
    "entropy": Entry(most_uncertain, SCORE, "entropy"),
    "margin": Entry(most_uncertain, SCORE, "margin"),
    "bald": Entry(most_uncertain, SCORE, "bald"),
    "variance": Entry(most_uncertain, SCORE, "variance"),
    "disagreement": Entry(most_uncertain, SCORE, "disagreement"),
    "power_entropy": Entry(power, SCORE, "entropy"),
    "stochastic_batches": Entry(stochastic_batches, SCORE, "entropy"),
    "uncertain_and_different": Entry(uncertain_and_different, (*FEATURES, *SCORE), "entropy"),
    "clasp_pe": Entry(clasp_pe, ("class_uncertainty",)),
    "badge": Entry(badge, ("gradients",)),
    "ceal": Entry(ceal, SCORE, "variance"),
}
COLD = tuple(name for name, entry in STRATEGIES.items() if set(entry.needs) <= set(FEATURES))  # without a network


def known_strategy(name: str) -> Entry:
    """A strategy by its name (E395 an unknown one)."""
    if name not in STRATEGIES:
        raise UserError("E395", f"unknown strategy {name!r}", did_you_mean(name, STRATEGIES))
    return STRATEGIES[name]


def choose(
    pool: Pool,
    strategy: str,
    budget: int,
    draw: Draw,
    *,
    same_patient: bool = False,
    duplicates: bool = False,
    per_patient: int | None = None,
) -> list[Pick]:
    """The cases, slices or boxes that a strategy chooses, best first; the same again for the same draw.

    Raises:
        UserError: E395 an unknown strategy; E393 and E394 as `Pool.needed` and `Batch`.
    """
    entry = known_strategy(strategy)
    batch = Batch(pool, budget, same_patient=same_patient, duplicates=duplicates, per_patient=per_patient)
    return entry.strategy(pool, batch, draw)
