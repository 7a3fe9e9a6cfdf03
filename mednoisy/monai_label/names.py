"""What may name a study, a tag or a session in a request: a plain name, never a way to another folder."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mednoisy.data.datalist_checks import LONGEST_ID
from mednoisy.errors import UserError, did_you_mean
from mednoisy.monai_label.studies import Study

TAG = re.compile(r"[A-Za-z0-9_-]{1,64}")
SESSION = re.compile(r"[0-9a-f-]{36}")
FINAL, ORIGINAL = "final", "original"
CURE = "Give the id as /datastore/ lists it, without a folder"


def checked_id(name: object) -> str:
    """A study's id.

    Raises:
        UserError: E572, it is a path, hidden, too long, or no text.
    """
    if not isinstance(name, str) or not name:
        raise UserError("E572", f"{name!r} is no id of a study", CURE)
    if "/" in name or "\\" in name or name.startswith(".") or not name.isprintable() or ".." in name.split("."):
        raise UserError("E572", f"{name!r} is a path, no id of a study", CURE)
    if len(name.encode()) > LONGEST_ID:
        raise UserError("E572", f"an id of {len(name.encode())} bytes is too long", f"Use up to {LONGEST_ID}")
    return name


def checked_tag(tag: object) -> str:
    """A tag of labels: `final`, `original`, or a viewer's own for versions.

    Raises:
        UserError: E572, it is no plain name.
    """
    if not isinstance(tag, str) or TAG.fullmatch(tag) is None:
        cause = f"{tag!r} is no tag: letters, digits, '-' and '_', up to 64"
        raise UserError("E572", cause, f"Use {FINAL}, {ORIGINAL} or a plain name")
    return tag


def checked_session(name: object) -> str:
    """A session's id.

    Raises:
        UserError: E572, it is none that the server gives out.
    """
    if not isinstance(name, str) or SESSION.fullmatch(name) is None:
        raise UserError("E572", f"{name!r} is no id of a session", "Upload the image to a new one")
    return name


def known_study(studies: Sequence[Study], name: object) -> Study:
    """The study of an id.

    Raises:
        UserError: E571, there is none; E572, as `checked_id`.
    """
    by_id = {study.id: study for study in studies}
    if checked_id(name) not in by_id:
        near = did_you_mean(str(name), by_id) if len(by_id) <= 20 else "See /datastore/?output=all for those there are"
        raise UserError("E571", f"there is no study {name!r}", near)
    return by_id[str(name)]
