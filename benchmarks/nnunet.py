"""nnU-Net's row beside ours: its own plan or our grid, at equal steps or at equal minutes of a processor.

    pip install 'mednoisy[nnunet]'
    python benchmarks/nnunet.py data/acdc --labeled 3 --setting own --minutes 20 --output rows/own_20
    python benchmarks/nnunet.py data/acdc --labeled 3 --setting adam --steps 900 --output rows/adam_900

It trains on the labels that `mednoisy train --labeled N` trains on, all of them, and predicts the test cases with its
own sliding windows and mirroring. `row.json` tells figures, steps, minutes, versions and the plan; `scores` is what
`mednoisy evaluate` writes. Called again it goes on from its last checkpoint (nnU-Net's, whose draws start anew).

Settings: `own`, the plan that nnU-Net makes of the labeled images, with its SGD; `sgd` and `adam`, its network for our
patch and spacing (`--patch`, `--spacing`) in batches of `--batch-size`, with its SGD and with Adam at 1e-3.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

DATASET = "Dataset001_mednoisy"
SETTINGS = ("own", "sgd", "adam")
WORKERS = "nnUNet_n_proc_DA"


def parsed(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("data", type=Path, help="prepared dataset of volumes, with datalist.json")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--labeled", type=int, help="patients (cases where none are named) with labels")
    parser.add_argument("--setting", choices=SETTINGS, default="own")
    parser.add_argument("--configuration", choices=["2d", "3d_fullres"], default="2d")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--steps", type=int)
    length.add_argument("--minutes", type=float, help="of a processor, spent in training")
    parser.add_argument("--patch", type=int, nargs="+", default=[96, 96], help="of `sgd` and `adam`")
    parser.add_argument("--spacing", type=float, nargs="+", default=[3.25, 3.25], help="of `sgd` and `adam`, mm")
    parser.add_argument("--batch-size", type=int, default=12, help="of `sgd` and `adam`")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(words)


def write_raw(given: argparse.Namespace) -> dict[str, Any]:
    """nnU-Net's raw folder of the labeled and test cases; its `dataset.json`."""
    from mednoisy.data.datalist import Datalist

    datalist = Datalist.load(given.data / "datalist.json", labeled=given.labeled)
    raw = given.output / "raw" / DATASET
    shutil.rmtree(raw, ignore_errors=True)
    for section, images, labels in (("labeled", "imagesTr", "labelsTr"), ("test", "imagesTs", "labelsTs")):
        for folder in (images, labels):
            (raw / folder).mkdir(parents=True)
        for case in datalist.cases(section):
            if not case["image"].endswith(".nii.gz"):
                sys.exit(f"{case['image']}: prepare the dataset as .nii.gz")
            (raw / images / f"{case['id']}_0000.nii.gz").symlink_to(case["image"])
            (raw / labels / f"{case['id']}.nii.gz").symlink_to(case["label"])
    described = {
        "channel_names": {str(number): name for number, name in enumerate(datalist.channels.values())},
        "labels": {name: int(code) for code, name in datalist.labels.items()},
        "numTraining": len(datalist.cases("labeled")),
        "file_ending": ".nii.gz",
    }
    (raw / "dataset.json").write_text(json.dumps(described))
    return described


def make_plan(given: argparse.Namespace) -> dict[str, Any]:
    """The plan of nnU-Net, on our grid where the setting says so, and the preprocessed cases."""
    from nnunetv2.experiment_planning import plan_and_preprocess_api as planning

    planning.extract_fingerprints([1], num_processes=1, check_dataset_integrity=True)
    planning.plan_experiments([1])
    path = given.output / "preprocessed" / DATASET / "nnUNetPlans.json"
    plan: dict[str, Any] = json.loads(path.read_text())
    if given.setting != "own":
        plan["configurations"][given.configuration].update(on_our_grid(given, plan))
        path.write_text(json.dumps(plan))
    planning.preprocess([1], configurations=[given.configuration], num_processes=[1])
    return plan


def on_our_grid(given: argparse.Namespace, plan: dict[str, Any]) -> dict[str, Any]:
    """What our patch and spacing change in a configuration: nnU-Net's own rule for strides, kernels and channels."""
    from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
    from nnunetv2.experiment_planning.experiment_planners.network_topology import get_pool_and_conv_props

    rules = ExperimentPlanner(1)
    smallest = rules.UNet_featuremap_min_edge_length
    _, strides, kernels, patch, _ = get_pool_and_conv_props(given.spacing, given.patch, smallest, 999999)
    if list(patch) != list(given.patch):
        sys.exit(f"nnU-Net makes {list(patch)} of the patch {given.patch}: take that")
    architecture = plan["configurations"][given.configuration]["architecture"]
    stages, most = len(strides), max(architecture["arch_kwargs"]["features_per_stage"])
    architecture["arch_kwargs"].update(
        n_stages=stages,
        strides=strides,
        kernel_sizes=kernels,
        features_per_stage=[min(rules.UNet_base_num_features * 2**stage, most) for stage in range(stages)],
        n_conv_per_stage=rules.UNet_blocks_per_stage_encoder[:stages],
        n_conv_per_stage_decoder=rules.UNet_blocks_per_stage_decoder[: stages - 1],
    )
    return {
        "patch_size": given.patch,
        "spacing": given.spacing,
        "batch_size": given.batch_size,
        "architecture": architecture,
    }


def score(given: argparse.Namespace) -> dict[str, Any]:
    """Means over classes and test cases, by `mednoisy evaluate`."""
    from mednoisy.cli import main

    raw = given.output / "raw" / DATASET
    codes = json.loads((raw / "dataset.json").read_text())["labels"]
    labels = [f"{code}={name}" for name, code in codes.items() if code]
    scores = given.output / "scores"
    words = ["evaluate", "--predictions", str(given.output / "predictions"), "--references", str(raw / "labelsTs")]
    if main([*words, "--output", str(scores), "--labels", *labels]):
        sys.exit("the predictions could not be scored")
    figures = json.loads((scores / "summary.json").read_text())["checkpoints"]["given"]["predictors"]["prediction"][
        "all"
    ]
    wanted = ("mean", "penalised", "n", "undefined")
    return {metric: {name: summary[name] for name in wanted} for metric, summary in figures.items()}


def main(words: list[str] | None = None) -> None:
    given = parsed(words)
    given.output = given.output.absolute()
    given.output.mkdir(parents=True, exist_ok=True)
    for name in ("raw", "preprocessed", "results"):  # which nnU-Net reads when it is imported
        os.environ[f"nnUNet_{name}"] = str(given.output / name)
    os.environ[WORKERS] = "1"
    described = write_raw(given)
    plan_file = given.output / "plan.json"
    if not plan_file.exists():
        plan_file.write_text(json.dumps(make_plan(given), indent=1))
    plan = json.loads(plan_file.read_text())
    os.environ[WORKERS] = "0"  # draws in this process: its time is counted, and a seed holds
    from nnunet_training import predict, train

    trainer, told = train(given, plan, described)
    started = time.process_time()
    predict(trainer, given.output / "raw" / DATASET / "imagesTs", given.output / "predictions")
    row = {
        **{name: value for name, value in vars(given).items() if name not in ("data", "output")},
        **told,
        "predicting_minutes": round((time.process_time() - started) / 60, 2),
        "versions": {name: version(name) for name in ("nnunetv2", "torch")},
        "figures": score(given),
        "configuration_used": plan["configurations"][given.configuration],
    }
    (given.output / "row.json").write_text(json.dumps(row, indent=1))
    print(f"{given.output / 'row.json'}: {told}")


if __name__ == "__main__":
    main()
