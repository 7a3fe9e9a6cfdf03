"""Label maps on the grid that the image came on, in memory or as files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from monai.data import MetaTensor
from monai.networks.utils import eval_mode
from monai.transforms import Compose, Invertd
from monai.utils import convert_to_tensor
from torch import Tensor, nn
from tqdm import tqdm

from mednoisy.data.images import image_name
from mednoisy.data.training_data import AS_READ, TrainingData
from mednoisy.errors import REFUSED, UserError, user_error_behind
from mednoisy.inference.label_map_files import label_file, write_labels
from mednoisy.inference.largest_component import kept_largest
from mednoisy.inference.pace import Pace
from mednoisy.inference.sliding_window import SlidingWindow, decide
from mednoisy.notices import tell_of_kind

Case = Mapping[str, str]


@dataclass(frozen=True)
class Prediction:
    """Label maps of one case on its source grid.

    Attributes:
        labels: (*spatial), uint8 class codes, by name of the predictor.
        affine: (4, 4), of the source file.
        confidence: (*spatial), float32 in 0..1, the probability of the chosen class (0 where preprocessing cropped), by
            name of the predictor; empty unless asked for.
    """

    labels: dict[str, np.ndarray]
    affine: np.ndarray
    confidence: dict[str, np.ndarray] = field(default_factory=dict)


def predict_case(
    case: Case | str | Path,
    predictors: Mapping[str, nn.Module],
    preprocessing: Compose,
    inferer: SlidingWindow,
    device: torch.device | str = "cpu",
    *,
    confidence: bool = False,
    progress: bool = False,
    trained_on: TrainingData | None = None,
    largest_of: Collection[int] = (),
    pace: Pace | None = None,
) -> Prediction:
    """The label maps of one case by each predictor, on the grid of its file.

    The scores, not the labels, are brought to that grid; then the class of the highest score is taken, and of each
    class the largest component where the inferer says so (`keep_largest`). What preprocessing cropped away becomes
    background.

    Args:
        case: an entry of a datalist (`id`, `image`), or the path of an image or of a folder with one DICOM series.
        predictors: networks on `device`, mapping images to logits; they run in evaluation mode.
        preprocessing: a bundle's deterministic chain, from `{"id": ..., "image": path}` to a mapping with
            `image` as a MetaTensor (C, *spatial). What its invertible transforms do is undone: resampling,
            turning, cropping, padding.
        inferer: how the network sees the image.
        confidence: whether to give the probability of the chosen class, too, also where its component was removed.
        progress: whether the windows of a long scan have a bar on a terminal.
        trained_on: what the network saw; how the case differs from it is told on stderr.
        largest_of: classes of which the largest component alone is kept, whatever the inferer says.
        pace: watches how long the windows take.

    Raises:
        UserError: the image cannot be read (E2xx).
        ValueError: preprocessing lost the source's geometry, or cannot be undone.
    """
    named = named_case(case)
    image = preprocessed(named, preprocessing)
    if trained_on is not None and AS_READ in image.meta:
        for kind, text in trained_on.differences(image.meta[AS_READ]).items():
            tell_of_kind(kind, f"image {text}", named["id"])
    with eval_mode(*predictors.values()):
        watch = None if pace is None else pace.of_next(image.shape[1:])
        inputs = image.as_tensor()[None].to(device)
        scores = inferer.scores_of_all(inputs, predictors, progress=progress, on_windows=watch)
    labels, confidences = {}, {}
    for name in list(scores):  # one at a time: at the source's resolution, scores may be large
        on_source = to_source_grid(scores.pop(name)[0].cpu(), image, preprocessing)
        decided = kept_largest(decide(on_source[None])[0], inferer.keep_largest)
        labels[name] = (kept_largest(decided, "full", largest_of) if largest_of else decided).numpy()
        if confidence:
            confidences[name] = on_source.amax(dim=0).clamp(0, 1).numpy()  # splines may leave the range
    return Prediction(labels, np.asarray(image.meta["original_affine"], dtype=np.float64), confidences)


def predict_files(
    cases: Sequence[Case],
    predictors: Mapping[str, nn.Module],
    preprocessing: Compose,
    inferer: SlidingWindow,
    output: Path | str | Mapping[str, Path],
    device: torch.device | str = "cpu",
    on_fault: Callable[[UserError], None] | None = None,
    trained_on: TrainingData | None = None,
    on_written: Callable[[Case, Mapping[str, Path]], None] | None = None,
    codes: Sequence[int] = (),
    largest_of: Collection[int] = (),
    pace: Pace | None = None,
) -> dict[str, dict[str, Path]]:
    """Write `output/PREDICTOR/ID.nii.gz` for each case, uint8 with the source's geometry; paths by id and predictor.

    A picture's label map is `ID.png`. Each file appears whole or not at all. A terminal shows the
    progress over cases and within a case. Arguments as in `predict_case`.

    Args:
        output: a folder for all predictors, or the folder of each by its name.
        on_fault: is given what a case is refused for, and the others go on; None: the first such case ends it.
        on_written: is given each case and its files, by predictor, once they are there.
        codes: the source's code of each class, which files carry in its place; none where these are the class codes.

    Raises:
        UserError: E207 two cases would share a file; else as `predict_case`.
    """
    named = [named_case(case) for case in cases]
    check_ids(named)
    written = {}
    for case in tqdm(named, desc="predict", unit="case", disable=None):
        try:
            prediction = predict_case(
                case, predictors, preprocessing, inferer, device,
                progress=True, trained_on=trained_on, largest_of=largest_of, pace=pace,
            )  # fmt: skip
        except UserError as fault:
            if on_fault is None or fault.exit_code != REFUSED:
                raise
            on_fault(fault)
            continue
        folders = output if isinstance(output, Mapping) else {name: Path(output) / name for name in predictors}
        paths = {name: label_file(folders[name], case["id"], case["image"]) for name in prediction.labels}
        for name, path in paths.items():
            write_labels(path, prediction.labels[name], prediction.affine, case["image"], codes)
        written[case["id"]] = paths
        if on_written is not None:
            on_written(case, paths)
    return written


def check_ids(cases: Sequence[Case]) -> None:
    """Refuse cases that would share a file (E207)."""
    twice = [name for name, count in Counter(case["id"] for case in cases).items() if count > 1]
    if twice:
        cause = "several cases have this id, and predictions are named by it"
        raise UserError("E207", cause, "Give each case an id of its own", case=twice[0])


def to_source_grid(scores: Tensor, image: MetaTensor, preprocessing: Compose) -> Tensor:
    """Scores (K, *spatial) of `image`, (C, *spatial), on the grid of the file that `preprocessing` made it from.

    Resampling is undone with the interpolation that the image had (means of the scores that a voxel covers in Spacedd;
    linear by default in MONAI's Spacingd, continued at the border, because its grid may end up to two voxels inside an
    oblique volume); cropping by 0 in every class.

    Raises:
        ValueError: the steps that `image` records do not lead back to the source's shape and affine.
    """
    missing = {"original_affine", "spatial_shape"} - image.meta.keys()
    if missing:
        raise ValueError(f"the image's metadata lacks {sorted(missing)}; preprocessing must keep what the reader gave")
    on_source = MetaTensor(scores, affine=image.affine)
    if image.applied_operations:
        # Not by the affines alone: they do not tell what was cropped away from what resampling left outside its grid.
        back = Invertd("scores", preprocessing, orig_keys="image", nearest_interp=False)
        on_source = back({"scores": on_source, "image": image})["scores"]
    shape, wanted = on_source.shape[1:], tuple(int(size) for size in np.asarray(image.meta["spatial_shape"]))
    if tuple(shape) != wanted or not np.allclose(on_source.affine, image.meta["original_affine"], atol=1e-3):
        raise ValueError(f"preprocessing cannot be undone: it leads back to {tuple(shape)} voxels, not to {wanted}")
    return convert_to_tensor(on_source, track_meta=False)


def preprocessed(case: Mapping[str, str], preprocessing: Compose) -> MetaTensor:
    """The image of a case as a network sees it, (C, *spatial), with what leads back to its file's grid.

    Args:
        case: with `id` and `image`; its label, where it has one, is not read.

    Raises:
        UserError: the image cannot be read (E2xx).
        ValueError: preprocessing lost the source's geometry.
    """
    try:
        image = preprocessing({"id": case["id"], "image": case["image"]})["image"]
    except RuntimeError as fault:  # MONAI's Compose wraps what its transforms raise
        of_user = user_error_behind(fault)
        if of_user is None:
            raise
        raise of_user from None
    if not isinstance(image, MetaTensor):
        raise ValueError("preprocessing gave a plain tensor; the source's geometry is needed to put labels back")
    return image


def named_case(case: Case | str | Path) -> dict[str, str]:
    """A case as id and image alone: its label, where it has one, is not to be read."""
    if isinstance(case, Mapping):
        return {"id": case["id"], "image": case["image"]}
    return {"id": image_name(case), "image": str(case)}
