"""The shipped models: real edits of drawn portraits, end to end, and what belongs to shipping them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from faceedit.errors import UsageError
from faceedit.evaluate.scorers import bundled_judge
from faceedit.images import load_picture
from faceedit.models import manifest
from faceedit.portraits.attributes import sample_attributes
from faceedit.portraits.render import render
from faceedit.portraits.split import held_out_seed
from faceedit.recipe import load_recipe
from faceedit.request import Request, Result
from faceedit.resources import bundled_weights_dir
from faceedit.run import edit, load_editor

EXAMPLE = Path(__file__).parent.parent / "examples/portrait.png"
SHIPPED_LIMIT = 64 * 2**20


@pytest.fixture(scope="module")
def editor():
    return load_editor(load_recipe("mini/inpaint"))


@pytest.fixture(scope="module")
def rosy(editor) -> Result:
    return edit(Request(EXAMPLE, ("rosy cheeks",), recipe="mini/inpaint"), editor=editor)


def test_rosy_cheeks_are_red_cheeks_and_nothing_else(rosy: Result) -> None:
    """Breaks when the demo's edit is not seen, lies elsewhere, or touches a pixel outside the mask."""
    before = load_picture(EXAMPLE).rgb.astype(np.int16)
    after = rosy.rgb.astype(np.int16)
    assert np.array_equal(after[rosy.mask.values == 0], before[rosy.mask.values == 0])
    redder = (after[..., 0] - after[..., 1]) - (before[..., 0] - before[..., 1])
    assert redder[rosy.mask.values > 0.9].mean() > 8
    assert 0.005 < (rosy.mask.values > 0).mean() < 0.3


def test_the_judge_sees_rosy_cheeks(rosy: Result) -> None:
    judge = bundled_judge()
    (before, after) = judge.predict([load_picture(EXAMPLE).rgb, rosy.rgb])
    assert (before["cheeks"], after["cheeks"]) == ("plain", "rosy")


def test_the_same_request_gives_the_same_picture(editor, rosy: Result) -> None:
    """Breaks when an edit depends on what was edited before it."""
    edit(Request(EXAMPLE, ("sunglasses",), recipe="mini/inpaint", seed=5), editor=editor)
    again = edit(Request(EXAMPLE, ("rosy cheeks",), recipe="mini/inpaint"), editor=editor)
    assert np.array_equal(again.rgb, rosy.rgb)
    assert again.record == rosy.record


def test_edits_reach_what_they_say_more_often_than_chance(editor) -> None:
    """Breaks when the shipped weights are noise, of another vocabulary, or guided the wrong way."""
    judge = bundled_judge()
    wanted = {"a full beard": ("beard", "full"), "sunglasses": ("glasses", "sunglasses"), "a beanie": ("hat", "beanie"),
              "red lipstick": ("lip_color", "red"), "rosy cheeks": ("cheeks", "rosy")}  # fmt: skip
    reached = 0
    for number, (prompt, (field, value)) in enumerate(wanted.items()):
        seed = held_out_seed(100 + number)
        plain = sample_attributes(seed)
        for name, other in (("beard", "none"), ("mustache", "no"), ("glasses", "none"), ("hat", "none"),
                            ("lip_color", "natural"), ("cheeks", "plain")):  # fmt: skip
            plain = plain.with_value(name, other)
        portrait = render(seed, 256, plain, regions=False)
        result = edit(Request(encoded(portrait.image), (prompt,), recipe="mini/inpaint"), editor=editor)
        reached += judge.predict([result.rgb])[0][field] == value
    assert reached >= 2


def test_flux_sculptor_edits_the_place_and_keeps_the_rest() -> None:
    """Breaks when the shipped flow does not lead back to its own picture, or an edit does nothing where it should."""
    edited = edit(Request(EXAMPLE, ("rosy cheeks",), recipe="mini/flux-sculptor"))
    before, after = load_picture(EXAMPLE).rgb.astype(np.int16), edited.rgb.astype(np.int16)
    place = edited.mask.values
    assert np.array_equal(after[place == 0], before[place == 0])
    redder = (after[..., 0] - after[..., 1]) - (before[..., 0] - before[..., 1])
    assert redder[place > 0.9].mean() > 4
    # The flow there and back is no drawing from nothing: what is not asked for stays near its colour.
    assert np.abs(after - before)[place > 0.9].mean() < 40


def test_words_outside_the_vocabulary_are_answered_with_it() -> None:
    """Breaks when a prompt that mini cannot follow is a silent no-op."""
    with pytest.raises(UsageError) as caught:
        edit(Request(EXAMPLE, ("a golden septum ring",), recipe="mini/inpaint"))
    assert "rosy cheeks" in caught.value.hint


@pytest.mark.parametrize("name", ["mini-2", "mini-flux-1", "pasl-mini-1", "faces-1"])
def test_the_shipped_sets_are_whole(name: str) -> None:
    known = manifest.weight_set(name)
    assert known is not None and known.files
    assert manifest.check(known).state == manifest.PRESENT


def test_the_shipped_sets_are_small() -> None:
    assert sum(path.stat().st_size for path in bundled_weights_dir().rglob("*") if path.is_file()) < SHIPPED_LIMIT


def encoded(rgb: np.ndarray) -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG")
    return buffer.getvalue()
