"""What a datalist file must hold, and the refusal of everything else by file and entry."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mednoisy import text_files
from mednoisy.data.ignored_voxels import IGNORED
from mednoisy.errors import UserError, did_you_mean
from mednoisy.text_files import Unusable

SECTIONS = {  # what an entry of each section holds
    "labeled": ("id", "image", "label"),
    "unlabeled": ("id", "image"),
    "validation": ("id", "image", "label"),
    "test": ("id", "image", "label"),
    "hidden": ("id", "label"),
    "pseudo": ("id", "image", "label", "confidence"),
}
TRAINING = ("labeled", "unlabeled", "pseudo")
OPTIONAL = ("patient", "centre", "scene")  # what an entry of any section but `hidden` may hold too
PATHS = ("image", "label", "confidence")
TEXTS = ("name", "spacing_unit", "protocol", "split_digest", "label_files")
TABLES, CODES = ("channels", "labels"), "codes"
REGIONS = "regions"  # unions of classes that are scored besides the classes
IGNORE = "ignore"  # codes that labels and references may hold besides, whose voxels no loss and no figure counts
LABELED_BY_HAND = ("labeled", "validation", "test", "hidden")  # sections whose labels may hold them
Case = dict[str, str]
Regions = dict[str, dict[str, tuple[int, ...]]]  # name of a set to name of a region to the classes that it unites
CLASSES, SOURCE = "classes", "source"  # whose codes label files hold
LARGEST_CODE = 65535
LONGEST_ID = 200  # bytes; file systems take names of 255, of which endings need some
NO_TEXT = ("Cc", "Cs", "Zl", "Zp")  # Unicode's controls, halves of pairs, and separators of lines


def patient_of(case: Case) -> str:
    """Who a case shows; a case that does not say so is a patient of its own, called by its id."""
    return case.get("patient", case["id"])


def patients_of(cases: Sequence[Case]) -> list[str]:
    """Each patient once, in order."""
    return list(dict.fromkeys(patient_of(case) for case in cases))


def read_json(path: Path) -> dict[str, Any]:
    """The table of a JSON file (E210)."""
    if not path.is_file():
        raise UserError("E210", f"datalist {path} does not exist", "Prepare the dataset first, or mend the path")
    try:
        content = text_files.read_json(path)
    except Unusable as error:
        if isinstance(error.__cause__, OSError):
            raise UserError("E210", f"datalist {path} cannot be read: {error}", "Mend its permissions") from error
        raise UserError("E210", f"datalist {path} is no JSON: {error}", "Mend the file") from error
    if not isinstance(content, dict):
        raise UserError("E210", f"datalist {path} holds no table of sections", "Write one JSON object")
    return content


def check_keys(content: Mapping[str, Any], path: Path) -> None:
    """Refuse unknown keys, values of the wrong kind and keys that lack (E211)."""
    known = (*TEXTS, *TABLES, CODES, IGNORE, REGIONS, *SECTIONS)
    for key, value in content.items():
        if key not in known:
            raise UserError("E211", f"{path}: unknown section or key {key!r}", did_you_mean(key, known))
        wanted = list if key in (IGNORE, *SECTIONS) else dict if key in (*TABLES, CODES, REGIONS) else str
        if not isinstance(value, wanted):
            kind = {list: "a list of entries", dict: "a table", str: "a text"}[wanted]
            raise UserError("E211", f"{path}: {key!r} is not {kind}", f"Write {kind}")
    for key in ("name", "spacing_unit", *TABLES):
        value = content.get(key, "")
        for text in value.values() if isinstance(value, dict) else [value]:
            if strange := _no_text(text):
                raise UserError("E211", f"{path}: {key!r} holds the character {strange}", "Leave it out")
    for key in ("name", "channels", "labels"):
        if key not in content:
            raise UserError("E211", f"{path}: {key!r} is missing", "Add it")


def checked_table(content: Mapping[str, Any], key: str, path: Path) -> dict[int, str]:
    """`{"0": "background", "1": "atrium"}` with whole numbers as keys, from 0 (E212) and in 8 bits (E248)."""
    table = content[key]
    if sorted(table) != sorted(str(number) for number in range(len(table))) or not table:
        cause = f"{path}: {key!r} has the codes {', '.join(table) or '(none)'}"
        raise UserError("E212", cause, 'Number them "0", "1", "2" and so on, without a gap')
    if key == "labels" and len(table) > IGNORED:
        cause = f"{path}: {key!r} has {len(table)} codes; labels have 8 bits, of whose codes one marks what is ignored"
        raise UserError("E248", cause, f"Merge classes until there are {IGNORED} or fewer, background included")
    return {number: str(table[str(number)]) for number in range(len(table))}


def checked_ignore(content: Mapping[str, Any], labels: Mapping[int, str], path: Path) -> tuple[int, ...]:
    """The codes that are left out, as label files hold them: whole numbers that are no class (E212)."""
    codes = content.get(IGNORE, [])
    as_source = content.get("label_files") == SOURCE and CODES in content
    taken = content[CODES].values() if as_source else labels
    for code in codes:
        if not isinstance(code, int) or isinstance(code, bool) or code < 0 or code in taken:
            cause = f"{path}: {IGNORE!r} lists {code!r}, which is a class or no code"
            raise UserError("E212", cause, "List codes that no class has in label files, [255] for example")
    return tuple(sorted(set(codes)))


def checked_codes(content: Mapping[str, Any], labels: Mapping[int, str], path: Path) -> tuple[int, ...]:
    """The source's code of each class, in the order of classes; none where they are the class numbers (E254)."""
    table = content.get(CODES)
    if content.get("label_files", CLASSES) not in (CLASSES, SOURCE):
        cause = f"{path}: 'label_files' is {content['label_files']!r}"
        raise UserError("E254", cause, f"Write {CLASSES!r} or {SOURCE!r}: whose codes the listed label files hold")
    if table is None:
        return ()
    values = list(table.values())
    whole = all(isinstance(code, int) and not isinstance(code, bool) and 0 <= code <= LARGEST_CODE for code in values)
    if {*table} != {str(code) for code in labels} or not whole or len({*values}) < len(values) or table["0"] != 0:
        cause = f"{path}: {CODES!r} is {table}, not one code of the source for each class with 0 as the background"
        raise UserError("E254", cause, f"Give every class a whole code of its own up to {LARGEST_CODE}")
    codes = tuple(table[str(number)] for number in range(len(labels)))
    return () if codes == tuple(range(len(labels))) else codes


def checked_regions(content: Mapping[str, Any], labels: Mapping[int, str], path: Path) -> Regions:
    """`{"skin or not": {"not skin": [0, 1], "skin": [2, 3]}}`: sets of unions of classes, each with a name (E545)."""
    checked: Regions = {}
    for name, parts in content.get(REGIONS, {}).items():
        cure = 'Write for example {"skin or not": {"not skin": [0, 1], "skin": [2, 3]}}'
        if not isinstance(parts, dict) or not parts or not all(map(_is_list_of_codes, parts.values())):
            raise UserError("E545", f"{path}: the regions {name!r} are no table of lists of codes", cure)
        for part, codes in parts.items():
            if strange := _no_text(name) or _no_text(part):
                raise UserError("E545", f"{path}: {REGIONS!r} holds the character {strange}", "Leave it out")
            if unknown := [code for code in codes if code not in labels]:
                cause = f"{path}: the region {part!r} of {name!r} has the code {unknown[0]}, which `labels` has not"
                largest = len(labels) - 1
                raise UserError("E545", cause, f"Take codes from 0 to {largest}")
        checked[name] = {part: tuple(sorted(set(codes))) for part, codes in parts.items()}
    return checked


def _is_list_of_codes(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(code) is int for code in value)


def checked_entry(entry: Any, section: str, number: int, folder: Path, path: Path) -> Case:
    """An entry of a section, its paths absolute; `number` counts from 1 (E213)."""
    where, wanted = f"({path}, section {section!r}, entry {number})", SECTIONS[section]
    if not isinstance(entry, dict) or not all(isinstance(value, str) and value for value in entry.values()):
        cause = f"an entry is a table of non-empty texts, this one is not {where}"
        raise UserError("E213", cause, f"Give it the keys {', '.join(wanted)}")
    name = entry.get("id")
    if section == "unlabeled" and "label" in entry:
        cure = "Remove the key, or list the label in the section 'hidden'"
        raise UserError("E213", f"an unlabeled case has a label {where}", cure, case=name)
    known = wanted if section == "hidden" else (*wanted, *OPTIONAL)
    for key in entry:
        if key not in known:
            raise UserError("E213", f"unknown key {key!r} {where}", did_you_mean(key, known), case=name)
    for key in wanted:
        if key not in entry:
            raise UserError("E213", f"{key!r} is missing {where}", "Add it", case=name)
    for key, value in entry.items():
        if strange := _no_text(value):
            cause = f"{key!r} holds the character {strange} {where}"
            raise UserError("E213", cause, "Leave it out, and rename the file if it is in its name", case=name)
    if len(entry["id"].encode()) > LONGEST_ID:
        cause = f"the id has {len(entry['id'].encode())} bytes, a file's name has room for {LONGEST_ID} {where}"
        raise UserError("E213", cause, "Shorten it", case=f"{entry['id'][:20]}...")
    if "/" in entry["id"] or "\\" in entry["id"] or entry["id"].startswith("."):
        raise UserError("E213", f"the id cannot be a file's name {where}", "Use letters and digits", case=name)
    return {key: os.path.normpath(folder / value) if key in PATHS else value for key, value in entry.items()}


def _no_text(text: Any) -> str:
    """The first character that no line, table or file name can hold: NUL, line breaks, escape codes, half a pair."""
    return next((ascii(one) for one in str(text) if unicodedata.category(one) in NO_TEXT), "")


def check_patients(sections: Mapping[str, list[Case]], path: Path) -> None:
    """Refuse a patient in several of: what trains (labeled, unlabeled or pseudo-labeled), `validation`, `test`."""
    seen: dict[str, str] = {}
    for section in (*TRAINING, "validation", "test"):
        part = "training" if section in TRAINING else section
        for number, case in enumerate(sections[section], 1):
            patient = patient_of(case)
            other = seen.setdefault(patient, part)
            if other != part:
                cause = f"patient {patient!r} is in {other} and in {part} ({path}, section {section!r}, entry {number})"
                raise UserError("E226", cause, "Move all scans of a patient to one of them", case=case["id"])


def check_unique(sections: Mapping[str, list[Case]], path: Path) -> None:
    """Refuse a case or an image that is listed twice, and a hidden reference of no unlabeled or pseudo-labeled case."""
    seen: dict[str, tuple[str, int]] = {}
    images: dict[str, str] = {}
    for section in (*TRAINING, "validation", "test"):
        for number, case in enumerate(sections[section], 1):
            name, image = case["id"], case["image"]
            if name in seen:
                other, first = seen[name]
                twice = f"twice in {section!r}" if other == section else f"in {other!r} and in {section!r}"
                raise UserError("E207", f"is {twice} ({path}, entries {first} and {number})", "Remove one", case=name)
            if image in images:
                cause = f"its image is also that of {images[image]!r} ({path}, section {section!r}, entry {number})"
                raise UserError("E207", cause, "Remove one", case=name)
            seen[name], images[image] = (section, number), name
    unlabeled, hidden = {case["id"] for section in ("unlabeled", "pseudo") for case in sections[section]}, set()
    for number, case in enumerate(sections["hidden"], 1):
        if case["id"] not in unlabeled or case["id"] in hidden:
            fault = "is hidden twice" if case["id"] in hidden else "is hidden but not in 'unlabeled'"
            raise UserError("E214", f"{fault} ({path}, entry {number})", "Remove the entry", case=case["id"])
        hidden.add(case["id"])
