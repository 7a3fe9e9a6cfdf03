"""How sure a prediction is: its hard labels with their probability, and its entropy under dropout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from mednoisy.losses.segmentation import full_precision

_NO_LOGARITHM = 1e-6  # added to probabilities before their logarithm, as published


def labels_with_confidence(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The most probable class of each voxel and its probability.

    Args:
        logits: (B, K, *S).

    Returns:
        (B, *S), int64, and (B, *S), in 1/K..1; without gradient.

    Examples:
        >>> import torch
        >>> labels_with_confidence(torch.tensor([[[3.0, 1.0], [1.0, 1.0]]]).log())  # odds of 3 to 1, and even
        (tensor([[0, 0]]), tensor([[0.7500, 0.5000]]))
    """
    confidence, labels = full_precision(logits.detach()).softmax(dim=1).max(dim=1)
    return labels, confidence


def predictive_entropy(probabilities: Tensor) -> Tensor:
    """`-sum_c p_c ln(p_c + 1e-6)` of each voxel, in nats: 0 where certain, ln K where undecided.

    Args:
        probabilities: (B, K, *S), such as the mean over several passes.

    Returns:
        (B, *S).

    Source: Yu et al. 2019 (UA-MT), equation 2.

    Examples:
        >>> import torch
        >>> round(predictive_entropy(torch.tensor([[[0.5], [0.5]]])).item(), 3)  # ln 2
        0.693
    """
    return -(probabilities * (probabilities + _NO_LOGARITHM).log()).sum(dim=1)


@contextmanager
def dropout_on(network: nn.Module) -> Iterator[None]:
    """Dropout layers are active within, whatever mode the network is in; batch norm stays as it is.

    Examples:
        >>> import torch
        >>> network = nn.Dropout(p=1.0).eval()
        >>> with dropout_on(network):
        ...     network(torch.ones(2))
        tensor([0., 0.])
        >>> network(torch.ones(2))
        tensor([1., 1.])
    """
    resting = [layer for layer in network.modules() if isinstance(layer, _DropoutNd) and not layer.training]
    for layer in resting:
        layer.train()
    try:
        yield
    finally:
        for layer in resting:
            layer.eval()
