"""The datalist of a prepared folder: which cases are labeled first, how it is written, what it holds in a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mednoisy.data.counter_based_random import Draw
from mednoisy.data.datalist import Datalist


def drawn_order(strata: Mapping[str, Sequence[str]], seed: int) -> list[str]:
    """All cases in a random order of which every beginning holds each stratum in about its share.

    Within a stratum of n cases the order is a permutation; the k-th of them, from 0, comes at (k + 1/2) / n.
    """
    placed = []
    for number, (name, cases) in enumerate(sorted(strata.items())):
        order = Draw(seed, "labeled order", number).generator(name).permutation(len(cases))
        placed += [((place + 0.5) / len(cases), name, sorted(cases)[one]) for place, one in enumerate(order)]
    return [case for _, _, case in sorted(placed)]


def save_datalist(datalist: Datalist, out: Path) -> Path:
    """Write `out/datalist.json` unless it is there already, the same; its path."""
    path = out / "datalist.json"
    if not path.is_file() or path.read_text(encoding="utf-8") != datalist.as_json(out):
        datalist.save(path)
    return path


def contents(path: Path) -> str:
    """A line for the terminal: how many cases each section holds, and the protocol."""
    datalist = Datalist.load(path)
    counts = ", ".join(f"{len(cases)} {section}" for section, cases in datalist.sections.items() if cases)
    return f"{path}: {counts}. {datalist.protocol}"
