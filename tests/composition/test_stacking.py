"""Which parts make a configuration, and what each of them may say."""

from __future__ import annotations

from pathlib import Path

import pytest
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


@pytest.mark.parametrize("bundle", known("bundle"))
@pytest.mark.parametrize("recipe", known("recipe"))
def test_parts_merge_as_monai_merges_them(bundle, recipe):
    """Whatever the method; texts aside, in which MONAI writes # as ::."""

    def in_monais_words(value):
        if isinstance(value, dict):
            return {key: in_monais_words(part) for key, part in value.items()}
        if isinstance(value, list):
            return [in_monais_words(part) for part in value]
        return value.translate(MONAI) if isinstance(value, str) else value

    for method in known("method"):
        stack = stacked(bundles_folder() / bundle, method, recipe)
        theirs = ConfigParser.load_config_files([str(part.path) for part in stack.parts])
        assert in_monais_words(stack.config) == in_monais_words(theirs), method


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
    ],
)
def test_a_setting_without_effect_is_refused(method, recipe, key):
    with pytest.raises(UserError, match=rf"E103 .*{key}"):
        compose("acdc", method, recipe, overrides={key: 1}).workflow()


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
