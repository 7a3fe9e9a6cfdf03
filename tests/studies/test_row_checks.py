"""Starts that rows cannot have are refused before anything is trained, on the command line in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mednoisy.cli import main
from mednoisy.composition import compose
from mednoisy.studies import study as study_module
from tests.small_runs import as_arguments, small, small_dataset

MONAI_UNET = "{'_target_': 'monai.networks.nets.BasicUNet', 'spatial_dims': 2, 'in_channels': 3, 'out_channels': 9}"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_dataset(tmp_path_factory.mktemp("bodies"), "body_skin")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the small network of the bundle, and of one that is wider."""
    folder = tmp_path_factory.mktemp("weights")
    for name, width in (("fitting", 2), ("wider", 3)):
        settings = small("body_skin") | {"width": width}
        parser = compose("body_skin", "supervised", overrides=settings).workflow().parser
        parser.parse(reset=True)
        torch.save(parser.get_parsed_content("network_def").state_dict(), folder / f"{name}.pt")
    (folder / "text.pt").write_text("no weights")
    torch.save({"layer1.weight": torch.zeros(2)}, folder / "foreign.pt")
    return folder


def refused(data, output, monkeypatch, capsys, starts, *more, methods=("supervised",)) -> str:
    """The line in which a study is refused, of which nothing was run."""
    monkeypatch.setattr(study_module, "finish", lambda *_: pytest.fail("a run was started"))
    words = ["study", "body_skin", "--data", str(data), "--output", str(output), "--methods", *methods]
    without = ("network_def", "width") if MONAI_UNET in " ".join(more) else ()
    settings = as_arguments(small("body_skin"), without)
    words += ["--starts", *starts, "--labeled", "2", "--steps", "4", *settings, *more]
    assert main(words) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("mednoisy: ")]
    assert not (output / "study.json").exists()
    return line


@pytest.mark.parametrize(
    ("starts", "methods", "more", "message"),
    [
        (["scratch", "colourisation"], ["supervised"], [], "E546 unknown start 'colourisation'"),
        (["pretrained:"], ["supervised"], [], "E546 unknown start 'pretrained:'"),
        (
            ["scratch"],
            ["restoration"],
            [],
            "E548 row 'restoration' learns the pretext restoration and predicts nothing",
        ),
        (["restoration"], ["supervised pretext=contrastive"], [], "E548 row 'supervised-pretext=contrastive-from-"),
        (["scratch"], ["supervised"], ["--set", "pretrained=w.pth"], "E548 row 'supervised' sets 'pretrained'"),
        (
            ["restoration"],
            ["supervised"],
            ["--folds", "2"],
            "E548 the pretext restoration, which rows share, would see",
        ),
        (
            ["restoration"],
            ["supervised"],
            ["--set", f"network_def={MONAI_UNET}"],
            "E503 BasicUNet cannot learn a pretext",
        ),
    ],
)
def test_starts_that_rows_cannot_have(data, tmp_path, monkeypatch, capsys, starts, methods, more, message):
    line = refused(data, tmp_path / "study", monkeypatch, capsys, starts, *more, methods=methods)
    assert line.startswith(f"mednoisy: {message}")


def test_files_that_do_not_fit_are_refused_with_what_matched(data, weights, tmp_path, monkeypatch, capsys):
    for name, message in (
        ("gone", f"E340 checkpoint {weights / 'gone.pt'} does not exist"),
        ("text", f"E340 checkpoint {weights / 'text.pt'} cannot be read"),
        ("foreign", "E343 UNet has no encoder that ImageNet weights exist for"),
        (
            "wider",
            f"E547 weights {weights / 'wider.pt'} fit no network of this run, student: 0 of 60 entries match; 60",
        ),
    ):
        starts = ["scratch", f"pretrained:{weights / name}.pt"]
        line = refused(data, tmp_path / "study", monkeypatch, capsys, starts)
        assert line.startswith(f"mednoisy: {message}"), line
    assert "have another shape (encoder.levels." in line


def test_files_that_fit_are_not(data, weights, tmp_path, monkeypatch):
    commands: list[list[str]] = []

    def finish(command, threads):
        commands.append(command)
        return 1, False

    monkeypatch.setattr(study_module, "finish", finish)
    file = weights / "fitting.pt"
    words = ["study", "body_skin", "--data", str(data), "--output", str(tmp_path / "s"), "--methods", "supervised"]
    words += ["--starts", f"pretrained:{file}", "--labeled", "2", "--steps", "4", *as_arguments(small("body_skin"))]
    assert main(words) == 1
    (command,) = commands
    assert command[command.index("--pretrained") + 1] == str(file)
