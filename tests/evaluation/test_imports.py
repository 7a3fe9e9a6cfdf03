"""Evaluation starts in a blink: what it may not import."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import mednoisy.evaluation


def test_no_module_imports_a_tensor_library_or_what_lies_above():
    """Not even by way of another module."""
    modules = [f"mednoisy.evaluation.{module.name}" for module in pkgutil.iter_modules(mednoisy.evaluation.__path__)]
    assert "mednoisy.evaluation.summary_file" in modules
    code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    imported = set(subprocess.check_output([sys.executable, "-c", code], text=True).split())
    assert {*modules} <= imported
    assert not imported & {"torch", "monai", "mednoisy.engines", "mednoisy.report", "mednoisy.inference"}
