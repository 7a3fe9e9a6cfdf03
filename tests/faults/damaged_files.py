"""Damage files of every format at random, and see whether it is noticed.

    python -m tests.faults.damaged_files --folder WORK --count 300      # of each format, and as many checkpoints

An attempt makes a small image and label map, damages one of the two and reads it as the product does. What can come of
it:

- refused: one line of text, a `UserError`;
- unchanged: the same voxels in the same place, for the damage hit nothing that says anything of them;
- noted: other voxels or another place, with a note that says what contradicts itself in the file;
- unseen: other voxels or another place, where the format has no checksum that could tell;
- lost: the same, though a checksum covers every damaged byte, or although the file claims more than it holds;
- fault: any other exception, several lines, over `PATIENCE` seconds, or much more memory than the file is worth.

The last two are bugs of the product.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mednoisy.data.images import Image, read_image
from mednoisy.data.label_maps import read_label_map
from mednoisy.engines import checkpoint
from mednoisy.errors import UserError
from tests.faults.file_formats import FORMATS, Format

PATIENCE = 10.0  # seconds
MEMORY = 300  # MB, that reading a file of some kB may take at most
ENDS = ("refused", "unchanged", "noted", "unseen", "lost", "fault")
Reader = Callable[[Path], Image]
READERS: Mapping[str, Reader] = {"image": read_image, "label": lambda path: read_label_map(path).image}


@dataclass(frozen=True)
class Damage:
    """A file after damage, and where it was hit; `places` is None where bytes were taken away or a claim enlarged."""

    payload: bytes
    places: list[int] | None
    kind: str


def damaged(payload: bytes, of: Format, path: Path, draw: np.random.Generator) -> Damage:
    """Bits flipped in one to three bytes, a block of zeros, an end cut off, or a size that was made larger."""
    kind = str(draw.choice(["flip", "flip", "flip", "blank", "cut", "claim"]))
    changed = bytearray(payload)
    if kind == "claim":
        claim = of.enlarged(payload, path, draw)
        if claim is not None:
            return Damage(claim, None, kind)
        kind = "flip"
    if kind == "cut":
        return Damage(payload[: draw.integers(0, len(payload))], None, kind)
    if kind == "blank":
        start = int(draw.integers(0, len(payload)))
        places = list(range(start, min(len(payload), start + int(draw.choice([4, 16, 64, 512])))))
        changed[places[0] : places[-1] + 1] = bytes(len(places))
    else:
        places = [int(place) for place in draw.integers(0, len(payload), draw.integers(1, 4))]
        for place in places:
            changed[place] ^= 1 << int(draw.integers(0, 8))
    return Damage(bytes(changed), places, kind)


def image_ends(
    of: Format, count: int, seed: int, work: Path, readers: Mapping[str, Reader] = READERS
) -> tuple[Counter[str], list[str]]:
    """How often each end was met, and what is a bug of the product."""
    draw = np.random.default_rng([seed, *of.name.encode()])
    counts, bugs = Counter(dict.fromkeys(ENDS, 0)), []
    whole: dict[str, Image] = {}
    for what in readers:
        of.write(work / f"{what}.{of.name}", what)
        whole[what] = readers[what](work / f"{what}.{of.name}")
    for number in range(count):
        what = str(draw.choice(list(readers)))
        header = work / f"{what}.{of.name}"
        path = Path(draw.choice([header, of.data_file(header)])) if of.data_file else header
        payload = path.read_bytes()
        damage = damaged(payload, of, path, draw)
        if damage.payload == payload:
            counts["unchanged"] += 1
            continue
        covered = of.covered(payload, path)
        path.write_bytes(damage.payload)
        end, said = _end(lambda: readers[what](header), lambda image: _compared(image, whole[what]))  # noqa: B023
        hit = damage.places is not None and all(any(a <= p < b for a, b in covered) for p in damage.places)
        if end == "unseen" and (hit or (damage.kind in ("cut", "claim") and of.counts)):
            end = "lost"
        counts[end] += 1
        if end in ("lost", "fault"):
            kept = work / f"{end}-{number}-{path.name}"
            kept.write_bytes(damage.payload)
            bugs.append(f"{of.name} {what} {number} {damage.kind} {(damage.places or [])[:3]}: {end} {said} ({kept})")
        path.write_bytes(payload)
    return counts, bugs


def checkpoint_ends(count: int, seed: int, work: Path) -> tuple[Counter[str], list[str]]:
    """As `image_ends`, of `last.pt` beside the checkpoint before it: refused stands for that one being used."""
    draw = np.random.default_rng([seed, 1])
    contents = [
        {
            "step": step,
            "stage": "training",
            "method": {f"w{n}": torch.full((30, 40), float(step + n)) for n in range(3)},
        }
        for step in (1, 2)
    ]
    for content in contents:
        checkpoint.save_last(work, content)
    last, counts, bugs = work / checkpoint.LAST, Counter(dict.fromkeys(ENDS, 0)), []
    payload = last.read_bytes()
    for number in range(count):
        damage = damaged(payload, FORMATS["jpg"], last, draw) if number % 2 else _one_flip(payload, draw)
        last.write_bytes(damage.payload)
        told = io.StringIO()
        with contextlib.redirect_stderr(told):
            end, said = _end(lambda: checkpoint.load_last(work), lambda found: _end_of(found, contents[1]))
        if end == "unseen":  # the one before it, as it was?
            found, lines = checkpoint.load(work / checkpoint.PREVIOUS), told.getvalue().splitlines()
            fell_back = _alike(found, contents[0]) and len(lines) == 1 and " E322 " in lines[0]
            end = "refused" if fell_back else "lost"
        counts[end] += 1
        if end in ("lost", "fault"):
            bugs.append(f"last.pt {number} {damage.kind} {(damage.places or [])[:3]}: {end} {said}")
    last.write_bytes(payload)
    return counts, bugs


def _one_flip(payload: bytes, draw: np.random.Generator) -> Damage:
    changed, place = bytearray(payload), int(draw.integers(0, len(payload)))
    changed[place] ^= 1 << int(draw.integers(0, 8))
    return Damage(bytes(changed), [place], "flip")


def _end(read: Callable[[], Any], compared: Callable[[Any], str]) -> tuple[str, str]:
    """How reading ends, and what is said of it; `compared` tells the end of what can be read."""
    before, start = _peak(), time.monotonic()
    try:
        found, end, said = read(), "", ""
    except UserError as fault:
        end, said = "refused", str(fault)
        if len(said.splitlines()) != 1 or not said.isprintable():
            end = "fault"
    except BaseException as fault:
        if isinstance(fault, KeyboardInterrupt):
            raise
        end, said = "fault", f"{type(fault).__name__}: {fault}"
    took, grew = time.monotonic() - start, _peak() - before
    if took > PATIENCE or grew > MEMORY:
        return "fault", f"{took:.1f} s, {grew:.0f} MB, {said}"
    return end or compared(found), said


def _compared(image: Image, whole: Image) -> str:
    alike = image.array.dtype == whole.array.dtype and np.array_equal(image.array, whole.array)
    if alike and np.array_equal(image.affine, whole.affine) and image.spacing == whole.spacing:
        return "unchanged"
    return "unseen" if image.notes == whole.notes else "noted"


def _end_of(found: dict, content: dict) -> str:
    return "unchanged" if _alike(found, content) else "unseen"


def _alike(found: dict, content: dict) -> bool:
    weights = found["method"], content["method"]
    same = list(weights[0]) == list(weights[1]) and found["step"] == content["step"]
    return same and all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])


def _peak() -> float:
    """The most memory that this process has taken so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def campaign(folder: Path, count: int, seed: int, names: Collection[str] = ()) -> list[str]:
    """Try so many of each format; prints counts; the bugs of the product."""
    found = []
    print("format", *ENDS, sep="\t")
    for name in names or [*FORMATS, checkpoint.LAST]:
        work = folder / name
        work.mkdir(parents=True, exist_ok=True)
        if name == checkpoint.LAST:
            counts, bugs = checkpoint_ends(count, seed, work)
        else:
            counts, bugs = image_ends(FORMATS[name], count, seed, work)
        print(name, *(counts[end] for end in ENDS), sep="\t", flush=True)
        print(*bugs, sep="\n", end="\n" * bool(bugs), flush=True)
        found += bugs
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--folder", type=Path, required=True, help="what is lost or at fault is kept here")
    parser.add_argument("--count", type=int, default=300, help="of each format (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", metavar="FORMAT")
    given = parser.parse_args()
    sys.exit(1 if campaign(given.folder, given.count, given.seed, given.only or ()) else 0)
