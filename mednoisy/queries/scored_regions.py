"""All that a strategy needs to know of the slices or boxes of a pool, computed case by case on the grids of files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from monai.data import MetaTensor
from torch import Tensor

from mednoisy.active.region_features import features_of_parts, gradients_of_parts
from mednoisy.active.regions import UNITS, Grid, Regions, apart, boxes_of, slices_of, sums_in
from mednoisy.active.rows_file import GrowingRows
from mednoisy.active.scoring import Scorer
from mednoisy.active.uncertainty_maps import MAPS
from mednoisy.data.axis_order import ends_of
from mednoisy.data.datalist_checks import Case
from mednoisy.data.ignored_voxels import IGNORED
from mednoisy.data.images import read_image
from mednoisy.data.label_maps import ignored_codes, read_reference, stored_codes
from mednoisy.data.orienting import OrientedSlicesd
from mednoisy.errors import UserError
from mednoisy.inference.prediction import to_source_grid
from mednoisy.queries.seen_cases import SeenCase, grid_of, grid_seen, parts_seen
from mednoisy.queries.shared_scoring import SCORED, OnFault, OnProgress, SharedScoring, fingerprint_of
from mednoisy.runs.opened_run import OpenedRun

OF_REGIONS = tuple(Regions.__dataclass_fields__)
ON_DISK = ("features", "gradients")
POOLED_OVER = ("mean", "over_foreground")  # of a region: rules that sums over it are enough for


@dataclass(frozen=True)
class Unit:
    """What is asked for: cases, slices of them, or boxes.

    Attributes:
        name: of `UNITS`.
        box: voxels of a box to the patient's right, front and top.
        duplicates: whether slices beside labeled ones, and boxes that hold labeled voxels, are looked at too.
    """

    name: str = "case"
    box: tuple[int, ...] = ()
    duplicates: bool = False

    def regions(self, grid: Grid, along: int | None = None) -> Regions:
        """Those of a case."""
        return slices_of(grid, along) if self.name == "slice" else boxes_of(grid, self.box)


@dataclass
class RegionScoring:
    """Computes fields of a pool of slices or boxes; features and gradients go to disk, of the rest a few numbers of
    each region are held, and one case at a time.

    Attributes:
        unit: what is asked for.
        wanted: names of fields of `Pool`.
        scorer: for all but features; None where none is wanted, or an oracle's.
        run: whose networks the scorer has; None without.
        store: folder of the query, see `SharedScoring`.
        features_of: the run whose features are wanted.
        hidden: of an oracle, the references to count foreground in, by case.
        classes: of the dataset.
        on_fault: is given why a case is left out; None: it ends the work.
        on_progress: is given how many cases are scored, of how many.
    """

    unit: Unit
    wanted: tuple[str, ...]
    scorer: Scorer | None
    run: OpenedRun | None
    store: Path
    features_of: OpenedRun | None = None
    hidden: Mapping[str, Case] | None = None
    classes: int = 0
    on_fault: OnFault | None = None
    on_progress: OnProgress | None = None

    def fields(
        self, cases: Sequence[Case], labeled: Sequence[Case] = ()
    ) -> tuple[list[Case], Regions, dict[str, np.ndarray]]:
        """The cases that could be scored, their regions, and the fields, a row for each region.

        Args:
            cases: those with a `label` are labeled in part; what nobody looked at there may be chosen.
            labeled: whose features, and those of what is labeled in `cases`, are compared with as `labeled`.

        Raises:
            UserError: E394, there is no region to choose; E527, as `slices_of` and `boxes_of`; else why a case cannot
                be scored.
        """
        pool = {case["id"] for case in cases}
        everything = [*cases, *(case for case in labeled if case["id"] not in pool and "features" in self.wanted)]
        shared = SharedScoring(self.store, self._facts(), self.on_fault, self.on_progress)
        computed = shared.computed(
            everything,
            lambda case: self._computed(case, case["id"] in pool),
            lambda case: self._made_of(case, case["id"] in pool),
        )
        kept, parts = list[Case](), list[Regions]()
        held: dict[str, list[np.ndarray]] = {}
        with ExitStack() as stack:
            files: dict[str, GrowingRows] = {}
            for case, _, rows in computed:
                if "labeled" in rows:
                    held.setdefault("labeled", []).append(rows["labeled"])
                if "case" not in rows or not len(rows["case"]):
                    continue
                kept.append(case)
                parts.append(Regions(**{name: rows[name] for name in OF_REGIONS}))
                for name in self._fields():
                    if name in ON_DISK and name not in files:
                        files[name] = stack.enter_context(GrowingRows(self.store / SCORED / f"{name}.bin"))
                    keep = files[name].add if name in ON_DISK else held.setdefault(name, []).append
                    keep(rows[name])
            if not kept:
                raise UserError("E394", f"no {self.unit.name} can be chosen", "There is nothing left to label")
            fields = {name: np.concatenate(rows) for name, rows in held.items()}
            return kept, Regions.joined(parts), fields | {name: file.mapped() for name, file in files.items()}

    def _fields(self) -> tuple[str, ...]:
        return self.wanted if self.hidden is None else ("foreground",)

    def _facts(self) -> dict[str, str]:
        """All that changes what is computed of a case."""
        facts = {"fields": " ".join(self._fields()), "unit": repr(self.unit), "oracle": str(self.hidden is not None)}
        if self.run is not None:
            facts |= self.run.scoring_facts
        if self.scorer is not None:
            facts |= self.scorer.facts
        if self.features_of is not None:
            facts |= {f"features {name}": value for name, value in self.features_of.facts.items()}
        return facts

    def _made_of(self, case: Case, offered: bool) -> str:
        """The files of a case, and how they are read: codes and what nobody looked at may be stated anew."""
        entry = case if self.hidden is None else {**case, **self.hidden[case["id"]]}
        found = fingerprint_of(entry)
        return found and f"{found} {offered} {ignored_codes(entry)} {stored_codes(entry)}"

    def _computed(self, case: Case, offered: bool) -> dict[str, np.ndarray]:
        """Regions of a case and their fields, if it is of the pool; features of what is labeled in it."""
        seen = SeenCase(case)
        grid = self._grid(case, seen)
        regions = self.unit.regions(grid, self._along(grid))
        rows: dict[str, np.ndarray] = {}
        if offered:
            free = self._free(case, regions)
            rows |= {name: getattr(free, name) for name in OF_REGIONS}
            rows |= self._rows_of(case, free, seen) if len(free) else {}
        if "features" in self.wanted and "label" in case:
            known = regions[np.rint(sums_in(~known_voxels(case), regions)) == 0]
            if len(known):
                rows["labeled"] = self._features(apart(known), seen)
        for name, values in rows.items():
            if not np.isfinite(values).all():
                cause = f"its {name.replace('_', ' ')} are not finite numbers"
                raise UserError("E393", cause, "Correct or remove the image", case=case["id"])
        return rows

    def _grid(self, case: Case, seen: SeenCase) -> Grid:
        """Of the case's file, whichever way it is read here."""
        asked = self.run if self.scorer is not None and {*self.wanted} - {"features"} else None
        if (run := asked or ("features" in self.wanted and self.features_of) or None) is not None:
            return grid_seen(seen.by(run))
        return grid_of(read_image(case["image"], channels=True, case=case["id"]))

    def _rows_of(self, case: Case, regions: Regions, seen: SeenCase) -> dict[str, np.ndarray]:
        if self.hidden is not None:
            return self._true_foreground(case, regions)
        rows: dict[str, np.ndarray] = {}
        if "features" in self.wanted:
            rows["features"] = self._features(regions, seen)
        if self.scorer is None or self.run is None:
            return rows
        run, image = self.run, seen.by(self.run)
        on_device = image.as_tensor().to(run.device)
        if "gradients" in self.wanted:
            rows["gradients"] = gradients_of_parts(run.network, on_device, run.inferer, parts_seen(regions, image))
        if {*self.wanted} - {"features", "gradients"}:
            assert self.scorer.members is not None  # a pretext was refused before
            members = self.scorer.members.probabilities(on_device, run.inferer, case["id"])
            rows |= self._rows(members, image, regions)
        return rows

    def _features(self, regions: Regions, seen: SeenCase) -> np.ndarray:
        assert self.features_of is not None  # or it was refused before
        run, image = self.features_of, seen.by(self.features_of)
        on_device = image.as_tensor().to(run.device)
        return features_of_parts(run.network, on_device, run.inferer, parts_seen(regions, image))

    def _rows(self, members: Tensor, seen: MetaTensor, regions: Regions) -> dict[str, np.ndarray]:
        """Means over each region of maps that are brought to the grid of the file, one after another."""
        assert self.scorer is not None
        assert self.run is not None
        probabilities = members.mean(dim=0)
        chain = self.run.preprocessing

        def on_source(scores: Tensor) -> np.ndarray:
            return np.asarray(to_source_grid(scores, seen, chain).numpy())

        voxels = sums_in(np.ones(tuple(int(size) for size in np.asarray(seen.meta["spatial_shape"]))), regions)
        rows: dict[str, np.ndarray] = {}
        labels = None
        if "foreground" in self.wanted or self.scorer.pooling == "over_foreground":
            labels = on_source(probabilities).argmax(axis=0)
        if "foreground" in self.wanted:
            assert labels is not None
            counts = [sums_in(labels == code, regions) for code in range(1, len(probabilities))]
            rows["foreground"] = np.rint(np.stack(counts, axis=1))
        if "uncertainty" in self.wanted:
            doubt = on_source(MAPS[self.scorer.map_name](members)[None])[0].clip(min=0)  # splines may leave the range
            rows["uncertainty"] = sums_in(doubt, regions).clip(min=0) / voxels
            if self.scorer.pooling == "over_foreground":
                assert labels is not None
                area = np.rint(sums_in(labels > 0, regions))
                over = sums_in(doubt * (labels > 0), regions).clip(min=0) / area.clip(min=1)
                rows["uncertainty"] = np.where(area > 0, over, rows["uncertainty"])
        if "class_uncertainty" in self.wanted:
            entropy = torch.special.entr(probabilities).sum(dim=0)
            weights = [torch.ones_like(entropy), *probabilities[1:]]
            means = [sums_in(on_source((entropy * one)[None])[0].clip(min=0), regions) / voxels for one in weights]
            rows["class_uncertainty"] = np.stack(means, axis=1).clip(min=0)
        return rows

    def _along(self, grid: Grid) -> int | None:
        """The axis, right, front or up, that the network cuts slices along, where its bundle names one."""
        run = self.run or self.features_of
        if run is None or self.unit.name != "slice":
            return None
        turns = [step for step in run.preprocessing.transforms if isinstance(step, OrientedSlicesd)]
        if not turns or turns[0].slices is None:
            return None
        if turns[0].orientation is None or not grid.oriented:
            return grid.order.axes.index(turns[0].slices)
        return ends_of(turns[0].orientation)[turns[0].slices][0]

    def _free(self, case: Case, regions: Regions) -> Regions:
        """Those that are not labeled yet, in a case that is labeled in part."""
        if "label" not in case:
            return regions
        known = known_voxels(case)
        if self.unit.duplicates:
            return regions[np.rint(sums_in(~known, regions)) > 0]
        size = np.ones(regions.start.shape[1], int)
        size[: known.ndim] = known.shape
        around = replace(
            regions,
            start=(regions.start - regions.margin).clip(min=0),
            stop=np.minimum(regions.stop + regions.margin, size),
        )
        return regions[np.rint(sums_in(known, around)) == 0]

    def _true_foreground(self, case: Case, regions: Regions) -> dict[str, np.ndarray]:
        """For an oracle, voxels of each class in the hidden reference."""
        assert self.hidden is not None
        entry = self.hidden[case["id"]]
        reference = read_reference(
            entry["label"], range(self.classes), ignore=ignored_codes(entry), stored=stored_codes(entry),
            case=case["id"],
        )  # fmt: skip
        counts = [np.rint(sums_in(reference.array == code, regions)) for code in range(1, self.classes)]
        return {"foreground": np.stack(counts, axis=1)}


def known_voxels(case: Case) -> np.ndarray:
    """(*spatial), bool: where somebody looked, of a labeled case."""
    label = read_reference(case["label"], ignore=ignored_codes(case), stored=stored_codes(case), case=case["id"])
    return np.asarray(label.array != IGNORED)


def partly_labeled(cases: Sequence[Case]) -> list[Case]:
    """The labeled cases in which somebody has not looked at all voxels."""
    return [case for case in cases if ignored_codes(case) and not known_voxels(case).all()]


def check_unit(unit: str, box: Sequence[int]) -> None:
    """Refuse what is no unit (E527).

    Raises:
        UserError: E527, another name than those of `UNITS`; a box without a size, or a size without a box.
    """
    if unit not in UNITS:
        raise UserError("E527", f"unknown --unit {unit!r}", f"Give one of {', '.join(UNITS)}")
    if unit == "box" and not box:
        cause = "--unit box has no size"
        raise UserError("E527", cause, "Give --box RIGHT FRONT TOP in voxels (of pictures --box ROWS COLUMNS)")
    if unit != "box" and box:
        raise UserError("E527", f"--box does not go with --unit {unit}", "Add --unit box, or drop --box")
    if any(side < 1 for side in box):
        raise UserError("E527", f"--box holds {min(box)}", "Give numbers of voxels from 1 on")
