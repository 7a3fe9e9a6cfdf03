"""Where tests find reference figures and real data; torch is held to one thread so that figures do not vary."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.blank_plots import blank_plots

os.environ.setdefault("OMP_NUM_THREADS", "1")

TESTS = Path(__file__).parent
SHARED = TESTS.parent.parent / "shared"
collect_ignore = [] if find_spec("monailabel") else ["label"]  # these have an environment of their own: make test-label
if not find_spec("dynamic_network_architectures"):  # an extra: nnunet-networks
    collect_ignore += ["networks/test_nnunet.py", "export/test_nnunet_networks.py"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", default="cpu", help="where networks and methods are compared with reference figures")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--device") == "cpu":
        os.environ["TRITON_INTERPRET"] = "1"  # before the first kernel is made, so that a CPU runs them
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts its background so, and children inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module", autouse=True)
def plots_where_they_are_looked_at(request):
    """Pages have their plots and pictures in tests of pages: they take most of the time of a run of two steps."""
    looked_at = {"report", "browser"} & set(request.path.relative_to(TESTS).parts)
    with nullcontext() if looked_at else blank_plots():
        yield


@pytest.fixture(scope="session")
def device(request) -> str:
    """The device that reference figures are held against: the CPU, or what `--device` names."""
    return request.config.getoption("--device")


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Path]:
    """The path of a reference figure, from tests/golden or, for those with patients' images, from ../shared."""

    def find(name: str) -> Path:
        for folder in (TESTS / "golden", SHARED / "golden"):
            if (folder / name).exists():
                return folder / name
        pytest.skip(f"reference figures {name} are not here: ../shared/golden is absent")

    return find


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """The path of real data below ../shared/data."""

    def find(name: str) -> Path:
        path = SHARED / "data" / name
        if not path.exists():
            pytest.skip(f"real data {name} are not here: ../shared/data is absent")
        return path

    return find
