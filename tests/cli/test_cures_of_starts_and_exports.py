"""Cures followed: starts, exports, slices and boxes, annotation simulated."""

from __future__ import annotations

import configparser
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from mednoisy.cli import main
from mednoisy.data.images import read_image, write_nifti
from mednoisy.errors import UserError
from mednoisy.export import check
from mednoisy.export import export_run as export_module
from mednoisy.report import simulation_page
from mednoisy.simulation import simulation as simulation_module
from mednoisy.studies import study as study_module
from tests.cli.test_cures import filled, refused_with
from tests.simulated import FakeTrainings, patients_dataset
from tests.small_queries import array, ids, query, read, train, write_pool
from tests.small_runs import SMALL_ARGUMENTS, small_dataset, train_arguments

SETUP = Path(__file__).parents[2] / "setup.cfg"
WITHOUT_TORCHSCRIPT = {
    "_target_": "monai.networks.nets.MedNeXt", "spatial_dims": 2, "init_filters": 2, "in_channels": 3,
    "out_channels": 2, "blocks_down": [1, 1], "blocks_bottleneck": 1, "blocks_up": [1, 1],
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three datasets, and a finished run on one of them."""
    folder = tmp_path_factory.mktemp("base")
    small_dataset(folder / "pictures", "dermoscopy")
    write_pool(folder / "pool")
    patients_dataset(folder / "patients")
    train(folder / "pool", folder / "run")
    return folder


@pytest.fixture
def work(base, tmp_path, monkeypatch) -> Path:
    """Where commands are called: a folder with copies of datasets and a link to the run."""
    for entry in base.iterdir():
        if (entry / "run.json").is_file():
            (tmp_path / entry.name).symlink_to(entry)
        else:
            shutil.copytree(entry, tmp_path / entry.name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def nothing() -> None:
    pass


# Starts


@pytest.fixture
def started(monkeypatch) -> list[list[str]]:
    """Commands of the runs that a study would make; each fails, for what it learns is no business of these tests."""
    commands: list[list[str]] = []

    def finish(command: list[str], threads: int | None) -> tuple[int, bool]:
        commands.append(command)
        return 1, False

    monkeypatch.setattr(study_module, "finish", finish)
    return commands


STUDY = ["study", "phantom", "--data", "pool", "--output", "out", "--labeled", "3", "--steps", "4", *SMALL_ARGUMENTS]
PLAIN = ["--methods", "supervised", "--starts"]
ONE_OF_FOLDS = [*PLAIN, "restoration", "--folds", "2"]
OWN_PRETEXT = "or take rows with a pretext of their own, such as ('.*'), in place of --starts"
WEIGHTS = "pretrained:run/models/model.pt"


@pytest.mark.parametrize(
    ("code", "given", "cure", "followed"),
    [
        ("E546", [*PLAIN, "restauration"], r"Did you mean '(\w+)'", [*PLAIN, "<1>"]),
        ("E546", [*PLAIN, "pretrained"], r"Did you mean '(pretrained:)FILE'", [*PLAIN, WEIGHTS]),
        ("E547", [*PLAIN, WEIGHTS, "--set", "width=3"], "Give weights of the same encoder: its class, width", [*PLAIN, WEIGHTS]),
        ("E548", ["--methods", "restoration", "--starts", "scratch"], r"Name methods that segment as rows, and (\w+) among --starts", [*PLAIN, "<1>"]),
        ("E548", ["--methods", "supervised pretext=contrastive", "--starts", "scratch"], "Drop the setting", [*PLAIN, "scratch"]),
        ("E548", ["--methods", "supervised pretext=contrastive", "--starts", "scratch"], "or --starts", ["--methods", "supervised pretext=contrastive"]),
        ("E548", ONE_OF_FOLDS, "Drop --folds", ONE_OF_FOLDS[:-2]),
        ("E548", ONE_OF_FOLDS, OWN_PRETEXT, ["--methods", "<1>", "--folds", "2"]),
        ("E548", ["--methods", "supervised:strong batch_size=2", *ONE_OF_FOLDS[2:]], OWN_PRETEXT, ["--methods", "<1>", "--folds", "2"]),
    ],
)  # fmt: skip
def test_starts_are_compared_as_the_cure_says(work, started, capsys, code, given, cure, followed):
    proposed = refused_with(capsys, [*STUDY, *given], code, cure)
    assert not started
    assert main([*STUDY, *filled(followed, proposed)]) == 1
    assert started


def test_a_run_starts_from_weights_of_the_same_encoder(work, capsys):
    words = train_arguments(Path("pool"), Path("out"), "--method", "supervised", "--pretrained", WEIGHTS.split(":")[1])
    refused_with(capsys, [*words, "--set", "width=3"], "E547", "Give weights of the same encoder: its class, width")
    assert main(words) == 0


# Exports


def there() -> None:
    Path("heart").mkdir()


def gone() -> None:
    Path("heart").rmdir()


@pytest.mark.parametrize(
    ("code", "fault", "given", "cure", "mend", "followed"),
    [
        ("E552", nothing, ["heart.zip", "torchscript"], r"Name it \*(\.\w+) or \*\.pt", nothing, ["heart<1>", "torchscript"]),
        ("E552", nothing, ["he,art", "monai-label"], "Use letters, digits, _ and -", nothing, ["he-art_1", "monai-label"]),
        ("E552", nothing, ["DeepEdit", "monai-label"], "Give it another name, such as that of the organ", nothing, ["heart", "monai-label"]),
        ("E553", there, ["heart", "monai-label"], "Remove it", gone, ["heart", "monai-label"]),
        ("E553", there, ["heart", "monai-label"], "or give another name", nothing, ["atrium", "monai-label"]),
    ],
)  # fmt: skip
def test_a_run_is_exported_as_the_cure_says(work, capsys, code, fault, given, cure, mend, followed):
    fault()
    proposed = refused_with(capsys, ["export", "run", given[0], "--for", given[1]], code, cure)
    mend()
    name = followed[0].replace("<1>", proposed[1]) if proposed.groups() else followed[0]
    assert main(["export", "run", name, "--for", followed[1]]) == 0
    assert Path(name).exists()


def test_an_address_is_told_as_the_cure_says(work, capsys):
    words = ["export", "run", "heart.zip", "--for", "zoo", "--url"]
    address = refused_with(capsys, [*words, "example.org/heart.pt"], "E557", r"are to be fetched, (https://)HOST/PATH")[
        1
    ]
    assert main([*words, f"{address}example.org/heart.pt"]) == 0
    words = ["export", "run", "heart.ts", "--for", "torchscript"]
    kind = refused_with(capsys, [*words, "--url", "https://a.org/b"], "E113", r"Drop it, or take --for (zoo)")[1]
    assert main(words) == 0
    assert main(["export", "run", "other.zip", "--for", kind, "--url", "https://a.org/b"]) == 0


def test_an_export_that_exists_is_called_by_its_name(work):
    """On the command line other names are refused with its usage (E100)."""
    with pytest.raises(UserError, match=r"^E550 there is no export for 'zooo'. Did you mean 'zoo'\?"):
        export_module.export_run("run", "heart.zip", "zooo")
    assert export_module.export_run("run", "heart.zip", "zoo").path == Path("heart.zip")


def test_the_extra_that_is_told_to_be_installed_has_what_is_missing(work, capsys, monkeypatch):
    words = ["export", "run", "heart.onnx", "--for", "onnx"]
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(check, "find_spec", lambda name: None)
        extra = refused_with(capsys, words, "E555", r"pip install 'mednoisy\[(\w+)\]'")[1]
    setup = configparser.ConfigParser()
    setup.read(SETUP)
    listed = setup["options.extras_require"][extra]
    assert all(name in listed for name in check.NEEDED_FOR_ONNX)
    if not check.missing_for_onnx():  # where the extra is installed
        assert main(words) == 0


def test_a_network_without_torchscript_is_exported_as_a_bundle(work, capsys, monkeypatch):
    """Whose program it cannot say; that its trace is of one size is made up."""
    monkeypatch.setattr(export_module, "same_at_another_size", lambda run, other: False)
    more = ["--method", "supervised", "--set", f"network_def={WITHOUT_TORCHSCRIPT}"]
    words = train_arguments(
        Path("pictures"), Path("mine"), *more, bundle="dermoscopy", without=("network_def", "width")
    )
    assert main(words) == 0
    words = ["export", "mine", "heart.ts", "--trust", "--for", "torchscript"]
    kinds = refused_with(capsys, words, "E554", r"MedNeXt has no TorchScript \(\w.*Export it --for (\S+) or (\S+)\.$")
    for kind in kinds.groups() if not check.missing_for_onnx() else kinds.groups()[1:]:
        assert main(["export", "mine", f"heart.{kind}", "--trust", "--for", kind]) == 0


def test_what_one_format_changes_is_exported_in_another(work, capsys, monkeypatch):
    """TorchScript that tells other logits is made up."""
    monkeypatch.setattr(export_module, "open_torchscript", lambda path: lambda images: torch.zeros(()))
    words = ["export", "run", "heart.ts", "--for", "torchscript"]
    refused_with(capsys, words, "E556", "Nothing was written; export in another format")
    assert not Path("heart.ts").exists()
    assert main(["export", "run", "heart.zip", "--for", "zoo"]) == 0


# Slices and boxes


SLICES, BOXES = ["--unit", "slice"], ["--unit", "box", "--box", "8", "6", "5"]
RANDOM, ENTROPY = ["pool", "--strategy", "random"], ["run", "--strategy", "entropy"]
OF_PICTURES = ["pictures", "--strategy", "random"]


@pytest.mark.parametrize(
    ("given", "cure", "followed"),
    [
        ([*RANDOM, "--unit", "voxel"], r"Give one of case, (\w+)", [*RANDOM, "--unit", "<1>"]),
        ([*RANDOM, "--unit", "box"], "Give (--box) RIGHT FRONT TOP in voxels", [*RANDOM, "--unit", "box", "<1>", "8", "6", "5"]),
        ([*OF_PICTURES, "--unit", "box"], r"\(of pictures (--box) ROWS COLUMNS\)", [*OF_PICTURES, "--unit", "box", "<1>", "8", "6"]),
        ([*RANDOM, *BOXES[2:]], r"Add (--unit \w+)", [*RANDOM, *BOXES[2:], "<1>"]),
        ([*RANDOM, *BOXES[2:]], "or drop --box", RANDOM),
        ([*RANDOM, *BOXES[:-1]], "Give --box a number of voxels for each axis, right, front and top of volumes", [*RANDOM, *BOXES]),
        ([*RANDOM, "--per-patient", "2"], r"Add (--unit slice)", [*RANDOM, "--per-patient", "2", "<1>"]),
        ([*RANDOM, "--per-patient", "2"], r"or (--unit box)", [*RANDOM, "--per-patient", "2", *BOXES[2:], "<1>"]),
        ([*RANDOM, "--per-patient", "2"], "or drop it", RANDOM),
        ([*RANDOM, "--per-patient", "2"], "(--same-patient) lets several cases of a patient be chosen", [*RANDOM, "<1>"]),
        ([*RANDOM, *SLICES, "--per-patient", "2", "--same-patient"], "Drop one of them", [*RANDOM, *SLICES, "--per-patient", "2"]),
        ([*RANDOM, *SLICES, "--per-patient", "2", "--same-patient"], "Drop one of them", [*RANDOM, *SLICES, "--same-patient"]),
        ([*OF_PICTURES, *SLICES], r"Take (--unit \w+)", [*OF_PICTURES, "<1>"]),
        ([*OF_PICTURES, *SLICES], "or (--unit box) with (--box) ROWS COLUMNS", [*OF_PICTURES, "<1>", "<2>", "8", "6"]),
        ([*ENTROPY, *SLICES, "--pooling", "top_share"], r"Give (--pooling \w+)", [*ENTROPY, *SLICES, "<1>"]),
    ],
)  # fmt: skip
def test_parts_are_asked_as_the_cure_says(work, capsys, given, cure, followed):
    words = ["query", "--output", "query", "--device", "cpu", "--budget", "2"]
    proposed = refused_with(capsys, [*words, *given], "E527", cure)
    assert not Path("query").exists()
    assert main([*words, *filled(followed, proposed)]) == 0
    assert len(ids(Path("query"))) == 2


ANNOTATE = ["annotate", "asked", "corrected", "--data", "pool", "--output", "next"]


def correct(asked: str = "asked") -> list[Path]:
    """Label everything on the grids of what was asked; the files."""
    shutil.rmtree("corrected", ignore_errors=True)
    for name in sorted({*ids(Path(asked))}):
        image = read_image(Path(f"pool/images/{name}.nii.gz"))
        write_nifti(Path(f"corrected/{name}.nii.gz"), np.ones(image.shape, np.uint8), image.affine)
    return sorted(Path("corrected").iterdir())


def marked(path: Path) -> None:
    image = read_image(path)
    write_nifti(path, np.full(image.shape, read(Path("asked"))["ignore"], np.uint8), image.affine)


@pytest.mark.parametrize(
    ("cure", "mend"),
    [("Label it", lambda path: correct()), ("or take the file away", lambda path: path.unlink())],
)
def test_what_is_wholly_marked_is_labeled_or_taken_away(work, capsys, cure, mend):
    assert query(Path("pool"), Path("asked"), *SLICES, strategy="random", budget=4) == 0
    first, *others = correct()
    assert others
    marked(first)
    refused_with(capsys, ANNOTATE, "E528", cure, end=1)  # others are taken
    shutil.rmtree("next")
    mend(first)
    assert main(ANNOTATE) == 0


def test_of_an_image_that_was_changed_is_asked_again(work, capsys):
    """It loses the slices from that on which was asked for."""
    more = ["--images", "pool/images/u1.nii.gz"]
    assert query(Path("pool"), Path("asked"), *more, *SLICES, strategy="random", budget=1) == 0
    ((chosen,), path) = read(Path("asked"))["chosen"], Path("pool/images/u1.nii.gz")
    assert chosen["slice"] > 0
    image, label = read_image(path), array(Path("pool/labels/u1.nii.gz"))
    write_nifti(path, image.array[..., : chosen["slice"]], image.affine)
    write_nifti(Path("pool/labels/u1.nii.gz"), label[..., : chosen["slice"]], image.affine)
    correct()
    refused_with(capsys, ANNOTATE, "E528", "Ask again")
    assert query(Path("pool"), Path("again"), *more, *SLICES, strategy="random", budget=1) == 0
    correct("again")
    assert main(["annotate", "again", *ANNOTATE[2:]]) == 0


# Simulations and expected Dice


SIMULATE = ["simulate", "phantom", "--data", "patients", "--output", "out", "--strategies", "random", "--steps", "2"]
SIMULATE += ["--methods", "mean_teacher", "--set", "batch_size=8", "--rounds", "4"]


@pytest.mark.parametrize(
    ("cure", "followed"),
    [
        ("Lower --start, --budget or (--rounds)", ["<1>", "3"]),
        (r"or the batch \((--set batch_size=)N\)", ["--set", "batch_size=4"]),
    ],
)
def test_a_simulation_leaves_enough_to_learn_from(work, capsys, monkeypatch, cure, followed):
    trained = FakeTrainings()
    monkeypatch.setattr(simulation_module, "finish", trained)
    monkeypatch.setattr(simulation_page, "write_simulation_page", lambda *_: None)
    load = simulation_module.LabeledPool.load
    monkeypatch.setattr(simulation_module.LabeledPool, "load", lambda data, codes=None: load(data))
    proposed = refused_with(capsys, SIMULATE, "E590", cure)
    assert trained.commands == []
    assert main([*SIMULATE, *filled(followed, proposed)]) == 0
    assert trained.commands


def test_a_damaged_table_of_expected_dice_is_made_again(work, capsys):
    train(Path("pool"), Path("folds"), "supervised", 2)
    table, page = Path("folds/expected_dice.csv"), Path("page.html")
    before = table.read_bytes()
    table.write_text("case,class\nu1,atrium\n")
    words = ["report", "folds", "--output", str(page)]
    again = refused_with(capsys, words, "E591", r"Remove it, then mednoisy (evaluate) RUN makes it again")
    table.unlink()
    assert main([again[1], "folds"]) == 0
    assert table.read_bytes() == before
    assert main(words) == 0
