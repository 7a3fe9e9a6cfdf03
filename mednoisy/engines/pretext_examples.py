"""Pictures of what a pretext asks and what its network makes of it, written at the end of its stage."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
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
RIM = 4  # pixels between the pictures of a grid
WIDTH = 192  # pixels of a picture, about: voxels are repeated whole
PERCENTILES = (0.5, 99.5)  # of the original's values, shown as black and white


def drawn_examples(method: Pretext, images: Tensor, draw: Draw) -> list[dict[str, np.ndarray]]:
    """For each crop the pictures of `Pretext.example` by name: (rows, columns) or (rows, columns, 3), uint8.

    Args:
        method: its students are put in evaluation mode meanwhile.
        images: crops (B, C, *S) on the method's device.
        draw: of what is done to them.
    """
    with torch.no_grad(), eval_mode(method):
        pictures = {name: image.float().cpu().numpy() for name, image in method.example(images, draw).items()}
    in_rows = images.ndim == 4 and images.shape[1] == 3  # pictures in colour; slices have x first, as volumes
    drawn = []
    for number in range(len(images)):
        if method.shown_between is None:
            ends = np.percentile(_flat(pictures["original"][number]), PERCENTILES, axis=(1, 2))
        else:
            ends = np.array(method.shown_between)[:, None]
        flat = {name: _flat(of_cases[number]) for name, of_cases in pictures.items()}
        upright = {name: each if in_rows else each.transpose(0, 2, 1) for name, each in flat.items()}
        drawn.append({name: _pixels(each, ends) for name, each in upright.items()})
    return drawn


def as_grid(drawn: Sequence[Mapping[str, np.ndarray]]) -> np.ndarray:
    """One picture (rows, columns, 3): a row for each crop, its pictures beside one another on white."""
    rows = []
    for pictures in drawn:
        coloured = [pixels if pixels.ndim == 3 else pixels[..., None].repeat(3, axis=2) for pixels in pictures.values()]
        rows.append(
            np.concatenate([_framed(each, max(map(len, coloured)), each.shape[1]) for each in coloured], axis=1)
        )
    widest = max(row.shape[1] for row in rows)
    return np.concatenate([_framed(row, len(row) - RIM, widest - RIM) for row in rows])


def write_examples(folder: Path, stage: str, drawn: Sequence[Mapping[str, np.ndarray]], ids: Sequence[str]) -> Path:
    """Write a PNG for each picture and a list of them; the folder.

    Args:
        folder: of the run.
        stage: of the pretext, that has just ended.
        drawn: by `drawn_examples`.
        ids: of the cases of the crops.

    Raises:
        UserError: E320, the disk is full.
    """
    place = folder / FOLDER / stage
    listed = []
    with writing(place):
        place.mkdir(parents=True, exist_ok=True)
        for number, (case, pictures) in enumerate(zip(ids, drawn, strict=True)):
            files = {}
            for name, pixels in pictures.items():
                files[name] = f"{number}_{name.replace(' ', '_')}.png"
                with written_aside(place / files[name]) as aside:
                    aside.write_bytes(_png(pixels))
            listed.append({"case": case, "pictures": files})
        write_text(place / LIST, json.dumps({"stage": stage, "examples": listed}, indent=1, ensure_ascii=False) + "\n")
    return place


def _flat(image: np.ndarray) -> np.ndarray:
    """(C, X, Y), or (C, rows, columns): a volume's middle slice along its last axis.

    Three channels stay, as colours; of others the first.
    """
    flat = image[..., image.shape[-1] // 2] if image.ndim == 4 else image
    return flat if len(flat) == 3 else flat[:1]


def _pixels(flat: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """A picture of (C, rows, columns) between black and white, each channel between its own."""
    low, high = ends[0][..., None, None], ends[1][..., None, None]
    shades = np.clip((flat - low) / np.maximum(high - low, 1e-7), 0, 1)
    pixels = np.rint(255 * shades).astype(np.uint8).transpose(1, 2, 0)
    larger = max(WIDTH // pixels.shape[1], 1)
    pixels = pixels.repeat(larger, axis=0).repeat(larger, axis=1)
    return pixels.squeeze(axis=2) if pixels.shape[2] == 1 else pixels


def _framed(pixels: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """On a white ground of at least this size, with a rim to the right and below."""
    below, right = rows - pixels.shape[0] + RIM, columns - pixels.shape[1] + RIM
    return np.pad(pixels, ((0, below), (0, right), (0, 0)), constant_values=255)


def _png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()
