"""What MONAI's own tools say of the bundles, and that bundles and overlays agree with one another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow, ckpt_export, verify_metadata, verify_net_in_out

from mednoisy.composition import bundles_folder, compose, known
from mednoisy.composition.stacking import about
from tests.small_runs import SMALL, small, small_dataset

BUNDLES, METHODS, RECIPES = known("bundle"), known("method"), known("recipe")
OWN_METHOD = {bundle: about(bundles_folder() / bundle)["method"] for bundle in BUNDLES}
QUICK = [(bundle, None, "default") for bundle in BUNDLES]
QUICK += [(bundle, OWN_METHOD[bundle], recipe) for bundle in BUNDLES for recipe in ("noisy", "strong", "published")]
IN_COLOUR = [bundle for bundle in BUNDLES if about(bundles_folder() / bundle)["kind"] == "pictures"]
PAIRS = [
    (bundle, method, recipe)
    for bundle in BUNDLES
    for method in (None, *METHODS)
    for recipe in RECIPES
    if method != "colorization" or bundle in IN_COLOUR
]
SCHEMA = Path(__file__).parent / "meta_schema.json"


@pytest.fixture(autouse=True)
def _no_duplicate_keys(monkeypatch):
    monkeypatch.setenv("MONAI_FAIL_ON_DUPLICATE_CONFIG", "1")


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two labeled, two unlabeled and two test phantoms for each bundle."""
    return {bundle: small_dataset(tmp_path_factory.mktemp(bundle), bundle) for bundle in BUNDLES}


@pytest.fixture(scope="module")
def dataset(datasets: dict[str, Path]) -> Path:
    """Those of the phantom bundle."""
    return datasets["phantom"]


def patch_of(bundle: str) -> list[int]:
    """A small patch in 2D or 3D, as large as networks of five levels take it."""
    return [32] * len(small(bundle)["patch_size"])


def configs(bundle: str) -> Path:
    return bundles_folder() / bundle / "configs"


def test_bundles_methods_and_recipes_are_found():
    """Each kind in its own folder, and the recipe that is the bundle itself."""
    assert {"phantom", "left_atrium"} <= set(BUNDLES)
    assert {"supervised", "sdcl"} <= set(METHODS)
    assert RECIPES[-1] == "default"
    assert not {*BUNDLES} & {*METHODS, *RECIPES, "methods", "recipes"}


@pytest.mark.parametrize("bundle", BUNDLES)
def test_a_bundle_has_what_the_zoo_asks_for(bundle):
    files = [
        "LICENSE",
        "docs/README.md",
        *(f"configs/{name}.yaml" for name in ("train", "evaluate", "inference", "query")),
    ]
    for file in [*files, "configs/multi_gpu.yaml", "configs/metadata.json"]:
        assert (bundles_folder() / bundle / file).is_file(), file


@pytest.mark.parametrize("bundle", BUNDLES)
@pytest.mark.filterwarnings("ignore:No hash value provided")
def test_metadata_hold_to_the_schema(bundle):
    verify_metadata(meta_file=str(configs(bundle) / "metadata.json"), filepath=str(SCHEMA))


@pytest.mark.filterwarnings("ignore:No hash value provided")
def test_the_schema_refuses_metadata_without_a_version(tmp_path):
    content = json.loads((configs("phantom") / "metadata.json").read_text())
    del content["version"]
    (tmp_path / "metadata.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="'version' is a required property"):
        verify_metadata(meta_file=str(tmp_path / "metadata.json"), filepath=str(SCHEMA))


@pytest.mark.parametrize("bundle", BUNDLES)
def test_the_network_gives_what_the_metadata_say(bundle):
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(configs(bundle) / "metadata.json"),
        config_file=str(configs(bundle) / "inference.yaml"),
        n=2,
        device="cpu",
        width=2,
    )


@pytest.mark.parametrize("bundle", BUNDLES)
@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_the_norm_of_all_networks_is_an_entry(bundle, norm):
    """Every network that a bundle offers has norms of this kind, and none of the other."""
    parser = compose(bundle, "sdcl", overrides={"norm": norm}).workflow().parser
    networks = [str(name) for name in parser.get() if str(name).endswith("_def") and name != "deployed_def"]
    assert {"network_def", "partner_def"} <= set(networks)
    kinds = {"batch": torch.nn.modules.batchnorm._BatchNorm, "instance": torch.nn.modules.instancenorm._InstanceNorm}
    with torch.device("meta"):
        for name in networks:
            modules = list(parser.get_parsed_content(name).modules())
            there = {kind for kind, of_kind in kinds.items() if any(isinstance(module, of_kind) for module in modules)}
            assert there == {norm}, name


def in_full() -> list:
    """All bundles under all methods and recipes; those that say little new are slow."""
    return [pytest.param(*pair, marks=[] if pair in QUICK else pytest.mark.slow) for pair in PAIRS]


@pytest.mark.parametrize(("bundle", "method", "recipe"), in_full())
def test_every_method_and_recipe_leaves_a_complete_bundle(bundle, method, recipe, datasets, tmp_path):
    """MONAI's required properties are there and referenced, whatever overlays a bundle wears."""
    places = {"dataset_dir": str(datasets[bundle]), "output_dir": str(tmp_path / "run"), "validation": 0, "labeled": 2}
    places["patch_size"] = patch_of(bundle)
    workflow = compose(bundle, method, recipe, overrides=small(bundle) | places).workflow()
    workflow.initialize()
    assert workflow.check_properties() == []
    trainer = workflow.parser.get_parsed_content("train#trainer")
    assert trainer.training.total_steps == workflow.parser["steps"]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("bundle", BUNDLES)
def test_inference_is_complete(bundle, datasets):
    workflow = ConfigWorkflow(
        config_file=str(configs(bundle) / "inference.yaml"),
        workflow_type="infer",
        logging_file=False,
        dataset_dir=str(datasets[bundle] / "images"),
        width=2,
    )
    workflow.initialize()
    assert workflow.check_properties() == []
    assert len(workflow.parser.get_parsed_content("dataset#data")) == 6


def test_a_setting_of_the_epochs_scales_all_stages(dataset, tmp_path):
    """MONAI Label sets `train#trainer#max_epochs` and nothing else."""
    places = {"dataset_dir": str(dataset), "output_dir": str(tmp_path / "run"), "train#trainer#max_epochs": 1}
    workflow = compose("phantom", "sdcl", overrides=SMALL | places | {"steps": 40}).workflow()
    workflow.initialize()
    plan = workflow.parser.get_parsed_content("train#trainer").training.plan
    assert [planned.steps for planned in plan] == [5, 15]  # 20 steps at 3200 to 11000


@pytest.mark.parametrize("bundle", BUNDLES)
def test_a_trained_network_is_exported(bundle, datasets, tmp_path, monkeypatch):
    """Two steps of a bundle alone leave weights that `ckpt_export` turns into TorchScript, which predicts the same."""
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "models" / "model.pt"
    places = {"dataset_dir": str(datasets[bundle]), "output_dir": str(tmp_path / "run"), "model_file": str(model)}
    places |= {"steps": 2, "labeled": 2, "validation": 0, "patch_size": patch_of(bundle)}
    compose(bundle, overrides=small(bundle) | places).run()
    networks = {"width": 2, **{key: value for key, value in small(bundle).items() if key == "network_def"}}
    ckpt_export(
        net_id="network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=str(model),
        meta_file=str(configs(bundle) / "metadata.json"),
        config_file=str(configs(bundle) / "inference.yaml"),
        **networks,
    )
    parser = ConfigParser(ConfigParser.load_config_file(str(configs(bundle) / "inference.yaml")) | networks)
    network = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(model, weights_only=True))
    channels = json.loads((configs(bundle) / "metadata.json").read_text())["network_data_format"]["inputs"]["image"]
    shape = (1, channels["num_channels"], *patch_of(bundle))
    image = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    exported = torch.jit.load(str(tmp_path / "model.ts"))
    torch.testing.assert_close(exported.eval()(image), network.eval()(image))
