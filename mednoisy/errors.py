"""What a user can cause: one line that names the case, the cause and the cure.

Codes: E1xx command line and configuration, E2xx data, E3xx runs and checkpoints, E4xx evaluation, E5xx
pretexts, queries and the annotation server.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping

DONE, DONE_IN_PART, REFUSED = 0, 1, 2  # the exit codes of every command


class UserError(Exception):
    """A fault that the user can mend, told in one line: `E204 case 'A12': cause. cure.`

    Args:
        code: `E` and three digits, see the module's docstring.
        cause: what was found and what was wanted, without a full stop.
        cure: what to do about it, a sentence without a full stop.
        case: id of the case concerned, if there is one.
        exit_code: 2 where nothing was done, 1 where a part was.
    """

    def __init__(self, code: str, cause: str, cure: str, *, case: str | None = None, exit_code: int = REFUSED):
        self.code, self.cause, self.cure, self.case, self.exit_code = code, cause, cure, case, exit_code
        of_case = f" case {case!r}:" if case is not None else ""
        super().__init__(f"{code}{of_case} {_in_a_line(cause)}. {_in_a_line(cure)}.")

    def __reduce__(
        self,
    ) -> tuple[Callable[..., UserError], tuple[object, ...]]:  # so that it survives the way back from a worker process
        return _rebuild, (self.code, self.cause, self.cure, self.case, self.exit_code)


def _in_a_line(text: str) -> str:
    """The text without line breaks; what would steer a terminal or turn text round, or has no sign, is spelt out."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in " ".join(text.split()))


def _rebuild(code: str, cause: str, cure: str, case: str | None, exit_code: int) -> UserError:
    return UserError(code, cause, cure, case=case, exit_code=exit_code)


def kept_fault(facts: Mapping[str, str | None]) -> UserError:
    """A refusal that a file has kept: its `code`, `cause`, `cure` and `case`."""
    texts = {name: facts.get(name) or "" for name in ("code", "cause", "cure")}
    return _rebuild(texts["code"], texts["cause"], texts["cure"], facts.get("case"), REFUSED)


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """The cure for an unknown name: the nearest one where there is one, then all of them."""
    options = sorted(options)
    near = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    return (f"Did you mean {near[0]!r}? " if near else "") + f"Known: {', '.join(options)}"


def user_error_behind(fault: BaseException | None) -> UserError | None:
    """The fault of the user that led to `fault`, if there is one: MONAI wraps what its components raise."""
    while fault is not None and not isinstance(fault, UserError):
        fault = fault.__cause__
    return fault


def check_whole(name: str, value: object, least: int) -> None:
    """Refuse what is no whole number from `least` on; for arguments that a configuration may set.

    Raises:
        ValueError: naming it, which the command line tells as E107.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} is {value!r}; it must be a whole number from {least} on")
