"""Places, batches and memory of windows."""

from __future__ import annotations

import itertools

import pytest
import torch

from mednoisy.inference.windows import (
    accumulator_device,
    batch_size_for,
    batches,
    coverage,
    padded,
    window_boxes,
    window_maxima,
    window_starts,
)


@pytest.mark.parametrize(
    ("size", "patch", "stride", "starts"),
    [
        (8, 8, 3, [0]),
        (9, 8, 3, [0, 1]),
        (14, 8, 3, [0, 3, 6]),
        (128, 112, 18, [0, 16]),
        (88, 80, 4, [0, 4, 8]),
        (120, 96, 16, [0, 16, 24]),
    ],
)
def test_windows_start_every_stride_and_end_with_the_axis(size, patch, stride, starts):
    assert window_starts(size, patch, stride) == starts


def test_maxima_of_windows_are_those_of_their_boxes():
    volumes = torch.rand(2, 11, 9, 13, generator=torch.Generator().manual_seed(0))
    patch, stride = (4, 9, 5), (3, 2, 5)
    wanted = [[volume[box].max() for box in window_boxes(volume.shape, patch, stride)] for volume in volumes]
    assert torch.equal(window_maxima(volumes, patch, stride), torch.tensor(wanted))


def test_coverage_of_axes_multiplies_to_the_windows_on_each_voxel():
    shape, patch, stride = (11, 9, 13), (4, 9, 5), (3, 2, 5)
    counted = torch.zeros(shape)
    for box in window_boxes(shape, patch, stride):
        counted[box] += 1
    x, y, z = (coverage(*axis) for axis in zip(shape, patch, stride, strict=True))
    torch.testing.assert_close(x[:, None, None] * y[:, None] * z, counted, rtol=0, atol=0)


def test_short_axes_are_padded_on_both_sides():
    image, place = padded(torch.ones(1, 1, 3, 6), (6, 4))
    assert image[0, 0, :, 0].tolist() == [0, 1, 1, 1, 0, 0]
    assert place == (slice(1, 4), slice(0, 6))
    assert image[(..., *place)].sum() == image.sum() == 18


def test_batches_hold_every_window_once_and_none_alone():
    for count, size in itertools.product(range(1, 40), range(1, 10)):
        runs = [list(run) for run in batches(count, size)]
        assert list(itertools.chain(*runs)) == list(range(count))
        lengths = [len(run) for run in runs]
        assert max(lengths) <= size or (size == 2 and lengths.count(3) == count % 2)
        assert min(lengths) >= min(2, count, size)
    assert list(batches(0, 4)) == []


def test_on_a_cpu_the_batch_goes_by_the_number_of_axes():
    assert batch_size_for((112, 112, 80), torch.device("cpu")) == 4
    assert batch_size_for((256, 256), torch.device("cpu")) == 8


@pytest.mark.parametrize(
    ("patch", "free", "expected"),
    [
        ((112, 112, 80), 139 * 2**30, 8),
        ((112, 112, 80), 8 * 2**30, 4),  # a window takes 1.0 GB of the half that may be used
        ((112, 112, 80), 2**30, 1),
        ((256, 256), 8 * 2**30, 32),
        ((256, 256), 2**30, 8),
    ],
)
def test_on_a_gpu_the_batch_goes_by_its_free_memory(patch, free, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 2 * free))
    assert batch_size_for(patch, torch.device("cuda")) == expected


def test_scores_that_do_not_fit_a_gpu_are_summed_on_the_cpu():
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    assert accumulator_device(gpu, needed=90, free=100) == gpu
    assert accumulator_device(gpu, needed=91, free=100) == cpu
    assert accumulator_device(cpu, needed=91, free=0) == cpu
