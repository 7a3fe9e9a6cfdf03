"""What preparing any dataset needs: resampling, work done once per case, and a command line."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from multiprocessing import active_children
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from scipy.ndimage import affine_transform
from tqdm import tqdm

from mednoisy.argument_parser import Parser
from mednoisy.child_processes import start_worker, undisturbed
from mednoisy.data.counter_based_random import Draw
from mednoisy.data.datalist import Case, Datalist
from mednoisy.data.images import (
    Image,
    check_image,
    check_pair,
    listed,
    pair_notes,
    read_image,
    write_nifti,
    write_picture,
)
from mednoisy.data.label_maps import read_label_map, read_reference
from mednoisy.errors import DONE, DONE_IN_PART, UserError
from mednoisy.files import FULL, full_disk, locked, write_text, written_aside
from mednoisy.notices import tell
from mednoisy.text_files import Unusable, read_json

RECORD = ".prepared.json"  # in the prepared folder: what each case was made from
BINARY = (0, 1)
Item = TypeVar("Item")
Result = TypeVar("Result")
REVISION = 1  # raise it when the same source gives other files


@dataclass(frozen=True)
class Job:
    """One case to prepare, and what it is made from.

    Attributes:
        case: its id.
        image, label: source files; they may be the same HDF5 file. No label: None.
        target: the prepared folder.
    """

    case: str
    image: str
    label: str | None
    target: str

    def outputs(self) -> dict[str, Path]:
        """The files written, by `image` and `label`."""
        raise NotImplementedError

    def prepare(self) -> list[str]:
        """Read, check and write the case; what is worth knowing of it, texts that follow its id."""
        raise NotImplementedError

    def entry(self) -> Case:
        """The case in a datalist."""
        return {"id": self.case, **{part: str(path.absolute()) for part, path in self.outputs().items()}}

    def sources(self) -> Sequence[str | Path]:
        """The files that the case is made from."""
        return [path for path in (self.image, self.label) if path is not None]

    def stamp(self) -> str:
        """16 hexadecimal digits that change with the source files (size and time) and the settings."""
        files = [Path(path).stat() for path in self.sources()]
        settings = {key: value for key, value in asdict(self).items() if key != "target"}
        facts = [REVISION, settings, [(file.st_size, file.st_mtime_ns) for file in files]]
        return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=8).hexdigest()


@dataclass(frozen=True)
class VolumeJob(Job):
    """A volume, written as images/ID.nii.gz and labels/ID.nii.gz.

    Attributes:
        codes: the label codes that may occur.
        spacing_mm: of the result along every axis; None keeps the source's grid.
        source_spacing_mm: where the source files state no geometry, their true spacing; None trusts them.
    """

    codes: tuple[int, ...]
    spacing_mm: float | None = None
    source_spacing_mm: float | None = None

    def outputs(self) -> dict[str, Path]:
        parts = ["image"] if self.label is None else ["image", "label"]
        return {part: Path(self.target, f"{part}s", f"{self.case}.nii.gz") for part in parts}

    def intensities(self, array: np.ndarray) -> np.ndarray:
        """The image's values as they are stored; here those of the source."""
        return array.astype(np.float32)

    def prepare(self) -> list[str]:
        """Read, check, resample and write."""
        parts = {"image": read_image(self.image, "image", case=self.case)}
        check_image(parts["image"], case=self.case)
        notes = [*parts["image"].notes]
        if self.label is not None:
            parts["label"] = read_reference(self.label, self.codes, case=self.case)
            notes += pair_notes(parts["image"], parts["label"])
            parts["label"] = check_pair(parts["image"], parts["label"], self.codes, case=self.case)
        for part, image in parts.items():
            if self.source_spacing_mm is not None:
                affine = np.diag([self.source_spacing_mm] * 3 + [1.0])
                spacing = (self.source_spacing_mm,) * len(image.shape)
                image = Image(image.array, affine, spacing, oriented=image.oriented)
            if self.spacing_mm is not None:
                image = resample(image, self.spacing_mm, labels=part == "label")
            array = image.array.astype(np.uint8) if part == "label" else self.intensities(image.array)
            write_nifti(self.outputs()[part], array, image.affine, oriented=image.oriented)
        return notes


@dataclass(frozen=True)
class PictureJob(Job):
    """A picture: a copy of its file as images/ID.SUFFIX, and its mask as labels/ID.png of one bit, at native size.

    Attributes:
        void: a code of masks that stands for pixels outside the picture's field; they are background. None: none.
    """

    void: int | None = None

    def outputs(self) -> dict[str, Path]:
        outputs = {"image": Path(self.target, "images", self.case + Path(self.image).suffix.lower())}
        return outputs if self.label is None else outputs | {"label": Path(self.target, "labels", f"{self.case}.png")}

    def prepare(self) -> list[str]:
        """Read and check both files, copy the one and cut the other at 127."""
        notes = []
        image = read_image(self.image, case=self.case)
        check_image(image, case=self.case)
        if self.label is not None:
            mask = self._mask(self.label)
            check_pair(image, mask, BINARY, case=self.case)
            notes = [f"picture and mask {note}" for note in pair_notes(image, mask)]
            write_picture(self.outputs()["label"], mask.array > 0)
        with written_aside(self.outputs()["image"]) as aside:
            shutil.copyfile(self.image, aside)
        return notes

    def _mask(self, path: str) -> Image:
        if self.void is None:
            return read_reference(path, BINARY, case=self.case)
        return read_label_map(path, BINARY, {self.void: 0}, case=self.case).image


def resample(image: Image, spacing_mm: float, *, labels: bool = False) -> Image:
    """The volume on a grid of equal spacing whose first edges are those of the old grid.

    The last voxels may reach beyond the old field of view by half a voxel, where the border is repeated.
    Images are interpolated linearly. With `labels`, each code's share is, and the largest wins; ties are
    frequent at even factors and go to the nearest voxel's code. (The nearest voxel everywhere would shift a
    label by half a fine voxel, the lower code in ties would shrink an atrium by 3 % at a factor of 2.)
    """
    step = spacing_mm / np.array(image.spacing)
    shape = tuple(int(size) for size in np.maximum(np.rint(np.array(image.shape) / step), 1))
    offset = (step - 1) / 2  # centre of the first new voxel, in old voxels

    def sampled(array: np.ndarray, order: int) -> np.ndarray:
        return affine_transform(array.astype(np.float32), step, offset, output_shape=shape, order=order, mode="nearest")

    if labels:
        codes = np.unique(image.array)
        masks = [image.array == code for code in codes]
        shares = np.stack([sampled(mask, order=1) + 1e-3 * sampled(mask, order=0) for mask in masks])
        array = codes[shares.argmax(axis=0)]
    else:
        array = sampled(image.array, order=1)
    axes = len(image.spacing)
    affine = image.affine.copy()
    affine[:3, 3] += affine[:3, :axes] @ offset
    affine[:3, :axes] *= step
    return Image(array, affine, (spacing_mm,) * axes, oriented=image.oriented)


def drawn_order(strata: Mapping[str, Sequence[str]], seed: int) -> list[str]:
    """All cases in a random order of which every beginning holds each stratum in about its share.

    Within a stratum of n cases the order is a permutation; the k-th of them, from 0, comes at (k + 1/2) / n.
    """
    placed = []
    for number, (name, cases) in enumerate(sorted(strata.items())):
        order = Draw(seed, "labeled order", number).generator(name).permutation(len(cases))
        placed += [((place + 0.5) / len(cases), name, sorted(cases)[one]) for place, one in enumerate(order)]
    return [case for _, _, case in sorted(placed)]


def _recorded(record_file: Path) -> dict[str, Any]:
    """What each case was made from; a damaged record is told, and nothing counts as done."""
    try:
        record = read_json(record_file) if record_file.is_file() else {}
        if not isinstance(record, dict):
            raise Unusable("it holds no table")
    except Unusable as fault:
        tell(f"note: {record_file} is damaged ({fault}): every case is prepared again")
        return {}
    return record


def prepare_cases(jobs: Sequence[Job], target: Path, workers: int) -> int:
    """Do what is not done yet, with a progress bar; how many cases were.

    A case counts as done when its files are there and the record holds its stamp. While work is under way
    the folder has no datalist, so that cases of two settings are never listed together.
    """
    record_file = target / RECORD
    record = _recorded(record_file)
    stamps = {job.case: job.stamp() for job in jobs}
    todo = [
        job
        for job in jobs
        if record.get(job.case) != stamps[job.case] or not all(path.is_file() for path in job.outputs().values())
    ]
    if not todo:
        return 0
    (target / "datalist.json").unlink(missing_ok=True)
    for job in todo:  # whatever interrupts the work, no half-done case counts as done
        record.pop(job.case, None)
    write_text(record_file, json.dumps(record, indent=1, sort_keys=True) + "\n")
    cases_of: dict[str, list[str]] = {}
    for case, notes in tqdm(
        in_processes(_prepared, todo, workers), total=len(todo), desc="cases", unit="case", disable=None
    ):
        record[case] = stamps[case]
        write_text(record_file, json.dumps(record, indent=1, sort_keys=True) + "\n")
        for note in notes:
            cases_of.setdefault(note, []).append(case)
    for note, cases in cases_of.items():
        tell(f"note: {note}: {listed(sorted(cases))}")
    return len(todo)


def run_command(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None, prepare: Callable[[argparse.Namespace], Path]
) -> int:
    """Parse, prepare and print what the datalist holds; a fault becomes one line on stderr. The exit code."""

    def act() -> int:
        given = parser.parse_args(arguments)
        _, out = folders(given.raw, given.out, given.workers)
        with locked(out, "images", "labels"):
            print(contents(prepare(given)))
        return DONE

    return told(act)


def told(act: Callable[[], int]) -> int:
    """The exit code of a preparation; a fault becomes one line on stderr."""
    try:
        return act()
    except UserError as error:
        print(f"mednoisy: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if error.errno in FULL:
            raise full_disk(error.filename or "the folder", error.strerror) from error
        cause = f"{error.filename or 'the folder'}: {error.strerror or error}"
        refusal = UserError("E221", cause, "Choose a folder with room that can be written")
        print(f"mednoisy: {refusal}", file=sys.stderr)
        return refusal.exit_code


def folders(raw: Path | str, out: Path | str, workers: int) -> tuple[Path, Path]:
    """The folders of a preparation, checked with its number of processes (E108)."""
    raw, out = Path(raw), Path(out)
    if workers < 1:
        raise UserError("E108", f"workers is {workers}", "Choose at least 1")
    if raw.resolve() == out.resolve():
        raise UserError("E108", f"{out} is the folder of the source files", "Give another folder to write to")
    return raw, out


def check_complete(missing: Sequence[str], allow_missing: bool) -> None:
    """Refuse a raw folder without all published cases, unless that is allowed.

    Args:
        missing: what is not there, in words, such as "images of 0025, 0070"; empty where all is.
        allow_missing: whether to go on with what is there.

    Raises:
        UserError: E379, naming what is missing.
    """
    if missing and not allow_missing:
        cause = f"published cases are not there: {'; '.join(missing)}"
        raise UserError("E379", cause, "Download them, or go on with what is there by --allow-missing")


def save_datalist(datalist: Datalist, out: Path) -> Path:
    """Write `out/datalist.json` unless it is there already, the same; its path."""
    path = out / "datalist.json"
    if not path.is_file() or path.read_text(encoding="utf-8") != datalist.as_json(out):
        datalist.save(path)
    return path


def contents(path: Path) -> str:
    """A line for the terminal: how many cases each section holds, and the protocol."""
    datalist = Datalist.load(path)
    counts = ", ".join(f"{len(cases)} {section}" for section, cases in datalist.sections.items() if cases)
    return f"{path}: {counts}. {datalist.protocol}"


def command_line(module: str, description: str, raw: str, *, complete: bool = False) -> argparse.ArgumentParser:
    """A parser of RAW, OUT and --workers; `raw` says what RAW holds, `complete` adds --allow-missing."""
    parser = Parser(prog=f"mednoisy prepare {module}", description=description)
    parser.add_argument("raw", type=Path, help=raw)
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    if complete:
        help_text = "go on without published cases that are not there; else they are named and refused"
        parser.add_argument("--allow-missing", action="store_true", help=help_text)
    return parser


def _prepared(job: Job) -> tuple[str, list[str]]:
    return job.case, job.prepare()


def in_processes(work: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterable[Result]:
    """What `work` gives for each item, as they are done.

    Raises:
        UserError: E380, a process was killed; what `work` raises.
    """
    if workers == 1 or len(items) < 2:
        yield from map(work, items)
        return
    pool = ProcessPoolExecutor(min(workers, len(items)), initializer=start_worker, initargs=(os.getpid(),))
    try:
        with undisturbed():  # workers start here
            futures: list[Future[Result]] = [pool.submit(work, item) for item in items]
        for future in as_completed(futures):
            yield future.result()
    except KeyboardInterrupt:  # nobody waits for what is being prepared
        for worker in active_children():
            worker.kill()
        raise
    except BrokenProcessPool as fault:
        cause = "a worker was killed, perhaps because memory ran out"
        raise UserError("E380", cause, "Call again with fewer --workers", exit_code=DONE_IN_PART) from fault
    finally:
        pool.shutdown(cancel_futures=True)
