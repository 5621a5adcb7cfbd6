"""PASL as a locator: a network whose weights are set by hand finds red, so that the truth is known to the pixel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from faceedit import faces
from faceedit.errors import NothingToEditError, UsageError
from faceedit.locate.base import build_locator, locator_names
from faceedit.locate.pasl import PaslLocator, open_pasl, sentence_of
from faceedit.locate.template import place
from faceedit.models.pasl import Pasl, PaslConfig, save_pasl
from faceedit.models.random import random_components
from faceedit.models.sentence_features import SentenceFeatures
from faceedit.portraits.render import render
from faceedit.prompts import parse
from faceedit.recipe_schema import Locator, Recipe
from faceedit.request import EditText, Face, Picture, Portrait
from faceedit.run import find_mask

SIZE = 128
RED, GREEN, GREY = (255, 0, 0), (0, 255, 0), (128, 128, 128)


@pytest.fixture(scope="module")
def encode() -> SentenceFeatures:
    components = random_components(0)
    return SentenceFeatures(components.text_encoder, components.tokenizer)


def seer(channel: int, sureness: float = 9.0) -> Pasl:
    """Answers σ(sureness (2 c - 1)) to any words, where c is 1 on cells of one colour channel and 0 elsewhere."""
    network = Pasl(PaslConfig(size=SIZE, channels=(1, 1, 1, 1, 1, 2), text_width=32, hidden=1)).eval()
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    convolutions = [layer for layer in network.encoder if isinstance(layer, nn.Conv2d)]
    convolutions[0].weight.data[0, channel, 1, 1] = 1.0
    convolutions[0].bias.data[0] = -0.5
    for layer in convolutions[1:5]:
        layer.weight.data[0, 0, 1, 1] = 1.0
    convolutions[5].weight.data[0, 0, 1, 1] = 4.0
    convolutions[5].bias.data[1] = 1.0
    last = network.projector[2]
    assert isinstance(last, nn.Linear)
    last.bias.data = torch.tensor([sureness, -sureness])
    return network.requires_grad_(False)


def portrait(rgb: np.ndarray, crop: tuple[int, int, int, int] | None = None, turns: int = 0) -> Portrait:
    picture = Picture(rgb, None, "RGB", "PNG", None, None, None, "")
    height, width = rgb.shape[:2]
    face = Face((0.3 * width, 0.3 * height, 0.7 * width, 0.7 * height), quarter_turns=turns)
    return Portrait(picture, face, crop or (0, 0, width, height))


def patch(rows: slice, columns: slice, shape: tuple[int, int] = (256, 256)) -> np.ndarray:
    rgb = np.full((*shape, 3), GREY, np.uint8)
    rgb[rows, columns] = RED
    return rgb


def test_the_answer_lies_where_the_network_sees_it(encode: SentenceFeatures) -> None:
    """Breaks when cells and pixels part by half a cell, or the crop's offset is lost on the way back."""
    rgb = patch(slice(96, 192), slice(128, 224), (300, 400))
    found = PaslLocator(seer(0), encode).locate(portrait(rgb, (40, 20, 296, 276)), parse(["rosy cheeks"]))
    truth = (rgb == RED).all(-1)
    assert found.values.shape == (300, 400) and found.values.dtype == np.float32
    assert set(np.unique(found.values)) == {0.0, 1.0}
    overlap = (truth & (found.values > 0)).sum() / (truth | (found.values > 0)).sum()
    assert overlap > 0.7, "a strided layer looks at the corner of its cell, and this network never learnt otherwise"
    ys, xs = np.nonzero(found.values)
    assert abs(ys.mean() - 143.5) < 9 and abs(xs.mean() - 175.5) < 9, "within half a cell of 16 pixels"
    assert found.origin == "pasl: rosy cheeks" and not found.note
    assert found.heat is not None and float(found.heat.max()) > 0.99


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_face_is_seen_upright(encode: SentenceFeatures, turns: int) -> None:
    """Breaks when the crop is turned and the answer is not turned back."""
    upright = patch(slice(40, 120), slice(30, 90))
    turned = np.ascontiguousarray(np.rot90(upright, -turns))
    wanted = PaslLocator(seer(0), encode).locate(portrait(upright), parse(["rosy cheeks"])).values
    found = PaslLocator(seer(0), encode).locate(portrait(turned, turns=turns), parse(["rosy cheeks"])).values
    np.testing.assert_array_equal(np.rot90(found, turns), wanted)


def test_soft_answers_are_kept_at_threshold_zero(encode: SentenceFeatures) -> None:
    """Breaks when the paper's own soft mask cannot be had, or reaches outside the crop."""
    rgb = patch(slice(96, 160), slice(96, 160), (256, 300))
    soft = PaslLocator(seer(0, 2.0), encode, 0.0).locate(portrait(rgb, (0, 0, 256, 256)), parse(["red lips"]))
    assert soft.heat is not None
    np.testing.assert_array_equal(soft.values, soft.heat)
    assert 0 < float(soft.values[10, 10]) < 0.5 < float(soft.values[128, 128]) < 1
    assert not soft.values[:, 256:].any()


def test_several_phrases_are_united_after_one_look(encode: SentenceFeatures) -> None:
    """Breaks when the picture is encoded once per phrase, or a later phrase overwrites an earlier one."""
    network = seer(0)
    looks = []
    network.encoder.register_forward_hook(lambda *_: looks.append(1))
    found = PaslLocator(network, encode).locate(
        portrait(patch(slice(0, 99), slice(0, 99))), parse(["rosy cheeks", "full beard", "no glasses"])
    )
    assert len(looks) == 1
    assert found.origin == "pasl: rosy cheeks, a full beard, no glasses"


def test_each_phrase_is_asked_as_the_sentence_of_its_own_edit() -> None:
    edit = parse(["rosy cheeks", "no glasses", "smiling"])
    assert [sentence_of(phrase) for phrase in edit.phrases] == [
        "a person with rosy cheeks",
        "a person without glasses",
        "a smiling person",
    ]


def test_regions_are_asked_for_by_the_mean_of_their_prompts() -> None:
    """Breaks when the phrase's own words still decide, or one region of several is dropped."""
    by_region = open_pasl("bundled:pasl-mini-1", ask="regions")
    drawn = render(1_000_000_007, 256)
    here = faces.whole_portrait(portrait(drawn.image).picture)
    for words in ("a zorgle on the chin", "bushy eyebrows and red lips"):
        edit = parse([words])
        found = by_region.locate(here, edit)
        assert found.heat is not None and found.origin == f"pasl: {', '.join(edit.regions)}"
        parts = by_region.region_answers(here, edit.regions)
        np.testing.assert_allclose(found.heat, np.maximum.reduce(parts), atol=1e-5)
        truth = np.maximum.reduce([drawn.regions[name] for name in edit.regions]) >= 0.5
        assert (truth & (found.heat >= 0.5)).sum() / (truth | (found.heat >= 0.5)).sum() > 0.5
    assert by_region.locate(here, parse(["a full beard"])).origin == "pasl: beard"
    assert open_pasl("bundled:pasl-mini-1").locate(here, parse(["a full beard"])).origin == "pasl: a full beard"


def test_nothing_found_falls_back_to_the_template_and_says_so(encode: SentenceFeatures) -> None:
    """Breaks when an edit that the template would place stops, or the stand-in is passed off as PASL's answer."""
    here = portrait(patch(slice(0, 0), slice(0, 0)))
    recipe = replace(Recipe(), locator=Locator(name="red"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("faceedit.locate.base._BUILDERS", {"red": lambda _: PaslLocator(seer(0), encode)})
        mask, warnings = find_mask(recipe, here, parse(["rosy cheeks"]), (), None)
    wanted = place(("cheeks",), here.face, (256, 256)) > 0.5
    np.testing.assert_array_equal(mask.values > 0.5, wanted)
    assert warnings == ("PASL finds no 'rosy cheeks': the template of cheeks stands in for it",)
    with pytest.raises(NothingToEditError, match="finds no") as caught:
        PaslLocator(seer(0), encode).locate(here, parse(["a zorgle"], regions_given=True))
    assert "--region" in caught.value.hint
    with pytest.raises(UsageError):
        PaslLocator(seer(0), encode).locate(here, EditText((), "a person", "a person"))


def test_it_is_built_from_a_recipe(tmp_path: Path) -> None:
    """Breaks when locator.weights or locator.threshold do not arrive."""
    save_pasl(Pasl(PaslConfig(32, (2, 2, 2, 2, 2, 2), 128, 4, text="bundled:mini-2")), tmp_path)
    assert "pasl" in locator_names()
    recipe = replace(Recipe(), locator=Locator(name="pasl", weights=str(tmp_path), threshold=0.25, ask="phrase"))
    built = build_locator("pasl", recipe)
    assert (
        isinstance(built, PaslLocator)
        and built.threshold == 0.25
        and built.ask == "phrase"
        and built.network.config.size == 32
    )
    assert open_pasl(str(tmp_path)).network is built.network, "weights are read once"
    rgb = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    heat = built.answers(faces.whole_portrait(portrait(rgb).picture), ["a person with red lips"])[0]
    assert heat.shape == (64, 64) and 0 < float(heat.min()) <= float(heat.max()) < 1
