"""Colorization: one step worked out by hand, what each network sees, and which pictures are no colours."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from monai.networks.nets import PatchDiscriminator
from torch import nn

from mednoisy.data.batch import Batch
from mednoisy.engines.student_optimisers import StudentOptimisers
from mednoisy.errors import UserError
from mednoisy.methods.colorization import Colorization
from mednoisy.networks.deeplab import DeepLabV3, DeepLabV3Plus
from mednoisy.networks.fpn import FPN
from mednoisy.networks.unet import UNet
from mednoisy.networks.vnet import VNet
from tests.methods.small import step_at

IMAGENET = {"mean": (123.675, 116.28, 103.53), "deviation": (58.395, 57.12, 57.375)}


class Pixels(nn.Module):
    """A network of four numbers and their biases: one feature, then a head."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(3, 1, 1, bias=False)
        self.head = nn.Conv2d(1, 2, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(image))


def of_images(images: torch.Tensor) -> Batch:
    return Batch(images[:0], torch.zeros(0, *images.shape[2:]), images, images)


def pictures(count: int = 2, side: int = 16) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


def unet() -> UNet:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return UNet(2, 3, 2, widths=(2, 4), dropout=(0.0, 0.0))


def filled(convolution: nn.Conv2d, weights: list[float], biases: list[float] | None = None) -> None:
    with torch.no_grad():
        convolution.weight.copy_(torch.tensor(weights).reshape(convolution.weight.shape))
        if biases is not None:
            convolution.bias.copy_(torch.tensor(biases))


COLOUR, A, B, E = (0.6, -0.2, 0.1), (0.5, -0.7, 1.1), (0.1, 0.2, -0.3), 0.8
D, K = (0.4, -0.3, 0.2, 0.05, 0.1, -0.15), 0.25


def by_hand() -> Colorization:
    """On one flat picture: features E gray, colours tanh(A times that + B), score sigmoid(D . (colours, gray) + K)."""
    method = Colorization({"student": Pixels()}, discriminator=partial(nn.Conv2d, 6, 1, 1))
    filled(method.students["student"].encoder, [E, 0.0, 0.0])
    filled(method.students["student"].head, list(A), list(B))
    filled(method.students["discriminator"], list(D), [K])
    return method


def score(colour: tuple[float, ...], gray: float) -> float:
    return 1 / (1 + math.exp(-sum(d * x for d, x in zip(D, (*colour, gray, gray, gray), strict=True)) - K))


GRAY = 0.299 * 0.6 - 0.587 * 0.2 + 0.114 * 0.1
MADE = tuple(math.tanh(a * E * GRAY + b) for a, b in zip(A, B, strict=True))
FAKE, REAL = score(MADE, GRAY), score(COLOUR, GRAY)
FLAT = torch.tensor(COLOUR).reshape(1, 3, 1, 1).expand(1, 3, 4, 4).contiguous()


def test_the_terms_of_one_step_by_hand():
    terms = by_hand()(of_images(FLAT), step_at())
    assert list(terms) == ["student", "discriminator"]
    gap = sum(abs(m - c) for m, c in zip(MADE, COLOUR, strict=True)) / 3
    wanted = {"reconstruction": (1.0, gap), "adversarial": (1.0, (FAKE - 1) ** 2)}
    found = {name: (weight, value.item()) for name, (weight, value) in terms["student"].items()}
    assert found == {name: pytest.approx(each, abs=1e-6) for name, each in wanted.items()}
    judging = {
        "adversarial": (1.0, ((REAL - 1) ** 2 + FAKE**2) / 2),
        "score_of_real": (0.0, REAL),
        "score_of_generated": (0.0, FAKE),
    }
    found = {name: (weight, value.item()) for name, (weight, value) in terms["discriminator"].items()}
    assert found == {name: pytest.approx(each, abs=1e-6) for name, each in judging.items()}


def test_the_gradients_of_one_step_by_hand():
    """The chain rule on paper; neither student gets anything of the other's loss."""
    method = by_hand()
    optimisers = StudentOptimisers(method, torch.optim.SGD)
    optimisers.backward({name: each.total() for name, each in method(of_images(FLAT), step_at()).items()})
    slope = 2 * (FAKE - 1) * FAKE * (1 - FAKE)
    at_output = [
        (1 - m * m) * (math.copysign(1, m - c) / 3 + slope * d) for m, c, d in zip(MADE, COLOUR, D[:3], strict=True)
    ]
    head = method.students["student"].head
    assert head.bias.grad.tolist() == pytest.approx(at_output, abs=1e-6)
    assert head.weight.grad.flatten().tolist() == pytest.approx([E * GRAY * g for g in at_output], abs=1e-6)
    feature = sum(a * g for a, g in zip(A, at_output, strict=True))
    encoder = method.students["student"].encoder.weight.grad.flatten().tolist()
    assert encoder == pytest.approx([GRAY * feature] * 3, abs=1e-6)
    of_real, of_fake = (REAL - 1) * REAL * (1 - REAL), FAKE * FAKE * (1 - FAKE)
    critic = method.students["discriminator"]
    assert critic.bias.grad.item() == pytest.approx(of_real + of_fake, abs=1e-6)
    pairs = zip((*COLOUR, GRAY, GRAY, GRAY), (*MADE, GRAY, GRAY, GRAY), strict=True)
    wanted = [of_real * real + of_fake * made for real, made in pairs]
    assert critic.weight.grad.flatten().tolist() == pytest.approx(wanted, abs=1e-6)


def test_the_first_step_moves_each_number_by_the_rate():
    """Adam's first step is the rate against the gradient's sign; generator and discriminator each have their own."""
    method = Colorization({"student": Pixels()}, discriminator=partial(nn.Conv2d, 6, 1, 1), discriminator_rate=8e-4)
    before = {name: value.clone() for name, value in method.named_parameters()}
    optimisers = StudentOptimisers(method, partial(torch.optim.SGD, lr=1.0))
    totals = {name: each.total() for name, each in method(of_images(FLAT), step_at()).items()}
    optimisers.backward(totals)
    optimisers.apply(totals)
    for name, value in method.named_parameters():
        rate = 8e-4 if "discriminator" in name else 2e-4
        assert (value - before[name]).abs().max().item() == pytest.approx(rate, rel=1e-3), name
    made = method.optimiser("student")([nn.Parameter(torch.zeros(1))])
    assert (made.defaults["lr"], made.defaults["betas"]) == (2e-4, (0.5, 0.999))


def test_a_loss_sensitive_step_by_hand():
    method = by_hand()
    method.adversarial = "loss_sensitive"
    terms = method(of_images(FLAT), step_at())
    gap = sum(abs(m - c) for m, c in zip(MADE, COLOUR, strict=True)) / 3
    assert terms["student"]["adversarial"][1].item() == pytest.approx(1 - FAKE, abs=1e-6)
    wanted = (1 - REAL) + max(0.0, gap + FAKE - REAL)
    assert terms["discriminator"]["adversarial"][1].item() == pytest.approx(wanted, abs=1e-6)


def test_the_network_sees_gray_alone_as_it_would_see_a_gray_picture():
    """Whatever the normalisation: pictures of equal luma give equal inputs, those of a gray picture."""
    method = Colorization({"student": unet()}, **IMAGENET)
    seen = []
    method.students["student"].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    levels = torch.tensor([200.0, 100.0, 50.0])
    luma = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    mean, deviation = (torch.tensor(IMAGENET[name])[:, None, None] for name in ("mean", "deviation"))
    coloured = (levels[:, None, None].expand(3, 16, 16) - mean) / deviation
    method(of_images(coloured[None].repeat(2, 1, 1, 1)), step_at())
    wanted = (luma - mean) / deviation
    torch.testing.assert_close(seen[0], wanted.expand(2, 3, 16, 16), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "network",
    [
        unet,
        partial(DeepLabV3, encoder="resnet18"),
        partial(DeepLabV3Plus, encoder="resnet18"),
        partial(FPN, encoder="densenet121"),
    ],
)
@pytest.mark.parametrize("size", [(64, 64), (66, 36)])
def test_colours_are_at_a_quarter_in_minus_one_to_one(network, size):
    made = network()
    size = size if not isinstance(made, UNet) else (64, 32)
    method = Colorization({"student": made}, **IMAGENET).eval()
    shown = method.example(torch.randn(2, 3, *size), step_at().draw)
    quarter = tuple(-(-side // 4) for side in size)
    assert {name: tuple(image.shape) for name, image in shown.items()} == {
        "gray": (2, 1, *quarter),
        "generated": (2, 3, *quarter),
        "real": (2, 3, *quarter),
    }
    assert shown["generated"].abs().max() < 1


def test_a_deeplab_colours_by_its_own_map_at_stride_4():
    """513 x 513 would be 129 x 129; no pixel is interpolated up and averaged down again."""
    network = DeepLabV3Plus(encoder="resnet18")
    method = Colorization({"student": network}).eval()
    image = pictures(1, 33)
    student = method.students["student"]
    gray = method.example(image, step_at().draw)["gray"]
    assert gray.shape[2:] == (9, 9)
    luma = (image * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(dim=1, keepdim=True).expand(1, 3, 33, 33)
    with torch.no_grad():
        wanted = student.coarse_logits(luma).tanh()
    torch.testing.assert_close(method.example(image, step_at().draw)["generated"], wanted, atol=1e-5, rtol=1e-5)


def test_each_generator_has_a_discriminator_and_the_networks_stay():
    a, b = unet(), Pixels()
    method = Colorization({"a": a, "b": b})
    assert list(method.students) == ["a", "b", "discriminator_a", "discriminator_b"]
    assert list(method.networks) == ["a", "b"]
    assert method.predictors() == {}
    assert not {id(p) for p in (*a.parameters(), *b.parameters())} & {id(p) for p in method.parameters()}
    first, second = (method.students[f"discriminator_{name}"].scores.weight for name in "ab")
    assert not torch.equal(first, second)
    shown = method.eval().example(pictures(), step_at().draw)
    assert list(shown) == ["gray", "generated by a", "generated by b", "real"]


def test_discriminators_are_drawn_alike_whatever_the_global_generator_did():
    first = Colorization({"student": unet()}).students["discriminator"].state_dict()
    torch.rand(3)
    second = Colorization({"student": unet()}).students["discriminator"].state_dict()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_a_patch_discriminator_scores_places():
    """Each by itself without the sigmoid, where a picture has one score with it."""
    patch = partial(PatchDiscriminator, 2, 4, 6, num_layers_d=1)
    batch = of_images(pictures(2, 64))
    places = Colorization({"student": unet()}, discriminator=patch, sigmoid=False)
    whole = Colorization({"student": unet()}, discriminator=patch)
    gray, colours = torch.zeros(2, 1, 16, 16), torch.zeros(2, 3, 16, 16)
    assert places._scores("discriminator", colours, gray).shape[1:] == (1, 6, 6)
    assert whole._scores("discriminator", colours, gray).shape == (2,)
    for method in (places, whole):
        assert all(math.isfinite(each.total().item()) for each in method(batch, step_at()).values())


@pytest.mark.parametrize("adversarial", ["least_squares", "loss_sensitive"])
@pytest.mark.parametrize("spectral_norm", [False, True])
def test_some_steps_of_learning_colour_better(adversarial, spectral_norm):
    """A picture whose blue follows its brightness; all losses are finite."""
    gray = torch.linspace(-1, 1, 16).reshape(1, 1, 1, 16).expand(2, 1, 16, 16)
    batch = of_images(torch.cat([gray * 0.2, gray * 0.2, gray], dim=1))
    method = Colorization({"student": unet()}, adversarial=adversarial, spectral_norm=spectral_norm, learning_rate=0.02)
    optimisers = StudentOptimisers(method, torch.optim.SGD)
    gaps = []
    for _ in range(30):
        terms = method(batch, step_at())
        totals = {name: each.total() for name, each in terms.items()}
        optimisers.backward(totals)
        assert optimisers.any_not_finite(totals).item() == 0
        optimisers.apply(totals)
        gaps.append(terms["student"]["reconstruction"][1].item())
    assert gaps[-1] < 0.5 * gaps[0]


@pytest.mark.parametrize(
    ("network", "colours", "told"),
    [
        (
            partial(UNet, 2, 1, 2, widths=(2, 4), dropout=(0, 0)),
            IMAGENET,
            "and UNet takes images of 1 channel and 2 axes",
        ),
        (partial(VNet, 3, 3, 2, width=2), IMAGENET, "and VNet takes images of 3 channels and 3 axes"),
        (unet, {"mean": None, "deviation": None}, r"does not say how it normalises each \(colour_mean"),
        (unet, {"mean": (0.5,), "deviation": (0.5,)}, r"does not say how it normalises each \(colour_mean"),
    ],
)
def test_other_images_are_refused(network, colours, told):
    with pytest.raises(UserError, match=f"E538 colorization needs pictures of three colour channels, .*{told}"):
        Colorization({"student": network()}, **colours)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"adversarial": "hinge"}, "adversarial is 'hinge'; it must be one of least_squares, loss_sensitive"),
        ({"adversarial": "loss_sensitive", "sigmoid": False}, "needs scores in 0..1"),
        ({"discriminator": nn.Conv2d(6, 1, 1)}, "discriminator must make a network"),
        ({"discriminator": "patch"}, "discriminator must make a network"),
    ],
)
def test_other_options_are_refused(options, told):
    with pytest.raises(ValueError, match=told):
        Colorization({"student": unet()}, **options)


def cases(gray: int = 0, coloured: int = 5, side: int = 16) -> list[dict]:
    """Pictures as ImageNet's mean and deviation leave them; the first `gray` are gray."""
    mean, deviation = (torch.tensor(IMAGENET[name])[:, None, None] for name in ("mean", "deviation"))
    levels = (pictures(gray + coloured, side) + 1) * 127
    levels[:gray] = levels[:gray, :1]
    return [{"id": f"p{number}", "image": (each - mean) / deviation} for number, each in enumerate(levels)]


def colorization(**options: object) -> Colorization:
    return Colorization({"student": unet()}, **IMAGENET, **options)


def test_gray_pictures_are_refused_by_name_with_their_share():
    told = r"E539 5 of 8 pictures \(62.5 %: 'p0', 'p1', 'p2' and 2 more\) are gray .* --skip-gray"
    with pytest.raises(UserError, match=told):
        colorization().left_out(cases(gray=5, coloured=3), (16, 16))
    with pytest.raises(UserError, match=r"E539 1 of 6 pictures \(16.7 %: 'p0'\) is gray"):
        colorization().left_out(cases(gray=1), (16, 16))
    assert colorization().left_out(cases(), (16, 16)) == {}


def test_gray_pictures_are_left_out_where_they_may_be():
    """But not if nothing would be left."""
    assert colorization(skip_gray=True).left_out(cases(gray=2), (16, 16)) == {"p0": "gray", "p1": "gray"}
    with pytest.raises(UserError, match=r"E539 2 of 2 pictures .* Take --pretext restoration instead"):
        colorization(skip_gray=True).left_out(cases(gray=2, coloured=0), (16, 16))


@pytest.mark.parametrize(("levels", "gray"), [(1.0, True), (3.0, False)])
def test_a_level_between_channels_is_rounding_and_three_are_a_colour(levels, gray):
    (case,) = cases(gray=1, coloured=0)
    case["image"][2, 5, 5] += levels / IMAGENET["deviation"][2]
    assert colorization()._is_gray(case["image"]) == gray


def test_pictures_of_less_than_half_a_crop_are_refused():
    method = colorization()
    assert method.left_out(cases(side=16), (32, 32)) == {}
    told = r"E540 5 of 5 pictures .* are smaller than half a crop of 32x36 along an axis"
    with pytest.raises(UserError, match=told):
        method.left_out(cases(side=16), (32, 36))


def test_crops_too_small_for_the_discriminator_are_refused():
    with pytest.raises(UserError, match=r"E541 the discriminator cannot score colours and gray of 2x2 pixels"):
        colorization().left_out(cases(side=8), (8, 8))
    wrong = colorization(discriminator=partial(nn.Conv2d, 3, 1, 1))
    with pytest.raises(UserError, match=r"E541 .* quarter of a crop of 16x16: .*another discriminator of 6 channels"):
        wrong.left_out(cases(), (16, 16))


def rows(*losses: float, name: str = "discriminator") -> list[dict]:
    """A row every 20 steps, as read from a file."""
    return [{"step": str(20 * n + 20), f"{name}/adversarial": str(loss)} for n, loss in enumerate(losses)]


def test_a_discriminator_that_wins_is_told_once():
    """When its loss has been below 0.01 for 100 steps, and neither before nor after."""
    method = colorization()
    won = [0.2, 0.009, 0.008, 0.001, 0.0, 0.0, 0.0, 0.0]
    told = [method.remark(rows(*won[:count])) for count in range(1, len(won) + 1)]
    assert [line is not None for line in told] == [False] * 6 + [True, False]
    assert told[6].startswith("the discriminator wins outright: its loss has been below 0.01 for 100 steps")
    assert "--set pretexts#colorization#spectral_norm=true" in told[6]
    assert "--set pretexts#colorization#discriminator_rate=5e-05" in told[6]


@pytest.mark.parametrize("losses", [[0.2] * 9, [0.0, 0.0, 0.0, 0.02, 0.0, 0.0, 0.0, 0.0], [float("nan")] * 9])
def test_one_that_does_not_win_is_no_remark(losses):
    method = colorization()
    assert all(method.remark(rows(*losses[:count])) is None for count in range(len(losses) + 1))
