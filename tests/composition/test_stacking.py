"""Which parts make a configuration, and what each of them may say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser

from mednoisy.composition import bundles_folder, compose, known
from mednoisy.composition.stacking import about, reachable, stacked
from mednoisy.errors import UserError

MONAI = str.maketrans({"#": "::"})  # how MONAI writes ids


def refusal(content: str, bundle: str = "acdc", role: str = "dataset", tmp_path: Path = Path()) -> str:
    """What is said of a part with this content."""
    part = tmp_path / "part.yaml"
    part.write_text(content)
    parts = {"method": "noisy_student", role: part if role == "dataset" else str(part)}
    with pytest.raises(UserError) as told:
        compose(bundle, **parts)
    return str(told.value)


def test_parts_lie_in_order():
    parts = stacked(bundles_folder() / "acdc", "sdcl_plain", "strong", ["multi_gpu"]).parts
    assert [(part.role, part.path.name) for part in parts] == [
        ("frame", "frame.yaml"),
        ("kind", "slices.yaml"),
        ("dataset", "dataset.yaml"),
        ("method", "sdcl.yaml"),  # what the next is a variant of
        ("method", "sdcl_plain.yaml"),
        ("recipe", "strong.yaml"),
        ("run_mode", "multi_gpu.yaml"),
    ]


@pytest.mark.parametrize(("number", "method"), list(enumerate(known("method"))))
def test_parts_merge_as_monai_merges_them(number, method):
    """Each method under every recipe, on a bundle each; texts aside, in which MONAI writes # as ::."""

    def in_monais_words(value):
        if isinstance(value, dict):
            return {key: in_monais_words(part) for key, part in value.items()}
        if isinstance(value, list):
            return [in_monais_words(part) for part in value]
        return value.translate(MONAI) if isinstance(value, str) else value

    bundles = known("bundle")
    for place, recipe in enumerate(known("recipe"), number):
        stack = stacked(bundles_folder() / bundles[place % len(bundles)], method, recipe)
        theirs = ConfigParser.load_config_files([str(part.path) for part in stack.parts])
        assert in_monais_words(stack.config) == in_monais_words(theirs), recipe


@pytest.mark.parametrize(
    ("content", "cause", "cure"),
    [
        ("lable_names: [a, b]\n", "'lable_names', to which nothing in the configuration refers", "'label_names'"),
        ("train#spatail: null\n", "'train#spatail', which the configuration does not have", "'train#spatial'"),
        ("train::spatail: null\n", "'train#spatail', which the configuration does not have", "'train#spatial'"),
        ("train#nothing#transforms: []\n", "'train#nothing#transforms', which the configuration does not have", ""),
        ("train#spatial#transforms#9#prob: 1\n", "'train#spatial#transforms#9#prob', which the configuration", ""),
        ("size: [3, 3]\npatch_size: '@size_of_patch'\n", "'size', to which nothing in the configuration refers", ""),
        ("validate#evaluator#arguments: 1\n", "'validate#evaluator#arguments', which the configuration does not", ""),
    ],
)
def test_entries_that_would_change_nothing_are_refused(content, cause, cure, tmp_path):
    """Else a slip of the pen trains for hours on the bundle's own value."""
    told = refusal(content, tmp_path=tmp_path)
    assert f"part.yaml sets {cause}" in told
    assert told.startswith("E103 ")
    assert cure in told


@pytest.mark.parametrize(
    ("role", "content", "named"),
    [
        ("dataset", "run_folder#path: '/tmp'\n", "'run_folder#path', which a dataset may not"),
        ("dataset", "seed: 3\n", "'seed', which a dataset may not"),
        ("method", "method_name: mine\nstages: []\npatch_size: [8, 8]\n", "'patch_size', which a method may not"),
        ("method", "method_name: mine\nstages: []\nseed: 3\n", "'seed', which a method may not"),
        ("recipe", "recipe_name: mine\nlabel_names: [a, b]\n", "'label_names', which a recipe may not"),
        ("recipe", "recipe_name: mine\ntrain#trainer#seed: 1\n", "'train#trainer#seed', which a recipe may not"),
    ],
)
def test_a_part_keeps_to_its_business(role, content, named, tmp_path):
    told = refusal(content, role=role, tmp_path=tmp_path)
    assert told.startswith("E109 ")
    assert f"part.yaml sets {named}. It may set " in told


@pytest.mark.parametrize(
    "content",
    [
        "label_names: [a, b]\ndataset_name: mine\n",
        "own: 3\nwidth: '@own'\n",
        "own_def: {_target_: torch.nn.Identity}\nnetwork_def: '%own_def'\n",
        "train#intensity: null\n+train#spatial#transforms: []\n",
        "validate#inferer#new_argument: 1\n",
        '{"steps": 3}',
    ],
)
def test_entries_that_something_refers_to_are_taken(content, tmp_path):
    (tmp_path / "data.yaml").write_text(content)
    files = compose("acdc", "sdcl", dataset=tmp_path / "data.yaml").config_files
    assert files[3] == tmp_path / "data.yaml"


@pytest.mark.parametrize(
    ("method", "recipe", "key"),
    [
        ("supervised", "default", "teachers"),  # of SDCL, acdc's own method
        ("supervised", "default", "partner_def#widths"),
        ("supervised", "default", "pretraining_schedule#warmup"),
        ("sdcl", "published", "learning_rate"),  # the paper has its own
        ("sdcl", "default", "paper#margin"),
        ("supervised", "default", "image_files"),  # for inference.yaml
    ],
)
def test_a_setting_without_effect_is_refused(method, recipe, key):
    with pytest.raises(UserError, match=rf"E103 .*{key}"):
        compose("acdc", method, recipe, overrides={key: 1}).workflow()


@pytest.mark.parametrize("recipe", known("recipe"))
@pytest.mark.parametrize(
    ("bundle", "content"),
    [
        (
            "left_atrium",
            "jitter: 0.2\ntrain#intensity: {_target_: monai.transforms.RandGaussianNoised, std: '@jitter'}\n",
        ),
        ("acdc", "warm: 9\nschedule: {_target_: mednoisy.engines.learning_rates.Polynomial, warmup: '@warm'}\n"),
        ("acdc", "decay: 0.1\noptimiser: {_target_: torch.optim.AdamW, _mode_: callable, weight_decay: '@decay'}\n"),
        ("left_atrium", "network_def: {_target_: torch.nn.Identity}\n"),  # which leaves head_dropout without a use
    ],
)
def test_a_dataset_is_taken_whatever_the_recipe_puts_in_the_place_of_its_entries(bundle, content, recipe, tmp_path):
    (tmp_path / "data.yaml").write_text(content)
    compose(bundle, "supervised", recipe, dataset=tmp_path / "data.yaml")


def test_a_variant_may_have_stages_of_its_own(tmp_path):
    """Which leaves what it is a variant of with entries that nothing refers to."""
    (tmp_path / "mine.yaml").write_text("base: sdcl\nmethod_name: mine\nstages: []\n")
    compose("acdc", str(tmp_path / "mine.yaml"))


@pytest.mark.parametrize(
    ("content", "refused"),
    [
        ("teachers: each\nwidth: '@teachers'\n", "part.yaml brings an entry 'teachers', which"),
        ("about: {kind: volumes, method: bcp}\n", "part.yaml sets 'about', which only a page may"),
    ],
)
def test_a_dataset_keeps_out_of_the_methods_and_the_pages_business(content, refused, tmp_path):
    (tmp_path / "part.yaml").write_text(content)
    with pytest.raises(UserError, match="E109") as told:
        compose("acdc", "sdcl", dataset=tmp_path / "part.yaml")
    assert refused in str(told.value)


@pytest.mark.parametrize("variant", ["sdcl_plain", "offline_labels"])
@pytest.mark.parametrize("bundle", known("bundle"))
def test_a_variant_without_what_it_varies_fails_in_monai(bundle, variant):
    """Else `monai.bundle run` on a rendered train.yaml and the variant alone would train something else by its name."""
    base = {"sdcl_plain": "sdcl", "offline_labels": "online_labels"}[variant]
    if about(bundles_folder() / bundle)["method"] == base:
        return
    paths = [bundles_folder() / bundle / "configs" / "train.yaml", bundles_folder() / "methods" / f"{variant}.yaml"]

    def methods() -> list[Any]:
        parser = ConfigParser(ConfigParser.load_config_files([str(path) for path in paths]))
        return [stage.method() for stage in parser.get_parsed_content("stages")]

    with pytest.raises((KeyError, IndexError, RuntimeError, TypeError)), torch.device("meta"):
        methods()


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("network_def#widht", "Did you mean 'network_def#widths'?"),
        ("train#trainer#max_epoch", "Did you mean 'train#trainer#max_epochs'?"),
        ("rounds", "It is an entry of noisy_student"),
        ("deeplab_def", "It is an entry of body_skin, dermoscopy"),
        ("widht", "Did you mean 'width'?"),
    ],
)
def test_a_setting_that_names_no_entry_is_told_the_nearest_or_whose_it_is(key, told):
    with pytest.raises(UserError) as refused:
        compose("acdc", "supervised", overrides={key: 1}).check_overrides()
    assert f"E103 the configuration has no entry {key!r}. {told}" in str(refused.value)


def test_a_setting_without_effect_is_told_method_and_recipe():
    with pytest.raises(UserError, match="of method 'supervised' and recipe 'published', refers to 'learning_rate'"):
        compose("dermoscopy", "supervised", "published", overrides={"learning_rate": 0.1}).check_overrides()


def test_a_setting_with_effect_is_taken():
    parser = compose("acdc", "sdcl", overrides={"teachers": "each", "learning_rate": 0.1}).workflow().parser
    assert (parser["teachers"], parser["learning_rate"]) == ("each", 0.1)


def test_a_method_that_is_a_variant_of_itself_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text(f"base: {tmp_path / 'b.yaml'}\n")
    (tmp_path / "b.yaml").write_text(f"base: {tmp_path / 'a.yaml'}\n")
    with pytest.raises(UserError, match=r"E108 .*a\.yaml is a variant of itself"):
        compose("acdc", str(tmp_path / "a.yaml"))


def test_a_page_tells_its_kind_and_method(tmp_path):
    (tmp_path / "dataset.yaml").write_text("about: {kind: volumes}\n")
    with pytest.raises(UserError, match=r"E108 .*`about` lacks method"):
        about(tmp_path)


def test_what_is_reachable():
    """A network that is built and not used is not."""
    config = {"run": ["@a#x"], "a": {"x": "$@b + 1"}, "b": 1, "c": "@b", "n_def": 2, "initialize": ["$@n_def", "$@d"]}
    config["d"] = None
    assert reachable(config) == {"run", "a", "b", "d", "initialize"}
    assert reachable(config, ["c"]) == {"c", "b"}
