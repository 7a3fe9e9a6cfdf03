"""The command line: what it prints, returns and leaves behind, above all where it refuses."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import yaml

from mednoisy.cli import main
from mednoisy.data.images import write_nifti
from tests.small_runs import small_dataset, train_arguments


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two labeled, two unlabeled and two test phantoms."""
    return small_dataset(tmp_path_factory.mktemp("phantoms"))


@pytest.fixture(scope="module")
def run(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two supervised steps, in a folder with a blank and an umlaut."""
    folder = tmp_path_factory.mktemp("läufe") / "erster lauf"
    assert main(train_arguments(dataset, folder)) == 0
    return folder


@pytest.fixture
def own(dataset: Path, tmp_path: Path) -> Path:
    """A copy of the dataset that may be damaged; its datalist names the copied files."""
    folder = tmp_path / "own"
    shutil.copytree(dataset, folder)
    return folder


def refusal(capsys: pytest.CaptureFixture, arguments: list[str], code: int = 2) -> str:
    """The one line on stderr with which `arguments` are refused."""
    capsys.readouterr()
    assert main(arguments) == code
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("mednoisy:")]
    assert len(lines) == 1, lines
    return lines[0]


# Train, evaluate, predict


def test_a_run_leaves_all_its_files(run):
    wanted = {"config.yaml", "log.txt", "progress.csv", "metrics.csv", "summary.json", "report.html", "run.json"}
    assert wanted <= {path.name for path in run.iterdir()}
    assert (run / "models" / "model.pt").is_file()
    assert not [path for path in run.rglob("*") if path.name.startswith(".partial")]


def test_train_prints_the_bundle_command_and_the_result(dataset, tmp_path, capfd):
    assert main(train_arguments(dataset, tmp_path / "run", "--method", "copy_paste")) == 0
    first, *rest = capfd.readouterr().out.splitlines()
    assert first.startswith("python -m monai.bundle run --config_file ")
    assert "methods/copy_paste.yaml" in first
    assert rest[0].startswith("honest (no validation: the last, step 2), student, 2 cases: Dice 0.")
    assert rest[1].startswith("final (step 2), student, 2 cases: Dice 0.")
    assert rest[-1] == f"report: {tmp_path / 'run' / 'report.html'}"
    assert len(rest) == 3  # no remarks of MONAI's in between


def test_evaluate_gives_the_same_figures_again(run, capsys):
    before = (run / "metrics.csv").read_text(), (run / "scores.csv").read_text()
    (run / "metrics.csv").unlink()
    assert main(["evaluate", str(run), "--device", "cpu"]) == 0
    assert ((run / "metrics.csv").read_text(), (run / "scores.csv").read_text()) == before
    assert "report: " in capsys.readouterr().out


def test_predict_equals_the_prediction_of_the_evaluation(run, dataset, tmp_path, capsys):
    image = dataset / "images" / "test_000.nii.gz"
    assert main(["predict", str(run), str(image), "--output", str(tmp_path), "--device", "cpu"]) == 0
    written = nibabel.load(capsys.readouterr().out.strip())
    evaluated = nibabel.load(run / "predictions" / "test_000.nii.gz")
    np.testing.assert_array_equal(np.asarray(written.dataobj), np.asarray(evaluated.dataobj))
    np.testing.assert_array_equal(written.affine, nibabel.load(image).affine)


def test_predict_goes_on_past_a_damaged_image(run, dataset, tmp_path, capsys):
    """As `evaluate` does: the others are segmented, the fault is listed, and the exit code says "in part"."""
    sound = [str(dataset / "images" / f"test_00{number}.nii.gz") for number in (0, 1)]
    damaged = tmp_path / "damaged.nii.gz"
    damaged.write_bytes(Path(sound[0]).read_bytes()[:900])
    to = ["--output", str(tmp_path / "out"), "--device", "cpu"]
    line = refusal(capsys, ["predict", str(run), sound[0], str(damaged), sound[1], *to], code=1)
    assert line.startswith("mednoisy: E202 case 'damaged': ")
    assert {path.name for path in (tmp_path / "out").rglob("*.nii.gz")} == {"test_000.nii.gz", "test_001.nii.gz"}
    assert refusal(capsys, ["predict", str(run), str(damaged), *to], code=2) == line


def test_an_unfinished_run_does_not_predict(run, dataset, tmp_path, capsys):
    """Its best checkpoint may be an earlier stage's."""
    unfinished = tmp_path / "unfinished"
    shutil.copytree(run, unfinished, ignore=shutil.ignore_patterns("summary.json"))
    image = str(dataset / "images" / "test_000.nii.gz")
    line = refusal(capsys, ["predict", str(unfinished), image, "--output", str(tmp_path / "out")])
    assert line.startswith("mednoisy: E402 ")
    assert not (tmp_path / "out").exists()


def test_a_run_is_compared_and_reported_again(run, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert main(["compare", str(run), str(run), "--output", str(page)]) == 0
    assert "supervised" in page.read_text(encoding="utf-8")
    before = (run / "report.html").read_text(encoding="utf-8")
    capsys.readouterr()
    assert main(["report", str(run)]) == 0
    assert capsys.readouterr().out == f"report: {run / 'report.html'}\n"
    assert (run / "report.html").read_text(encoding="utf-8") == before


# Refusals: command line and configuration

TRAIN = ["train", "phantom", "--data", "D", "--output", "O"]
STUDY = ["study", "phantom", "--data", "D", "--output", "O", "--labeled", "2", "--steps", "2", "--methods"]
ARGUMENTS = {
    "unknown command": (["trian"], "E100 argument COMMAND"),
    "no steps": ([*TRAIN, "--steps", "0"], "E100 argument --steps: '0'"),
    "negative seed": ([*TRAIN, "--seed", "-1"], "E100 argument --seed: '-1'"),
    "bundle": (["train", "fantom", *TRAIN[2:]], "E101 unknown bundle 'fantom'. Did you mean 'phantom'?"),
    "method": ([*TRAIN, "--method", "sdlc"], "E101 unknown method 'sdlc'. Did you mean 'sdcl'?"),
    "recipe": ([*TRAIN, "--recipe", "stronk"], "E101 unknown recipe 'stronk'. Did you mean 'strong'?"),
    "dataset": (["prepare", "left_atrum", "R", "O"], "E101 unknown dataset 'left_atrum'. Did you mean 'left_atrium'?"),
    "method of a study": ([*STUDY, "bpc"], "E101 unknown method 'bpc'. Did you mean 'bcp'?"),
    "setting without value": ([*TRAIN, "--set", "width"], "E102 --set 'width' is no id=value"),
    "unknown id": ([*TRAIN, "--set", "widht=2"], "E103 the configuration has no entry 'widht'. Did you mean 'width'?"),
    "unknown id above": ([*TRAIN, "--set", "a#b=2"], "E103 the configuration has no entry 'a#b'"),
    "number sign in output": ([*TRAIN[:-1], "run#1"], "E104 --output"),
    "number sign in data": (["train", "phantom", "--output", "O", "--data", "set#1"], "E104 --data"),
    "unknown device": ([*TRAIN, "--device", "gpu"], "E105 device 'gpu' cannot be used"),
    "absent device": ([*TRAIN, "--device", "cuda:99"], "E105 device 'cuda:99' cannot be used"),
    "no datalist": (TRAIN, "E210 datalist"),
    "evaluate no run": (["evaluate", "O"], "E312 O holds no run"),
    "predict with no run": (["predict", "O", __file__, "--output", "P"], "E312 O holds no run"),
    "predict no image": (["predict", "O", "a.nii.gz", "--output", "P"], "E201 case 'a': a.nii.gz does not exist"),
    "report no run": (["report", "O"], "E402"),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_are_refused_in_one_line(name, capsys, tmp_path, monkeypatch):
    """Exit code 2, one line with code, cause and cure, and nothing written."""
    monkeypatch.chdir(tmp_path)
    arguments, message = ARGUMENTS[name]
    assert refusal(capsys, arguments).startswith(f"mednoisy: {message}")
    assert list(tmp_path.iterdir()) == []


# Refusals: data


def rewrite(path: Path, change: Callable[[np.ndarray], np.ndarray], affine: np.ndarray | None = None) -> None:
    """Replace a NIfTI file's voxels, and its affine if one is given."""
    image = nibabel.load(path)
    voxels = change(np.asarray(image.dataobj))
    nibabel.save(nibabel.Nifti1Image(voxels, image.affine if affine is None else affine), path)


def with_one(value: float) -> Callable[[np.ndarray], np.ndarray]:
    """A change that sets one voxel."""

    def change(voxels: np.ndarray) -> np.ndarray:
        changed = voxels.astype(np.float32 if not float(value).is_integer() else voxels.dtype)
        changed[1, 2, 3] = value
        return changed

    return change


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    payload = bytearray(path.read_bytes())
    payload[len(payload) // 2] ^= 4
    path.write_bytes(payload)


IMAGE, LABEL = "images/labeled_000.nii.gz", "labels/labeled_000.nii.gz"
SHIFTED = np.diag([2.5, 2.5, 2.5, 1.0]) + np.eye(4)[:, :1] @ np.array([[0, 0, 0, 5.0]])
DAMAGES = {
    "image removed": (IMAGE, lambda path: path.unlink(), "E215"),
    "image of no bytes": (IMAGE, lambda path: path.write_bytes(b""), "E202"),
    "image cut short": (IMAGE, lambda path: path.write_bytes(path.read_bytes()[:2000]), "E202"),
    "image is text": (IMAGE, lambda path: path.write_text("no volume"), "E202"),
    "image all equal": (IMAGE, lambda path: rewrite(path, np.zeros_like), "E202"),
    "image with a flipped byte": (IMAGE, lambda path: flip(path), "E202"),
    "label with a flipped byte": (LABEL, lambda path: flip(path), "E202"),
    "a voxel for no data": (
        IMAGE,
        lambda path: rewrite(path, lambda voxels: with_one(1e20)(voxels.astype(np.float32))),
        "E240",
    ),
    "a NaN voxel": (IMAGE, lambda path: rewrite(path, with_one(np.nan)), "E203"),
    "an infinite voxel": (IMAGE, lambda path: rewrite(path, with_one(np.inf)), "E203"),
    "label of another shape": (LABEL, lambda path: rewrite(path, lambda voxels: voxels[:-1]), "E204"),
    "label elsewhere": (LABEL, lambda path: rewrite(path, np.copy, SHIFTED), "E205"),
    "unlisted label code": (LABEL, lambda path: rewrite(path, with_one(7)), "E206"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_cases_are_named_before_anything_is_written(name, own, tmp_path, capsys):
    file, damage, code = DAMAGES[name]
    damage(own / file)
    line = refusal(capsys, train_arguments(own, tmp_path / "run"))
    assert line.startswith(f"mednoisy: {code} case 'labeled_000': ")
    assert not (tmp_path / "run").exists()


def test_a_patch_that_the_network_cannot_take(dataset, tmp_path, capsys):
    line = refusal(capsys, [*train_arguments(dataset, tmp_path / "run"), "--set", "patch_size=[20,16,16]"])
    assert line.startswith("mednoisy: E112 patch size [20, 16, 16] is no multiple of 8")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("rounds=two", "rounds is 'two'; it must be a whole number from 1 on"),
        ("rounds=0", "rounds is 0; it must be a whole number from 1 on"),
        ("minimum_area=2", "minimum_area is 2; it is a share, from 0 to 1"),
        ("shares=[1,0,1]", "share of stage student1 is 0; it must be above 0"),
    ],
)
def test_values_of_rounds_that_are_refused(setting, told, dataset, tmp_path, capsys):
    arguments = train_arguments(dataset, tmp_path / "run", "--method", "noisy_student", "--set", setting)
    assert refusal(capsys, arguments).startswith(f"mednoisy: E107 a value of the configuration is refused: {told}.")
    assert not (tmp_path / "run").exists()


def test_a_value_that_a_component_refuses(dataset, tmp_path, capsys):
    """Also one that is needed only after the training is refused before it."""
    line = refusal(capsys, [*train_arguments(dataset, tmp_path / "run"), "--set", "stride=[0,8,8]"])
    assert line.startswith("mednoisy: E107 a value of the configuration is refused: stride is [0, 8, 8]")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("val_interval=0", "val_interval is 0; it must be a whole number from 1 on"),
        ("batch_size=0", "batch of stage training, labeled, is 0; it must be a whole number from 1 on"),
        ("workers=-1", "workers is -1; it must be a whole number from 0 on"),
        ("window_batch=0", "window_batch is 0; it must be a whole number from 1 on"),
        ("preprocessing={1}", "preprocessing is {1}; it must be a Compose of transforms"),
        ("inference_precision=half", "inference_precision is 'half'; it must be fp32 or bf16"),
        ("skip_below=air", "skip_below is 'air'; it must be an intensity, or null"),
        ("steps=2.5", "steps is 2.5; it must be a whole number from 0 on"),
        ("width=0", "a network's number of channels is 0; it must be a whole number from 1 on"),
        ("steps=few", "$max(1, @steps // 4): unsupported operand type(s) for //: 'str' and 'int'"),
        ("seed=any", "$torch.manual_seed(@seed): invalid literal for int() with base 10: 'any'"),
        ("val_interval=$1/0", "$1/0: division by zero"),
        ("val_interval=$(", "'(' was never closed"),
        ("network_def=@nothing", "the referring item `@nothing` is not defined in the config content"),
        ("network_def=%nothing", "query key: nothing"),
        ("network_def#_target_=mednoisy.None", "Cannot locate class or function path: 'mednoisy.None'"),
        ("optimiser=$lambda weights: torch.Adam(weights)", "module 'torch' has no attribute 'Adam'"),
    ],
)
def test_settings_that_make_no_configuration(setting, told, dataset, tmp_path, capsys):
    """Also one that fails when the run has begun leaves nothing."""
    line = refusal(capsys, [*train_arguments(dataset, tmp_path / "run"), "--set", setting])
    assert line == f"mednoisy: E107 a value of the configuration is refused: {told}. Correct it (--set ID=VALUE)."
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("method", "setting", "told"),
    [
        ("supervised", "dice=3", "stage 'training' cannot be made, unknown kind of Dice 3; known: per_sample, "),
        ("supervised", "optimiser={}", "optimiser of stage training is {}, which makes none"),
        ("supervised", "schedule=3", "schedule of stage training is 3, which makes none"),
        ("mean_teacher", "teacher_decay=a", "stage 'training' cannot be made, '<=' not supported between instances of"),
        ("sdcl", "teachers=x", "stage 'selftraining' cannot be made, teachers is 'x'; it must be 'one' or 'each'"),
    ],
)
def test_what_a_stage_cannot_be_made_of_is_refused_before_the_first_one(
    method, setting, told, dataset, tmp_path, capsys
):
    line = refusal(capsys, [*train_arguments(dataset, tmp_path / "run"), "--method", method, "--set", setting])
    assert line.startswith(f"mednoisy: E107 a value of the configuration is refused: {told}")
    assert line.endswith(". Correct it (--set ID=VALUE).")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["predict", "evaluate"])
@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (("stages", 0, "method"), " ", "method of stage training is ' ', which makes none"),
        (("preprocessing", "transforms", 0), math.nan, "transform"),
        (("evaluation", "inferer", "stride"), [0, 8, 8], "stride is [0, 8, 8]"),
    ],
)
def test_a_damaged_value_of_a_finished_run(command, place, value, told, run, dataset, tmp_path, capsys):
    damaged = tmp_path / "run"
    shutil.copytree(run, damaged)
    config = yaml.safe_load((damaged / "config.yaml").read_text())
    *parents, last = place
    holder = config
    for part in parents:
        holder = holder[part]
    holder[last] = value
    (damaged / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    image = str(next((dataset / "images").iterdir()))
    more = [image, "--output", str(tmp_path / "out")] if command == "predict" else []
    line = refusal(capsys, [command, str(damaged), *more, "--device", "cpu"])
    assert line.startswith("mednoisy: E107 a value of the configuration is refused: ")
    assert told in line


def test_a_network_that_is_none(dataset, tmp_path, capsys):
    """An overlay whose `_target_` is misspelt leaves a table."""
    overlay = tmp_path / "mine.yaml"
    overlay.write_text("network_def: {target: mednoisy.networks.UNet, spatial_dims: 3, width: '@width'}\n")
    line = refusal(capsys, [*train_arguments(dataset, tmp_path / "run"), "--dataset", str(overlay)])
    assert "E107 a value of the configuration is refused: stage 'training' cannot be made, dict is not a Mod" in line
    assert not (tmp_path / "run").exists()


def test_a_number_of_cases_that_is_none(dataset, tmp_path, capsys):
    line = refusal(capsys, [*train_arguments(dataset, tmp_path / "run"), "--set", "labeled=two"])
    assert line == "mednoisy: E217 'two' labeled cases are asked for. Ask for a whole number."


def test_a_case_in_two_sections_is_refused(own, tmp_path, capsys):
    path = own / "datalist.json"
    content = json.loads(path.read_text())
    del content["split_digest"]
    content["test"].append(content["labeled"][0])
    path.write_text(json.dumps(content))
    line = refusal(capsys, train_arguments(own, tmp_path / "run"))
    assert line.startswith("mednoisy: E207 case 'labeled_000': is in 'labeled' and in 'test'")


def test_fewer_labeled_cases_than_a_batch_needs(own, tmp_path, capsys):
    line = refusal(capsys, train_arguments(own, tmp_path / "run", "--labeled", "1"))
    assert "E220 a step draws 2 labeled crops from different cases, section 'labeled' has 1" in line
    assert not (tmp_path / "run").exists()


def test_more_labeled_cases_than_there_are(own, tmp_path, capsys):
    line = refusal(capsys, train_arguments(own, tmp_path / "run", "--labeled", "3"))
    assert line.startswith("mednoisy: E217 3 labeled cases are asked for; ")


def test_a_volume_smaller_than_the_patch_is_padded_and_trains(own, tmp_path):
    for part in ("image", "label"):
        rewrite(own / f"{part}s" / "labeled_000.nii.gz", lambda voxels: voxels[18:30, 16:32, 8:28])
    assert main(train_arguments(own, tmp_path / "run")) == 0


# Refusals: run folders and checkpoints


def test_a_folder_with_another_run_is_refused_and_left_alone(run, dataset, capsys):
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    line = refusal(capsys, train_arguments(dataset, run))
    assert line.startswith("mednoisy: E311 output folder ")
    assert line.endswith("holds another run. Add --resume to go on with it, or give another --output.")
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()} == before


def test_resuming_with_other_settings_is_refused(run, dataset, capsys):
    line = refusal(capsys, train_arguments(dataset, run, "--resume", "--seed", "5"))
    assert line.startswith("mednoisy: E313 the run in ")
    assert "has seed 0, this one 5" in line


def test_resuming_nothing_is_refused(dataset, tmp_path, capsys):
    assert "E312" in refusal(capsys, train_arguments(dataset, tmp_path / "none", "--resume"))


def test_resuming_a_finished_run_scores_it_again(run, dataset):
    before = (run / "metrics.csv").read_text()
    assert main(train_arguments(dataset, run, "--resume")) == 0
    assert (run / "metrics.csv").read_text() == before


@pytest.mark.parametrize(("damage", "code"), [("missing", "E321"), ("cut short", "E322")])
@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_missing_and_damaged_checkpoints(command, damage, code, run, dataset, tmp_path, capsys):
    broken = tmp_path / "broken"
    shutil.copytree(run, broken)
    last = broken / "checkpoints" / "last.pt"
    content = last.read_bytes()
    last.unlink()
    if damage == "cut short":
        last.write_bytes(content[: len(content) // 2])
    more = (
        [str(dataset / "images" / "test_000.nii.gz"), "--output", str(tmp_path / "out")] if command == "predict" else []
    )
    assert refusal(capsys, [command, str(broken), *more, "--device", "cpu"]).startswith(f"mednoisy: {code} checkpoint ")
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written(run, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    line = refusal(capsys, ["report", str(run), "--output", str(tmp_path / "file" / "page.html")])
    assert line.startswith("mednoisy: E106 ")


def test_a_volume_among_test_pictures_is_refused_before_training(tmp_path, capsys):
    data = small_dataset(tmp_path / "data", "dermoscopy")
    content = json.loads((data / "datalist.json").read_text())
    case = content["test"][0]
    volume = np.zeros((6, 6, 6), np.uint8)
    for key in ("image", "label"):
        write_nifti(data / f"{key}.nii.gz", volume, np.eye(4))
        case[key] = f"{key}.nii.gz"
    (data / "datalist.json").write_text(json.dumps(content))
    assert main(train_arguments(data, tmp_path / "run", bundle="dermoscopy")) == 2
    assert "E227" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
