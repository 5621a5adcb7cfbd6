"""The portrait renderer: deterministic, complete, local in its counterfactuals."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from faceedit.errors import OutputError, UsageError
from faceedit.portraits.attributes import sample_attributes
from faceedit.portraits.folder import possible_edits, write_folder
from faceedit.portraits.render import counterfactual, render
from faceedit.portraits.sheet import contact_sheet
from faceedit.portraits.vocabulary import ATTRIBUTES, attribute_value
from faceedit.regions import REGIONS

SIZE = 64
LANDMARKS = {
    "left_eye", "right_eye", "nose_tip", "mouth_left", "mouth_right", "chin", "left_ear", "right_ear", "forehead_top",
}  # fmt: skip


def test_same_seed_same_picture() -> None:
    """Broken by hidden random state."""
    first, second = render(11, SIZE), render(11, SIZE)
    assert np.array_equal(first.image, second.image)
    assert all(np.array_equal(first.regions[name], second.regions[name]) for name in REGIONS)
    assert not np.array_equal(first.image, render(12, SIZE, regions=False).image)


@pytest.mark.parametrize("seed", [2, 9])
def test_same_person_at_every_size(seed: int) -> None:
    """Broken by lengths in pixels or by random numbers that depend on the size."""
    small, large = render(seed, 64), render(seed, 192)
    shrunk = cv2.resize(large.image, (64, 64), interpolation=cv2.INTER_AREA)
    assert np.corrcoef(small.image.ravel(), shrunk.ravel())[0, 1] > 0.97
    for name, (x, y) in small.landmarks.items():
        assert np.hypot(large.landmarks[name][0] / 3 - x, large.landmarks[name][1] / 3 - y) < 0.01


@pytest.mark.parametrize("seed", [0, 3, 24])
def test_regions_are_complete(seed: int) -> None:
    """Broken by a missing or empty region, a value outside [0, 1], or a misplaced one."""
    portrait = render(seed, SIZE)
    assert set(portrait.regions) == set(REGIONS)
    for name, mask in portrait.regions.items():
        assert mask.shape == (SIZE, SIZE) and mask.dtype == np.float32, name
        assert mask.min() >= 0 and mask.max() <= 1 and mask.max() > 0.8, name
        assert mask.mean() < 0.6, name
    face = portrait.regions["face_shape"]
    for name in ("nose", "lips", "pupils", "cheeks"):
        assert (portrait.regions[name] * face).sum() > 0.9 * portrait.regions[name].sum(), name
    x0, y0, x1, y1 = portrait.face_box
    assert set(portrait.landmarks) == LANDMARKS
    assert all(x0 - 2 <= x <= x1 + 2 and y0 - 2 <= y <= y1 + 2 for x, y in portrait.landmarks.values())
    assert portrait.landmarks["left_eye"][0] < portrait.landmarks["right_eye"][0]


def test_named_regions_only() -> None:
    """Broken by mask work nobody asked for."""
    assert set(render(1, SIZE, regions=["lips"]).regions) == {"lips"}
    assert render(1, SIZE, regions=False).regions == {}


def _seeds_with(field: str, value: str, count: int) -> list[int]:
    found = (seed for seed in range(400) if (field, value) in possible_edits(sample_attributes(seed)))
    return [seed for seed, _ in zip(found, range(count), strict=False)]


@pytest.mark.parametrize("item", [item for item in ATTRIBUTES if item.editable], ids=lambda item: item.key)
def test_counterfactuals_change_only_their_regions(item) -> None:
    """Broken by an attribute that leaks outside its regions, does nothing, or shifts another one's random numbers."""
    reach = round(0.04 * SIZE)
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    seeds = _seeds_with(item.field, item.value, 2)
    assert seeds
    for seed in seeds:
        before = render(seed, SIZE, regions=item.regions)
        after = counterfactual(seed, SIZE, item.field, item.value, regions=False)
        change = np.abs(after.image.astype(np.float32) - before.image).sum(2)
        place = np.maximum.reduce(list(before.regions.values())) > 0.3
        inside = cv2.dilate(place.astype(np.uint8), brush) > 0
        assert change.sum() > 20, seed
        assert change[inside].sum() >= 0.97 * change.sum(), seed


def test_attribute_value_drives_the_counterfactual() -> None:
    """Broken by a counterfactual that loses the attributes it started from."""
    base = sample_attributes(4).with_value("hat", "cap")
    other = counterfactual(4, SIZE, "glasses", "sunglasses", base, regions=False)
    assert other.attributes == base.with_value("glasses", "sunglasses")
    assert attribute_value("glasses", "sunglasses").phrases[0] == "sunglasses"


def test_bad_requests_are_refused() -> None:
    """Broken by sizes or seeds that would end in a traceback."""
    for seed, size in ((-1, 64), (0, 8), (0, 100_000)):
        with pytest.raises(UsageError):
            render(seed, size)


def test_write_folder(tmp_path) -> None:
    """Broken by missing files, by masks that are not whole, or by overwriting a folder in use."""
    out = tmp_path / "data"
    assert write_folder(out, 2, seed=40, size=SIZE, counterfactuals=2) == 2
    lines = [json.loads(line) for line in (out / "portraits.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["seed"] for line in lines] == [40, 41]
    for index, line in enumerate(lines):
        picture = cv2.imread(str(out / line["file"]))[..., ::-1]
        assert np.array_equal(picture, render(40 + index, SIZE, regions=False).image)
        assert {path.stem for path in (out / "masks" / f"{index:06d}").iterdir()} == set(REGIONS)
        assert len(line["counterfactuals"]) == 2
        assert all((out / edit["file"]).is_file() for edit in line["counterfactuals"])
        assert set(line["captions"]) == {"direct", "indirect", "subjective"}
    with pytest.raises(OutputError, match="not empty"):
        write_folder(out, 1, size=SIZE)
    assert write_folder(out, 1, seed=40, size=SIZE, force=True) == 1


def test_contact_sheet() -> None:
    """Broken by pictures out of their cells."""
    sheet = contact_sheet(range(3), columns=2, size=SIZE)
    assert sheet.shape == (2 * SIZE, 2 * SIZE, 3)
    assert np.array_equal(sheet[SIZE:, :SIZE], render(2, SIZE, regions=False).image)
    assert (sheet[SIZE:, SIZE:] == 255).all()
