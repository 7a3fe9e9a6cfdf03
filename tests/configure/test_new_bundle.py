"""`mednoisy bundle new`: a dataset gets a bundle with which it trains, or nothing is written."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml

from mednoisy.cli import main
from mednoisy.composition import dataset_of, find
from mednoisy.configure import new_bundle
from mednoisy.data.phantoms import make_dataset
from mednoisy.errors import UserError
from tests.configure.made import CPU, gpu, write_dataset


def scan(seed):
    """24 x 24 x 16 voxels of noise with a bright block, and its label."""
    image = np.random.default_rng(seed).normal(size=(24, 24, 16)).astype(np.float32)
    label = np.zeros(image.shape, np.uint8)
    label[8:16, 8:16, 4:12] = 1
    return image + 3 * label, label


@pytest.fixture
def data(tmp_path):
    cases = {f"case{n}": scan(n) if n < 2 else (scan(n)[0], None) for n in range(4)}
    return write_dataset(tmp_path / "mine", {**cases, "test0": scan(9)}, np.diag([1.0, 1.0, 3.0, 1.0]))


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_dataset_with_its_bundle_is_checked_and_trained_by_its_name(data, tmp_path, capsys):
    """The bundle is measured here, with time enough for the whole image; `--data` is not said."""
    assert main(["bundle", "new", str(data), str(data / "bundle"), "--minutes", "60000"]) == 0
    assert f"mednoisy train {data} --method sdcl" in capsys.readouterr().out
    assert main(["check", str(data), "--method", "sdcl", "supervised", "--recipe", "strong", "published"]) == 0
    run = tmp_path / "run"
    words = ["train", str(data), "--steps", "2", "--output", str(run), "--device", "cpu"]
    assert main(words) == 0
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    assert config["dataset_dir"] == str(data.resolve())
    assert config["patch_size"] == [24, 24, 16]
    assert config["network_def"]["strides"] == [[2, 2, 1], [2, 2, 2]]
    assert main(["predict", str(run), str(data / "case3.nii.gz"), "--output", str(tmp_path / "predicted")]) == 0


def test_it_has_the_files_of_a_shipped_bundle_and_a_reason_for_each_choice(data):
    planned = new_bundle(data, data / "bundle", machine=CPU)
    shipped = files(find("bundle", "left_atrium"))
    assert files(data / "bundle") == sorted([*shipped, "fingerprint.json"])
    readme = (data / "bundle" / "docs" / "README.md").read_text(encoding="utf-8")
    assert all(f"| {choice.name} |" in readme for choice in planned.choices)
    metadata = json.loads((data / "bundle" / "configs" / "metadata.json").read_text(encoding="utf-8"))
    assert metadata["network_data_format"]["inputs"]["image"]["spatial_shape"] == ["4*n", "4*n", "2*n"]
    assert metadata["network_data_format"]["inputs"]["image"]["channel_def"] == {"0": "scan"}
    text = (data / "bundle" / "fingerprint.json").read_text(encoding="utf-8")
    assert "case0" not in text
    assert str(data) not in text
    assert [path.name for path in data.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("kind", ["heart", "lesion"])
@pytest.mark.parametrize("machine", [CPU, gpu(24)])
def test_slices_and_pictures_get_bundles_that_check(kind, machine, tmp_path):
    make_dataset(tmp_path, kind, labeled=2, unlabeled=2, test=1)
    new_bundle(tmp_path, tmp_path / "bundle", machine=machine)
    assert main(["check", str(tmp_path), "--method", "sdcl", "--recipe", "strong"]) == 0


def test_without_unlabeled_images_its_own_method_needs_none(tmp_path):
    data = write_dataset(tmp_path, {"a": scan(0), "b": scan(1)})
    new_bundle(data, data / "bundle", machine=CPU)
    page = yaml.safe_load((data / "bundle" / "dataset.yaml").read_text(encoding="utf-8"))
    assert page["about"]["method"] == "copy_paste"


def test_a_bundle_is_replaced_with_force_alone(data, capsys):
    place = data / "bundle"
    new_bundle(data, place, machine=CPU)
    (place / "mine.txt").write_text("mine")
    assert main(["bundle", "new", str(data), str(place)]) == 2
    assert "E386" in capsys.readouterr().err
    assert (place / "mine.txt").exists()
    new_bundle(data, place, machine=CPU, force=True)
    assert not (place / "mine.txt").exists()
    assert (place / "dataset.yaml").is_file()


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_what_is_no_bundle_is_never_replaced(data, force, capsys):
    before = files(data)
    assert main(["bundle", "new", str(data), str(data), *force]) == 2
    assert "E387" in capsys.readouterr().err
    assert files(data) == before


def test_bad_data_are_refused_in_a_line_and_nothing_is_written(data, tmp_path, capsys):
    place = tmp_path / "bundle"
    assert main(["bundle", "new", str(tmp_path), str(place)]) == 2
    assert "E210" in capsys.readouterr().err
    (data / "case2.nii.gz").write_bytes(b"nothing")
    assert main(["bundle", "new", str(data), str(place)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mednoisy: E202 case 'case2'")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_an_image_in_2d_among_volumes_is_refused_by_its_case(data, tmp_path):
    import h5py

    with h5py.File(data / "case3.h5", "w") as file:
        file["image"] = np.random.default_rng(0).normal(size=(24, 24)).astype(np.float32)
    listed = (data / "datalist.json").read_text(encoding="utf-8").replace("case3.nii.gz", "case3.h5")
    (data / "datalist.json").write_text(listed, encoding="utf-8")
    with pytest.raises(UserError, match="E385 case 'case3'"):
        new_bundle(data, tmp_path / "bundle", machine=CPU)


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "soon"])
def test_no_time_is_refused(data, minutes, capsys):
    assert main(["bundle", "new", str(data), str(data / "bundle"), f"--minutes={minutes}"]) == 2
    assert "E100" in capsys.readouterr().err


def test_a_dataset_without_a_bundle_is_refused_with_the_command_that_makes_one(data, tmp_path, capsys):
    for command in (["check"], ["render"], ["train", "--output", str(tmp_path / "run")]):
        assert main([command[0], str(data), *command[1:]]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "E382" in line
        assert f"mednoisy bundle new {data} {data / 'bundle'}" in line


def test_a_datasets_folder_stands_for_its_bundle_and_names_of_shipped_ones_come_first(data, tmp_path, monkeypatch):
    new_bundle(data, data / "bundle", machine=CPU)
    assert find("bundle", str(data)) == (data / "bundle").resolve()
    assert dataset_of(str(data)) == data
    assert dataset_of(str(data / "bundle")) is None
    assert main(["render", str(data)]) == 0
    data.rename(tmp_path / "acdc")
    monkeypatch.chdir(tmp_path)
    assert find("bundle", "acdc").parent.name == "bundles"
    assert dataset_of("acdc") is None
