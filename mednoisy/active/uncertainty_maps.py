"""How uncertain a network is, voxel by voxel, and of a case as a whole."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

TOP_SHARE = 0.05  # of a case's voxels, for `top_share`


def entropy(members: Tensor) -> Tensor:
    """(*spatial), -sum p ln p in nats of the members' mean.

    Args:
        members: (M, K, *spatial), probabilities of each member of an ensemble, pass with dropout, student or fold.
    """
    return torch.special.entr(members.mean(dim=0)).sum(dim=0)


def margin(members: Tensor) -> Tensor:
    """(*spatial), 1 less the lead of the likeliest class over the second; see `entropy`."""
    first, second = members.mean(dim=0).topk(2, dim=0).values
    return 1 - (first - second)


def bald(members: Tensor) -> Tensor:
    """(*spatial), the entropy of the mean less the mean entropy: what members do not agree on (Houlsby et al. 2011)."""
    expected = torch.special.entr(members).sum(dim=1).mean(dim=0)
    return (entropy(members) - expected).clamp_min(0)


def variance(members: Tensor) -> Tensor:
    """(*spatial), the variance over members, mean over classes."""
    return members.var(dim=0, correction=0).mean(dim=0)


def disagreement(members: Tensor) -> Tensor:
    """(*spatial), the share of pairs of members whose likeliest classes differ: of SDCL's two students 0 or 1."""
    count, classes = members.shape[:2]
    votes = torch.nn.functional.one_hot(members.argmax(dim=1), classes).sum(dim=0)  # (*spatial, K)
    agreeing = (votes * (votes - 1)).sum(dim=-1)
    return 1 - agreeing / (count * (count - 1))


MAPS: dict[str, Callable[[Tensor], Tensor]] = {
    "entropy": entropy, "margin": margin, "bald": bald, "variance": variance, "disagreement": disagreement,
}  # fmt: skip
NEEDS_MEMBERS = ("bald", "variance", "disagreement")  # which are 0 throughout for a single one


def mean(scores: Tensor, labels: Tensor) -> float:
    """Over all voxels: large objects and long borders weigh more, and so does a field of view without background."""
    return float(scores.mean())


def top_share(scores: Tensor, labels: Tensor) -> float:
    """Over the most uncertain 5 % of voxels: a small doubtful structure counts in a large scan."""
    count = max(int(TOP_SHARE * scores.numel()), 1)
    return float(scores.flatten().topk(count).values.mean())


def over_foreground(scores: Tensor, labels: Tensor) -> float:
    """Over predicted foreground, whatever share of the scan that is; where nothing is predicted, over all voxels."""
    inside = labels > 0
    return float(scores[inside].mean()) if bool(inside.any()) else float(scores.mean())


POOLINGS: dict[str, Callable[[Tensor, Tensor], float]] = {
    "mean": mean, "top_share": top_share, "over_foreground": over_foreground,
}  # fmt: skip


def class_uncertainty(members: Tensor) -> Tensor:
    """(1 + C), for ClaSP PE: the mean entropy, then weighted by the probability of each foreground class."""
    probabilities = members.mean(dim=0)
    scores = torch.special.entr(probabilities).sum(dim=0)
    return torch.stack([scores.mean(), *((scores * p).mean() for p in probabilities[1:])])


def gradient_embedding(probabilities: Tensor, features: Tensor) -> Tensor:
    """(K * D), for BADGE: what the last layer would learn from a case if its own prediction were right.

    The gradient (p - onehot(argmax p)) x h, averaged over the voxels predicted as each class, since over all voxels
    it partly cancels: a block a class, 0 for one that is not predicted.

    Args:
        probabilities: (K, *spatial).
        features: (D, *spatial), what the last layer sees.
    """
    sums, counts = gradient_sums(probabilities, features)
    return (sums / counts.clamp_min(1)[:, None]).flatten()


def gradient_sums(probabilities: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
    """Numerator (K, D) and voxels (K) of `gradient_embedding`, so that parts of a case can be added up."""
    classes = len(probabilities)
    p, h = probabilities.flatten(1), features.flatten(1)
    chosen = torch.nn.functional.one_hot(p.argmax(dim=0), classes).T.to(p.dtype)  # (K, voxels)
    return ((p - chosen) * chosen) @ h.T, chosen.sum(dim=1)
