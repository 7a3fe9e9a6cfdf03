"""Networks as published, and others on demand."""

from typing import TYPE_CHECKING

from mednoisy.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from mednoisy.networks.authors_checkpoints import load_published
    from mednoisy.networks.deeplab import DeepLabV3, DeepLabV3Plus
    from mednoisy.networks.ensemble import MeanEnsemble
    from mednoisy.networks.fpn import FPN
    from mednoisy.networks.imagenet_weights import load_pretrained
    from mednoisy.networks.nnunet import NNUNet
    from mednoisy.networks.reconstruction import reconstructing
    from mednoisy.networks.transfer import transfer_weights
    from mednoisy.networks.unet import ResUNet, UNet
    from mednoisy.networks.vnet import ResVNet, VNet
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "mednoisy.networks.authors_checkpoints": ("load_published",),
            "mednoisy.networks.deeplab": ("DeepLabV3", "DeepLabV3Plus"),
            "mednoisy.networks.ensemble": ("MeanEnsemble",),
            "mednoisy.networks.fpn": ("FPN",),
            "mednoisy.networks.imagenet_weights": ("load_pretrained",),
            "mednoisy.networks.nnunet": ("NNUNet",),
            "mednoisy.networks.reconstruction": ("reconstructing",),
            "mednoisy.networks.transfer": ("transfer_weights",),
            "mednoisy.networks.unet": ("ResUNet", "UNet"),
            "mednoisy.networks.vnet": ("ResVNet", "VNet"),
        },
    )

__all__ = [
    "FPN",
    "DeepLabV3",
    "DeepLabV3Plus",
    "MeanEnsemble",
    "NNUNet",
    "ResUNet",
    "ResVNet",
    "UNet",
    "VNet",
    "load_pretrained",
    "load_published",
    "reconstructing",
    "transfer_weights",
]
