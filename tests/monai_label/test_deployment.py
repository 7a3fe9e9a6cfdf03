"""Which network serves."""

from __future__ import annotations

import pytest

from mednoisy.cli import main
from mednoisy.errors import UserError
from mednoisy.monai_label import deployment
from mednoisy.monai_label.deployment import Deployed, Figure, consider, take_back


@pytest.fixture
def figures(monkeypatch) -> dict[str, Figure]:
    """What each round has reached, by its number."""
    reached: dict[str, Figure] = {}
    monkeypatch.setattr(deployment, "figure_of", lambda run: reached[run.parent.name])
    return reached


def dice(**studies: float) -> Figure:
    return Figure(sum(studies.values()) / len(studies), studies)


NO_FIGURE = Figure(None, {})


def test_a_worse_network_never_takes_over_and_an_equal_one_does(place, figures):
    figures.update(
        {"1": NO_FIGURE, "2": dice(a=0.5, b=0.7), "3": dice(a=0.5, b=0.6, c=0.99), "4": dice(a=0.6, b=0.6, c=0.1)}
    )
    assert consider(place, 1)[1]
    assert (
        Deployed.read(place).reason
        == "round 1 serves, the first network: no figure: a single label leaves none to compare with"
    )
    assert consider(place, 2)[1]
    assert not consider(place, 3)[1]  # c was not held out of round 2
    assert Deployed.read(place).round == 2
    assert (
        "round 2 stays: round 3 reached Dice 55.0 % against 60.0 % on 2 studies held out of both"
        in Deployed.read(place).reason
    )
    assert consider(place, 4)[1]
    assert Deployed.read(place).previous == (1, 2)


def test_figures_of_a_label_that_was_corrected_are_not_compared(place, figures):
    """The network before was scored against the label as it was then, which may have been its own prediction."""
    figures.update({"1": dice(a=0.99, b=0.5), "2": dice(a=0.6, b=0.6)})
    for number, label in (("1", b"as it was"), ("2", b"corrected")):
        labels = place.of_round(int(number)) / "data" / "labels"
        labels.mkdir(parents=True)
        (labels / "a.nii.gz").write_bytes(label)
        (labels / "b.nii.gz").write_bytes(b"the same")
    consider(place, 1)
    assert consider(place, 2)[1]
    assert "Dice 60.0 % against 50.0 % on 1 studies held out of both" in Deployed.read(place).reason


def test_a_network_without_a_figure_does_not_replace_one_with(place, figures):
    figures.update({"1": dice(a=0.2), "2": NO_FIGURE})
    consider(place, 1)
    assert consider(place, 2) == (
        Deployed(1, (), "round 1 stays: of round 2 there is no figure: a single label leaves none to compare with"),
        False,
    )


def test_considering_twice_changes_nothing(place, figures):
    """A process that was killed after the swap comes here again."""
    figures["1"] = dice(a=0.2)
    first = consider(place, 1)
    assert consider(place, 1) == first


def test_one_command_takes_the_network_before_back(place, figures, capsys):
    figures.update({"1": dice(a=0.2), "2": dice(a=0.3)})
    consider(place, 1)
    with pytest.raises(UserError, match=r"^E579 no network served before round 1"):
        raise_of_back(place)
    consider(place, 2)
    assert main(["label", "--studies", str(place.studies), "--back"]) == 0
    assert capsys.readouterr().out == "round 1 was taken back in place of round 2\n"
    assert Deployed.read(place) == Deployed(1, (), "round 1 was taken back in place of round 2")


def raise_of_back(place):
    if not Deployed.read(place).previous:
        take_back(place)
