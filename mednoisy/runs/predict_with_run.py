"""The deployed predictor of a finished run, at work elsewhere: on other images, or as another run's teacher."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from torch.nn import Module

from mednoisy.composition import of_run
from mednoisy.composition.config_errors import telling_values
from mednoisy.data.training_data import TrainingData
from mednoisy.engines import checkpoint
from mednoisy.engines.pseudo_labels import Teacher
from mednoisy.engines.run_folder import folds_of
from mednoisy.errors import UserError
from mednoisy.evaluation import json_values as checked
from mednoisy.evaluation.read_finished_run import read_finished_run
from mednoisy.inference.kept_label_maps import KeptLabelMaps, digest_of
from mednoisy.inference.label_map_files import label_file
from mednoisy.inference.pace import Estimate, Pace
from mednoisy.inference.prediction import Case, check_ids, named_case, predict_files
from mednoisy.methods.method import Method
from mednoisy.networks.ensemble import MeanEnsemble
from mednoisy.notices import tell
from mednoisy.report.number_format import counted, duration
from mednoisy.runs.early_checks import check_prediction, check_predicts
from mednoisy.runs.largest_choice import classes_to_clean
from mednoisy.text_files import read_json

ENSEMBLE = "ensemble"  # of the networks of a cross-validated run
DEPLOYED = ""  # the name of its folder below the output: none


def predict_with_run(
    folder: Path | str,
    images: Sequence[Path | Case],
    output: Path | str,
    overrides: Mapping[str, Any] | None = None,
    trust: bool = False,
    on_fault: Callable[[UserError], None] | None = None,
    again: bool = False,
    keep_largest: str | None = None,
    others: bool = False,
) -> list[Path]:
    """Label maps `output/ID.nii.gz` (of pictures PNG) by what a run deploys; their paths, in order.

    That is the deployed predictor at its best checkpoint, or the networks of all folds together. Label maps that are
    there already are kept, as `KeptLabelMaps` has it.

    How scans differ from those that the run was trained on is told on stderr. Without a `stride` among the overrides it
    is that of the run's own predictions; where that takes long on a CPU, a quicker one is told.

    Args:
        images: files, folders of one DICOM series each, or cases with `id` and `image`.
        overrides: values of single entries, such as `device` or `stride`.
        trust: whether the run's configuration may be any program, see `check_trusted`.
        on_fault: see `predict_files`.
        again: make all label maps, whatever is there.
        keep_largest: of which classes the largest component alone is kept, see `classes_to_clean`; None: as the run
            has it.
        others: also write `output/NAME/ID.nii.gz` by every other predictor of the run, its students for one, or by each
            fold.

    Raises:
        UserError: before any work as `check_prediction`; then E107, as `telling_values`, and as `of_run`,
            `checkpoint.load`, `TrainingData.load`, `classes_to_clean` and `predict_files`.
    """
    cases = [named_case(image) for image in images]
    check_prediction(folder, [Path(case["image"]) for case in cases], trust)
    check_ids(cases)
    settings = {**(overrides or {}), **({"keep_largest": keep_largest} if keep_largest else {})}
    places = _Places(Path(output), _made_by(folder, settings), again)
    missing = [case for case in cases if not places.holds(DEPLOYED, case)]
    refused: set[str] = set()
    if missing or others:
        with telling_values():
            parser = of_run(folder, overrides, trust).workflow().parser
            parser.parse(reset=True)
            networks = _networks(parser, folder, others=others)
            codes = source_codes(folder)
            cleaned = classes_to_clean(keep_largest, folder, parser, networks[DEPLOYED], codes) if keep_largest else ()
            refused = _predicted(
                parser, networks, cases, places, on_fault, quicker_told="stride" not in settings, codes=codes,
                largest_of=cleaned, trained_on=TrainingData.load((folds_of(folder) or [Path(folder)])[0]),
            )  # fmt: skip
    if len(missing) < len(cases):
        tell(f"{len(cases) - len(missing)} of {len(cases)} label maps are there already and are kept (else: --again)")
    return [places.file(DEPLOYED, case) for case in cases if case["id"] not in refused]


class _Places:
    """Where the label maps of each predictor lie, and which are there: the deployed one's in `output` itself."""

    def __init__(self, output: Path, made_by: Mapping[str, Any], again: bool):
        self.output, self.made_by, self.again = output, made_by, again
        self.kept: dict[str, KeptLabelMaps] = {}

    def folder(self, name: str) -> Path:
        return self.output / name

    def file(self, name: str, case: Case) -> Path:
        return label_file(self.folder(name), case["id"], case["image"])

    def holds(self, name: str, case: Case) -> bool:
        """Whether a label map need not be made."""
        return not self.again and self._kept(name).holds(self.file(name, case), Path(case["image"]))

    def note(self, case: Case, paths: Mapping[str, Path]) -> None:
        """Remember what was just written."""
        for name, path in paths.items():
            self._kept(name).note(path, Path(case["image"]))

    def _kept(self, name: str) -> KeptLabelMaps:
        if name not in self.kept:
            made_by = {**self.made_by, **({"predictor": name} if name else {})}
            self.kept[name] = KeptLabelMaps(self.folder(name), made_by)
        return self.kept[name]


def _predicted(
    parser: ConfigParser,
    networks: Mapping[str, Module],
    cases: Sequence[Case],
    places: _Places,
    on_fault: Callable[[UserError], None] | None,
    *,
    quicker_told: bool,
    **of_files: Any,
) -> set[str]:
    """Make the label maps that are lacking; the ids of cases that are refused.

    Args:
        quicker_told: whether a quicker stride is told where the run's takes long on a CPU.
        of_files: further arguments of `predict_files`.
    """
    inferer, device = parser.get_parsed_content("evaluation#inferer"), parser.get_parsed_content("device")
    lacking = {case["id"]: tuple(name for name in networks if not places.holds(name, case)) for case in cases}
    watched = quicker_told and device.type == "cpu"
    pace = Pace(inferer, sum(map(bool, lacking.values())), _tell_slow) if watched else None
    refused: set[str] = set()
    for names in dict.fromkeys(filter(None, lacking.values())):  # as a rule one: what all cases lack
        those = [case for case in cases if lacking[case["id"]] == names]
        written = predict_files(
            those, {name: networks[name] for name in names}, parser.get_parsed_content("preprocessing"), inferer,
            {name: places.folder(name) for name in names}, device, on_fault, on_written=places.note, pace=pace,
            **of_files,
        )  # fmt: skip
        refused |= {case["id"] for case in those} - written.keys()
    return refused


def _networks(parser: ConfigParser, folder: Path | str, *, others: bool) -> dict[str, Module]:
    """The deployed network under the name `DEPLOYED`, and the other predictors under theirs, where asked for."""
    if folds_of(folder) or not others:
        found = deployed_networks(parser, folder)
    else:
        found = restored_method(parser, folder)[0].predictors()
    (name, deployed), *rest = found.items()
    if others and not rest:
        tell(f"note: {name} is the run's only predictor: there are no others")
    return {DEPLOYED: deployed, **(dict(rest) if others else {})}


def _tell_slow(expected: Estimate) -> None:
    """How long the run's stride takes, and the option that is quicker."""
    stride, quick = (" ".join(map(str, steps)) for steps in (expected.stride, expected.quick_stride))
    images = "the image takes" if expected.images == 1 else f"{counted(expected.images, 'image')} of this size take"
    tell(
        f"note: {images} about {duration(expected.seconds)} at {stride}, the stride of the run's own figures; "
        f"--stride {quick} takes about {duration(expected.quick_seconds)}, with label maps that differ a little"
    )


def _made_by(folder: Path | str, values: Mapping[str, Any]) -> dict[str, Any]:
    """What tells networks and settings of a prediction apart: not on which device it was made."""
    runs = folds_of(folder) or [Path(folder)]
    networks = [_best(run) for run in runs]
    settings = {name: repr(value) for name, value in values.items() if name != "device"}
    config = Path(folder) / "config.yaml"
    return {"networks": digest_of(path for path in networks if path.is_file()), "settings": settings,
            "configuration": digest_of([config])}  # fmt: skip


def source_codes(folder: Path | str) -> tuple[int, ...]:
    """The code that each class had in the files a run learned from; none where it is the class's own number."""
    path = Path(folder) / "run.json"
    if not path.is_file():
        return ()
    try:
        codes = checked.table(read_json(path), "the file").get("source_codes") or []
        return tuple(checked.count(code, "a source code") for code in checked.array(codes, "source_codes"))
    except ValueError as fault:
        raise UserError("E319", f"{path} is damaged: {fault}", "Restore it, or train again") from fault


def deployed_of_run(folder: Path | str, device: Any, trust: bool = False) -> Teacher:
    """The deployed predictor of a run's best checkpoint as the teacher of another run's first round.

    Args:
        folder: of the finished run.
        device: where the network shall be.
        trust: whether the run's configuration may be any program, see `check_trusted`.

    Raises:
        UserError: as `of_run`, `checkpoint.load` and `read_finished_run` (E402, it is not finished); E509, it predicts
            nothing.
    """
    with telling_values():
        parser = of_run(folder, {"device": f'$torch.device("{device}")'}, trust).workflow().parser
        summary = read_finished_run(folder).summary
        check_predicts(summary, folder)
        parser.parse(reset=True)
        seen_as = parser.get_parsed_content("preprocessing"), parser.get_parsed_content("evaluation#inferer")
        return Teacher(str(folder), *_deployed(parser, folder), *seen_as, dict(summary.labels))


def deployed_networks(parser: ConfigParser, folder: Path | str) -> dict[str, Module]:
    """The networks that a finished run deploys, the deployed one first; of folds together, each fold's as well.

    Args:
        parser: of the run's configuration, parsed.
        folder: of the run.
    """
    folds = folds_of(folder)
    if not folds:
        name, network, _ = _deployed_at(parser, folder)
        return {name: network}
    # Copies, for one configuration gives the same networks each time.
    members = {f"fold_{number}": deepcopy(_deployed_at(parser, fold)[1]) for number, fold in enumerate(folds)}
    return {ENSEMBLE: MeanEnsemble(members.values()), **members}


def _deployed(parser: ConfigParser, folder: Path | str) -> tuple[str, Module, int]:
    """Name, network and step of what a run deploys."""
    if folds := folds_of(folder):
        name, network = next(iter(deployed_networks(parser, folder).items()))
        return name, network, checkpoint.load(folds[0] / "checkpoints" / "last.pt")["step"]
    return _deployed_at(parser, folder)


def _deployed_at(parser: ConfigParser, folder: Path | str) -> tuple[str, Module, int]:
    """Name, network and step of the deployed predictor of a single run's best checkpoint."""
    method, step = restored_method(parser, folder)
    return *next(iter(method.predictors().items())), step


def restored_method(parser: ConfigParser, folder: Path | str) -> tuple[Method, int]:
    """The method of a single run's last stage with the weights of its best checkpoint, and the step of that.

    The networks are those of the configuration: restoring another checkpoint changes them again.
    """
    device = parser.get_parsed_content("device")
    content = checkpoint.load(_best(folder), device)
    method: Method = parser.get_parsed_content("plan")[-1].method().to(device)
    checkpoint.restore(method, content)
    return method, content["step"]


def _best(folder: Path | str) -> Path:
    """The checkpoint of a single run that is deployed."""
    checkpoints = Path(folder) / "checkpoints"
    best = checkpoints / "best_honest.pt"
    return best if best.is_file() else checkpoints / "last.pt"
