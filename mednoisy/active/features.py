"""What a network sees in a case, as one short row: the mean of its coarsest map."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from monai.networks.utils import eval_mode
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mednoisy.active.uncertainty_maps import gradient_sums
from mednoisy.active.whole_cases import Place, placed_windows
from mednoisy.errors import UserError
from mednoisy.inference.sliding_window import SlidingWindow
from mednoisy.networks.ensemble import MeanEnsemble


def single_network(network: nn.Module) -> nn.Module:
    """The network itself; of an ensemble its first member, for features of several networks have no common axes."""
    while isinstance(network, MeanEnsemble):
        network = network.members[0]
    return network


def has_encoder(network: nn.Module) -> bool:
    """Whether a network has features, see `feature_encoder`."""
    return isinstance(getattr(single_network(network), "encoder", None), nn.Module)


def feature_encoder(network: nn.Module) -> nn.Module:
    """What gives a network's feature maps as a list, finest first.

    Raises:
        UserError: E513, it has none.
    """
    if not has_encoder(network):
        cause = f"{type(single_network(network)).__name__} has no encoder that gives a list of feature maps"
        raise UserError("E513", cause, "Train a network of mednoisy.networks, or take a --strategy without features")
    encoder: nn.Module = single_network(network).encoder  # type: ignore[assignment]
    return encoder


@torch.no_grad()
def pooled_bottleneck(network: nn.Module, image: Tensor, inferer: SlidingWindow) -> np.ndarray:
    """(D,), float32: the mean over a whole case of the coarsest map of the network's encoder, in evaluation mode.

    A case larger than the patch is seen in windows side by side, each weighing as many voxels as it stands for: a map
    of a window does not know what lies outside, and so is not that of the whole case at once.

    Args:
        network: on the device of `image`.
        image: (C, *spatial), preprocessed and undistorted.
        inferer: of the run, whose patch a window has.

    Raises:
        UserError: E513, as `feature_encoder`.
    """
    encoder = feature_encoder(network)
    total, voxels = torch.zeros(()), 0.0
    with eval_mode(encoder):
        for windows, places in placed_windows(image, inferer):
            weights = torch.tensor([place.voxels for place in places], dtype=torch.float64)
            means = encoder(windows)[-1].float().flatten(2).mean(dim=2).cpu().double()
            total = total + (means * weights[:, None]).sum(dim=0)
            voxels += float(weights.sum())
    return (total / voxels).numpy().astype(np.float32)


@torch.no_grad()
def gradient_embedding_of_case(network: nn.Module, image: Tensor, inferer: SlidingWindow) -> np.ndarray:
    """(K * D,), float32: BADGE's embedding of a whole case, see `uncertainty_maps.gradient_embedding`.

    Args:
        network, image, inferer: as for `pooled_bottleneck`; the network's last convolution makes its logits, which
            may be interpolated linearly then, as those of DeepLab and FPN are: the embedding is that of its own grid.

    Raises:
        UserError: E513, it has no convolution, or the last one listed does not make the logits.
    """
    sums, counts = torch.zeros(()), torch.zeros(())
    for p, h, place in seen_by_last_layer(network, image, inferer):
        of_window, count = gradient_sums(p, h)
        sums = sums + place.voxels * of_window.cpu().double()
        counts = counts + place.voxels * count.cpu().double()
    return (sums / counts.clamp_min(1e-12)[:, None]).flatten().numpy().astype(np.float32)


@torch.no_grad()
def seen_by_last_layer(
    network: nn.Module, image: Tensor, inferer: SlidingWindow
) -> Iterator[tuple[Tensor, Tensor, Place]]:
    """Of each window of a case the probabilities (K, *spatial) and what the last layer makes them of (D, *spatial).

    Args, raises: as `gradient_embedding_of_case`.
    """
    single = single_network(network)
    layers = [part for part in single.modules() if isinstance(part, nn.Conv2d | nn.Conv3d)]
    if not layers:
        cure = "Take another --strategy, such as entropy"
        raise UserError("E513", f"{type(single).__name__} has no last convolution for gradients", cure)
    seen: list[tuple[Tensor, Tensor]] = []
    hook = layers[-1].register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
    try:
        with eval_mode(single):
            for windows, places in placed_windows(image, inferer):
                seen.clear()
                output = single(windows)
                if len(seen) != 1 or not _makes(seen[0][1], output):
                    cause = f"the last convolution that {type(single).__name__} lists does not make its logits"
                    raise UserError("E513", cause, "Take another --strategy, such as entropy")
                ((features, logits),) = seen
                yield from zip(logits.float().softmax(dim=1), features.float(), places, strict=True)
    finally:
        hook.remove()


def _makes(logits: Tensor, output: object) -> bool:
    """Whether a network's output is these logits, as they are or interpolated linearly."""
    if not isinstance(output, Tensor) or output.shape[:2] != logits.shape[:2] or output.dim() != logits.dim():
        return False
    if output.shape == logits.shape:
        return bool(torch.allclose(output, logits, equal_nan=True))
    mode, size = {4: "bilinear", 5: "trilinear"}[logits.dim()], list(output.shape[2:])
    resized = (interpolate(logits, size, mode=mode, align_corners=corners) for corners in (False, True))
    return any(torch.allclose(output, one, rtol=1e-4, atol=1e-4, equal_nan=True) for one in resized)


def digest_of_network(network: nn.Module) -> str:
    """16 hexadecimal digits that change with any weight of a network, or of the first member of an ensemble."""
    return digest_of_weights(single_network(network))


def digest_of_weights(network: nn.Module) -> str:
    """16 hexadecimal digits that change with any weight, of an ensemble with those of all members."""
    digest = hashlib.blake2b(digest_size=8)
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def digest_of_settings(settings: Any) -> str:
    """16 hexadecimal digits that change with what a configuration says of how a network sees a case."""
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
