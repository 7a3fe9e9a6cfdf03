"""The Dice to expect of what a run predicts where there is no reference, by how far its own opinions agree."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor, nn
from tqdm import tqdm

from mednoisy.active.expected_quality import Calibration, Expected, agreement
from mednoisy.active.members import Members
from mednoisy.active.pool import query_draw
from mednoisy.data.datalist_checks import Case, patient_of
from mednoisy.engines.run_folder import folds_of
from mednoisy.errors import REFUSED, UserError
from mednoisy.evaluation.read_finished_run import read_finished_run
from mednoisy.files import write_text
from mednoisy.inference.sliding_window import SlidingWindow
from mednoisy.networks.ensemble import MeanEnsemble
from mednoisy.report.reading.expected_dices import COLUMNS, FILE
from mednoisy.runs.opened_run import OpenedRun, opened_run


@dataclass(frozen=True)
class ExpectedCase:
    """What is to be expected of one case.

    Attributes:
        case: its id.
        classes: by name of the foreground class.
        agreements: of the opinions, by name of the class, before calibration.
    """

    case: str
    classes: Mapping[str, Expected]
    agreements: Mapping[str, float]

    @property
    def dice(self) -> float:
        """Mean over classes."""
        return float(np.mean([expected.dice for expected in self.classes.values()]))


def expected_dice(
    folder: Path | str,
    cases: Sequence[Case],
    *,
    trust: bool = False,
    device: str | None = None,
    on_fault: Callable[[UserError], None] | None = None,
) -> list[ExpectedCase]:
    """Expected Dice of each class of each case, the lowest mean first.

    Opinions are those of the members of what is deployed (SDCL's two students) or, of a single network, of the image
    as it is and flipped along each axis; of folds each network has its own, and their agreements are averaged. They
    are compared on the network's grid, at the stride of validation. From agreement to Dice leads what the run's own
    scored cases tell, which no network that is asked about them was trained on: those held out of the folds, or the
    test cases (validation cases where there are none). So it is the Dice of one network that is expected; several
    together are as a rule better.

    Args:
        folder: of a finished run.
        cases: `id` and `image` of each.
        trust, device: see `opened_run`.
        on_fault: is given why a case is left out, and the others go on; None: the first such case ends it.

    Raises:
        UserError: as `opened_run`; E396, no scored case to calibrate by; E509, a pretext; E2xx, an unreadable image.
    """
    run = opened_run(folder, trust=trust, device=device)
    if run.deployed is None:
        raise UserError("E509", f"{folder} is the run of a pretext, which predicts nothing", "Give a run that segments")
    names = {code: name for code, name in read_finished_run(run.folder).summary.labels.items() if code}
    calibrations = _calibrations(run, sorted(names))
    networks, found = _networks(run), []
    for case in tqdm(cases, desc="expect", unit="case", disable=None):
        try:
            image = run.image(case)
        except UserError as fault:
            if on_fault is None or fault.exit_code != REFUSED:
                raise
            on_fault(fault)
            continue
        each = [_agreements(network, image, run, sorted(names)) for network in networks]
        mean = {code: float(np.mean([of_one[code] for of_one in each])) for code in names}
        classes = {name: calibrations[code].expected(mean[code]) for code, name in names.items()}
        found.append(ExpectedCase(case["id"], classes, {name: mean[code] for code, name in names.items()}))
    return sorted(found, key=lambda expected: (expected.dice, expected.case))


def check_expectable(folder: Path | str) -> None:
    """Refuse a run of which nothing can be expected, before anything is predicted.

    Raises:
        UserError: E396, it has scored no case that could tell how good its agreement is; E402, it is not finished.
    """
    if not read_finished_run(folder).summary.cases:
        cause = f"{folder} has scored no case, so nothing tells how good its predictions are"
        raise UserError("E396", cause, "Train with --folds, or drop --expected-dice")


def write_expected_dice(folder: Path, found: Sequence[ExpectedCase]) -> Path:
    """Write `expected_dice.csv`, a row for each case and class, in the order given; its path."""
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(COLUMNS)
    for of_case in found:
        for name, expected in of_case.classes.items():
            ends = ["" if end is None else f"{end:.4f}" for end in (expected.low, expected.high)]
            agreed = f"{of_case.agreements[name]:.4f}"
            table.writerow([of_case.case, name, f"{expected.dice:.4f}", *ends, expected.cover, agreed])
    write_text(folder / FILE, stream.getvalue())
    return folder / FILE


def _networks(run: OpenedRun) -> list[nn.Module]:
    """Those whose opinions are asked, each apart: of every fold, or the deployed one."""
    return list(run.peers["folds"].values()) if "folds" in run.peers else [run.network]


def _calibrations(run: OpenedRun, codes: Sequence[int]) -> dict[int, Calibration]:
    """For each class, from the cases that each network was scored on and had not learned from."""
    pairs: dict[int, list[tuple[float, float, str]]] = {code: [] for code in codes}
    folders = folds_of(run.folder) or [run.folder]
    listed = {case["id"]: case for name in ("labeled", "test", "validation") for case in run.datalist.cases(name)}
    for folder, network in zip(folders, _networks(run), strict=True):
        dices = {(str(row["case"]), int(row["class"])): float(row["dice"]) for row in read_finished_run(folder).metrics}
        for name in tqdm(dict.fromkeys(case for case, _ in dices), desc="calibrate", unit="case", disable=None):
            agreed = _agreements(network, run.image(listed[name]), run, codes)
            for code in codes:
                pairs[code].append((agreed[code], dices.get((name, code), math.nan), patient_of(listed[name])))
    return {
        code: Calibration.fitted(
            [agreed for agreed, _, _ in of_class],
            [dice for _, dice, _ in of_class],
            [patient for _, _, patient in of_class],
        )
        for code, of_class in pairs.items()
    }


def _agreements(network: nn.Module, image: Tensor, run: OpenedRun, codes: Sequence[int]) -> dict[int, float]:
    """Of the opinions on one image, by class."""
    inferer: SlidingWindow = run.parser.get_parsed_content("validate#inferer")
    draw = query_draw(0, 0)  # neither kind draws
    if isinstance(network, MeanEnsemble) and len(network.members) > 1:
        opinions = Members("students", {str(n): each for n, each in enumerate(network.members)}, draw)
    else:
        opinions = Members("flips", {"it": network}, draw)
    labels = opinions.probabilities(image, inferer, "").argmax(dim=1).numpy()
    return {code: agreement(list(labels), code) for code in codes}
