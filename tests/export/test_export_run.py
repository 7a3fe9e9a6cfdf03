"""Exports of small finished runs: opened by the programs they are for, and equal to the run on a real case's patch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import jsonschema
import monai.apps.utils
import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import download_large_files
from PIL import Image

from mednoisy.cli import main
from mednoisy.export import check, single_files, verification
from mednoisy.export.deployed_run import DeployedRun, deployed_run
from mednoisy.inference.prediction import preprocessed
from tests.runs.test_cross_validation import refusal
from tests.small_runs import small_dataset, train_arguments

SCHEMA = Path(__file__).parents[1] / "bundles" / "meta_schema.json"
METHODS = {"phantom": "sdcl", "dermoscopy": "supervised"}
ONNX = pytest.mark.skipif(bool(check.missing_for_onnx()), reason="the extra `export` is not installed")


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> dict[str, Path]:
    """By bundle: a folder with `data` and a finished run of two steps in `run`."""
    made = {}
    for bundle, method in METHODS.items():
        made[bundle] = tmp_path_factory.mktemp(bundle)
        data = small_dataset(made[bundle] / "data", bundle)
        assert main(train_arguments(data, made[bundle] / "run", "--method", method, bundle=bundle)) == 0
    return made


def patch_of(run: DeployedRun, place: Path) -> torch.Tensor:
    """The first patch of a test case as the network sees it."""
    path = next((place / "data" / "images").glob("test_000*"))
    image = preprocessed({"id": "test_000", "image": str(path)}, run.preprocessing).as_tensor()
    return image[(slice(None), *(slice(0, side) for side in run.patch_size))][None]


def export(place: Path, output: Path, kind: str, capsys, *more: str) -> float:
    """The difference that the command tells."""
    assert main(["export", str(place / "run"), str(output), "--for", kind, *more]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[-2] == str(output)
    return float(told[-1].partition(" by ")[2].split()[0])


@pytest.mark.parametrize("bundle", METHODS)
def test_torchscript_opens_in_plain_torch(places, bundle, tmp_path, capsys):
    """In a process that has no mednoisy; any number of images, twice the size along an axis."""
    output = tmp_path / "network.ts"
    assert export(places[bundle], output, "torchscript", capsys) < 1e-5
    run = deployed_run(places[bundle] / "run")
    patch = patch_of(run, places[bundle])
    images = torch.cat([patch, patch.flip(2)]).repeat(1, 1, 2, *[1] * (len(run.patch_size) - 1))
    torch.save(images, tmp_path / "images.pt")
    program = (
        "import sys, torch; sys.modules['mednoisy'] = None; facts = {'mednoisy.json': ''};"
        "network = torch.jit.load('network.ts', _extra_files=facts).eval();"
        "torch.save((network(torch.load('images.pt')).detach(), facts['mednoisy.json'].decode()), 'logits.pt')"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], cwd=tmp_path, check=True)
    logits, facts = torch.load(tmp_path / "logits.pt")
    with torch.no_grad():
        torch.testing.assert_close(logits, run.network(images))
    assert json.loads(facts)["labels"] == list(run.label_names)


@ONNX
@pytest.mark.parametrize("bundle", METHODS)
def test_onnx_is_equal_in_onnxruntime_for_any_batch_and_size(places, bundle, tmp_path, capsys):
    output = tmp_path / "network.onnx"
    assert export(places[bundle], output, "onnx", capsys) < 1e-4
    run = deployed_run(places[bundle] / "run")
    patch = patch_of(run, places[bundle])
    opened = single_files.open_onnx(output)
    axes = len(run.patch_size)
    for images in (patch, patch.repeat(3, *[1] * (axes + 1)), patch.repeat(2, 1, 2, *[1] * (axes - 1))):
        with torch.no_grad():
            np.testing.assert_allclose(opened(images).numpy(), run.network(images).numpy(), atol=1e-4)


def test_a_bundle_stands_for_itself(places, tmp_path, capsys):
    """`monai.bundle run` on the unpacked archive segments as `mednoisy predict` does; metadata are valid."""
    place, output = places["phantom"], tmp_path / "atrium.zip"
    assert export(place, output, "zoo", capsys) == 0
    with zipfile.ZipFile(output) as packed:
        assert {name.partition("/")[0] for name in packed.namelist()} == {"atrium"}
        packed.extractall(tmp_path / "elsewhere")
    bundle = tmp_path / "elsewhere" / "atrium"
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    jsonschema.validate(metadata, json.loads(SCHEMA.read_text()))
    assert metadata["network_data_format"]["outputs"]["pred"]["channel_def"] == {"0": "background", "1": "atrium"}
    download_large_files(str(bundle))  # which finds that it is there, with the checksum
    assert "Apache License" in (bundle / "LICENSE").read_text()
    for text in ("inference.yaml", "train.yaml"):  # neither the run nor its data are named
        assert str(place) not in (bundle / "configs" / text).read_text()
    images = place / "data" / "images"
    words = ["--config_file", "configs/inference.yaml", "--bundle_root", ".", "--dataset_dir", str(images)]
    words += ["--output_dir", str(tmp_path / "by monai"), "--device", "$torch.device('cpu')"]
    command = [sys.executable, "-m", "monai.bundle", "run", *words]
    done = subprocess.run(
        command, cwd=bundle, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (
        main(["predict", str(place / "run"), str(images), "--output", str(tmp_path / "ours"), "--device", "cpu"]) == 0
    )
    for path in sorted((tmp_path / "ours").glob("*.nii.gz")):
        theirs = nibabel.load(tmp_path / "by monai" / path.name)
        np.testing.assert_array_equal(np.asarray(theirs.dataobj), np.asarray(nibabel.load(path).dataobj))


def test_monais_tool_fetches_the_weights_from_where_they_are_published(places, tmp_path, monkeypatch, capsys):
    """From a folder here, as a server gives it; an address may hold what has a meaning in configurations."""
    address = "https://example.org/records/7/files/model%20of%20run.pt?download=1&x=$y#@z"
    export(places["phantom"], tmp_path / "atrium.zip", "zoo", capsys, "--url", address)
    shutil.unpack_archive(tmp_path / "atrium.zip", tmp_path)
    weights = tmp_path / "atrium" / "models" / "model.pt"
    wanted = weights.read_bytes()
    published = weights.rename(tmp_path / "published.pt")
    asked = []

    def retrieve(url: str, path: Path, **options: object) -> None:
        asked.append(url)
        shutil.copy(published, path)

    monkeypatch.setattr(monai.apps.utils, "_download_with_progress", retrieve)
    download_large_files(str(tmp_path / "atrium"))
    assert asked == [address]
    assert weights.read_bytes() == wanted


def test_an_archive_without_an_address_says_so(places, tmp_path, capsys):
    assert main(["export", str(places["phantom"] / "run"), str(tmp_path / "atrium.zip"), "--for", "zoo"]) == 0
    told = capsys.readouterr().err
    assert "large_files.yml in atrium.zip names no address of the weights; --url says where they are publ" in told


@pytest.mark.parametrize(
    "url",
    [
        "", "model.pt", "example.org/model.pt", "https://", "https://example.org", "https://example.org/",
        "https:///model.pt", "file:///tmp/model.pt", "ftp://example.org/model.pt", "https://example.org/a model.pt",
        "https://example.org/model.pt\n", "https://example.org:port/model.pt", "https://[::1/model.pt",
        "https://example.org/mod\u00e8le.pt", "javascript://example.org/model.pt",
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_file_is_refused(tmp_path, capsys, url):
    told = refusal(capsys, ["export", "absent", str(tmp_path / "a.zip"), "--for", "zoo", "--url", url])
    assert told.startswith(f"mednoisy: E557 {url!r} is no address of a file on the web. Give the one under which")


def test_a_login_is_not_published(tmp_path, capsys):
    address = "https://me:secret@example.org/model.pt"
    told = refusal(capsys, ["export", "absent", str(tmp_path / "a.zip"), "--for", "zoo", "--url", address])
    assert "E557 the address of the weights at example.org holds a login, which all would read." in told
    assert "secret" not in told


def test_the_same_run_gives_the_same_archive(places, tmp_path, capsys):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        export(places["phantom"], tmp_path / name / "atrium.zip", "zoo", capsys)
    assert (tmp_path / "a" / "atrium.zip").read_bytes() == (tmp_path / "b" / "atrium.zip").read_bytes()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["network.zip", "--for", "onnx"], "E552 the output network.zip of onnx does not end so. Name it *.onnx."),
        (["two,names", "--for", "monai-label"], "E552 MONAI Label lists models between commas, and 'two,names'"),
        (["polyp_detection", "--for", "monai-label"], "E552 MONAI Label would take a model called 'polyp_detection'"),
        (["there", "--for", "monai-label"], "E553 the output there is there already. Remove it, or give another name."),
        (["network.ts", "--for", "caffe"], "E100"),
        (["network.ts", "--for", "torchscript", "--url", "https://a.org/b"], "E113 --url does not go with --for torch"),
    ],
)
def test_what_cannot_be_written_is_refused_before_any_work(places, tmp_path, monkeypatch, capsys, words, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    assert told in refusal(capsys, ["export", str(places["phantom"] / "run"), *words])
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_without_the_extra_a_line_says_what_to_install(places, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(check, "NEEDED_FOR_ONNX", ("onnx_that_nobody_has",))
    told = refusal(capsys, ["export", str(places["phantom"] / "run"), str(tmp_path / "a.onnx"), "--for", "onnx"])
    assert (
        told == "mednoisy: E555 ONNX needs what is not installed: onnx_that_nobody_has. pip install 'mednoisy[export]'."
    )


@pytest.mark.parametrize("kind", ["torchscript", "zoo", "monai-label"])
def test_what_differs_from_the_run_is_not_left(places, tmp_path, monkeypatch, capsys, kind):
    """Neither under its name nor half-written beside it."""
    monkeypatch.setattr(verification, "largest_difference", lambda *arguments: float("nan"))
    output = tmp_path / {"torchscript": "a.ts", "zoo": "a.zip", "monai-label": "a"}[kind]
    told = refusal(capsys, ["export", str(places["phantom"] / "run"), str(output), "--for", kind])
    assert told.startswith(f"mednoisy: E556 {output.name} does not predict as the run does: logits differ by nan.")
    assert list(tmp_path.iterdir()) == []


def test_a_picture_for_a_viewer_has_columns_first(places, tmp_path):
    """Where MONAI Label's server asks (`image_path`), and only there."""
    from mednoisy.data.load_case import LoadCased
    from mednoisy.inference.viewers import ForViewersd

    Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6)).save(tmp_path / "a.jpg")
    item = LoadCased(keys=["image"])({"image": str(tmp_path / "a.jpg")})
    item["pred"] = torch.arange(24.0).reshape(1, 4, 6)
    assert torch.equal(ForViewersd("pred")(item)["pred"], item["pred"])
    answered = ForViewersd("pred")({**item, "image_path": str(tmp_path / "a.jpg")})
    assert torch.equal(answered["pred"], torch.arange(24, dtype=torch.uint8).reshape(4, 6).T)
    assert answered["image"].meta["spatial_shape"] == (6, 4)
    assert answered["result_extension"] == ".png"
    asked = ForViewersd("pred")({**item, "image_path": "a.jpg", "result_extension": ".nrrd"})
    assert asked["result_extension"] == ".nrrd"
