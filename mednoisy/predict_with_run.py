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
from mednoisy.data.images import case_name
from mednoisy.data.training_data import TrainingData
from mednoisy.early_checks import check_prediction, check_predicts
from mednoisy.engines import checkpoint
from mednoisy.engines.pseudo_labels import Teacher
from mednoisy.engines.run_folder import folds_of
from mednoisy.errors import UserError
from mednoisy.evaluation import json_values as checked
from mednoisy.evaluation.read_finished_run import read_finished_run
from mednoisy.inference.kept_label_maps import KeptLabelMaps, digest_of
from mednoisy.inference.label_map_files import label_file
from mednoisy.inference.pace import Estimate, Pace
from mednoisy.inference.prediction import check_ids, predict_files
from mednoisy.largest_choice import classes_to_clean
from mednoisy.methods.method import Method
from mednoisy.networks.ensemble import MeanEnsemble
from mednoisy.notices import tell
from mednoisy.report.number_format import counted, duration
from mednoisy.text_files import read_json

ENSEMBLE = "ensemble"  # of the networks of a cross-validated run


def predict_with_run(
    folder: Path | str,
    images: Sequence[Path],
    output: Path | str,
    overrides: Mapping[str, Any] | None = None,
    trust: bool = False,
    on_fault: Callable[[UserError], None] | None = None,
    again: bool = False,
    keep_largest: str | None = None,
) -> list[Path]:
    """Label maps `output/ID.nii.gz` (of pictures PNG) by what a run deploys; their paths, in order.

    That is the deployed predictor at its best checkpoint, or the networks of all folds together. Label maps that are
    there already are kept, as `KeptLabelMaps` has it.

    How scans differ from those that the run was trained on is told on stderr. Without a `stride` among the overrides it
    is that of the run's own predictions; where that takes long on a CPU, a quicker one is told.

    Args:
        overrides: values of single entries, such as `device` or `stride`.
        trust: whether the run's configuration may be any program, see `check_trusted`.
        on_fault: see `predict_files`.
        again: make all label maps, whatever is there.
        keep_largest: of which classes the largest component alone is kept, see `classes_to_clean`; None: as the run
            has it.

    Raises:
        UserError: before any work as `check_prediction`; then E107, as `telling_values`, and as `of_run`,
            `checkpoint.load`, `TrainingData.load`, `classes_to_clean` and `predict_files`.
    """
    check_prediction(folder, images, trust)
    cases = [{"id": case_name(path), "image": str(path)} for path in images]
    check_ids(cases)
    settings = {**(overrides or {}), **({"keep_largest": keep_largest} if keep_largest else {})}
    kept = KeptLabelMaps(Path(output), _made_by(folder, settings))
    file_of = {case["id"]: label_file(output, case["id"], case["image"]) for case in cases}
    missing = [case for case in cases if again or not kept.holds(file_of[case["id"]], Path(case["image"]))]
    written: Mapping[str, Any] = {}
    if missing:
        with telling_values():
            parser = of_run(folder, overrides, trust).workflow().parser
            parser.parse(reset=True)
            deployed, network, _ = _deployed(parser, folder)
            codes = source_codes(folder)
            cleaned = classes_to_clean(keep_largest, folder, parser, network, codes) if keep_largest else ()
            inferer, device = parser.get_parsed_content("evaluation#inferer"), parser.get_parsed_content("device")
            watched = device.type == "cpu" and "stride" not in settings
            written = predict_files(
                missing,
                {deployed: network},
                parser.get_parsed_content("preprocessing"),
                inferer,
                {deployed: Path(output)},
                device,
                on_fault,
                TrainingData.load((folds_of(folder) or [Path(folder)])[0]),
                lambda case, paths: kept.note(paths[deployed], Path(case["image"])),
                codes,
                cleaned,
                Pace(inferer, len(missing), _tell_slow) if watched else None,
            )
    if len(missing) < len(cases):
        tell(f"{len(cases) - len(missing)} of {len(cases)} label maps are there already and are kept (else: --again)")
    refused = {case["id"] for case in missing} - written.keys()
    return [file_of[case["id"]] for case in cases if case["id"] not in refused]


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
