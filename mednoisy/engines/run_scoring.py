"""The figures of a run: every checkpoint and predictor on the test cases, on the grid of their files, in mm."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from monai.transforms import Compose
from torch import nn
from tqdm import tqdm

from mednoisy.data.datalist import Case, Datalist
from mednoisy.data.datalist_checks import SOURCE
from mednoisy.data.label_maps import ignored_codes, read_stored, stored_codes
from mednoisy.data.load_case import check_chain, checking_reader
from mednoisy.engines import checkpoint
from mednoisy.engines.disk_full import writing
from mednoisy.engines.progress_log import TIMES
from mednoisy.engines.run_figures import PACKAGES, as_published, checkpoint_figures, scored_case, voxel_size
from mednoisy.engines.run_folder import RunFolder
from mednoisy.evaluation.figures import PredictorFigures
from mednoisy.evaluation.metric_rows import COLUMNS, count_undefined, image_diagonal, score_case
from mednoisy.evaluation.metrics import Row, write_metrics
from mednoisy.evaluation.regions import COLUMNS as REGION_COLUMNS
from mednoisy.evaluation.regions import FILE as REGIONS
from mednoisy.evaluation.regions import region_rows
from mednoisy.evaluation.statistics import summarise
from mednoisy.evaluation.summary_file import (
    NO_PREDICTOR,
    CheckpointFigures,
    RunSummary,
    ScoredCase,
    package_versions,
    write_summary,
)
from mednoisy.files import written_aside
from mednoisy.inference.label_map_files import label_file, write_labels
from mednoisy.inference.prediction import predict_case
from mednoisy.inference.sliding_window import SlidingWindow
from mednoisy.methods.method import Method
from mednoisy.networks.ensemble import MeanEnsemble
from mednoisy.notices import tell

LOGGER = logging.getLogger("mednoisy")
NOTHING_SCORED = (
    "there are neither test nor validation cases: no Dice and no distance can be told, and the last checkpoint is "
    "kept; with --folds N labeled cases are held out in turn and scored"
)
CHOSEN_ON_SCORED = (
    "there are no test cases: the figures are of the validation cases, which choose the checkpoint as well, so they "
    "flatter; those of the last checkpoint do not"
)


class RunScoring:
    """Scores a finished run and writes `predictions/`, `metrics.csv`, `scores.csv` and `summary.json`.

    Where the datalist names regions also `regions.csv`, their overlap at every checkpoint.

    Checkpoints: `honest`, the best on the validation section (the final one where there is none); `final`;
    and, where the run kept them, `published`: each predictor's own best on the test cases (the step told is the
    deployed one's) and, of several students, the mean of their own bests; there distances are in voxels and
    every metric of an empty prediction is 0, as in the reference code. Without test cases those of validation are
    scored; the best on them is then no honest choice and is called `chosen`. Without these too there are no figures,
    nor of a pretext, which predicts nothing: its summary names no deployed predictor and no checkpoint.

    Args:
        device: where networks run.
        run_folder: of the run.
        method: makes the method of the last stage, with networks whose weights are replaced.
        datalist: section `test` is scored (`validation` where there are no test cases).
        preprocessing, inferer: as in `predict_case`, at the stride of the final figures.
        model_file: where the deployed predictor's weights go, for the bundle's `inference.yaml`.
    """

    def __init__(
        self,
        device: torch.device | str,
        run_folder: RunFolder,
        method: Callable[[], Method],
        datalist: Datalist,
        preprocessing: Compose,
        inferer: SlidingWindow,
        model_file: Path | str,
    ):
        check_chain(preprocessing)
        self.device, self.run_folder, self.method = torch.device(device), run_folder, method
        self.datalist, self.preprocessing, self.inferer = datalist, preprocessing, inferer
        self.model_file = Path(model_file)
        self._regions: list[Row] = []  # of regions, for every checkpoint and predictor
        self._diagonals: dict[str, float] = {}  # of the images of cases that were scored
        self._located = False  # whether some reference says how large its voxels are

    def check(self) -> None:
        """Refuse what could not be scored, before hours of training (on the main process).

        Files are read whole, for the header of a truncated `.nii.gz` looks sound; a case takes 10 ms
        (98 x 74 x 44 voxels) to half a second (576 x 576 x 88).

        Raises:
            UserError: E201 to E209, what `LoadCased` refuses.
        """
        if not self.run_folder.main or self._predicts_nothing():
            return
        section, cases = self._scored()
        if not cases:
            tell(NOTHING_SCORED)
        elif section == "validation":
            tell(CHOSEN_ON_SCORED)
        load = checking_reader(self.preprocessing, self.datalist.labels)
        for case in tqdm(cases, desc="check test cases", unit="case", disable=None):
            load(case)

    def run(self) -> None:
        """Score, write and export (on the main process; others return at once).

        Raises:
            UserError: E318, E321 or E322, no checkpoint that fits or can be read.
        """
        if not self.run_folder.main:
            return
        last = checkpoint.load(self.run_folder.checkpoints / "last.pt", self.device)
        if self._predicts_nothing():
            self._write_tables([], [])
            self._write_summary({}, (), NO_PREDICTOR, last, 0, "final")
            return
        section, cases = self._scored()
        # In the memory format in which prediction runs: training may have left another, which rounds otherwise
        method = self.method().to(self.device).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        deployed = next(iter(method.predictors()))
        rows: list[Row] = []
        self._regions = []
        steps: dict[str, int] = {}
        best = self.run_folder.checkpoints / "best_honest.pt"
        shown_name = "chosen" if section == "validation" and best.is_file() else "honest"
        for name, step, predictors in self._checkpoints(method, last, shown_name):
            if name == "final" and step == steps[shown_name]:
                scored = [row for row in rows if row["checkpoint"] == shown_name]
                same = [row for row in self._regions if row["checkpoint"] == shown_name]
                self._regions += [{**row, "checkpoint": name} for row in same]
            else:
                scored = self._score(name, cases, predictors, deployed, kept=name == shown_name)
            rows += [{**row, "checkpoint": name} for row in scored]
            steps.setdefault(name, step)
            if name == shown_name:
                self._export(predictors[deployed])
        shown = [row for row in rows if row["checkpoint"] == shown_name and row["predictor"] == deployed]
        self._write_tables(rows, shown)
        scored_cases = tuple(scored_case(case, self._diagonals[case["id"]]) for case in cases)
        without: dict[str, PredictorFigures] = {} if cases else {deployed: summarise([])}
        checkpoints = {
            name: CheckpointFigures(step, checkpoint_figures(rows, name, scored_cases) or without)
            for name, step in steps.items()
        }
        self._write_summary(checkpoints, scored_cases, deployed, last, count_undefined(shown), shown_name)

    def _predicts_nothing(self) -> bool:
        """Whether the run ends with a pretext."""
        with torch.random.fork_rng(devices=[]):
            return not self.method().predictors()

    def _write_tables(self, rows: list[Row], shown: list[Row]) -> None:
        write_metrics(self.run_folder.path / "scores.csv", rows, ("checkpoint", "predictor", *COLUMNS))
        write_metrics(self.run_folder.path / "metrics.csv", shown, COLUMNS)
        if self._regions:
            columns = ("checkpoint", "predictor", *REGION_COLUMNS)
            write_metrics(self.run_folder.path / REGIONS, self._regions, columns)
        else:
            (self.run_folder.path / REGIONS).unlink(missing_ok=True)

    def _scored(self) -> tuple[str, list[Case]]:
        """The section whose cases are scored, and them; none where there are neither test nor validation cases."""
        for section in ("test", "validation"):
            if cases := self.datalist.cases(section):
                return section, cases
        return "test", []

    def _checkpoints(
        self, method: Method, last: dict, best_called: str
    ) -> Iterator[tuple[str, int, dict[str, nn.Module]]]:
        """Name, step and predictors of each checkpoint, its weights loaded."""
        folder = self.run_folder.checkpoints
        names = list(method.predictors())
        if all((folder / f"best_published_{name}.pt").is_file() for name in names):
            for name in names:
                best = checkpoint.load(folder / f"best_published_{name}.pt", self.device)
                checkpoint.restore(method, best)
                yield "published", best["step"], {name: method.predictors()[name]}
            if len(method.students) > 1:
                yield "published", last["step"], {"mean_of_bests": self._mean_of_bests(method)}
        honest = folder / "best_honest.pt"
        best = checkpoint.load(honest, self.device) if honest.is_file() else last
        checkpoint.restore(method, best)
        yield best_called, best["step"], method.predictors()
        checkpoint.restore(method, last)
        yield "final", last["step"], method.predictors()

    def _mean_of_bests(self, method: Method) -> MeanEnsemble:
        """The mean of all students, each at its own best on the test cases: the figure that SDCL reports."""
        for name, student in method.students.items():
            best = checkpoint.load(self.run_folder.checkpoints / f"best_published_{name}.pt", self.device)["method"]
            prefix = f"students.{name}."
            student.load_state_dict({key[len(prefix) :]: best[key] for key in best if key.startswith(prefix)})
        return MeanEnsemble(method.students.values())

    def _score(
        self, name: str, cases: list[Case], predictors: dict[str, nn.Module], deployed: str, *, kept: bool
    ) -> list[Row]:
        """Rows of all predictors; the deployed one's label maps are `kept` as files, or not."""
        rows: list[Row] = []
        for case in tqdm(cases, desc=f"test, {name}", unit="case", disable=None):
            prediction = predict_case(case, predictors, self.preprocessing, self.inferer, self.device, progress=True)
            marked = read_stored(
                case["label"],
                stored_codes(case),
                self.datalist.labels,
                ignore=ignored_codes(case),
                case=case["id"],
            )
            reference = marked.image
            self._located |= reference.located
            truth = reference.as_slice()  # in 3D a slice's every voxel would be surface
            self._diagonals[case["id"]] = image_diagonal(truth.shape, truth.steps)
            spacing = (1.0,) * truth.array.ndim if name == "published" else truth.steps
            for predictor, predicted in prediction.labels.items():
                labels = predicted
                if marked.ignored is not None:
                    labels = np.where(marked.ignored.reshape(predicted.shape), 0, predicted)
                for row in score_case(case["id"], labels.reshape(truth.shape), truth.array, spacing, self._classes):
                    if name == "published":
                        row = as_published(row, voxel_size(truth))
                    rows.append({"checkpoint": name, "predictor": predictor, **row})
                self._regions += [
                    {"checkpoint": name, "predictor": predictor, **row}
                    for row in self._rows_of_regions(case["id"], predicted, truth.array, marked.ignored)
                ]
            if kept:
                path = label_file(self.run_folder.predictions, case["id"], case["image"])
                write_labels(path, prediction.labels[deployed], prediction.affine, case["image"], self.datalist.codes)
        return rows

    def _rows_of_regions(
        self, case: str, predicted: np.ndarray, truth: np.ndarray, ignored: np.ndarray | None
    ) -> list[Row]:
        left_out = None if ignored is None else ignored.reshape(truth.shape)
        return region_rows(case, predicted.reshape(truth.shape), truth, self.datalist.regions, left_out)

    @property
    def _classes(self) -> list[int]:
        return [code for code in self.datalist.labels if code != 0]

    def _write_summary(
        self,
        checkpoints: Mapping[str, CheckpointFigures],
        scored_cases: tuple[ScoredCase, ...],
        deployed: str,
        last: Mapping,
        undefined: int,
        shown: str,
    ) -> None:
        section, cases = self._scored()
        learned = self.datalist.cases("labeled") + self.datalist.cases("unlabeled")
        centres = sorted({case["centre"] for case in learned if "centre" in case})
        facts = {
            **self.run_folder.facts,
            "test": len(self.datalist.cases("test")),
            **({} if deployed == NO_PREDICTOR else {"scored_section": section}),
            **({"centres_in_training": centres} if any("centre" in case for case in cases) else {}),
            **({"ignored_codes": list(self.datalist.ignore)} if self.datalist.ignore else {}),
            **({"label_files": SOURCE} if self.datalist.codes and self.datalist.as_source else {}),
            **{name: round(last[name], 1) for name in TIMES},
            "protocol": self.datalist.protocol,
            "spacing_unit": self.datalist.spacing_unit if deployed == NO_PREDICTOR else self._unit(),
        }
        summary = RunSummary(
            facts=facts,
            labels=self.datalist.labels,
            deployed=deployed,
            shown=shown,
            checkpoints=checkpoints,
            undefined=undefined,
            cases=scored_cases,
            versions=package_versions(PACKAGES),
        )
        write_summary(self.run_folder.path, summary)

    def _unit(self) -> str:
        """The unit of distances: what the datalist says, but none of length where no reference states a voxel size."""
        if self._located or self.datalist.spacing_unit != "mm":
            return self.datalist.spacing_unit
        return "voxel"

    def _export(self, network: nn.Module) -> None:
        with writing(self.model_file), written_aside(self.model_file) as aside:
            torch.save(network.state_dict(), aside)
        LOGGER.info("deployed predictor written to %s", self.model_file)
