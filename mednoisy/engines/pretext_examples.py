"""Pictures of what a pretext asks and what its network makes of it, written at the end of its stage."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from monai.networks.utils import eval_mode
from PIL import Image
from torch import Tensor

from mednoisy.data.counter_based_random import Draw
from mednoisy.engines.disk_full import writing
from mednoisy.files import write_text, written_aside
from mednoisy.methods.pretext import Pretext

FOLDER, LIST = "pretext", "examples.json"  # below a run's folder: pretext/STAGE/examples.json
MOST = 4  # crops that are shown
WIDTH = 192  # pixels of a picture, about: voxels are repeated whole
PERCENTILES = (0.5, 99.5)  # of the original's values, shown as black and white


def write_examples(folder: Path, stage: str, method: Pretext, images: Tensor, ids: Sequence[str], draw: Draw) -> Path:
    """Write a PNG for each picture and a list of them; the folder.

    Args:
        folder: of the run.
        stage: of the pretext, that has just ended.
        method: its students are put in evaluation mode meanwhile.
        images: crops (B, C, *S) on the method's device.
        ids: of their cases.
        draw: of what is done to them.

    Raises:
        UserError: E320, the disk is full.
    """
    with torch.no_grad(), eval_mode(method):
        pictures = {name: image.float().cpu().numpy() for name, image in method.example(images, draw).items()}
    place = folder / FOLDER / stage
    listed = []
    with writing(place):
        place.mkdir(parents=True, exist_ok=True)
        for number, case in enumerate(ids):
            files = {}
            original = _flat(pictures["original"][number])
            ends = np.percentile(original, PERCENTILES, axis=(1, 2))
            for name, of_cases in pictures.items():
                files[name] = f"{number}_{name.replace(' ', '_')}.png"
                with written_aside(place / files[name]) as aside:
                    aside.write_bytes(_png(_flat(of_cases[number]), ends))
            listed.append({"case": case, "pictures": files})
        write_text(place / LIST, json.dumps({"stage": stage, "examples": listed}, indent=1, ensure_ascii=False) + "\n")
    return place


def _flat(image: np.ndarray) -> np.ndarray:
    """(C, X, Y): a volume's middle slice along its last axis; three channels stay, as colours, of others the first."""
    flat = image[..., image.shape[-1] // 2] if image.ndim == 4 else image
    return flat if len(flat) == 3 else flat[:1]


def _png(flat: np.ndarray, ends: np.ndarray) -> bytes:
    """A picture between black and white, each channel between its own; x to the right, y downwards."""
    low, high = ends[0][:, None, None], ends[1][:, None, None]
    shades = np.clip((flat - low) / np.maximum(high - low, 1e-7), 0, 1)
    pixels = np.rint(255 * shades).astype(np.uint8).transpose(2, 1, 0)
    larger = max(WIDTH // pixels.shape[1], 1)
    pixels = pixels.repeat(larger, axis=0).repeat(larger, axis=1)
    stream = io.BytesIO()
    Image.fromarray(pixels.squeeze(axis=2) if pixels.shape[2] == 1 else pixels).save(stream, "PNG")
    return stream.getvalue()
