"""One shard of a batch: item after item, whatever happens to one of them."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from faceedit import __version__
from faceedit.batch.ahead import ahead
from faceedit.batch.journal import FAILED, MADE, OK, RUN_SCHEMA, ItemRecord, Journal, read_history
from faceedit.batch.leftovers import sweep
from faceedit.batch.plan import Item, Plan
from faceedit.batch.ready import TO_DO, Options, Ready, known, make_ready
from faceedit.batch.safe_path import inside
from faceedit.batch.shards import Shard
from faceedit.batch.stopping import DroppedError, Stop
from faceedit.c2pa import sign
from faceedit.decode import plain
from faceedit.errors import FaceEditError, OutOfMemoryError, OutputError, WeightsError
from faceedit.images import format_of, write_atomic
from faceedit.memory_pressure import release
from faceedit.provenance import encode_result
from faceedit.recipe_schema import Recipe
from faceedit.run import require_change
from faceedit.warm import Warm

_SPARE = 1 << 20


@dataclass(frozen=True)
class Outcome:
    """What became of one item: `state` is "ok", "failed", "done" (before this run) or "failed before"."""

    item: Item
    state: str
    record: ItemRecord


class DiskFullError(OutputError):
    """No further result can be written; the batch ends instead of editing for nothing."""


class Editors:
    """The editor of the recipe in hand, kept warm; that of the recipe before it is let go."""

    def __init__(self) -> None:
        self._recipe: Recipe | None = None
        self._warm: Warm | None = None

    def of(self, recipe: Recipe) -> Warm:
        """The editor of `recipe`, loaded."""
        if self._warm is None or recipe != self._recipe:
            self._warm = None
            release()
            self._recipe, self._warm = recipe, Warm(recipe)
            self._warm.load()
        return self._warm


def run_shard(plan: Plan, shard: Shard, options: Options, stop: Stop) -> Iterator[Outcome]:
    """Work through the items of one shard; yields what became of each.

    An item that fails is recorded and the next one begins. Ends early when `stop` asks for it.

    Raises:
        OutputError: the folder cannot be written, its disk is full, or another process works on the shard.
        WeightsError: the models cannot be loaded.
        OutOfMemoryError: as `faceedit.warm.Warm.edit`.
    """
    items = [item for item in plan.items if shard.holds(item.id)]
    plan.folder.mkdir(parents=True, exist_ok=True)
    with Journal(plan.folder, shard) as journal:
        sweep({plan.folder, *(plan.folder / item.output.parent for item in plan.items)})
        journal.append(
            {
                "schema": RUN_SCHEMA,
                "total": len(plan.items),
                "items": len(items),
                "shard": str(shard),
                "started": _now(),
            }
        )
        history = read_history(plan.folder)
        editors = Editors()
        for ready in ahead(lambda item: make_ready(item, plan.folder, history, options), items):
            if stop.asked:
                return
            try:
                outcome = _finish(ready, plan.folder, journal, editors, options, stop)
            except DroppedError:
                return
            yield outcome
            if stop.asked:
                return


def _finish(ready: Ready, folder: Path, journal: Journal, editors: Editors, options: Options, stop: Stop) -> Outcome:
    """Edit what is to be edited, write it and record it."""
    item = ready.item
    if ready.state != TO_DO:
        assert ready.record is not None
        record = ready.record
        if record.status == MADE:  # killed between the file and its record
            record = replace(record, status=OK, finished=_now())
            journal.append(record.document())
        return Outcome(item, ready.state, record)
    record, failure = new_record(item, ready.key), ready.error
    if failure is None:
        editor = editors.of(item.recipe)  # what stops models from loading would stop every item: it ends the batch
        try:
            record = _make(ready, record, folder, journal, editor, options, stop)
        except (WeightsError, OutOfMemoryError, DiskFullError, DroppedError):
            raise
        except Exception as error:  # likewise: one bad picture never stops the batch
            failure = known(error)
    if failure is not None:
        record = replace(record, status=FAILED, error=error_values(failure), finished=_now())
    journal.append(record.document())
    return Outcome(item, record.status, record)


def _make(
    ready: Ready, record: ItemRecord, folder: Path, journal: Journal, editor: Warm, options: Options, stop: Stop
) -> ItemRecord:
    assert ready.prepared is not None and ready.request is not None
    start = time.perf_counter()
    result = require_change(editor.edit(ready.prepared, ready.request, lambda _step: stop.check()))
    target = folder / ready.item.output
    data = encode_result(result, format_of(target), metadata=options.metadata)
    if options.signer is not None:
        assert isinstance(ready.request.image, bytes)
        data = sign(data, options.signer, ready.request.image)
    stop.check()
    made = replace(
        record,
        status=MADE,
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        device=device_name(ready.item.recipe),
        seconds=round(time.perf_counter() - start, 3),
        warnings=result.warnings,
        safety=result.safety,
        finished=_now(),
    )
    if not inside(folder, target.parent):
        raise OutputError(f"{plain(target.parent)} leads out of the output folder", "remove the link")
    target.parent.mkdir(parents=True, exist_ok=True)
    _require_space(folder, len(data))
    # The record comes first: whoever finds the file after a kill knows by its hash that it is whole and whose it is.
    journal.append(made.document())
    write_atomic(target, data, force=options.force or ready.replaces)
    return replace(made, status=OK, finished=_now())


def device_name(recipe: Recipe) -> str:
    """The device that a recipe's models run on: "cpu", "cuda:0", "mps"."""
    from faceedit.models.plan import device_plan

    return str(device_plan(recipe.device).device)


def new_record(item: Item, key: str | None) -> ItemRecord:
    """The record of an item as far as the plan knows it."""
    return ItemRecord(
        status=FAILED,
        id=item.id,
        image=item.name,
        prompts=item.request.prompts,
        seed=item.request.seed,
        output=str(item.output),
        key=key,
        editor=item.recipe.editor,
        recipe=item.recipe.name,
        consent=item.consent,
        faceedit=__version__,
    )


def error_values(error: FaceEditError) -> dict[str, object]:
    """A failure as plain JSON values."""
    return {
        "code": error.exit_code,
        "kind": type(error).__name__,
        "message": plain(error),
        "hint": plain(error.hint),
    }


def _require_space(folder: Path, size: int) -> None:
    if shutil.disk_usage(folder).free < size + _SPARE:
        raise DiskFullError(f"the disk of {plain(folder)} is full", "make room and start the same command again")


def _now() -> str:
    return datetime.now(timezone.utc).isoformat()
