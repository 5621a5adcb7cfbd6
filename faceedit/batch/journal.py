"""What happened to every item: one JSON line after another beside the outputs, each on the disk before work goes on."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from faceedit.batch.shards import Shard
from faceedit.decode import plain
from faceedit.errors import OutputError

ITEM_SCHEMA = "faceedit.batch.item/1"
RUN_SCHEMA = "faceedit.batch.run/1"
PATTERN = "faceedit-batch*.jsonl"
MADE, OK, FAILED = "made", "ok", "failed"


@dataclass(frozen=True)
class ItemRecord:
    """What happened to an item; the last record of an id counts.

    Attributes:
        status: "made": edited, the file is about to be written; "ok": the file is there; "failed".
        id, image, prompts, seed, output: as in the plan.
        key: hash of everything that the result depends on (`faceedit.batch.keys`), or `None` where the picture could
            not be read.
        sha256, bytes: of the output.
        seconds: from the prepared picture to the encoded result.
        safety: the safety checker's finding: "off", "clear" or "flagged"; empty where nothing was edited.
        error: "code", "kind", "message" and "hint" of a failure.
        finished: time in UTC.
    """

    status: str
    id: str
    image: str
    prompts: tuple[str, ...]
    seed: int
    output: str
    key: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    editor: str = ""
    recipe: str = ""
    device: str = ""
    seconds: float | None = None
    warnings: tuple[str, ...] = ()
    safety: str = ""
    consent: str | None = None
    error: dict[str, Any] | None = None
    faceedit: str = ""
    finished: str = ""

    def document(self) -> dict[str, Any]:
        """The record as plain JSON values."""
        return {"schema": ITEM_SCHEMA, **asdict(self)}


@dataclass
class History:
    """What all journals of a folder say.

    Attributes:
        latest: id -> its last record.
        results: id -> its last record that is "made" or "ok".
        total: items of the whole plan as the last run counted them, all shards together.
        torn: lines that are no records, as a killed process or a full disk leaves them.
    """

    latest: dict[str, ItemRecord] = field(default_factory=dict)
    results: dict[str, ItemRecord] = field(default_factory=dict)
    total: int = 0
    torn: int = 0


def read_history(folder: Path) -> History:
    """Everything that the journals in `folder` say; nothing where there are none."""
    history = History()
    records: list[ItemRecord] = []
    started = ""
    for path in sorted(folder.glob(PATTERN)):
        for values in _lines(path):
            total = values.get("total")
            if values.get("schema") == RUN_SCHEMA and isinstance(total, int):
                if str(values.get("started")) >= started:
                    started, history.total = str(values.get("started")), total
                continue
            record = _record(values)
            if record is not None:
                records.append(record)
            else:
                history.torn += 1
    # Stable: lines of one journal stay in order, those of several shards mix by their time.
    for record in sorted(records, key=lambda record: record.finished):
        history.latest[record.id] = record
        if record.status != FAILED:
            history.results[record.id] = record
    return history


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for line in file:
            try:
                values = json.loads(line)
            except (ValueError, RecursionError):
                values = None
            if line.strip():
                yield values if isinstance(values, dict) else {}


def _record(values: dict[str, Any]) -> ItemRecord | None:
    names = {item.name for item in fields(ItemRecord)}
    try:
        chosen = {name: value for name, value in values.items() if name in names}
        record = ItemRecord(**chosen | {"prompts": tuple(chosen["prompts"]), "warnings": tuple(chosen["warnings"])})
    except (TypeError, KeyError):
        return None
    texts = (record.id, record.image, record.output, record.finished)
    whole = all(isinstance(text, str) for text in texts) and isinstance(record.error, (dict, type(None)))
    return record if whole and values.get("schema") == ITEM_SCHEMA and record.status in (MADE, OK, FAILED) else None


class Journal:
    """The journal of one shard, open for appending; at most one process at a time holds it.

    Args:
        folder: the output folder.
        shard: names the file: "faceedit-batch.jsonl", or "faceedit-batch.1-of-3.jsonl".

    Raises:
        OutputError: another process holds it, or it cannot be written.
    """

    def __init__(self, folder: Path, shard: Shard) -> None:
        part = "" if shard.count == 1 else f".{shard.index}-of-{shard.count}"
        self.path = folder / f"faceedit-batch{part}.jsonl"
        try:
            # A link here could lead anywhere; a journal is always a file of its own.
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
            self._file: IO[bytes] = os.fdopen(os.open(self.path, flags, 0o666), "r+b", buffering=0)
            _lock(self._file, self.path)
            self._end_torn_line()
        except OSError as error:
            raise self._failure(error) from None

    def append(self, document: dict[str, Any]) -> None:
        """Write one line and wait until it is on the disk.

        Raises:
            OutputError: the disk is full or gone.
        """
        line = json.dumps(document, ensure_ascii=True, allow_nan=False) + "\n"
        try:
            self._file.write(line.encode("ascii"))
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._failure(error) from None

    def close(self) -> None:
        """Let it go."""
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _end_torn_line(self) -> None:
        """A process killed while it wrote leaves half a line; a new line must not grow out of it."""
        if self._file.seek(0, os.SEEK_END) == 0:
            return
        self._file.seek(-1, os.SEEK_END)
        if self._file.read(1) != b"\n":
            self._file.write(b"\n")

    def _failure(self, error: OSError) -> OutputError:
        return OutputError(f"cannot write {plain(self.path)}: {error.strerror}", "check space and permissions there")


def _lock(file: IO[bytes], path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows, where the shards of a run have to be kept apart by their numbers
        return
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
            return  # Some network file systems lock nothing; there, too, shards are kept apart by their numbers.
        if not isinstance(error, BlockingIOError):
            raise
        raise OutputError(
            f"another batch is at work on {plain(path.parent)}", "wait for it, or give every process its own --shard"
        ) from None
