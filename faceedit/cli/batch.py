"""`faceedit batch`: many pictures in one go, and what became of them."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from faceedit.cli import options as o
from faceedit.cli.asking import build_request
from faceedit.cli.console import Console, columns
from faceedit.cli.verb import INTERRUPTED, command
from faceedit.errors import UsageError

if TYPE_CHECKING:
    from faceedit.batch.plan import Plan
    from faceedit.batch.ready import Options
    from faceedit.batch.runner import Outcome
    from faceedit.batch.shards import Shard
    from faceedit.batch.stopping import Stop

SCHEMA = "faceedit.batch/1"
PARTLY_FAILED = 3
MERGED = "merged.jsonl"
TOLD, HINTS = 20, 3


class RunUnlessNamed(TyperGroup):
    """`batch SOURCE ...` is `batch run SOURCE ...`: what is no verb of this group is a source."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the verb there that was left out."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["run", *args]
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    """Adds the verbs."""
    group = typer.Typer(
        cls=RunUnlessNamed,
        help="Edit a folder, a glob or a manifest of pictures.\n\n"
        "`batch SOURCE ...` is short for `batch run SOURCE ...`.",
    )
    app.add_typer(group, name="batch")

    @command(group, "run")
    def run(
        console: Console,
        source: o.Source,
        output: o.OutputFolder,
        prompts: o.BatchPrompts = None,
        name: o.NameTemplate = "{stem}.{prompt}.png",
        root: o.Root = None,
        backend: o.Backend = "auto",
        recipe: o.Recipe = None,
        region: o.Region = None,
        face: o.FaceIndex = None,
        seed: o.Seed = 0,
        steps: o.Steps = None,
        strength: o.Strength = None,
        source_prompt: o.SourcePrompt = None,
        locator: o.Locator = None,
        dilate: o.Dilate = None,
        feather: o.Feather = None,
        resize_mask: o.ResizeMask = False,
        device: o.Device = "auto",
        dtype: o.DType = "auto",
        memory: o.Memory = "auto",
        settings: o.Settings = None,
        shard: o.ShardText = None,
        workers: o.Workers = "1",
        retry_failed: o.RetryFailed = False,
        force: o.Force = False,
        dry_run: o.DryRun = False,
        no_metadata: o.NoMetadata = False,
    ) -> None:
        """Edit every picture of SOURCE, or go on where that was stopped."""
        from faceedit.batch.plan import make_plan
        from faceedit.batch.ready import Options
        from faceedit.batch.shards import Shard, parse_shard, shard_from
        from faceedit.batch.sources import read_source

        base = build_request(
            "",
            (),
            region=region,
            settings=settings,
            locator=locator,
            backend=backend,
            recipe=recipe,
            face=face,
            seed=seed,
            steps=steps,
            strength=strength,
            source_prompt=source_prompt,
            dilate=dilate,
            feather=feather,
            resize_mask=resize_mask,
            device=device,
            dtype=dtype,
            memory=memory,
        )
        if output.exists() and not output.is_dir():
            raise UsageError(f"{output} is no folder", "name a folder with -o")
        part = parse_shard(shard) if shard is not None else shard_from(os.environ) or Shard()
        edits = [(prompt,) for prompt in prompts or ()]
        plan = make_plan(read_source(source, output, root), edits, base, output, name)
        options = Options(force=force, retry_failed=retry_failed, metadata=not no_metadata)
        run_batch(console, plan, part, options, workers, device, dry_run)

    @command(group, "status")
    def status(console: Console, folder: o.BatchFolder) -> None:
        """Say what is done, failed, missing or left."""
        show_status(console, folder)

    @command(group, "merge")
    def merge(console: Console, folder: o.BatchFolder, output: o.MergedFile = None, force: o.Force = False) -> None:
        """Write one file with a line per item, from all shards."""
        import json

        from faceedit.batch.survey import merged, survey
        from faceedit.images import write_atomic

        found = survey(folder)
        target = folder / MERGED if output is None else output
        lines = [json.dumps(document, ensure_ascii=True) + "\n" for document in merged(found)]
        write_atomic(target, "".join(lines).encode("ascii"), force)
        document = {"output": str(target), "items": len(lines), "complete": found.complete}
        console.emit("faceedit.batch.merge/1", document, str(target))
        if not found.complete:
            console.warn("not every item has its result; see: faceedit batch status DIR")
            raise typer.Exit(PARTLY_FAILED)


def run_batch(
    console: Console, plan: Plan, shard: Shard, options: Options, workers: str, device: str, dry_run: bool
) -> None:
    """Refuses what cannot end well, runs, and says what came of it."""
    from faceedit.batch.journal import read_history
    from faceedit.batch.plan import counts_by_recipe
    from faceedit.batch.ready import check_free
    from faceedit.batch.runner import run_shard
    from faceedit.batch.stopping import Stop, stop_on_signals
    from faceedit.batch.workers import gpu_names, run_workers, worker_count

    mine = [item for item in plan.items if shard.holds(item.id)]
    check_free(plan, mine, options, read_history(plan.folder))
    for recipe, count in counts_by_recipe(mine).items():
        console.say(f"{count} edits by {recipe}" + (f", shard {shard}" if shard.count > 1 else ""))
    for choice in {id(item.choice): item.choice for item in mine}.values():
        console.say(f"recipe {choice.reason}{'; ' if choice.better else ''}{choice.better}")
    if plan.passed_over:
        console.say(f"{plan.passed_over} files are no pictures by their names and are passed over")
    if dry_run:
        show_plan(console, plan, shard, options)
        return
    count = worker_count(workers, device)
    start, states = time.perf_counter(), Counter[str]()
    failures: list[Outcome] = []
    with stop_on_signals(Stop()) as stop, batch_progress(console, len(mine), stop) as report:
        gpus = gpu_names() if count > 1 and device in ("auto", "cuda") else ()
        outcomes = (
            run_shard(plan, shard, options, stop)
            if count == 1
            else run_workers(plan, shard, options, count, stop, gpus)
        )
        for outcome in outcomes:
            make_room(console)
            states[outcome.state] += 1
            if outcome.state in ("failed", "failed before"):
                failures.append(outcome)
            tell(console, plan, outcome)
            report(states)
        interrupted = stop.asked
    summarise(console, len(mine), states, failures, time.perf_counter() - start)
    if interrupted:
        console.say("interrupted; start the same command again to go on")
        raise typer.Exit(INTERRUPTED)
    if failures:
        raise typer.Exit(PARTLY_FAILED)


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
