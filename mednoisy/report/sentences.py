"""How figures are put into words and digits, so that a page says what was measured and no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mednoisy.report.reading.runs import Run

OVERLAPS = {"dice": "Dice", "jaccard": "Jaccard", "nsd": "NSD"}  # shown in percent
DISTANCES = {"hd95": "HD95", "asd": "ASD", "assd": "ASSD", "masd": "MASD", "hd": "HD"}
VOLUMES = {"volume_prediction": "Predicted", "volume_reference": "Reference"}
NAMES = OVERLAPS | DISTANCES | VOLUMES
CHECKPOINTS = {
    "honest": "the best on validation cases that are in no other section",
    "final": "the last one, without any choice",
    "published": "chosen as the published code does: the best on the test cases themselves, so it flatters",
    "given": "label maps from elsewhere, scored as they are",
}
NOT_IN_THE_LIST = ("title",)


def meaning(checkpoint: str, runs: Sequence[Run]) -> str:
    """How a checkpoint was chosen; without validation cases the last one stands in for the honest one."""
    if checkpoint == "honest" and all(run.facts.get("validation") == 0 for run in runs):
        return "the last one here: there were no validation cases to choose by"
    return CHECKPOINTS[checkpoint]


def heading(metric: str, unit: str, volume_unit: str = "ml") -> str:
    """A metric's name with its unit."""
    return f"{NAMES.get(metric, metric)} {'%' if metric in OVERLAPS else volume_unit if metric in VOLUMES else unit}"


def volume_unit(run: Run) -> str:
    """What volumes are counted in: ml, areas of pictures in the square of their unit."""
    if str(run.facts.get("axes", 3)) == "2" or run.unit == "pixel":
        return f"{run.unit}²"
    return "ml" if run.unit == "mm" else "thousand voxels"


def number(value: float | None, metric: str, *, signed: bool = False) -> str:
    """A value as tables show it: overlaps in percent with one decimal, all else with two; – if undefined."""
    if value is None or value != value:
        return "–"
    scaled, decimals = (100 * value, 1) if metric in OVERLAPS else (value, 0 if abs(value) >= 1000 else 2)
    text = f"{scaled:+.{decimals}f}" if signed else f"{scaled:.{decimals}f}"
    return text.replace("-", "−")


def interval(ends: list[float] | None, metric: str, *, signed: bool = False) -> str:
    """Both ends of an interval; nothing if there is none."""
    return (
        "" if ends is None else f"{number(ends[0], metric, signed=signed)} to {number(ends[1], metric, signed=signed)}"
    )


def probability(p: float | None) -> str:
    """A p value."""
    return "–" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def share(value: float | None) -> str:
    """A share in whole per cent."""
    return "–" if value is None else f"{100 * value:.0f} %"


def rank(value: float) -> str:
    """A rank; runs of equal mean may share one, such as 1.5."""
    return f"{value:g}"


def duration(seconds: float | None) -> str:
    """Seconds as hours, minutes and seconds, the two largest."""
    if seconds is None:
        return "–"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _noun(run: Run) -> str:
    return f"{run.facts.get('scored_section', 'test')} case" if "method" in run.facts else "case"


def counted(count: int, noun: str) -> str:
    """A count with its noun: `1 case`, `8 cases`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def nothing_scored(run: Run) -> str:
    """One sentence about a run without figures."""
    return f"There was nothing to score in {run.name}: the label maps hold no class."


def standing(run: Run, figures: Mapping, unit: str) -> str:
    """One sentence that says where a run stands."""
    if not figures["cases"]:
        return nothing_scored(run)
    dice, hd95 = figures["all"]["dice"], figures["all"]["hd95"]
    within = f" (95 % interval of the mean {interval(dice['interval'], 'dice')})" if dice["interval"] else ""
    over = f" over {counted(dice['n'], _noun(run))}"
    sentence = f"{run.name} reaches a mean Dice of {number(dice['mean'], 'dice')} %{within}{over}"
    if hd95["mean"] is not None:
        sentence += f", with a mean HD95 of {number(hd95['mean'], 'hd95')} {unit}"
    missed = dice["undefined"] + hd95["undefined"]
    return sentence + (f"; {counted(missed, 'value')} undefined and left out of the means." if missed else ".")


def verdict(run: Run, baseline: Run, difference: Mapping) -> str:
    """One sentence that says which of two runs is ahead in Dice, by how much, and how sure that is."""
    for either in (run, baseline):
        if not either.metrics:
            return nothing_scored(either)
    gap, n = difference["difference"], difference["n"]
    if gap is None:
        return f"{run.name} and {baseline.name} have no case with a defined Dice in common."
    points = f"{abs(100 * gap):.1f}"
    if points == "0.0":
        sentence = f"{run.name} is level with {baseline.name} on {counted(n, _noun(run))}"
    else:
        side = "ahead of" if gap > 0 else "behind"
        sentence = f"{run.name} is {side} {baseline.name} by {points} Dice points on {counted(n, _noun(run))}"
    details = [f"better on {difference['better']} of {n}"]
    ends = difference["interval"]
    if ends is not None:
        details.append(f"95 % interval {interval(ends, 'dice', signed=True)}")
    sentence += f" ({', '.join(details)})"
    if ends is not None and ends[0] <= 0 <= ends[1] and points != "0.0":
        sentence += "; the interval holds 0, so these cases do not settle which is better"
    return sentence + "."


def fact(value: object) -> str:
    """A fact of a run as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return (
            " × ".join(fact(part) for part in value)
            if value and isinstance(value[0], int | float)
            else ", ".join(fact(part) for part in value)
        )
    if isinstance(value, dict):
        return ", ".join(f"{name}: {fact(part)}" for name, part in value.items())
    return "–" if value is None else f"{value:,}".replace(",", "\u202f") if isinstance(value, int) else str(value)
