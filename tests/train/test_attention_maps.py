"""Capturing cross-attention and grounding it, on a small real UNet and on hand-made maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel

from faceedit.attention.capture import AttentionMap, Captured, capture_cross_attention
from faceedit.errors import UsageError
from faceedit.portraits.attributes import sample_attributes
from faceedit.regions import REGIONS
from faceedit.train.grounding import grounding_loss, phrase_tokens, pointing_hits, token_masks, tokenised
from faceedit.train.phrases import Caption
from faceedit.train.tokenizer import tokenizer_of


@pytest.fixture(scope="module")
def unet() -> UNet2DConditionModel:
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 32),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=4,
    ).eval()


INPUTS = (torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1)), torch.tensor(10))
TEXT = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(2))


def test_maps_are_distributions_and_change_nothing(unet: UNet2DConditionModel) -> None:
    """Breaks when the captured layer computes something else than the layer it stands in for."""
    with torch.no_grad():
        plain = unet(*INPUTS, TEXT).sample
        with capture_cross_attention(unet, {8}) as captured:
            watched = unet(*INPUTS, TEXT).sample
    assert torch.allclose(plain, watched, atol=1e-5)
    assert captured.mean(8).shape == (2, 64, 5)
    assert torch.allclose(captured.mean(8).sum(-1), torch.ones(2, 64), atol=1e-5)
    assert {m.side for m in captured.maps} == {8}
    with pytest.raises(UsageError, match="16 x 16"):
        captured.at(16)


def test_processors_come_back_after_an_error(unet: UNet2DConditionModel) -> None:
    """Breaks when a failed pass leaves capturing processors in the model."""
    before = unet.attn_processors
    with pytest.raises(ZeroDivisionError), capture_cross_attention(unet, {8}):
        raise ZeroDivisionError
    after = unet.attn_processors
    assert before.keys() == after.keys()
    assert all(before[name] is after[name] for name in before)


def test_unet_without_text_is_refused() -> None:
    """Breaks when a model that cannot be captured gives empty maps instead of an error."""

    class NoText:
        attn_processors = {"down_blocks.0.attentions.0.processor": object()}  # noqa: RUF012

    with pytest.raises(UsageError, match="no cross-attention"), capture_cross_attention(NoText(), {8}):
        pass


def captured_of(weights: torch.Tensor, side: int) -> Captured:
    return Captured([AttentionMap("layer", side, weights)])


def test_grounding_loss_is_the_squared_share_outside() -> None:
    """Breaks when the share is taken over the tokens instead of the places, or the square is lost."""
    weights = torch.zeros(1, 1, 4, 2)
    weights[0, 0, :, 1] = torch.tensor([0.3, 0.1, 0.1, 0.0])
    mask = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    loss = grounding_loss(captured_of(weights, 2), torch.tensor([0]), torch.tensor([1]), mask, [2])
    assert float(loss) == pytest.approx((1 - 0.3 / 0.5) ** 2)
    empty = torch.zeros(0, dtype=torch.long)
    assert float(grounding_loss(captured_of(weights, 2), empty, empty, mask[:0], [2])) == 0.0


def test_grounding_gradient_moves_attention_inside() -> None:
    """Breaks when the sign is wrong: a step down the gradient must raise the share inside."""
    logits = torch.zeros(1, 1, 4, 3, requires_grad=True)
    mask = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    loss = grounding_loss(captured_of(logits.softmax(-1), 2), torch.tensor([0]), torch.tensor([1]), mask, [2])
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[0, 0, 0, 1] < 0 < logits.grad[0, 0, 3, 1]


def test_pointing_game_counts_peaks_inside() -> None:
    """Breaks when height and width are swapped or the peak is looked for elsewhere."""
    masks = torch.zeros(2, 4, 4)
    masks[:, 0, 3] = 1
    attention = torch.zeros(2, 16)
    attention[0, 3] = attention[1, 12] = 1
    assert pointing_hits(attention, masks).tolist() == [True, False]


def test_phrase_words_find_their_tokens_and_masks() -> None:
    """Breaks when a token is matched to another word, or function words are grounded."""
    seed = next(s for s in range(100) if sample_attributes(s).cheeks == "rosy")
    caption = Caption("a person with flushed cheeks", ("cheeks",))
    tokenizer = tokenizer_of([caption.text], 500)
    ids, offsets = tokenised(tokenizer, [caption.text])
    found = phrase_tokens(caption, sample_attributes(seed), offsets[0])
    words = [tokenizer.decode([int(ids[0, position])]).strip() for position, _ in found]
    assert words == ["flushed", "cheeks"]
    masks = np.zeros((1, len(REGIONS), 4, 4), np.uint8)
    masks[0, REGIONS.index("cheeks"), 2] = 255
    row, position, mask = token_masks([found], masks)
    assert row.tolist() == [0, 0]
    assert position.tolist() == [p for p, _ in found]
    assert mask[:, 2].min() == 1.0 and mask.sum() == 8
