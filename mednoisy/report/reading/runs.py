"""What a report needs of a run or an evaluation, read from its own files alone.

`evaluation.results` says what `summary.json` holds. Schema 1, which earlier versions wrote, has neither `shown`
(`honest` then) nor `failed` nor `notes`. `codes`, where it is there, lists the codes that files may hold, or is null
for any; elsewhere the labels are these codes.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mednoisy.errors import UserError
from mednoisy.evaluation.metrics import Row, read_metrics

SCHEMAS = (1, 2)
TELLING_FACTS = ("recipe", "labeled", "seed", "steps")  # told in a run's name where they tell runs apart


@dataclass(frozen=True)
class Run:
    """A finished run: `metrics` of what it shows, `scores` of all checkpoints and predictors, and its facts."""

    folder: Path
    name: str
    facts: dict
    summary: dict
    metrics: list[Row]
    scores: list[Row]
    progress: list[dict[str, str]]

    @property
    def deployed(self) -> str:
        """Name of the predictor that is deployed."""
        return self.summary["deployed"]

    @property
    def shown(self) -> str:
        """Name of the checkpoint that `metrics` scores."""
        return self.summary.get("shown", "honest")

    @property
    def failed(self) -> list[dict[str, str]]:
        """`id` and `reason` of the cases that could not be scored."""
        return self.summary.get("failed", [])

    @property
    def notes(self) -> list[str]:
        """What is worth knowing about the files that were scored."""
        return self.summary.get("notes", [])

    @property
    def classes(self) -> dict[int, str]:
        """Label codes that were scored to names, each a name of its own."""
        return class_names([self])

    @property
    def codes(self) -> set[int] | None:
        """Label codes that files may hold; None for any."""
        listed = self.summary["codes"] if "codes" in self.summary else self.summary.get("labels", {})
        return {int(code) for code in listed or ()} or None

    @property
    def unit(self) -> str:
        """What distances are counted in."""
        return str(self.facts.get("spacing_unit", "mm"))

    @property
    def mapping(self) -> dict[int, int]:
        """Codes of files that were replaced before scoring."""
        return {int(old): int(new) for old, new in self.summary.get("mapping", {}).items()}

    @property
    def centres(self) -> dict[str, str]:
        """Case id to where the case comes from, of those that say so."""
        return {
            str(entry["id"]): str(entry["centre"]) for entry in self.summary.get("cases", []) if entry.get("centre")
        }

    def step(self, checkpoint: str) -> int | None:
        """The training step of a checkpoint; None where it has none or there is no such checkpoint."""
        return self.summary.get("checkpoints", {}).get(checkpoint, {}).get("step")

    def class_name(self, code: int) -> str:
        """The name of a label code; the code itself where it has none."""
        return str(self.summary.get("labels", {}).get(str(code), f"class {code}"))

    def files_of(self, case: str) -> dict[str, Path]:
        """Paths of image, reference and prediction of a case, as far as the summary lists them."""
        for entry in self.summary.get("cases", []):
            if str(entry["id"]) == case:
                parts = {part: entry[part] for part in ("image", "reference", "prediction") if entry.get(part)}
                return {
                    part: self.folder / (path[0] if isinstance(path, list) else path) for part, path in parts.items()
                }
        return {}


def class_names(runs: Sequence[Run]) -> dict[int, str]:
    """Label codes that any run scored to names: those of the first run that has the class; namesakes get their code."""
    names: dict[int, str] = {}
    for run in runs:
        for code in sorted({int(row["class"]) for row in run.metrics} - names.keys()):
            names[code] = run.class_name(code)
    taken = list(names.values())
    return {code: f"{name} ({code})" if taken.count(name) > 1 else name for code, name in sorted(names.items())}


def read_runs(folders: Sequence[Path | str]) -> list[Run]:
    """The runs in these folders, each under a name of its own.

    Raises:
        UserError: E402 where a folder holds no finished run, E401 where its tables are damaged, E403 where runs count
            distances in different units.
    """
    runs = [_read_run(Path(folder)) for folder in folders]
    for fact in TELLING_FACTS:
        # A recipe is told of all runs or of none: "sdcl" beside "supervised, strong" would hide half of what differs.
        namesakes = {run.name: [other for other in runs if other.name == run.name] for run in runs}
        runs = [_told_apart(run, fact, runs if fact == "recipe" else namesakes[run.name]) for run in runs]
    taken = [run.name for run in runs]
    runs = [replace(run, name=f"{run.name} ({run.folder.name})") if taken.count(run.name) > 1 else run for run in runs]
    taken = [run.name for run in runs]
    runs = [replace(run, name=f"{run.name} {i}") if taken.count(run.name) > 1 else run for i, run in enumerate(runs, 1)]
    for run in runs:
        if run.unit != runs[0].unit:
            cause = f"distances of {runs[0].name} are in {runs[0].unit}, those of {run.name} in {run.unit}"
            raise UserError("E403", cause, "Compare runs of one unit, or score label maps that state their spacing")
    return runs


def _told_apart(run: Run, fact: str, others: list[Run]) -> Run:
    if len({str(other.facts.get(fact)) for other in others}) < 2 or run.facts.get(fact) is None:
        return run
    value = run.facts[fact]
    return replace(run, name=f"{run.name}, {value if fact == 'recipe' else f'{fact} {value}'}")


def _read_run(folder: Path) -> Run:
    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        if summary["schema"] not in SCHEMAS:
            known = " and ".join(str(schema) for schema in SCHEMAS)
            raise ValueError(f"it has schema {summary['schema']}, this program reads {known}")
        facts, _ = summary["run"], summary["deployed"]
        name = str(facts.get("title") or facts["method"])
    except (OSError, ValueError, KeyError, TypeError) as fault:
        why = f"{fault} is missing" if isinstance(fault, KeyError) else fault
        cure = "Give the folder of a finished run, or evaluate it again"
        raise UserError("E402", f"{folder / 'summary.json'} cannot be used: {why}", cure) from fault
    metrics = read_metrics(folder / "metrics.csv")
    scores = read_metrics(folder / "scores.csv") if (folder / "scores.csv").exists() else _scores_of(metrics, summary)
    return Run(folder, name, facts, summary, metrics, scores, _progress(folder / "progress.csv"))


def _scores_of(metrics: list[Row], summary: dict) -> list[Row]:
    return [{"checkpoint": summary.get("shown", "honest"), "predictor": summary["deployed"], **row} for row in metrics]


def _progress(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))
