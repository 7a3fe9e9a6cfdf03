"""What `__all__` promises is there, is what type checkers take it for, and costs nothing until it is asked for."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import mednoisy
from mednoisy.lazy_exports import lazy_exports

BELOW = ("data", "evaluation", "losses", "methods", "networks", "perturb", "pseudo")
PACKAGES = ("mednoisy", *(f"mednoisy.{name}" for name in BELOW))


def typed_imports(package: str) -> dict[str, str]:
    """The names that the package imports for type checkers, and the modules that it imports them from."""
    tree = ast.parse(Path(import_module(package).__file__).read_text(encoding="utf-8"))
    branches = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    return {alias.name: line.module for branch in branches for line in branch.body for alias in line.names}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_promised_name_is_what_type_checkers_see(package):
    module_of = typed_imports(package)
    promised = import_module(package)
    assert sorted(promised.__all__) == sorted(module_of)
    for name, module in module_of.items():
        assert getattr(promised, name) is getattr(import_module(module), name), name
    assert set(promised.__all__) <= set(dir(promised))


@pytest.mark.parametrize("package", PACKAGES)
def test_a_promised_name_is_defined_where_it_is_taken_from(package):
    """An import that a module makes for itself is no place to take a name from."""
    for name, module in typed_imports(package).items():
        defined = getattr(import_module(package), name)
        assert getattr(defined, "__module__", module) in (module, "typing"), name  # a Literal is of `typing`


def test_importing_a_package_loads_nothing_heavy():
    code = f"import sys, {', '.join(PACKAGES)}\n"
    code += "print(sorted({'torch', 'monai', 'numpy', 'scipy', 'yaml', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


def test_metrics_and_datalists_load_no_torch():
    code = "import sys\nfrom mednoisy import Datalist, UserError, case_metrics, evaluate_folders, surface_element_nsd\n"
    code += "from mednoisy.evaluation import *\nprint(sorted({'torch', 'monai'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


def test_an_unknown_name_is_refused_as_of_any_module():
    with pytest.raises(AttributeError, match="module 'mednoisy' has no attribute 'composed'"):
        mednoisy.composed  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'composed' from 'mednoisy'"):
        from mednoisy import composed  # noqa: F401


def test_a_name_is_looked_up_once(monkeypatch):
    get, listed = lazy_exports("mednoisy.losses", {"mednoisy.losses.segmentation": ("one_hot",)})
    losses = import_module("mednoisy.losses")
    monkeypatch.setattr(losses, "one_hot", None, raising=False)  # so that it is taken away afterwards
    found = get("one_hot")
    assert losses.one_hot is found
    assert "one_hot" in listed()
