"""How MetaImage may store its voxels: beside the header, written out, behind a foreign one, over several files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from mednoisy.data.images import read_image
from mednoisy.errors import UserError

VOXELS = np.arange(24, dtype="<i2").reshape(4, 3, 2)  # z, y, x: as they lie in a file
HEADER = "ObjectType = Image\nNDims = 3\n{more}DimSize = {sizes}\nElementSpacing = 1 2 3\nElementType = {kind}\n"


def written(path: Path, data: str, *, payload: bytes = b"", more: str = "", sizes="2 3 4", kind="MET_SHORT") -> Path:
    header = HEADER.format(more=more, sizes=sizes, kind=kind)
    path.write_bytes((header + f"ElementDataFile = {data}\n").encode() + payload)
    return path


def slices(folder: Path, lengths: tuple[int, ...] = (12, 12, 12, 12)) -> list[str]:
    for index, length in enumerate(lengths):
        (folder / f"s{index + 1}.raw").write_bytes(VOXELS[index].tobytes()[:length])
    return [f"s{index + 1}.raw" for index in range(len(lengths))]


def seen(path: Path) -> np.ndarray:
    """What is read, which ITK must read as well."""
    array = read_image(path).array
    np.testing.assert_array_equal(array, SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))).T)
    return array


def test_voxels_beside_the_header(tmp_path):
    (tmp_path / "a.raw").write_bytes(VOXELS.tobytes())
    path = written(tmp_path / "a.mhd", "a.raw", more="BinaryData = True\n")
    np.testing.assert_array_equal(seen(path), VOXELS.T)
    assert read_image(path).spacing == (1, 2, 3)


@pytest.mark.parametrize("entry", ["BinaryDataByteOrderMSB", "ElementByteOrderMSB"])
def test_voxels_with_their_greater_byte_first(entry, tmp_path):
    path = written(tmp_path / "a.mha", "LOCAL", payload=VOXELS.astype(">i2").tobytes(), more=f"{entry} = True\n")
    np.testing.assert_array_equal(seen(path), VOXELS.T)


def test_voxels_written_out(tmp_path):
    numbers = " ".join(str(value) for value in VOXELS.ravel())
    path = written(tmp_path / "a.mha", "LOCAL", payload=numbers.encode() + b"\n", more="BinaryData = False\n")
    np.testing.assert_array_equal(seen(path), VOXELS.T)
    fewer = written(tmp_path / "b.mha", "LOCAL", payload=numbers.encode()[:-3], more="BinaryData = False\n")
    with pytest.raises(UserError, match=r"E202 .*b.mha.* claims 24 written values, there are 23"):
        read_image(fewer)
    large = written(tmp_path / "c.mha", "LOCAL", payload=b"70000 " * 24, more="BinaryData = False\n")
    with pytest.raises(UserError, match=r"E202 .*c.mha.*its written values are no numbers of type int16"):
        read_image(large)


@pytest.mark.parametrize(("before", "size"), [(b"\7" * 10, 10), (b"\7" * 10, -1)])
def test_voxels_behind_a_header_of_another_program(before, size, tmp_path):
    """-1: they are the last bytes of the file, whatever comes before."""
    (tmp_path / "a.raw").write_bytes(before + VOXELS.tobytes())
    path = written(tmp_path / "a.mhd", "a.raw", more=f"BinaryData = True\nHeaderSize = {size}\n")
    np.testing.assert_array_equal(seen(path), VOXELS.T)


@pytest.mark.parametrize("end", [b"\n", b""])
def test_voxels_over_several_files(end, tmp_path):
    """ITK makes up the last slice where no end of line follows its name."""
    names = slices(tmp_path)
    listed = written(tmp_path / "a.mhd", "LIST", payload="\n".join(names).encode() + end, more="BinaryData = True\n")
    np.testing.assert_array_equal(seen(listed) if end else read_image(listed).array, VOXELS.T)
    whole = written(tmp_path / "b.mhd", "LIST 3", payload=b"whole.raw" + end, more="BinaryData = True\n")
    (tmp_path / "whole.raw").write_bytes(VOXELS.tobytes())
    np.testing.assert_array_equal(read_image(whole).array, VOXELS.T)


@pytest.mark.parametrize("place", ["s%d.raw 1 4 1", "s%d.raw 1 4"])
def test_voxels_over_numbered_files(place, tmp_path):
    slices(tmp_path)
    path = written(tmp_path / "a.mhd", place, more="BinaryData = True\n")
    np.testing.assert_array_equal(read_image(path).array, VOXELS.T)


@pytest.mark.parametrize("place", ["LIST", "s%d.raw 1 4 1"])
def test_a_slice_that_is_cut_or_not_there_is_refused(place, tmp_path):
    """ITK leaves memory as it was in its place."""
    names = slices(tmp_path, (12, 12, 12, 9))
    payload = "\n".join(names).encode() if place == "LIST" else b""
    path = written(tmp_path / "a.mhd", place, payload=payload, more="BinaryData = True\n")
    with pytest.raises(UserError, match=r"E202 .*a.mhd.* claims 12 bytes of voxels, there are 9"):
        read_image(path)
    (tmp_path / "s4.raw").unlink()
    with pytest.raises(UserError, match=r"E202 .*a.mhd.*its data file s4.raw is not there"):
        read_image(path)


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("LIST", "claims 4 data files, it names 0"),
        ("s%d.raw 1 3 1", "claims 4 data files, it names 3"),
        ("s%d.raw", "no list and no numbered files"),
        ("s%d.raw 1 4 0", "no list and no numbered files"),
        ("s%d.raw 0 999999999999 1", "no list and no numbered files"),
        ("s%s.raw 1 4 1", "no list and no numbered files"),
        ("LIST many", "no list and no numbered files"),
    ],
)
def test_data_files_that_cannot_be_are_told(place, told, tmp_path):
    slices(tmp_path)
    with pytest.raises(UserError, match=rf"E202 .*a.mhd.*{told}"):
        read_image(written(tmp_path / "a.mhd", place, more="BinaryData = True\n"))


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ({"sizes": "2 3"}, "its header has NDims 3 and 2 sizes"),
        ({"sizes": "2 -3 4"}, "its header claims a DimSize of 2 -3 4"),
    ],
)
def test_entries_that_cannot_be_are_told(entries, told, tmp_path):
    with pytest.raises(UserError, match=rf"E202 .*a.mha cannot be read: {told}"):
        read_image(written(tmp_path / "a.mha", "LOCAL", payload=VOXELS.tobytes(), **entries))


def test_a_header_that_names_no_data_is_of_another_format(tmp_path):
    (tmp_path / "a.mha").write_text("NDims = 3\nand nothing more\n")
    with pytest.raises(UserError, match=r"E202 .*a.mha cannot be read: damaged, truncated or of another format"):
        read_image(tmp_path / "a.mha")
