"""Command lines drawn from the parser itself: every command and option, with values that fit and values that do not."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
from hypothesis import strategies as st

from mednoisy.argument_parser import Parser
from mednoisy.cli import COMMANDS
from mednoisy.cli.arguments import count, label, length, number, replaced_code

# No slash, so that nothing is written elsewhere; an argument of a process holds no NUL. Half a surrogate pair stands
# for a byte that is no UTF-8.
TEXTS = st.text(st.characters(exclude_characters="/\0~"), max_size=8)
NUMBERS = st.one_of(st.integers(-2, 10), st.integers(), st.floats()).map(str)
PLACES = (
    "absent",
    "absent/below",
    "text.txt",
    "text.txt/below",
    "empty",
    "maps",
    "maps/a.nii",
    "halves",
    "a#b",
    ".",
    "",
)
WORDS = (
    "0",
    "1",
    "2=liver",
    "1=2",
    "=",
    "1=",
    "--",
    "-",
    "-1",
    "1e5",
    "\u0663",
    "sdcl:strong",
    "width=2",
    "width",
    "#=1",
)
JUNK = st.one_of(TEXTS, NUMBERS, st.sampled_from(WORDS), st.sampled_from(PLACES))
SETTINGS = st.builds("{}={}".format, st.sampled_from(("width", "batch_size", "schedule", "dice", "a#b", "")), JUNK)
FITTING: dict[object, tuple[str, ...]] = {
    count: ("1", "2"),
    number: ("0", "1"),
    length: ("0", "0.5"),
    label: ("1", "1=liver"),
    replaced_code: ("1=2", "2=0"),
}
PLACE = "PLACE"  # stands for one of `PLACES`
OPENINGS = {  # what each command needs, so that it comes as far as its files
    "demo": (["--output", "text.txt/demo"],),  # else it would work for minutes
    "train": (["phantom", "--data", PLACE, "--output", PLACE], [PLACE, "--resume"]),
    "evaluate": (["--predictions", PLACE, "--references", PLACE, "--output", PLACE, "--workers", "1"], [PLACE]),
    "compare": ([PLACE, PLACE],),
    "predict": ([PLACE, PLACE, "--output", PLACE],),
    "export": (
        [PLACE, PLACE, "--for", "monai-label"],
        [PLACE, PLACE, "--for", "torchscript"],
        [PLACE, PLACE, "--for", "zoo", "--url", "https://example.org/model.pt"],
    ),
    "query": (
        [PLACE, "--strategy", "random", "--budget", "1", "--output", PLACE],
        [PLACE, "--strategy", "random", "--budget", "1", "--output", PLACE, "--unit", "box", "--box", "4", "4", "4"],
    ),
    "annotate": ([PLACE, PLACE, "--data", PLACE, "--output", PLACE],),
    "label": (["--studies", PLACE, "--back"], ["--studies", PLACE, "--bundle", PLACE]),  # neither becomes a server
    "report": ([PLACE],),
    "study": (
        ["phantom", "--data", PLACE, "--output", PLACE, "--methods", "supervised", "--labeled", "1", "--steps", "1"],
        [
            "phantom",
            "--data",
            PLACE,
            "--output",
            PLACE,
            "--rows",
            PLACE,
            "--labeled",
            "1",
            "--steps",
            "1",
            "--starts",
            PLACE,
        ],
        ["--file", PLACE, "--data", PLACE, "--output", PLACE],
    ),
    "simulate": (
        ["phantom", "--data", PLACE, "--output", PLACE, "--strategies", "random", "--methods", "supervised"],
        ["--file", PLACE, "--data", PLACE, "--output", PLACE],
    ),
    "prepare": (
        *([name, PLACE, PLACE] for name in ("acdc", "dermoscopy", "left_atrium", "pancreas", "polyp", "isic2018")),
        ["own", "--images", PLACE, "--labels", PLACE, "--output", PLACE],
        ["phantom", PLACE, "--size", "8"],  # else files are written where the next command reads
    ),
    "inspect": ([PLACE], [PLACE, "--output", PLACE]),
    "bundle": (["new", PLACE, PLACE],),
    "check": (["no such bundle"],),  # else all of them are built
    "render": ([PLACE],),  # else files of the package are written
}
OPENED = ("demo", "check")  # which keep theirs


def clear(folder: Path) -> None:
    """Take away all that is in it."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def make_places(folder: Path) -> None:
    """What `PLACES` name."""
    for name in ("empty", "maps", "halves"):
        (folder / name).mkdir(parents=True)
    (folder / "text.txt").write_text("text")
    (folder / "halves" / "datalist.json").write_text('{"name": "halves", "labels": {"0": "background"')
    (folder / "halves" / "run.json").write_text("{}")
    (folder / "halves" / "config.yaml").write_text("a: [1")
    image = nibabel.Nifti1Image(np.arange(24, dtype=np.uint8).reshape(2, 3, 4) % 2, np.eye(4))
    nibabel.save(image, folder / "maps" / "a.nii")


def _values(action: argparse.Action) -> st.SearchStrategy[list[str]]:
    """The words behind an option; as many as it takes, mostly of the kind that it takes."""
    fitting = [str(choice) for choice in action.choices or FITTING.get(action.type, PLACES)]
    value = st.one_of(st.sampled_from(fitting), st.sampled_from(fitting), SETTINGS if action.dest == "set" else JUNK)
    least, most = {None: (1, 1), "+": (1, 3), 0: (0, 0)}.get(action.nargs, (0, 2))
    return st.lists(value, min_size=least, max_size=most)


def _with_option(action: argparse.Action, values: Sequence[str], joined: bool) -> list[str]:
    option = action.option_strings[-1]
    return [f"{option}={values[0]}", *values[1:]] if joined and values else [option, *values]


def _options(name: str) -> list[argparse.Action]:
    parser = Parser(prog=name)
    COMMANDS[name].add_arguments(parser)
    return [action for action in parser._actions if action.option_strings]


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """Arguments of `mednoisy`."""
    name = draw(st.sampled_from([*COMMANDS, *COMMANDS, "trian"]))
    if name not in COMMANDS:
        words = draw(st.lists(st.one_of(JUNK, st.sampled_from([*COMMANDS, "--version", "--help"])), max_size=4))
        return [word for word in words if word not in ("demo", "check")]
    opening = draw(st.sampled_from(OPENINGS[name]))
    words = [draw(st.sampled_from(PLACES)) if word == PLACE else word for word in opening]
    options = [action for action in _options(name) if action.dest != "help" or draw(st.integers(0, 4)) == 0]
    for action in draw(st.lists(st.sampled_from(options), max_size=3)) if options else ():
        if not (name == "demo" and action.dest == "output"):
            words += _with_option(action, draw(_values(action)), draw(st.booleans()))
    if name not in OPENED and draw(st.integers(0, 4)) == 0:
        words.insert(draw(st.integers(0, len(words))), draw(JUNK))
    if name not in OPENED and draw(st.integers(0, 9)) == 0:
        del words[draw(st.integers(0, len(words) - 1))]
    return [name, *words]
