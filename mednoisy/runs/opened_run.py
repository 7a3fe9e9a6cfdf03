"""A finished run as a query needs it: its networks, how they see a case, and which cases it had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.transforms import Compose
from torch import Tensor, nn

from mednoisy.active.features import digest_of_network, digest_of_settings, digest_of_weights, single_network
from mednoisy.composition import checked_path, of_run
from mednoisy.composition.config_errors import telling_values
from mednoisy.composition.stacking import PLACES, reachable
from mednoisy.data.datalist import Datalist
from mednoisy.data.datalist_checks import Case
from mednoisy.engines.run_folder import folds_of
from mednoisy.evaluation.read_finished_run import read_finished_run
from mednoisy.inference.prediction import preprocessed
from mednoisy.inference.sliding_window import SlidingWindow
from mednoisy.methods.method import Method
from mednoisy.methods.pretext import Pretext
from mednoisy.runs.predict_with_run import deployed_networks, restored_method, source_codes

MACHINE = ("device", "distributed")  # entries of a configuration that say where a run computes


@dataclass(frozen=True)
class OpenedRun:
    """A run's networks at its best checkpoints, on a device.

    Attributes:
        folder: of the run.
        parser: of its configuration, parsed.
        deployed: name of what it deploys; None for a pretext, which predicts nothing.
        network: the deployed one; of a pretext its first student.
        peers: networks that can be compared, by kind (`folds`, `students`) and name.
        preprocessing, inferer: how they see a case.
        device: where they are.
        codes: the source's code of each class; none where it is the class's own number.
    """

    folder: Path
    parser: ConfigParser
    deployed: str | None
    network: nn.Module
    peers: Mapping[str, Mapping[str, nn.Module]]
    preprocessing: Compose
    inferer: SlidingWindow
    device: torch.device
    codes: tuple[int, ...]

    @cached_property
    def datalist(self) -> Datalist:
        """The cases that the run trained with, labeled and not."""
        with telling_values():
            datalist: Datalist = self.parser.get_parsed_content("datalist")
        return datalist

    @cached_property
    def facts(self) -> dict[str, str]:
        """What tells its features from those of others: the network's weights, and how it sees a case."""
        config = self.parser.get()
        names = sorted(reachable(config, ("preprocessing", "patch_size")) - {*PLACES})
        seen_as = digest_of_settings({name: config[name] for name in names})
        return {"network": digest_of_network(single_network(self.network)), "preprocessing": seen_as}

    @cached_property
    def scoring_facts(self) -> dict[str, str]:
        """What tells its scores from those of others: the weights of all networks, and how they see a case."""
        config = self.parser.get()
        names = sorted(reachable(config, ("preprocessing", "evaluation")) - {*PLACES, *MACHINE})
        networks = {"deployed": self.network} | {
            f"{kind} {name}": network for kind, peers in self.peers.items() for name, network in peers.items()
        }
        digests = {name: digest_of_weights(network) for name, network in networks.items()}
        settings = digest_of_settings({name: config[name] for name in names})
        return {"networks": digest_of_settings(digests), "settings": settings, "device": self.device.type}

    def image(self, case: Case) -> Tensor:
        """A case as the networks see it, (C, *spatial), on their device.

        Raises:
            UserError: E2xx, it cannot be read.
        """
        return preprocessed(case, self.preprocessing).as_tensor().to(self.device)


def opened_run(
    folder: Path | str, *, trust: bool = False, device: str | None = None, data: Path | str | None = None
) -> OpenedRun:
    """A finished run, of a pretext too.

    Args:
        folder: of the run, perhaps a cross-validated one.
        trust: whether its configuration may be any program, see `check_trusted`.
        device: such as `cpu`; None for the run's.
        data: the prepared dataset, where it has been moved.

    Raises:
        UserError: as `of_run` (E312, E108, E390), `read_finished_run` (E402, it is not finished) and `checkpoint.load`.
    """
    folder = Path(folder)
    overrides: dict[str, Any] = {} if device is None else {"device": f'$torch.device("{device}")'}
    if data is not None:
        overrides["dataset_dir"] = checked_path(data, "--data")
    with telling_values():
        composition = of_run(folder, overrides, trust)
        read_finished_run(folder)
        parser = composition.workflow().parser
        parser.parse(reset=True)
        deployed, network, peers = _networks(parser, folder)
        return OpenedRun(
            folder,
            parser,
            deployed,
            network.eval(),
            peers,
            parser.get_parsed_content("preprocessing"),
            parser.get_parsed_content("evaluation#inferer"),
            parser.get_parsed_content("device"),
            source_codes(folder),
        )


def _networks(
    parser: ConfigParser, folder: Path
) -> tuple[str | None, nn.Module, Mapping[str, Mapping[str, nn.Module]]]:
    """What is deployed (of a pretext: no name, the first student), and what can be compared."""
    if folds := folds_of(folder):
        if not restored_method(parser, folds[0])[0].predictors():
            return None, _first(restored_method(parser, folds[0])[0]), {}
        (name, network), *members = deployed_networks(parser, folder).items()
        return name, network, {"folds": dict(members)}
    method, _ = restored_method(parser, folder)
    predictors = method.predictors()
    students = dict(method.students.items())
    if not predictors:
        return None, _first(method), {}
    name, network = next(iter(predictors.items()))
    return name, network, {"students": students}


def _first(method: Method) -> nn.Module:
    students = method.networks if isinstance(method, Pretext) else dict(method.students.items())
    return next(iter(students.values()))
