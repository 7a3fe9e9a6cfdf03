"""What is planned for datasets and machines whose right setting is known."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from mednoisy.configure.machine import Machine, Speed
from mednoisy.configure.plan import plan
from mednoisy.configure.sides import paired
from tests.configure.made import CPU, CPU_SPEEDS, TISSUE, WHOLE, gpu, seen

CT = {"modality": "CT", "channels": ["CT"], "intensities": WHOLE, "foreground": TISSUE}


def reasons(planned):
    return {choice.name: choice for choice in planned.choices}


def test_isotropic_ct_on_a_large_gpu_is_nnunets_128_at_the_median_spacing():
    planned = plan(seen((500, 500, 500), (0.8, 0.8, 0.8), **CT), gpu(80), minutes=600)
    assert planned.kind == "volumes"
    assert planned.entries["patch_size"] == [128, 128, 128]
    assert planned.entries["spacing"] == [0.8, 0.8, 0.8]
    assert planned.entries["stride"] == planned.entries["coarse_stride"] == [64, 64, 64]
    assert planned.entries["network_def"]["strides"] == [[2, 2, 2]] * 4
    assert planned.entries["width"] == 16
    assert planned.entries["steps"] == 15_000
    assert planned.entries["label_names"] == ["background", "organ"]


def test_ct_is_clipped_and_scaled_by_its_foreground():
    """-100 and 300 are the percentiles, 50 and 50 mean and deviation: -3 to 5."""
    entry = plan(seen((500, 500, 500), (0.8, 0.8, 0.8), **CT), gpu(80)).entries["normalisation"]
    assert entry["_target_"] == "monai.transforms.ScaleIntensityRanged"
    assert [entry[name] for name in ("a_min", "a_max", "b_min", "b_max", "clip")] == [-100, 300, -3, 5, True]
    unlabeled = plan(seen((500, 500, 500), (0.8, 0.8, 0.8), **{**CT, "foreground": None}), gpu(80))
    assert unlabeled.entries["normalisation"]["a_min"] == -1000
    assert "no label shows anything" in reasons(unlabeled)["normalisation"].reason


def test_cardiac_mr_of_few_thick_slices_is_seen_slice_by_slice():
    heart = seen((216, 256, 9), (1.5, 1.5, 10.0), unlabeled_cases=10)
    planned = plan(heart, gpu(24))
    assert planned.kind == "slices"
    # three quarters of 384 mm, at 1.5 mm: 192 pixels
    assert (planned.entries["patch_size"], planned.entries["plane_spacing"]) == ([192, 192], 1.5)
    assert planned.entries["dice"] == "batch_squared"
    assert "normalisation" not in planned.entries
    assert "spacing" not in planned.entries
    assert planned.entries["network_def"]["spatial_dims"] == 2
    small = plan(heart, CPU)
    assert small.entries["patch_size"][0] < 192
    assert small.entries["plane_spacing"] * small.entries["patch_size"][0] == pytest.approx(288, rel=0.01)


def test_slices_hold_the_foreground_with_a_quarter_to_spare():
    planned = plan(seen((216, 256, 9), (1.5, 1.5, 10.0), reach=[300.0, 100.0, 90.0]), gpu(24))
    assert planned.entries["patch_size"][0] * planned.entries["plane_spacing"] >= 375


def test_where_no_file_states_millimetres_nothing_is_resampled_and_the_shortest_axis_is_cut():
    unlocated = seen((200, 6, 200), (1.0, 1.0, 1.0), located=False)
    planned = plan(unlocated, CPU)
    assert planned.entries["slices"] == 1
    assert "plane_spacing" not in planned.entries
    assert "spacing" not in plan(seen((99, 99, 99), (1, 1, 1), located=False), CPU).entries


def test_anisotropic_volumes_of_many_slices_have_strides_of_their_own():
    planned = plan(seen((400, 400, 40), (0.5, 0.5, 3.0)), gpu(24))
    assert planned.kind == "volumes"
    assert planned.entries["network_def"]["strides"][0] == [2, 2, 1]
    assert isinstance(planned.multiple, list)
    assert all(side % multiple == 0 for side, multiple in zip(planned.patch, planned.multiple, strict=True))


def test_pictures():
    planned = plan(seen((480, 640), (1.0, 1.0), pictures=True, modality="RGB", channels=["r", "g", "b"]), gpu(24))
    assert planned.kind == "pictures"
    assert planned.entries["network_def"] == "%unet_def"
    rows, columns = planned.entries["patch_size"]
    assert columns / rows == pytest.approx(4 / 3, rel=0.05)
    assert rows * columns <= 360**2


def test_tiny_volumes_have_shallow_networks_and_the_whole_image_as_patch():
    planned = plan(seen((20, 20, 20), (1.0, 1.0, 1.0)), CPU)
    assert planned.patch == [20, 20, 20]
    assert planned.entries["network_def"]["strides"] == [[2, 2, 2], [2, 2, 2]]
    assert planned.entries["network_def"]["convolutions"] == [1, 2, 3]
    assert reasons(planned)["patch_size"].reason == "the whole median image"


def test_four_channels_are_z_scored_each():
    sequences = ["T1", "T1c", "T2", "FLAIR"]
    planned = plan(seen((240, 240, 155), (1.0, 1.0, 1.0), channels=sequences), gpu(24))
    assert planned.entries["normalisation"]["channel_wise"] is True
    for name in ("network_def", "partner_def"):
        assert planned.entries[name]["in_channels"] == 4


@pytest.mark.parametrize(("minutes", "memory"), [(60, 8), (60, 24), (60, 80), (600, 8), (600, 24), (600, 80)])
def test_a_gpus_memory_and_the_time_bound_the_patch(minutes, memory):
    planned = plan(seen((500, 500, 500), (0.8, 0.8, 0.8), **CT), gpu(memory), minutes)
    voxels = planned.batch * math.prod(planned.patch)
    a_voxel = 5000 * (0.53 if planned.precision == "bf16" else 1)
    assert voxels * a_voxel <= 0.8 * memory * 2**30
    assert planned.entries["steps"] * planned.megavoxels * 0.06 <= 0.7 * 60 * minutes * 1.3
    assert planned.entries["steps"] >= 10_000


def test_more_memory_gives_no_smaller_patch():
    image = seen((500, 500, 500), (0.8, 0.8, 0.8), **CT)
    sizes = [math.prod(plan(image, gpu(memory), 600).patch) for memory in (2, 4, 8, 24, 80)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_a_cpu_gets_a_setting_for_cpus():
    """Narrow networks, small patches at a coarser spacing, steps that fit the hour."""
    planned = plan(seen((192, 142, 88), (0.625, 0.625, 0.625)), CPU, 60)
    assert (planned.width, planned.batch, planned.precision) == (8, 2, "bf16")
    assert planned.entries["head_dropout"] == 0.1
    assert 0.625 < planned.entries["spacing"][0] <= 1.25
    assert 2000 <= planned.entries["steps"] <= 4000
    assert planned.entries["steps"] * planned.megavoxels * 2.0 <= 0.7 * 3600
    assert planned.entries["coarse_stride"] == planned.patch


def test_little_memory_gives_a_small_patch():
    starved = Machine(2, 1.0, None, CPU_SPEEDS)
    assert math.prod(plan(seen((500, 500, 500), (1, 1, 1)), starved, 6000).patch) * 2 * 5000 / 2 * 0.53 <= 2**29


@pytest.mark.parametrize("seconds", [0.1, 1, 10, 30, 100, 1000])
def test_a_batch_is_even_however_slow_the_machine(seconds):
    """SDCL and copy-paste pair the images of a batch."""
    slow = replace(CPU, speeds=(Speed(16, "fp32", seconds), Speed(8, "fp32", seconds / 2)))
    for image in (seen((216, 256, 9), (1.5, 1.5, 10.0)), seen((99, 99, 99), (1, 1, 1))):
        planned = plan(image, slow)
        assert planned.batch % 2 == 0
        assert min(planned.patch) >= 8
        assert planned.entries["steps"] >= 100


@pytest.mark.parametrize(("labeled", "batch"), [(1, 1), (2, 2), (3, 2), (4, 2), (6, 4), (8, 6), (16, 12), (100, 12)])
def test_a_step_draws_no_more_pictures_than_folds_leave(labeled, batch):
    """A step of more crops than there are cases is refused (E220)."""
    pictures = {"pictures": True, "modality": "RGB", "unlabeled_cases": 100, "labeled_cases": labeled}
    assert plan(seen((480, 640), (1.0, 1.0), **pictures), CPU).entries["batch_size"] == batch


def test_a_small_batch_leaves_time_for_a_larger_patch():
    few, many = (seen((999, 999), (1.0, 1.0), pictures=True, labeled_cases=n, unlabeled_cases=n) for n in (4, 100))
    assert math.prod(plan(few, CPU).patch) > math.prod(plan(many, CPU).patch)


def test_slices_of_few_volumes_make_a_whole_batch():
    heart = seen((216, 256, 9), (1.5, 1.5, 10.0), labeled_cases=2, unlabeled_cases=2)
    assert plan(heart, CPU).batch == 12


def test_steps_come_from_the_measured_time_where_there_is_one():
    planned = plan(seen((20, 20, 20), (1, 1, 1)), CPU, minutes=10, seconds_a_step=0.7)
    assert planned.entries["steps"] == 600
    few = reasons(planned)["steps"].reason
    assert "few: with --minutes 40 there are 2000" in few


def test_a_slow_bf16_is_not_taken():
    slow = replace(CPU, speeds=tuple(each for each in CPU_SPEEDS if each.precision == "fp32"))
    assert plan(seen((20, 20, 20), (1, 1, 1)), slow).precision == "fp32"


def test_left_and_right_are_not_mirrored_into_each_other():
    kidneys = seen((99, 99, 99), (1, 1, 1), labels=["background", "left kidney", "right kidney"])
    axes = [each["axes"] for each in plan(kidneys, CPU).entries["train#spatial#transforms"]]
    assert axes == [[1], [2]]
    unoriented = plan(replace(kidneys, oriented=False), CPU).entries["train#spatial#transforms"]
    assert [each["_target_"].rpartition(".")[2] for each in unoriented] == ["Affine"]
    assert paired(["Kidney_L", "Kidney_R"]) == ("Kidney_L", "Kidney_R")
    assert paired(["background", "left atrium", "right ventricle"]) is None


def test_every_choice_has_a_reason():
    for image in (seen((99, 99, 99), (1, 1, 1)), seen((216, 256, 9), (1.5, 1.5, 10))):
        assert all(choice.value and choice.reason for choice in plan(image, CPU).choices)
