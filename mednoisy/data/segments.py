"""Label maps of viewers: which class a value stands for, by the names of their segments. No torch here."""

from __future__ import annotations

from collections.abc import Sequence

from mednoisy.errors import UserError, did_you_mean


def codes_of_segments(
    listed: object, names: Sequence[str], values: Sequence[float], case: str
) -> dict[int, int] | None:
    """The class code of each value in a client's label map, by the names of its segments.

    3D Slicer sends `[{"name": "atrium", "idx": 2}]` where `idx` is the segment's place in the scene; the file holds
    places in this list, from 1. Only where its values are no such places is `idx` the value.

    Args:
        listed: `label_info` of the client; None or empty: the values are class codes.
        names: of the codes 0 (background) to K-1.
        values: that occur in the file.

    Returns:
        None where values are class codes.

    Raises:
        UserError: E575, a name that is no class, or values that fit no list.
    """
    if not listed:
        return None
    if not isinstance(listed, list) or not all(isinstance(each, dict) and "name" in each for each in listed):
        cause = "label_info is no list of segments, each with a name"
        raise UserError("E575", cause, 'Send [{"name": "...", "idx": 1}], or leave it out', case=case)
    by_name = {name.casefold(): code for code, name in enumerate(names)}
    codes = [by_name.get(str(each["name"]).strip().casefold()) for each in listed]
    for each, code in zip(listed, codes, strict=True):
        if code is None:
            cure = f"Rename it, or remove it. {did_you_mean(str(each['name']), names[1:])}"
            raise UserError("E575", f"the segment {each['name']!r} is no class of this server", cure, case=case)
    found = {int(value) for value in values if value}
    places = dict(enumerate(codes, 1))
    indices = {each.get("idx"): code for each, code in zip(listed, codes, strict=True) if _is_number(each.get("idx"))}
    for table in (places, indices):
        if found <= table.keys():
            return {0: 0, **{value: int(table[value] or 0) for value in found}}
    strange = sorted(found - places.keys())
    cause = f"the label map holds {', '.join(map(str, strange))}, and {len(listed)} segments are named"
    raise UserError("E575", cause, "Name every segment in label_info, in order", case=case)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)
