"""What a run tells of a pretext as it learns: images that are left out, pictures, remarks."""

from __future__ import annotations

from collections import Counter

import torch

from mednoisy.data.counter_based_random import Draw
from mednoisy.data.stream_loader import StreamLoader
from mednoisy.data.training_stream import TrainingStream
from mednoisy.engines.pretext_examples import MOST, as_grid, drawn_examples, write_examples
from mednoisy.engines.pretext_stages import images_for
from mednoisy.engines.stages import Stage
from mednoisy.engines.training_state import TrainingState
from mednoisy.methods.pretext import Pretext
from mednoisy.notices import tell


def checked_images(loader: StreamLoader, stage: Stage, ranks: int) -> TrainingStream:
    """The stream of the images that a pretext learns from; how many are left out is told.

    Raises:
        UserError: E220, there are too few; what the pretext refuses, see `Pretext.left_out`.
    """
    with torch.random.fork_rng(devices=[]):
        method = stage.method()
    images, left_out = images_for(loader, method)
    images.stream.check(0, stage.images * ranks)
    total = len(images.stream.unlabeled or ()) + len(left_out)
    for reason, number in Counter(left_out.values()).items():
        share = f"{number} of {total} images ({100 * number / total:.3g} %)"
        tell(f"{share} are {reason} and take no part in the pretext {stage.name}")
    return images.stream


def show_examples(training: TrainingState, stream: TrainingStream, seed: int, *, ends: bool) -> None:
    """Pictures of a pretext for TensorBoard, of some crops as they are cut; at its end files of the run, too."""
    method, stage = training.method, training.current.stage.name
    if not isinstance(method, Pretext) or training.rank:
        return
    batch = stream.batch(f"{stage}/examples", 0, 0, min(MOST, len(stream.unlabeled or ())))
    images = batch.unlabeled.to(training.device, memory_format=training.image_format)
    drawn = drawn_examples(method, images, Draw(seed, f"{stage}/examples", 0))
    training.progress.picture(training.step, f"pretext/{stage}", as_grid(drawn))
    if ends:
        write_examples(training.run_folder.path, stage, drawn, batch.unlabeled_ids)


def tell_remark(training: TrainingState) -> None:
    """Tell what a pretext has to say of the row of progress that this step has ended, if it has ended one."""
    rows = training.progress.rows
    if not isinstance(training.method, Pretext) or not rows or int(rows[-1]["step"]) != training.step:
        return
    stage = training.current.stage.name
    if line := training.method.remark([row for row in rows if row["stage"] == stage]):
        tell(line)
