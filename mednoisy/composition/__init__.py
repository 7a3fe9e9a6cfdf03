"""Configurations put together: frame, dataset, method and recipe to one `monai.bundle run`."""
