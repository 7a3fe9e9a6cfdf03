"""Rounds of pseudo-labels: what a planted teacher writes, what its student reads, and what an interruption leaves."""

from __future__ import annotations

import csv
import json
import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.transforms import Compose, ScaleIntensityd

from mednoisy.data.batch import Batch
from mednoisy.data.datalist import Datalist
from mednoisy.data.images import read_image
from mednoisy.data.training_stream import TrainingStream
from mednoisy.engines import checkpoint
from mednoisy.engines import pseudo_label_files as round_files
from mednoisy.engines.pseudo_label_files import RoundFiles
from mednoisy.engines.stages import Stage, students_of
from mednoisy.errors import UserError
from mednoisy.methods.supervised import Supervised
from mednoisy.pseudo.selection_rules import SelectionRules
from tests.engines.small import At, assert_same, kept, sdcl_stages, small_network
from tests.engines.small_rounds import (
    ADAM,
    LABELS,
    PREPROCESSING,
    SHAPE,
    SURE,
    UNSURE,
    boxes,
    noisy_run,
    noisy_stages,
    on_disk,
    planted,
    pseudo_labels,
)
from tests.engines.small_rounds import round_files as files_of

CUBE = (slice(2, 6),) * 3  # 64 voxels of 990
BESIDE = (slice(8, 10), slice(8, 10), slice(7, 9))  # 8 voxels, apart from it
CORNER = (0, 0, 0)  # an image whose voxels are all equal is refused
RULES = SelectionRules(minimum_area=0.01, minimum_confidence=0.7, largest_component=True)


class Killed(Exception):
    """Stands for a kill: nothing more is saved."""


def box_mask(*places: tuple[slice, ...]) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    for place in places:
        mask[place] = 1
    return mask


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data in `data`; runs beside it, so that paths in their datalists are the same."""
    return tmp_path_factory.mktemp("rounds")


@pytest.fixture(scope="module")
def balls(root: Path) -> Datalist:
    return on_disk(root / "data")


@pytest.fixture(scope="module")
def whole(root: Path, balls: Datalist) -> Path:
    """A run of teacher and two students, four steps each, that nothing interrupts."""
    noisy_run(root / "whole", noisy_stages(), balls)
    return root / "whole"


@pytest.fixture
def run_folder(root: Path, request: pytest.FixtureRequest) -> Path:
    return root / "".join(letter if letter.isalnum() else "_" for letter in request.node.name)


@pytest.fixture(scope="module")
def planted_round(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A round of a planted teacher under all rules, and one step of its student."""
    folder = tmp_path_factory.mktemp("planted")
    unlabeled = {
        "both": (boxes((CUBE, SURE), (BESIDE, SURE)), box_mask(CUBE)),
        "small": (boxes((BESIDE, SURE)), box_mask(BESIDE)),
        "unsure": (boxes((CUBE, UNSURE)), None),
        "half": (boxes((CUBE, SURE)), box_mask((slice(4, 8), slice(2, 6), slice(2, 6)))),
        "empty": (boxes((CORNER, -SURE)), box_mask()),
    }
    datalist = on_disk(folder / "data", unlabeled)
    stages = noisy_stages(1, pseudo_labels(rules=RULES), teacher=planted)
    noisy_run(folder / "run", stages, datalist, steps=1)
    return folder / "run" / "rounds" / "student1"


def test_masks_and_confidence_are_those_of_the_planted_teacher(planted_round):
    """.8 and .6 of 255; the smaller piece is taken away; the grid is that of the image."""
    masks = {path.name: read_image(path) for path in (planted_round / "masks").iterdir()}
    assert sorted(masks) == [f"{name}.nii.gz" for name in ("both", "empty", "half", "small", "unsure")]
    for name, mask in {"both": box_mask(CUBE), "small": box_mask(BESIDE), "empty": box_mask()}.items():
        np.testing.assert_array_equal(masks[f"{name}.nii.gz"].array, mask)
        np.testing.assert_allclose(masks[f"{name}.nii.gz"].affine, np.diag([1.0, 2.0, 3.0, 1.0]))
    confidence = read_image(planted_round / "confidence" / "both.nii.gz").array
    assert confidence.dtype == np.uint8
    np.testing.assert_array_equal(confidence, np.where(box_mask(CUBE, BESIDE), 204, 153))


def test_the_table_tells_who_is_kept_and_why_not(planted_round):
    with open(planted_round / "cases.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["id", "kept", "reason", "confidence", "area", "dice", "centre"]
    cube, beside = str(round(64 / 990, 6)), str(round(8 / 990, 6))
    assert [list(row.values())[:-1] for row in rows] == [
        ["both", "1", "", "0.8", cube, "1.0"],
        ["small", "0", "area", "0.8", beside, "1.0"],
        ["unsure", "0", "confidence", "0.6", cube, ""],
        ["half", "1", "", "0.8", cube, "0.5"],
        ["empty", "0", "area", str(round((989 * 0.6 + 0.8) / 990, 6)), "0.0", ""],  # both are empty: undefined
    ]


def test_ignored_voxels_of_a_hidden_reference_count_in_no_figure(tmp_path):
    """Half of the planted cube lies beyond the reference: marked there, its Dice is 1; undeclared, it is refused."""
    beyond = (slice(4, 6), slice(2, 6), slice(2, 6))
    reference = box_mask((slice(2, 4), slice(2, 6), slice(2, 6)))
    reference[beyond] = 255
    unlabeled = {"half": (boxes(((slice(2, 6),) * 3, SURE)), reference), "both": (boxes((CUBE, SURE)), box_mask(CUBE))}
    datalist = on_disk(tmp_path / "data", unlabeled)
    with pytest.raises(UserError, match=r"E206 case 'half': label holds 255"):
        noisy_run(tmp_path / "refused", noisy_stages(1, pseudo_labels(), teacher=planted), datalist, steps=1)
    noisy_run(
        tmp_path / "run", noisy_stages(1, pseudo_labels(), teacher=planted), replace(datalist, ignore=(255,)), steps=1
    )
    with open(tmp_path / "run" / "rounds" / "student1" / "cases.csv", newline="") as stream:
        assert {row["id"]: row["dice"] for row in csv.DictReader(stream)} == {"half": "1.0", "both": "1.0"}
    assert Datalist.load(tmp_path / "run" / "rounds" / "student1" / "datalist.json").ignore == (255,)


def test_the_figures_of_the_round(planted_round):
    figures = json.loads((planted_round / "round.json").read_text())
    assert figures.pop("teacher_digest") == planted().digest != planted(2.0).digest
    assert figures == {
        "stage": "student1",
        "teacher": "runs/before",
        "teacher_step": 70,
        "predictor": "student",
        "rules": {"minimum_area": 0.01, "minimum_confidence": 0.7, "largest_component": True},
        "unlabeled": 5,
        "kept": 2,
        "share_kept": 0.4,
        "confidence": 0.8,
        "area": round(64 / 990, 6),
        "dice": round(2.5 / 3, 6),
        "dice_kept": 0.75,
    }


def test_the_datalist_has_the_kept_cases_as_a_section_of_their_own(planted_round):
    datalist = Datalist.load(planted_round / "datalist.json")
    assert [case["id"] for case in datalist.cases("pseudo")] == ["both", "half"]
    assert [case["id"] for case in datalist.cases("unlabeled")] == ["small", "unsure", "empty"]
    assert [case["id"] for case in datalist.cases("labeled")] == ["p0", "p1", "p2", "p3"]
    assert [case["id"] for case in datalist.cases("hidden")] == ["small", "empty", "both", "half"]
    first = datalist.cases("pseudo")[0]
    assert Path(first["label"]) == planted_round / "masks" / "both.nii.gz"
    assert Path(first["confidence"]) == planted_round / "confidence" / "both.nii.gz"


def drawn_in(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Batch]]:
    """All batches from now on, with their stage."""
    batches: list[tuple[str, Batch]] = []
    draw = TrainingStream.batch

    def noted(stream: TrainingStream, stage: str, *rest: Any, **named: Any) -> Batch:
        batches.append((stage, draw(stream, stage, *rest, **named)))
        return batches[-1][1]

    monkeypatch.setattr(TrainingStream, "batch", noted)
    return batches


def test_pseudo_labeled_cases_join_the_labeled_ones_and_nothing_else_changes(balls, run_folder, monkeypatch):
    """Of six cases one epoch, of which two are drawn a step; the unlabeled half stays as it was."""
    batches = drawn_in(monkeypatch)
    first, student = noisy_stages(1)
    stages = [first, replace(student, unlabeled=2)]
    trainer = noisy_run(run_folder, stages, balls, steps=20)
    of_teacher = {id for stage, batch in batches if stage == "teacher" for id in batch.labeled_ids}
    assert of_teacher == {"p0", "p1", "p2", "p3"}
    of_student = [id for stage, batch in batches if stage == "student1" for id in batch.labeled_ids]
    assert sorted(of_student[:9]) == ["p0", "p1", "p2", "p3", "u0", "u1", "u2", "u3", "u4"]
    assert {id for _, batch in batches for id in batch.unlabeled_ids} == {"u0", "u1", "u2", "u3", "u4"}
    stream = trainer.loader.stream
    assert [item["id"] for item in stream.labeled] == ["p0", "p1", "p2", "p3"]
    assert all("label" not in item for item in stream.unlabeled)


@pytest.mark.parametrize(("ratio", "copies"), [(None, 1), (1.25, 1), (1.0, 2), (0.5, 3)])
def test_labeled_cases_are_repeated_to_hold_the_ratio(balls, run_folder, monkeypatch, ratio, copies):
    """Five pseudo-labeled cases to four labeled ones."""
    batches = drawn_in(monkeypatch)
    stages = noisy_stages(1, pseudo_labels(ratio=ratio), teacher=planted)
    noisy_run(run_folder, stages, balls, steps=9, validate_every=None)
    epoch = [id for _, batch in batches for id in batch.labeled_ids][: 4 * copies + 5]
    assert sorted(epoch) == sorted(copies * ["p0", "p1", "p2", "p3"] + ["u0", "u1", "u2", "u3", "u4"])


def test_each_round_is_labeled_by_the_best_of_the_stage_before(whole):
    for stage, before in (("student1", "teacher"), ("student2", "student1")):
        figures = json.loads((whole / "rounds" / stage / "round.json").read_text())
        best = checkpoint.load(whole / "checkpoints" / f"best_{before}.pt")
        teacher = replace(planted(), network=small_network(9))
        teacher.network.load_state_dict({k.removeprefix("students.student."): v for k, v in best["method"].items()})
        assert (figures["teacher"], figures["teacher_step"]) == (before, best["step"])
        assert figures["teacher_digest"] == teacher.digest
    log = (whole / "log.txt").read_text()
    assert "round student1: 5 of 5 pseudo-labels kept, mean confidence" in log
    assert "; Dice to the hidden references" in log


def test_fresh_rounds_begin_from_the_same_weights_in_networks_of_their_own():
    networks = [stage.method().students["student"] for stage in noisy_stages(3)]
    assert len(set(networks)) == len(students_of(noisy_stages(3))) == 4
    for network in networks:
        assert_same(network.state_dict(), small_network(1).state_dict())
    shared = [stage.method().students["student"] for stage in noisy_stages(3, fresh=False)]
    assert len(set(shared)) == 1


def kill_in(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, call: int) -> None:
    """Let the call of that number fail before it does anything."""
    original, calls = getattr(owner, name), []

    def failing(*arguments: Any, **named: Any) -> Any:
        calls.append(name)
        if len(calls) == call:
            raise Killed
        return original(*arguments, **named)

    monkeypatch.setattr(owner, name, failing)


POINTS = {
    "first case": (RoundFiles, "write_case", 1),
    "third case": (RoundFiles, "write_case", 3),
    "between confidence and mask": (round_files, "write_grey", 6),
    "before the figures": (RoundFiles, "finish", 1),
    "between table and figures": (round_files, "write_text", 2),
    "before the datalist": (Datalist, "save", 1),
    "second round": (RoundFiles, "write_case", 8),
    "before the datalist of the second round": (Datalist, "save", 2),
}


@pytest.mark.parametrize("point", POINTS)
def test_killed_while_it_labels_a_run_goes_on_bit_for_bit(balls, whole, run_folder, point):
    with pytest.MonkeyPatch.context() as patch:
        kill_in(patch, *POINTS[point])
        with pytest.raises(Killed):
            noisy_run(run_folder, noisy_stages(), balls)
    noisy_run(run_folder, noisy_stages(), balls, resume=True)
    assert_same(kept(run_folder), kept(whole))
    assert_same(files_of(run_folder), files_of(whole))


@pytest.mark.parametrize("step", [4, 5, 7, 8, 9, 11])
def test_killed_while_it_trains_a_run_goes_on_bit_for_bit(balls, whole, run_folder, step):
    """The stages end after steps 4, 8 and 12."""
    with pytest.raises(Killed):
        noisy_run(run_folder, noisy_stages(), balls, handlers=[At(step, kill)])
    noisy_run(run_folder, noisy_stages(), balls, resume=True)
    assert_same(kept(run_folder), kept(whole))
    assert_same(files_of(run_folder), files_of(whole))


def kill(engine: Any) -> None:
    raise Killed


def test_a_signal_between_two_cases_stops_and_what_is_labeled_stays(balls, whole, run_folder, monkeypatch):
    written, write = [], RoundFiles.write_case

    def writing(files: RoundFiles, case: dict, *rest: Any) -> None:
        write(files, case, *rest)
        written.append(case["id"])
        if len(written) == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(RoundFiles, "write_case", writing)
    with pytest.raises(UserError, match=r"E331 stopped by SIGTERM after step 4"):
        noisy_run(run_folder, noisy_stages(), balls)
    noisy_run(run_folder, noisy_stages(), balls, resume=True)
    assert written[:5] == ["u0", "u1", "u2", "u3", "u4"]  # none twice
    assert_same(kept(run_folder), kept(whole))
    assert_same(files_of(run_folder), files_of(whole))


def test_the_files_of_another_teacher_are_thrown_away(balls, run_folder):
    """Killed after three cases of one teacher; the next one labels all anew."""
    other = noisy_stages(1, teacher=partial(planted, -1.0))
    noisy_run(run_folder.with_suffix(".other"), other, balls, steps=2)
    with pytest.MonkeyPatch.context() as patch:
        kill_in(patch, RoundFiles, "write_case", 4)
        with pytest.raises(Killed):
            noisy_run(run_folder, noisy_stages(1, teacher=planted), balls, steps=2)
    assert len(list((run_folder / "rounds" / "student1" / "masks").iterdir())) == 3
    (run_folder / "rounds" / "student1" / "masks" / "gone.nii.gz").touch()
    noisy_run(run_folder, other, balls, steps=2, resume=True)
    assert_same(files_of(run_folder), files_of(run_folder.with_suffix(".other")))


def test_a_folder_in_which_nothing_can_be_written_stops_the_run_in_one_line(balls, run_folder):
    run_folder.mkdir()
    (run_folder / ".rounds").touch()
    files = RoundFiles(run_folder / ".rounds" / "student1", balls, RULES)  # within a file
    with pytest.raises(UserError, match=r"E320 cannot write .*teacher\.json: Not a directory") as error:
        files.begin({"stage": "student1"})
    assert error.value.exit_code == 1


def test_a_damaged_note_of_the_teacher_is_another_teacher(balls, run_folder):
    files = RoundFiles(run_folder / "rounds" / "student1", balls, RULES)
    files.begin({"stage": "student1"})
    (files.folder / "masks").mkdir()
    files.teacher_file.write_bytes(b"\xff")
    files.begin({"stage": "student1"})
    assert [path.name for path in files.folder.iterdir()] == ["teacher.json"]


def test_hidden_references_are_read_for_figures_alone(balls, whole, run_folder):
    blind = replace(balls, sections={**balls.sections, "hidden": []})
    noisy_run(run_folder, noisy_stages(), blind)
    assert_same(kept(run_folder), kept(whole))
    figures = json.loads((run_folder / "rounds" / "student1" / "round.json").read_text())
    assert figures["dice"] is figures["dice_kept"] is None
    masks = {name: content for name, content in files_of(whole).items() if name.endswith(".nii.gz")}
    assert_same({name: content for name, content in files_of(run_folder).items() if name in masks}, masks)


def test_any_method_may_be_the_teacher(balls, run_folder):
    """After SDCL's two stages its mean of students labels."""
    network = small_network(7)
    student = Stage("student1", lambda: Supervised(network), 1, ADAM, labeled=2, pseudo=pseudo_labels())
    noisy_run(run_folder, [*sdcl_stages(), student], balls, steps=6)
    figures = json.loads((run_folder / "rounds" / "student1" / "round.json").read_text())
    assert (figures["teacher"], figures["predictor"]) == ("selftraining", "mean")
    assert torch.isfinite(network[0].weight).all()


def test_a_teacher_of_its_own_sees_images_as_it_learned_to(balls, run_folder):
    """Its preprocessing turns inside out; the student's does not."""
    turned = Compose([*PREPROCESSING.transforms, ScaleIntensityd("image", minv=None, maxv=None, factor=-2.0)])
    for name, teacher in (("same", planted(-1.0)), ("turned", planted(1.0, preprocessing=turned))):
        noisy_run(run_folder / name, noisy_stages(1, teacher=lambda of=teacher: of), balls, steps=1)
    masks = {key: content for key, content in files_of(run_folder / "same").items() if key.endswith(".nii.gz")}
    assert len(masks) == 10
    assert_same({key: files_of(run_folder / "turned")[key] for key in masks}, masks)


@pytest.mark.parametrize("labels", [{0: "background"}, {0: "ball", 1: "background"}, LABELS | {2: "ring"}])
def test_a_teacher_of_other_classes_is_refused_before_anything_is_written(balls, run_folder, labels):
    """Its codes would pass for others: of three, 2 x 255 is 254 in 8 bits, a white pixel."""
    stages = noisy_stages(1, teacher=partial(planted, labels=labels))
    message = f"E363 the teacher runs/before tells apart {', '.join(labels.values())}; the dataset has background, ball"
    with pytest.raises(UserError, match=message):
        noisy_run(run_folder, stages, balls, steps=1)
    assert not run_folder.exists()


def test_cases_that_have_pseudo_labels_already_are_labeled_anew(balls, whole, run_folder):
    """A round's datalist as that of a run: its pseudo-labels are not read, and no case is lost."""
    kept, dropped = balls.cases("unlabeled")[3:], balls.cases("unlabeled")[:3]
    labels = {"label": balls.cases("labeled")[0]["label"], "confidence": balls.cases("labeled")[0]["label"]}
    again = replace(balls, sections=balls.sections | {"unlabeled": dropped, "pseudo": [c | labels for c in kept]})
    noisy_run(run_folder, noisy_stages(), again)
    assert_same(files_of(run_folder), files_of(whole))


def test_a_round_that_keeps_nothing_stops_the_run_and_tells_why(balls, run_folder):
    stages = noisy_stages(1, pseudo_labels(rules=SelectionRules(minimum_area=1.0)))
    with pytest.raises(
        UserError, match=r"E361 no pseudo-label of student1 passes .* with lower rules, .* another --output"
    ) as error:
        noisy_run(run_folder, stages, balls, steps=2)
    assert error.value.exit_code == 1
    assert "area" in (run_folder / "rounds" / "student1" / "cases.csv").read_text()
    assert not (run_folder / "rounds" / "student1" / "datalist.json").exists()


def test_what_a_round_would_stumble_over_is_refused_before_training(balls, run_folder):
    none = replace(balls, sections={**balls.sections, "unlabeled": [], "hidden": []})
    with pytest.raises(UserError, match="E360 there is no unlabeled case to label"):
        noisy_run(run_folder, noisy_stages(), none)
    missing = replace(balls, sections={**balls.sections, "unlabeled": [{"id": "u9", "image": "absent.nii.gz"}]})
    with pytest.raises(UserError, match=r"E201 case 'u9': absent\.nii\.gz does not exist"):
        noisy_run(run_folder, noisy_stages(), replace(missing, sections={**missing.sections, "hidden": []}))
    assert not run_folder.exists()


def test_a_student_cannot_go_on_without_its_round(balls, run_folder):
    with pytest.raises(Killed):
        noisy_run(run_folder, noisy_stages(), balls, handlers=[At(7, kill)])
    (run_folder / "rounds" / "student1" / "datalist.json").unlink()
    with pytest.raises(UserError, match=r"E362 .*datalist.json, which stage student1 trains on, is gone"):
        noisy_run(run_folder, noisy_stages(), balls, resume=True)


def test_the_page_is_made_when_the_round_is_complete_and_made_up_for(balls, run_folder):
    def page(folder: Path, run: str) -> None:
        assert Datalist.load(folder / "datalist.json").cases("pseudo")
        (folder / "page.html").write_text(run)

    def failing(folder: Path, run: str) -> None:
        raise Killed

    with pytest.raises(Killed):
        noisy_run(run_folder, noisy_stages(1, pseudo_labels(page=failing)), balls, steps=2)
    noisy_run(run_folder, noisy_stages(1, pseudo_labels(page=page)), balls, steps=2, resume=True)
    assert (run_folder / "rounds" / "student1" / "page.html").read_text() == run_folder.name


def test_labelling_is_no_waiting_for_data(balls, run_folder, monkeypatch):
    """A second of labelling is no second of waiting."""
    import time

    write = RoundFiles.finish
    monkeypatch.setattr(RoundFiles, "finish", lambda *rest: (time.sleep(1), write(*rest))[1])
    trainer = noisy_run(run_folder, noisy_stages(1), balls, steps=2, validate_every=None, log_interval=100)
    row = trainer.training.progress.rows[-1]
    assert row["waiting_share"] < 0.5


def test_numbers_of_rounds_and_shares_are_checked():
    with pytest.raises(ValueError, match="rounds is 0; it must be a whole number from 1 on"):
        noisy_stages(0)
    with pytest.raises(ValueError, match=r"shares are \[1, 2\]; there are 3 stages: teacher, student1, student2"):
        noisy_stages(2, shares=[1, 2])
    with pytest.raises(ValueError, match="ratio is 0; it must be above 0"):
        pseudo_labels(ratio=0)
