"""Algorithms that give the same bits each time."""

from __future__ import annotations

import os

import pytest
import torch

from mednoisy.engines.determinism import only_deterministic
from tests.engines.small import small_trainer, supervised_stage


@pytest.fixture
def as_before(monkeypatch):
    """Torch chooses as it did before the test."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    filled = torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = filled


def test_torch_is_told(as_before):
    only_deterministic()
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_a_choice_of_the_users_own_stays(as_before, monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    only_deterministic()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


def test_a_cpu_needs_none_of_it(tmp_path):
    small_trainer(tmp_path / "run", supervised_stage(), steps=2)
    assert not torch.are_deterministic_algorithms_enabled()
