"""Shards: whose item is it? A pure function of the item's id, so that shards need not talk to each other."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from faceedit.errors import UsageError

_VARIABLES = (
    ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN"),
    ("RANK", "WORLD_SIZE", None),
)


@dataclass(frozen=True)
class Shard:
    """Part `index` (from 0) of `count` parts."""

    index: int = 0
    count: int = 1

    def holds(self, item_id: str) -> bool:
        """Whether the item is this shard's. All edits of one picture go to one shard, which opens it once."""
        return picture_number(item_id) % self.count == self.index

    def split(self, parts: int) -> tuple[Shard, ...]:
        """This shard as `parts` smaller ones, again by the id alone."""
        return tuple(Shard(self.index + self.count * part, self.count * parts) for part in range(parts))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def picture_number(item_id: str) -> int:
    """A number as good as random from the part of an id that names the picture ("sub/a.png#3f2a…")."""
    picture = item_id.rpartition("#")[0]
    return int.from_bytes(hashlib.sha256(picture.encode("utf-8", "surrogatepass")).digest()[:8], "big")


def parse_shard(text: str) -> Shard:
    """A shard written as "i/N", i from 0 to N - 1.

    Raises:
        UsageError: of another form, or out of range.
    """
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, flags=re.ASCII)
    if match is None or not 0 <= int(match[1]) < int(match[2]):
        raise UsageError(f"--shard {text}: not of the form i/N with i from 0 to N-1", "e.g. --shard 0/4")
    return Shard(int(match[1]), int(match[2]))


def shard_from(environment: Mapping[str, str]) -> Shard | None:
    """The shard that Slurm's job array or torchrun gives this process, or `None` outside of both.

    Slurm's task ids are counted from the array's smallest, so `--array=1-4` works as `--array=0-3` does.

    Raises:
        UsageError: the variables are there and make no sense, as in an array with gaps.
    """
    for index_name, count_name, first_name in _VARIABLES:
        if index_name in environment and count_name in environment:
            values = [environment.get(name, "0") if name else "0" for name in (index_name, count_name, first_name)]
            if not all(value.isascii() and value.isdigit() for value in values):
                raise UsageError(f"{index_name}={values[0]}, {count_name}={values[1]}: no numbers", "give --shard i/N")
            index, count, first = (int(value) for value in values)
            if not 0 <= index - first < count:
                raise UsageError(
                    f"{index_name}={index} is no part of {count}", "use an array without gaps, or give --shard i/N"
                )
            return Shard(index - first, count)
    return None
