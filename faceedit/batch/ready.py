"""What is known of an item before any model: done already, failed before, or to do, with its portrait prepared."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from faceedit.batch.journal import FAILED, MADE, History, ItemRecord
from faceedit.batch.keys import work_key
from faceedit.batch.plan import Item, Plan
from faceedit.c2pa import Signer
from faceedit.decode import plain
from faceedit.errors import FaceEditError, ImageError, OutputError, WeightsError
from faceedit.images import read_source
from faceedit.memory_pressure import is_out_of_memory, stopped
from faceedit.models.manifest import digest
from faceedit.request import Request
from faceedit.run import Prepared, prepare

DONE, FAILED_BEFORE, TO_DO = "done", "failed before", "to do"
_OTHERWISE = " and was made from another input or with other settings"


@dataclass(frozen=True)
class Options:
    """How a batch treats what is there already.

    Attributes:
        force: replace results of other settings, and files that are no results.
        retry_failed: try again what failed before.
        metadata: whether results hold their record.
        signer: signs every result as its last write.
    """

    force: bool = False
    retry_failed: bool = False
    metadata: bool = True
    signer: Signer | None = None


@dataclass(frozen=True)
class Ready:
    """An item with all that can be done before the models are needed."""

    item: Item
    state: str
    key: str | None = None
    request: Request | None = None
    prepared: Prepared | None = None
    record: ItemRecord | None = None
    replaces: bool = False
    error: FaceEditError | None = None


def check_free(plan: Plan, items: Sequence[Item], options: Options, history: History) -> None:
    """Refuses, before anything runs, outputs whose place is taken by files that no run of this batch made.

    Raises:
        OutputError: as said.
    """
    if options.force:
        return
    own = {record.output for record in history.results.values()}
    taken = [
        str(item.output) for item in items if str(item.output) not in own and os.path.lexists(plan.folder / item.output)
    ]
    if taken:
        more = f" and {len(taken) - 1} more" if len(taken) > 1 else ""
        raise OutputError(
            f"{plain(taken[0])}{more} exists already in {plain(plan.folder)} and is not of this batch",
            "add --force to replace, or choose another folder with -o",
        )


def make_ready(item: Item, folder: Path, history: History, options: Options, prepared: bool = True) -> Ready:
    """What can be known of an item without a model: whether it is done, why it must fail, or its prepared portrait.

    Args:
        item: the item.
        folder: the output folder.
        history: what the journals say.
        options: of the run.
        prepared: whether to find face and place of what is to be done.

    Raises:
        WeightsError: a file of weights is missing.
    """
    key = None
    try:
        if item.problem:
            raise ImageError(f"{plain(item.name)}: {item.problem}", "copy the file itself there")
        picture, mask = (
            _bytes_of(item.request.image),
            None if item.request.mask is None else _bytes_of(item.request.mask),
        )
        key = work_key(item, picture, mask, options.metadata, options.signer)
        state, record, replaces = _state(item, key, folder, history, options)
        if state != TO_DO or not prepared:
            return Ready(item, state, key, record=record)
        request = replace(item.request, image=picture, mask=None)
        return Ready(item, state, key, request, _prepared(request, item, mask), replaces=replaces)
    except WeightsError:
        raise
    except Exception as error:  # whatever a picture brings up is its own failure, never the batch's
        before = history.latest.get(item.id)
        if key is None and before is not None and _stays_failed(before, None, options):
            return Ready(item, FAILED_BEFORE, record=before)
        return Ready(item, TO_DO, key, error=known(error))


def _bytes_of(source: Path | bytes) -> bytes:
    return read_source(source)[0]


def _prepared(request: Request, item: Item, mask: bytes | None) -> Prepared:
    if mask is None:
        return prepare(request, item.choice)
    from faceedit.images import load_picture
    from faceedit.locate.user import UserMask

    size = load_picture(request.image).size
    return prepare(request, item.choice, UserMask.read(mask, size, request.resize_mask).values)


def _state(
    item: Item, key: str, folder: Path, history: History, options: Options
) -> tuple[str, ItemRecord | None, bool]:
    """Whether the item is done, has failed or is to do; its record; whether a file of ours is to be replaced.

    Raises:
        OutputError: another file has the result's place.
    """
    target = folder / item.output
    there = os.path.lexists(target)
    made, latest = history.results.get(item.id), history.latest.get(item.id)
    ours = made is not None and made.output == str(item.output)
    if made is not None and ours and there and made.key == key and digest(target) == made.sha256:
        return DONE, made, False
    if latest is not None and _stays_failed(latest, key, options):
        return FAILED_BEFORE, latest, False
    # A run that was killed between the record and the file can have reserved the name and nothing more.
    replaces = made is not None and ours and made.status == MADE and there and target.stat().st_size == 0
    if there and not replaces and not options.force:
        why = "" if made is None else " and was changed since" if made.key == key else _OTHERWISE
        raise OutputError(
            f"{plain(item.output)} exists already{why}",
            "add --force to make it again, or choose another folder with -o",
        )
    return TO_DO, None, replaces


def _stays_failed(record: ItemRecord, key: str | None, options: Options) -> bool:
    """Only what lies in the item itself stays failed: a result that could not be written is tried again."""
    return (
        record.status == FAILED
        and record.key == key
        and not options.retry_failed
        and (record.error or {}).get("kind") != OutputError.__name__
    )


def known(error: Exception) -> FaceEditError:
    """The error as the user meets it; what nobody foresaw is the item's own misfortune and stops nothing."""
    if isinstance(error, FaceEditError):
        return error
    if is_out_of_memory(error):
        return stopped("cpu")
    first_line = (str(error).splitlines() or [""])[0]
    return FaceEditError(
        f"unexpected {type(error).__name__}: {first_line}", "see what faceedit edit --debug says of it"
    )
