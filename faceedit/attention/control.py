"""Passes of a UNet whose attention is recorded, replaced or watched, and that end when enough is seen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from math import isqrt
from typing import Any

from torch import Tensor

from faceedit.attention.call import Call, Layer, TextCache
from faceedit.attention.capture import CROSS_ATTENTION
from faceedit.attention.inject import EnoughError, Injecting, Injection, Maps, Recording
from faceedit.attention.layer import installed, project_out
from faceedit.errors import UsageError


class AttentionControl:
    """Controls the passes of one edit; holds what is learned about the UNet's layers on the way.

    Args:
        unet: a diffusers UNet with cross-attention.
        constant_texts: text features [B, tokens, D] that do not change during the edit; their keys and values are
            made once per layer.
        explicit: every softmax openly and nothing left out, the plain way.

    Raises:
        UsageError: the UNet has no cross-attention layer.
    """

    def __init__(self, unet: Any, constant_texts: Sequence[Tensor] = (), explicit: bool = False) -> None:
        if not any(name.endswith(CROSS_ATTENTION) for name in unet.attn_processors):
            raise UsageError("this UNet has no cross-attention layer", "maps need a text-conditioned UNet")
        self.unet = unet
        self.explicit = explicit
        self.layers: dict[str, Layer] = {}
        self._cache = TextCache(constant_texts)
        self._pass: Recording | Injecting | None = None

    @contextmanager
    def installed(self) -> Iterator[None]:
        """The block in which passes can be controlled; the UNet has its own processors back after it."""
        processors = {name: _Controlled(name, inner, self) for name, inner in self.unet.attn_processors.items()}
        with installed(self.unet, processors):
            yield

    @contextmanager
    def recording(self, wanted: Callable[[Layer], bool]) -> Iterator[Maps]:
        """A pass whose wanted maps are kept. It may end early, after the last of them, and then gives no answer."""
        known = [layer.name for layer in self.layers.values() if wanted(layer)]
        recording = Recording(wanted, known[-1] if known and not self.explicit else None, self.explicit)
        with self._running(recording):
            yield recording.maps

    @contextmanager
    def injecting(self, injection: Injection, watched: Collection[int] = (), only_maps: bool = False) -> Iterator[Maps]:
        """A pass of the editing branch, and its cross-attention maps of the watched sides after injection.

        Args:
            injection: what is taken over.
            watched: sides of feature maps.
            only_maps: the pass ends early, after the last map that is watched, and gives no answer.

        Raises:
            UsageError: no cross-attention layer has a watched side.
        """
        known = [layer.name for layer in self.layers.values() if layer.cross and layer.side in watched]
        stop = known[-1] if known and only_maps and not self.explicit else None
        injecting = Injecting(injection, frozenset(watched), stop, self.explicit)
        with self._running(injecting):
            yield injecting.maps
        if watched and not injecting.maps:
            raise self._nowhere(watched)

    def attend(self, call: Call) -> Tensor | None:
        """The heads' answer [B, heads, n, d] under the pass that is running; None outside a pass."""
        if self._pass is None:
            return None
        self.layers.setdefault(call.layer.name, call.layer)
        return self._pass.attend(call, self._cache)

    @contextmanager
    def _running(self, one: Recording | Injecting) -> Iterator[None]:
        self._pass = one
        try:
            yield
        except EnoughError:
            pass
        finally:
            self._pass = None

    def _nowhere(self, watched: Collection[int]) -> UsageError:
        sides = sorted({layer.side for layer in self.layers.values() if layer.cross})
        return UsageError(
            f"no cross-attention layer works at {' or '.join(f'{side} x {side}' for side in sorted(watched))}",
            f"this UNet's work at: {', '.join(map(str, sides))}",
        )


class _Controlled:
    """Stands in for one layer's processor."""

    def __init__(self, name: str, inner: Any, control: AttentionControl) -> None:
        self.name, self.inner, self.control = name, inner, control

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        cross = encoder_hidden_states is not None
        layer = Layer(self.name, isqrt(hidden_states.shape[1]), cross)
        text = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        found = self.control.attend(Call(layer, attn, hidden_states, text))
        if found is None:
            result: Tensor = self.inner(attn, hidden_states, encoder_hidden_states, attention_mask, **kwargs)
            return result
        return project_out(attn, found, hidden_states)
