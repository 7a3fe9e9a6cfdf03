"""The deployed predictor of a finished run, at work elsewhere: on other images, or as another run's teacher."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from torch.nn import Module

from mednoisy.composition import of_run
from mednoisy.data.images import case_name
from mednoisy.early_checks import check_prediction
from mednoisy.engines import checkpoint
from mednoisy.engines.pseudo_labels import Teacher
from mednoisy.engines.run_folder import folds_of
from mednoisy.errors import UserError
from mednoisy.evaluation.read_finished_run import read_finished_run
from mednoisy.inference.prediction import predict_files
from mednoisy.networks.ensemble import MeanEnsemble

ENSEMBLE = "ensemble"  # of the networks of a cross-validated run

def predict_with_run(
    folder: Path | str,
    images: Sequence[Path],
    output: Path | str,
    overrides: Mapping[str, Any] | None = None,
    trust: bool = False,
    on_fault: Callable[[UserError], None] | None = None,
) -> list[Path]:
    """Label maps of `images` by the deployed predictor of a run's best checkpoint; their paths.

    Args:
        overrides: values of single entries, such as `device`.
        trust: whether the run's configuration may be any program, see `check_trusted`.
        on_fault: see `predict_files`.

    Raises:
        UserError: before any work as `check_prediction`; then as `of_run`, `checkpoint.load` and `predict_files`.
    """
    check_prediction(folder, images, trust)
    parser = of_run(folder, overrides, trust).workflow().parser
    parser.parse(reset=True)
    device = parser.get_parsed_content("device")
    deployed, network, _ = _deployed(parser, folder)
    cases = [{"id": case_name(path), "image": str(path)} for path in images]
    written = predict_files(
        cases,
        {deployed: network},
        parser.get_parsed_content("preprocessing"),
        parser.get_parsed_content("evaluation#inferer"),
        output,
        device,
        on_fault,
    )
    return [paths[deployed] for paths in written.values()]


def deployed_of_run(folder: Path | str, device: Any, trust: bool = False) -> Teacher:
    """The deployed predictor of a run's best checkpoint as the teacher of another run's first round.

    Args:
        folder: of the finished run.
        device: where the network shall be.
        trust: whether the run's configuration may be any program, see `check_trusted`.

    Raises:
        UserError: as `of_run`, `checkpoint.load` and `read_finished_run` (E402, it is not finished).
    """
    parser = of_run(folder, {"device": f'$torch.device("{device}")'}, trust).workflow().parser
    summary = read_finished_run(folder).summary
    parser.parse(reset=True)
    seen_as = parser.get_parsed_content("preprocessing"), parser.get_parsed_content("evaluation#inferer")
    return Teacher(str(folder), *_deployed(parser, folder), *seen_as, dict(summary.labels))


def deployed_networks(parser: ConfigParser, folder: Path | str) -> dict[str, Module]:
    """The networks that a finished run deploys, the deployed one first; of a cross-validated run those of its folds too.

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
    device = parser.get_parsed_content("device")
    checkpoints = Path(folder) / "checkpoints"
    best = checkpoints / "best_honest.pt"
    content = checkpoint.load(best if best.is_file() else checkpoints / "last.pt", device)
    method = parser.get_parsed_content("plan")[-1].method().to(device)
    checkpoint.restore(method, content)
    return *next(iter(method.predictors().items())), content["step"]
