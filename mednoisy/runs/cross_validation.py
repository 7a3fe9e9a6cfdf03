"""A cross-validated run: N networks, each with an Nth of the labeled patients held out, scored on these and pooled."""

from __future__ import annotations

import gc
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml
from monai.bundle import ConfigParser

from mednoisy.composition import Composition
from mednoisy.composition.config_errors import telling_values
from mednoisy.data.datalist import Datalist
from mednoisy.data.folds import patients_by_fold
from mednoisy.data.load_case import checking_reader
from mednoisy.engines.kept_labels import check_labels
from mednoisy.engines.run_folder import RunFolder, fold_folder, folds_of
from mednoisy.errors import DONE_IN_PART, REFUSED, UserError
from mednoisy.inference.label_map_files import label_file
from mednoisy.inference.prediction import predict_files
from mednoisy.notices import tell
from mednoisy.report.reading.expected_dices import FILE, read_expected_dices
from mednoisy.report.run_page import write_report
from mednoisy.runs.expected_dice import expected_dice, write_expected_dice
from mednoisy.runs.pooled_folds import write_pooled
from mednoisy.runs.predict_with_run import ENSEMBLE, deployed_networks

LOGGER = logging.getLogger("mednoisy")
PAGE = "report.html"  # written last: a fold that has one is finished
OWN_SECTIONS = ("validation", "test")


@dataclass
class CrossValidation:
    """A run whose folder holds a run a fold (`folds/0` and so on), their figures together and what they predict.

    Of every fold the last checkpoint counts; nothing is chosen on held-out cases. Folds run one after the other in
    this process. A run that was interrupted, at whatever point, goes on there; a finished fold is never repeated.

    Args:
        composition: of the run as a whole: the entry `fold` is null, `validation` 0, `output_dir` its folder.
        folds: how many.
        on_fault: is given what an unlabeled image is refused for when it is to be predicted; the others go on.
    """

    composition: Composition
    folds: int
    on_fault: Callable[[UserError], None] | None = None

    def run(self, run_id: str = "run") -> None:
        """Train what is missing, predict the unlabeled cases, pool the figures, tell what Dice to expect of these
        cases, and write the page.

        Args:
            run_id: `run`, or `evaluate` to score what is trained once more.

        Raises:
            UserError: E370, folds that cannot be; E509, they would be of a pretext alone; as `RunFolder.open`, among
                these E313, another number of folds than the run has; E201 to E209, a labeled case is at fault; E381, a
                label has changed since; what training a fold raises, with exit code 1 once there is something to go
                on with.
        """
        folder: RunFolder | None = None
        try:
            with telling_values():
                workflow = self.composition.workflow()
                merged = yaml.safe_dump(workflow.parser.get(), sort_keys=False, allow_unicode=True)
                parser = workflow.parser
                parser.parse(reset=True)
                datalist = parser.get_parsed_content("datalist")
                if not parser.get_parsed_content("plan")[-1].method().predictors():
                    cause = "a pretext predicts nothing, so folds of it cannot be scored"
                    raise UserError("E509", cause, "Drop --folds, or give --pretext and the --method that follows it")
                held_out = patients_by_fold(datalist.cases("labeled"), self.folds, parser.get_parsed_content("seed"))
                folder = self._opened(parser, merged)
                self._check_cases(folder, parser, datalist)
                for number, patients in enumerate(held_out):
                    self._finish(folder, number, patients, run_id)
                predicted = self._predict(folder, parser, datalist)
                write_pooled(folder, folds_of(folder.path), datalist, predicted)
                self._expect(folder, datalist, again=run_id != "run")
                write_report([folder.path], folder.path / PAGE)
        except UserError as fault:
            if folder is not None and fault.exit_code == REFUSED and not self._discard(folder):
                fault.exit_code = DONE_IN_PART  # folds that were trained stay
            raise
        finally:
            if folder is not None:
                folder.close()

    def _opened(self, parser: ConfigParser, merged: str) -> RunFolder:
        folder: RunFolder = parser.get_parsed_content("run_folder")
        folder.facts = {**folder.facts, "folds": self.folds}
        folder.config_text = merged
        folder.open()
        return folder

    def _check_cases(self, folder: RunFolder, parser: ConfigParser, datalist: Datalist) -> None:
        """Read every labeled case, before hours of training and again when the run goes on."""
        for section in OWN_SECTIONS:
            if cases := datalist.cases(section):
                tell(f"a cross-validation leaves the datalist's own section {section!r} out ({len(cases)} listed)")
        load = checking_reader(parser.get_parsed_content("preprocessing"), datalist.labels)
        labeled: list[Any] = datalist.cases("labeled")
        check_labels(folder.path, ({"id": case["id"], "label": load(case)["label"]} for case in labeled))

    def _finish(self, folder: RunFolder, number: int, patients: list[str], run_id: str) -> None:
        """Train and score one fold, unless that is done."""
        path = fold_folder(folder.path, number)
        if run_id == "run" and (path / PAGE).is_file():
            return
        print(f"fold {number} ({number + 1} of {self.folds}), held out: {', '.join(patients)}", flush=True)
        places = {"output_dir": str(path.resolve()), "model_file": str(path.resolve() / "models" / "model.pt")}
        values: dict[str, Any] = {**places, "fold": [number, self.folds], "resume": (path / "run.json").is_file()}
        fold = Composition([folder.path.resolve() / "config.yaml"], values)
        print(fold.command, flush=True)
        fold.run(run_id)
        gc.collect()  # the images that it kept, before the next fold reads its own

    def _predict(self, folder: RunFolder, parser: ConfigParser, datalist: Datalist) -> int:
        """Label maps of all unlabeled cases, by the networks together and by each; how many cases have them.

        Those that are newer than the networks stay.
        """
        folds = folds_of(folder.path)
        newest = max(os.path.getmtime(fold / "checkpoints" / "last.pt") for fold in folds)
        places = {ENSEMBLE: folder.predictions} | {f"fold_{n}": fold / "unlabeled" for n, fold in enumerate(folds)}

        def made(case: dict[str, str]) -> bool:
            files = [label_file(place, case["id"], case["image"]) for place in places.values()]
            return all(file.is_file() and os.path.getmtime(file) >= newest for file in files)

        cases = datalist.cases("unlabeled")
        missing = [case for case in cases if not made(case)]
        if not missing:
            return len(cases)
        networks = deployed_networks(parser, folder.path)
        seen_as = parser.get_parsed_content("preprocessing"), parser.get_parsed_content("evaluation#inferer")
        device = parser.get_parsed_content("device")
        written = predict_files(missing, networks, *seen_as, places, device, self._tell_fault, codes=datalist.codes)
        return len(cases) - len(missing) + len(written)

    def _expect(self, folder: RunFolder, datalist: Datalist, *, again: bool) -> None:
        """What Dice to expect of these label maps, unless it is told already; no file where nothing calibrates it."""
        cases = [
            case
            for case in datalist.cases("unlabeled")
            if label_file(folder.predictions, case["id"], case["image"]).is_file()
        ]
        path = folder.path / FILE
        newest = max(os.path.getmtime(fold / "checkpoints" / "last.pt") for fold in folds_of(folder.path))
        made = path.is_file() and os.path.getmtime(path) >= newest and not again
        told = {row.case for row in read_expected_dices(folder.path)} if made else set()
        if {case["id"] for case in cases} == told:
            return
        path.unlink(missing_ok=True)
        if not cases:
            return
        try:
            found = expected_dice(folder.path, cases, trust=True)  # it is this very run
        except UserError as fault:
            if fault.code != "E396":
                raise
            LOGGER.info("no Dice can be expected of the unlabeled cases: %s", fault.cause)
            return
        write_expected_dice(folder.path, found)

    def _tell_fault(self, fault: UserError) -> None:
        LOGGER.error("not predicted: %s", fault)
        if self.on_fault is None:
            raise fault
        self.on_fault(fault)

    def _discard(self, folder: RunFolder) -> bool:
        """Take a new run that is refused away, unless a fold of it has saved something; whether it has not."""
        folds = folder.path / "folds"
        if any(folds.glob("*/checkpoints")):
            return folder.resume
        if not folder.resume and folds.is_dir():
            shutil.rmtree(folds)
        folder.discard()
        return True
