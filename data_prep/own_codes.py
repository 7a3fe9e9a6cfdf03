"""What the codes of anybody's labels mean: the source's code and the name of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mednoisy.data.images import listed
from mednoisy.data.mask_greys import WHITE, FolderGreys, greys_of_folder
from mednoisy.errors import UserError

from .own_labels import LABEL_CODES, LabelReading, pictured
from .own_sources import Source
from .own_survey import Findings

BACKGROUND = "background"
CLASSES_AT_MOST = 255  # that 8 bits hold, one number kept for what is ignored
IGNORED_AS = 255


@dataclass(frozen=True)
class Classes:
    """The classes of a dataset.

    Attributes:
        codes: the source's code of each class, in the order of classes, 0 first.
        names: by number of the class.
        ignored_as: what prepared labels hold where the source marks what nobody looked at; None where it does not.
        white: whether the second class is the white of pictures, which is read as 1.
    """

    codes: tuple[int, ...]
    names: dict[int, str]
    ignored_as: int | None = None
    white: bool = False

    @property
    def source_codes(self) -> tuple[int, ...]:
        """The codes, if they are others than the numbers of classes."""
        return () if self.codes == tuple(range(len(self.codes))) else self.codes


def named(words: Sequence[str]) -> tuple[dict[int, str], tuple[str, ...]]:
    """Names by code (`4=tumour`), and names in order, as `--names` has them separated by commas.

    Raises:
        UserError: E257, both ways at once, a code twice or a name twice.
    """
    parts = [part.strip() for word in words for part in word.split(",") if part.strip()]
    coded = [part.split("=", 1) for part in parts if "=" in part]
    if coded and (len(coded) < len(parts) or not all(code.strip().isdecimal() for code, _ in coded)):
        cause = f"--names {' '.join(words)} names some classes by their code only, or by something that is no code"
        raise UserError("E257", cause, "Write all as CODE=NAME, or all names in the order of their codes")
    names = [name.strip() for _, name in coded] or parts
    codes = [int(code) for code, _ in coded]
    if len({*names}) < len(names) or len({*codes}) < len(codes):
        raise UserError("E257", f"--names {' '.join(words)} has a name or a code twice", "Name each class once")
    return dict(zip(codes, names, strict=True)) if coded else {}, () if coded else tuple(parts)


def reading_of(source: Source, names: Mapping[int, str], workers: int) -> LabelReading:
    """How the labels of a source are read; what white means is decided for all pictures together."""
    files = [case.labels for case in source.cases if case.labels]
    greys: tuple[FolderGreys | None, ...] = (None,)
    if files and pictured(files[0]):
        greys = tuple(
            greys_of_folder([Path(of[number]) for of in files], ignore=source.ignore, workers=workers)
            for number in range(len(files[0]))
        )
    codes = tuple(sorted({0, *names})) if names else ()
    white = greys[0].white if greys[0] else WHITE
    if {*codes} - {0} in ({1}, {white}) or not (files and pictured(files[0])):
        codes = ()  # two classes are read as they are found, and what volumes hold is compared later, all at once
    return LabelReading(bool(source.classes), codes, source.ignore, greys)


def classes_of_source(
    source: Source,
    findings: Mapping[str, Findings],
    reading: LabelReading,
    by_code: Mapping[int, str],
    in_order: Sequence[str],
) -> Classes:
    """The classes of all labels together.

    Args:
        source, findings, reading: of the labels.
        by_code, in_order: names that the user or the source states, one of the two.

    Raises:
        UserError: E257, codes that no name has, another number of names than of classes, or too many classes.
    """
    found = sorted({0, *(code for one in findings.values() for code in one.codes)} - {*source.ignore})
    if source.classes:
        names = [BACKGROUND, *source.classes]
        return Classes(tuple(range(len(names))), dict(enumerate(names)))
    white = _white(findings, reading)
    declared = dict(by_code)
    if white is not None and {*declared} - {0} in ({1}, {white}):
        in_order = [declared.get(0, BACKGROUND), declared[max(declared)]]
        declared = {}
    if declared:
        known = {0: BACKGROUND} | declared
        allowed = {*known, *source.ignore}
        strange = {case: sorted({*one.codes} - allowed) for case, one in findings.items() if {*one.codes} - allowed}
        if texts := [f"{case} ({listed([str(code) for code in codes])})" for case, codes in strange.items()]:
            cause = f"labels hold codes without a name: {listed(texts)}; names are there for {sorted(known)}"
            raise UserError("E257", cause, "Name them by --names CODE=NAME, or leave them out by --ignore CODE")
        codes, names = sorted(known), [known[code] for code in sorted(known)]
    else:
        codes = found if any(one.codes for one in findings.values()) else list(range(max(len(in_order), 2)))
        names = _in_order(codes, in_order, white)
    if len(codes) > CLASSES_AT_MOST:
        cause = f"labels hold {len(codes)} codes ({listed([str(code) for code in codes], 4)})"
        raise UserError("E257", cause, f"At most {CLASSES_AT_MOST} classes can be learned; are these label maps?")
    stored = codes if white is None else [0, white]
    classes = Classes(tuple(stored), dict(enumerate(names)), white=white is not None)
    if not source.ignore:
        return classes
    own = source.ignore[0]
    return replace(classes, ignored_as=own if len(codes) <= own <= IGNORED_AS else IGNORED_AS)


def _in_order(codes: Sequence[int], names: Sequence[str], white: int | None) -> list[str]:
    """A name for each code; without names they are called by their codes."""
    if not names:
        return [BACKGROUND, *(f"label {code}" for code in codes[1:])]
    if len(names) == len(codes) - 1 and names[0].casefold() != BACKGROUND:
        return [BACKGROUND, *names]
    if len(names) != len(codes):
        found = [0, white] if white is not None else codes
        cause = f"{len(names)} names ({listed(list(names))}) for the codes {listed([str(code) for code in found], 20)}"
        raise UserError("E257", cause, f"Name each code once. {LABEL_CODES}")
    return list(names)


def _white(findings: Mapping[str, Findings], reading: LabelReading) -> int | None:
    """The grey that was read as class 1; None where none was."""
    pictures = [one for one in findings.values() if one.codes and one.picture]
    if not pictures or reading.codes or max(max(one.codes) for one in pictures) != 1:
        return None
    return reading.greys[0].white if reading.greys[0] else WHITE  # JPEG keeps nothing but black and white
