"""Errors that an entry of the configuration caused, or a name that is none, told as such."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mednoisy.composition.catalogue import PAGE, bundles_folder, known
from mednoisy.composition.config_files import SEPARATOR, Config, read_config
from mednoisy.composition.stacking import about
from mednoisy.errors import UserError, did_you_mean, user_error_behind

CURE = "Correct it (--set ID=VALUE)"
OWN = str(Path(__file__).parents[1])
READERS = (str(Path("monai") / "bundle"), str(Path("monai", "utils", "module.py")))  # read configs, build components


@contextmanager
def telling_values() -> Iterator[None]:
    """Around work with a configuration: what one of its values causes is told as such.

    Raises:
        UserError: one that MONAI has wrapped, or E107 as `at_fault` has it; all else is raised as it is.
    """
    try:
        yield
    except Exception as fault:
        mendable = user_error_behind(fault) or at_fault(fault)
        if mendable is None or mendable is fault:
            raise
        raise mendable from fault


def at_fault(fault: BaseException) -> UserError | None:
    """E107 where a value of the configuration led to `fault`; None where something else did.

    So it is where a component refuses an argument (ValueError, TypeError), where an expression fails in its own words
    or in a call that they make to another library, and where MONAI cannot read an entry.
    """
    chain = list(_chain(fault))
    first = chain[-1]
    component = re.match("Failed to instantiate component '([^']*)'", str(fault))
    if component and isinstance(first, ValueError):
        return _refused(str(first))
    if component and isinstance(first, TypeError):
        return _refused(f"{component[1]}: {first}")  # Python's own words name no entry
    transform = re.match("applying transform (.*)", str(chain[-2])) if len(chain) > 1 else None
    if transform and isinstance(first, TypeError) and str(first).endswith("object is not callable"):
        return _refused(f"{transform[1]} is no transform")
    steps = [origin for frame in traceback.extract_tb(first.__traceback__) if (origin := _origin(frame))]
    if not steps or steps[-1] == "own":
        return None
    if steps[-1] == "expression":
        written = re.search("ConfigExpression:\\s*(.*)", str(chain[-2]), re.S) if "own" not in steps else None
        return _refused(f"{_as_written(written[1])}: {first}" if written else str(first))
    readable = next((each for each in chain if not str(each).startswith("Failed to")), first)
    return _refused(str(readable.args[0] if readable.args else readable).rstrip("."))


def unknown_entry(key: str, config: Config, ids: Sequence[str]) -> UserError:
    """The refusal of an override that names no entry, with the bundles and methods that have it, or ids nearby."""
    owners = _with_entry(key) if key not in config and SEPARATOR.split(key)[0] not in config else []
    cure = f"It is an entry of {', '.join(owners)}" if owners else did_you_mean(key, ids)
    return UserError("E103", f"the configuration has no entry {key!r}", cure)


def without_effect(key: str, config: Config) -> UserError:
    """The refusal of an override of an entry to which nothing refers."""
    of_run = f"method {config.get('method_name')!r} and recipe {config.get('recipe_name')!r}"
    cause = f"nothing in this configuration, of {of_run}, refers to {key!r}"
    return UserError("E103", cause, "Drop it, or choose a method, recipe or network that has a use for it")


def _with_entry(key: str) -> list[str]:
    """Names of the bundles and methods whose parts have an entry."""
    folder, top = bundles_folder(), SEPARATOR.split(key)[0]
    kinds = {name: str(about(folder / name)["kind"]) for name in known("bundle")}
    files = {name: [folder / name / PAGE, folder / "kinds" / f"{kind}.yaml"] for name, kind in kinds.items()}
    files |= {name: [folder / "methods" / f"{name}.yaml"] for name in known("method")}
    return [name for name, paths in files.items() if any(top in read_config(path) for path in paths)]


def _refused(why: str) -> UserError:
    return UserError("E107", f"a value of the configuration is refused: {why}", CURE)


def _chain(fault: BaseException | None) -> Iterator[BaseException]:
    """The fault and what caused it, the first cause last."""
    while fault is not None:
        yield fault
        fault = fault.__cause__


def _origin(frame: traceback.FrameSummary) -> str | None:
    """Whose a step towards an error was; None of other libraries."""
    if frame.filename == "<string>":
        return "expression"
    if any(reader in frame.filename for reader in READERS):
        return "reader"
    return "own" if frame.filename.startswith(OWN) else None


def _as_written(expression: str) -> str:
    """An expression as MONAI prints it, with its references as a config has them."""
    with_ids = re.sub(r"__local_refs\['([^']*)'\]", r"@\1", expression.strip("\"'"))
    return with_ids.replace("::", "#")
