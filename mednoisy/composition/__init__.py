"""Configurations put together: frame, kind of data, dataset, method and recipe to one `monai.bundle run`."""

from mednoisy.composition.catalogue import bundles_folder, dataset_of, find, known, prepared_datasets
from mednoisy.composition.command_line_values import checked_device, checked_path, parse_setting
from mednoisy.composition.monai_workflow import Composition, compose, of_run

__all__ = [
    "Composition",
    "bundles_folder",
    "checked_device",
    "checked_path",
    "compose",
    "dataset_of",
    "find",
    "known",
    "of_run",
    "parse_setting",
    "prepared_datasets",
]
