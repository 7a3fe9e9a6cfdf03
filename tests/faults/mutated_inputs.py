"""Give every command inputs that somebody could have written by mistake, or in order to break it.

    python -m tests.faults.mutated_inputs --folder WORK --count 200      # of each kind of input

Mutated are the datalist, `--set` values, a dataset's overlay and a study's file, the files of a finished run that
commands read (configuration, facts, summary, tables), and the tables from which a dataset is prepared. An attempt ends
as it should with exit code 0, 1 or 2, without a traceback, within `COMPUTED` seconds of a processor's time and `MEMORY`
bytes; what is refused is told in one line that a terminal can show. A training that has begun, because the input was
sound, may be cut off. Plots are drawn by `report` and `compare` alone, from the same files.
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from mednoisy.data.images import write_picture
from tests.blank_plots import blank_plots
from tests.faults.forked import Ended, load_everything, run_forked
from tests.faults.mutations import MUTATIONS, setting
from tests.small_runs import small_dataset, train_arguments

COMPUTED = 30  # seconds
PATIENCE = 20.0 * COMPUTED  # on a machine that does other things besides
MEMORY = 8 * 2**30
ENDS = ("done", "in part", "refused", "cut off", "fault")
OVERLAY = {
    "dataset_name": "discs",
    "label_names": ["background", "disc"],
    "patch_size": [16, 16, 16],
    "batch_size": 2,
    "width": 2,
    "learning_rate": 0.001,
    "network_def": {"_target_": "mednoisy.networks.UNet", "spatial_dims": 3},
}
STUDY = {
    "bundle": "phantom",
    "rows": [{"method": "supervised", "recipe": "published", "name": "plain", "settings": {"batch_size": 2}}],
    "labeled": [2],
    "seeds": [0],
    "steps": 2,
    "validation": 0,
    "settings": {"width": 2, "patch_size": [16, 16, 16], "stride": [16, 16, 16], "coarse_stride": [16, 16, 16]},
}
Arguments = Callable[[Path], list[str]]  # of the folder in which the attempt works


@dataclass(frozen=True)
class Input:
    """A kind of input.

    Attributes:
        name: what it is called in the table.
        file: the mutated file, from the folder of an attempt; None where an argument is.
        commands: that read it; one is drawn.
    """

    name: str
    file: str | None
    commands: tuple[Arguments, ...]


def fault_of(ended: Ended) -> str:
    """What is wrong about how a command ended; empty if nothing."""
    if "Traceback (most recent call last)" in ended.output:
        return "traceback: " + ended.output.strip().splitlines()[-1][:200]
    if is_cut_off(ended):
        return "" if has_begun(ended) else f"no end after {ended.computed:.0f} s of computing"
    if ended.code not in (0, 1, 2):
        return f"exit {ended.code}: {ended.output[-200:]}"
    refusals = [line for line in ended.lines if line.startswith("mednoisy: E")]
    if ended.code == 2 and not refusals:
        return f"refused without a line: {ended.output[-300:]}"
    if shown := [line for line in ended.lines if not line.isprintable()]:
        return f"a line that steers a terminal: {shown[0][:200]!r}"
    return ""


def is_cut_off(ended: Ended) -> bool:
    """Whether it was ended for taking too long."""
    return ended.code in (None, -signal.SIGXCPU)


def has_begun(ended: Ended) -> bool:
    """Whether a training was at work: its bar of progress is there."""
    return "step/s" in ended.output or "s/step" in ended.output


def end_of(ended: Ended) -> str:
    """Its name in the table."""
    if fault_of(ended):
        return "fault"
    return "cut off" if is_cut_off(ended) else ENDS[ended.code or 0]


def limit() -> None:
    """Memory and computing of the fork that calls it."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (COMPUTED, COMPUTED + 5))


def attempt(kind: Input, base: Path, work: Path, seed: str) -> tuple[Ended, str]:
    """Mutate an input in a copy of `base`, run a command on it; how it ended, and what was tried."""
    draw = random.Random(seed)
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(base, work)
    arguments = draw.choice(kind.commands)(work)
    if kind.file is None:
        ids = sorted(yaml.safe_load((base / "run" / "config.yaml").read_text()))
        arguments += [word for _ in range(draw.choice([1, 1, 2])) for word in ("--set", setting(ids, draw))]
    else:
        path = work / kind.file
        path.write_bytes(MUTATIONS[path.suffix](path.read_bytes(), draw))
    with nullcontext() if arguments[0] in ("report", "compare") else blank_plots():
        ended = run_forked(arguments, work.with_suffix(".log"), before=limit, patience=PATIENCE)
    return ended, " ".join(arguments)[:400]


def campaign(folder: Path, count: int, seed: int, names: list[str] | None = None) -> list[str]:
    """Try so many of each kind; prints counts; what did not end as it should."""
    faults: list[str] = []
    with blank_plots():
        base = prepared(folder)
    print("input", *ENDS, "longest", sep="\t")
    for kind in INPUTS:
        if names and kind.name not in names:
            continue
        counts, longest = Counter(dict.fromkeys(ENDS, 0)), 0.0
        for number in range(count):
            ended, tried = attempt(kind, base, folder / "work", f"{seed} {kind.name} {number}")
            counts[end_of(ended)] += 1
            if end_of(ended) != "cut off":
                longest = max(longest, ended.computed)
            if fault := fault_of(ended):
                faults.append(f"{kind.name} {number}: {fault}\n    {tried}")
                print(faults[-1], flush=True)
        print(kind.name, *(counts[end] for end in ENDS), f"{longest:.1f} s", sep="\t", flush=True)
    return faults


def prepared(folder: Path) -> Path:
    """The sound inputs: a dataset, two runs on it, an overlay, a study, a query, pictures to be prepared."""
    base = folder / "base"
    if (base / "ready").exists():
        return base
    shutil.rmtree(base, ignore_errors=True)
    small_dataset(base / "data")
    for name in ("run", "other"):
        more = ("--method", "noisy_student", "--steps", "4") if name == "other" else ("--method", "supervised")
        ended = run_forked(train_arguments(base / "data", base / name, *more), folder / "log")
        if ended.code:
            raise RuntimeError(f"no run to begin with: {ended.output}")
    (base / "overlay.yaml").write_text(yaml.safe_dump(OVERLAY, sort_keys=False))
    (base / "study.yaml").write_text(yaml.safe_dump(STUDY, sort_keys=False))
    _pictures(base / "raw")
    ended = run_forked(["prepare", "dermoscopy", str(base / "raw"), str(base / "prepared")], folder / "log")
    if ended.code:
        raise RuntimeError(f"nothing prepared to begin with: {ended.output}")
    for words in (
        _study(base, "study"),
        ["query", str(base / "run"), "--budget", "1", "--strategy", "entropy", "--output", str(base / "query")],
    ):
        ended = run_forked(words, folder / "log")
        if ended.code:
            raise RuntimeError(f"{words[0]}: {ended.output}")
    shutil.copytree(base / "query" / "pre_annotations", base / "corrected")
    (base / "ready").touch()
    return base


def _pictures(raw: Path) -> None:
    draw = np.random.default_rng(0)
    for case in "abcd":
        write_picture(raw / "images" / f"{case}.png", draw.integers(0, 255, (24, 24, 3), dtype=np.uint8))
        write_picture(raw / "masks" / f"{case}.png", draw.integers(0, 2, (24, 24)) > 0)
    (raw / "split.json").write_text('{"train": ["a", "b"], "val": ["c"], "test": ["d"]}')
    (raw / "cases.csv").write_text("id,centre,sequence\na,K1,1\nb,K1,2\nc,K2,1\nd,K3,1\n")


def _train(*more: str) -> Arguments:
    """A training of two steps on the dataset of an attempt."""

    def arguments(work: Path) -> list[str]:
        words = [word.format(work) for word in more]
        return train_arguments(work / "data", work / "out", "--method", "supervised", *words)

    return arguments


def _with_overlay(work: Path) -> list[str]:
    where = ["train", "phantom", "--data", str(work / "data"), "--output", str(work / "out"), "--device", "cpu"]
    settings = ["--set", "stride=[16, 16, 16]", "--set", "coarse_stride=[16, 16, 16]"]
    return [*where, "--method", "supervised", "--steps", "2", "--dataset", str(work / "overlay.yaml"), *settings]


def _study(work: Path, output: str = "out") -> list[str]:
    return ["study", "--file", str(work / "study.yaml"), "--data", str(work / "data"), "--output", str(work / output)]


def _annotate(work: Path) -> list[str]:
    folders = [str(work / "query"), str(work / "corrected"), "--data", str(work / "data")]
    return ["annotate", *folders, "--output", str(work / "out")]


def _prepare(dataset: str) -> Arguments:
    return lambda work: ["prepare", dataset, str(work / "raw"), str(work / "out")]


def _on_run(command: str, *more: str, other: bool = False) -> Arguments:
    """A command on the finished run of an attempt."""
    return lambda work: [
        *(command, str(work / "run")),
        *([str(work / "other")] if other else []),
        *(word.format(work) for word in more),
    ]


REPORT = _on_run("report", "--output", "{}/page.html")
COMPARE = _on_run("compare", "--output", "{}/page.html", other=True)
PREDICT = _on_run("predict", "{}/data/images/test_000.nii.gz", "--device", "cpu", "--output", "{}/out")
EVALUATE = _on_run("evaluate", "--device", "cpu")
RESUME = lambda work: ["train", "--resume", str(work / "run")]  # noqa: E731
READ_BY_ALL = (REPORT, COMPARE, PREDICT, EVALUATE, RESUME)
OF_ROUNDS: tuple[Arguments, ...] = (
    lambda work: ["report", str(work / "other"), "--output", str(work / "page.html")],
    lambda work: ["train", "--resume", str(work / "other")],
)
INPUTS = (
    Input("datalist", "data/datalist.json", (_train(), EVALUATE)),
    Input("set", None, (_train(),)),
    Input("overlay", "overlay.yaml", (_with_overlay,)),
    Input("study", "study.yaml", (_study,)),
    Input("config.yaml", "run/config.yaml", (PREDICT, EVALUATE, RESUME)),
    Input("run.json", "run/run.json", READ_BY_ALL),
    Input("summary.json", "run/summary.json", READ_BY_ALL),
    Input("training_data.json", "run/training_data.json", (PREDICT,)),
    Input("labels.json", "run/labels.json", (EVALUATE, RESUME)),
    Input("metrics.csv", "run/metrics.csv", (REPORT, COMPARE)),
    Input("progress.csv", "run/progress.csv", (REPORT, COMPARE, RESUME)),
    Input("scores.csv", "run/scores.csv", (REPORT, COMPARE, RESUME)),
    *(
        Input(f"round's {name}", f"other/rounds/student1/{name}", OF_ROUNDS)
        for name in ("round.json", "datalist.json", "cases.csv")
    ),
    Input("study.json", "study/study.json", (lambda work: _study(work, "study"),)),
    Input("query.json", "query/query.json", (_annotate,)),
    Input(
        ".prepared.json",
        "prepared/.prepared.json",
        (lambda work: ["prepare", "dermoscopy", str(work / "raw"), str(work / "prepared")],),
    ),
    Input("split.json", "raw/split.json", (_prepare("dermoscopy"), _prepare("polyp"))),
    Input("cases.csv", "raw/cases.csv", (_prepare("dermoscopy"), _prepare("polyp"))),
)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--count", type=int, default=200, help="of each kind of input (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", help="kinds of input by name")
    given = parser.parse_args()
    where = given.folder.resolve()
    where.mkdir(parents=True, exist_ok=True)
    load_everything()
    sys.exit(1 if campaign(where, given.count, given.seed, given.only) else 0)
