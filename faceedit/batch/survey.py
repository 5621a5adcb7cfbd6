"""What the journals of a folder say, held against the files that are there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from faceedit.batch.journal import FAILED, OK, PATTERN, ItemRecord, read_history
from faceedit.batch.leftovers import leftovers
from faceedit.decode import plain
from faceedit.errors import UsageError
from faceedit.models.manifest import digest

MISSING, CHANGED = "missing", "changed"
STATES = (OK, FAILED, MISSING, CHANGED)


@dataclass(frozen=True)
class Survey:
    """The state of a batch.

    Attributes:
        states: (state, record) of every item that was tried, by output: "ok", "failed", or, where an edit was made,
            "missing" or "changed" when its file is not what was written.
        total: items of the whole plan.
        leftovers: temporary files of processes that are gone.
        torn: journal lines that are no records.
    """

    states: tuple[tuple[str, ItemRecord], ...]
    total: int
    leftovers: int
    torn: int

    def count(self, state: str) -> int:
        """Number of items in a state."""
        return sum(found == state for found, _ in self.states)

    @property
    def left(self) -> int:
        """Items that were not tried yet."""
        return max(0, self.total - len(self.states))

    @property
    def complete(self) -> bool:
        """Whether every item of the plan has its result."""
        return self.count(OK) == len(self.states) >= self.total


def survey(folder: Path) -> Survey:
    """Read the journals and hash every output that they name.

    Raises:
        UsageError: there is no journal in the folder.
    """
    if not any(folder.glob(PATTERN)):
        raise UsageError(f"{plain(folder)} holds no batch", "name the folder that -o named")
    history = read_history(folder)
    states = tuple((_state(record, folder), record) for record in sorted(history.latest.values(), key=_place))
    folders = {folder, *(folder / Path(record.output).parent for record in history.latest.values())}
    return Survey(states, history.total, len(leftovers(folders)), history.torn)


def merged(found: Survey) -> Iterator[dict[str, object]]:
    """One JSON object per item, sorted by output: the last record with the state that its file is in today."""
    for state, record in found.states:
        yield {**record.document(), "status": state}


def _place(record: ItemRecord) -> tuple[str, str]:
    return record.output, record.id


def _state(record: ItemRecord, folder: Path) -> str:
    if record.status == FAILED:
        return FAILED
    path = folder / record.output
    if not path.is_file():
        return MISSING
    return OK if digest(path) == record.sha256 else CHANGED
