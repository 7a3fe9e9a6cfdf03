"""The deployed predictor of a finished run, at work elsewhere: on other images, or as another run's teacher."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from torch.nn import Module

from mednoisy.composition import of_run
from mednoisy.composition.config_errors import telling_values
from mednoisy.data.images import case_name
from mednoisy.early_checks import check_prediction
from mednoisy.engines import checkpoint
from mednoisy.engines.pseudo_labels import Teacher
from mednoisy.errors import UserError
from mednoisy.evaluation.read_finished_run import read_finished_run
from mednoisy.inference.prediction import predict_files


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
        UserError: before any work as `check_prediction`; then E107, as `telling_values`, and as `of_run`,
            `checkpoint.load` and `predict_files`.
    """
    check_prediction(folder, images, trust)
    cases = [{"id": case_name(path), "image": str(path)} for path in images]
    with telling_values():
        parser = of_run(folder, overrides, trust).workflow().parser
        parser.parse(reset=True)
        device = parser.get_parsed_content("device")
        deployed, network, _ = _deployed(parser, folder)
        preprocessing, inferer = (parser.get_parsed_content(name) for name in ("preprocessing", "evaluation#inferer"))
        written = predict_files(cases, {deployed: network}, preprocessing, inferer, output, device, on_fault)
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
    with telling_values():
        parser = of_run(folder, {"device": f'$torch.device("{device}")'}, trust).workflow().parser
        summary = read_finished_run(folder).summary
        parser.parse(reset=True)
        seen_as = parser.get_parsed_content("preprocessing"), parser.get_parsed_content("evaluation#inferer")
        return Teacher(str(folder), *_deployed(parser, folder), *seen_as, dict(summary.labels))


def _deployed(parser: ConfigParser, folder: Path | str) -> tuple[str, Module, int]:
    """Name, network and step of the deployed predictor of a run's best checkpoint."""
    device = parser.get_parsed_content("device")
    checkpoints = Path(folder) / "checkpoints"
    best = checkpoints / "best_honest.pt"
    content = checkpoint.load(best if best.is_file() else checkpoints / "last.pt", device)
    method = parser.get_parsed_content("plan")[-1].method().to(device)
    checkpoint.restore(method, content)
    return *next(iter(method.predictors().items())), content["step"]
