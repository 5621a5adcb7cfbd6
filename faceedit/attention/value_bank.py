"""Attention values of a source picture, kept from its inversion for any number of edits."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

Key = tuple[str, int]
"""Which evaluation of the inversion: ("n", j) at node t_j, ("m", i) in the middle of step i."""

# Layers that are fetched ahead of the one that is read, each into a buffer of its own.
_AHEAD = 2
# PyTorch leaves some of its CUDA calls without types.
_CUDA: Any = torch.cuda
_NOTHING: tuple[tuple[int, Any], ...] = ((-1, None),) * (_AHEAD + 1)


class ValueBank:
    """One slab of values on the device that computes, `[keys, layers, L, W]`, made when the first ones are written.

    Args:
        keys: evaluations that are kept, in the order in which an edit reads them.
        layers: m, how many layers each of them has.
    """

    def __init__(self, keys: Sequence[Key], layers: int) -> None:
        self.keys, self.layers = tuple(keys), layers
        self._row = {key: row for row, key in enumerate(self.keys)}
        self._written: set[tuple[Key, int]] = set()
        self._slab: Tensor | None = None

    def serves(self, keys: Sequence[Key], layers: int) -> bool:
        """Whether an edit that reads these can use it."""
        return layers == self.layers and self._row.keys() >= set(keys)

    def lacks(self, key: Key) -> bool:
        """Whether a layer of an evaluation has not been written."""
        return any((key, layer) not in self._written for layer in range(self.layers))

    @property
    def nbytes(self) -> int:
        """Bytes of the slab; 0 before anything is written."""
        return 0 if self._slab is None else self._slab.nbytes

    def write(self, key: Key, layer: int, values: Tensor) -> None:
        """Keep the image tokens' values [1, L, W] of a layer, counted from 0."""
        if self._slab is None:
            self._slab = self._allocate((len(self.keys), self.layers, *values.shape[1:]), values)
        self._put(self._slab[self._row[key], layer], values[0])
        self._written.add((key, layer))

    def read(self, key: Key, layer: int) -> Tensor:
        """Those of a layer, [L, W], on the device; good until the next call.

        Raises:
            KeyError: they were never written.
        """
        if self._slab is None or (key, layer) not in self._written:
            raise KeyError(f"no values of {key} in layer {layer}")
        return self._get(self._slab, self._row[key] * self.layers + layer)

    def _allocate(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        return torch.empty(shape, dtype=like.dtype, device=like.device)

    def _put(self, place: Tensor, values: Tensor) -> None:
        place.copy_(values)

    def _get(self, slab: Tensor, number: int) -> Tensor:
        return slab[number // self.layers, number % self.layers]


class HostBank(ValueBank):
    """The same in the machine's memory, for a GPU: copies run beside the computation, reads are fetched ahead.

    The slab is registered with CUDA as it is; PyTorch's own pinned allocations round up to a power of two. All copies
    share one stream, so a read never overtakes the write that it needs.

    Without a GPU the copies are plain ones, and the result is the same.
    """

    def __init__(self, keys: Sequence[Key], layers: int) -> None:
        super().__init__(keys, layers)
        self._buffers = torch.empty(0)
        self._stream: Any = None
        # Number of the layer that each buffer holds or is being filled with, and the event that says when it is there.
        self._held = _NOTHING

    def _allocate(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        slab = torch.empty(shape, dtype=like.dtype)
        self._buffers = torch.empty((len(self._held), *shape[2:]), dtype=like.dtype, device=like.device)
        if like.is_cuda:
            self._stream = _CUDA.Stream(like.device)
            # A copy may still be under way when the buffers are given back.
            self._buffers.record_stream(self._stream)
            _register(self, slab, self._stream)
        return slab

    def _put(self, place: Tensor, values: Tensor) -> None:
        # What was fetched before may be what is written anew.
        self._held = _NOTHING
        if self._stream is None:
            place.copy_(values)
            return
        self._stream.wait_stream(torch.cuda.current_stream(values.device))
        with torch.cuda.stream(self._stream):
            place.copy_(values, non_blocking=True)
        values.record_stream(self._stream)

    def _get(self, slab: Tensor, number: int) -> Tensor:
        flat = slab.flatten(0, 1)
        for wanted in range(number, min(number + _AHEAD + 1, len(flat))):
            if self._held[wanted % len(self._held)][0] != wanted:
                self._fetch(flat, wanted)
        slot = number % len(self._held)
        ready = self._held[slot][1]
        if ready is not None:
            torch.cuda.current_stream(self._buffers.device).wait_event(ready)
        return self._buffers[slot]

    def _fetch(self, flat: Tensor, number: int) -> None:
        slot = number % len(self._held)
        if self._stream is None:
            self._buffers[slot].copy_(flat[number])
            self._hold(slot, number, None)
            return
        # What was in the buffer has been used by work that is queued already.
        self._stream.wait_stream(torch.cuda.current_stream(self._buffers.device))
        with torch.cuda.stream(self._stream):
            self._buffers[slot].copy_(flat[number], non_blocking=True)
        self._hold(slot, number, self._stream.record_event())

    def _hold(self, slot: int, number: int, ready: Any) -> None:
        self._held = (*self._held[:slot], (number, ready), *self._held[slot + 1 :])


def _register(bank: HostBank, slab: Tensor, stream: Any) -> None:
    """Lock the slab's pages so that copies can run beside the computation; where CUDA refuses, they only run slower."""
    if int(_CUDA.cudart().cudaHostRegister(slab.data_ptr(), slab.nbytes, 0)) == 0:
        weakref.finalize(bank, _unregister, slab, stream).atexit = False


def _unregister(slab: Tensor, stream: Any) -> None:
    stream.synchronize()
    _CUDA.cudart().cudaHostUnregister(slab.data_ptr())
