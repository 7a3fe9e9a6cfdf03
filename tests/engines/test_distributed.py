"""What several processes change about a method and about how a fault is told; no process is started here."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
from torch import nn

from mednoisy.engines import distributed
from mednoisy.methods.supervised import Supervised
from tests.engines.small import small_network


def several(monkeypatch) -> None:
    monkeypatch.setattr(distributed, "rank_and_ranks", lambda: (0, 2))


def norms(method: nn.Module) -> list[type]:
    return [type(module) for module in method.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def test_on_several_gpus_batch_norm_is_synchronised_and_keeps_parameters_and_names(monkeypatch):
    several(monkeypatch)
    method = Supervised(small_network(1))
    names, parameters = list(method.state_dict()), list(method.parameters())
    changed = distributed.with_common_statistics(method, torch.device("cuda", 0))
    assert norms(changed) == [nn.SyncBatchNorm]
    assert list(changed.state_dict()) == names
    assert all(mine is theirs for mine, theirs in zip(changed.parameters(), parameters, strict=True))


def test_on_cpus_batch_norm_is_each_process_s_own(monkeypatch):
    several(monkeypatch)
    method = Supervised(small_network(1))
    assert norms(distributed.with_common_statistics(method, torch.device("cpu"))) == [nn.BatchNorm3d]


def test_one_process_has_plain_batch_norm():
    method = Supervised(small_network(1))
    assert norms(distributed.with_common_statistics(method, torch.device("cuda"))) == [nn.BatchNorm3d]


@pytest.mark.parametrize(
    ("fault", "lost"),
    [
        (RuntimeError("[pair.cc:553] Connection closed by peer [127.0.0.1]:29613"), True),
        (torch.distributed.DistBackendError("NCCL communicator was aborted"), True),
        (RuntimeError("shape '[2]' is invalid for input of size 3"), False),
    ],
)
def test_only_waiting_for_another_process_tells_that_it_ended(monkeypatch, fault, lost):
    assert distributed.lost_process(fault, 3) is None  # of one process
    several(monkeypatch)
    told = distributed.lost_process(fault, 3)
    assert (told is not None) == lost
    if told is not None:
        assert str(told).startswith("E376 another process of this run ended in or after step 3. Its own message")
        assert told.exit_code == 1


def test_a_restart_does_not_read_what_the_processes_before_have_told(monkeypatch):
    """torchrun's store outlives them: keys carry the number of the restart."""
    store, joined = dist.HashStore(), []
    store.set("attempt_0/rank", "where one listened that has died")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    monkeypatch.setattr(dist, "rendezvous", lambda url: iter([(store, 1, 2)]))
    monkeypatch.setattr(dist, "init_process_group", lambda backend, **given: joined.append(given))
    distributed.join_processes()
    (given,) = joined
    assert (given["rank"], given["world_size"]) == (1, 2)
    assert not given["store"].check(["rank"])
    given["store"].set("rank", "here")
    assert store.get("attempt_1/rank") == b"here"
