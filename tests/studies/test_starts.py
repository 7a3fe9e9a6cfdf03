"""What rows of a study start from: how it is named, told apart, and refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from mednoisy.composition.stacking import pretexts
from mednoisy.errors import UserError
from mednoisy.studies.rows import Row
from mednoisy.studies.starts import SCRATCH, Start, trains_partner, with_use
from mednoisy.studies.study import Study


def test_starts_are_read_from_texts():
    assert Start.parse("scratch") == SCRATCH
    assert not Start.parse("scratch")
    assert Start.parse("pretrained:weights/r 50.pth") == Start(file=Path("weights/r 50.pth"))
    assert [Start.parse(name).name for name in pretexts()] == pretexts()
    assert {"restoration", "masked_autoencoding", "contrastive"} <= set(pretexts())


@pytest.mark.parametrize("text", ["scratched", "", "pretrained:", "pretrained", "restauration", "Restoration"])
def test_what_is_no_start(text):
    with pytest.raises(UserError, match=r"E546 unknown start .*scratch") as refused:
        Start.parse(text)
    assert all(name in str(refused.value) for name in ("restoration", "pretrained:FILE"))


@pytest.mark.parametrize("name", ["scratch", "restoration"])
def test_a_file_that_would_be_called_as_another_start_is_none(name):
    """Else its rows would be taken for those from scratch, which all gains are measured against."""
    with pytest.raises(UserError, match=rf"E546 start 'pretrained:w/{name}.pth' would be called {name}, .* Rename"):
        Start.parse(f"pretrained:w/{name}.pth")


def test_a_file_is_told_by_what_is_in_it(tmp_path):
    """The same name elsewhere is the same start, other content under the same name is not."""
    for folder, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "w.pth").write_bytes(content)
    first, moved, other, gone = (Start(file=tmp_path / folder / "w.pth").definition for folder in "abcd")
    assert first == moved
    assert len({first, other, gone}) == 3
    assert first == "pretrained:w.pth 6b86b273ff34"  # the digest of "1" begins so


def test_rows_from_each_start():
    row = Row("sdcl", "strong", {"teachers": "each"})
    scratch, restored, filed = row.from_each(["scratch", "restoration", "pretrained:x/r50.pth"])
    assert (scratch.folder, scratch.title) == ("sdcl-strong-teachers=each", "sdcl teachers=each")
    assert restored.folder == "sdcl-strong-teachers=each-from-restoration"
    assert (restored.title, filed.title) == ("sdcl teachers=each from restoration", "sdcl teachers=each from r50")
    assert {each.group for each in (scratch, restored, filed)} == {"sdcl teachers=each, strong"}
    assert restored.definition == "sdcl:strong teachers='each' from restoration"
    assert scratch.definition == row.definition
    named = Row("sdcl", name="ours", starts=["restoration"]).from_each(["scratch"])
    assert [each.folder for each in named] == ["ours-from-restoration"]


def test_a_study_has_each_row_from_each_start():
    """The starts of a row are next to one another; its own win over the study's."""
    rows = ["supervised", Row("bcp", starts=["contrastive"])]
    study = Study("phantom", Path("d"), Path("o"), rows, [2], [0, 1], 8, starts=["scratch", "restoration"])
    assert [cell.name for cell in study.cells[:3]] == [
        "supervised-2-labeled-seed0",
        "supervised-from-restoration-2-labeled-seed0",
        "bcp-from-contrastive-2-labeled-seed0",
    ]
    assert len(study.cells) == 6
    assert study.steps_of_pretexts == 2


def test_second_networks_are_known_by_what_stages_name():
    """SDCL has two kinds of network; cross pseudo supervision two of one kind, unless that is changed."""
    for method, settings, pair in (
        ("supervised", {}, False),
        ("mean_teacher", {}, False),
        ("sdcl", {}, True),
        ("cps", {}, False),
        ("cps", {"network_def": "%unet_def"}, False),
        ("sdcl", {"partner_def": "%network_def"}, False),
    ):
        assert trains_partner("acdc", None, method, "default", settings) is pair, method


def test_entries_that_copy_one_another_are_told_when_the_configuration_is_read():
    settings = {"network_def": "%partner_def", "partner_def": "%network_def"}
    assert trains_partner("acdc", None, "sdcl", "default", settings) is False


def test_what_a_configuration_has_a_use_for():
    settings = {"teachers": "each", "width": 3, "no such entry": 1}
    assert with_use(settings, "phantom", None, "sdcl") == {"teachers": "each", "width": 3}
    assert with_use(settings, "phantom", None, "restoration") == {"width": 3}


def test_a_setting_may_be_part_of_what_one_before_it_sets():
    network = {"_target_": "mednoisy.networks.unet.UNet", "width": 4}
    settings = {"network_def": network, "network_def#width": 2}
    assert with_use(settings, "body_skin", None, "restoration") == settings
