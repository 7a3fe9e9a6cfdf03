"""Surface distances where the axes of a volume do not stand at right angles, as under gantry tilt."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from mednoisy.evaluation.bounding_boxes import union_box
from mednoisy.evaluation.surface_distances import DirectedDistances, surface


def oblique_distances(
    prediction: np.ndarray, reference: np.ndarray, steps: np.ndarray
) -> tuple[DirectedDistances, DirectedDistances]:
    """As `surface_distances.directed_distances`, between the centres of voxels in any grid.

    Args:
        prediction, reference: bool, same shape, two or three axes.
        steps: (axes, axes), its columns the steps to the neighbours along each axis, in mm.

    Examples:
        Two axes at 60 degrees: the neighbour along both is 3 ** 0.5 away.

        >>> steps = np.array([[1.0, 0.5], [0.0, 0.75**0.5]])
        >>> forth, _ = oblique_distances(np.array([[1, 0], [0, 0]], bool), np.array([[0, 0], [0, 1]], bool), steps)
        >>> forth.shared, forth.apart, [block.round(4).tolist() for block in forth.blocks]
        (0, 1, [[1.7321]])
    """
    box = union_box(prediction, reference)
    start, goal = surface(prediction[box]), surface(reference[box])
    if not start.any() or not goal.any():
        return DirectedDistances(0, 0, iter(())), DirectedDistances(0, 0, iter(()))
    shared = int(np.count_nonzero(start & goal))
    directed = []
    for one, other in ((start, goal), (goal, start)):
        apart = np.argwhere(one & ~other) @ steps.T
        distances = KDTree(np.argwhere(other) @ steps.T).query(apart)[0] if len(apart) else np.empty(0)
        directed.append(DirectedDistances(shared, len(apart), iter([distances] if len(apart) else [])))
    return directed[0], directed[1]
