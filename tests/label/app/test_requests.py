"""Requests as 3D Slicer, its reviewer and OHIF send them, to a server that has trained, and what it refuses."""

from __future__ import annotations

import io
import json
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from mednoisy.data.images import read_image, write_nifti
from tests.label.app.conftest import (
    LEAKING,
    Phantoms,
    finished_ranking,
    finished_training,
    phantom_program,
    phantoms,
    words_of,
)

pytestmark = pytest.mark.filterwarnings(LEAKING)
SECONDS = 600
TRAIN = {  # as 3D Slicer sends it, flat
    "device": "NVIDIA", "pretrained": True, "max_epochs": 50, "val_split": 0.2, "multi_gpu": True, "gpus": "all",
    "tracking": "mlflow", "tracking_uri": "", "tracking_experiment_name": "", "run_id": "", "model_filename": "m.pt",
    "client_id": "user-xyz",
}  # fmt: skip
INFER = {
    "device": "cuda",
    "model_filename": "m.pt",
    "result_extension": ".nrrd",
    "result_dtype": "uint8",
    "client_id": "u",
}
OHIF = {"result_extension": ".nrrd", "result_dtype": "uint8", "result_compress": False, "restore_label_idx": False}
FIRST, SECOND, THIRD = "labeled_000", "labeled_001", "labeled_002"


@dataclass(frozen=True)
class Trained:
    """A server with a network of two labels."""

    url: str
    client: Any
    data: Phantoms

    def get(self, path: str, **more: Any) -> requests.Response:
        return requests.get(self.url + path, timeout=SECONDS, **more)

    def post(self, path: str, **more: Any) -> requests.Response:
        return requests.post(self.url + path, timeout=SECONDS, **more)

    def put(self, path: str, **more: Any) -> requests.Response:
        return requests.put(self.url + path, timeout=SECONDS, **more)

    def label(self, study: str) -> np.ndarray:
        return read_image(self.data.studies / "labels" / "final" / f"{study}.nii.gz").array


@pytest.fixture(scope="module")
def trained(server, client, tmp_path_factory) -> Trained:
    """Before its first network it says so; two saved labels and a training later it predicts."""
    data = phantoms(tmp_path_factory.mktemp("phantoms"))
    made = server(program=phantom_program(data.studies, "--upload-mb", "8"))
    here = Trained(made.url, client(made), data)

    refused = here.post("/infer/phantom", params={"image": FIRST})
    assert (refused.status_code, words_of(refused)[:4]) == (409, "E576")
    refused = here.post("/train/phantom", json=TRAIN)
    assert (refused.status_code, words_of(refused)[:4]) == (409, "E578")
    assert here.get("/train/", params={"check_if_running": "true"}).status_code == 404
    assert here.get("/train/").status_code == 404
    assert here.client.next_sample("entropy", {})["remarks"][0].startswith("No network has been trained yet")

    for study in (FIRST, SECOND):
        here.client.save_label(study, str(data.labels[study]), params={"label_info": [{"name": "atrium", "idx": 1}]})
    assert here.client.train_start("phantom", dict(TRAIN))["id"] == "round-1"
    assert finished_training(made.url, SECONDS)["status"] == "DONE"
    finished_ranking(made.url, SECONDS)
    return here


def test_slicer_connects(trained):
    """`/auth/` before each call says that there are no logins; `/info/` fills its boxes."""
    assert trained.client.auth_enabled() is False
    info = trained.client.info()
    assert info["labels"] == ["atrium"]
    assert info["models"]["phantom"]["labels"] == {"atrium": 1, "disagreement": 2}
    assert info["models"]["phantom"]["type"] == "segmentation"
    assert next(iter(info["strategies"])) == "uncertain_and_different"
    assert "foreground_random_66" not in info["strategies"]  # reads true labels
    assert 0 <= info["train_stats"]["phantom"]["best_metric"] <= 1
    assert info["mednoisy"]["network"]["round"] == 1
    assert "2 held-out studies" in info["mednoisy"]["network"]["reason"]


def test_slicer_asks_for_the_next_study_and_opens_it(trained):
    sample = trained.client.next_sample("uncertain_and_different", {"skip": False})
    path = trained.data.studies / f"{sample['id']}.nii.gz"
    assert Path(sample["path"]) == path.resolve()
    assert sample["id"] not in (FIRST, SECOND)
    assert sample["reason"]
    downloaded = trained.get("/datastore/image", params={"image": sample["id"]})
    assert downloaded.content == path.read_bytes()
    assert trained.client.datastore()["objects"][sample["id"]]["image"]["info"]["strategy"]["uncertain_and_different"]
    assert trained.client.next_sample("uncertain_and_different", {})["id"] == sample["id"]
    other = trained.post("/activelearning/entropy", json={"client_id": "another"}).json()
    assert other["id"] not in (sample["id"], FIRST, SECOND)


def test_slicer_predicts_a_study(trained):
    """A multipart reply: classes and the map of disagreement, on the grid of the scan, by name."""
    file, answer = trained.client.infer("phantom", THIRD, dict(INFER))
    source, result = read_image(trained.data.studies / f"{THIRD}.nii.gz"), read_image(Path(file))
    assert file.endswith(".nrrd")
    assert result.array.dtype == np.uint8
    assert np.allclose(result.affine, source.affine)
    assert result.shape == source.shape
    assert set(np.unique(result.array)) <= {0, 1, 2}
    assert answer["label_names"] == {"atrium": 1, "disagreement": 2}
    assert answer["expected_dice"]["atrium"].keys() == {"dice", "low", "high", "cover"}
    plain, _ = trained.client.infer("phantom", THIRD, {**INFER, "result_extension": ".nii.gz", "disagreement": False})
    classes = read_image(Path(plain)).array
    assert set(np.unique(classes)) <= {0, 1}
    assert np.array_equal(classes[result.array < 2], result.array[result.array < 2])


def test_slicer_saves_with_its_own_numbers_and_our_map_is_no_class(trained):
    """`idx` is a place in the scene: background stood first. What is still marked takes the class that was shown."""
    file, _ = trained.client.infer("phantom", THIRD, {**INFER, "result_extension": ".nii.gz"})
    shown = read_image(Path(file)).array
    plain, _ = trained.client.infer("phantom", THIRD, {**INFER, "result_extension": ".nii.gz", "disagreement": False})
    classes = read_image(Path(plain)).array
    sent = Path(file).with_name("sent.nii.gz")
    swapped = np.array([0, 2, 1], np.uint8)[shown]  # disagreement is exported first
    write_nifti(sent, swapped, read_image(trained.data.labels[THIRD]).affine)
    names = [{"name": "disagreement", "idx": 2}, {"name": "atrium", "idx": 3}]
    trained.client.save_label(THIRD, str(sent), params={"label_info": names, "model": "phantom"})
    assert np.array_equal(trained.label(THIRD), classes)

    trained.client.save_label(
        THIRD, str(trained.data.labels[THIRD]), params={"label_info": [{"name": "atrium", "idx": 2}]}
    )
    assert np.array_equal(trained.label(THIRD), read_image(trained.data.labels[THIRD]).array)
    kept = trained.data.studies / ".mednoisy" / "versions" / "final" / THIRD / "1" / f"{THIRD}.nii.gz"
    assert np.array_equal(read_image(kept).array, classes)
    assert trained.client.datastore()["objects"][THIRD]["labels"]["final"]["info"]["label_info"][0]["name"] == "atrium"


def test_slicer_uploads_an_image_to_a_session_and_predicts_it(trained):
    image = trained.data.studies / f"{FIRST}.nii.gz"
    session = trained.client.create_session(str(image))["session_id"]
    assert trained.client.get_session(session)["name"] == session
    file, answer = trained.client.infer("phantom", image.name, dict(INFER), session_id=session)
    assert read_image(Path(file)).shape == read_image(image).shape
    assert answer["expected_dice"] == {}
    trained.client.remove_session(session)
    assert trained.get(f"/session/{session}").status_code == 404


def test_slicer_uploads_an_image_as_a_study(trained):
    image = trained.data.studies / f"{FIRST}.nii.gz"
    assert trained.client.upload_image(str(image), "new one") == {"image": "new one"}
    assert (trained.data.studies / "new one.nii.gz").read_bytes() == image.read_bytes()
    assert "new one" in trained.client.datastore()["objects"]
    with open(trained.data.labels[FIRST], "rb") as other:
        refused = trained.put("/datastore/", params={"image": "new one"}, files={"file": ("x.nii.gz", other)})
    assert (refused.status_code, words_of(refused)[:4]) == (409, "E587")
    (trained.data.studies / "new one.nii.gz").unlink()
    assert "new one" not in trained.client.datastore()["objects"]


def test_slicer_trains_watches_and_stops(trained):
    """The training that is stopped has saved, and goes on when it is started again."""
    started = trained.client.train_start("phantom", dict(TRAIN))
    assert {"id", "status", "start_ts"} <= started.keys()
    refused = trained.post("/train/phantom", json=TRAIN)
    assert (refused.status_code, words_of(refused)) == (
        429,
        "E577 a training is running. Wait for it, or stop it first.",
    )
    assert trained.client.train_status(check_if_running=True) is True
    trained.client.train_stop()
    stopped = finished_training(trained.url, SECONDS)
    assert stopped["status"] in ("STOPPED", "DONE")
    assert trained.client.train_status(check_if_running=False)["id"] == started["id"]
    if stopped["status"] == "STOPPED":
        assert trained.client.train_start("phantom", dict(TRAIN))["id"] == started["id"]
        assert finished_training(trained.url, SECONDS)["status"] == "DONE"
    finished_ranking(trained.url, SECONDS)


def test_batch_inference_saves_under_original_and_slicer_downloads_it(trained):
    wishes = {"device": "cpu", "save_label": True, "label_tag": "original", "max_workers": 1, "max_batch_size": 1}
    done = trained.post("/batch/infer/phantom", params={"images": "unlabeled", "run_sync": "true"}, json=wishes)
    assert done.status_code == 200, done.text
    (study,) = done.json()
    labels = trained.client.datastore()["objects"][study]["labels"]
    assert labels["original"]["info"]["params"]["label_names"]["atrium"] == 1
    file = trained.client.download_label(study, "original")
    assert read_image(Path(file)).shape == read_image(trained.data.studies / f"{study}.nii.gz").shape
    assert trained.get("/batch/infer").status_code in (200, 404)
    assert requests.delete(f"{trained.url}/batch/infer", timeout=SECONDS).status_code == 200


def test_the_reviewer_notes_and_removes_versions(trained):
    path = str(trained.data.labels[FIRST])
    trained.client.save_label(FIRST, path, tag="version_1", params={"label_info": [{"name": "atrium", "idx": 1}]})
    noted = trained.put("/datastore/updatelabelinfo", params={"label": FIRST, "tag": "final"},
                        data={"params": json.dumps({"segmentationMeta": {"status": "approved"}})})  # fmt: skip
    assert noted.status_code == 200
    info = trained.client.datastore()["objects"][FIRST]["labels"]["final"]["info"]
    assert info["segmentationMeta"] == {"status": "approved"}
    removed = requests.delete(f"{trained.url}/datastore/label", params={"id": FIRST, "tag": "version_1"}, timeout=60)
    assert removed.status_code == 200
    assert "version_1" not in trained.client.datastore()["objects"][FIRST]["labels"]
    kept = trained.data.studies / ".mednoisy" / "versions" / "version_1" / FIRST / "1" / f"{FIRST}.nii.gz"
    assert kept.is_file()


def test_ohif_from_a_page_of_this_machine(trained):
    """Without a login header; its page is of another origin, which only this machine's may be."""
    page = {"Origin": "http://localhost:3000"}
    info = trained.get("/info/", headers=page)
    assert info.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert (
        "access-control-allow-origin" not in trained.get("/info/", headers={"Origin": "https://elsewhere.org"}).headers
    )
    answer = trained.post(
        "/infer/phantom", params={"image": FIRST, "output": "image"}, files={"params": (None, json.dumps(OHIF))}
    )
    assert answer.status_code == 200
    assert answer.content.startswith(b"NRRD000")
    first = trained.post("/activelearning/random", json={}, headers=page).json()
    second = trained.post("/activelearning/random", json={}, headers=page).json()
    assert first["id"] != second.get("id")
    finished_training(trained.url, SECONDS)
    started = trained.post("/train/", json={"phantom": {"max_epochs": 2}}).json()
    assert started["phantom"]["result"]["status"] == "RUNNING"
    assert trained.get("/train/", params={"check_if_running": "true"}).status_code == 200
    assert requests.delete(f"{trained.url}/train/", timeout=60).status_code == 200
    finished_training(trained.url, SECONDS)


@pytest.fixture
def unchanged(trained) -> Iterator[None]:
    """Around what is refused: studies, labels and everything beside them are as they were."""

    def files() -> dict[Path, bytes]:
        found = [path for path in trained.data.outside.rglob("*") if path.is_file() and ".mednoisy" not in path.parts]
        return {path: path.read_bytes() for path in found if path.name not in (".lock", "datastore_v2.json")}

    before = files()
    yield
    assert files() == before
    assert not list((trained.data.studies / ".mednoisy" / "incoming").iterdir())


def label(trained: Trained, content: bytes | None = None, name: str = "x.nii.gz") -> dict:
    return {"label": (name, trained.data.labels[FIRST].read_bytes() if content is None else content)}


LEADS_ELSEWHERE: list[Callable[[Trained], requests.Response]] = [
    lambda on: on.put("/datastore/label", params={"image": FIRST, "tag": "../../../x"}, files=label(on)),
    lambda on: on.put("/datastore/label", params={"image": "../x"}, files=label(on)),
    lambda on: on.put("/datastore/", params={"image": "../x"}, files={"file": ("x.nii.gz", b"x")}),
    lambda on: on.post("/infer/phantom", params={"image": str(on.data.labels[FIRST])}),
    lambda on: on.post(
        "/infer/phantom", params={"image": FIRST}, files={"params": (None, '{"image": "/etc/hostname"}')}
    ),
    lambda on: on.post("/infer/phantom", params={"session_id": "../../x"}),
    lambda on: on.get("/datastore/image", params={"image": "../../../etc/passwd"}),
    lambda on: on.get("/datastore/label", params={"label": FIRST, "tag": ".."}),
    lambda on: requests.delete(f"{on.url}/datastore/label", params={"id": "..", "tag": "final"}, timeout=60),
    lambda on: on.put("/datastore/label/info", params={"label": "../x", "tag": "final"}, data={"info": "{}"}),
]


@pytest.mark.parametrize("ask", LEADS_ELSEWHERE)
def test_ways_out_of_the_studies_are_refused(trained, unchanged, ask):
    refused = ask(trained)
    assert (refused.status_code, words_of(refused)[:4]) == (400, "E572"), refused.text


def save(on: Trained, content: bytes | None = None, params: str = "{}", image: str = FIRST) -> requests.Response:
    """What is said to a label map that is sent."""
    return on.put("/datastore/label", params={"image": image}, files=label(on, content), data={"params": params})


def in_pieces(on: Trained) -> requests.Response:
    """What is said to nine megabytes whose length is not told before."""
    kind = {"content-type": "multipart/form-data; boundary=x"}
    head = b'--x\r\nContent-Disposition: form-data; name="label"; filename="x.nii.gz"\r\n\r\n'
    pieces = (head if number == 0 else b"y" * 2**20 for number in range(10))
    return on.put("/datastore/label", params={"image": FIRST}, data=pieces, headers=kind)


def test_an_archive_of_the_studies_is_not_left_on_the_server(trained):
    incoming = trained.data.studies / ".mednoisy" / "incoming"
    before = set(incoming.iterdir())
    answer = trained.get("/datastore/dataset")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert f"label/{FIRST}.nii.gz" in archive.namelist()
    end = time.monotonic() + 10
    while set(incoming.iterdir()) > before and time.monotonic() < end:
        time.sleep(0.1)
    assert set(incoming.iterdir()) <= before


UNKNOWN_SEGMENT = '{"label_info": [{"name": "Segment_1", "idx": 1}]}'
UNHASHABLE = '{"label_info": [{"name": "Segment_1", "idx": [1]}]}'
INFINITE, LONG_NAME = '{"x": Infinity}', f"x.{'y' * 300}"
KNOWN_LABEL = {"label": FIRST, "tag": "final"}
JSON = {"content-type": "application/json"}
AS_FINAL = '{"save_label": true, "label_tag": "final"}'
ARCHIVE = {"files": ("x.zip", b"x")}
REFUSED: list[tuple[Callable[[Trained], requests.Response], int, str]] = [
    (lambda on: on.post("/infer/nope", params={"image": FIRST}), 404, "E571 there is no model 'nope'"),
    (lambda on: on.post("/infer/phantom", params={"image": "nope"}), 404, "E571 there is no study 'nope'"),
    (lambda on: on.post("/activelearning/nope", json={}), 404, "E395 unknown strategy 'nope'"),
    (lambda on: on.post("/train/nope", json={}), 404, "E571 there is no trainer 'nope'"),
    (lambda on: on.get("/datastore/label", params={"label": FIRST, "tag": "nope"}), 404, "E571"),
    (lambda on: save(on, image="nope"), 404, "E571"),
    (lambda on: save(on, b"junk"), 400, "E202"),
    (lambda on: save(on, other_grid(on)), 400, "E204"),
    (lambda on: save(on, other_code(on)), 400, "E206"),
    (lambda on: save(on, params=UNKNOWN_SEGMENT), 400, "E575"),
    (lambda on: save(on, params="{"), 400, "E585"),
    (lambda on: save(on, params="[1]"), 400, "E585"),
    (lambda on: save(on, params='{"x": NaN}'), 400, "E585"),
    (lambda on: save(on, params='{"x": "\\ud800"}'), 400, "E585"),
    (lambda on: save(on, params="[" * 100_000), 400, "E585"),
    (lambda on: save(on, params=UNHASHABLE), 400, "E575"),
    (
        lambda on: on.put("/datastore/label", params={"image": FIRST}, files={"label": (LONG_NAME, b"x")}),
        400,
        "E572",
    ),
    (lambda on: on.put("/session/", files={"files": ("..", b"x")}), 400, "E572"),
    (lambda on: on.post("/infer/phantom", files={"file": ("x.mhd", b"ElementDataFile = /etc/passwd")}), 400, "E558"),
    (lambda on: on.put("/datastore/", params={"image": "n"}, files={"file": ("n.h5", b"x")}), 400, "E558"),
    (
        lambda on: on.put("/datastore/updatelabelinfo", params=KNOWN_LABEL, data={"params": INFINITE}),
        400,
        "E585",
    ),
    (lambda on: on.post("/activelearning/random", data='{"client_id": "\\ud800"}', headers=JSON), 400, "E585"),
    (lambda on: on.post("/batch/infer/phantom", params={"run_sync": "true"}, json={"max_workers": "x"}), 400, "E585"),
    (lambda on: save(on, b"x" * 9 * 2**20), 413, "E574"),
    (in_pieces, 413, "E574"),
    (lambda on: on.put("/datastore/", params={"image": "n"}, files={"file": ("n.nii.gz", b"junk")}), 400, "E202"),
    (lambda on: on.put("/session/", params={"uncompress": "true"}, files=ARCHIVE), 403, "E586"),
    (lambda on: requests.delete(f"{on.url}/datastore/", params={"id": FIRST}, timeout=60), 403, "E586"),
    (lambda on: on.get("/model/phantom"), 403, "E586"),
    (lambda on: on.put("/model/phantom", files={"file": ("x.pt", b"x")}), 403, "E586"),
    (lambda on: on.post("/infer/phantom", params={"image": FIRST}, files={"params": (None, "no json")}), 400, "E585"),
    (lambda on: on.post("/infer/phantom", files={"file": ("x.nii.gz", b"junk")}), 400, "E202"),
    (lambda on: on.post("/infer/phantom", params={"image": FIRST}, files={"params": (None, AS_FINAL)}), 403, "E586"),
]


@pytest.mark.parametrize(("ask", "status", "words"), REFUSED)
def test_what_does_not_fit_is_refused_with_its_line(trained, unchanged, ask, status, words):
    refused = ask(trained)
    assert refused.status_code == status, refused.text
    assert words_of(refused).startswith(words)


def test_what_is_too_large_is_taken_where_more_may_be_sent(trained, server, tmp_path):
    """An image of noise, which packs badly, to a server with 8 MB and to one with 16."""
    large = tmp_path / "large.nii.gz"
    write_nifti(large, np.random.default_rng(0).normal(size=(144, 144, 144)).astype(np.float32), np.eye(4))
    assert 8 * 2**20 < large.stat().st_size < 15 * 2**20

    def upload(url: str) -> requests.Response:
        file = {"file": (large.name, large.read_bytes())}
        return requests.put(f"{url}/datastore/", params={"image": "large"}, files=file, timeout=SECONDS)

    refused = upload(trained.url)
    assert (refused.status_code, words_of(refused)[:4]) == (413, "E574")
    assert "larger --upload-mb" in words_of(refused)
    data = phantoms(tmp_path / "phantoms", 1)
    other = server(program=phantom_program(data.studies, "--upload-mb", "16"))
    taken = upload(other.url)
    assert taken.status_code == 200, taken.text
    assert (data.studies / "large.nii.gz").read_bytes() == large.read_bytes()
    other.kill()


@pytest.mark.parametrize("headers", [{"Origin": "https://elsewhere.example"}, {"Host": "rebound.example"}])
def test_a_web_page_from_elsewhere_starts_nothing(trained, headers):
    """A browser would send these in the name of the annotator; no answer is needed to start a training."""
    before = trained.get("/train/").json()
    refused = requests.post(f"{trained.url}/train/", headers=headers, timeout=SECONDS)
    assert (refused.status_code, words_of(refused)[:4]) == (403, "E586")
    assert trained.get("/train/").json() == before


def other_grid(trained: Trained) -> bytes:
    return _nifti(trained, lambda array: array[:-2])


def other_code(trained: Trained) -> bytes:
    return _nifti(trained, lambda array: array * 7)


def _nifti(trained: Trained, change: Callable[[np.ndarray], np.ndarray]) -> bytes:
    image = read_image(trained.data.labels[FIRST])
    path = trained.data.outside.parent / "changed.nii.gz"
    write_nifti(path, change(image.array), image.affine)
    return path.read_bytes()


def test_links_out_of_the_studies_are_not_served(trained):
    link = trained.data.studies / "link.nii.gz"
    link.symlink_to(trained.data.labels[FIRST])
    try:
        assert "link" not in trained.client.datastore()["objects"]
        assert trained.post("/infer/phantom", params={"image": "link"}).status_code == 404
    finally:
        link.unlink()


def test_a_long_inference_keeps_nobody_waiting(trained, tmp_path):
    """A scan of a thousand windows: `/info/` answers meanwhile, in a small part of the time."""
    large = tmp_path / "large.nii.gz"
    write_nifti(large, np.random.default_rng(0).normal(size=(160, 160, 128)).astype(np.float32).round(), np.eye(4))
    took: list[float] = []

    def predict() -> None:
        begun = time.monotonic()
        session = trained.client.create_session(str(large))["session_id"]
        answer = trained.post("/infer/phantom", params={"image": "", "session_id": session})
        assert answer.status_code == 200, answer.text
        took.append(time.monotonic() - begun)

    thread = threading.Thread(target=predict)
    thread.start()
    waits = []
    while thread.is_alive():
        begun = time.monotonic()
        assert trained.get("/info/").status_code == 200
        waits.append(time.monotonic() - begun)
        time.sleep(0.2)
    thread.join()
    assert len(took) == 1
    assert len(waits) >= 4
    assert max(waits) < took[0] / 3, (waits, took)
