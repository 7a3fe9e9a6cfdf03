"""Networks that tell real images from generated ones, and how their slope is bounded."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

KERNEL = 4  # of the strided convolutions
CELL = 8  # positions of the second map along an axis that one score is of
WIDTHS = (64, 128)  # as published


class ColourDiscriminator(nn.Module):
    """A map of scores, one for each 32 x 32 pixels, from three convolutions (Tajbakhsh et al. 2019).

    Convolution and leaky ReLU (64 channels, half the size), convolution, batch norm and leaky ReLU (128, a quarter),
    convolution to one channel: 129 x 129 pixels become maps of 64 x 64, 32 x 32 and 4 x 4. The sigmoid behind it is
    left to who asks. The paper tells no kernels; these give its sizes: 4 at stride 2 twice, then 8 at stride 8, before
    which zeros fill the map to a multiple of 8, so that any size will do. Slope below 0: 0.2.

    Args:
        in_channels: of colours and gray together.
    """

    def __init__(self, in_channels: int = 6):
        super().__init__()
        first, second = WIDTHS
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, first, KERNEL, stride=2, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(first, second, KERNEL, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(second),
            nn.LeakyReLU(0.2, inplace=True),
        )
        self.scores = nn.Conv2d(second, 1, CELL, stride=CELL)

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, rows, columns) to scores (B, 1, r, c), of which high ones mean real."""
        maps = self.features(image)
        rows, columns = maps.shape[2:]
        return self.scores(functional.pad(maps, (0, -columns % CELL, 0, -rows % CELL)))


def with_spectral_norm(network: nn.Module) -> nn.Module:
    """The network, changed in place, with each convolution divided by its largest singular value (arXiv:1802.05957)."""
    for module in list(network.modules()):
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            spectral_norm(module)
    return network


def score_map(discriminator: nn.Module, image: Tensor) -> Tensor:
    """The scores that a discriminator gives; of a list of maps, as MONAI's `PatchDiscriminator` has, the last."""
    given = discriminator(image)
    scores: Tensor = given[-1] if isinstance(given, list | tuple) else given
    return scores
