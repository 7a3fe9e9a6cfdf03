"""`mednoisy render`: a page becomes a bundle, or nothing is written."""

from __future__ import annotations

import shutil

import pytest

from mednoisy.cli import main
from mednoisy.composition import bundles_folder


@pytest.fixture
def page(tmp_path):
    """The folder of a page of one's own."""
    folder = tmp_path / "my data"
    folder.mkdir()
    shutil.copy(bundles_folder() / "phantom" / "dataset.yaml", folder)
    return folder


def test_a_page_becomes_a_bundle(page, capsys):
    assert main(["render", str(page)]) == 0
    printed = capsys.readouterr().out.splitlines()
    written = sorted(path for path in page.rglob("*") if path.is_file() and path.name != "dataset.yaml")
    assert printed == [str(path) for path in sorted(written, key=lambda path: printed.index(str(path)))]
    shipped = bundles_folder() / "phantom" / "configs"
    for name in ("metadata.json", "evaluate.yaml", "multi_gpu.yaml"):
        assert (page / "configs" / name).read_bytes() == (shipped / name).read_bytes()
    first, *rest = (page / "configs" / "train.yaml").read_text(encoding="utf-8").splitlines()
    assert "mednoisy render" in first
    assert rest == (shipped / "train.yaml").read_text(encoding="utf-8").splitlines()[1:]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("kind: volumes", "kind: movies", "E101 unknown kind 'movies'"),
        ("method: supervised", "method: supervized", "E101 unknown method 'supervized'. Did you mean 'supervised'?"),
        ("  modality: MR\n", "", "`about` lacks 'modality'"),
        ("width: 8\n", "width: 8\nsteps_per_epoch: 3\n", "sets 'steps_per_epoch', to which nothing"),
        ("dataset_name: phantom", "dataset_name: [", "is no configuration"),
    ],
)
def test_a_page_with_a_fault_is_refused_and_nothing_is_written(before, after, message, page, capsys):
    """One line, exit code 2, also for the sound page that stands before it."""
    faulty = page.parent / "faulty"
    shutil.copytree(page, faulty)
    text = (faulty / "dataset.yaml").read_text(encoding="utf-8")
    assert before in text
    (faulty / "dataset.yaml").write_text(text.replace(before, after, 1), encoding="utf-8")
    assert main(["render", str(page), str(faulty)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mednoisy: E1")
    assert message in line
    assert [path.name for path in [*page.iterdir(), *faulty.iterdir()]] == ["dataset.yaml", "dataset.yaml"]


def test_a_folder_without_a_page_is_refused(tmp_path, capsys):
    assert main(["render", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"mednoisy: E101 unknown bundle '{tmp_path}'")
