"""Finding a face, cropping it and pasting it back: photographs, drawn portraits, pictures without a face."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data

from faceedit import faces, masks
from faceedit.compare import outside_max_abs_diff
from faceedit.detect import drop_nested, merge, yunet_detector
from faceedit.errors import ImageError, NothingToEditError, NumericError, WeightsError
from faceedit.portraits.render import Rendered, render
from faceedit.portraits.split import held_out_seed
from faceedit.request import Bytes3, Face, Picture, Portrait
from faceedit.template_fit import as_rgb

WITHOUT_FACE = ("chelsea", "camera", "coffee", "coins", "clock", "gravel")
EYES_IN_ASTRONAUT = {"left_eye": (202, 101), "right_eye": (247, 103)}


def picture_of(rgb: Bytes3) -> Picture:
    return Picture(np.ascontiguousarray(rgb), None, "RGB", "PNG", None, None, None, "")


@lru_cache(maxsize=1)
def astronaut() -> Bytes3:
    return as_rgb(data.astronaut())


@lru_cache(maxsize=32)
def drawn(index: int, size: int = 128) -> Rendered:
    return render(held_out_seed(40_000 + index), size, regions=False)


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Intersection over union."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def test_the_astronaut_has_one_face_in_the_right_place() -> None:
    """Breaks when the badge or the helmet counts as a face, or when the cascade is not found offline."""
    (face,) = faces.find_faces(picture_of(astronaut()))
    for name, place in EYES_IN_ASTRONAUT.items():
        assert np.hypot(*np.subtract(face.landmarks[name], place)) < 8
    assert overlap(face.box, (175, 58, 272, 172)) > 0.75


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_photograph_gives_the_same_face_turned(turns: int) -> None:
    """Breaks when the box or the landmarks are turned back the wrong way, or the crop is not upright."""
    photograph = astronaut()[:256, 96:352]
    upright = faces.portrait_of(picture_of(photograph), faces.find_faces(picture_of(photograph))[0])
    picture = picture_of(np.rot90(photograph, turns))
    (face,) = faces.find_faces(picture)
    assert face.quarter_turns == (4 - turns) % 4
    wanted = np.asarray(faces.crop_pixels(upright, 64), np.float32)
    found = np.asarray(faces.crop_pixels(faces.portrait_of(picture, face), 64), np.float32)
    assert np.corrcoef(wanted.ravel(), found.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("name", WITHOUT_FACE)
def test_pictures_without_a_face_give_none(name: str) -> None:
    """Breaks when a threshold is loosened: the cat, the coins and the gravel come first."""
    assert faces.find_faces(picture_of(as_rgb(getattr(data, name)()))) == ()


@pytest.mark.parametrize("size", [96, 256])
def test_drawn_portraits_are_found_and_used_whole(size: int) -> None:
    """Breaks when the template no longer fits the renderer: `python -m faceedit.template_fit` fits it again."""
    misses, errors = 0, []
    for index in range(12):
        portrait = drawn(index, size)
        picture = picture_of(portrait.image)
        found = faces.find_faces(picture)
        if len(found) != 1 or overlap(found[0].box, portrait.face_box) < 0.7:
            misses += 1
            continue
        assert faces.portrait_of(picture, found[0]).crop == (0, 0, size, size)
        errors += [
            np.hypot(*np.subtract(found[0].landmarks[k], portrait.landmarks[k])) / size
            for k in ("left_eye", "nose_tip")
        ]
    assert misses <= 1
    assert np.mean(errors) < 0.035


def test_a_turned_drawing_is_turned_upright() -> None:
    """Breaks when the template takes a lying or a hanging face for an upright one."""
    hits = [
        faces.find_faces(picture_of(np.rot90(drawn(index).image, -turns))) for index in range(3) for turns in (1, 2, 3)
    ]
    turns = [found[0].quarter_turns if found else None for found in hits]
    assert sum(a == b for a, b in zip(turns, [1, 2, 3] * 3, strict=True)) >= 8


def test_two_faces_are_counted_from_left_to_right() -> None:
    """Breaks when the order follows the detector's votes: `--face 1` would mean another face after a small change."""
    wide = np.full((300, 900, 3), 120, np.uint8)
    wide[40:296, 600:856] = astronaut()[:256, 100:356]
    wide[20:276, 50:306] = astronaut()[:256, 100:356]
    found = faces.find_faces(picture_of(wide))
    assert [face.box[0] < 450 for face in found] == [True, False]
    assert found == faces.find_faces(picture_of(wide))


def test_choosing_takes_the_largest_or_the_number_and_says_what_is_wrong() -> None:
    """Breaks when a missing face becomes a whole-picture edit, or a wrong number an index error."""
    small, large = Face((0, 0, 20, 20)), Face((30, 0, 80, 60))
    assert faces.choose_face((small, large)) is large
    assert faces.choose_face((small, large), 0) is small
    with pytest.raises(NothingToEditError, match="no face was found") as caught:
        faces.choose_face(())
    assert caught.value.exit_code == 5
    for number in (2, -1):
        with pytest.raises(NothingToEditError, match=f"no face {number}"):
            faces.choose_face((small, large), number)


def test_the_crop_is_framed_as_the_drawn_portraits_are() -> None:
    """Breaks when the face comes out larger or higher than the models know it."""
    face = Face((500.0, 300.0, 600.0, 420.0), landmarks={"left_eye": (530.0, 350.0), "right_eye": (570.0, 350.0)})
    portrait = faces.portrait_of(picture_of(np.zeros((1000, 1400, 3), np.uint8)), face)
    x0, y0, x1, y1 = portrait.crop
    assert x1 - x0 == y1 - y0
    assert abs(100 / (x1 - x0) - faces.FACE_SHARE) < 0.01
    assert abs((350 - y0) / (y1 - y0) - faces.EYE_LINE) < 0.01
    assert abs((x0 + x1) / 2 - 550) <= 1
    wider = faces.portrait_of(portrait.picture, face, margin=1.5)
    assert abs((wider.crop[2] - wider.crop[0]) / (x1 - x0) - 1.5) < 0.02


def test_a_crop_over_the_border_repeats_the_edge() -> None:
    """Breaks when the outside is black, which the models take for hair."""
    picture = picture_of(np.full((100, 200, 3), 77, np.uint8))
    portrait = faces.portrait_of(picture, Face((0.0, 0.0, 60.0, 70.0)))
    assert portrait.crop[0] < 0
    assert (faces.crop_pixels(portrait, 64) == 77).all()
    assert faces.crop_mask(np.ones((100, 200), np.float32), portrait, 64).min() == 0


@pytest.mark.parametrize("size", [(100, 100), (90, 100), (101, 84)])
def test_a_whole_portrait_covers_the_picture_with_a_square(size: tuple[int, int]) -> None:
    """Breaks when a near-square portrait is cut."""
    portrait = faces.whole_portrait(picture_of(np.zeros((*size, 3), np.uint8)))
    x0, y0, x1, y1 = portrait.crop
    assert x1 - x0 == y1 - y0 == max(size)
    assert x0 <= 0 <= size[1] <= x1
    assert y0 <= 0 <= size[0] <= y1


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(30, 70), st.integers(30, 70)),
    st.tuples(st.integers(-20, 40), st.integers(-20, 40)),
    st.integers(17, 60),
    st.integers(0, 3),
    st.integers(0, 1000),
    st.sampled_from(["full", "change", "blend"]),
)
def test_outside_the_mask_every_pixel_is_the_inputs(
    size: tuple[int, int], corner: tuple[int, int], side: int, turns: int, seed: int, mode: Any
) -> None:
    """Breaks when blending is arithmetic everywhere: a rounding of x + 0 * y is enough."""
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    face = Face((0.0, 0.0, 1.0, 1.0), quarter_turns=turns)
    portrait = Portrait(picture_of(rgb), face, (*corner, corner[0] + side, corner[1] + side))
    mask = np.where(rng.random(size) < 0.5, 0, rng.random(size)).astype(np.float32)
    edited, before = rng.random((2, 24, 24, 3), dtype=np.float32)
    result = faces.paste_back(rgb, portrait, edited, mask, mode, before)
    assert result.dtype == np.uint8
    assert result.shape == rgb.shape
    assert outside_max_abs_diff(rgb, result, mask) == 0
    beyond = mask.copy()
    y0, x0 = max(corner[1], 0), max(corner[0], 0)
    beyond[y0 : max(corner[1] + side, 0), x0 : max(corner[0] + side, 0)] = 0
    assert np.array_equal(result[beyond > 0], rgb[beyond > 0])


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_what_is_painted_on_the_crop_lands_in_its_place(turns: int) -> None:
    """Breaks when the result is not turned back, or is shifted by half a pixel or more."""
    rgb = np.full((200, 300, 3), 50, np.uint8)
    face = Face((120.0, 60.0, 180.0, 130.0), quarter_turns=turns)
    portrait = Portrait(picture_of(rgb), face, (90, 30, 218, 158))
    mask = np.zeros((200, 300), np.float32)
    mask[40:60, 100:180] = 1
    on_crop = faces.crop_mask(mask, portrait, 64)
    edited = np.full((64, 64, 3), 50 / 255, np.float32) + on_crop[..., None] * 0.5
    result = faces.paste_back(rgb, portrait, edited, np.ones_like(mask))
    bright = result[:, :, 0] > 50 + 64
    assert abs(int(bright.sum()) - int(mask.sum())) < 0.15 * mask.sum()
    assert (bright & (mask == 1)).sum() > 0.9 * bright.sum()
    assert np.abs(faces.uncrop_mask(on_crop, portrait) - mask).mean() < 0.01


def test_pasting_only_the_change_keeps_the_pictures_own_texture() -> None:
    """Breaks when the blurred crop replaces the pixels: an edit that changes nothing must give the input back."""
    rgb = np.random.default_rng(0).integers(40, 200, (120, 120, 3), dtype=np.uint8)
    portrait = faces.whole_portrait(picture_of(rgb))
    blurred = np.asarray(faces.crop_pixels(portrait, 24), np.float32) / 255
    everywhere = np.ones((120, 120), np.float32)
    assert np.array_equal(faces.paste_back(rgb, portrait, blurred, everywhere, "change", blurred), rgb)
    brighter = faces.paste_back(rgb, portrait, blurred + 0.1, everywhere, "change", blurred)
    assert np.abs(brighter.astype(int) - rgb - 25.5).max() <= 1


def test_blend_keeps_texture_where_little_changes_and_drops_it_where_much_does() -> None:
    """Breaks when the rims of removed glasses shine through, or when a tint costs the skin its texture."""
    rgb = np.random.default_rng(0).integers(90, 110, (120, 120, 3), dtype=np.uint8)
    portrait = faces.whole_portrait(picture_of(rgb))
    blurred = np.full((24, 24, 3), 100 / 255, np.float32)
    edited = blurred.copy()
    edited[:, :12] += 0.02
    edited[:, 12:] += 0.5
    result = faces.paste_back(rgb, portrait, edited, np.ones((120, 120), np.float32), "blend", blurred)
    tinted, replaced = result[:, :50].astype(int), result[:, 70:]
    assert np.abs(tinted - rgb[:, :50] - 5).max() <= 1
    assert np.ptp(replaced) <= 1


def test_a_full_strength_paste_is_the_crop_itself() -> None:
    """Breaks when a mask of 1 still lets the input through."""
    rgb = np.zeros((64, 64, 3), np.uint8) + 10
    portrait = faces.whole_portrait(picture_of(rgb))
    edited = np.random.default_rng(1).random((64, 64, 3), dtype=np.float32)
    result = faces.paste_back(rgb, portrait, edited, np.ones((64, 64), np.float32))
    assert np.array_equal(result, np.rint(edited * 255).astype(np.uint8))


def test_bad_frames_and_masks_are_refused() -> None:
    """Breaks when NaN is pasted as black, or a mask of another size is stretched."""
    portrait = faces.whole_portrait(picture_of(np.full((64, 64, 3), 90, np.uint8)))
    mask = np.ones((64, 64), np.float32)
    with pytest.raises(NumericError):
        faces.paste_back(portrait.picture.rgb, portrait, np.full((8, 8, 3), np.nan, np.float32), mask)
    with pytest.raises(NumericError):
        faces.paste_back(portrait.picture.rgb, portrait, np.zeros((8, 8, 3), np.float32), mask)
    edited = np.full((8, 8, 3), 0.5, np.float32)
    with pytest.raises(ImageError, match="mask"):
        faces.paste_back(portrait.picture.rgb, portrait, edited, mask[:40])
    with pytest.raises(ImageError, match="reconstruction"):
        faces.paste_back(portrait.picture.rgb, portrait, edited, mask, "change")
    with pytest.raises(NumericError):
        faces.paste_back(portrait.picture.rgb, portrait, edited, mask, "change", edited * np.float32(np.nan))


def test_cropping_and_pasting_a_photograph_stays_within_the_soft_mask() -> None:
    """Breaks when any step of crop, edit, feather and paste touches what was not asked for."""
    picture = picture_of(astronaut())
    portrait = faces.portrait_of(picture, faces.choose_face(faces.find_faces(picture)))
    mask = np.zeros(picture.size, np.float32)
    mask[135:150, 205:245] = 1
    soft = masks.feather(mask, 6)
    crop = np.asarray(faces.crop_pixels(portrait, 64), np.float32) / 255
    result = faces.paste_back(picture.rgb, portrait, crop * (1.0, 0.6, 0.6), soft)
    assert outside_max_abs_diff(picture.rgb, result, soft) == 0
    assert np.abs(result.astype(int) - picture.rgb)[mask > 0].mean() > 10


def test_overlapping_boxes_are_one_and_a_face_within_a_face_goes() -> None:
    """Breaks when one face is counted twice."""
    boxes = np.array([(0, 0, 10, 10), (1, 0, 11, 10), (50, 50, 60, 60)], np.float64)
    assert sorted(votes for _, votes in merge(boxes, 0.4)) == [1, 2]
    nested = [Face((0, 0, 100, 100), 30), Face((20, 20, 60, 60), 14), Face((200, 0, 250, 50), 15)]
    assert [face.score for face in drop_nested(nested)] == [30, 15]


def test_yunet_without_its_file_says_where_it_belongs(tmp_path: Any) -> None:
    """Breaks when OpenCV's own exception reaches the user, for a missing or a wrong file."""
    with pytest.raises(WeightsError, match="missing"):
        yunet_detector(tmp_path / "yunet.onnx")
    (tmp_path / "yunet.onnx").write_bytes(b"no network")
    with pytest.raises(WeightsError, match="does not take"):
        yunet_detector(tmp_path / "yunet.onnx")(astronaut())


def test_a_large_photograph_is_searched_quickly_and_a_small_face_in_it_is_found() -> None:
    """Breaks when the search runs at full resolution, or only at a coarse one."""
    wide = np.full((1600, 2400, 3), 128, np.uint8)
    wide[300:812, 900:1412] = astronaut()
    (face,) = faces.find_faces(picture_of(wide))
    assert overlap(face.box, (900 + 172, 300 + 58, 900 + 272, 300 + 172)) > 0.6


def test_a_grey_photograph_has_its_face_too() -> None:
    """Breaks when detection leans on skin colour."""
    grey = np.asarray(Image.fromarray(astronaut()).convert("L").convert("RGB"))
    assert len(faces.find_faces(picture_of(grey))) == 1
