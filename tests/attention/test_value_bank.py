"""Banks of attention values: what is written is read, in any order, from the device and from the machine's memory."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faceedit.attention.value_bank import HostBank, ValueBank

KEYS = (("n", 5), ("m", 5), ("n", 4), ("m", 4))
LAYERS = 3


def values_of(key, layer, dtype=torch.float32, device="cpu"):
    generator = torch.Generator().manual_seed(100 * KEYS.index(key) + layer)
    return torch.randn((1, 8, 16), generator=generator).to(device, dtype)


def filled(kind, dtype=torch.float32, device="cpu"):
    bank = kind(KEYS, LAYERS)
    # Inversion writes from the picture to the noise, against the order in which an edit reads.
    for key in reversed(KEYS):
        for layer in range(LAYERS):
            bank.write(key, layer, values_of(key, layer, dtype, device))
    return bank


@pytest.mark.parametrize("kind", [ValueBank, HostBank])
@given(order=st.lists(st.tuples(st.sampled_from(KEYS), st.integers(0, LAYERS - 1)), max_size=30))
def test_what_was_written_is_read_in_any_order(kind, order) -> None:
    """Breaks when a layer that was fetched ahead is taken for another one, or a buffer is filled while it is needed."""
    bank = filled(kind)
    for key, layer in order:
        assert torch.equal(bank.read(key, layer), values_of(key, layer)[0])


@pytest.mark.parametrize("kind", [ValueBank, HostBank])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_takes_the_bytes_of_the_values(kind, dtype) -> None:
    """Breaks when a bank keeps another precision than the values have, or more than what is asked of it."""
    assert kind(KEYS, LAYERS).nbytes == 0
    assert filled(kind, dtype).nbytes == len(KEYS) * LAYERS * 8 * 16 * dtype.itemsize


def test_what_is_written_anew_is_read(kind=HostBank) -> None:
    """Breaks when a bank that is filled again answers with what it had fetched before."""
    bank = filled(kind)
    bank.read(KEYS[0], 0)
    bank.write(KEYS[0], 1, torch.zeros(1, 8, 16))
    assert not bank.read(KEYS[0], 1).any()


def test_it_knows_what_it_lacks() -> None:
    """Breaks when a half-filled bank passes for a full one, or one of other blocks for the right one."""
    bank = ValueBank(KEYS, LAYERS)
    bank.write(KEYS[0], 0, values_of(KEYS[0], 0))
    assert bank.lacks(KEYS[0]) and not filled(ValueBank).lacks(KEYS[0])
    with pytest.raises(KeyError, match="no values"):
        bank.read(KEYS[0], 1)
    assert bank.serves(KEYS[1:], LAYERS) and not bank.serves(KEYS, LAYERS + 1) and not bank.serves([("n", 1)], LAYERS)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="copies beside the computation need a GPU")
def test_copies_beside_the_computation_lose_nothing() -> None:
    """Breaks when a read overtakes a write, or a buffer is refilled while a kernel still reads it."""
    bank = filled(HostBank, torch.bfloat16, "cuda")
    for _ in range(20):
        for key in KEYS:
            for layer in range(LAYERS):
                busy = torch.randn(2048, 2048, device="cuda")
                found = bank.read(key, layer) + (busy @ busy)[0, 0] * 0
                torch.testing.assert_close(found, values_of(key, layer, torch.bfloat16, "cuda")[0], rtol=0, atol=0)
