"""The MONAI Label app: its model, its trainer and its strategies are runs and queries of mednoisy."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.tasks.batch_infer import BatchInferTask
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.interfaces.tasks.train import TrainTask

from mednoisy.errors import UserError, did_you_mean
from mednoisy.monai_label.datastore import Studies
from mednoisy.monai_label.deployment import Deployed, figure_of
from mednoisy.monai_label.intake import DISAGREEMENT, check_stands_alone, keep_shown
from mednoisy.monai_label.leases import Leases
from mednoisy.monai_label.names import FINAL, ORIGINAL, checked_id, checked_tag
from mednoisy.monai_label.orders import answerable, network_name, offered, read_order
from mednoisy.monai_label.parameters import check_whole_numbers
from mednoisy.monai_label.prediction import Predictor
from mednoisy.monai_label.scoring import progress, want
from mednoisy.monai_label.selection import Selection
from mednoisy.monai_label.training import Trainings, serving_run
from mednoisy.monai_label.viewer_files import write_for_viewer
from mednoisy.monai_label.workplace import Workplace

VERSION = "0.1"


class App(MONAILabelApp):
    """All that a server does for one folder of studies; tasks are thin, the modules beside this one do the work."""

    def __init__(self, app_dir: str, studies: str, conf: Mapping[str, str]):
        self.place = Workplace(Path(studies))
        self.choices = self.place.settings()
        self.leases = Leases(self.place, self.choices.lease_minutes)
        self.selection = Selection(self.place, self.leases)
        self.trainings = Trainings(self.place)
        self.predictor = Predictor(self.place)
        labels = list(self.choices.classes[1:])
        description = "Learns from labeled and unlabeled studies, and asks for those that teach it most"
        super().__init__(app_dir, studies, conf, f"mednoisy: {self.choices.name}", description, VERSION, labels)
        self._auto_update_scoring = False  # studies are ranked in a process of their own

    def init_datastore(self) -> Studies:
        """The guarded list of studies; a saved label ends its lease."""
        return Studies(self.place, self.choices.classes, self.leases.end)

    def init_infers(self) -> dict[str, InferTask]:
        """One model, that of the network which serves."""
        return {self.choices.name: Segmentation(self)}

    def init_trainers(self) -> dict[str, TrainTask]:
        """One trainer, of the same name."""
        return {self.choices.name: Rounds(self)}

    def init_strategies(self) -> dict[str, Strategy]:
        """All strategies of `mednoisy query` but oracles, the server's own first."""
        own = self.choices.strategy
        return {name: Ranking(self, name) for name in dict.fromkeys([own, *offered()])}

    def init_batch_infer(self) -> BatchInferTask:
        """The stock task, which takes a machine without a GPU for one of none."""
        return OnWhatIsThere()

    def datastore(self) -> Studies:
        """The list of studies as they lie in the folder now."""
        self._datastore.look()
        return self._datastore

    def on_init_complete(self) -> None:
        """Go on with a training or a ranking that was interrupted; begin a pretext where one is wished."""
        super().on_init_complete()
        resumed = self.trainings.resume()
        if resumed is None and not self.trainings.running() and Deployed.read(self.place).round is None:
            self.trainings.start_pretext()
        self.rank_again()

    def rank_again(self) -> None:
        """Have studies ranked where the network that serves has not done so."""
        asked, _ = answerable(self.place, self.choices, self.choices.strategy)
        if self._datastore.list_images() and read_order(self.place, network_name(self.place), asked) is None:
            want(self.place, asked)

    def info(self) -> dict[str, Any]:
        """What clients show: the stock entries, what serves and why, and how far training and ranking are."""
        self.datastore()
        deployed = Deployed.read(self.place)
        state = self.trainings.newest()
        told = (
            None
            if state is None
            else {key: state.get(key) for key in ("number", "state", "outcome", "remarks", "steps")}
        )
        more = {
            "network": {"round": deployed.round, "previous": list(deployed.previous), "reason": deployed.reason},
            "training": told, "ranking": progress(self.place),
        }  # fmt: skip
        return {**super().info(), "mednoisy": more}

    def infer(self, request: Mapping[str, Any], datastore: Studies | None = None) -> dict[str, Any]:
        """Predict a study by its id, an upload or the image of a session; no other file is read.

        Not by the stock method, which takes an id for a file where the server's own folder has one of that name.

        Raises:
            UserError: E558, E571, E572, E576, E2xx; E571 also for another model; E586, a prediction shall be saved as a
                finished label, which networks would learn from.
        """
        model = request.get("model")
        if model not in self._infers:
            raise UserError("E571", f"there is no model {model!r}", did_you_mean(str(model), self._infers))
        image = request.get("image")
        own = [Path(tempfile.gettempdir()).resolve()]
        if self._sessions is not None:
            own.append(Path(self._sessions.store_path).resolve())
        given = Path(image).resolve() if isinstance(image, str) else None
        store, name, path = datastore or self.datastore(), None, given
        if given is None or not given.is_file() or not any(folder in given.parents for folder in own):
            study = store.study(checked_id(image))
            name, path = study.id, study.image.resolve()
        else:
            check_stands_alone(given)
        tag = request.get("label_tag") or ORIGINAL
        tag, saved = checked_tag(getattr(tag, "value", tag)), name if request.get("save_label") else None
        if saved is not None and tag == FINAL:
            cause = f"a prediction is no finished label, so it is not saved under {FINAL}"
            raise UserError("E586", cause, f"Use label_tag {ORIGINAL}, and let somebody look at it")
        file, told = self._infers[model]({**request, "image": str(path), "study": name})
        label = file if saved is None else store.save_label(saved, file, tag, {"model": model, "params": told})
        return {"label": label, "tag": tag, "file": file, "params": told}

    def infer_wsi(self, request: Mapping[str, Any], datastore: Studies | None = None) -> dict[str, Any]:
        """Refused: whole slides are no studies here (E586)."""
        raise UserError("E586", "whole slides are not predicted here", "Use /infer/ with the id of a study")

    def next_sample(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The study to annotate next; empty where none is left."""
        strategy = str(request.get("strategy") or self.choices.strategy)
        client = request.get("client_id")
        found = self.selection.next(
            strategy, client if isinstance(client, str) else None, skip=bool(request.get("skip"))
        )
        if found is None:
            return {}
        return {**found, "path": self.datastore().get_image_uri(found["id"])}

    def model_info(self, model: str) -> dict[str, Any] | None:
        """None: checkpoints stay on the server."""
        return None


class Segmentation(InferTask):
    """Classes, and as a further segment where students or folds disagree."""

    def __init__(self, app: App):
        names = {name: code for code, name in enumerate(app.choices.classes) if code}
        self.app, self.names = app, names
        super().__init__(
            InferType.SEGMENTATION, {**names, DISAGREEMENT: len(names) + 1}, 3, "The network that serves",
            {DISAGREEMENT: True},
        )  # fmt: skip

    def is_valid(self) -> bool:
        """Whether clients see it: always, so that they are told when there is no network yet."""
        return True

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """The file of the label map, and its names, expected Dice and network."""
        started = time.monotonic()
        image, name = Path(request["image"]), request.get("study")
        answer = self.app.predictor.predict(image, name, disagreement=bool(request.get(DISAGREEMENT, True)))
        labels, names = answer.labels, dict(self.names)
        if name is not None:
            keep_shown(self.app.place, self.app.datastore().study(name), labels, answer.affine)
        if answer.disagreement is not None:
            labels = np.where(answer.disagreement, len(names) + 1, labels).astype(np.uint8)
            names[DISAGREEMENT] = len(names) + 1
        file = write_for_viewer(labels, answer.affine, image, str(request.get("result_extension") or ".nii.gz"))
        told = {
            "label_names": names, "round": answer.round, "expected_dice": answer.expected, "remark": answer.remark,
            "latencies": {"total": round(time.monotonic() - started, 2)},
        }  # fmt: skip
        return str(file), told


class OnWhatIsThere(BatchInferTask):
    """Predicts many studies; where there is no GPU, several are not asked for."""

    def __call__(self, request: Mapping[str, Any], datastore: Studies, infer: Callable[..., Any]) -> dict[str, Any]:
        """By study what was predicted."""
        check_whole_numbers(request, "max_workers", "max_batch_size")
        several = bool(request.get("multi_gpu", True)) and torch.cuda.device_count() > 0
        return dict(super().__call__({**request, "multi_gpu": several}, datastore, infer))


class Rounds(TrainTask):
    """Trains on labeled and unlabeled studies."""

    def __init__(self, app: App):
        self.app = app
        super().__init__("Trains on labeled and unlabeled studies, in a process that survives the server")

    def stats(self) -> dict[str, Any]:
        """For the bars of viewers: the figure of the network that serves, and how far the training is."""
        run, state = serving_run(self.app.place), self.app.trainings.newest()
        figure = None if run is None else figure_of(run).mean
        stats: dict[str, Any] = {} if figure is None else {"best_metric": figure}
        if state is not None and self.app.trainings.running():
            total = (self.app.choices.steps or 0) * (state["folds"] or 1)
            stats |= {"epoch": state["steps"], "total_epochs": max(total, state["steps"], 1)}
        return stats

    def __call__(self, request: Mapping[str, Any], datastore: Studies) -> dict[str, Any]:
        """Start a round; its state."""
        return self.app.trainings.start()


class Ranking(Strategy):
    """A strategy of `mednoisy query`."""

    def __init__(self, app: App, name: str):
        self.app, self.name = app, name
        super().__init__(f"Strategy {name} of mednoisy query")

    def info(self) -> dict[str, Any]:
        """With the options that a client may set."""
        return {**super().info(), "config": {"skip": False}}

    def __call__(self, request: Mapping[str, Any], datastore: Studies) -> dict[str, Any]:
        """The study to annotate next."""
        return self.app.next_sample({**request, "strategy": self.name})
