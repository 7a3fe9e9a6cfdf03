"""A prepared dataset of volumes in two fifths of its size, for a machine that is lent without a network, and back.

    python benchmarks/carry.py pack DATA carried.tar
    python benchmarks/carry.py unpack carried.tar DATA

Intensities become whole numbers, the ranks of a volume's distinct values, as lossless JPEG 2000; unpacking looks the
values up again, so every voxel is what it was. A volume of more than 256 distinct values is refused.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import tarfile
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image


def packed(path: Path) -> tuple[bytes, dict]:
    """A volume as the bytes of one picture, its slices one below the other, and what it takes to undo that."""
    volume = nib.Nifti1Image.from_filename(path)
    values, ranks = np.unique(np.asarray(volume.dataobj), return_inverse=True)
    if len(values) > 256:
        raise SystemExit(f"{path} has {len(values)} distinct values; 256 can be carried")
    slices = np.moveaxis(np.asarray(ranks).reshape(volume.shape), -1, 0).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(slices.reshape(-1, volume.shape[1])).save(stream, "JPEG2000", irreversible=False)
    header = base64.b64encode(volume.header.binaryblock).decode()
    facts = {"shape": volume.shape, "header": header, "values": values.tolist()}
    return stream.getvalue(), facts


def unpacked(content: bytes, facts: dict, path: Path) -> None:
    """Write the volume that `packed` was given."""
    slices = np.asarray(Image.open(io.BytesIO(content))).reshape(facts["shape"][2], *facts["shape"][:2])
    header = nib.Nifti1Header(base64.b64decode(facts["header"]))
    volume = np.asarray(facts["values"], dtype=header.get_data_dtype())[np.moveaxis(slices, 0, -1)]
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(volume, None, header), path)


def pack(data: Path, archive: Path) -> None:
    """Images and labels alike; the datalist as it is."""
    files = sorted(path for path in data.rglob("*.nii.gz"))
    with tarfile.open(archive, "w") as tar, ProcessPoolExecutor() as pool:
        _add(tar, "datalist.json", (data / "datalist.json").read_bytes())
        for path, (content, facts) in zip(files, pool.map(packed, files), strict=True):
            name = str(path.relative_to(data))
            _add(tar, f"{name}.jp2", content)
            _add(tar, f"{name}.json", json.dumps(facts).encode())


def unpack(archive: Path, data: Path) -> None:
    """The dataset in the folder `data`, volumes compressed as before."""
    with tarfile.open(archive) as tar:
        contents = {member.name: tar.extractfile(member).read() for member in tar.getmembers()}  # type: ignore[union-attr]
    data.mkdir(parents=True, exist_ok=True)
    (data / "datalist.json").write_bytes(contents["datalist.json"])
    names = [name.removesuffix(".jp2") for name in contents if name.endswith(".jp2")]
    facts = [json.loads(contents[f"{name}.json"]) for name in names]
    with ProcessPoolExecutor() as pool:
        list(pool.map(unpacked, (contents[f"{name}.jp2"] for name in names), facts, (data / name for name in names)))


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def main(words: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["pack", "unpack"])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    given = parser.parse_args(words)
    (pack if given.action == "pack" else unpack)(given.source, given.target)


if __name__ == "__main__":
    main()
