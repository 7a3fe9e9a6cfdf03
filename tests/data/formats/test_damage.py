"""One flipped byte, a size that the bytes do not fill, a claim that they cannot: refused, or read as if it were sound
where the format has no means to tell."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
import zlib
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import SimpleITK
import tifffile
from PIL import Image as Picture

from mednoisy.data.formats.packed_streams import DAMAGED
from mednoisy.data.images import Image, read_image
from mednoisy.errors import UserError

X, Y, Z = np.indices((20, 18, 12))
LABEL = ((X - 10) ** 2 + (Y - 9) ** 2 + (1.5 * (Z - 6)) ** 2 < 50).astype(np.uint8)
NOISE = np.random.default_rng(0).integers(0, 200, LABEL.shape).astype(np.int16)
DISC = (np.hypot(*np.indices((60, 80)) - np.array([30, 40])[:, None, None]) < 20).astype(np.uint8) * 255


def nifti(path: Path, array: np.ndarray) -> int:
    nibabel.save(nibabel.Nifti1Image(array, np.diag([1.0, 2.0, 3.0, 1.0])), path)
    return 10


def itk(path: Path, array: np.ndarray) -> int:
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array.T.copy()), path, useCompression=True)
    payload, mark = path.read_bytes(), b"LOCAL\n" if path.suffix == ".mha" else b"\n\n"
    return payload.index(mark) + len(mark)


def hdf5(path: Path, array: np.ndarray) -> int:
    with h5py.File(path, "w") as file:
        chunks = tuple(-(-size // 2) for size in array.shape)
        file.create_dataset("image", data=array, compression="gzip", chunks=chunks)
    return 0


def png(path: Path, array: np.ndarray) -> int:
    Picture.fromarray(array).save(path)
    return 8


def deflated_tiff(path: Path, array: np.ndarray) -> int:
    tifffile.imwrite(path, array, compression="zlib", photometric="minisblack")
    with tifffile.TiffFile(path) as file:
        return int(file.pages.first.dataoffsets[0])


def packed_doubles(path: Path, array: np.ndarray) -> int:
    return deflated_tiff(path, array.astype(float))


PACKED = {
    "nii.gz": (nifti, LABEL),
    "noise.nii.gz": (nifti, NOISE),
    "mha": (itk, LABEL),
    "noise.mha": (itk, NOISE),
    "nrrd": (itk, LABEL),
    "noise.nrrd": (itk, NOISE),
    "h5": (hdf5, NOISE),
    "png": (png, DISC),
    "noise.png": (png, NOISE[..., 0].astype(np.uint8)),
    "tif": (deflated_tiff, DISC),
    "doubles.tif": (packed_doubles, DISC),
}


def outcome(path: Path) -> tuple[str, Image | None]:
    """The code of the refusal, or the image."""
    try:
        return "", read_image(path, case="p7")
    except UserError as fault:
        return fault.code, None


@pytest.mark.parametrize("kind", PACKED)
def test_no_flipped_byte_of_a_packed_file_is_read_as_other_voxels(tmp_path, kind):
    """Every byte from where the packed voxels begin in turn (of HDF5 from the start of the file), one bit of it."""
    write, array = PACKED[kind]
    path = tmp_path / f"a.{kind}"
    start = write(path, array)
    payload, whole = path.read_bytes(), read_image(path)
    np.testing.assert_array_equal(whole.array, array)
    refused, ends = 0, min(len(payload), start + (4500 if kind == "h5" else 1500))
    for place in range(start, ends):
        flipped = bytearray(payload)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        code, image = outcome(path)
        if image is None:
            refused += code == "E202"
        else:  # a byte that says nothing of the voxels, such as a time
            np.testing.assert_array_equal(image.array, array)
            np.testing.assert_array_equal(image.affine, whole.affine)
    assert refused > 0.9 * min(300, ends - start) or kind in ("h5", "tif", "doubles.tif")
    assert refused > 30


def first_wrong_sum(payload: bytes, start: int, bits: int) -> bytes:
    """The payload with the first flipped bit whose stream still unpacks to as many bytes, but other ones."""
    for place in range(start + 12, len(payload)):
        flipped = bytearray(payload)
        flipped[place] ^= 1
        try:
            zlib.decompressobj(bits).decompress(flipped[start:])
        except zlib.error as fault:
            if "incorrect data check" in str(fault):
                return bytes(flipped)
    raise AssertionError


@pytest.mark.parametrize(("kind", "bits"), [("nii.gz", 31), ("mha", 15), ("nrrd", 31)])
def test_a_wrong_checksum_is_said_to_be_one(tmp_path, kind, bits):
    path = tmp_path / f"a.{kind}"
    start = 0 if kind == "nii.gz" else itk(path, LABEL)
    if kind == "nii.gz":
        nifti(path, LABEL)
    path.write_bytes(first_wrong_sum(path.read_bytes(), start, bits))
    message = rf"E202 case 'p7': .*a\.{kind} cannot be read: {DAMAGED}\. Copy or export the file again"
    with pytest.raises(UserError, match=message):
        read_image(path, case="p7")


def test_members_of_gzip_and_padding_are_read_to_the_end(tmp_path):
    """As pigz and bgzip pack, and as tapes leave it."""
    nifti(tmp_path / "a.nii", NOISE)
    raw = (tmp_path / "a.nii").read_bytes()
    parts = [gzip.compress(part) for part in (raw[:100], raw[100:2000], raw[2000:])]
    (tmp_path / "b.nii.gz").write_bytes(b"".join(parts) + bytes(600))
    np.testing.assert_array_equal(read_image(tmp_path / "b.nii.gz").array, NOISE)
    parts[2] = parts[2][:-8] + bytes(8)
    (tmp_path / "b.nii.gz").write_bytes(b"".join(parts))
    with pytest.raises(UserError, match=DAMAGED):
        read_image(tmp_path / "b.nii.gz")


def header_of(kind: str, sizes: str, shape: tuple[int, ...]) -> tuple[bytes, bytes]:
    """A MetaImage or NRRD header that claims the sizes, and voxels of a shape."""
    voxels = bytes(range(256)) * 20
    body = voxels[: int(np.prod(shape))]
    if "mha" in kind:
        packed = "True" if "packed" in kind else "False"
        text = f"ObjectType = Image\nNDims = 3\nBinaryData = True\nCompressedData = {packed}\nElementSpacing = 1 1 1\n"
        text += f"DimSize = {sizes}\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
        return text.encode(), zlib.compress(body) if "packed" in kind else body
    encoding = "gzip" if "packed" in kind else "raw"
    text = f"NRRD0004\ntype: uint8\ndimension: 3\nsizes: {sizes}\nencoding: {encoding}\n\n"
    return text.encode(), gzip.compress(body) if "packed" in kind else body


@pytest.mark.parametrize("kind", ["packed mha", "plain mha", "packed nrrd", "plain nrrd"])
@pytest.mark.parametrize(("sizes", "there"), [("10 12 15", "1,680"), ("10 12 12", "1,680")])
def test_a_size_that_the_voxels_do_not_fill_is_refused(tmp_path, kind, sizes, there):
    """A header of 15 or 12 slices over 14: MetaIO makes up the fifteenth."""
    path = tmp_path / f"a.{kind.split()[1]}"
    path.write_bytes(b"".join(header_of(kind, "10 12 14", (10, 12, 14))))
    assert read_image(path).shape == (10, 12, 14)
    path.write_bytes(b"".join(header_of(kind, sizes, (10, 12, 14))))
    with pytest.raises(UserError, match=rf"E202 .* its header claims 1,\d+ bytes of voxels, there are {there}"):
        read_image(path)


def claims(folder: Path, name: str) -> Path:
    """A file of a few kB that claims gigabytes."""
    path = folder / name
    sizes = "99999999999999999999 2 2" if "over" in name else "30000 30000 30000"
    if path.suffix in (".mha", ".nrrd"):
        path.write_bytes(b"".join(header_of(f"packed {path.suffix[1:]}", sizes, (10, 12, 14))))
    elif ".nii" in name:
        nifti(folder / "b.nii", np.zeros((9, 8, 7), np.uint8))
        raw = bytearray((folder / "b.nii").read_bytes())
        raw[40:56] = struct.pack("<8h", 3, 1600, 1600, 1700, 1, 1, 1, 1)
        path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file.create_dataset("image", (30000, 30000, 30), np.float32, chunks=(100, 100, 1))
    elif path.suffix == ".jpg":
        Picture.fromarray(DISC).save(path)
        raw = bytearray(path.read_bytes())
        place = raw.index(b"\xff\xc0") + 5
        raw[place : place + 4] = struct.pack(">HH", 9000, 9000)
        path.write_bytes(raw)
    elif path.suffix == ".png":
        Picture.fromarray(DISC).save(path)
        raw = bytearray(path.read_bytes())
        raw[16:24] = struct.pack(">II", 9000, 9000)
        raw[29:33] = struct.pack(">I", zlib.crc32(raw[12:29]))
        path.write_bytes(raw)
    elif path.suffix == ".bmp":
        Picture.fromarray(DISC).save(path)
        raw = bytearray(path.read_bytes())
        raw[18:26] = struct.pack("<ii", 9000, 9000)
        path.write_bytes(raw)
    else:
        tifffile.imwrite(path, DISC, compression="zlib")
        with tifffile.TiffFile(path, mode="r+b") as file:
            for tag in ("ImageWidth", "ImageLength", "RowsPerStrip"):
                file.pages.first.tags[tag].overwrite(9000)
    return path


CLAIMS = ("a.mha", "over.mha", "a.nrrd", "over.nrrd", "a.nii", "a.nii.gz", "a.h5", "a.jpg", "a.png", "a.bmp", "a.tif")


@pytest.mark.parametrize("name", CLAIMS)
def test_what_a_header_claims_is_compared_with_the_file_before_memory_is_taken(tmp_path, monkeypatch, name):
    path = claims(tmp_path, name)
    monkeypatch.setattr(Picture.Image, "load", lambda picture: pytest.fail("pixels were decoded"))
    for module in ("Jpeg", "Png", "Bmp", "Tiff"):
        monkeypatch.setattr(f"PIL.{module}ImagePlugin.{module}ImageFile.load", Picture.Image.load, raising=False)
    tracemalloc.start()
    with pytest.raises(UserError, match=r"E202 .* its header claims|E202 .* a dataset claims"):
        read_image(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e7


def test_a_black_picture_of_many_pixels_is_sound(tmp_path):
    """What packs best must not be taken for an empty claim."""
    black = np.zeros((6000, 6000), np.uint8)
    options = {"a.jpg": {"optimize": True, "progressive": True}, "a.tif": {"compression": "tiff_lzw"}}
    for name in ("a.png", "a.jpg", "a.bmp", "a.tif"):
        Picture.fromarray(black).save(tmp_path / name, **options.get(name, {}))
        assert read_image(tmp_path / name).shape == (6000, 6000)
    nifti(tmp_path / "a.nii.gz", np.zeros((200, 200, 100), np.uint8))
    assert read_image(tmp_path / "a.nii.gz").shape == (200, 200, 100)


def test_chunks_that_were_never_written_or_could_not_be_packed_are_no_damage(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 4)).astype(np.uint8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("image", noise.shape, np.uint8, compression="gzip", chunks=(32, 32, 4))
        data[:32] = noise[:32]
    image = read_image(tmp_path / "a.h5")
    np.testing.assert_array_equal(image.array[:32], noise[:32])
    assert not image.array[32:].any()
    assert image.notes == ("was never written in 2 of its 4 chunks, or its size is wrong: there it is 0",)
