"""A folder with page, rendered configurations, README and fingerprint for a prepared dataset: whole or not at all."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from pathlib import Path

from mednoisy.composition.catalogue import DATALIST, PAGE
from mednoisy.composition.rendering import render
from mednoisy.configure.fingerprint import Fingerprint, fingerprint
from mednoisy.configure.machine import Machine, this_machine
from mednoisy.configure.networks import FLAT_WIDTH, WIDTHS, trial_networks
from mednoisy.configure.page import data_license, page_text, readme
from mednoisy.configure.patches import kind_of
from mednoisy.configure.plan import Plan, plan
from mednoisy.data.datalist import Datalist
from mednoisy.errors import UserError
from mednoisy.files import ASIDE, telling_full_disk

FOLDS = 4  # that are proposed, of at least so many labeled patients


def new_bundle(
    data: Path,
    output: Path,
    minutes: float = 60,
    *,
    force: bool = False,
    machine: Machine | None = None,
    networks: str = "mednoisy",
) -> Plan:
    """Write the bundle of a prepared dataset, and return what was chosen and why.

    Args:
        data: the dataset's folder, with `datalist.json`.
        output: the bundle's folder; `data / "bundle"` is found by the dataset's name.
        minutes: that a training of SDCL with its figures may take.
        force: replace a bundle that is there.
        machine: the machine to configure for, with its speeds; None for this one, which is timed.
        networks: the family that they are of, one of `FAMILIES`.

    Raises:
        UserError: E210 to E226, the datalist; E201 to E209 and E383 to E385, the images, see `fingerprint`; E386,
            `output` exists; E387, it exists and is no bundle; E595, networks whose package is not installed.
    """
    check_networks(networks)
    data, output = Path(data), Path(output)
    check_place(output, force=force)
    found = fingerprint(Datalist.load(data / DATALIST))
    planned = _planned(found, minutes, machine, networks)
    with telling_full_disk(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=ASIDE, dir=output.parent))
        try:
            _write(aside, found, planned)
            _replace(aside, output)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return planned


def check_networks(family: str) -> None:
    """Refuse networks that are not installed.

    Raises:
        UserError: E595.
    """
    if family == "nnunet":
        from mednoisy.networks.nnunet import architectures  # loads torch

        architectures()


def check_place(output: Path, *, force: bool) -> None:
    """Refuse a place that is taken.

    Raises:
        UserError: E386, E387, as `new_bundle`.
    """
    if not os.path.lexists(output) or (output.is_dir() and not any(output.iterdir())):
        return
    if not (output / PAGE).is_file():
        raise UserError("E387", f"{output} exists and is no bundle", "Choose another place")
    if not force:
        raise UserError("E386", f"{output} holds a bundle", "Choose another place, or replace it with --force")


def _planned(found: Fingerprint, minutes: float, machine: Machine | None, family: str) -> Plan:
    """The setting."""
    if machine is not None:
        return plan(found, machine, minutes, family=family)
    from mednoisy.configure.timing import measured_speeds

    here, kind = this_machine(), kind_of(found)
    widths = WIDTHS[family] if kind == "volumes" else (FLAT_WIDTH[family],)
    widths = widths if here.gpu_gib is None else widths[:1]
    channels, classes = len(found.channels), len(found.labels)
    axes = 3 if kind == "volumes" else 2
    trials = [trial_networks(axes, channels, classes, width, family) for width in widths]
    return plan(found, measured_speeds(here, trials, channels, classes), minutes, family=family)


def _write(folder: Path, found: Fingerprint, planned: Plan) -> None:
    """All files of the bundle into a folder that is not yet its place."""
    docs = folder / "docs"
    docs.mkdir()
    texts = {
        folder / PAGE: page_text(found, planned),
        folder / "fingerprint.json": found.as_json(),
        docs / "README.md": readme(found, planned),
        docs / "data_license.txt": data_license(),
    }
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    render(folder)


def _replace(aside: Path, output: Path) -> None:
    """Give the written folder its name; what had it goes."""
    aside.chmod(0o777 & ~_umask())
    if output.exists():
        old = Path(tempfile.mkdtemp(prefix=ASIDE, dir=output.parent))
        os.replace(output, old / "old")
        os.replace(aside, output)
        shutil.rmtree(old)
    else:
        os.replace(aside, output)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def chosen_text(planned: Plan, data: Path, output: Path) -> str:
    """A line for each choice with its reason, and how to train with the bundle."""
    width = max(len(choice.name) for choice in planned.choices)
    lines = [f"{choice.name:{width}}  {choice.value}  ({choice.reason})" for choice in planned.choices]
    return "\n".join([*lines, f"{output}: train with", f"  {command_for(data, output)}"])


def command_for(data: Path, output: Path) -> str:
    """How to train with the bundle: by the dataset's name where it lies in it, in folds where no case is set aside."""
    inside = output.resolve() == (data / "bundle").resolve()
    words = [str(data)] if inside else [str(output), "--data", str(data)]
    words += ["--method", "sdcl", "--recipe", "strong"]
    datalist = Datalist.load(data / DATALIST)
    folds = min(FOLDS, len(datalist.patients("labeled")))
    if folds > 1 and not datalist.cases("validation") and not datalist.cases("test"):
        words += ["--folds", str(folds)]
    return shlex.join(["mednoisy", "train", *words, "--output", "runs/mine"])
