"""The commands of the round after a query: how it is trained, and how it is asked."""

from __future__ import annotations

import shlex
from pathlib import Path

from mednoisy.composition.catalogue import PAGE as BUNDLE_PAGE
from mednoisy.composition.catalogue import known
from mednoisy.data.datalist import Datalist
from mednoisy.report.reading.queries import ReadQuery


def next_command(asked: ReadQuery, datalist: Datalist, output: Path) -> str:
    """How the next round is trained: by the bundle, method, recipe, steps and folds of the run that was asked.

    On all labels that there are now. What else the run was given (`--set`, `--seed`, `--pretext`) is not in it.
    """
    facts, split = asked.content.get("run_facts") or {}, asked.content["split"]
    words, before = ["mednoisy", "train"], ""
    if (output / "bundle" / BUNDLE_PAGE).is_file():
        words += [str(output)]
    elif facts.get("dataset") in known("bundle"):
        words += [facts["dataset"], "--data", str(output)]
    else:
        before = shlex.join(["mednoisy", "bundle", "new", str(output), str(output / "bundle")]) + " && "
        words += [str(output)]
    words += [word for name in ("method", "recipe") if facts.get(name) for word in (f"--{name}", str(facts[name]))]
    words += ["--labeled", str(len(datalist.patients("labeled")))]
    words += [word for name in ("folds", "steps") if facts.get(name) for word in (f"--{name}", str(facts[name]))]
    words += ["--validation", "0"] if "validation" in split else []  # those that the run took are listed by now
    return before + shlex.join([*words, "--output", f"runs/round_{_number(asked)}"])


def next_query(asked: ReadQuery) -> str:
    """How the run of the next round is asked: as this one, with the number after it."""
    content, number = asked.content, _number(asked)
    words = ["mednoisy", "query", f"runs/round_{number}", "--strategy", content["strategy"]]
    words += ["--budget", str(content["budget"]), "--number", str(number)]
    words += ["--seed", str(content["seed"])] if content["seed"] else []
    words += ["--rounds", str(content["rounds"])] if content["strategy"] == "clasp_pe" else []
    words += ["--pooling", content["pooling"]] if content["pooling"] else []
    if content["unit"] != "case":
        words += ["--unit", content["unit"]]
        words += ["--box", *map(str, content["box"])] if content["box"] else []
        words += ["--per-patient", str(content["per_patient"])] if content["per_patient"] else []
        words += ["--same-patient"] if content["same_patient"] else []
    return shlex.join([*words, "--output", f"queries/{number}"])


def _number(asked: ReadQuery) -> int:
    """Of the next query, and of the round before it."""
    return int(asked.content["number"]) + 1
