"""What the scans were that a network was trained on, as their files have them, and how another scan differs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import MetaTensor

from mednoisy.errors import UserError
from mednoisy.files import write_text
from mednoisy.text_files import read_json

FILE = "training_data.json"  # in a run's folder
AS_READ = "as_read"  # among a volume's metadata
SAMPLED = 100_000  # voxels from which percentiles are taken, on a lattice
PERCENTILES = (0.5, 99.5)
BEYOND = 0.1  # of a voxel's size: so far out of the range is worth a word
BRIGHTER = 0.5  # of the width of intensities, likewise; MR has no scale, and few cases do not show how far it varies
NARROW = 0.1  # of the narrowest intensities in training: those of a scan below are on another scale


def as_read(image: MetaTensor, turned: bool = True) -> dict[str, Any]:
    """What a file says of its grid and how bright it is, before anything is resampled or normalised.

    Args:
        image: (C, X, Y, Z), its axes in the order that the network sees.
        turned: whether files that state an orientation are turned by it.

    Returns:
        `spacing` (3,) in mm, where the file states it; `low` and `high`, the 0.5th and 99.5th percentile; and, where
        volumes are turned, whether the file states an orientation (`oriented`). Values that MONAI can collate.
    """
    array = image.as_tensor()
    apart = max(1, int((array[0].numel() / SAMPLED) ** (1 / 3)))
    low, high = np.percentile(array[:, ::apart, ::apart, ::apart].numpy(), PERCENTILES)
    facts: dict[str, Any] = {"low": float(low), "high": float(high)}
    if image.meta.get("located", True):
        facts["spacing"] = np.asarray(image.pixdim, dtype=np.float64)
    return facts | ({"oriented": bool(image.meta.get("oriented", False))} if turned else {})


@dataclass(frozen=True)
class TrainingData:
    """The ranges of a run's training cases, labeled and not.

    Attributes:
        cases: how many.
        spacing_mm: least and greatest along each axis that the network sees; None where no file states it.
        intensities: the lowest and the highest, by the cases' 0.5th and 99.5th percentiles.
        narrowest: the least difference of a case's percentiles.
        oriented: how many files state their orientation; None where volumes are taken as stored.
    """

    cases: int
    spacing_mm: tuple[tuple[float, float], ...] | None
    intensities: tuple[float, float]
    narrowest: float
    oriented: int | None

    @classmethod
    def of(cls, facts: Sequence[Mapping[str, Any]]) -> TrainingData | None:
        """From `as_read` of each case; None of none."""
        if not facts:
            return None
        steps = np.array([each["spacing"] for each in facts if "spacing" in each])
        ranges = zip(steps.min(axis=0).tolist(), steps.max(axis=0).tolist(), strict=True) if len(steps) else None
        return cls(
            cases=len(facts),
            spacing_mm=None if ranges is None else tuple(ranges),
            intensities=(min(each["low"] for each in facts), max(each["high"] for each in facts)),
            narrowest=min(each["high"] - each["low"] for each in facts),
            oriented=sum(each["oriented"] for each in facts) if "oriented" in facts[0] else None,
        )

    @classmethod
    def load(cls, folder: Path) -> TrainingData | None:
        """Of a run's folder; None where it holds none.

        Raises:
            UserError: E319, the file is damaged.
        """
        path = folder / FILE
        if not path.is_file():
            return None
        try:
            content = read_json(path)
            steps = content["spacing_mm"]
            ranges = None if steps is None else tuple((float(low), float(high)) for low, high in steps)
            low, high = (float(value) for value in content["intensities"])
            oriented = None if content["oriented"] is None else int(content["oriented"])
            return cls(int(content["cases"]), ranges, (low, high), float(content["narrowest"]), oriented)
        except (ValueError, TypeError, KeyError) as fault:
            cure = "Restore it, or remove it; scans are not compared with it then"
            raise UserError("E319", f"{path} is damaged: {fault}", cure) from fault

    def save(self, folder: Path) -> None:
        """Write `training_data.json` into a run's folder."""
        write_text(folder / FILE, json.dumps(asdict(self), indent=1) + "\n")

    def differences(self, facts: Mapping[str, Any]) -> dict[str, str]:
        """How a scan, `as_read`, differs: kind to a text that follows a subject ("image ..."); empty where it fits."""
        found = {"spacing": self._spacing(facts), "intensities": self._intensities(facts)}
        found["orientation"] = self._orientation(facts)
        return {kind: text for kind, text in found.items() if text}

    def _spacing(self, facts: Mapping[str, Any]) -> str:
        if self.spacing_mm is None:
            return ""
        known = " x ".join(_range(low, high) for low, high in self.spacing_mm)
        if "spacing" not in facts:
            return f"does not state how large its voxels are; the network was trained on {known} mm"
        steps = np.asarray(facts["spacing"]).tolist()
        if len(steps) != len(self.spacing_mm):
            return f"has {len(steps)} axes; the network was trained on {known} mm"
        within = all(
            low * (1 - BEYOND) <= step <= high * (1 + BEYOND)
            for step, (low, high) in zip(steps, self.spacing_mm, strict=True)
        )
        return "" if within else f"has voxels of {_by(steps)} mm; the network was trained on {known} mm"

    def _intensities(self, facts: Mapping[str, Any]) -> str:
        low, high = self.intensities
        margin = BRIGHTER * (high - low)
        inside = low - margin <= facts["low"] and facts["high"] <= high + margin
        if inside and facts["high"] - facts["low"] >= NARROW * self.narrowest:
            return ""
        found = f"has intensities of {_range(facts['low'], facts['high'])} (99 % of its voxels)"
        return f"{found}; the network was trained on {_range(low, high)}"

    def _orientation(self, facts: Mapping[str, Any]) -> str:
        if self.oriented is None or "oriented" not in facts:
            return ""
        if not facts["oriented"] and self.oriented:
            stated = f"{self.oriented} of the {self.cases} scans that the network was trained on state theirs"
            return f"does not state its orientation, so it was taken as stored; {stated}"
        if facts["oriented"] and not self.oriented:
            return "states its orientation and was turned; the network was trained on scans that state none, as stored"
        return ""


def mixed_orientations(data: TrainingData) -> str | None:
    """A line where some training cases state their orientation and others do not; None where they are alike."""
    if data.oriented is None or data.oriented in (0, data.cases):
        return None
    silent = data.cases - data.oriented
    return f"note: {silent} of {data.cases} training cases do not state their orientation, they were taken as stored"


def facts_of(items: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """`as_read` of cached cases that have it, each once."""
    return list({str(item["id"]): item[AS_READ] for item in items if AS_READ in item}.values())


def _range(low: float, high: float) -> str:
    texts = f"{low:.4g}", f"{high:.4g}"
    return texts[0] if texts[0] == texts[1] else f"{texts[0]} to {texts[1]}"


def _by(steps: Iterable[float]) -> str:
    return "x".join(f"{step:.4g}" for step in steps)
