"""`faceedit edit`: the main job."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from faceedit.cli import options as o
from faceedit.cli.asking import build_request
from faceedit.cli.console import Console, Progress, columns
from faceedit.cli.files import STDIO, check_folder, check_outputs, check_stdout, output_path
from faceedit.cli.machine import size_text
from faceedit.cli.output import Targets, write_result
from faceedit.cli.verb import command
from faceedit.errors import UsageError

if TYPE_CHECKING:
    from faceedit.dry_run import Plan
    from faceedit.editors.base import Step
    from faceedit.request import Float2, Request, Result
    from faceedit.run import Prepared

SCHEMA = "faceedit.edit/1"
NO_MAPS = "there are no maps to save: this editor shows none; the others do, and inpaint with --stfg"
LOSSY = "JPEG changes pixels a little everywhere; PNG, WebP and TIFF keep those outside the mask as they are"


def register(app: typer.Typer) -> None:
    """Adds the verb."""

    @command(app, "edit")
    def edit(
        console: Console,
        image: o.Image,
        prompts: o.Prompts,
        output: o.Output = None,
        backend: o.Backend = "auto",
        recipe: o.Recipe = None,
        mask: o.MaskFile = None,
        region: o.Region = None,
        face: o.FaceIndex = None,
        seed: o.Seed = 0,
        variants: o.Variants = 1,
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
        save_mask: o.SaveMask = None,
        compare: o.CompareFile = None,
        save_maps: o.SaveMaps = None,
        force: o.Force = False,
        dry_run: o.DryRun = False,
        no_metadata: o.NoMetadata = False,
        sign_cert: o.SignCertificate = None,
        sign_key: o.SignKey = None,
    ) -> None:
        """Edit one local attribute of a face."""
        request = build_request(
            image,
            prompts,
            region=region,
            settings=settings,
            locator=locator,
            stfg=stfg,
            constraint=constraint,
            backend=backend,
            recipe=recipe,
            mask=mask,
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
        extra = Extra(save_mask, compare, save_maps, (sign_cert, sign_key))
        run_edit(console, image, request, output, variants, extra, force, dry_run, not no_metadata)


@dataclass(frozen=True)
class Extra:
    """What is written besides the picture, where it was asked for, and the certificate and key that sign it."""

    mask: Path | None = None
    compare: Path | None = None
    maps: Path | None = None
    sign: tuple[Path | None, Path | None] = (None, None)


def run_edit(
    console: Console,
    image: str,
    request: Request,
    output: str | None,
    variants: int,
    extra: Extra,
    force: bool,
    dry_run: bool,
    metadata: bool,
) -> None:
    """Checks the outputs, prepares and loads once, then makes and writes every variant."""
    from faceedit.backend import choose_recipe
    from faceedit.c2pa import signing
    from faceedit.dry_run import plan
    from faceedit.images import format_of
    from faceedit.models.places import require_present
    from faceedit.run import prepare, require_change
    from faceedit.warm import Warm

    if output == STDIO and variants > 1:
        raise UsageError("stdout holds one picture, not several variants", "name a file with -o")
    check_stdout(console, output)
    finish = signing(*extra.sign, request.image)
    choice = choose_recipe(request)
    first = output_path(image, output, choice.recipe.editor)
    named = Targets(first, extra.mask, extra.compare, extra.maps)
    targets = [named if variants == 1 else named.for_seed(request.seed + k) for k in range(variants)]
    check_outputs([path for target in targets for path in target.paths], force)
    for target in targets:
        check_folder(target.maps, force)
    if dry_run:
        writes = [path for target in targets for path in (*target.paths, target.maps) if path]
        show_plan(console, plan(request), writes)
        return
    require_present(choice.recipe.weights)
    prepared = prepare(request, choice)
    console.say(f"recipe {choice.reason}{'; ' if choice.better else ''}{choice.better}")
    box = " ".join(f"{value:.0f}" for value in prepared.portrait.face.box)
    console.detail(f"face: {box}; mask: {prepared.mask.origin}; target: {prepared.text.target}")
    start = time.perf_counter()
    with console.progress() as report:
        report("loading the models", 0, 0)
        warm = Warm(prepared.recipe)
        warm.load()
    console.detail(f"models loaded in {time.perf_counter() - start:.1f} s")
    for number, target in enumerate(targets):
        one = replace(request, seed=request.seed + number)
        start = time.perf_counter()
        seen: dict[int, dict[str, Float2]] = {}
        with console.progress() as report:
            listener = shown_steps(report, None if target.maps is None else seen)
            result = require_change(warm.edit(prepared, one, listener))
        if target.picture is not None and format_of(target.picture) == "JPEG":
            result = replace(result, warnings=(*result.warnings, LOSSY))
        if target.maps is not None and not seen:
            target = replace(target, maps=None)
            result = replace(result, warnings=(*result.warnings, NO_MAPS))
        seconds = time.perf_counter() - start
        write_result(console, result, target, force, metadata, seen, finish)
        for warning in result.warnings:
            console.warn(warning)
        shown = None if target.picture is None else str(target.picture)
        console.emit(SCHEMA, document(image, one, prepared, result, target, seconds), shown)


def shown_steps(report: Progress, seen: dict[int, dict[str, Float2]] | None = None) -> Callable[[Step], None]:
    """A listener for the edit loop that moves the progress bar and, with `seen`, keeps the steps' maps there."""

    def listen(step: Step) -> None:
        report("editing", step.number, step.total)
        if seen is not None and step.maps:
            seen[step.number] = {name: values.float().cpu().numpy() for name, values in step.maps.items()}

    return listen


def show_plan(console: Console, plan: Plan, writes: Sequence[Path]) -> None:
    """Prints what would be done and which files would be written."""
    values = asdict(plan)
    parts, cost = values.pop("part_bytes"), values.pop("cost") or {}
    rows = [*_told(values), *_told({f"{part}_bytes": size for part, size in parts.items()}), *_told(cost)]
    rows += [("writes", path) for path in writes]
    document = {**asdict(plan), "writes": [str(path) for path in writes]}
    console.emit("faceedit.plan/1", document, columns(rows))


def _told(values: Mapping[str, object]) -> list[tuple[str, object]]:
    """Rows of a plan; bytes in words."""
    sizes = {name: size_text(value) for name, value in values.items() if "bytes" in name and isinstance(value, int)}
    return [(name.replace("_", " "), sizes.get(name, value)) for name, value in values.items()]


def document(
    image: str, request: Request, prepared: Prepared, result: Result, target: Targets, seconds: float
) -> dict[str, Any]:
    """The JSON object of one edit, as `docs/cli.md` describes it."""
    from faceedit.compare import outside_max_abs_diff

    height, width = result.picture.size
    return {
        "input": image,
        "output": None if target.picture is None else str(target.picture),
        "mask": None if target.mask is None else str(target.mask),
        "compare": None if target.compare is None else str(target.compare),
        "maps": None if target.maps is None else str(target.maps),
        "editor": prepared.recipe.editor,
        "recipe": prepared.recipe.name,
        "prompts": list(request.prompts),
        "seed": request.seed,
        "size": [width, height],
        "face": [round(float(value), 1) for value in prepared.portrait.face.box],
        "mask_origin": result.mask.origin,
        "mask_share": round(float(result.mask.values.mean()), 6),
        "outside_max_abs_diff": outside_max_abs_diff(result.picture.rgb, result.rgb, result.mask.values),
        "seconds": round(seconds, 3),
        "safety": result.safety,
        "warnings": list(result.warnings),
    }
