"""Numbers as pages and tables show them: digits, signs, units of time, and – where there is none."""

from __future__ import annotations

from collections.abc import Sequence

from mednoisy.report.metric_names import OVERLAPS

UNDEFINED = "–"


def number(value: float | None, metric: str, *, signed: bool = False) -> str:
    """A metric's value: overlaps in percent with one decimal, all else with two; – if undefined."""
    if metric in OVERLAPS:
        return percent(value, signed=signed)
    return _decimals(value, 2 if value is None or abs(value) < 1000 else 0, signed=signed)


def percent(value: float | None, *, signed: bool = False) -> str:
    """A share from 0 to 1 in per cent with one decimal and without the sign of per cent; – if undefined."""
    return _decimals(None if value is None else 100 * value, 1, signed=signed)


def coefficient(value: float | None) -> str:
    """A coefficient of correlation, from −1 to 1; – if undefined."""
    return _decimals(value, 2)


def _decimals(value: float | None, decimals: int, *, signed: bool = False) -> str:
    if value is None or value != value:  # NaN differs from itself
        return UNDEFINED
    return (f"{value:+.{decimals}f}" if signed else f"{value:.{decimals}f}").replace("-", "−")


def signed_number(value: float) -> str:
    """About three digits with a sign."""
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return _decimals(value, decimals, signed=True)


def interval(ends: Sequence[float] | None, metric: str, *, signed: bool = False) -> str:
    """Both ends of a metric's interval; nothing if there is none."""
    return "" if ends is None else " to ".join(number(end, metric, signed=signed) for end in ends)


def rank_interval(ends: Sequence[float] | None) -> str:
    """Both ends of an interval of ranks; nothing if there is none."""
    return "" if ends is None else " to ".join(rank(end) for end in ends)


def probability(p: float | None) -> str:
    """A p value with three decimals."""
    return UNDEFINED if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def share(value: float | None) -> str:
    """A share from 0 to 1 in whole per cent: `87 %`."""
    return UNDEFINED if value is None else f"{100 * value:.0f} %"


def rank(value: float) -> str:
    """A rank; runs of equal mean may share one, such as 1.5."""
    return f"{value:g}"


def counted(count: int, noun: str) -> str:
    """A count with its noun: `1 case`, `8 cases`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def duration(seconds: float | None) -> str:
    """Seconds as hours, minutes and seconds, the two largest."""
    if seconds is None:
        return UNDEFINED
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def fact(value: object) -> str:
    """A fact of a run as text: numbers of a list with × between them, names with commas."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f")
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        between = " × " if value and isinstance(value[0], int | float) else ", "
        return between.join(fact(part) for part in value)
    if isinstance(value, dict):
        return ", ".join(f"{name}: {fact(part)}" for name, part in value.items())
    return UNDEFINED if value is None else str(value)
