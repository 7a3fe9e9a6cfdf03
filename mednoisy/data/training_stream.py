"""The training stream: step n of a stage gives the same batch on any worker, rank count or restart.

Crops are cut and changes drawn, as numbers, where batches are loaded; `augmented` makes them where the batch is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from mednoisy.data.batch import Augmentations, Batch, Drawn
from mednoisy.data.cached_cases import AllImages, CachedCases
from mednoisy.data.counter_based_random import Draw
from mednoisy.data.crops import crop_starts, looked_at, padded, starts_that_see, window_at
from mednoisy.data.partial_labels import PARTIAL
from mednoisy.errors import UserError

CURES = {  # by section and how many cases it has; of more, a smaller batch takes few enough
    ("unlabeled", 0): "Lower --labeled so that some are left, or take --method supervised",
    ("labeled", 1): "Raise --labeled, or take --method supervised with --set batch_size=1",
}


@runtime_checkable
class Drawing(Protocol):
    """What is drawn as numbers for one crop of `shape` (C, *S); `check` refuses shapes that cannot be changed."""

    def check(self, shape: Sequence[int]) -> None: ...

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> Drawn: ...


class Geometry(Drawing, Protocol):
    """Changes of geometry of a batch (B, C, *S) and its labels (B, *S), such as `mednoisy.perturb.Geometry`."""

    def apply(self, images: Tensor, labels: Tensor | None, drawn: Sequence[Drawn]) -> tuple[Tensor, Tensor | None]: ...


class Intensity(Drawing, Protocol):
    """Changes of intensity of a batch (B, C, *S), such as `mednoisy.perturb.Intensity`."""

    def apply(self, images: Tensor, drawn: Sequence[Drawn]) -> Tensor: ...


def shuffled(draw: Draw, cases: int, per_step: int) -> int:
    """The case of a draw: every case once per epoch, in an order that is new in each epoch."""
    epoch, position = divmod(draw.number, cases)
    order = Draw(draw.seed, f"{draw.stream}/order", epoch).generator().permutation(cases)
    return int(order[position])


@dataclass(frozen=True)
class ListedPairs:
    """The order of SDCL's loaders: half a batch runs the list forwards, the other half backwards, unshuffled.

    So labeled case i is always mixed with case n - 1 - i. The order of the released code, not of the paper.

    Attributes:
        epoch: entries after which both halves start again from the ends of the list.
    """

    epoch: int

    def __call__(self, draw: Draw, cases: int, per_step: int) -> int:
        step, slot = divmod(draw.number, per_step)
        half = max(1, per_step // 2)
        position = (step * half + slot % half) % self.epoch % cases
        return position if slot < half else cases - 1 - position


def check_chain(name: str, chain: Any, patch_size: Sequence[int]) -> None:
    """Refuse what is no chain of augmentations, or none for crops of this size (`name`: of the entry in `train`).

    Raises:
        UserError: E229; what the chain refuses crops of this size for.
    """
    if not isinstance(chain, Drawing):
        raise UserError(
            "E229",
            f"train#{name} is of the class {type(chain).__qualname__}, which does not draw numbers for a batch",
            "Use mednoisy.perturb.augmentation.Geometry in train#spatial, Intensity in train#intensity, or null",
        )
    chain.check((1, *patch_size))


class TrainingStream:
    """Numbered draws of labeled and unlabeled crops, assembled into batches by step number.

    Args:
        labeled: cached cases with labels.
        unlabeled: cached cases without; may be empty or None where no method asks for them.
        patch_size: crop size in voxels, one entry an axis; smaller volumes are padded.
        spatial: changes of geometry, of images and labels; both views of an unlabeled crop share them.
        intensity: changes of intensity; the weak view of an unlabeled crop stays without them.
        order: (draw, number of cases, draws a step) -> index of the case.
        published_margin: see `padded`; with a number crops never take the last position, either. A labeled crop that
            would hold nothing that somebody looked at is drawn again, see `starts_that_see`.
        beyond: what smaller images are padded with, one number a channel; None: 0. Labels are padded with 0.
        repeated: whether labeled crops of a step may be of the same case, where there are fewer cases than crops; of
            both sections where it is "all".
        partly_unlabeled: whether labeled cases (of networks in 2D, slices) with voxels that nobody looked at are drawn
            among the unlabeled ones, too, behind these and without their labels. Where there are none of them nothing
            changes.
        seed: all randomness comes from (seed, stage and section, draw number).

    Raises:
        UserError: what `check_chain` refuses.
    """

    def __init__(
        self,
        labeled: CachedCases,
        unlabeled: CachedCases | None,
        patch_size: Sequence[int],
        spatial: Geometry | None = None,
        intensity: Intensity | None = None,
        order: Callable[[Draw, int, int], int] = shuffled,
        published_margin: int | None = None,
        repeated: bool | str = False,
        beyond: Sequence[float] | None = None,
        partly_unlabeled: bool = False,
        seed: int = 0,
    ):
        for name, chain in (("spatial", spatial), ("intensity", intensity)):
            if chain is not None:
                check_chain(name, chain, patch_size)
        self.labeled, self.listed_unlabeled = labeled, unlabeled
        self.unlabeled: CachedCases | AllImages | None = unlabeled
        if partly_unlabeled and unlabeled is not None and labeled.partly_labeled:
            self.unlabeled = AllImages([unlabeled, labeled.partly_looked_at()], words="unlabeled or labeled in part")
        self.patch_size = tuple(int(side) for side in patch_size)
        self.spatial, self.intensity, self.order = spatial, intensity, order
        self.published_margin, self.repeated, self.beyond, self.seed = published_margin, repeated, beyond, seed

    @property
    def summary(self) -> str:
        """How many cases there are and what RAM they take, for the log."""
        sections = [cases for cases in (self.labeled, self.listed_unlabeled) if cases is not None]
        counts = f"{len(self.labeled)} labeled and {len(self.listed_unlabeled or ())} unlabeled cases"
        if self.unlabeled is not self.listed_unlabeled:
            both = len(self.unlabeled or ()) - len(self.listed_unlabeled or ())
            counts += f" ({both} of the labeled ones are drawn without their labels, too, where nobody looked)"
        return f"{counts} in {sum(cases.nbytes for cases in sections) / 1e9:.2f} GB of RAM"

    def check(self, labeled: int, unlabeled: int) -> None:
        """Refuse a stage that draws more cases than there are (`labeled`, `unlabeled`: draws a step, all ranks).

        Raises:
            UserError: E220.
        """
        for section, needed, cases in (
            ("labeled", labeled, self.labeled),
            ("unlabeled", unlabeled, self.unlabeled or ()),
        ):
            least = min(needed, 1) if self.repeated == "all" or (self.repeated and section == "labeled") else needed
            if isinstance(cases, AllImages) and least > len(cases):
                cause = f"a step draws {needed} crops from different cases, {cases.words}, and there are {len(cases)}"
                raise UserError("E220", cause, "Add cases or lower batch_size (--set batch_size=N)")
            if least > len(cases):
                raise UserError(
                    "E220",
                    f"a step draws {needed} {section} crops from different cases, section {section!r} has {len(cases)}",
                    CURES.get((section, len(cases)), "Add cases or lower batch_size (--set batch_size=N)"),
                )

    def batch(self, stage: str, step: int, labeled: int, unlabeled: int, rank: int = 0, ranks: int = 1) -> Batch:
        """The crops of one step and what is to be done to them: rank r of w takes the draws whose number is r modulo w.

        Args:
            labeled, unlabeled: draws of each section in this rank's batch.
        """
        with_labels = [
            self._sample(self.labeled, Draw(self.seed, f"{stage}/labeled", number), labeled * ranks)
            for number in _numbers(step, labeled, rank, ranks)
        ]
        without = [
            self._sample(self.unlabeled, Draw(self.seed, f"{stage}/unlabeled", number), unlabeled * ranks)
            for number in _numbers(step, unlabeled, rank, ranks)
        ]
        both = [*with_labels, *without]
        images = _stack([sample["image"] for sample in without], like=both)
        labeled_images = _stack([sample["image"] for sample in with_labels], like=both)
        labels = [sample["label"] for sample in with_labels]
        return Batch(
            labeled=labeled_images,
            labels=torch.stack(labels) if labels else torch.zeros((0, *self.patch_size), dtype=torch.uint8),
            unlabeled=images,
            unlabeled_weak=images,
            labeled_ids=[sample["id"] for sample in with_labels],
            unlabeled_ids=[sample["id"] for sample in without],
            drawn=Augmentations([sample["spatial"] for sample in both], [sample["intensity"] for sample in both]),
        )

    def augmented(self, batch: Batch) -> Batch:
        """The batch after what was drawn for it, on the device where it is, in 32 bits."""
        if batch.drawn is None:
            return batch
        with torch.autocast(batch.labeled.device.type, enabled=False):
            return self._changed(batch, batch.drawn)

    def _changed(self, batch: Batch, drawn: Augmentations) -> Batch:
        count = len(batch.labeled)
        labeled, unlabeled, labels = batch.labeled, batch.unlabeled, batch.labels
        if self.spatial is not None:
            if count:
                labeled, moved = self.spatial.apply(labeled, labels, drawn.spatial[:count])
                assert moved is not None
                labels = moved
            unlabeled, _ = self.spatial.apply(unlabeled, None, drawn.spatial[count:])
        weak = unlabeled
        if self.intensity is not None:
            labeled = self.intensity.apply(labeled, drawn.intensity[:count]) if count else labeled
            unlabeled = self.intensity.apply(unlabeled, drawn.intensity[count:])
        labels = labels.to(PARTIAL) if self.labeled.partly_labeled else labels.long()
        return Batch(labeled, labels, unlabeled, weak, batch.labeled_ids, batch.unlabeled_ids)

    def _sample(self, cases: CachedCases | AllImages | None, draw: Draw, per_step: int) -> dict[str, Any]:
        assert cases is not None  # `check` ran before any draw
        case = cases[self.order(draw, len(cases), per_step)]
        arrays = {"image": case["image"]}
        if "label" in case:
            arrays["label"] = case["label"][None]
        arrays = {
            key: padded(array, self.patch_size, self.published_margin, self.beyond if key == "image" else None)
            for key, array in arrays.items()
        }
        starts = crop_starts(
            arrays["image"].shape[1:], self.patch_size, draw.generator("crop"), self.published_margin is not None
        )
        window = window_at(starts, self.patch_size)
        if "label" in arrays and self.labeled.partly_labeled:
            window = self._seeing(arrays["label"], window, draw)
        sample = {"id": case["id"], "image": arrays["image"][window]}
        if "label" in arrays:
            sample["label"] = arrays["label"][window][0]
        for name, chain in (("spatial", self.spatial), ("intensity", self.intensity)):
            sample[name] = () if chain is None else chain.draw(draw.generator(name), sample["image"].shape)
        return sample

    def _seeing(self, label: Tensor, window: tuple[slice, ...], draw: Draw) -> tuple[slice, ...]:
        """The window, or another one where it shows nothing that somebody looked at and the case has something."""
        if looked_at(label[window]) or not looked_at(label):
            return window
        return window_at(starts_that_see(label[0], self.patch_size, draw), self.patch_size)


def _numbers(step: int, per_rank: int, rank: int, ranks: int) -> range:
    first = step * per_rank * ranks
    return range(first + rank, first + per_rank * ranks, ranks)


def _stack(crops: list[Tensor], like: list[dict[str, Any]]) -> Tensor:
    return torch.stack(crops) if crops else like[0]["image"].new_zeros((0, *like[0]["image"].shape))
