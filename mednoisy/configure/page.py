"""The texts of a new bundle: its page, and a README with a reason for each choice."""

from __future__ import annotations

from typing import Any

from mednoisy.composition.rendering import as_yaml
from mednoisy.configure.fingerprint import Fingerprint
from mednoisy.configure.plan import Plan

COMMENT = """\
# Written by `mednoisy bundle new` from the dataset's fingerprint (fingerprint.json); its README says why each value was
# chosen. Change what you like, then `mednoisy render` this folder.
"""
REFERENCES = ["Song and Wang 2024, arXiv:2409.16728", "Isensee et al. 2021, Nature Methods 18, arXiv:1904.08128"]
FOLLOWED = {"slices": "slice by slice in 2D", "volumes": "in 3D", "pictures": "in 2D"}


def page_text(found: Fingerprint, planned: Plan) -> str:
    """`dataset.yaml`."""
    about: dict[str, Any] = {
        "kind": planned.kind,
        "method": method_of(planned),
        "title": f"{found.name}, few labels",
        "task": f"Segmentation of {_listed(found.labels[1:])} from few labeled cases",
        "description": f"Configured from the images of {found.name}; trained {FOLLOWED[planned.kind]}.",
        "data_source": found.name,
        "image_classes": f"{_listed(found.channels)}, {planned.normalised}",
        "modality": "n/a" if found.modality in ("RGB", "unknown", "mixed") else found.modality,
        "value_range": _value_range(planned),
        "multiple": planned.multiple,
        "references": REFERENCES,
    }
    if planned.kind != "pictures":
        about["channels"] = found.channels
    return COMMENT + as_yaml({"about": about, "dataset_name": found.name, **planned.entries})


def method_of(planned: Plan) -> str:
    """What trains it without --method: SDCL; copy-paste without unlabeled images; neither with a single label."""
    if planned.batch < 2:
        return "supervised"
    return "sdcl" if planned.unlabeled else "copy_paste"


def readme(found: Fingerprint, planned: Plan) -> str:
    """The README."""
    rows = "\n".join(f"| {each.name} | {_cell(each.value)} | {_cell(each.reason)} |" for each in planned.choices)
    counts = f"{found.labeled_cases} images with labels ({found.labeled_patients} patients)"
    return f"""# {found.name}

Segmentation of {_listed(found.labels[1:])}, trained {FOLLOWED[planned.kind]} by `{method_of(planned)}` unless
`--method` says otherwise. Research only, not for diagnosis.

    mednoisy train DATA --method sdcl --recipe strong --output runs/mine

`DATA` is the prepared dataset's folder, where this bundle is its `bundle`; else give this folder, and `--data DATA`.

## Why these settings

From {counts}, {found.unlabeled_cases} without.

| setting | value | why |
| --- | --- | --- |
{rows}

nnU-Net's rules are those of Isensee et al. 2021 (Nature Methods 18, arXiv:1904.08128). Departures: kernels stay 3 along
coarse axes, the networks have up to five levels, and the patch is bound by time besides memory.

## Files

- `dataset.yaml` is the page that everything in `configs/` is rendered from. Change a value there, then
  `mednoisy render` this folder; or keep it and give `--set ID=VALUE`.
- `fingerprint.json` holds the numbers behind the table: sizes, spacings, intensities. No path, no id and no word on a
  patient is in it.
- `configs/train.yaml` is the whole configuration; `inference.yaml` segments the images of `dataset_dir` with the
  weights in `model_file`; `evaluate.yaml` scores a finished run again; `multi_gpu.yaml` is for torchrun; `query.yaml`
  asks a run which cases to label next.

No weights come with the bundle.
"""


def data_license() -> str:
    """`docs/data_license.txt`."""
    return "No data come with this bundle. Their owners set the terms of use.\n"


def _value_range(planned: Plan) -> list[float]:
    scaled = planned.entries.get("normalisation", {})
    if "b_min" in scaled:
        return [round(scaled["b_min"], 2), round(scaled["b_max"], 2)]
    return [-3, 3] if planned.kind == "pictures" else [-5, 10]


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
