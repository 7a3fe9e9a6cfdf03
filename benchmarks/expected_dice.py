"""How well expected Dice tells good predictions from bad ones, on hidden references, beside plain entropy.

    python benchmarks/expected_dice.py RUN... [--cases N] [--device cpu]

Of every unlabeled case with a hidden reference: the Dice that `predict --expected-dice` expects, the mean entropy of
the network's prediction, over all voxels and over predicted foreground, and the true Dice on the grid of the file; of
a cross-validated run the means over its networks. Prints a table in Markdown: Spearman's rank correlation of each with
the true Dice, its area under the risk-coverage curve (1 is perfect, 0 as good as chance), how many intervals hold the
truth, how many were to, their width, and the mean error. No case that is shown here calibrates anything.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import nn
from tqdm import tqdm

from mednoisy.active.expected_quality import area_under_risk_coverage
from mednoisy.active.uncertainty_maps import entropy, mean, over_foreground
from mednoisy.data.datalist_checks import Case
from mednoisy.data.ignored_voxels import without_ignored
from mednoisy.data.label_maps import ignored_codes, read_reference, stored_codes
from mednoisy.errors import UserError
from mednoisy.evaluation.overlap import dice_by_class
from mednoisy.inference.prediction import predict_case
from mednoisy.runs.expected_dice import ExpectedCase, expected_dice
from mednoisy.runs.opened_run import OpenedRun, opened_run


@dataclass(frozen=True)
class Judged:
    """A case of which both is known.

    Attributes:
        expected: what `expected_dice` tells.
        dices: true Dice by class name, NaN where prediction and reference lack the class.
        doubts: mean entropy over all voxels, and over predicted foreground.
    """

    expected: ExpectedCase
    dices: dict[str, float]
    doubts: tuple[float, float]

    @property
    def dice(self) -> float:
        """Mean over the classes that are there; NaN where none is."""
        known = [value for value in self.dices.values() if value == value]
        return float(np.mean(known)) if known else float("nan")


def judged(folder: Path, count: int | None, device: str) -> list[Judged]:
    """`count` cases of a run that have a hidden reference, from all over its list; None for all.

    The first ones may be of a kind: lists are sorted by patients' numbers, which may follow clinics or diseases.

    Raises:
        UserError: as `expected_dice`; E517, there is none.
    """
    run = opened_run(folder, device=device)
    cases = spread(run.datalist.cases("hidden"), count)
    if not cases:
        cause = f"{folder} hides no reference to compare with"
        raise UserError("E517", cause, "Train with --labeled N on a dataset of which more cases are labeled")
    expected = {one.case: one for one in expected_dice(folder, cases, device=device)}
    networks = list(run.peers["folds"].values()) if "folds" in run.peers else [run.network]
    return [_judged(run, networks, case, expected[case["id"]]) for case in tqdm(cases, desc="judge", disable=None)]


def spread(cases: Sequence[Case], count: int | None) -> list[Case]:
    """`count` cases at even distances in their list; all where there are no more."""
    if count is None or count >= len(cases):
        return list(cases)
    return [cases[number * len(cases) // count] for number in range(count)]


def _judged(run: OpenedRun, networks: Sequence[nn.Module], case: Case, expected: ExpectedCase) -> Judged:
    names, codes = list(expected.classes), range(1, len(expected.classes) + 1)
    reference = read_reference(
        case["label"], {0, *codes}, ignore=ignored_codes(case), stored=stored_codes(case), case=case["id"]
    ).array
    image = run.image(case)
    dices, doubts = [], []
    for network in networks:
        predicted = predict_case(case, {"it": network}, run.preprocessing, run.inferer, run.device).labels["it"]
        known = without_ignored(predicted.reshape(reference.shape), reference)
        dices.append(dice_by_class(known, np.where(reference > len(names), 0, reference), codes))
        scores = run.inferer.scores_of_all(image[None], {"it": network})["it"].cpu()
        doubt, labels = entropy(scores), scores[0].argmax(dim=0)
        doubts.append((mean(doubt, labels), over_foreground(doubt, labels)))
    of_classes = torch.tensor(np.asarray(dices, float)).nanmean(dim=0).tolist()
    of_all, of_foreground = np.mean(doubts, axis=0).tolist()
    return Judged(expected, dict(zip(names, of_classes, strict=True)), (of_all, of_foreground))


def table(name: str, found: Sequence[Judged]) -> list[str]:
    """Lines of Markdown for one run."""
    found = [case for case in found if case.dice == case.dice]
    truth = [case.dice for case in found]
    lines = [f"{name}: {len(found)} cases, mean Dice {100 * float(np.mean(truth)):.1f}", ""]
    lines += ["| confidence | Spearman | risk-coverage |", "| --- | ---: | ---: |"]
    confidences = {
        "expected Dice": [case.expected.dice for case in found],
        "less entropy, all voxels": [-case.doubts[0] for case in found],
        "less entropy, predicted foreground": [-case.doubts[1] for case in found],
    }
    for words, values in confidences.items():
        ranks, area = spearmanr(values, truth).statistic, area_under_risk_coverage(values, truth)["normalised"]
        lines.append(f"| {words} | {ranks:.2f} | {area:.2f} |")
    lines += ["", "| class | Spearman | intervals that hold | should hold | mean width | mean error |"]
    lines += ["| --- | ---: | ---: | --- | ---: | ---: |"]
    lines += [_of_class(label, found) for label in found[0].dices]
    return lines


def _of_class(label: str, found: Sequence[Judged]) -> str:
    pairs = [(case.expected.classes[label], case.dices[label]) for case in found]
    pairs = [(expected, dice) for expected, dice in pairs if dice == dice]
    ranks = spearmanr([expected.dice for expected, _ in pairs], [dice for _, dice in pairs]).statistic
    bounded = [(one.low, one.high, dice) for one, dice in pairs if one.low is not None and one.high is not None]
    held = sum(low <= dice <= high for low, high, dice in bounded)
    width = 100 * float(np.mean([high - low for low, high, _ in bounded])) if bounded else float("nan")
    error = 100 * float(np.mean([abs(one.dice - dice) for one, dice in pairs]))
    share = f"{held} of {len(bounded)}" if bounded else "–"
    return f"| {label} | {ranks:.2f} | {share} | {pairs[0][0].cover} | {width:.1f} | {error:.1f} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table for each run; the exit code."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="RUN", type=Path, help="finished runs with hidden references")
    parser.add_argument("--cases", type=int, help="how many of each run, from all over its list (default: all)")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)
    try:
        for folder in options.runs:
            print("\n".join(table(folder.name, judged(folder, options.cases, options.device))), flush=True)
            print()
    except UserError as fault:
        print(f"expected_dice: {fault}", file=sys.stderr)
        return fault.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
