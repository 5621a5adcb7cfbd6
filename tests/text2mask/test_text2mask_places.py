"""Regions of a photographed face, judged on portraits, whose parsing and true regions are both known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceedit.faces import crop_pixels
from faceedit.lamask.parts import PARTS
from faceedit.lamask.portraits import portrait_parts
from faceedit.portraits.attributes import sample_attributes
from faceedit.portraits.render import Rendered, render
from faceedit.regions import REGIONS
from faceedit.request import Face, Picture, Portrait
from faceedit.text2mask.places import face_on_crop, photo_masks, with_parsed_landmarks
from faceedit.text2mask.write import SMALLEST_SHARE

POINTS = ("left_eye", "right_eye", "nose_tip", "mouth_left", "mouth_right")
BARE = {"hat": "none", "bangs": "no", "glasses": "none", "eyes": "open", "hair_style": "short"}


def drawn(seed: int, **changes: str) -> Rendered:
    attributes = sample_attributes(seed)
    for field, value in (BARE | changes).items():
        attributes = attributes.with_value(field, value)
    return render(seed, 128, attributes)


def face_of(portrait: Rendered) -> Face:
    return Face(portrait.face_box, 1.0, 0, {name: portrait.landmarks[name] for name in POINTS})


def found_in(portrait: Rendered, face: Face | None = None) -> dict[str, np.ndarray]:
    return photo_masks(portrait_parts(portrait), face or face_of(portrait), REGIONS, SMALLEST_SHARE)


def test_every_region_lies_where_it_is() -> None:
    """Breaks when a region is taken from other parts, or its outline lies elsewhere."""
    scores: dict[str, list[float]] = {}
    for seed in range(6):
        portrait = drawn(seed)
        for region, mask in found_in(portrait).items():
            true, found = portrait.regions[region] >= 0.5, mask >= 0.5
            scores.setdefault(region, []).append(float((true & found).sum() / (true | found).sum()))
            assert mask.min() >= 0 and mask.max() <= 1 and mask.shape == (128, 128) and mask.dtype == np.float32
    means = {region: np.mean(values) for region, values in scores.items()}
    assert set(means) == set(REGIONS)
    assert not {region: mean for region, mean in means.items() if mean < 0.5}


def test_a_mean_face_is_corrected_by_the_parsing() -> None:
    """Breaks when outlines stay where a detector's mean face put them, beside the eyes that the parser sees."""
    portrait = drawn(2)
    width = portrait.face_box[2] - portrait.face_box[0]
    off = replace(
        face_of(portrait), landmarks={k: (x, y + 0.08 * width) for k, (x, y) in face_of(portrait).landmarks.items()}
    )
    right, corrected = found_in(portrait)["cheeks"], found_in(portrait, off)["cheeks"]
    assert np.abs(right - corrected).mean() < 0.002
    far = replace(off, landmarks={k: (x, y + 0.5 * width) for k, (x, y) in off.landmarks.items()})
    assert with_parsed_landmarks(far, portrait_parts(portrait)) == far


def test_what_is_hidden_is_left_out_and_what_can_be_put_on_is_not() -> None:
    """Breaks when a forehead under a hat is trained on, or a face without glasses has no place for them."""
    hidden = found_in(drawn(3, hat="beanie", glasses="sunglasses"))
    assert not {"forehead", "eyes", "pupils", "makeup", "expression"} & set(hidden)
    assert {"hat", "eyeglasses", "beard", "cheeks", "nose"} <= set(hidden)
    bare = drawn(3, necklace="none", earring="none")
    for region in ("hat", "eyeglasses", "necklace", "earring"):
        worn, true = found_in(bare)[region], bare.regions[region]
        assert (np.minimum(worn, true).sum() / np.maximum(worn, true).sum()) > 0.4, region


def test_outlines_stay_on_skin() -> None:
    """Breaks when cheeks run over the hair beside them or a beard onto the collar."""
    portrait = drawn(4, hair_style="long")
    parts, found = portrait_parts(portrait), found_in(portrait)
    assert not found["cheeks"][parts != PARTS.index("skin")].any()
    assert not found["beard"][~np.isin(parts, [PARTS.index("skin"), PARTS.index("neck")])].any()


def test_no_parsed_face_gives_no_place_of_it() -> None:
    """Breaks when a mask is made up where the parser sees nothing."""
    nothing = photo_masks(np.zeros((64, 64), np.uint8), Face((12, 12, 52, 52)), REGIONS, SMALLEST_SHARE)
    assert set(nothing) <= {"hair", "hat", "earring"}


@given(st.integers(0, 3), st.integers(-10, 30), st.integers(0, 20), st.sampled_from([32, 64, 100]))
def test_face_on_crop_sees_what_the_crop_shows(turns: int, x0: int, y0: int, size: int) -> None:
    """Breaks when landmarks and pixels of a crop are turned, moved or scaled in different ways."""
    rgb = np.zeros((60, 80, 3), np.uint8)
    rgb[22:26, 31:35] = 255
    face = Face((20.0, 12.0, 50.0, 42.0), 1.0, turns, {"left_eye": (33.0, 24.0)})
    portrait = Portrait(Picture(rgb, None, "RGB", "PNG", None, None, None, ""), face, (x0, y0, x0 + 50, y0 + 50))
    moved = face_on_crop(portrait, size)
    ys, xs = np.nonzero(crop_pixels(portrait, size)[..., 0] > 127)
    if len(xs):
        at = moved.landmarks["left_eye"]
        inside = 2 <= at[0] <= size - 2 and 2 <= at[1] <= size - 2
        assert not inside or np.hypot(xs.mean() + 0.5 - at[0], ys.mean() + 0.5 - at[1]) < 1 + size / 50
    assert moved.quarter_turns == 0
    assert moved.box[2] - moved.box[0] == pytest.approx(30 * size / 50)
