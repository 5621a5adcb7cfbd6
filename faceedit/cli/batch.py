"""`faceedit batch`: many pictures in one go, and what became of them."""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from faceedit.cli import options as o
from faceedit.cli.asking import build_request
from faceedit.cli.batch_report import batch_progress, make_room, show_plan, show_status, summarise, tell
from faceedit.cli.console import Console
from faceedit.cli.verb import INTERRUPTED, command
from faceedit.errors import UsageError

if TYPE_CHECKING:
    from faceedit.batch.plan import Plan
    from faceedit.batch.ready import Options
    from faceedit.batch.runner import Outcome
    from faceedit.batch.shards import Shard

PARTLY_FAILED = 3
MERGED = "merged.jsonl"


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
        stfg: o.Stfg = None,
        constraint: o.Constraint = None,
        shard: o.ShardText = None,
        workers: o.Workers = "1",
        retry_failed: o.RetryFailed = False,
        force: o.Force = False,
        dry_run: o.DryRun = False,
        no_metadata: o.NoMetadata = False,
        sign_cert: o.SignCertificate = None,
        sign_key: o.SignKey = None,
    ) -> None:
        """Edit every picture of SOURCE, or go on where that was stopped."""
        from faceedit.batch.plan import make_plan
        from faceedit.batch.ready import Options
        from faceedit.batch.shards import Shard, parse_shard, shard_from
        from faceedit.batch.sources import read_source
        from faceedit.c2pa import read_signer

        signer = read_signer(sign_cert, sign_key)
        base = build_request(
            "",
            (),
            region=region,
            settings=settings,
            locator=locator,
            stfg=stfg,
            constraint=constraint,
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
        options = Options(force=force, retry_failed=retry_failed, metadata=not no_metadata, signer=signer)
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
            console.warn(f"not every item has its result; see: faceedit batch status {folder}")
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
