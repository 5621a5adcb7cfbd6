"""The pointing game, on maps whose answer is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from faceedit.errors import UsageError
from faceedit.evaluate import pointing
from faceedit.evaluate.pointing import (
    SIDE,
    evaluate_pointing,
    mean_maps,
    point,
    pointing_game,
    region_cells,
    word_tokens,
)
from faceedit.models.random import byte_tokenizer, random_components
from faceedit.models.stable_diffusion import StableDiffusion
from faceedit.portraits.render import render
from faceedit.portraits.vocabulary import attribute_value


@pytest.fixture(scope="module")
def components() -> Any:
    return random_components(0)


def test_words_and_their_tokens() -> None:
    """Breaks when the start token shifts the positions, or "a person with" is pointed with."""
    words = word_tokens(byte_tokenizer(), "a person with a pair of rosy cheeks")
    assert [word for word, _ in words] == ["pair", "rosy", "cheeks"]
    start = 1 + len("apersonwithapairof")
    assert words[1][1] == list(range(start, start + 4))
    assert words[2][1] == list(range(start + 4, start + 10))


def test_cells_lie_where_the_region_is() -> None:
    """Breaks when rows and columns are swapped, or a thing smaller than a cell has no place."""
    portrait = render(11, 128)
    lips = region_cells(portrait, attribute_value("lip_color", "red"))
    assert lips is not None
    rows, columns = np.nonzero(lips.view(SIDE, SIDE).numpy())
    region = portrait.regions["lips"]
    y, x = (float((np.indices(region.shape)[k] * region).sum() / region.sum()) * SIDE / 128 for k in (0, 1))
    assert rows.mean() + 0.5 == pytest.approx(y, abs=1)
    assert columns.mean() + 0.5 == pytest.approx(x, abs=1)
    tiny = SimpleNamespace(
        regions={"earring": np.zeros((128, 128), dtype=np.float32), "ears": np.zeros((128, 128), dtype=np.float32)}
    )
    item = attribute_value("earring", "pearls")
    assert region_cells(tiny, item) is None
    tiny.regions["earring"][64:71, 64:71] = 0.9
    cells = region_cells(tiny, item)
    assert cells is not None
    assert cells.nonzero().flatten().tolist() == [8 * SIDE + 8]


@pytest.mark.parametrize("inside", [True, False])
def test_a_planted_peak_decides(components: Any, monkeypatch: pytest.MonkeyPatch, inside: bool) -> None:
    """Breaks when the score is not decided by the peak: here it is planted in every region, then outside all."""
    portrait = render(12, 64)
    cells = {item.key: region_cells(portrait, item) for item in pointing.visible_values(portrait.attributes)}

    def planted(_backbone: Any, _portrait: Any, sentences: list[str], _generator: Any) -> torch.Tensor:
        maps = torch.zeros(len(sentences), SIDE * SIDE, 77)
        for k, sentence in enumerate(sentences):
            key = next(key for key in cells if sentence.endswith(attribute_value(*key.split("=")).phrases[0]))
            if cells[key] is not None:
                maps[k, int((cells[key] == inside).float().argmax())] = 1
        return maps

    monkeypatch.setattr(pointing, "mean_maps", planted)
    found = point(StableDiffusion(components), portrait, torch.Generator())
    assert len(found) > 4
    assert {one.hit for one in found} == {inside}


def test_maps_are_distributions_over_the_words(components: Any) -> None:
    """Breaks when maps of different noise levels are added up, or layers of another size are mixed in."""
    maps = mean_maps(
        StableDiffusion(components), render(13, 64), ["a person with a hat", "a person"], torch.Generator()
    )
    assert maps.shape == (2, SIDE * SIDE, 77)
    assert torch.allclose(maps.sum(-1), torch.ones(2, SIDE * SIDE), atol=1e-4)
    assert not torch.equal(maps[0], maps[1])


def test_random_weights_do_no_better_than_guessing(components: Any) -> None:
    """Breaks when the game is won without learning; also holds that the same seed gives the same report."""
    report = pointing_game(components, 64, count=3, recipe="smoke/inpaint")
    assert report == evaluate_pointing("smoke/inpaint", count=3, device="cpu")
    assert report.pointing < report.chance + 0.25
    assert set(report.to_json()) >= {"pointing", "pointing_words", "chance", "by_word", "count", "seed", "side"}


def test_a_unet_without_maps_of_that_size_is_refused(components: Any) -> None:
    """Breaks when a wrong size silently gives maps of another one."""
    with pytest.raises(UsageError):
        pointing_game(components, 32, count=1)
