"""What is absent is refused before PyTorch is loaded, in the words of the function that would refuse it later."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from mednoisy.cli import main
from mednoisy.composition import bundles_folder, compose, known
from mednoisy.errors import UserError
from tests.small_runs import small_dataset, train_arguments

PROGRAM = """
import sys
from mednoisy.cli import main
code = main(sys.argv[1:])
print("code", code, "heavy", sorted({"torch", "monai"} & set(sys.modules)))
"""
TRAIN = ["train", "phantom", "--data", "{data}", "--output"]
REFUSED = {
    "no data": (["train", "left_atrium", "--data", "nowhere", "--output", "O"], "E210 datalist "),
    "no data, on the CPU": ([*TRAIN[:3], "no", "--output", "O", "--device", "cpu"], "E210 datalist "),
    "an image that is absent": (
        ["train", "phantom", "--data", "{damaged}", "--output", "O"],
        "E215 case 'labeled_000'",
    ),
    "too many labels": ([*TRAIN, "O", "--labeled", "9"], "E217 9 labeled cases are asked for"),
    "too many classes": (["train", "acdc", *TRAIN[2:], "O"], "E219 "),
    "an output that is a file": ([*TRAIN, "{file}"], "E310 output "),
    "another run": ([*TRAIN, "{run}"], "E311 output folder "),
    "other files": ([*TRAIN, "{data}"], "E311 output folder "),
    "nothing to resume": ([*TRAIN, "O", "--resume"], "E312 "),
    "no folder to resume": (["train", "--resume", "O"], "E312 O holds no run"),
    "a method": ([*TRAIN, "O", "--method", "sdlc"], "E101 unknown method 'sdlc'"),
    "a pretext": ([*TRAIN, "O", "--pretext", "restore"], "E501 unknown pretext 'restore'"),
    "check no pretext": (["check", "phantom", "--pretext", "restore"], "E501 unknown pretext 'restore'"),
    "evaluate no run": (["evaluate", "O"], "E312 O holds no run"),
    "evaluate without data": (["evaluate", "{run}"], "E210 datalist "),
    "resume without data": (["train", "--resume", "{run}"], "E210 datalist "),
    "evaluate no folders": (["evaluate", "--predictions", "P", "--references", "R", "--output", "O"], "E42"),
    "predict no image": (["predict", "{run}", "a.nii.gz", "--output", "P"], "E201 case 'a': a.nii.gz does not exist"),
    "predict no run": (["predict", "O", "{file}", "--output", "P"], "E312 O holds no run"),
    "predict an unfinished run": (["predict", "{run}", "{file}", "--output", "P"], "E402 "),
    "compare no runs": (["compare", "O", "P"], "E402 "),
    "report no run": (["report", "O"], "E402 "),
    "check no bundle": (["check", "fantom"], "E101 unknown bundle 'fantom'"),
    "study of no method": (
        ["study", "phantom", *TRAIN[2:], "O", "--labeled", "2", "--steps", "2", "--methods", "bpc"],
        "E101 unknown method 'bpc'",
    ),
}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Data, damaged data, a file, and the folder of an unfinished run whose data have gone."""
    folder = tmp_path_factory.mktemp("places")
    data = small_dataset(folder / "data")
    damaged = folder / "damaged"
    shutil.copytree(data, damaged)
    (damaged / "images" / "labeled_000.nii.gz").unlink()
    (folder / "file.nii.gz").write_text("in the way")
    run = folder / "run"
    run.mkdir()
    (run / "run.json").write_text("{}")
    config = (bundles_folder() / "phantom" / "configs" / "train.yaml").read_text(encoding="utf-8")
    (run / "config.yaml").write_text(
        config.replace("$@bundle_root + '/data'", str(folder / "gone"), 1) + "_meta_: {}\n", encoding="utf-8"
    )
    return {"data": str(data), "damaged": str(damaged), "file": str(folder / "file.nii.gz"), "run": str(run)}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_absent_is_refused_without_torch(name, places, tmp_path):
    arguments, message = REFUSED[name]
    words = [sys.executable, "-c", PROGRAM, *(word.format(**places) for word in arguments)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "code 2 heavy []"
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("mednoisy:")]
    assert line.startswith(f"mednoisy: {message}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bundle", known("bundle"))
def test_every_bundle_is_refused_in_the_words_of_the_run_itself(bundle, tmp_path, capsys):
    """No bundle reads its datalist in another way than the early look does."""
    absent, output = str(tmp_path / "absent"), str(tmp_path / "run")
    places = {"dataset_dir": absent, "output_dir": output, "model_file": f"{output}/models/model.pt"}
    with pytest.raises(UserError) as later:
        compose(bundle, overrides=places).run()
    words = [sys.executable, "-c", PROGRAM, "train", bundle, "--data", absent, "--output", output]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout == "code 2 heavy []\n"
    assert done.stderr == f"mednoisy: {later.value}\n"


def test_what_only_monai_can_evaluate_is_left_to_it(tmp_path, capsys):
    """An expression among the values, or an entry that is not there: refused as ever."""
    data = small_dataset(tmp_path / "data")
    capsys.readouterr()
    for setting, message in (
        ("labeled=$4 + 5", "E217 9 labeled cases are asked for"),
        ("widht=2", "E103 the configuration has no entry 'widht'"),
    ):
        assert main(train_arguments(data, tmp_path / "run", "--set", setting)) == 2
        assert capsys.readouterr().err.startswith(f"mednoisy: {message}")
