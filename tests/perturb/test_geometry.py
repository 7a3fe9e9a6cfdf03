"""Changes of geometry against SciPy, torch's own turns, MONAI's grids and formulas."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from monai.transforms import AffineGrid
from scipy import ndimage

from mednoisy.errors import UserError
from mednoisy.perturb import Affine, Elastic, Flip, Geometry, GridDistortion, Lens, OneOf, QuarterTurns

SHAPES = [(9, 14), (7, 10, 6)]


def image(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def seen(change: Any, numbers: Any, pictures: torch.Tensor) -> torch.Tensor:
    """One image (C, *S) under one change with these numbers."""
    return Geometry([change]).apply(pictures[None], None, [(np.asarray(numbers, dtype=float),)])[0][0]


def own_places(*shape: int) -> torch.Tensor:
    """(D, *S): an image that holds its own places in voxels, in which linear interpolation is exact."""
    return torch.stack(torch.meshgrid([torch.arange(float(side)) for side in shape], indexing="ij"))


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("axes", [(0, 1), (2, 0)])
def test_turns_are_torchs(turns, axes):
    picture = image(2, 5, 5, 5)
    assert torch.equal(seen(QuarterTurns(axes), [turns], picture), picture.rot90(turns, [axis + 1 for axis in axes]))


@pytest.mark.parametrize("shape", SHAPES)
def test_flips_are_torchs(shape):
    for axis in range(len(shape)):
        assert torch.equal(seen(Flip(), [axis], image(2, *shape)), image(2, *shape).flip(axis + 1))


def test_turns_and_flips_in_their_order():
    chain, picture = Geometry([QuarterTurns(), Flip(), QuarterTurns()]), image(1, 1, 6, 6)
    found, _ = chain.apply(picture, None, [(np.array([1.0]), np.array([0.0]), np.array([2.0]))])
    assert torch.equal(found, picture.rot90(1, [2, 3]).flip(2).rot90(2, [2, 3]))


def test_turns_are_1_to_3_and_axes_are_drawn_alike():
    generator = np.random.default_rng(0)
    turns = [QuarterTurns().draw(generator, (1, 4, 4))[0] for _ in range(3000)]
    assert [turns.count(k) / 3000 for k in (1, 2, 3)] == pytest.approx([1 / 3] * 3, abs=0.03)
    axes = [Flip().draw(generator, (1, 4, 4, 4))[0] for _ in range(3000)]
    assert [axes.count(k) / 3000 for k in range(3)] == pytest.approx([1 / 3] * 3, abs=0.03)
    assert {Flip(axes=[2]).draw(generator, (1, 4, 4, 4))[0] for _ in range(20)} == {2}


def drawn_affine(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    angles = generator.uniform(-0.5, 0.5, 3 if len(shape) == 3 else 1)
    return angles, generator.uniform(0.8, 1.2, len(shape)), generator.uniform(-0.1, 0.1, len(shape))


@pytest.mark.parametrize("shape", SHAPES)
def test_affine_maps_look_where_monais_do(shape):
    angles, factors, shifts = drawn_affine(shape)
    numbers = Affine.matrices(angles, factors, shifts, shape)
    lengths = np.asarray(shape)
    grid = AffineGrid(
        rotate_params=angles.tolist() if len(shape) == 3 else angles[0],
        translate_params=(shifts * lengths).tolist(),
        scale_params=factors.tolist(),
    )
    of_monai = np.asarray(grid(spatial_size=shape)[1], dtype=float)[:-1]
    ours = numbers * lengths[:, None] / np.append(lengths, 2.0)  # from halves of sides to voxels
    np.testing.assert_allclose(ours, of_monai, atol=1e-5)


@pytest.mark.parametrize("outside", ["border", "zeros"])
@pytest.mark.parametrize("shape", SHAPES)
def test_affine_images_and_labels_are_scipys(shape, outside):
    angles, factors, shifts = drawn_affine(shape)
    numbers = Affine.matrices(angles, factors, shifts, shape)
    lengths = np.asarray(shape)
    in_voxels = numbers * lengths[:, None] / np.append(lengths, 2.0)
    centre = (lengths - 1) / 2
    offset = centre + in_voxels[:, -1] - in_voxels[:, :-1] @ centre
    picture, label = image(1, *shape), (image(*shape) * 4).to(torch.uint8)
    found, codes = Geometry([Affine(outside=outside)]).apply(picture[None], label[None], [(numbers.ravel(),)])
    mode = {"border": "nearest", "zeros": "grid-constant"}[outside]
    expected = ndimage.affine_transform(picture[0].numpy(), in_voxels[:, :-1], offset, order=1, mode=mode)
    np.testing.assert_allclose(found[0, 0].numpy(), expected, atol=2e-6)
    expected = ndimage.affine_transform(label.numpy(), in_voxels[:, :-1], offset, order=0, mode=mode)
    assert (codes[0].numpy() != expected).mean() < 0.01  # where a place lies half-way
    assert codes.dtype == torch.uint8


def test_affine_maps_of_no_size_change_nothing():
    picture = image(2, 8, 11)
    drawn = Affine().draw(np.random.default_rng(0), picture.shape)
    assert np.array_equal(drawn, Affine().unchanged(picture.shape))
    torch.testing.assert_close(seen(Affine(), drawn, picture), picture, atol=1e-6, rtol=0)


def test_an_unknown_outside_is_refused():
    with pytest.raises(ValueError, match="outside is 'mirror'; it must be 'border' or 'zeros'"):
        Affine(outside="mirror")


@pytest.mark.parametrize("strength", [-0.3, 0.4])
def test_a_lens_shows_the_place_of_its_formula(strength):
    rows, columns = torch.meshgrid(
        (torch.arange(30) + 0.5) / 30 - 0.5, (torch.arange(20) + 0.5) / 20 - 0.5, indexing="ij"
    )
    squared = rows**2 + columns**2
    factor = 1 + strength * (squared + squared**2)
    inside = (factor * rows.abs() < 0.5 - 1 / 60) & (factor * columns.abs() < 0.5 - 1 / 40)
    found = seen(Lens(), [strength], torch.stack([rows, columns]))
    torch.testing.assert_close(found[0][inside], (factor * rows)[inside], atol=1e-6, rtol=0)
    torch.testing.assert_close(found[1][inside], (factor * columns)[inside], atol=1e-6, rtol=0)
    assert inside.sum() > 400


def test_cells_of_a_grid_get_their_lengths():
    """Cells of 4 voxels: the first is shown at half its length, the second at one and a half, the third as it is."""
    places = own_places(12, 12)
    found = seen(GridDistortion(cells=3), [0.5, 1.5, 1.0, 1.0, 1.0, 1.0], places)
    expected = torch.tensor([-0.25, 0.25, 0.75, 1.25, 2.25, 3.75, 5.25, 6.75, 8.0, 9.0, 10.0, 11.0]).clamp(0, 11)
    torch.testing.assert_close(found[0], expected[:, None].expand(12, 12), atol=1e-5, rtol=0)
    torch.testing.assert_close(found[1], places[1], atol=1e-5, rtol=0)


def test_elastic_displacements_on_a_slope_stay_on_it():
    """Keys' cubic keeps what is linear."""
    side, cells = 12, 2
    field = np.zeros((2, cells + 3, cells + 3))
    field[0] = np.linspace(-0.1, 0.1, cells + 3)[:, None]  # a slope, which the interpolation keeps
    found = seen(Elastic(cells=cells), field.ravel(), own_places(side, side))
    places = torch.arange(float(side))
    coarse = (places + 0.5) / side * cells + 1  # in coarse points
    shift = (-0.1 + 0.05 * coarse) * side / 2
    torch.testing.assert_close(
        found[0], (places + shift).clamp(0, side - 1)[:, None].expand(side, side), atol=1e-4, rtol=0
    )
    torch.testing.assert_close(found[1], own_places(side, side)[1], atol=1e-5, rtol=0)


def test_elastic_displacements_have_the_drawn_size():
    drawn = Elastic(magnitude=(0.1, 0.1)).draw(np.random.default_rng(0), (1, 40, 20)).reshape(2, -1)
    assert drawn.std(axis=1) == pytest.approx([0.2, 0.4], rel=0.15)  # 4 voxels, in halves of a side


@pytest.mark.parametrize("outside", ["border", "zeros"])
def test_one_interpolation_shows_what_two_would(outside):
    """A lens and a shift by whole voxels, which interpolates nothing: one after the other, beyond borders too."""
    lens, shift = Lens(strength=(0.8, 0.8), probability=1.0), Affine(outside=outside, probability=1.0)
    moved = Affine.matrices(np.zeros(1), np.ones(2), np.array([4 / 16, -3 / 12]), (16, 12)).ravel()
    picture, label = image(1, 1, 16, 12), (image(1, 16, 12) * 3).long()
    together = Geometry([lens, shift]).apply(picture, label, [(np.array([0.8]), moved)])
    first = Geometry([lens]).apply(picture, label, [(np.array([0.8]),)])
    second = Geometry([shift]).apply(*first, [(moved,)])
    torch.testing.assert_close(together[0], second[0], atol=1e-5, rtol=0)
    assert (together[1] != second[1]).float().mean() < 0.02
    assert (second[0] == 0).any() == (outside == "zeros")


def every_kind(dimensions: int) -> Geometry:
    """All changes of geometry, each likely, in an order that makes several runs."""
    return Geometry(
        [
            OneOf([[QuarterTurns(), Flip()], Affine(rotation=0.3, probability=1.0), []], weights=[2, 1, 1]),
            Lens(),
            GridDistortion(),
            Elastic(),
            Affine(rotation=0.2, scale=0.2, shift=0.1, outside="zeros"),
            Flip(),
        ]
    )


@pytest.mark.parametrize("shape", [(1, 15, 15), (3, 8, 8), (1, 9, 9, 7)])
def test_a_batch_is_its_images_one_by_one(shape):
    chain = every_kind(len(shape) - 1)
    drawn = [chain.draw(np.random.default_rng(seed), shape) for seed in range(12)]
    images, labels = image(12, *shape), (image(12, *shape[1:]) * 4).to(torch.uint8)
    together = chain.apply(images, labels, drawn)
    for row, numbers in enumerate(drawn):
        alone = chain.apply(images[row : row + 1], labels[row : row + 1], [numbers])
        torch.testing.assert_close(alone[0][0], together[0][row], atol=3e-6, rtol=0)  # places are rounded
        assert torch.equal(alone[1][0], together[1][row])
    last = torch.channels_last if len(shape) == 3 else torch.channels_last_3d
    other = chain.apply(images.contiguous(memory_format=last), labels, drawn)
    torch.testing.assert_close(other[0], together[0], atol=3e-6, rtol=0)
    assert torch.equal(images, image(12, *shape))
    untouched = [row for row, numbers in enumerate(drawn) if all(own is None for own in numbers)]
    assert all(torch.equal(together[0][row], images[row]) for row in untouched)


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 9, 9, 7)])
def test_nothing_is_read_back_from_the_device(shape):
    """PyTorch's device `meta` has shapes and no values: whatever the host wanted to know of these would fail."""
    chain = every_kind(len(shape) - 1)
    drawn = [chain.draw(np.random.default_rng(seed), shape) for seed in range(12)]
    labels = torch.zeros(12, *shape[1:], dtype=torch.uint8, device="meta")
    found, codes = chain.apply(image(12, *shape).to("meta"), labels, drawn)
    assert found.shape == (12, *shape)
    assert found.is_meta
    assert codes.shape == labels.shape
    assert codes.is_meta


def test_choices_and_probabilities_are_those_written():
    chain = every_kind(2)
    drawn = [chain.draw(np.random.default_rng(seed), (1, 8, 8)) for seed in range(4000)]
    shares = np.mean([[own is not None for own in numbers] for numbers in drawn], axis=0)
    assert shares == pytest.approx([0.5 * 0.75, 0.5 * 0.5, 0.25, 0.7, 0.7, 0.7, 0.5, 0.5], abs=0.03)


def test_a_certain_chain_does_everything():
    chain = Geometry([Flip(probability=0.0), [Lens(probability=0.1)]]).certain()
    assert all(own is not None for own in chain.draw(np.random.default_rng(0), (1, 4, 4)))


def test_weights_must_fit_the_options():
    for weights in ([1.0], [1.0, -1.0], [0.0, 0.0]):
        with pytest.raises(ValueError, match="2 options need one each"):
            OneOf([[], []], weights=weights)
    with pytest.raises(ValueError, match="there is no option to choose"):
        OneOf([])


@pytest.mark.parametrize("change", [QuarterTurns(axes=(0, 2)), Flip(axes=[2])])
def test_axes_that_are_not_there(change):
    with pytest.raises(UserError, match=r"E231 crops have no axis 2, along which .* Name axes from 0 to 1"):
        Geometry([change]).check((1, 8, 8))


def test_a_full_turn_is_a_quarter_turn_four_times():
    quarter = replace(Affine(), rotation=math.pi / 2)
    numbers = quarter.matrices(np.array([math.pi / 2]), np.ones(2), np.zeros(2), (9, 9))
    torch.testing.assert_close(
        seen(quarter, numbers.ravel(), image(1, 9, 9)), image(1, 9, 9).rot90(-1, [1, 2]), atol=1e-5, rtol=0
    )
