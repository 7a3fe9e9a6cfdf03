"""The page about an exported bundle, its README."""

from __future__ import annotations

from mednoisy.export.deployed_run import DeployedRun
from mednoisy.report.tables.terminal_tables import result_lines

PAGE = """# {title}

{description} The network of a finished run of mednoisy, for research; not for diagnosis.

- Trained with: {facts}.
- Classes: {classes}.
- Patch {patch}, {channels}.
- Figures of the run: {figures}.

mednoisy {version} or newer must be installed beside MONAI, which alone does not have the networks{further}.

Segment the images of a folder:

    python -m monai.bundle run --config_file configs/inference.yaml --bundle_root . \\
        --dataset_dir IMAGES --output_dir OUT

In MONAI Label, put this folder into `model/` of a copy of its `monaibundle` app:

    python -m monailabel.main start_server --app monaibundle --studies STUDIES --host 127.0.0.1 \\
        --conf models {name} --conf zoo_source ngc --conf sam2 false

{training}
"""
TRAINING = """Training there goes on from the weights in `models/model.pt`, on all labeled studies and on the unlabeled
ones beside them, and writes each training's run into `runs/`. About a fifth of the labeled studies, told by their
names, is held out. The trained network is served only if its Dice there is higher: then the one before is kept as
`models/previous.pt`, else the new one as `models/candidate.pt`."""
NO_TRAINING = "The networks of a cross-validation predict together; MONAI Label cannot train on from them."
FACTS = ("dataset", "method", "recipe", "folds", "labeled", "unlabeled", "validation", "steps", "batch_size", "width")


def page_of(run: DeployedRun, name: str) -> str:
    """The page in Markdown; `name` is the bundle's."""
    metadata, facts = run.config["_meta_"], run.summary.facts
    return PAGE.format(
        title=metadata["name"],
        description=metadata["description"],
        facts=", ".join(f"{fact} {facts[fact]}" for fact in FACTS if fact in facts),
        classes=", ".join(f"{code} {label}" for code, label in enumerate(run.label_names)),
        patch=" x ".join(map(str, run.patch_size)),
        channels="one channel" if run.channels == 1 else f"{run.channels} channels",
        figures="; ".join(result_lines(run.folder)),
        version=metadata["version"],
        further="".join(f"; {package}, too, of which they are" for package in run.further_packages),
        name=name,
        training=NO_TRAINING if run.folds else TRAINING,
    )
