"""Examples in docstrings: pytest runs them (`--doctest-modules`); here it is held that every function has one."""

from __future__ import annotations

import ast
import pkgutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import mednoisy.losses
import mednoisy.perturb
import mednoisy.pseudo

PACKAGES = (mednoisy.losses, mednoisy.perturb, mednoisy.pseudo)
METRICS = tuple(f"mednoisy.evaluation.{name}" for name in ("metrics", "surface_distances", "surface_elements"))
MODULES = (*METRICS, *(f"{p.__name__}.{module.name}" for p in PACKAGES for module in pkgutil.iter_modules(p.__path__)))


@pytest.mark.parametrize("module", MODULES)
def test_every_public_function_has_an_example(module):
    """And every class that is called; protocols, imports and names with `_` are not asked for."""
    tree = ast.parse(Path(import_module(module).__file__).read_text(encoding="utf-8"))
    public = [node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
    public += [
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        and not node.name.startswith("_")
        and any(isinstance(entry, ast.FunctionDef) for entry in node.body)
        and not any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)
    ]
    lacking = [node.name for node in public if ">>>" not in (ast.get_docstring(node) or "")]
    assert not lacking


def test_examples_of_metrics_need_no_torch():
    code = "import doctest, sys\nfrom importlib import import_module\n"
    code += f"results = [doctest.testmod(import_module(name)) for name in {METRICS}]\n"
    code += "assert all(result.attempted and not result.failed for result in results), results\n"
    code += "print(sorted({'torch', 'monai'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
