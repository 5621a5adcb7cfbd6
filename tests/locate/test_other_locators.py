"""The user's mask and the exact regions of rendered portraits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceedit.errors import NothingToEditError, UsageError
from faceedit.locate.exact import ExactRegions, Roughness
from faceedit.locate.user import UserMask
from faceedit.portraits.render import Rendered, render
from faceedit.prompts import parse
from faceedit.request import Face, Picture, Portrait

SIZE = 96


def portrait_of(rgb: np.ndarray) -> Portrait:
    picture = Picture(rgb, None, "RGB", "PNG", None, None, None, "")
    height, width = rgb.shape[:2]
    return Portrait(picture, Face((0, 0, width, height)), (0, 0, width, height))


@pytest.fixture(scope="module")
def rendered() -> Rendered:
    return render(7, SIZE)


def test_the_users_mask_is_taken_as_it_is(tmp_path: Path) -> None:
    values = np.zeros((SIZE, SIZE), np.uint8)
    values[10:20, 30:50] = 255
    Image.fromarray(values).save(tmp_path / "mask.png")
    portrait = portrait_of(np.zeros((SIZE, SIZE, 3), np.uint8))
    found = UserMask.read(tmp_path / "mask.png", portrait.picture.size).locate(portrait, parse(["red lips"]))
    np.testing.assert_array_equal(found.values, values / np.float32(255))
    assert found.origin == "file"


def test_a_mask_of_another_size_needs_asking(tmp_path: Path) -> None:
    Image.new("L", (SIZE // 2, SIZE // 2), 255).save(tmp_path / "mask.png")
    with pytest.raises(UsageError):
        UserMask.read(tmp_path / "mask.png", (SIZE, SIZE))
    assert UserMask.read(tmp_path / "mask.png", (SIZE, SIZE), resize=True).values.min() == 1


@pytest.mark.parametrize("how", ["exact", "dilate", "hull"])
def test_exact_regions_never_lose_what_they_mark(rendered: Rendered, how: Roughness) -> None:
    """Breaks when roughening shrinks a region, or the union forgets one."""
    found = ExactRegions(rendered, how).locate(portrait_of(rendered.image), parse(["rosy cheeks and red lips"]))
    union = np.maximum(rendered.regions["cheeks"], rendered.regions["lips"])
    assert (found.values >= union).all()
    assert (found.values.sum() > union.sum()) == (how != "exact")


def test_exact_regions_refuse_another_picture_and_an_empty_place(rendered: Rendered) -> None:
    with pytest.raises(UsageError, match="96x96"):
        ExactRegions(rendered).locate(portrait_of(np.zeros((50, 60, 3), np.uint8)), parse(["red lips"]))
    empty = Rendered(
        rendered.seed,
        SIZE,
        rendered.image,
        {name: np.zeros_like(mask) for name, mask in rendered.regions.items()},
        rendered.landmarks,
        rendered.face_box,
        rendered.attributes,
    )
    with pytest.raises(NothingToEditError, match="lips"):
        ExactRegions(empty).locate(portrait_of(rendered.image), parse(["red lips"]))
