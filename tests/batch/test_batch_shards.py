"""Shards: every item in exactly one of them, whoever asks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceedit.batch.shards import Shard, parse_shard, shard_from
from faceedit.errors import UsageError

IDS = st.builds(lambda name, rest: f"{name}#{rest}", st.text(max_size=20), st.text("0123456789abcdef", max_size=12))


@given(IDS, st.integers(1, 50), st.integers(1, 8))
def test_every_item_has_one_shard_and_one_worker(item: str, count: int, workers: int) -> None:
    owners = [index for index in range(count) if Shard(index, count).holds(item)]
    assert len(owners) == 1
    assert [part.holds(item) for part in Shard(owners[0], count).split(workers)].count(True) == 1
    other = Shard((owners[0] + 1) % count, count)
    assert count == 1 or not any(part.holds(item) for part in other.split(workers))


def test_shards_never_change() -> None:
    """A snapshot: another rule would make a resumed run in another version do items of another shard."""
    ids = [f"{number:04d}.png#0123456789ab" for number in range(12)]
    assert [next(i for i in range(3) if Shard(i, 3).holds(name)) for name in ids] == [
        1,
        1,
        1,
        1,
        1,
        2,
        2,
        2,
        1,
        1,
        1,
        1,
    ]
    assert Shard(1, 3).holds("0000.png#aaaa") == Shard(1, 3).holds("0000.png#bbbb")


def test_shards_are_about_equal() -> None:
    ids = [f"{number:04d}.png#0" for number in range(3000)]
    sizes = [sum(Shard(index, 3).holds(name) for name in ids) for index in range(3)]
    assert min(sizes) > 900


@pytest.mark.parametrize("text", ["", "1", "1/", "/3", "3/3", "-1/3", "1/0", "a/b", "1/3/4", "1.0/3", "²/3"])
def test_bad_shards(text: str) -> None:
    with pytest.raises(UsageError):
        parse_shard(text)


def test_environment() -> None:
    slurm = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "1"}
    assert shard_from(slurm) == Shard(2, 4)
    assert shard_from({"RANK": "1", "WORLD_SIZE": "2"}) == Shard(1, 2)
    assert shard_from(slurm | {"RANK": "0", "WORLD_SIZE": "1"}) == Shard(2, 4)
    assert shard_from({"RANK": "1"}) is None
    for wrong in ({"SLURM_ARRAY_TASK_ID": "9"}, {"SLURM_ARRAY_TASK_COUNT": "many"}):
        with pytest.raises(UsageError, match=r"no part of 4|no numbers"):
            shard_from(slurm | wrong)
