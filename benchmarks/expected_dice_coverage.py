"""How often intervals of expected Dice hold the truth where nothing but chance is against them.

    python benchmarks/expected_dice_coverage.py [--calibrations 2000]

Simulated cases: agreement and the error of Dice are normal, of a patient's volumes correlated; new patients are drawn
as those calibrated on were. Prints, for volumes counted as cases and as parts of a patient: what is claimed, what new
volumes are held on average over calibrations, and what 19 of 20 calibrations hold at least. So that what is left of a
gap on real cases is known to come from elsewhere.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np

from mednoisy.active.expected_quality import UNLUCKY, Calibration

NEW = 50  # patients whose volumes are to be held, for each calibration
SETTINGS = ((20, 1, 0.0), (10, 2, 0.0), (10, 2, 0.5), (10, 2, 0.8), (10, 2, 1.0), (20, 2, 0.8), (8, 1, 0.0))


def drawn(patients: int, volumes: int, alike: float, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Agreements and Dices of all volumes; errors grow as agreement falls, and Dice is below it by .1 on average."""

    def normal() -> np.ndarray:
        shared = np.repeat(random.normal(size=patients), volumes)
        return np.sqrt(alike) * shared + np.sqrt(1 - alike) * random.normal(size=patients * volumes)

    agreements = np.clip(0.65 + 0.12 * normal(), 0, 1)
    errors = (0.02 + 0.3 * (1 - agreements)) * normal()
    return agreements, np.clip(agreements - 0.1 + errors, 0, 1)


def held(calibration: Calibration, agreements: np.ndarray, dices: np.ndarray) -> float:
    """The share of new volumes whose Dice lies in its interval."""
    expected = [calibration.expected(float(agreed)) for agreed in agreements]
    inside = [
        one.low is not None and one.high is not None and one.low <= dice <= one.high
        for one, dice in zip(expected, dices, strict=True)
    ]
    return float(np.mean(inside))


def row(patients: int, volumes: int, alike: float, calibrations: int) -> str:
    """A line of the table."""
    random, claims = np.random.default_rng(0), dict[str, str]()
    shares: dict[str, list[float]] = {"volumes": [], "patients": []}
    for _ in range(calibrations):
        known, new = drawn(patients, volumes, alike, random), drawn(NEW, volumes, alike, random)
        whose = {"volumes": None, "patients": [f"{number // volumes}" for number in range(patients * volumes)]}
        for name, names in whose.items():
            calibration = Calibration.fitted(known[0].tolist(), known[1].tolist(), names)
            shares[name].append(held(calibration, *new))
            claims[name] = calibration.expected(0.5).cover
    cells = [f"{patients} x {volumes}", f"{alike:.1f}"]
    for name in shares:
        least = np.quantile(shares[name], UNLUCKY)
        cells += [claims[name], f"{100 * float(np.mean(shares[name])):.1f}", f"{100 * float(least):.0f}"]
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit code."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--calibrations", type=int, default=2000)
    options = parser.parse_args(arguments)
    print("| patients x volumes | alike | volumes claim | hold % | least % | patients claim | hold % | least % |")
    print("| --- | ---: | --- | ---: | ---: | --- | ---: | ---: |")
    for setting in SETTINGS:
        print(row(*setting, options.calibrations), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
