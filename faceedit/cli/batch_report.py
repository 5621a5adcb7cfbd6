"""What `faceedit batch` tells: each item, the plan, the end of a run, the state of a folder."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faceedit.cli.console import Console, columns

if TYPE_CHECKING:
    from faceedit.batch.plan import Plan
    from faceedit.batch.ready import Options
    from faceedit.batch.runner import Outcome
    from faceedit.batch.shards import Shard
    from faceedit.batch.stopping import Stop

SCHEMA = "faceedit.batch/1"
TOLD, HINTS = 20, 3


def make_room(console: Console) -> None:
    """Wipes the line of the bar, which draws itself anew below whatever is written next."""
    if console.stderr.isatty() and not console.quiet:
        console.stderr.write("\r\x1b[2K")
        console.stderr.flush()


def tell(console: Console, plan: Plan, outcome: Outcome) -> None:
    """One item: its result on stdout, its failure on stderr."""
    record = outcome.record
    if outcome.state == "done":
        console.detail(f"done before: {record.output}")
        return
    if outcome.state == "ok":
        document = {**record.document(), "output": str(plan.folder / record.output)}
        console.emit(document.pop("schema"), document, str(plan.folder / record.output), document.pop("status"))
        for warning in record.warnings:
            console.detail(f"{record.output}: {warning}")
        return
    if console.json:
        document = record.document()
        console.emit(document.pop("schema"), document, status=document.pop("status"))
    if outcome.state == "failed":
        console.warn(f"{record.image}: {(record.error or {}).get('message')}")


def summarise(console: Console, total: int, states: Counter[str], failures: list[Outcome], seconds: float) -> None:
    """The last lines: how many came out how, and why the others failed."""
    made, failed = states["ok"], len(failures)
    rate = f", {made / seconds:.2f} per second" if made and seconds > 0 else ""
    left = total - sum(states.values())
    counted = [f"{made} edited", f"{states['done']} done before", f"{failed} failed", f"{left} left"]
    console.say(f"{', '.join(counted)}; {seconds:.0f} s{rate}")
    if failures:
        reasons = Counter(str((outcome.record.error or {}).get("kind")) for outcome in failures)
        console.say("failed: " + ", ".join(f"{count} {reason}" for reason, count in reasons.most_common()))
        for outcome in failures[:TOLD]:
            console.say(f"- {outcome.item.name}: {(outcome.record.error or {}).get('message')}")
        if failed > TOLD:
            console.say(f"- and {failed - TOLD} more: faceedit batch status DIR")
        hints = dict.fromkeys(str((outcome.record.error or {}).get("hint")) for outcome in failures)
        for hint in [*hints][:HINTS]:
            console.say(f"hint: {hint}")
        console.say("hint: --retry-failed tries again what failed by its own fault")
    if console.json:
        document = {"edited": made, "done_before": states["done"], "failed": failed, "left": left}
        console.emit(SCHEMA, {**document, "seconds": round(seconds, 3)}, status="failed" if failed else "ok")


def show_plan(console: Console, plan: Plan, shard: Shard, options: Options) -> None:
    """What would be done with every item; pictures are read to see what is done, nothing is written."""
    from faceedit.batch.journal import read_history
    from faceedit.batch.ready import make_ready

    history = read_history(plan.folder)
    rows: list[tuple[object, ...]] = []
    for item in plan.items:
        if not shard.holds(item.id):
            continue
        ready = make_ready(item, plan.folder, history, options, prepared=False)
        state = "would fail" if ready.error is not None else ready.state
        document = {
            "id": item.id,
            "image": item.name,
            "prompts": list(item.request.prompts),
            "seed": item.request.seed,
            "recipe": item.recipe.name,
            "output": str(plan.folder / item.output),
            "state": state,
            "error": None if ready.error is None else str(ready.error),
        }
        rows.append((state, item.name, " + ".join(item.request.prompts), item.request.seed, item.output))
        if console.json:
            console.emit("faceedit.batch.plan/1", document)
    if not console.json:
        console.line(safe_columns(rows, ("state", "picture", "prompt", "seed", "result")))


def show_status(console: Console, folder: Path) -> None:
    """Counts and failures of a batch's folder."""
    from faceedit.batch.survey import STATES, survey

    found = survey(folder)
    counts = {state: found.count(state) for state in STATES}
    document = {"folder": str(folder), "total": found.total, **counts, "left": found.left}
    bad = [(state, record) for state, record in found.states if state != "ok"]
    if console.json:
        failures = [{**record.document(), "status": state} for state, record in bad]
        rest = {"leftovers": found.leftovers, "torn_lines": found.torn, "failures": failures}
        console.emit("faceedit.batch.status/1", {**document, **rest})
        return
    rows: list[tuple[object, ...]] = [*counts.items(), ("left", found.left), ("total", found.total)]
    console.line(columns(rows))
    if bad:
        table = [(state, record.image, (record.error or {}).get("message", record.output)) for state, record in bad]
        console.line(safe_columns(table))
    if found.leftovers:
        console.say(f"{found.leftovers} temporary files of killed runs; the next run removes them")


def safe_columns(rows: Sequence[Sequence[object]], header: Sequence[str] = ()) -> str:
    """Columns whose cells, file names among them, cannot move the cursor or fake a line."""
    from faceedit.decode import plain

    return columns([[plain(cell) for cell in row] for row in rows], header)


@contextmanager
def batch_progress(console: Console, total: int, stop: Stop) -> Iterator[Any]:
    """Yields `report(states)`: a bar with rate, time left and failures where stderr is a terminal."""
    start = time.perf_counter()
    with console.progress() as report:

        def show(states: Counter[str]) -> None:
            rate = states["ok"] / max(time.perf_counter() - start, 1e-6)
            failed = states["failed"] + states["failed before"]
            ending = "stopping, " if stop.asked else ""
            report(f"{ending}{rate:.2f} edits/s, {failed} failed", sum(states.values()), total)

        report("loading the models", 0, total)
        yield show
