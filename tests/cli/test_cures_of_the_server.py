"""Cures followed: `mednoisy label`, and what the annotation server calls, as far as MONAI Label is not needed."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from monai.transforms import Compose

from mednoisy.cli import main
from mednoisy.composition import bundles_folder
from mednoisy.data.images import write_nifti
from mednoisy.data.load_case import LoadCased
from mednoisy.engines.served_studies import datalist_of_studies
from mednoisy.errors import UserError
from mednoisy.files import locked
from mednoisy.monai_label import training
from mednoisy.monai_label.deployment import Deployed, consider
from mednoisy.monai_label.intake import add_image, save_label
from mednoisy.monai_label.names import checked_id, checked_tag, known_study
from mednoisy.monai_label.parameters import check_file_name
from mednoisy.monai_label.prediction import Predictor
from mednoisy.monai_label.studies import Study, found_studies
from mednoisy.monai_label.training import Trainings
from mednoisy.monai_label.workplace import Workplace
from tests.cli.test_cures import filled, refused_with
from tests.monai_label.conftest import AFFINE, SETTINGS, SHAPE, box, write_image
from tests.small_runs import small_dataset, train_arguments

CONSTRAINTS = Path(__file__).parents[2] / "constraints-label.txt"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("runs")
    words = train_arguments(small_dataset(folder / "data"), folder / "run", "--method", "supervised")
    assert main(words) == 0
    return folder / "run"


@pytest.fixture
def place(tmp_path, monkeypatch) -> Workplace:
    """Three studies in the folder `studies` of the folder where commands are called."""
    monkeypatch.chdir(tmp_path)
    made = Workplace(tmp_path / "studies")
    for number in range(3):
        write_image(made, f"scan_{number}", number)
    made.keep_settings(SETTINGS)
    return made


@pytest.fixture
def served(monkeypatch) -> list[list[str]]:
    """Commands that this process would become, MONAI Label being installed."""
    commands: list[list[str]] = []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: object())
    monkeypatch.setattr(os, "execve", lambda program, words, environment: commands.append(words))
    return commands


@pytest.fixture
def rounds(finished, monkeypatch) -> list[str]:
    """Numbers of rounds that were trained: each is a copy of the finished run, compared and let serve as rounds are."""
    numbers: list[str] = []

    def launched(module: str, place: Workplace, *words: str, log: Path) -> subprocess.Popen:
        shutil.copytree(finished, place.of_round(int(words[0])) / "run")
        consider(place, int(words[0]))
        numbers.append(words[0])
        process = subprocess.Popen(["true"])
        process.wait()
        return process

    monkeypatch.setattr(training, "launched", launched)
    return numbers


def study(place: Workplace, name: str = "scan_0") -> Study:
    return known_study(found_studies(place), name)


def sent(array: np.ndarray | None = None) -> Path:
    """A label map as a client sends it: the box of an atrium, unless another is given."""
    write_nifti(Path("sent.nii.gz"), box() if array is None else array, AFFINE)
    return Path("sent.nii.gz")


def save(place: Workplace, array: np.ndarray | None = None, tag: str = "final", **info: Any) -> object:
    return save_label(place, study(place), sent(array), SETTINGS.classes, info, tag)


def told(call: Callable[[], object], code: str, pattern: str) -> re.Match[str]:
    """What a pattern finds in the line with which a call is refused."""
    with pytest.raises(UserError) as caught:
        call()
    line = str(caught.value)
    assert line.startswith(f"{code} ")
    found = re.search(pattern, line)
    assert found, line
    return found


# The command


LABEL = ["label", "--bundle", "phantom", "--studies", "studies", "--device", "cpu"]
OTHER_CLASSES = ["--set", "label_names=['background','vein']"]


def labeled(place: Workplace) -> None:
    save(place)


def labeled_by_a_setting(place: Workplace) -> None:
    place.keep_settings(SETTINGS)
    main([*LABEL, *OTHER_CLASSES])
    save(place)


def damaged_settings(place: Workplace) -> None:
    save(place)
    (place.folder / "settings.json").write_text("{")


def removed_settings(place: Workplace) -> None:
    (place.folder / "settings.json").unlink()


def restored_settings(place: Workplace) -> None:
    place.keep_settings(SETTINGS)


def without_classes(place: Workplace) -> None:
    shutil.copytree(bundles_folder() / "phantom", "mine")
    _in_bundle(lambda text: re.sub(r"(?m)^label_names: .*\n", "label_names: '@names'\n", text))


def with_classes(place: Workplace) -> None:
    _in_bundle(lambda text: text.replace("'@names'", "[background, atrium]"))


def _in_bundle(edit: Callable[[str], str]) -> None:
    for path in (Path("mine/dataset.yaml"), Path("mine/configs/train.yaml")):
        path.write_text(edit(path.read_text()))


def another_folder(place: Workplace) -> None:
    Path("others").mkdir()


def nothing(place: Workplace) -> None:
    pass


@pytest.mark.parametrize(
    ("code", "fault", "given", "cure", "mend", "followed"),
    [
        ("E580", damaged_settings, LABEL, r"or remove it and start mednoisy label again", removed_settings, LABEL),
        ("E580", damaged_settings, LABEL, r"Restore it", restored_settings, LABEL),
        ("E582", nothing, [*LABEL, "--studies", "absent"], "Correct (--studies)", nothing, [*LABEL, "<1>", "studies"]),
        ("E588", labeled, [*LABEL, "--bundle", "acdc"], r"Start with (--bundle \w+),", nothing, [*LABEL, "<1>"]),
        ("E588", labeled, [*LABEL, *OTHER_CLASSES], r"Start with (--bundle \w+) and without --set label_names,", nothing, [*LABEL, "<1>"]),
        ("E588", labeled_by_a_setting, LABEL, r"Start with (--bundle \w+ --set .*), or", nothing, [*LABEL, "<1>"]),
        ("E588", labeled, [*LABEL, *OTHER_CLASSES], "or take another folder", another_folder, [*LABEL, *OTHER_CLASSES, "--studies", "others"]),
        ("E589", without_classes, [*LABEL, "--bundle", "mine"], "Give label_names in its dataset.yaml", with_classes, [*LABEL, "--bundle", "mine"]),
    ],
)  # fmt: skip
def test_the_server_is_started_as_the_cure_says(
    place, served, monkeypatch, capsys, code, fault, given, cure, mend, followed
):
    monkeypatch.setattr("mednoisy.monai_label.start.check_port", lambda host, port: None)
    fault(place)
    served.clear()
    proposed = refused_with(capsys, given, code, cure)
    assert not served
    mend(place)
    main(filled(followed, proposed))
    assert len(served) == 1


@pytest.fixture
def taken() -> Iterator[int]:
    """A port at which somebody listens."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.mark.parametrize("cure", [r"Give another (--port)", r"or (--host)"])
def test_another_address_is_listened_at(place, served, taken, capsys, cure):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    option = refused_with(capsys, [*LABEL, "--port", str(taken)], "E583", cure)[1]
    assert not served
    main([*LABEL, "--port", str(taken), option, str(free) if option == "--port" else "127.0.0.2"])
    assert len(served) == 1


def test_a_second_server_starts_when_the_first_has_stopped(place, served, capsys):
    with locked(place.folder / "server"):
        refused_with(capsys, LABEL, "E584", "(Stop it first)")
        assert not served
    main(LABEL)
    assert len(served) == 1


def test_what_is_told_to_be_installed_is_what_the_server_needs(place, monkeypatch, capsys, request):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None)
    pattern = r"Install it under Python (\S+): pip install --constraint (\S+) (\w+)==(\S+)\.$"
    _, constraints, package, version = refused_with(capsys, LABEL, "E581", pattern).groups()
    assert constraints == CONSTRAINTS.name
    assert f"{package}=={version}" in CONSTRAINTS.read_text().splitlines()
    served = request.getfixturevalue("served")  # installed
    monkeypatch.setattr("mednoisy.monai_label.start.check_port", lambda host, port: None)
    main(LABEL)
    assert len(served) == 1


def test_the_network_before_is_taken_back_once_there_is_one(place, rounds, capsys):
    save(place)
    Trainings(place).start()
    back = ["label", "--studies", "studies", "--back"]
    refused_with(capsys, back, "E579", "Train another round")
    save(place, box()[::-1])
    Trainings(place).start()
    assert rounds == ["1", "2"]
    assert main(back) == 0
    assert Deployed.read(place).round == 1


def test_a_damaged_note_of_what_serves_is_removed(place, rounds, capsys):
    save(place)
    Trainings(place).start()
    path = place.folder / "deployed.json"
    path.write_text("[]")
    refused_with(capsys, ["label", "--studies", "studies", "--back"], "E580", "or remove it .*: labels lie elsewhere")
    path.unlink()
    save(place, box()[::-1])
    Trainings(place).start()
    assert Deployed.read(place).round == 2


# What clients ask for


def uploaded(place: Workplace, name: str = "scan_0") -> Path:
    return Path(shutil.copy(place.studies / f"{name}.nii.gz", "upload.nii.gz"))


def linked(place: Workplace) -> Path:
    """An upload, and a link out of the folder, which is no study."""
    (place.studies / "link.nii.gz").symlink_to(uploaded(place).resolve())
    return Path("upload.nii.gz")


def as_format(place: Workplace, name: str) -> Path:
    """An image as it was sent, in the format that a name tells."""
    SimpleITK.WriteImage(SimpleITK.ReadImage(uploaded(place)), name)
    return Path(name)


def many(place: Workplace) -> list[Study]:
    return [*found_studies(place), *(Study(f"more_{number}", Path(), None) for number in range(20))]


Call = Callable[[Workplace], object]
SEGMENT = {"name": "atrium", "idx": 1}
REFUSED: list[tuple[str, Call, str, Callable[[Workplace, re.Match[str]], object]]] = [
    ("E558", lambda on: add_image(on, "n", as_format(on, "u.mhd")), "Send (NIfTI), NRRD or MetaImage as one file", lambda on, _: add_image(on, "n", as_format(on, "u.nii"))),
    ("E558", lambda on: add_image(on, "n", as_format(on, "u.nhdr")), "(NRRD) or (MetaImage) as one file, or a picture", lambda on, _: (add_image(on, "n", as_format(on, "u.nrrd")), add_image(on, "m", as_format(on, "u.mha")))),
    ("E571", lambda on: study(on, "scan1"), r"Did you mean '(\w+)'", lambda on, near: study(on, near[1])),
    ("E571", lambda on: known_study(many(on), "scan1"), r"See /datastore/\?output=all", lambda on, _: study(on, found_studies(on)[0].id)),
    ("E572", lambda on: study(on, "studies/scan_0"), "Give the id as /datastore/ lists it, without a folder", lambda on, _: study(on, "scan_0")),
    ("E572", lambda on: add_image(on, "n" * 201, uploaded(on)), r"Use up to (\d+)", lambda on, most: add_image(on, "n" * int(most[1]), uploaded(on))),
    ("E572", lambda on: checked_id(7), "Give the id as /datastore/ lists it", lambda on, _: checked_id("7")),
    ("E572", lambda on: save(on, tag="mine, later"), r"Use (\w+), \w+ or a plain name", lambda on, known: save(on, tag=known[1])),
    ("E572", lambda on: save(on, tag="mine, later"), r"Use \w+, (\w+) or a plain name", lambda on, known: save(on, tag=known[1])),
    ("E572", lambda on: checked_tag("a.b"), r"or a plain name", lambda on, _: save(on, tag="later_1")),
    ("E572", lambda on: add_image(on, "link", linked(on)), "Give another id", lambda on, _: add_image(on, "other", uploaded(on))),
    ("E572", lambda on: check_file_name(".."), r"Send it under a plain name, such as ([\w.]+)", lambda on, name: check_file_name(name[1]) is None),
    ("E573", lambda on: save(on, np.zeros((40, 40, 40), np.uint8)), "Export the label on the image's grid", lambda on, _: save(on)),
    ("E575", lambda on: save(on, label_info="atrium"), r'Send \[\{"name": "\.\.\.", "idx": 1\}\]', lambda on, _: save(on, label_info=[SEGMENT])),
    ("E575", lambda on: save(on, label_info="atrium"), "or leave it out", lambda on, _: save(on)),
    ("E575", lambda on: save(on, label_info=[{"name": "atriun"}]), r"Rename it, .* Did you mean '(\w+)'", lambda on, near: save(on, label_info=[{"name": near[1]}])),
    ("E575", lambda on: save(on, label_info=[SEGMENT, {"name": "Segment_2"}]), "or remove it", lambda on, _: save(on, label_info=[SEGMENT])),
    ("E575", lambda on: save(on, box(2), label_info=[SEGMENT]), "Name every segment in label_info, in order", lambda on, _: save(on, box(2), label_info=[{"name": "disagreement"}, {"name": "atrium"}])),
    ("E587", lambda on: add_image(on, "scan_1", uploaded(on)), "Give another id", lambda on, _: add_image(on, "scan_3", uploaded(on))),
]  # fmt: skip


@pytest.mark.parametrize(("code", "ask", "cure", "again"), REFUSED)
def test_a_client_asks_again_as_the_cure_says(place, code, ask, cure, again):
    proposed = told(lambda: ask(place), code, cure)
    assert not any(each.label for each in found_studies(place))
    assert again(place, proposed)


def test_labels_are_saved_and_a_training_started_before_anything_is_predicted(place, rounds):
    """E576 and E578, each of which tells to do what leads to the other's end."""
    image = study(place, "scan_1").image
    told(lambda: Predictor(place).predict(image, "scan_1"), "E576", "Save labels and start a training")
    told(Trainings(place).start, "E578", "Save a label first")
    save(place)
    Trainings(place).start()
    assert rounds == ["1"]
    assert Predictor(place).predict(image, "scan_1").labels.shape == SHAPE


@pytest.mark.parametrize("cure", ["Wait for it", "or stop it first"])
def test_a_training_is_started_when_none_is_running(place, monkeypatch, cure):
    """Processes that do nothing stand in for rounds; one that ends by itself is waited for."""
    seconds = iter(["0.5" if cure == "Wait for it" else "60", "0"])
    processes: list[subprocess.Popen] = []

    def launched(*_: object, **__: object) -> subprocess.Popen:
        processes.append(subprocess.Popen(["sleep", next(seconds)]))
        return processes[-1]

    monkeypatch.setattr(training, "launched", launched)
    save(place)
    trainings = Trainings(place)
    trainings.start()
    try:
        told(trainings.start, "E577", cure)
        if cure == "or stop it first":
            assert trainings.stop()
    finally:
        processes[0].wait(30)
    assert trainings.start()["number"] == 1
    assert len(processes) == 2
    processes[1].wait(30)


def test_the_trainer_of_monai_label_learns_once_a_label_is_submitted(place):
    def pairs() -> list[dict[str, str]]:
        return [{"image": str(study(place).image), "label": str(place.labels / "scan_0.nii.gz")}]

    def datalist() -> object:
        reading = Compose([LoadCased(codes=range(2), axes=3)])
        codes = place.folder / "codes"
        return datalist_of_studies(pairs(), [], SETTINGS.classes, "studies", reading, codes).cases("labeled")

    told(datalist, "E551", "Submit the label of one, then train again")
    save(place)
    assert datalist()
