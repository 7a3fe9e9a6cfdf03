"""Label-efficient medical image segmentation: volumes first, 2D as well, on MONAI."""

__version__ = "0.1.0"
