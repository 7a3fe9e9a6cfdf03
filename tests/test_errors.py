"""One line that names the case, the cause and the cure."""

from __future__ import annotations

import pickle

from mednoisy.errors import UserError, did_you_mean, user_error_behind


def test_a_user_error_is_one_line():
    fault = UserError("E204", "image is 160x160x88,\nlabel is 160x160x87", "Drop\tthe case", case="A12")
    assert str(fault) == "E204 case 'A12': image is 160x160x88, label is 160x160x87. Drop the case."
    assert fault.exit_code == 2
    assert str(UserError("E100", "unknown", "Ask")) == "E100 unknown. Ask."


def test_it_survives_the_way_back_from_a_worker():
    fault = UserError("E204", "cause", "Cure", case="A12", exit_code=1)
    back = pickle.loads(pickle.dumps(fault))
    assert (str(back), back.case, back.exit_code, back.code) == (str(fault), "A12", 1, "E204")


def test_the_nearest_name_comes_first():
    assert did_you_mean("sdlc", ["bcp", "sdcl"]) == "Did you mean 'sdcl'? Known: bcp, sdcl"
    assert did_you_mean("zzz", ["bcp", "sdcl"]) == "Known: bcp, sdcl"


def test_the_users_fault_is_found_behind_what_wraps_it():
    fault, outer = UserError("E204", "cause", "Cure"), RuntimeError("wrapped")
    outer.__cause__ = fault
    assert user_error_behind(outer) is fault
    assert user_error_behind(ValueError("mine")) is None
    assert user_error_behind(None) is None


def test_a_line_cannot_turn_the_text_round():
    """U+202E lets a terminal show what follows from right to left."""
    assert "a\\u202eb" in str(UserError("E401", "a\u202eb", "Mend it"))
    assert str(UserError("E401", "a\u202eb", "Mend it")).isprintable()
