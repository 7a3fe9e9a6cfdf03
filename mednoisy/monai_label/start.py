"""`mednoisy label` from the checks to the server that takes the place of this process."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, NoReturn

from mednoisy.errors import UserError
from mednoisy.files import locked, write_text
from mednoisy.monai_label.deployment import Deployed
from mednoisy.monai_label.pruning import prune_when_idle
from mednoisy.monai_label.studies import found_studies, labeled
from mednoisy.monai_label.workplace import BOUND, Settings, Workplace

INSTALL = "Install it under Python 3.11: pip install --constraint constraints-label.txt monailabel==0.8.5"
NAMES = "label_names="  # how a setting of the classes begins
MAIN = '"""What MONAI Label looks for."""\n\nfrom mednoisy.monai_label.app import App  # noqa: F401\n'


def check_installed() -> None:
    """Refuse to start without MONAI Label (E581)."""
    if importlib.util.find_spec("monailabel") is None:
        raise UserError("E581", "the server needs MONAI Label, which is not installed here", INSTALL)


def checked_place(studies: Path) -> Workplace:
    """The folder of studies.

    Raises:
        UserError: E582, it is not there.
    """
    if not studies.is_dir():
        raise UserError("E582", f"the folder of studies {studies} does not exist", "Correct --studies")
    return Workplace(studies.resolve())


def check_classes(place: Workplace, settings: Settings) -> None:
    """Refuse other classes than those of the labels that were saved, or of the network that serves (E588)."""
    if not (place.folder / "settings.json").is_file():
        return
    before = place.settings()
    if before.classes == settings.classes:
        return
    what = "labels" if labeled(found_studies(place)) else "network" if Deployed.read(place).round is not None else None
    if what is not None:
        verb = "are" if what == "labels" else "is"
        told = [", ".join(classes) for classes in (before.classes, settings.classes)]
        cause = f"the {what} in {place.studies} {verb} of {told[0]}, not of {told[1]}"
        raise UserError("E588", cause, f"Start {_with_classes_of(before, settings)}, or take another folder")


def _with_classes_of(before: Settings, settings: Settings) -> str:
    """The words of the command that name classes, as they were before."""
    named = {"--bundle": [before.bundle], "--dataset": [before.dataset] if before.dataset else []}
    named["--set"] = [text for text in before.set if text.startswith(NAMES)]
    words = shlex.join(word for option, values in named.items() for value in values for word in (option, value))
    given = {"--dataset": settings.dataset is not None, "--set": any(text.startswith(NAMES) for text in settings.set)}
    without = [f"{option} label_names" if option == "--set" else option for option in given
               if given[option] and not named[option]]  # fmt: skip
    return f"with {words}{' and without ' + ' and '.join(without) if without else ''}"


def check_port(host: str, port: int) -> None:
    """Refuse an address that cannot be listened at (E583)."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except (OSError, OverflowError) as fault:
        why = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault)
        raise UserError("E583", f"cannot listen at {host}:{port}: {why}", "Give another --port or --host") from fault


def serve(place: Workplace, settings: Settings, host: str, port: int) -> NoReturn:
    """Keep the settings and become the server, which has the folder for itself until it ends (E584)."""
    kept = ExitStack()
    os.set_inheritable(kept.enter_context(_for_one_server(place)).fileno(), True)
    app = _app(place.folder / "app")
    place.keep_settings(settings)
    prune_when_idle(place, settings.keep_rounds)
    environment = {
        **os.environ,
        "MONAI_LABEL_SESSION_PATH": str(place.folder / "sessions"),
        "MONAI_LABEL_DATASTORE_AUTO_RELOAD": "false",
        "MONAI_LABEL_AUTO_UPDATE_SCORING": "false",
        "MONAI_LABEL_STUDIES": str(place.studies),
        BOUND: host,
    }
    words: Sequence[str] = [
        sys.executable, "-m", "monailabel.main", "start_server", "--app", str(app), "--studies", str(place.studies),
        "--host", host, "--port", str(port), "--uvicorn_app", "mednoisy.monai_label.server:served",
    ]  # fmt: skip
    print(f"studies: {place.studies}\nserver: http://{host}:{port}", flush=True)
    os.execve(sys.executable, list(words), environment)


@contextmanager
def _for_one_server(place: Workplace) -> Iterator[IO]:
    try:
        with locked(place.folder / "server") as lock:
            yield lock
    except UserError as fault:
        if fault.code != "E314":
            raise
        cause = f"another server has the studies in {place.studies}"
        raise UserError("E584", cause, "Stop it first, or use it: its address is in what it printed") from fault


def _app(folder: Path) -> Path:
    """The folder of the app, with nothing but `main.py` and the logs before.

    MONAI Label puts it first where Python looks for modules, and the studies may have come from elsewhere.
    """
    if folder.is_symlink():
        folder.unlink()
    for left in folder.iterdir() if folder.is_dir() else ():
        if left.is_dir() and not left.is_symlink():
            if left.name != "logs":
                shutil.rmtree(left)
        else:
            left.unlink()
    write_text(folder / "main.py", MAIN)
    return folder
