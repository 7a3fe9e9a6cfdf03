"""`summary.json`, written and read: what an evaluation found, however it was started.

Schema 3; the documentation lists its entries for users. Schema 2 is the same without `patient`, `scene` and `diagonal`
of cases and without `patients` and `penalised` of figures, schema 1 without `shown`, `codes`, `mapping`, `failed` and
`notes` as well; both can still be read.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from mednoisy.errors import UserError
from mednoisy.evaluation import json_values as checked
from mednoisy.evaluation.figures import PredictorFigures
from mednoisy.files import write_text
from mednoisy.text_files import read_json

FILE = "summary.json"
SCHEMA, SCHEMAS = 3, (1, 2, 3)  # that is written, that are read
OF_LABEL_MAPS = ("codes", "mapping", "failed", "notes", "ignored", "white")  # entries that a training run lacks
NO_PREDICTOR = ""  # is deployed by a run that ends with a pretext

Paths = str | tuple[str, ...]  # several where each channel has a file; relative to the summary's folder or absolute


@dataclass(frozen=True)
class CheckpointFigures:
    """What every predictor reaches at one checkpoint.

    Attributes:
        step: of training; None for label maps that came from elsewhere.
        predictors: name to figures; of `published`, whose predictors each have a checkpoint, `step` is the first's.
    """

    step: int | None
    predictors: Mapping[str, PredictorFigures] = field(default_factory=dict)


@dataclass(frozen=True)
class ScoredCase:
    """A case with its files, and where it comes from if it says so.

    Attributes:
        centre: that the scan is from.
        patient: who it shows.
        scene: the stretch of a recording that it is a frame of.
        diagonal: of the image, from corner to corner, in what distances are counted in.
    """

    id: str
    reference: str
    prediction: str
    image: Paths | None = None
    centre: str | None = None
    patient: str | None = None
    scene: str | None = None
    diagonal: float | None = None

    @property
    def drawn_with(self) -> str | None:
        """What is resampled in its place: its patient, or its scene where the patient is not known; None of neither."""
        return self.patient or self.scene


@dataclass(frozen=True)
class FailedCase:
    """A case that could not be scored, and why."""

    id: str
    reason: str


@dataclass(frozen=True)
class GivenLabelMaps:
    """How label maps that came from elsewhere were read, and what came of it.

    Attributes:
        codes: that the files may hold; None for any.
        mapping: code to code, applied to the files before all else (`data.label_maps`).
        failed: cases that could not be scored.
        notes: texts worth reading about the others.
        ignored: codes of references whose voxels were left out.
        white: of the folders of `prediction` and `reference`, the grey of pictures that is code 1; None: no grey is.
    """

    codes: tuple[int, ...] | None = None
    mapping: Mapping[int, int] = field(default_factory=dict)
    failed: tuple[FailedCase, ...] = ()
    notes: tuple[str, ...] = ()
    ignored: tuple[int, ...] = ()
    white: Mapping[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True)
class RunSummary:
    """What is known of a finished run, or of an evaluation of label maps.

    Attributes:
        facts: how it came about, in the order shown. A training run has `method`, and `centres_in_training` where
            cases name a centre; `title` overrides the name that is made from the others.
        labels: class code to name.
        deployed: the predictor that `metrics.csv` scores; `NO_PREDICTOR` of a pretext, which predicts nothing.
        shown: the checkpoint at which it does.
        checkpoints: name to figures. A training run has `honest`, `final` and perhaps `published`; label maps that
            came from elsewhere have `given`.
        undefined: how many values of published tables' metrics in `metrics.csv` are undefined.
        cases: those that were scored.
        label_maps: how they were read; None for a training run.
        versions: of the packages that made the figures.
    """

    facts: Mapping[str, Any]
    labels: Mapping[int, str]
    deployed: str
    shown: str
    checkpoints: Mapping[str, CheckpointFigures]
    undefined: int
    cases: tuple[ScoredCase, ...]
    label_maps: GivenLabelMaps | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its title, or its method."""
        return str(self.facts.get("title") or self.facts["method"])

    @property
    def predicts(self) -> bool:
        """Whether it has a predictor: not if it ends with a pretext."""
        return self.deployed != NO_PREDICTOR

    @property
    def unit(self) -> str:
        """What distances are counted in."""
        return str(self.facts.get("spacing_unit", "mm"))

    @property
    def patient_of(self) -> dict[str, str]:
        """Case id to patient, or scene, of those that name one: what statistics resample."""
        return {case.id: case.drawn_with for case in self.cases if case.drawn_with}

    @property
    def diagonal_of(self) -> dict[str, float]:
        """Case id to the diagonal of its image, of those where it is known."""
        return {case.id: case.diagonal for case in self.cases if case.diagonal is not None}

    @property
    def codes(self) -> tuple[int, ...] | None:
        """Codes that the files may hold: of a training run those of the classes; None for any."""
        return tuple(sorted(self.labels)) if self.label_maps is None else self.label_maps.codes

    @property
    def mapping(self) -> Mapping[int, int]:
        """Codes of files that were replaced before scoring."""
        return self.label_maps.mapping if self.label_maps else {}

    @property
    def failed(self) -> tuple[FailedCase, ...]:
        """Cases that could not be scored."""
        return self.label_maps.failed if self.label_maps else ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth knowing about the files that were scored."""
        return self.label_maps.notes if self.label_maps else ()


def package_versions(packages: Iterable[str]) -> dict[str, str]:
    """Installed version of each package, and Python's."""
    return {name: version(name) for name in packages} | {"python": platform.python_version()}


def write_summary(folder: Path | str, summary: RunSummary) -> None:
    """Write `summary.json` into the folder of the run or the evaluation, whole or not at all.

    Raises:
        ValueError: a figure or a fact is NaN or infinite.
        TypeError: a fact that JSON cannot hold.
    """
    content = {
        "schema": SCHEMA,
        "run": summary.facts,
        "labels": {str(code): name for code, name in summary.labels.items()},
        "deployed": summary.deployed,
        "shown": summary.shown,
        "checkpoints": {
            name: {
                "step": checkpoint.step,
                "predictors": {of: figures.to_json() for of, figures in checkpoint.predictors.items()},
            }
            for name, checkpoint in summary.checkpoints.items()
        },
        "undefined": summary.undefined,
        "cases": [{name: value for name, value in asdict(case).items() if value is not None} for case in summary.cases],
        **(_label_maps_to_json(summary.label_maps) if summary.label_maps else {}),
        "versions": summary.versions,
    }
    text = json.dumps(content, indent=1, default=_plain, allow_nan=False, ensure_ascii=False)
    write_text(Path(folder) / FILE, text + "\n")


def read_summary(folder: Path | str) -> RunSummary:
    """What `summary.json` in the folder of a run or an evaluation says.

    Raises:
        UserError: E402, there is none, or it is damaged or of another schema.
    """
    path = Path(folder) / FILE
    try:
        return _from_json(read_json(path))
    except (ValueError, KeyError, TypeError) as fault:
        why = f"{fault} is missing" if isinstance(fault, KeyError) else fault
        cure = "Give the folder of a finished run, or evaluate it again"
        raise UserError("E402", f"{path} cannot be used: {why}", cure) from fault


def _from_json(content: Any) -> RunSummary:
    if content["schema"] not in SCHEMAS:
        known = " and ".join(", ".join(str(schema) for schema in part) for part in (SCHEMAS[:-1], SCHEMAS[-1:]))
        raise ValueError(f"it has schema {content['schema']}, this program reads {known}")
    labels = checked.table(content.get("labels", {}), "labels")
    checkpoints = checked.table(content.get("checkpoints", {}), "checkpoints")
    versions = checked.table(content.get("versions", {}), "versions")
    facts = checked.table(content["run"], "run")
    if not facts.get("title") and "method" not in facts:
        raise KeyError("method")
    return RunSummary(
        facts=facts,
        labels={int(code): str(name) for code, name in labels.items()},
        deployed=checked.text(content["deployed"], "deployed"),
        shown=checked.text(content.get("shown", "honest"), "shown"),
        checkpoints={name: _checkpoint_from_json(entry, name) for name, entry in checkpoints.items()},
        undefined=checked.count(content.get("undefined", 0), "undefined"),
        cases=tuple(_case_from_json(entry) for entry in checked.array(content.get("cases", []), "cases")),
        label_maps=_label_maps_from_json(content) if any(name in content for name in OF_LABEL_MAPS) else None,
        versions={package: str(number) for package, number in versions.items()},
    )


def _checkpoint_from_json(content: Any, name: str) -> CheckpointFigures:
    entry = checked.table(content, name)
    step = entry.get("step")
    predictors = checked.table(entry.get("predictors", {}), f"predictors of {name}")
    return CheckpointFigures(
        step=None if step is None else checked.count(step, f"step of {name}"),
        predictors={of: PredictorFigures.from_json(figures, f"{name} {of}") for of, figures in predictors.items()},
    )


def _case_from_json(content: Any) -> ScoredCase:
    entry = checked.table(content, "a case")
    name = str(entry["id"])
    image = entry.get("image")
    if isinstance(image, list):
        image = tuple(checked.text(path, f"an image of case {name!r}") for path in image)
    elif image is not None:
        image = checked.text(image, f"the image of case {name!r}")
    return ScoredCase(
        id=name,
        reference=checked.text(entry["reference"], f"the reference of case {name!r}"),
        prediction=checked.text(entry["prediction"], f"the prediction of case {name!r}"),
        image=image or None,
        **{origin: str(entry[origin]) if entry.get(origin) else None for origin in ("centre", "patient", "scene")},
        diagonal=checked.number_or_none(entry.get("diagonal"), f"the diagonal of case {name!r}"),
    )


def _label_maps_to_json(label_maps: GivenLabelMaps) -> dict[str, Any]:
    return {
        "codes": label_maps.codes,
        "mapping": {str(old): new for old, new in label_maps.mapping.items()},
        "failed": [{"id": case.id, "reason": case.reason} for case in label_maps.failed],
        "notes": label_maps.notes,
        "ignored": label_maps.ignored,
        "white": dict(label_maps.white),
    }


def _label_maps_from_json(content: dict[str, Any]) -> GivenLabelMaps:
    """Codes that the file does not tell are those of the classes."""
    codes = content["codes"] if "codes" in content else sorted(int(code) for code in content.get("labels", {}))
    mapping = checked.table(content.get("mapping", {}), "mapping")
    failed = [checked.table(entry, "a failed case") for entry in checked.array(content.get("failed", []), "failed")]
    return GivenLabelMaps(
        codes=None if codes is None else tuple(int(code) for code in checked.array(codes, "codes")),
        mapping={int(old): int(new) for old, new in mapping.items()},
        failed=tuple(FailedCase(str(entry["id"]), str(entry["reason"])) for entry in failed),
        notes=tuple(str(note) for note in checked.array(content.get("notes", []), "notes")),
        ignored=tuple(int(code) for code in checked.array(content.get("ignored", []), "ignored")),
        white={part: white for part, white in checked.table(content.get("white", {}), "white").items()},
    )


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} in a summary")
