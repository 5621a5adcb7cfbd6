"""Region templates: on the right place, at every size and turn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceedit import masks
from faceedit.errors import NothingToEditError, UsageError
from faceedit.locate.base import build_locator, locator_names
from faceedit.locate.frame import frame_to_picture
from faceedit.locate.shapes import SHAPES, region_raster
from faceedit.locate.template import place
from faceedit.portraits.render import Rendered, render
from faceedit.prompts import parse
from faceedit.regions import REGIONS
from faceedit.request import EditText, Face, Picture, Portrait

SIZE = 128
FACE = Face((40.0, 30.0, 110.0, 100.0))


@pytest.fixture(scope="module")
def portraits() -> list[Rendered]:
    """Portraits that the templates were not tuned on."""
    return [render(seed, SIZE) for seed in (41, 42, 43, 44, 45, 46)]


def portrait(face: Face, size: tuple[int, int] = (SIZE, SIZE)) -> Portrait:
    picture = Picture(np.zeros((*size, 3), np.uint8), None, "RGB", "PNG", None, None, None, "")
    return Portrait(picture, face, (0, 0, size[1], size[0]))


def test_every_region_has_a_template_of_some_size() -> None:
    """Breaks when a region is added without an outline, or an outline is drawn empty or over everything."""
    assert set(SHAPES) == set(REGIONS)
    for region in REGIONS:
        assert 0.001 < float(region_raster(region).mean()) < 0.3, region


def test_templates_are_mirror_images() -> None:
    """Breaks when one half of an outline is forgotten."""
    for region in REGIONS:
        raster = region_raster(region)
        assert np.abs(raster - raster[:, ::-1]).mean() < 0.02 * raster.mean(), region


@pytest.mark.parametrize("known", ["landmarks", "box"])
def test_templates_cover_the_exact_regions_without_much_more(portraits: list[Rendered], known: str) -> None:
    """Breaks when an outline or the frame moves away from where the renderer draws the region."""
    for region in REGIONS:
        covered, area = [], []
        for rendered in portraits:
            exact = rendered.regions[region]
            landmarks = rendered.landmarks if known == "landmarks" else {}
            face = Face(rendered.face_box, landmarks=landmarks)
            values = place((region,), face, (SIZE, SIZE))
            grown = masks.dilate(values, 0.02 * SIZE)
            covered.append(float(np.minimum(grown, exact).sum() / exact.sum()))
            area.append(float(values.sum() / exact.sum()))
        assert np.mean(covered) > (0.85 if region == "hair" else 0.95), region
        assert np.mean(area) < 2.7, region


@given(
    turns=st.integers(0, 3),
    with_landmarks=st.booleans(),
    region=st.sampled_from(REGIONS),
)
@settings(deadline=None, max_examples=30)
def test_a_turned_face_gets_the_turned_template(turns: int, with_landmarks: bool, region: str) -> None:
    """Breaks when quarter turns go the wrong way round: the mask of a turned picture is the turned mask."""
    landmarks = {
        "left_eye": (60.0, 60.0),
        "right_eye": (90.0, 57.0),
        "mouth_left": (64.0, 90.0),
        "mouth_right": (89.0, 88.0),
    }
    upright = replace(FACE, landmarks=landmarks if with_landmarks else {})
    wanted = place((region,), upright, (140, 160))
    face, (height, width) = upright, (140, 160)
    for _ in range((4 - turns) % 4):
        face = _turned(face, width)
        height, width = width, height
    found = place((region,), replace(face, quarter_turns=turns), (height, width))
    assert np.abs(np.rot90(found, turns) - wanted).mean() < 2e-3 * wanted.mean() + 1e-4


def _turned(face: Face, width: int) -> Face:
    """The face after one counter-clockwise quarter turn of a picture of this width."""

    def turn(x: float, y: float) -> tuple[float, float]:
        return y, width - x

    (ax, ay), (bx, by) = turn(*face.box[:2]), turn(*face.box[2:])
    box = (min(ax, bx), min(ay, by), max(ax, bx), max(ay, by))
    return replace(face, box=box, landmarks={name: turn(*point) for name, point in face.landmarks.items()})


def test_landmarks_win_over_the_box_and_degenerate_ones_do_not() -> None:
    """Breaks when landmarks are ignored, or three points on a line collapse the frame."""
    eyes = {"left_eye": (60.0, 60.0), "right_eye": (90.0, 60.0)}
    matrix = frame_to_picture(
        replace(FACE, landmarks={**eyes, "mouth_left": (65.0, 95.0), "mouth_right": (85.0, 95.0)})
    )
    np.testing.assert_allclose(matrix, [[30, 0, 75], [0, 35, 60]])
    np.testing.assert_allclose(frame_to_picture(replace(FACE, landmarks=eyes)), [[30, 0, 75], [0, 30, 60]])
    flat = replace(FACE, landmarks={**eyes, "mouth_left": (60.0, 60.0), "mouth_right": (90.0, 60.0)})
    np.testing.assert_allclose(frame_to_picture(flat), frame_to_picture(FACE))


def test_the_mask_is_the_union_of_the_edits_regions() -> None:
    edit = parse(["red lipstick and bushy eyebrows"])
    found = build_locator("template").locate(portrait(FACE), edit)
    parts = [place((region,), FACE, (SIZE, SIZE)) for region in ("lips", "eyebrows")]
    np.testing.assert_array_equal(found.values, np.maximum(*parts))
    assert found.values.dtype == np.float32 and found.origin == "template: lips, eyebrows"


@pytest.mark.parametrize("scale", [0.05, 1.0, 20.0])
def test_area_follows_the_face_at_every_scale(scale: float) -> None:
    """Breaks when a small face's mask is sampled so coarsely that it fades or doubles."""
    side = max(round(150 * scale), 8)
    box = (40 * scale, 30 * scale, 110 * scale, 100 * scale)
    area = float(place(("cheeks",), Face(box), (side, side)).sum()) / scale**2
    assert area == pytest.approx(float(place(("cheeks",), FACE, (150, 150)).sum()), rel=0.1)


def test_a_region_outside_the_picture_is_nothing_to_edit() -> None:
    """Breaks when a necklace below the lower border gives an empty mask instead of exit code 5."""
    with pytest.raises(NothingToEditError, match="outside") as caught:
        build_locator("template").locate(portrait(FACE, (100, SIZE)), parse(["a necklace"]))
    assert caught.value.exit_code == 5


def test_an_edit_without_regions_and_unknown_names_are_refused() -> None:
    with pytest.raises(UsageError, match="no place"):
        build_locator("template").locate(portrait(FACE), EditText((), "a person", "a person"))
    with pytest.raises(UsageError, match="elbow"):
        place(("elbow",), FACE, (SIZE, SIZE))
    with pytest.raises(UsageError, match="oracle") as caught:
        build_locator("oracle")
    assert all(name in caught.value.hint for name in locator_names())
