"""What metrics are called where a person reads them, and the units that stand beside them."""

from __future__ import annotations

from mednoisy.report.reading.runs import Run

OVERLAPS = {"dice": "Dice", "jaccard": "Jaccard", "nsd": "NSD"}  # shown in percent
DISTANCES = {"hd95": "HD95", "asd": "ASD", "assd": "ASSD", "masd": "MASD", "hd": "HD"}
VOLUMES = {"volume_prediction": "Predicted", "volume_reference": "Reference"}
METRIC_NAMES = OVERLAPS | DISTANCES | VOLUMES


def heading(metric: str, unit: str, volume_unit: str = "ml") -> str:
    """A metric's name with its unit: `Dice %`, `HD95 mm`.

    Args:
        metric: name of a column of `metrics.csv`.
        unit: of distances.
        volume_unit: of volumes.
    """
    own_unit = "%" if metric in OVERLAPS else volume_unit if metric in VOLUMES else unit
    return f"{METRIC_NAMES.get(metric, metric)} {own_unit}"


def volume_unit(run: Run) -> str:
    """What volumes are counted in: ml, areas of pictures in the square of their unit."""
    if str(run.facts.get("axes", 3)) == "2" or run.unit == "pixel":
        return f"{run.unit}²"
    return "ml" if run.unit == "mm" else "thousand voxels"
