"""The bundle of body skin: what its work says, its pretraining, and what is uncertain as a class or ignored."""

from __future__ import annotations

import csv

import torch
import yaml

from mednoisy.cli import main
from mednoisy.composition import bundles_folder, compose
from mednoisy.composition.stacking import about, pretexts
from mednoisy.data.body_phantom import BODY_LABELS
from mednoisy.data.phantoms import make_dataset
from mednoisy.evaluation.summary_file import read_summary
from mednoisy.networks.deeplab import DeepLabV3Plus
from tests.small_runs import train_arguments

BUNDLE = bundles_folder() / "body_skin"


def test_network_and_optimiser_are_those_of_the_paper():
    """DeepLabV3+ on ResNet-50 at output stride 16, 513 pixels a side, Adam at 1e-4 with betas .5 and .999."""
    parser = compose("body_skin").workflow().parser
    with torch.device("meta"):
        network = parser.get_parsed_content("network_def")
        logits = network.eval()(torch.empty(1, 3, *parser["patch_size"]))
    assert isinstance(network, DeepLabV3Plus)
    assert (network.encoder.name, network.output_stride) == ("resnet50", 16)
    assert [branch[0].conv.dilation[0] for branch in list(network.pyramid.branches)[1:]] == [6, 12, 18]
    assert tuple(logits.shape) == (1, len(BODY_LABELS), 513, 513)
    optimiser = parser.get_parsed_content("optimiser")([torch.nn.Parameter(torch.zeros(1))])
    assert (optimiser.defaults["lr"], optimiser.defaults["betas"]) == (1e-4, (0.5, 0.999))
    assert parser["label_names"] == list(BODY_LABELS)
    assert parser["batch_size"] == 4


def test_pretraining_is_the_pretext_that_the_page_names():
    """Alone, of the same networks; a pretext of another name is one word of the page."""
    name = about(BUNDLE)["pretext"]
    assert name in pretexts()
    pretrain, train = (
        yaml.safe_load((BUNDLE / "configs" / f"{each}.yaml").read_text()) for each in ("pretrain", "train")
    )
    assert [stage["name"] for stage in pretrain["stages"]] == [pretrain["method_name"]] == [name]
    assert pretrain["network_def"] == train["network_def"]
    assert pretrain["deeplab_def"] == train["deeplab_def"]


def test_what_is_uncertain_may_be_ignored(tmp_path):
    """By a datalist that says so and the bundle's overlay of eight classes; its pixels count in no region."""
    data, run = tmp_path / "data", tmp_path / "run"
    make_dataset(data, "body", labeled=2, unlabeled=0, test=1, size=48, ignore_uncertain=True)
    overlay = ("--dataset", str(BUNDLE / "uncertain_ignored.yaml"))
    assert main(train_arguments(data, run, *overlay, bundle="body_skin")) == 0
    summary = read_summary(run)
    assert list(summary.labels.values()) == [name for name in BODY_LABELS if name != "uncertain"]
    assert summary.facts["ignored_codes"] == [1]
    with open(run / "regions.csv", newline="", encoding="utf-8") as stream:
        sets = {row["set"] for row in csv.DictReader(stream)}
    assert sets == {"eight classes", "skin or not"}
