"""The real MONAI Label server as a process of its own, and its real client, on the loopback; for `make test-label`."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
START_SECONDS = 240  # imports alone take 15 s on two idle cores
TOLD = 6000  # characters of a server's log in the message of a failed test


@dataclass
class Server:
    """A MONAI Label server: where it answers, what it says, and how to kill and restart it.

    Attributes:
        command: that starts it.
        environment: of its process.
        url: where it answers.
        log: file of all that it printed, over restarts.
        process: None where it is not running.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    url: str
    log: Path
    process: subprocess.Popen | None = field(default=None)

    def start(self) -> None:
        """Start and wait for `/info/`; RuntimeError with the log's end if it dies, or does not answer in time."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(self.environment),
                cwd=self.log.parent,
                start_new_session=True,
            )
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}:\n{self.log_end()}")
            try:
                with urllib.request.urlopen(f"{self.url}/info/", timeout=10) as answer:
                    if answer.status == 200:
                        return
            except urllib.error.HTTPError as fault:
                if fault.code == 401:  # it answers, and wants a token
                    return
            except OSError:  # not yet
                pass
            time.sleep(0.2)
        self.kill()
        raise RuntimeError(f"the server does not answer in {START_SECONDS} s:\n{self.log_end()}")

    def kill(self) -> None:
        """As a power cut: SIGKILL to it and to the processes of its group."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def restart(self) -> None:
        """Kill, and start again at the same port."""
        self.kill()
        self.start()

    def log_end(self, characters: int = TOLD) -> str:
        """The end of its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-characters:]


_servers: list[Server] = []  # that run, for messages


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[Callable[..., Server]]:
    """Starts servers: `server(app, studies, conf={...}, options=[...], environment={...})`; all are killed at the end.

    `app` is the folder of an app, which the server writes into: a copy. `conf` becomes `--conf KEY VALUE`. Sessions
    and the log lie in a temporary folder. `program`, where given, are the words that start another program instead of
    `monailabel.main start_server`; `{port}` in them becomes the port, and only `environment` is of use besides.
    """

    def start(
        app: Path | None = None,
        studies: Path | None = None,
        conf: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] | None = None,
    ) -> Server:
        port = _free_port()
        folder = tmp_path_factory.mktemp("server")
        if program is None:
            command = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(app)]
            command += ["--studies", str(studies), "--host", "127.0.0.1", "--port", str(port), *options]
            for key, value in (conf or {}).items():
                command += ["--conf", key, value]
        else:
            command = [word.replace("{port}", str(port)) for word in program]
        own = {
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "OMP_NUM_THREADS": "1",
            "MONAI_LABEL_SESSION_PATH": str(folder / "sessions"),
            "MONAI_LABEL_DATASTORE_AUTO_RELOAD": "true",
            **(environment or {}),
        }
        made = Server(command, {**os.environ, **own}, f"http://127.0.0.1:{port}", folder / "server.log")
        _servers.append(made)
        made.start()
        return made

    yield start
    for made in _servers:
        made.kill()
    _servers.clear()


@pytest.fixture(scope="session")
def client(tmp_path_factory) -> Callable[[Server], Any]:
    """The client that 3D Slicer uses, `client(server)`; what it downloads lies in a temporary folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports `cgi`, which Python 3.13 has no more
        from monailabel.client import MONAILabelClient

    return lambda of: MONAILabelClient(of.url, str(tmp_path_factory.mktemp("client")), "tests")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
    """The message of a failed test shows the end of the log of each server that runs."""
    outcome: Any = yield
    report = outcome.get_result()
    if report.failed:
        for made in _servers:
            if made.log.is_file():
                report.sections.append((f"log of the server at {made.url}", made.log_end()))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
