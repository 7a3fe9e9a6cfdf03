"""Which image and which label are one case, by what their names share; pure functions of names."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mednoisy.data.datalist_checks import LONGEST_ID, NO_TEXT
from mednoisy.data.file_matching import best_match
from mednoisy.data.images import listed
from mednoisy.errors import UserError

TOKEN = re.compile(r"[^\W\d_]+|\d+")  # a word or a number
SHORTENED = LONGEST_ID - 20  # bytes that are kept of a name that is too long for a file
WAYS_OUT = "Name what one side adds (--image-affix MR, --label-affix seg), or the case (--pattern 'Patient (\\d+)')"
Files = TypeVar("Files")


@dataclass(frozen=True)
class Rule:
    """What the user says of names.

    Attributes:
        pattern: a regular expression that is searched in the names of both sides; its group `id`, else its first one,
            else all that it finds is the case.
        image_affixes, label_affixes: cut off the beginning or the end of a side's names.
    """

    pattern: str | None = None
    image_affixes: tuple[str, ...] = ()
    label_affixes: tuple[str, ...] = ()

    @property
    def given(self) -> bool:
        """Whether names are taken as the user says, and nothing is looked for."""
        return bool(self.pattern or self.image_affixes or self.label_affixes)


@dataclass(frozen=True)
class Name:
    """A file's name as words and numbers, and which of them tell it from the others of its side: from `start` on,
    before `end`."""

    text: str
    tokens: tuple[str, ...]
    start: int
    end: int

    @property
    def core(self) -> tuple[str, ...]:
        return self.tokens[self.start : self.end]

    def part(self, before: int, after: int) -> str:
        """The text of the core with so many further tokens on either side."""
        spans = [match.span() for match in TOKEN.finditer(self.text)]
        return self.text[spans[self.start - before][0] : spans[self.end - 1 + after][1]]


def pair(
    images: Mapping[str, Files], labels: Mapping[str, Path], rule: Rule
) -> tuple[dict[str, tuple[Files, Path | None]], str]:
    """Image and label (None where there is none) of each case by its id, and how names were understood, empty if as is.

    Names that are equal on both sides, folders included, pair. Else the words and numbers that all names of a side
    begin or end with are left away, and the rest must be equal, or be the one image's rest that a label's name holds.

    Raises:
        UserError: E255, all names listed that fit nothing, or more than one.
    """
    if rule.given:
        of_images = _named(images, rule.pattern, rule.image_affixes, "images")
        of_labels = _named(labels, rule.pattern, rule.label_affixes, "labels")
        _refuse_lonely(of_labels, of_images)
        return _joined(of_images, {name: name for name in of_labels}, of_labels), ""
    alike = _exact(images, labels)
    if alike is not None:
        return alike, ""
    names, of_label = _by_core(list(images), list(labels))
    before, after = _shared_beside(names, of_label)
    ids = {name: one.part(before, after) for name, one in names.items()}
    if len({*ids.values()}) < len(ids):
        raise _ambiguous("images", ids)
    pairs = {ids[image]: label for label, image in ((one.text, image) for one, image in of_label.items())}
    first, label = next(iter(sorted((image, one.text) for one, image in of_label.items())))
    note = f"{len(of_label)} labels pair with images by what names share: {first!r} with {label!r} is {ids[first]!r}"
    return _joined({ids[name]: images[name] for name in images}, pairs, labels), note


def _exact(images: Mapping[str, Files], labels: Mapping[str, Path]) -> dict[str, tuple[Files, Path | None]] | None:
    """The cases where every label is called as an image is; None elsewhere."""
    first, second = best_match(images, labels)  # type: ignore[arg-type]
    if second.keys() <= first.keys():
        return {name: (first[name], second.get(name)) for name in first}  # type: ignore[misc]
    return None


def _joined(
    images: Mapping[str, Files], label_of: Mapping[str, str], labels: Mapping[str, Path]
) -> dict[str, tuple[Files, Path | None]]:
    return {name: (images[name], labels[label_of[name]] if name in label_of else None) for name in images}


def _named(files: Mapping[str, Files], pattern: str | None, affixes: Sequence[str], side: str) -> dict[str, Files]:
    """Files by case, as the user's rule has it."""
    found: dict[str, str] = {}
    for name in files:
        text = name
        if pattern is not None:
            match = re.search(pattern, name)
            if match is None:
                cause = f"{listed([one for one in files if not re.search(pattern, one)])} of the {side} have no match"
                raise UserError("E255", f"--pattern {pattern!r}: {cause}", "Write a pattern that all names have")
            groups = match.groupdict()
            text = groups.get("id") or next((group for group in match.groups() if group), match.group())
        found[name] = _without(text, affixes)
    if len({*found.values()}) < len(found):
        raise _ambiguous(side, found)
    return {case: files[name] for name, case in found.items()}


def _without(name: str, affixes: Sequence[str]) -> str:
    for affix in sorted(affixes, key=len, reverse=True):
        for shorter in (name.removesuffix(affix), name.removeprefix(affix)):
            if shorter != name and shorter.strip(" _-."):
                return shorter.strip(" _-.")
    return name


def _refuse_lonely(labels: Mapping[str, object], images: Mapping[str, object]) -> None:
    if lonely := sorted(labels.keys() - images.keys()):
        beside = listed(sorted(images.keys() - labels.keys()), 3) or "none"
        raise UserError("E255", f"labels without image: {listed(lonely)}; images without label: {beside}", WAYS_OUT)


def _ambiguous(side: str, ids: Mapping[str, str]) -> UserError:
    """Several files of a side that would be one case, all of them listed."""
    of_case: dict[str, list[str]] = {}
    for name, case in ids.items():
        of_case.setdefault(case, []).append(name)
    texts = [f"{', '.join(names)} ({case!r})" for case, names in sorted(of_case.items()) if len(names) > 1]
    return UserError("E255", f"several {side} would be one case: {listed(texts)}", f"Keep one of each. {WAYS_OUT}")


def _by_core(images: Sequence[str], labels: Sequence[str]) -> tuple[dict[str, Name], dict[Name, str]]:
    """The images' names, and the image of each label's.

    Raises:
        UserError: E255.
    """
    of_images = {name.text: name for name in _cores(images)}
    if len(images) == 1:
        of_images = {images[0]: _shared_run(images[0], labels)}
    cores: dict[tuple[str, ...], list[str]] = {}
    for name in of_images.values():
        cores.setdefault(name.core, []).append(name.text)
    if twice := {text: " ".join(core) for core, texts in cores.items() if len(texts) > 1 for text in texts}:
        raise _ambiguous("images", twice)
    found: dict[Name, str] = {}
    wrong: list[str] = []
    for label in _cores(labels):
        equal = cores.get(label.core, [])
        held = [(core, name) for core, (name,) in cores.items() if _place(core, label.tokens) is not None]
        longest = max((len(core) for core, _ in held), default=0)
        within = [name for core, name in held if len(core) == longest]
        candidates = {*equal, *within} if len(within) == 1 and len(labels) > 1 else {*(equal or within)}
        if len(candidates) != 1:
            wrong.append(f"{label.text!r} ({listed(sorted(candidates), 4) if candidates else 'no image'})")
            continue
        image = candidates.pop()
        start = _place(of_images[image].core, label.tokens)
        assert start is not None  # equal cores lie within, too
        found[Name(label.text, label.tokens, start, start + len(of_images[image].core))] = image
    if wrong:
        raise UserError("E255", f"labels that fit no image, or several: {listed(wrong)}", WAYS_OUT)
    taken = {name.text: image for name, image in found.items()}
    if len({*taken.values()}) < len(taken):
        raise _ambiguous("labels", taken)
    return of_images, found


def _cores(names: Sequence[str]) -> list[Name]:
    """Names without the tokens with which all of them begin or end."""
    tokens = {name: tuple(token.casefold() for token in TOKEN.findall(name)) for name in names}
    if wordless := [name for name in names if not tokens[name]]:
        raise UserError("E255", f"names without a letter or a digit: {listed(wordless)}", "Rename the files")
    shortest = min(len(one) for one in tokens.values())
    first, last = (_common([one[::step] for one in tokens.values()]) for step in (1, -1))
    if len(names) == 1:
        return [Name(names[0], tokens[names[0]], 0, len(tokens[names[0]]))]
    start = min(first, shortest - 1)
    end = min(last, shortest - 1 - start)
    return [Name(name, tokens[name], start, len(tokens[name]) - end) for name in names]


def _common(tokens: Sequence[Sequence[str]]) -> int:
    """How many tokens all begin with."""
    same = [len({*ones}) == 1 for ones in zip(*tokens, strict=False)]
    return same.index(False) if False in same else len(same)


def _shared_run(image: str, labels: Sequence[str]) -> Name:
    """A lone image's name, of which the longest run of tokens that a label's name has is the core."""
    tokens = tuple(token.casefold() for token in TOKEN.findall(image))
    of_labels = [tuple(token.casefold() for token in TOKEN.findall(label)) for label in labels]
    runs = [(start, end) for start in range(len(tokens)) for end in range(len(tokens), start, -1)]
    shared = [run for run in runs if any(_place(tokens[run[0] : run[1]], label) is not None for label in of_labels)]
    start, end = max(shared, key=lambda run: run[1] - run[0], default=(0, len(tokens)))
    return Name(image, tokens, start, end)


def _place(part: Sequence[str], tokens: Sequence[str]) -> int | None:
    """Where a run of tokens begins among others; None where it is not there."""
    places = range(len(tokens) - len(part) + 1)
    return next((place for place in places if tuple(tokens[place : place + len(part)]) == tuple(part)), None)


def _shared_beside(images: Mapping[str, Name], of_label: Mapping[Name, str]) -> tuple[int, int]:
    """How many tokens before and after the core every label shares with its image: they are part of the case's id."""
    before: list[int] = []
    after: list[int] = []
    for label, image in of_label.items():
        name = images[image]
        heads = zip(reversed(name.tokens[: name.start]), reversed(label.tokens[: label.start]), strict=False)
        tails = zip(name.tokens[name.end :], label.tokens[label.end :], strict=False)
        for counts, pairs in ((before, heads), (after, tails)):
            same = [one == other for one, other in pairs]
            counts.append(same.index(False) if False in same else len(same))
    return min(before), min(after)


def safe_ids(names: Sequence[str]) -> dict[str, str]:
    """An id for each name that a file can have: blanks and slashes become `_`, what is too long is cut and numbered.

    Raises:
        UserError: E255, two names would have one id.
    """
    ids = {name: _safe(name) for name in names}
    folded = {name: case.casefold() for name, case in ids.items()}  # some file systems know no capital letters
    if len({*folded.values()}) < len(folded):
        raise _ambiguous("files", folded)
    return ids


def _safe(name: str) -> str:
    text = unicodedata.normalize("NFC", name)
    text = "".join("_" if one in "/\\:" or unicodedata.category(one) in NO_TEXT else one for one in text)
    text = re.sub(r"\s+", "_", text.strip()).lstrip(".") or "case"
    if len(text.encode()) <= LONGEST_ID:
        return text
    kept = text.encode()[:SHORTENED].decode(errors="ignore")
    return f"{kept}_{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}"
