"""MONAI bundles: what the data are; overlays: how to learn."""
