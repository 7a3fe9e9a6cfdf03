"""`mednoisy simulate`: rounds of annotation on a dataset whose labels are known, any strategy x any method."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mednoisy.cli.arguments import (
    BUNDLE_FOLDERS,
    DATA_HELP,
    add_dataset,
    add_device,
    add_set,
    add_trust,
    check_given,
    count,
    device_entry,
    given_or_own_data,
    number,
    or_path,
)
from mednoisy.errors import DONE, DONE_IN_PART, UserError

if TYPE_CHECKING:
    from mednoisy.simulation.simulation import Simulation

HELP = "train, query, reveal labels, again: strategies of annotation compared on a labeled dataset"
EXAMPLE = (
    "mednoisy simulate acdc --data data/acdc --strategies random foreground_random_66 entropy typiclust "
    "--methods supervised:strong --start 1 --budget 1 --rounds 4 --seeds 0 1 2 --steps 400 --output simulations/acdc\n"
    "  mednoisy simulate --file benchmarks/studies/simulations/acdc.yaml --data data/acdc --output simulations/acdc"
)
ONE_VALUE = ("start", "budget", "rounds", "seeds", "steps", "start_strategy", "start_run", "pooling", "dataset")
OF_THE_FILE = ("bundle", "methods", "strategies", *ONE_VALUE, "set")


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    from mednoisy.composition import known

    command.add_argument("bundle", nargs="?", help=or_path(known("bundle"), BUNDLE_FOLDERS))
    command.add_argument(
        "--file", type=Path, metavar="SIMULATION", help="all but the places, docs/how_to/simulate_annotation.md"
    )
    command.add_argument("--data", type=Path, help=DATA_HELP)
    command.add_argument("--output", type=Path, help="folder of the simulation")
    add_dataset(command)
    command.add_argument(
        "--strategies", nargs="+", metavar="NAME", help="what chooses, docs/how_to/simulate_annotation.md"
    )
    command.add_argument(
        "--methods", nargs="+", metavar="METHOD[:RECIPE]", help="what is trained in each round, as of a study"
    )
    command.add_argument("--start", type=count, help="patients (or cases) labeled at the start (default: 1)")
    command.add_argument("--budget", type=count, help="how many each round adds (default: 1)")
    command.add_argument("--rounds", type=count, help="of query and training, after the training of the start")
    command.add_argument("--seeds", nargs="+", type=number, help="(default: 0)")
    command.add_argument("--steps", type=count, help="training steps of each round")
    command.add_argument("--start-strategy", metavar="NAME", help="chooses the start (default: random)")
    command.add_argument("--start-run", type=Path, metavar="RUN", help="gives the features that --start-strategy needs")
    command.add_argument("--pooling", metavar="NAME", help="how scores of voxels become one of a case")
    add_device(command)
    add_trust(command, "the simulation's own runs, or --start-run")
    add_set(command)


def run(options: argparse.Namespace) -> int:
    """Do what is missing and print where the page is; the exit code, 1 where trainings failed."""
    simulation = _simulation(options)
    failed = simulation.run()
    for name in failed:
        print(f"mednoisy: {name} failed, see above; call the simulation again to go on with it", file=sys.stderr)
    print(f"table: {simulation.output / 'table.md'}\npage: {simulation.page}")
    return DONE_IN_PART if failed else DONE


def _simulation(options: argparse.Namespace) -> Simulation:
    data = given_or_own_data(options)
    check_given({"--data": data, "--output": options.output}, "simulate")
    assert data is not None  # as just checked
    arguments = _of_file(options) if options.file is not None else _of_options(options)
    device_entry(options.device)  # refuses one that is not there
    from mednoisy.simulation.simulation import Simulation

    return Simulation(data=data, output=options.output, device=options.device, trust=options.trust, **arguments)


def _of_file(options: argparse.Namespace) -> dict[str, Any]:
    from mednoisy.studies.files import read_simulation

    given = [name for name in OF_THE_FILE if getattr(options, name) not in (None, [])]
    if given:
        option = given[0] if given[0] == "bundle" else f"--{given[0].replace('_', '-')}"
        raise UserError("E113", f"{option} does not go with --file", "Write it into the file, or drop --file")
    return read_simulation(options.file)


def _of_options(options: argparse.Namespace) -> dict[str, Any]:
    from mednoisy.composition import parse_setting

    needed = ("strategies", "methods", "rounds", "steps")
    check_given({"bundle": options.bundle, **{f"--{name}": getattr(options, name) for name in needed}}, "simulate")
    named = {name: getattr(options, name) for name in ("bundle", "methods", "strategies", *ONE_VALUE)}
    given = {name: value for name, value in named.items() if value is not None}
    settings = dict(parse_setting(text) for text in options.set)
    return {"start": 1, "budget": 1, "seeds": [0], **given, "settings": settings}
