"""Steps are timed on this machine, which is then as it was."""

from __future__ import annotations

import pytest
import torch

from mednoisy.configure.machine import Machine, this_machine
from mednoisy.configure.networks import trial_networks
from mednoisy.configure.timing import measured_speeds, seconds_a_step


def test_a_larger_patch_takes_longer_and_nothing_is_left_changed():
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    networks = trial_networks(2, 1, 2, 2)
    small, large = (seconds_a_step(networks, (side, side), 2, 1, 2, "fp32", "cpu") for side in (32, 256))
    assert 0 < small < large
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("axes", [2, 3])
def test_each_width_is_timed_in_both_precisions(axes, monkeypatch):
    monkeypatch.setattr("mednoisy.configure.timing.TRIED", {axes: (32,) * axes})
    machine = Machine(2, 24.0)
    trials = [trial_networks(axes, 3, 4, width) for width in (4, 2)]
    speeds = measured_speeds(machine, trials, channels=3, classes=4).speeds
    assert [(each.width, each.precision) for each in speeds] == [
        (width, precision) for width in (4, 2) for precision in ("fp32", "bf16")
    ]
    assert all(each.seconds > 0 for each in speeds)


def test_this_machine_has_cores_and_memory():
    here = this_machine()
    assert here.cores >= 1
    assert 0.1 < here.memory_gib < 100_000
    assert here.called
