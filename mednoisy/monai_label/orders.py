"""In which order studies are to be annotated: a query's answer, kept with its reasons until its studies are used up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mednoisy.active.catalogue import COLD, STRATEGIES
from mednoisy.active.pool import Pick
from mednoisy.errors import UserError, did_you_mean, kept_fault
from mednoisy.monai_label.deployment import Deployed
from mednoisy.monai_label.workplace import Settings, Workplace, read_state, write_state

WITHOUT_FEATURES, WITH_FEATURES = "random", "typiclust"  # before the first network


@dataclass(frozen=True)
class Order:
    """What a query has answered.

    Attributes:
        number: of the query of this network by this strategy, from 0.
        picks: id, score and reason of studies, best first.
        fault: why there is none.
    """

    number: int
    picks: Sequence[dict[str, Any]]
    fault: UserError | None = None


def network_name(place: Workplace) -> str:
    """Of what ranks studies now: the round that serves, or `cold` before the first."""
    number = Deployed.read(place).round
    return "cold" if number is None else str(number)


def read_order(place: Workplace, network: str, strategy: str) -> Order | None:
    """What is kept; None where nothing has been answered yet."""
    path = _file(place, network, strategy)
    if not path.is_file():
        return None
    content = read_state(path)
    fault = content.get("fault")
    return Order(content["number"], content["picks"], None if fault is None else kept_fault(fault))


def write_order(
    place: Workplace, network: str, strategy: str, number: int, picks: Sequence[Pick], fault: UserError | None = None
) -> None:
    """Keep an answer, or why there is none."""
    listed = [
        {"id": pick.id, "score": pick.score if math.isfinite(pick.score) else None, "reason": pick.reason}
        for pick in picks
    ]
    content: dict[str, Any] = {"number": number, "picks": listed}
    if fault is not None:
        content["fault"] = {"code": fault.code, "cause": fault.cause, "cure": fault.cure, "case": fault.case}
    write_state(_file(place, network, strategy), content)


def offered() -> list[str]:
    """Names of the strategies that an annotator can ask: not those that read true labels."""
    return [name for name, entry in STRATEGIES.items() if not entry.oracle]


def answerable(place: Workplace, settings: Settings, strategy: str) -> tuple[str, str]:
    """The strategy that is asked in place of one: itself, or what can do without a network; and why, where it is not.

    Raises:
        UserError: E395, an unknown one, or an oracle.
    """
    if strategy not in offered():
        raise UserError("E395", f"unknown strategy {strategy!r}", did_you_mean(strategy, offered()))
    if network_name(place) != "cold":
        return strategy, ""
    with_features = features_run(place, settings) is not None
    if strategy in COLD and (with_features or "features" not in STRATEGIES[strategy].needs):
        return strategy, ""
    instead = WITH_FEATURES if with_features else WITHOUT_FEATURES
    return instead, f"No network has been trained yet, so {instead} chooses in place of {strategy}."


def features_run(place: Workplace, settings: Settings) -> Path | None:
    """The run whose features are compared before the first network: that of the pretext, or the one given."""
    if (place.pretext / "run" / "report.html").is_file():
        return place.pretext / "run"
    return None if settings.features_of is None else Path(settings.features_of)


def _file(place: Workplace, network: str, strategy: str) -> Path:
    return place.folder / "orders" / network / f"{strategy}.json"
