"""`faceedit weights`: what the manifest knows, what of it is on this machine, fetching and removing it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer

from faceedit.cli import options as o
from faceedit.cli.console import Console, columns
from faceedit.cli.machine import size_text
from faceedit.cli.verb import command
from faceedit.errors import UsageError, WeightsError

if TYPE_CHECKING:
    from faceedit.models.manifest import WeightSet
    from faceedit.models.pull import Pull
    from faceedit.recipe_schema import Recipe

SCHEMA = "faceedit.weights/1"


def register(app: typer.Typer) -> None:
    """Adds the verbs."""
    group = typer.Typer(help="List, fetch, verify, find and remove model weights.")
    app.add_typer(group, name="weights")

    @command(group, "list")
    def list_(console: Console) -> None:
        """List the weights that faceedit knows, and which are here."""
        from faceedit.models.manifest import check, weight_sets

        rows = []
        for known in weight_sets():
            state = check(known, hashes=False).state
            gated = "gated" if known.gated else "open"
            rows.append((known.id, known.kind, size_text(known.size or None), known.licence, gated, state))
            if console.json:
                document = {
                    "id": known.id,
                    "kind": known.kind,
                    "repository": known.repository,
                    "revision": known.revision,
                    "bytes": known.size,
                    "licence": known.licence,
                    "gated": known.gated,
                    "terms": known.terms,
                    "description": known.description,
                    "state": state,
                    "needed_by": list(known.needed_by),
                }
                console.emit(SCHEMA, document)
        if not console.json:
            console.line(columns(rows, ("name", "kind", "size", "licence", "access", "state")))

    @command(group, "verify")
    def verify(console: Console, names: o.WeightNames = None) -> None:
        """Check files against the manifest's hashes."""
        from faceedit.models.manifest import MISSING, PRESENT, check, weight_sets

        chosen = [_known(name) for name in names] if names else list(weight_sets())
        faults: list[str] = []
        for known in chosen:
            found = check(known)
            document = {"id": known.id, "state": found.state, "problems": list(found.problems)}
            console.emit(SCHEMA, document, columns([(known.id, found.state, "; ".join(found.problems))]))
            # What nobody asked for by name may be absent, as the large backbones usually are.
            if found.state != PRESENT and (names or known.kind == "bundled" or found.state != MISSING):
                faults.append(known.id)
        if faults:
            raise WeightsError(
                f"not whole: {', '.join(faults)}",
                "faceedit weights rm NAME, then faceedit weights pull NAME; bundled ones: install faceedit again",
            )

    @command(group, "path")
    def path(console: Console, name: o.WeightName) -> None:
        """Print the folder of weights that are here."""
        from faceedit.models.manifest import folder_of

        known = _known(name)
        folder = folder_of(known)
        if folder is None:
            raise WeightsError(f"{name} is not on this machine", f"faceedit weights pull {name} fetches it")
        console.emit(SCHEMA, {"id": known.id, "path": str(folder)}, str(folder))

    @command(group, "pull")
    def pull(
        console: Console,
        names: o.WeightNames = None,
        recipe: o.Recipe = None,
        revision: o.Revision = "",
        allow_moving: o.AllowMoving = False,
        accept_licence: o.AcceptLicence = False,
        dry_run: o.DryRun = False,
    ) -> None:
        """Fetch published weights from the Hugging Face Hub, and check them."""
        from faceedit.models.pull import fetch, plan

        chosen = _chosen(names, recipe)
        if revision and len(chosen) != 1:
            raise UsageError("--revision goes with one set of weights", "pull them one by one")
        plans = [plan(known, wanted, revision, allow_moving) for known, wanted in chosen]
        for todo in plans:
            if dry_run:
                console.emit("faceedit.pull/1", _pull_document(todo), _pull_text(todo))
                continue
            bars = console.stderr.isatty() and not console.quiet
            folder = fetch(todo, _asked(console, accept_licence), console.say, bars)
            if folder.name != todo.known.revision:
                console.say(f"use it with --set weights.revision={folder.name}")
            document = {"id": todo.known.id, "revision": folder.name, "path": str(folder)}
            console.emit(SCHEMA, document, str(folder))

    @command(group, "rm")
    def remove_(console: Console, name: o.WeightName, yes: o.Yes = False, dry_run: o.DryRun = False) -> None:
        """Remove fetched weights from the Hugging Face cache."""
        from faceedit.models.remove import plan_removal, remove

        todo = plan_removal(_known(name))
        document = {"id": name, "path": str(todo.snapshot), "bytes": todo.size, "removed": not dry_run}
        text = f"{len(todo.names)} files, {size_text(todo.size)} in {todo.snapshot}"
        if not dry_run:
            if not yes and not sys.stdin.isatty():
                raise UsageError("nobody is here to be asked", "add --yes")
            if not yes and not typer.confirm(f"Remove {text}?", err=True):
                raise typer.Exit(1)
            remove(todo)
        console.emit(SCHEMA, document, f"{'would remove' if dry_run else 'removed'} {text}")


def _chosen(names: list[str] | None, recipe: str | None) -> list[tuple[WeightSet, Recipe | None]]:
    """The sets by name, or those of a recipe."""
    if names:
        return [(_known(name), None) for name in names]
    if recipe is None:
        raise UsageError("nothing to pull", "name weights (faceedit weights list), or a recipe with --recipe")
    from faceedit.models.needs import sets_of
    from faceedit.recipe import load_recipe

    found = load_recipe(recipe)
    return [(known, found) for known in sets_of(found)]


def _asked(console: Console, given: bool) -> Callable[[WeightSet], bool]:
    """Who answers for the licence: the flag, or the user at a terminal; in a script without the flag nobody does."""

    def accept(known: WeightSet) -> bool:
        if given:
            return True
        if not (sys.stdin.isatty() and console.stderr.isatty()):
            return False
        return typer.confirm(f"{known.id} comes under {known.licence}: {known.terms}\nAccept it?", err=True)

    return accept


def _pull_document(todo: Pull) -> dict[str, Any]:
    known = todo.known
    return {
        "id": known.id,
        "repository": known.repository,
        "revision": todo.revision,
        "licence": known.licence,
        "terms": known.terms,
        "gated": known.gated,
        "fetch": [{"path": file.path, "bytes": file.size} for file in todo.missing],
        "present": [file.path for file in todo.here],
        "bytes": todo.size,
        "free_bytes": todo.free,
        "cache": str(todo.cache),
    }


def _pull_text(todo: Pull) -> str:
    known, unknown = todo.known, sum(file.size is None for file in todo.missing)
    more = f" and {unknown} files of unknown size" if unknown else ""
    rows: list[tuple[object, object]] = [
        ("weights", f"{known.id}: {known.repository} at {todo.revision}"),
        ("licence", f"{known.licence}{', gated' if known.gated else ''}{f' ({known.terms})' if known.terms else ''}"),
        ("to fetch", f"{len(todo.missing)} files, {size_text(todo.size)}{more}; {len(todo.here)} are here"),
        ("into", f"{todo.cache} ({size_text(todo.free)} free)"),
        *(("", f"{file.path} ({size_text(file.size)})") for file in todo.missing),
    ]
    return columns(rows)


def _known(name: str) -> WeightSet:
    from faceedit.models.manifest import weight_set, weight_sets

    known = weight_set(name)
    if known is None:
        names = ", ".join(entry.id for entry in weight_sets()) or "none"
        raise UsageError(f"unknown weights {name!r}", f"they are: {names}")
    return known
