from __future__ import annotations

import pytest

from mednoisy.data.file_matching import images_with_masks
from mednoisy.errors import UserError


@pytest.fixture
def folders(tmp_path):
    """Makes empty files in `images` and `masks`."""

    def make(images, masks):
        for folder, names in (("images", images), ("masks", masks)):
            for name in names:
                (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / folder / name).touch()
        return tmp_path / "images", tmp_path / "masks"

    return make


def test_images_have_the_mask_of_their_name_or_none(folders):
    """Endings are cut off masks, other files of the archive are passed over."""
    images, masks = folders(
        ["b.jpg", "a.jpg", "c.tif", "a_superpixels.png", "notes.txt"], ["a_Segmentation.png", "c.png"]
    )
    found = images_with_masks(images, masks, strip=["_segmentation", "_Segmentation"], leave_out=["_superpixels"])
    assert found == {
        "a": (images / "a.jpg", masks / "a_Segmentation.png"),
        "b": (images / "b.jpg", None),
        "c": (images / "c.tif", masks / "c.png"),
    }
    assert list(found) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("images", "masks", "message"),
    [
        (["a.jpg", "a.png", "b.jpg", "b.bmp", "c.jpg"], ["a.png"],
         r"E421 .*images holds more than one file for a \(a.jpg, a.png\), b \(b.bmp, b.jpg\). Keep one of each"),
        (["a.jpg"], ["a.png", "a_mask.png"], r"E421 .*masks holds more than one file for a \(a.png, a_mask.png\)"),
        (["a.jpg"], ["a.png", "b.png", "c.png"], r"E423 .*masks holds masks without image in .*images: b, c\. Add"),
        (["a.jpg"], ["0001.png"], r"E422 .* have no id in common. Name the files alike; now there are 'a' and '0001'"),
        (["a.jpg"], [], r"E420 .*masks is no folder"),
    ],
)  # fmt: skip
def test_what_pairs_ambiguously_is_refused_and_listed(folders, images, masks, message):
    with pytest.raises(UserError, match=message):
        images_with_masks(*folders(images, masks), strip=["_mask"])


@pytest.mark.parametrize("name", ["5.gif", "5.dcm", "5", "sub/5.webp", "5.npy"])
def test_a_file_that_no_reader_knows_is_listed_and_refused(folders, name):
    """A mask as GIF must not make its case an unlabeled one."""
    images, masks = folders(["4.png", "5.png"], ["4.png", name])
    with pytest.raises(UserError, match=rf"E242 .*masks holds files that no reader knows: {name}\. Convert them"):
        images_with_masks(images, masks)


def test_what_accompanies_cases_is_passed_over(folders):
    """Texts, a header's own data file, what a program wrote beside a mask; and not another case's data."""
    more = ["LICENSE.txt", "a.npz", "a.nii.gz.json", "b.mhd", "b.zraw", "b.pkl", "dataset.json"]
    images, masks = folders(["a.png", "b.png"], ["a.png", *more])
    assert [mask.name for _, mask in images_with_masks(images, masks).values()] == ["a.png", "b.mhd"]
