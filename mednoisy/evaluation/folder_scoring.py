"""Two folders of label maps to figures: every pair scored, what cannot be read named, nothing lost."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from mednoisy.child_processes import start_worker, undisturbed
from mednoisy.data.images import listed
from mednoisy.data.label_maps import read_label_map
from mednoisy.data.mask_greys import FolderGreys
from mednoisy.errors import UserError
from mednoisy.evaluation.folder_codes import check_codes_meet, check_ignored, with_folder_greys
from mednoisy.evaluation.metric_rows import COLUMNS, absent_row, count_undefined, image_diagonal, score_case
from mednoisy.evaluation.metrics import Row, write_metrics
from mednoisy.evaluation.prediction_pairs import Pair, PairedFolders, find_pairs, on_grid_of
from mednoisy.evaluation.statistics import summarise
from mednoisy.evaluation.summary_file import (
    CheckpointFigures,
    FailedCase,
    GivenLabelMaps,
    RunSummary,
    ScoredCase,
    package_versions,
    write_summary,
)
from mednoisy.files import locked

PREDICTOR, CHECKPOINT = "prediction", "given"  # what label maps from elsewhere are called beside a run's
PACKAGES = ("mednoisy", "numpy", "scipy", "nibabel", "h5py")
PENDING = 2  # cases a worker that are read or wait, so that memory does not grow with the number of cases


@dataclass(frozen=True)
class ScoringRules:
    """How label maps are read and scored.

    Attributes:
        labels: class code to name; None scores every code that occurs.
        mapping: code to code, applied to predictions and references before anything else; 0 is background.
        ignore: codes of references, after mapping, whose voxels count in neither.
        folder_greys: what greys mean in the pictures of `prediction` and `reference`; found out by `evaluate_folders`.
        strict: refuse a prediction whose axes lie otherwise than the reference's, instead of turning it.
        tolerance: of NSD, in mm.
    """

    labels: Mapping[int, str] | None = None
    mapping: Mapping[int, int] = field(default_factory=dict)
    ignore: tuple[int, ...] = ()
    folder_greys: Mapping[str, FolderGreys] = field(default_factory=dict)
    strict: bool = False
    tolerance: float = 1.0


@dataclass(frozen=True)
class PairResult:
    """What became of one pair: its rows, or the fault that kept it from being scored."""

    id: str
    rows: list[Row]
    notes: tuple[str, ...] = ()
    axes: int = 3
    located: bool = True
    diagonal: float = math.nan
    ignored: int = 0
    fault: UserError | None = None


def evaluate_folders(
    predictions: Path,
    references: Path,
    output: Path,
    rules: ScoringRules | None = None,
    *,
    images: Path | None = None,
    strip: Sequence[str] = (),
    allow_missing: bool = False,
    workers: int | None = None,
) -> list[UserError]:
    """Score label maps against references and write `metrics.csv` and `summary.json`.

    Memory holds a few volumes a worker, however many cases there are. A progress bar is shown on a terminal.

    Args:
        predictions, references: folders, paired by case id (`prediction_pairs.find_pairs`).
        output: folder; results of an earlier evaluation in it are replaced.
        rules: how they are read and scored.
        images: folder of the images, for the report's pictures.
        strip, allow_missing: as for `find_pairs`.
        workers: processes; None for one a core. The figures do not depend on it.

    Returns:
        One fault for each case that could not be scored; the others are in the files.

    Raises:
        UserError: E42x, nothing that pairs; E106, E430 an output folder that cannot be written or holds a training
            run; E314 another evaluation writes to it; E431 no case could be scored; E432 a worker died; E433 names
            that are no text; E434 nothing but background anywhere; E241 no code in common; E244 a code to be scored and
            left out.
    """
    rules = rules or ScoringRules()
    start = time.monotonic()
    if (output / "run.json").is_file():
        raise UserError("E430", f"output folder {output} holds a training run", "Give another --output")
    if output.exists() and not output.is_dir():
        raise UserError("E430", f"output {output} is a file", "Give a folder with --output")
    folders = find_pairs(predictions, references, images, strip=strip, allow_missing=allow_missing)
    _check_names(folders)
    check_ignored(rules)
    workers = max(1, min(workers or _cores(), len(folders.pairs)))
    with locked(output):  # so that a folder that cannot be written is refused before the work, too
        rules = with_folder_greys(folders.pairs, rules, workers)
        results = _in_order(folders.pairs, rules, workers)
        check_codes_meet(results, rules)
        facts = {
            "title": predictions.resolve().name,
            "predictions": str(predictions.resolve()),
            "references": str(references.resolve()),
            "workers": workers,
            "seconds": round(time.monotonic() - start, 1),
        }
        _write(output, results, folders, rules, facts)
    return [result.fault for result in results if result.fault]


def _check_names(folders: PairedFolders) -> None:
    """Refuse names that no table can hold: line breaks, and bytes that are no text."""
    strange = [pair.id for pair in folders.pairs if not pair.id.isprintable()]
    if strange:
        cause = f"file names hold line breaks or bytes that are no UTF-8: {listed([ascii(name) for name in strange])}"
        raise UserError("E433", cause, "Rename the files")


def _in_order(pairs: Sequence[Pair], rules: ScoringRules, workers: int) -> list[PairResult]:
    """Every pair's outcome, in the order of the pairs; refuses where no case has any figures."""
    result_of: dict[str, PairResult] = {}
    with tqdm(total=len(pairs), desc="evaluate", unit="case", disable=None) as bar:
        for result in _results(pairs, rules, workers):
            result_of[result.id] = result
            bar.update()
    in_order = [result_of[pair.id] for pair in pairs]
    faults = [result.fault for result in in_order if result.fault]
    if len(faults) == len(in_order):
        others = listed([result.id for result in in_order[1:]])
        cause = f"no case could be scored: {in_order[0].id}: {faults[0].cause}" + (f"; nor {others}" if others else "")
        raise UserError("E431", cause, faults[0].cure)
    if rules.labels is None and not any(result.rows for result in in_order):
        raise UserError("E434", "no label map holds anything but background", "Name the classes by --labels")
    return in_order


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _results(pairs: Sequence[Pair], rules: ScoringRules, workers: int) -> Iterator[PairResult]:
    """Every pair's outcome, in the order in which they are done."""
    if workers == 1:
        yield from (score_pair(pair, rules) for pair in pairs)
        return
    waiting = iter(pairs)
    context = get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=start_worker, initargs=(os.getpid(),))
    pending: set[Future[PairResult]] = set()
    try:
        while True:
            for pair in waiting:
                with undisturbed():  # a worker starts here
                    pending.add(pool.submit(score_pair, pair, rules))
                if len(pending) >= PENDING * workers:
                    break
            if not pending:
                return
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool as fault:
        cause = "a worker was killed, perhaps because memory ran out"
        raise UserError("E432", cause, "Call again with fewer --workers") from fault
    except BaseException:  # told to stop: nobody waits for what is being scored
        for worker in context.active_children():
            worker.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def score_pair(pair: Pair, rules: ScoringRules) -> PairResult:
    """Read and score one pair; a fault of its files is returned, not raised."""
    try:
        codes = None if rules.labels is None else set(rules.labels)
        greys = rules.folder_greys
        reference = read_label_map(
            pair.reference, codes, rules.mapping, ignore=rules.ignore, folder=greys.get("reference"), case=pair.id
        )
        prediction = read_label_map(pair.prediction, codes, rules.mapping, folder=greys.get("prediction"), case=pair.id)
        truth = reference.image.as_slice()  # in 3D a slice's every voxel would be surface
        array, turned = on_grid_of(prediction.image, truth, strict=rules.strict, case=pair.id)
        if reference.ignored is not None:
            array = np.where(reference.ignored.reshape(array.shape), 0, array)
        rows = score_case(pair.id, array, truth.array, truth.steps, rules.labels, rules.tolerance)
    except UserError as fault:
        return PairResult(pair.id, [], fault=fault)
    notes = [f"prediction {note}" for note in (*prediction.notes, *prediction.image.notes, turned) if note]
    notes += [f"reference {note}" for note in (*reference.notes, *reference.image.notes)]
    left_out = 0 if reference.ignored is None else int(np.count_nonzero(reference.ignored))
    diagonal = image_diagonal(truth.shape, truth.steps)
    return PairResult(pair.id, rows, tuple(notes), array.ndim, reference.image.located, diagonal, left_out)


def _write(
    output: Path, results: Sequence[PairResult], folders: PairedFolders, rules: ScoringRules, facts: dict[str, Any]
) -> None:
    codes = sorted(rules.labels or {int(row["class"]) for result in results for row in result.rows})
    scored = [result for result in results if not result.fault]
    rows = [row for result in scored for row in _every_class(result, codes)]
    facts |= {
        "cases": len(scored),
        "axes": " and ".join(str(axes) for axes in sorted({result.axes for result in scored})),
        "spacing_unit": _unit(scored),
        "protocol": "full field of view",
        "tolerance": rules.tolerance,
        "strict": rules.strict,
    }
    if rules.mapping:
        facts["mapped codes"] = ", ".join(f"{old} to {new}" for old, new in sorted(rules.mapping.items()))
    if rules.ignore:
        pixels = sum(result.ignored for result in scored)
        facts["ignored codes"] = f"{', '.join(map(str, rules.ignore))}: {pixels:,} voxels left out"
    write_metrics(output / "metrics.csv", rows, COLUMNS)
    cases = tuple(
        _scored_case(pair, result) for pair, result in zip(folders.pairs, results, strict=True) if not result.fault
    )
    figures = summarise(
        rows, diagonal_of={case.id: result.diagonal for case, result in zip(cases, scored, strict=True)}
    )
    summary = RunSummary(
        facts=facts,
        labels={code: (rules.labels or {}).get(code, f"class {code}") for code in codes},
        deployed=PREDICTOR,
        shown=CHECKPOINT,
        checkpoints={CHECKPOINT: CheckpointFigures(None, {PREDICTOR: figures})},
        undefined=count_undefined(rows),
        cases=cases,
        label_maps=GivenLabelMaps(
            codes=None if rules.labels is None else tuple(codes),
            mapping=dict(sorted(rules.mapping.items())),
            failed=tuple(FailedCase(result.id, str(result.fault)) for result in results if result.fault),
            notes=tuple(_notes(scored, folders)),
            ignored=rules.ignore,
            white={part: greys.white for part, greys in rules.folder_greys.items()},
        ),
        versions=package_versions(PACKAGES),
    )
    write_summary(output, summary)


def _unit(results: Sequence[PairResult]) -> str:
    if any(result.located for result in results):
        return "mm"
    return "pixel" if any(result.axes == 2 for result in results) else "voxel"


def _every_class(result: PairResult, codes: Sequence[int]) -> list[Row]:
    """The case's rows, with one for each class that is in other cases only."""
    row_of = {int(row["class"]): row for row in result.rows}
    return [row_of.get(code) or absent_row(result.id, code) for code in codes]


def _scored_case(pair: Pair, result: PairResult) -> ScoredCase:
    image = None if pair.image is None else str(pair.image.resolve())
    files = str(pair.reference.resolve()), str(pair.prediction.resolve()), image
    return ScoredCase(pair.id, *files, diagonal=result.diagonal)


def _notes(results: Sequence[PairResult], folders: PairedFolders) -> list[str]:
    """What is worth reading, a line for each kind of note with its cases."""
    cases_of: dict[str, list[str]] = {}
    for result in results:
        for note in result.notes:
            cases_of.setdefault(note, []).append(result.id)
    unlocated = [result.id for result in results if not result.located]
    if unlocated and len(unlocated) < len(results):
        cases_of["without voxel size, so its distances are in voxels beside others in mm"] = unlocated
    if folders.unmatched_predictions:
        cases_of["prediction without reference, left out"] = list(folders.unmatched_predictions)
    if folders.unmatched_references:
        cases_of["reference without prediction, left out"] = list(folders.unmatched_references)
    return [f"{note}: {listed(cases)}" for note, cases in cases_of.items()]
