from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import SimpleITK
import tifffile
from PIL import Image as Picture
from PIL import ImageOps

from mednoisy.data.file_formats import META_IMAGE, NIFTI, NRRD, PICTURES, SUFFIXES, is_lossy
from mednoisy.data.images import read_image, write_nifti
from mednoisy.errors import UserError

VOLUME = np.random.default_rng(0).integers(-500, 500, (5, 6, 7)).astype(np.int16)
GREYS = np.random.default_rng(1).integers(0, 256, (20, 30)).astype(np.uint8)
ITK = (*NRRD, *META_IMAGE)
VOLUMES = (*NIFTI, ".h5", *ITK)


def oblique() -> np.ndarray:
    """An affine turned about two axes, flipped in one, with three different steps."""
    a, b = 0.3, -0.5
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_x * [0.7, -1.1, 2.5]
    affine[:3, 3] = [-31, 12.5, 804]
    return affine


def write(folder: Path, suffix: str, array: np.ndarray, *, compressed: bool = False) -> Path:
    """The array in one of the volumes' formats, at `oblique()`, ITK's through ITK's own reading of a NIfTI."""
    path = folder / f"a{suffix}"
    if suffix == ".h5":
        with h5py.File(path, "w") as file:
            file.create_dataset("image", data=array, compression="gzip" if compressed else None)
            file.attrs["affine"] = oblique()
    else:
        nibabel.save(nibabel.Nifti1Image(array, oblique()), folder / f"a{suffix if suffix in NIFTI else '.nii'}")
        if suffix in ITK:
            SimpleITK.WriteImage(SimpleITK.ReadImage(folder / "a.nii"), path, useCompression=compressed)
    return path


@pytest.mark.parametrize("suffix", VOLUMES)
@pytest.mark.parametrize("axes", [2, 3])
def test_every_format_gives_each_voxel_the_same_place(tmp_path, suffix, axes):
    if axes == 2 and suffix in ITK:
        array, image = VOLUME[0], SimpleITK.GetImageFromArray(VOLUME[0].T)
        image.SetSpacing((2, 3))
        image.SetOrigin((10, 20))
        path = tmp_path / f"a{suffix}"
        SimpleITK.WriteImage(image, path)
        expected = np.array([[-2, 0, 0, -10], [0, -3, 0, -20], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    else:
        array, expected = (VOLUME[0] if axes == 2 else VOLUME), oblique()
        path = write(tmp_path, suffix, array)
    image = read_image(path)
    np.testing.assert_array_equal(image.array, array)
    assert image.array.dtype == np.int16
    corner = np.array([4, 5, 6 * (axes == 3), 1])
    np.testing.assert_allclose(image.affine @ corner, expected @ corner, atol=1e-4)
    np.testing.assert_allclose(image.spacing, np.linalg.norm(expected[:3, :axes], axis=0), rtol=1e-6)
    assert image.located


def test_an_nrrd_in_ras_lies_where_its_header_says(tmp_path):
    header = (
        "NRRD0004\ntype: uchar\ndimension: 3\nspace: right-anterior-superior\nsizes: 2 2 2\n"
        "space directions: (1,0,0) (0,-2,0) (0,0,3)\nencoding: raw\nspace origin: (5,6,7)\n\n"
    )
    (tmp_path / "a.nrrd").write_bytes(header.encode() + bytes(range(8)))
    image = read_image(tmp_path / "a.nrrd")
    np.testing.assert_allclose(image.affine, [[1, 0, 0, 5], [0, -2, 0, 6], [0, 0, 3, 7], [0, 0, 0, 1]])
    np.testing.assert_array_equal(image.array, np.arange(8).reshape(2, 2, 2, order="F"))


def test_a_published_nrrd(shared_data):
    """Facts of its header: 45x120x21 voxels, LPS origin (-116.54304, -48.144654, 9.45)."""
    image, label = (read_image(shared_data(f"raw_samples/nrrd/breast1_{part}.nrrd")) for part in ("image", "label"))
    assert image.shape == label.shape == (45, 120, 21)
    assert image.spacing == pytest.approx((0.664062, 0.664062, 2.1))
    np.testing.assert_allclose(image.affine[:3, 3], [116.54304, 48.144654, 9.45])
    np.testing.assert_array_equal(np.unique(label.array), [0, 1])


def test_whether_a_file_says_where_it_lies(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["image"], file["label"] = VOLUME, VOLUME
        file["label"].attrs["spacing"] = 2.0
    header = "NRRD0001\ntype: short\ndimension: 3\nsizes: 5 6 7\nencoding: raw\nendian: little\n{}\n"
    for name, more in (("bare", ""), ("spaced", "spacings: 1 1 2\n")):
        (tmp_path / f"{name}.nrrd").write_bytes(header.format(more).encode() + VOLUME.T.tobytes())
    Picture.fromarray(GREYS).save(tmp_path / "a.png")
    located = {name: read_image(tmp_path / name).located for name in ("a.h5", "bare.nrrd", "spaced.nrrd", "a.png")}
    assert located == {"a.h5": False, "bare.nrrd": False, "spaced.nrrd": True, "a.png": False}
    assert read_image(tmp_path / "a.h5", "label").located


def test_whose_first_axis_is_known(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["image"] = GREYS
    Picture.fromarray(GREYS).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", GREYS.astype(float))
    nibabel.save(nibabel.Nifti1Image(GREYS, np.eye(4)), tmp_path / "a.nii")
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(GREYS), tmp_path / "a.mha")
    expected = {"h5": "unknown", "png": "rows", "tif": "rows", "nii": "xyz", "mha": "xyz"}
    assert {name: read_image(tmp_path / f"a.{name}").order for name in expected} == expected


@pytest.mark.parametrize(("unit", "millimetres"), [("unknown", 1), ("mm", 1), ("micron", 0.001), ("meter", 1000)])
def test_nifti_units_become_millimetres(tmp_path, unit, millimetres):
    stored = nibabel.Nifti1Image(VOLUME, oblique())
    stored.header.set_xyzt_units(unit, "sec")
    nibabel.save(stored, tmp_path / "a.nii")
    image = read_image(tmp_path / "a.nii")
    np.testing.assert_allclose(image.affine, np.diag([millimetres] * 3 + [1]) @ oblique(), rtol=1e-5)
    assert image.spacing == pytest.approx(np.array([0.7, 1.1, 2.5]) * millimetres)


@pytest.mark.parametrize("suffix", VOLUMES)
def test_four_axes_are_refused_unless_the_last_is_one_long(tmp_path, suffix):
    many, one = np.stack([VOLUME, VOLUME], axis=-1), VOLUME[..., np.newaxis]
    for array in (many, one):
        if suffix in ITK:
            stack = [SimpleITK.GetImageFromArray(part.T) for part in np.moveaxis(array, -1, 0)]
            SimpleITK.WriteImage(SimpleITK.JoinSeries(stack), tmp_path / f"a{suffix}")
        else:
            write(tmp_path, suffix, array)
        if array is one:
            np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}").array, VOLUME)
        else:
            message = r"E208 case 'p7': .*a\..* has 4 axes \(5x6x7x2\), wanted two or three. Store one volume per file"
            with pytest.raises(UserError, match=message):
                read_image(tmp_path / f"a{suffix}", case="p7")


@pytest.mark.parametrize("suffix", ITK)
def test_several_values_for_each_voxel_are_refused(tmp_path, suffix):
    part = SimpleITK.GetImageFromArray(VOLUME)
    SimpleITK.WriteImage(SimpleITK.Compose(part, part, part), tmp_path / f"a{suffix}")
    with pytest.raises(UserError, match=r"E208 .* holds 3 values for each voxel, wanted one. Store one volume"):
        read_image(tmp_path / f"a{suffix}")


def test_pages_of_a_tiff_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "known.tif", np.stack([GREYS] * 4), photometric="minisblack")
    tifffile.imwrite(tmp_path / "doubles.tif", np.stack([GREYS] * 4).astype(float), photometric="minisblack")
    for name in ("known", "doubles"):
        with pytest.raises(UserError, match=r"E208 .* 4 pages, wanted one"):
            read_image(tmp_path / f"{name}.tif")


@pytest.mark.parametrize("order", ["<", ">"])
def test_greys_keep_their_depth(tmp_path, order):
    deep = GREYS.astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "a.tif", deep, byteorder=order)
    Picture.fromarray(deep).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "b.tiff", GREYS / 7, byteorder=order)  # doubles, which Pillow does not read
    for name in ("a.tif", "a.png"):
        np.testing.assert_array_equal(read_image(tmp_path / name).array, deep)
    np.testing.assert_allclose(read_image(tmp_path / "b.tiff").array, GREYS / 7, rtol=1e-6)


@pytest.mark.parametrize("suffix", PICTURES)
def test_pictures_are_rows_and_columns(tmp_path, suffix):
    flat = np.full((20, 30, 3), 10, np.uint8)
    flat[:8, :16] = 200
    Picture.fromarray(flat).save(tmp_path / f"a{suffix}")
    image = read_image(tmp_path / f"a{suffix}")
    assert image.array.shape == (20, 30, 3)
    np.testing.assert_allclose(image.array, flat, atol=2)


def test_published_tiffs_that_pillow_refuses_are_in_colour(shared_data):
    """CVC-ClinicDB frames: 384x288 pixels whose three channels differ."""
    for name in ("cvc_1.tif", "cvc_178.tif"):
        image = read_image(shared_data(f"raw_samples/polyp/images/{name}"))
        assert image.array.shape == (288, 384, 3)
        assert image.array.dtype == np.uint8
        red, green, blue = image.array.reshape(-1, 3).mean(axis=0)
        assert red > 1.2 * green > 1.2 * blue


def test_jpeg_is_told_by_its_content(tmp_path):
    Picture.fromarray(GREYS).save(tmp_path / "a.jpg")
    Picture.fromarray(GREYS).save(tmp_path / "b.png")
    Picture.fromarray(GREYS).save(tmp_path / "c.tif", compression="jpeg")
    Picture.fromarray(GREYS).save(tmp_path / "d.tif", compression="tiff_lzw")
    tifffile.imwrite(tmp_path / "e.tif", GREYS.astype(float))
    (tmp_path / "a.jpg").rename(tmp_path / "a.png")
    lossy = {path.name: is_lossy(path) for path in sorted(tmp_path.iterdir())}
    assert lossy == {"a.png": True, "b.png": False, "c.tif": True, "d.tif": False, "e.tif": False}


def sound(folder: Path, kind: str) -> Path:
    """A sound file of a kind: a suffix, with "packed" before it if it is compressed."""
    suffix = kind.rsplit(maxsplit=1)[-1]
    if suffix not in PICTURES:
        return write(folder, suffix, VOLUME, compressed=kind != suffix)
    if kind == "doubles .tif":
        tifffile.imwrite(folder / "a.tif", GREYS.astype(float))
    else:
        Picture.fromarray(GREYS).save(folder / f"a{suffix}", compression="tiff_lzw" if kind != suffix else None)
    return folder / f"a{suffix}"


KINDS = (*VOLUMES, "packed .h5", "packed .nrrd", "packed .mha", *PICTURES, "packed .tif", "doubles .tif")


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_file_is_one_quiet_line_wherever_it_ends(tmp_path, capfd, kind):
    path = sound(tmp_path, kind)
    whole, payload = read_image(path).array, path.read_bytes()
    ends = sorted({1, 10, 60, 200, 340, *(len(payload) * n // 8 for n in range(1, 8)), len(payload) - 20})
    capfd.readouterr()  # what ITK says on writing
    faults = []
    for end in ends:
        path.write_bytes(payload[:end])
        try:
            array = read_image(path, case="p7").array
        except UserError as fault:
            faults.append(str(fault))
        else:  # detached headers, and files that lack only their last check sum, are whole without their end
            np.testing.assert_array_equal(array, whole)
    assert len(faults) >= len(ends) - 1 or kind in (".nhdr", ".mhd")
    assert all(fault.startswith(f"E202 case 'p7': {path} cannot be read: ") for fault in faults)
    assert "\n" not in "".join(faults)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("end", [10, 60, 200])
def test_a_nifti_cut_off_within_its_header_is_told_from_a_foreign_one(tmp_path, end):
    path = write(tmp_path, ".nii.gz", VOLUME)
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(UserError, match=r"E202 .*a.nii.gz cannot be read: truncated: it ends within its gzip stream"):
        read_image(path)
    path.write_bytes(gzip.compress(b"sound, but no image" * 40))
    with pytest.raises(UserError, match=r"E202 .*a.nii.gz cannot be read: no NIfTI header"):
        read_image(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", [b"no image, but text\n" * 40, bytes(1000), b"\x89PNG\r\n\x1a\n", b"GIF89a" * 60])
def test_foreign_content_is_one_quiet_line(tmp_path, capfd, suffix, content):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"E202 case 'p7': .*a\{suffix} cannot be read: .") as fault:
        read_image(path, case="p7")
    assert "\n" not in str(fault.value)
    assert capfd.readouterr() == ("", "")


def test_an_itk_file_is_read_as_what_its_suffix_says(tmp_path):
    """ITK itself goes by content and would read a picture as a volume in LPS."""
    Picture.fromarray(GREYS).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.mha")
    with pytest.raises(UserError, match=r"E202 .*a.mha cannot be read: it is PNG, not .*Rename it to a.png"):
        read_image(tmp_path / "a.mha")


@pytest.mark.parametrize(
    ("suffix", "told"), [(".nhdr", "or without its data file"), (".mhd", r"its data file a\.z?raw is not there")]
)
def test_a_header_without_its_data_file_says_so(tmp_path, capfd, suffix, told):
    path = write(tmp_path, suffix, VOLUME)
    next(tmp_path.glob("a.*raw*")).unlink()
    capfd.readouterr()  # what ITK says on writing
    with pytest.raises(UserError, match=rf"E202 .* cannot be read: .*{told}"):
        read_image(path)
    assert capfd.readouterr() == ("", "")


def test_a_group_is_no_dataset(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["image/slice"] = VOLUME
    with pytest.raises(UserError, match=r"E202 .*a.h5 holds no dataset 'image'. Name the datasets"):
        read_image(tmp_path / "a.h5")


def test_headers_set_right_are_not_talked_about(tmp_path, capfd):
    """nibabel prints a line for a sign of the quaternion's that is neither 1 nor -1."""
    write_nifti(tmp_path / "a.nii", VOLUME, np.eye(4))
    payload = bytearray((tmp_path / "a.nii").read_bytes())
    payload[76:80] = bytes(4)
    (tmp_path / "a.nii").write_bytes(payload)
    read_image(tmp_path / "a.nii")
    assert capfd.readouterr() == ("", "")


def test_stderr_is_given_back(tmp_path, capfd):
    (tmp_path / "a.mha").write_bytes(b"no image")
    with pytest.raises(UserError):
        read_image(tmp_path / "a.mha")
    print("heard", file=sys.stderr)
    assert capfd.readouterr().err == "heard\n"


def test_heavy_readers_wait_until_they_are_needed():
    code = "import sys, mednoisy.data.label_maps; print({'torch', 'monai', 'SimpleITK', 'tifffile'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


FEW = GREYS // 32 * 32  # few enough colours for any palette


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
@pytest.mark.parametrize("colour", [False, True])
def test_orientation_is_applied_as_a_viewer_does(tmp_path, orientation, suffix, colour):
    """What a camera stored turned or flipped comes upright: Pillow's own transposition is the yardstick (for TIFF,
    which Pillow may scramble, on the same picture as PNG)."""
    stored = np.stack([GREYS, GREYS.T.reshape(20, 30), 255 - GREYS], axis=-1) if colour else GREYS
    exif = Picture.Exif()
    exif[0x0112] = orientation
    for name in ("a.png", f"a{suffix}"):
        Picture.fromarray(stored).save(tmp_path / name, exif=exif)
    with Picture.open(tmp_path / ("a.jpg" if suffix == ".jpg" else "a.png")) as picture:
        upright = np.asarray(ImageOps.exif_transpose(picture))
    np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}").array, upright)
    if suffix != ".jpg" and orientation == 6:  # turned clockwise: the first column becomes the first row, reversed
        np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}").array[0], stored[::-1, 0])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_by_tifffile_too(tmp_path, orientation):
    Picture.fromarray(GREYS).save(tmp_path / "a.tif", tiffinfo={0x0112: orientation})
    tag = (0x0112, "H", 1, orientation, True)
    tifffile.imwrite(tmp_path / "b.tif", GREYS.astype(float), photometric="minisblack", extratags=[tag])
    np.testing.assert_array_equal(read_image(tmp_path / "b.tif").array, read_image(tmp_path / "a.tif").array)


def test_deep_greys_are_turned_whole(tmp_path):
    exif = Picture.Exif()
    exif[0x0112] = 8
    deep = GREYS.astype(np.uint16) * 257
    Picture.fromarray(deep).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").array, np.rot90(deep))


def test_damaged_exif_is_passed_over(tmp_path, recwarn):
    Picture.fromarray(GREYS).save(tmp_path / "a.png", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x05\x00\x12")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").array, GREYS)


def test_transparency_lies_on_black(tmp_path):
    """Half transparent is half as bright, wholly transparent is background; opaque pictures are as without alpha."""
    colours = np.full((3, 4, 4), 200, np.uint8)
    colours[..., 3] = 255
    Picture.fromarray(colours).save(tmp_path / "opaque.png")
    colours[0, :, 3], colours[1, :, 3] = 0, 51
    Picture.fromarray(colours).save(tmp_path / "alpha.png")
    Picture.fromarray(colours).convert("LA").save(tmp_path / "grey.png")
    Picture.fromarray(colours).save(tmp_path / "alpha.tif")
    expected = np.repeat([[0], [40], [200]], 4, axis=1)
    assert (read_image(tmp_path / "opaque.png").array == 200).all()
    for name in ("alpha.png", "alpha.tif"):
        np.testing.assert_array_equal(read_image(tmp_path / name).array, np.stack([expected] * 3, axis=-1))
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png").array, expected)


def test_a_transparent_colour_of_a_palette_is_black(tmp_path):
    clear = int(FEW[0, 0])
    Picture.fromarray(FEW).convert("P").save(tmp_path / "a.png", transparency=clear)
    array = read_image(tmp_path / "a.png").array
    assert array.shape == (20, 30, 3)
    np.testing.assert_array_equal(array, np.stack([np.where(clear == FEW, 0, FEW)] * 3, axis=-1))


def test_a_picture_drawn_by_transparency_alone_is_refused(tmp_path):
    array = np.zeros((20, 30, 4), np.uint8)
    array[5:9, 5:9, 3] = 255
    Picture.fromarray(array).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"E202 case 'p7': .* what it shows is in its transparency; store it without"):
        read_image(tmp_path / "a.png", case="p7")


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_palettes_become_rgb(tmp_path, suffix):
    colours = np.stack([FEW, 255 - FEW, FEW // 2], axis=-1)
    Picture.fromarray(colours).quantize(8, dither=Picture.Dither.NONE).save(tmp_path / f"a{suffix}")
    with Picture.open(tmp_path / f"a{suffix}") as picture:
        assert picture.mode == "P"
    np.testing.assert_allclose(read_image(tmp_path / f"a{suffix}").array, colours, atol=1)


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_becomes_rgb(tmp_path, suffix):
    colours = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    Picture.fromarray(colours).convert("CMYK").save(tmp_path / f"a{suffix}")
    with Picture.open(tmp_path / f"a{suffix}") as picture:
        assert picture.mode == "CMYK"
    np.testing.assert_allclose(read_image(tmp_path / f"a{suffix}").array, colours, atol=3)


def test_the_largest_picture_of_the_archives(tmp_path):
    """4288x2848 pixels, as the largest dermoscopy images have."""
    large = np.zeros((2848, 4288, 3), np.uint8)
    large[1000:2000, 3000:] = (250, 120, 60)
    Picture.fromarray(large).save(tmp_path / "a.jpg")
    image = read_image(tmp_path / "a.jpg")
    assert image.shape == (2848, 4288)
    np.testing.assert_allclose(image.array[1500, 3500], (250, 120, 60), atol=3)
