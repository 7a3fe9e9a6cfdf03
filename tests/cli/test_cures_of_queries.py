"""Cures followed: questions that cannot be answered, corrections that cannot be taken, predictions."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from mednoisy.cli import main
from mednoisy.data.images import read_image, write_nifti, write_picture
from tests.cli.test_cures import filled, refused, refused_with
from tests.folded_runs import arguments
from tests.small_queries import ids, query, train, write_pool
from tests.small_runs import SMALL_ARGUMENTS

NETWORK = {"_target_": "monai.networks.nets.UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2}
NO_ENCODER = f"network_def={NETWORK | {'channels': [4, 8], 'strides': [2]}}"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pools of scans and runs on them; what is `blind` has no hidden references."""
    folder = tmp_path_factory.mktemp("base")
    for name in ("data", "blind"):
        write_pool(folder / name, hidden=name == "data")
    for name, data, more in (
        ("run", "data", ()),
        ("seed1", "data", ("--seed", "1")),
        ("blind_run", "blind", ()),
    ):
        train(folder / data, folder / name, "supervised", None, *more)
    train(folder / "data", folder / "folds", "supervised", 2)
    words = arguments(folder / "data", folder / "pretext", "--validation", "0", folds=None, method="restoration")
    assert main(words) == 0
    words = arguments(folder / "data", folder / "no_encoder", "--validation", "0", folds=None, method="supervised")
    at = words.index("width=2")
    assert main([*words[: at - 1], *words[at + 1 :], "--set", NO_ENCODER]) == 0
    assert query(folder / "seed1", folder / "seed1_query", strategy="kcenter") == 0
    assert query(folder / "run", folder / "asked", budget=3) == 0
    (folder / "other.h5").write_text("no features")
    for place, sources in (("same", ("u1", "u1")), ("alike", ("u1", "u1", "u2"))):
        (folder / place).mkdir()
        for number, name in enumerate(sources):
            shutil.copy(folder / "data" / "images" / f"{name}.nii.gz", folder / place / f"s{number}.nii.gz")
    return folder


@pytest.fixture
def work(base, tmp_path, monkeypatch) -> Path:
    """Where commands are called: a folder with links to what `base` has."""
    for entry in base.iterdir():
        (tmp_path / entry.name).symlink_to(entry)
    monkeypatch.chdir(tmp_path)
    return tmp_path


NAMED = r"Did you mean '(\w+)'"
BUDGET = ["--budget", "<1>"]


@pytest.mark.parametrize(
    ("code", "source", "given", "cure", "to", "followed"),
    [
        ("E201", "run", ["--images", "nowhere"], "Correct --images", "run", ["--images", "data/images/u1.nii.gz", "--budget", "1"]),
        ("E393", "run", ["--images", "same", "--strategy", "kcenter"], r"Take (--strategy \w+)", "run", ["--images", "same", "<1>"]),
        ("E394", "run", ["--budget", "9"], r"Ask for 1 to (\d+)", "run", BUDGET),
        ("E394", "run", ["--budget", "9"], r"or for up to (\d+) with (--same-patient)", "run", [*BUDGET, "<2>"]),
        ("E394", "run", ["--budget", "5"], r"Ask for (\d+)", "run", BUDGET),
        ("E394", "run", ["--budget", "5"], r"or allow them with (--.*)\.$", "run", ["--budget", "5", "<1>"]),
        ("E394", "run", ["--images", "alike", "--budget", "3"], r"or allow them with (--.*)\.$", "run", ["--images", "alike", "--budget", "3", "<1>"]),
        ("E395", "run", ["--strategy", "typclust"], NAMED, "run", ["--strategy", "<1>"]),
        ("E511", "run", ["--strategy", "kcenter", "--features", "seed1_query/features.h5"], "Drop --features", "run", ["--strategy", "kcenter"]),
        ("E512", "run", ["--strategy", "kcenter", "--features", "absent.h5"], "or drop it", "run", ["--strategy", "kcenter"]),
        ("E512", "run", ["--strategy", "kcenter", "--features", "other.h5"], "Drop --features", "run", ["--strategy", "kcenter"]),
        ("E513", "no_encoder", ["--strategy", "kcenter"], "or take a --strategy without features", "no_encoder", []),
        ("E513", "no_encoder", ["--strategy", "kcenter"], "Train a network of mednoisy.networks", "run", ["--strategy", "kcenter"]),
        ("E514", "run", ["--strategy", "disagreement"], r"Give (--members \w+)", "run", ["--strategy", "disagreement", "<1>"]),
        ("E514", "run", ["--strategy", "disagreement"], "or train with --method sdcl or --folds", "folds", ["--strategy", "disagreement"]),
        ("E514", "no_encoder", ["--strategy", "bald"], r"Give (--members \w+)", "no_encoder", ["--strategy", "bald", "<1>"]),
        ("E514", "no_encoder", ["--strategy", "bald"], r"Give --members flips, (--strategy \w+)", "no_encoder", ["<1>"]),
        ("E514", "no_encoder", ["--members", "dropout"], r"Give (--members \w+)", "no_encoder", ["<1>"]),
        ("E514", "run", ["--members", "folds"], r"Give (--members \w+)", "run", ["<1>"]),
        ("E514", "run", ["--members", "deployed", "--strategy", "bald"], r"Give (--members \w+)", "run", ["--strategy", "bald", "<1>"]),
        ("E514", "run", ["--members", "deployed", "--strategy", "bald"], r"or (--strategy \w+)", "run", ["--members", "deployed", "<1>"]),
        ("E515", "run", ["--members", "flip"], NAMED, "run", ["--members", "<1>"]),
        ("E515", "run", ["--pooling", "meen"], NAMED, "run", ["--pooling", "<1>"]),
        ("E515", "run", ["--strategy", "random", "--members", "flips"], r"that has: (\w+)", "run", ["--strategy", "<1>", "--members", "flips"]),
        ("E516", "data", [], "Give the folder of a run in place of the dataset", "run", []),
        ("E516", "data", [], r"or (--strategy \w+)", "data", ["<1>"]),
        ("E516", "data", ["--strategy", "typiclust"], r"give (--features-of) RUN", "data", ["--strategy", "typiclust", "<1>", "pretext"]),
        ("E516", "data", ["--strategy", "typiclust"], r"or take (--strategy \w+)", "data", ["<1>"]),
        ("E517", "blind_run", ["--strategy", "foreground_random_33"], r"Take (--strategy \w+)", "blind_run", ["<1>"]),
        ("E517", "blind", ["--strategy", "foreground_random_33"], r"Take (--strategy \w+)", "blind", ["<1>"]),
        ("E518", "pretext", [], "Give a run that segments", "run", []),
        ("E518", "pretext", [], r"or a strategy of features, such as (\w+)", "pretext", ["--strategy", "<1>"]),
        ("E520", "nowhere", [], "Give the --output folder of a mednoisy train", "run", []),
        ("E520", "run", ["--output", "asked"], "Give another --output", "run", []),
    ],
)  # fmt: skip
def test_a_question_is_asked_again_as_the_cure_says(work, capsys, code, source, given, cure, to, followed):
    more = ["--output", "query", "--device", "cpu", "--strategy", "entropy", "--budget", "2"]
    proposed = refused_with(capsys, ["query", source, *more, *given], code, cure)
    assert not Path("query/query.json").exists()
    assert main(["query", to, *more, *filled(followed, proposed)]) == 0
    assert ids(Path("query"))


def corrections(folder: str = "corrected") -> list[str]:
    """Save the pre-annotations as corrections; the ids."""
    shutil.copytree("asked/pre_annotations", folder)
    return ids(Path("asked"))


ANNOTATE = ["annotate", "asked", "corrected", "--data", "data", "--output", "next"]


def renamed(kept: str, *_: str) -> None:
    for path in Path("corrected").iterdir():
        if not path.name.startswith(kept):
            path.unlink()
    Path(f"corrected/{kept}.nii.gz").rename("corrected/mine.nii.gz")


def named_again(kept: str, *_: str) -> None:
    Path("corrected/mine.nii.gz").rename(f"corrected/{kept}.nii.gz")


def twice(kept: str, *others: str) -> None:
    for name in others:
        Path(f"corrected/{name}.nii.gz").unlink()
    shutil.copy(f"corrected/{kept}.nii.gz", f"corrected/{kept}.nii")


def once(kept: str, *_: str) -> None:
    Path(f"corrected/{kept}.nii").unlink()


def none(*names: str) -> None:
    Path("corrected").rename("later")
    Path("corrected").mkdir()


def saved(*_: str) -> None:
    Path("corrected").rmdir()
    Path("later").rename("corrected")


def cut(*names: str) -> None:
    Path("corrected").rename("whole")
    for name in names:
        labels = read_image(Path(f"whole/{name}.nii.gz"))
        write_nifti(Path(f"corrected/{name}.nii.gz"), labels.array[:-1], labels.affine)


def exported_again(*_: str) -> None:
    shutil.rmtree("corrected")
    Path("whole").rename("corrected")


def other_classes(*_: str) -> None:
    shutil.copytree("data", "elsewhere")
    content = json.loads(Path("elsewhere/datalist.json").read_text())
    content["labels"]["1"] = "ventricle"
    Path("elsewhere/datalist.json").write_text(json.dumps(content))


def nothing(*_: str) -> None:
    pass


@pytest.mark.parametrize(
    ("code", "fault", "given", "cure", "mend"),
    [
        ("E519", nothing, {1: "data"}, "Give the --output folder of a mednoisy query", nothing),
        ("E521", nothing, {2: "corected"}, "Correct the path", nothing),
        ("E521", other_classes, {4: "elsewhere"}, "Give the dataset of the query by --data", nothing),
        ("E521", renamed, {}, "Name corrections as their pre-annotations", named_again),
        ("E521", twice, {}, "Keep one of them", once),
        ("E522", nothing, {6: "data"}, "Give another --output", nothing),
        ("E523", none, {}, "Save corrections there as ID.nii.gz", saved),
        ("E523", cut, {}, "Re-export the label on the image's grid", exported_again),
        ("E526", nothing, {2: "asked/pre_annotations"}, "Save corrected files, and these alone, in another folder", nothing),
    ],
)  # fmt: skip
def test_corrections_are_given_again_as_the_cure_says(work, capsys, code, fault, given, cure, mend):
    names = corrections()
    fault(*names)
    refused(capsys, [given.get(at, word) for at, word in enumerate(ANNOTATE)], code, cure)
    assert not Path("next").exists()
    mend(*names)
    assert main(ANNOTATE) == 0


def test_what_nobody_looked_at_has_a_code_of_its_own(work, capsys):
    name, *_ = corrections()
    labels = read_image(Path(f"corrected/{name}.nii.gz"))
    marked = np.array(labels.array, np.uint8)
    marked[8:] = 9
    write_nifti(Path(f"corrected/{name}.nii.gz"), marked, labels.affine)
    refused(capsys, [*ANNOTATE, "--ignore", "1"], "E524", "Mark what nobody looked at by a code that no class has")
    assert main([*ANNOTATE, "--ignore", "9"]) == 0


def test_the_round_goes_on_with_what_has_been_taken(work, capsys):
    corrections()
    assert main(ANNOTATE) == 0
    words = ["annotate", "asked", "corrected", "--data", "next", "--output", "third"]
    place = refused_with(capsys, words, "E523", r"All of its cases are labeled there: go on with (\S+)\.$")
    words = arguments(Path(place[1]), Path("again"), "--validation", "0", "--labeled", "6", folds=None)
    assert main(words) == 0


def test_where_masks_hold_every_grey_whole_pictures_are_annotated(tmp_path, monkeypatch, capsys):
    """So that no code is left for what nobody looked at."""
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        colours = np.random.default_rng(ord(name)).integers(0, 255, (8, 255, 3)).astype(np.uint8)
        write_picture(Path(f"{name}.png"), colours)
    write_picture(Path("mask.png"), np.tile(np.arange(255, dtype=np.uint8), (8, 1)))
    content = {"name": "spots", "channels": {str(n): "x" for n in range(3)}, "labels": {"0": "background", "1": "spot"}}
    content |= {
        "labeled": [{"id": "a", "image": "a.png", "label": "mask.png"}],
        "unlabeled": [{"id": "b", "image": "b.png"}],
    }
    Path("datalist.json").write_text(json.dumps(content))
    assert query(Path(), Path("asked"), strategy="random", budget=1) == 0
    Path("corrected").mkdir()
    write_picture(Path("corrected/b.png"), np.repeat([[0, 1]], 8, axis=0).repeat([127, 128], axis=1).astype(np.uint8))
    words = ["annotate", "asked", "corrected", "--data", ".", "--output", "next"]
    refused(capsys, [*words, "--ignore", "9"], "E525", "or annotate whole pictures without --ignore")
    assert main(words) == 0


# Predictions


@pytest.mark.parametrize(
    ("code", "given", "cure", "followed"),
    [
        ("E201", ["run", "data/images/u9.nii.gz"], "Correct the path", ["run", "data/images/u1.nii.gz"]),
        ("E323", ["run", "--keep-largest"], r"Name the classes: (--keep-largest \w+)", ["run", "<1>"]),
        ("E323", ["run", "--keep-largest"], r"or (all)", ["run", "--keep-largest", "<1>"]),
        ("E324", ["run", "--keep-largest", "atriun"], NAMED, ["run", "--keep-largest", "<1>"]),
        ("E396", ["run", "--expected-dice"], "or drop --expected-dice", ["run"]),
        ("E396", ["run", "--expected-dice"], "Train with --folds", ["folds", "--expected-dice"]),
    ],
)
def test_a_prediction_is_called_again_as_the_cure_says(work, capsys, code, given, cure, followed):
    image, more = "data/images/u1.nii.gz", ["--output", "out", "--device", "cpu"]

    def words(called: list[str]) -> list[str]:
        return ["predict", called[0], *([] if called[-1].endswith(".gz") else [image]), *more, *called[1:]]

    proposed = refused_with(capsys, words(given), code, cure)
    assert main(words(filled(followed, proposed))) == 0
    assert Path("out/u1.nii.gz").is_file()


def test_a_pretext_is_started_from(work, capsys):
    words = ["predict", "pretext", "data/images/u1.nii.gz", "--output", "out", "--device", "cpu"]
    start = refused_with(capsys, words, "E509", r"mednoisy train \.\.\. (--pretext-from \S+)\.$")
    more = ["--validation", "0", *filled(["<1>"], start)]
    assert main(arguments(Path("data"), Path("started"), *more, folds=None, method="supervised")) == 0


def test_the_pretext_that_features_are_told_to_come_from_can_be_trained(work, capsys):
    words = ["query", "data", "--output", "query", "--strategy", "typiclust", "--budget", "2"]
    command = shlex.split(refused_with(capsys, words, "E516", r"RUN: mednoisy (train .*? --output RUN);")[1])
    named = {"BUNDLE": "phantom", "data/mine": "data", "RUN": "learned"}
    more = ["--steps", "2", "--device", "cpu", "--validation", "0", *SMALL_ARGUMENTS]
    assert main([*(named.get(word, word) for word in command), *more]) == 0
    assert main([*words, "--features-of", "learned", "--device", "cpu"]) == 0
