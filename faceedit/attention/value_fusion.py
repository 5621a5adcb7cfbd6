"""Image tokens' attention values in the last blocks of a FLUX transformer: kept, mixed or taken from another row.

Flux-Sculptor eqs 14 to 16: of the values of a block, only those of the image tokens are mixed with the source's,
V' = M ∘ V + (1 - M) ∘ V_source; those of the text stay the target's.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.embeddings import apply_rotary_emb
from diffusers.models.transformers.transformer_flux import FluxAttnProcessor, _get_qkv_projections
from torch import Tensor

from faceedit.attention.value_bank import Key, ValueBank
from faceedit.errors import UsageError

Act = Callable[[int, Tensor], None]
"""(layer from 0, the image tokens' values [B, L, W]) -> nothing; changes the values in place."""


def store(bank: ValueBank, key: Key) -> Act:
    """Keep the values of a batch of one."""
    return lambda layer, values: bank.write(key, layer, values)


def inject(bank: ValueBank, key: Key, mask: Tensor) -> Act:
    """Eq. 15 with the source's values from a bank.

    Args:
        bank, key: what to read.
        mask: M [1, L, 1] in [0, 1] in the precision of the values, 1 = edit; 1 leaves the value as it is, bit by bit.
    """
    return lambda layer, values: _mix(bank.read(key, layer), values, mask)


def dual(mask: Tensor) -> Act:
    """Eq. 15 in a batch of two whose first row is the source; nothing needs to be kept."""
    return lambda _, values: _mix(values[:1], values[1:], mask)


def leave(layer: int, values: Tensor) -> None:
    """An `Act` that does nothing."""


def _mix(source: Tensor, values: Tensor, mask: Tensor) -> None:
    torch.lerp(source.expand_as(values), values, mask, out=values)


class ValueFusion:
    """The last blocks of a transformer, whose values can be acted on for the length of a call.

    Args:
        transformer: a `FluxTransformer2DModel`.
        blocks: m, counted from the last single block back into the double ones.
        tokens: L, image tokens; they stand behind the text's wherever both are together.

    Raises:
        UsageError: fewer blocks than m, processors that are not FLUX's own, a transformer that is split over devices
            or that leaves blocks out.
    """

    def __init__(self, transformer: Any, blocks: int, tokens: int) -> None:
        self.tokens = tokens
        self._attentions = _last_attentions(transformer, blocks)
        self._act: Act = leave
        number = next(_NUMBERS)
        _FUSIONS[number] = self
        self._processors = [ValueProcessor(number, layer) for layer in range(blocks)]

    @contextmanager
    def acting(self, act: Act) -> Iterator[None]:
        """`act` on the values of every call of the transformer within; its own processors come back in any case."""
        before = [attention.processor for attention in self._attentions]
        self._act = act
        try:
            for attention, processor, own in zip(self._attentions, self._processors, before, strict=True):
                processor._attention_backend = own._attention_backend
                attention.set_processor(processor)
            yield
        finally:
            self._act = leave
            for attention, own in zip(self._attentions, before, strict=True):
                attention.set_processor(own)

    def apply(self, layer: int, values: Tensor) -> None:
        """The act on values [B, text + L, W] or [B, L, W] of a layer."""
        self._act(layer, values[:, -self.tokens :])


_NUMBERS = itertools.count()
_FUSIONS: weakref.WeakValueDictionary[int, ValueFusion] = weakref.WeakValueDictionary()


# For torch.compile a black box whose place is a tensor: blocks of one kind keep sharing one compiled graph, whatever
# the act, the step and the layer.
@torch.library.custom_op("faceedit::fuse_values", mutates_args={"values"})
def fuse_values(values: torch.Tensor, place: torch.Tensor) -> None:
    """Act on the values of a layer; `place` int64 [2] on the CPU holds the fusion's number and the layer's."""
    number, layer = place.tolist()
    _FUSIONS[number].apply(layer, values)


class ValueProcessor(FluxAttnProcessor):  # type: ignore[misc] # diffusers has no types
    """diffusers' own processor with one line more: the values pass through `fuse_values`.

    Args:
        number: of the fusion.
        layer: from 0 for the first of its blocks.
    """

    def __init__(self, number: int, layer: int) -> None:
        super().__init__()
        self.place = torch.tensor([number, layer])

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> Any:
        """As in diffusers; single blocks pass text and image tokens together and no `encoder_hidden_states`."""
        q, k, v, text_q, text_k, text_v = _get_qkv_projections(attn, hidden_states, encoder_hidden_states)
        fuse_values(v, self.place)
        # By the heads' width, not their number, as one device may hold only some of them.
        q, k, v = (x.unflatten(-1, (-1, attn.head_dim)) for x in (q, k, v))
        q, k = attn.norm_q(q), attn.norm_k(k)
        if attn.added_kv_proj_dim is not None:
            text_q, text_k, text_v = (x.unflatten(-1, (-1, attn.head_dim)) for x in (text_q, text_k, text_v))
            q = torch.cat([attn.norm_added_q(text_q), q], dim=1)
            k = torch.cat([attn.norm_added_k(text_k), k], dim=1)
            v = torch.cat([text_v, v], dim=1)
        if image_rotary_emb is not None:
            q = apply_rotary_emb(q, image_rotary_emb, sequence_dim=1)
            k = apply_rotary_emb(k, image_rotary_emb, sequence_dim=1)
        out = dispatch_attention_fn(
            q, k, v, attn_mask=attention_mask, backend=self._attention_backend, parallel_config=self._parallel_config
        )
        out = out.flatten(2, 3).to(q.dtype)
        if encoder_hidden_states is None:
            return out
        text = encoder_hidden_states.shape[1]
        image = attn.to_out[1](attn.to_out[0](out[:, text:].contiguous()))
        return image, attn.to_add_out(out[:, :text].contiguous())


def block_count(transformer: Any) -> int:
    """Double and single blocks together."""
    return len(transformer.transformer_blocks) + len(transformer.single_transformer_blocks)


def _last_attentions(transformer: Any, count: int) -> list[Any]:
    most = block_count(transformer)
    if count > most:
        raise UsageError(
            f"values cannot be mixed in {count} blocks: the transformer has {most}",
            f"set flux_sculptor.value_blocks to {most} or less",
        )
    if transformer.is_cache_enabled:
        raise UsageError("a cache on the transformer leaves blocks out, and with them their values", "disable it")
    if transformer._parallel_config is not None:
        raise UsageError("values cannot be mixed in a transformer that is split over devices", "load it on one device")
    blocks = [*transformer.transformer_blocks, *transformer.single_transformer_blocks]
    attentions = [block.attn for block in blocks[most - count :]]
    for attention in attentions:
        kind = type(attention.processor)
        if kind is not FluxAttnProcessor:
            raise UsageError(f"the transformer has attention processors of its own ({kind.__name__})", "take them off")
    return attentions
