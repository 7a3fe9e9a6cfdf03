"""The study that a client is given next."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from mednoisy.monai_label.leases import Leases
from mednoisy.monai_label.orders import Order, answerable, network_name, read_order
from mednoisy.monai_label.scoring import progress, want
from mednoisy.monai_label.studies import found_studies
from mednoisy.monai_label.workplace import Workplace

UNRANKED = "in the order of names, while studies are being ranked"


@dataclass
class Selection:
    """Answers clients that ask what to annotate.

    A client that has a study already is given the same one until its label is saved, unless it asks to skip it; a
    client without a name is never given one that is away. Ranking never keeps a client waiting: until the ranking by
    the network that serves is there, the one by the network before it is used, then any order.
    """

    place: Workplace
    leases: Leases
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def next(self, strategy: str, client: str | None = None, *, skip: bool = False) -> dict[str, Any] | None:
        """`id`, `reason` and `remarks` of the study; None where all are labeled or with others.

        Raises:
            UserError: E395, an unknown strategy; as the strategy itself, which cannot be asked of this network.
        """
        settings = self.place.settings()
        asked, remark = answerable(self.place, settings, strategy)
        remarks = [remark] if remark else []
        with self._one_at_a_time:
            unlabeled = [study.id for study in found_studies(self.place) if study.label is None]
            if client is not None and not skip and (mine := self.leases.of(client, unlabeled)) is not None:
                self.leases.renew(client, mine)
                return {"id": mine, "reason": "it is with this client already", "remarks": remarks}
            order, told = self._order(asked, unlabeled)
            reasons = {pick["id"]: pick["reason"] for pick in order if pick["id"] in set(unlabeled)}
            ranked = [*reasons, *(study for study in unlabeled if study not in reasons)]
            study = self.leases.take_first(client or f"unnamed {uuid4()}", ranked)
        if study is None:
            return None
        reason = reasons.get(study, UNRANKED)
        return {"id": study, "reason": reason, "remarks": [*remarks, *([told] if told else [])]}

    def _order(self, strategy: str, unlabeled: Sequence[str]) -> tuple[Sequence[Mapping[str, Any]], str]:
        """Picks, best first, and what is to be told of them."""
        network = network_name(self.place)
        order = read_order(self.place, network, strategy)
        if order is not None and order.fault is not None:
            raise order.fault
        free = set(unlabeled) - self.leases.away().keys()
        if order is None or (free and not free & {pick["id"] for pick in order.picks}):
            want(self.place, strategy, 0 if order is None else order.number + 1)
        if order is not None:
            return order.picks, ""
        before = self._before(network, strategy)
        status = progress(self.place)
        told = f"Studies are being ranked by {strategy}: {status['done']} of {status['total']} are scored."
        return (before.picks, f"{told} Until then an earlier ranking counts.") if before else ([], told)

    def _before(self, network: str, strategy: str) -> Order | None:
        """The newest ranking by that strategy of a network before the one that serves."""
        numbers = range(int(network) - 1, 0, -1) if network.isdecimal() else ()
        for name in (*map(str, numbers), "cold"):
            order = read_order(self.place, name, strategy)
            if order is not None and order.picks:
                return order
        return None
