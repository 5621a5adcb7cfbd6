"""`faceedit weights`: what the manifest knows, and what of it is on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from faceedit.cli import options as o
from faceedit.cli.console import Console, columns
from faceedit.cli.machine import size_text
from faceedit.cli.verb import command
from faceedit.errors import UsageError, WeightsError

if TYPE_CHECKING:
    from faceedit.models.manifest import WeightSet

SCHEMA = "faceedit.weights/1"


def register(app: typer.Typer) -> None:
    """Adds the verbs."""
    group = typer.Typer(help="List, verify and find model weights; downloads nothing.")
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
            raise WeightsError(f"not whole: {', '.join(faults)}", "install faceedit again, or fetch the weights again")

    @command(group, "path")
    def path(console: Console, name: o.WeightName) -> None:
        """Print the folder of weights that are here."""
        from faceedit.models.manifest import folder_of

        known = _known(name)
        folder = folder_of(known)
        if folder is None:
            raise WeightsError(f"{name} is not on this machine", "see: faceedit weights list")
        console.emit(SCHEMA, {"id": known.id, "path": str(folder)}, str(folder))


def _known(name: str) -> WeightSet:
    from faceedit.models.manifest import weight_set, weight_sets

    known = weight_set(name)
    if known is None:
        names = ", ".join(entry.id for entry in weight_sets()) or "none"
        raise UsageError(f"unknown weights {name!r}", f"they are: {names}")
    return known
