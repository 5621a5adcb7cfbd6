"""`faceedit doctor` and `faceedit bench`: what this machine can run, and how fast."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from faceedit.cli import options as o
from faceedit.cli.asking import settings_of
from faceedit.cli.console import Console, columns
from faceedit.cli.userfile import user_file
from faceedit.cli.verb import command

if TYPE_CHECKING:
    from faceedit.doctor import Finding

MARKS = {None: " ", True: "ok", False: "--"}


def register(app: typer.Typer) -> None:
    """Adds the verbs."""

    @command(app, "doctor")
    def doctor(console: Console) -> None:
        """Say what this machine can run and what stands in the way."""
        from faceedit.doctor import diagnose

        diagnosis = diagnose(user_file())
        parts = []
        for title, findings in diagnosis.sections.items():
            rows = [
                (" ", MARKS[found.ok], found.name, found.value + (f"; {found.advice}" if _advised(found) else ""))
                for found in findings
            ]
            parts.append(f"{title}\n{columns(rows)}" if rows else f"{title}\n  none")
        console.emit("faceedit.doctor/1", asdict(diagnosis), "\n\n".join(parts))

    @command(app, "bench")
    def bench(
        console: Console,
        backend: o.Backend = "auto",
        recipe: o.Recipe = None,
        steps: o.Steps = None,
        device: o.Device = "auto",
        dtype: o.DType = "auto",
        memory: o.Memory = "auto",
        settings: o.Settings = None,
        repeats: o.Repeats = 3,
    ) -> None:
        """Measure start-up, an edit, and its models alone."""
        from faceedit.bench import bench as measure

        options = {
            "backend": backend,
            "recipe": recipe,
            "steps": steps,
            "device": device,
            "dtype": dtype,
            "memory": memory,
            "settings": settings_of(settings),
        }
        report = measure(options, repeats)
        rows = [
            ("recipe", f"{report.recipe} ({report.editor}, {report.size} px)"),
            ("device", f"{report.device}, {report.threads} threads"),
            ("faceedit --help", f"{report.help_seconds:.2f} s"),
            ("imports", f"{report.import_seconds:.2f} s"),
            ("loading the models", f"{report.load_seconds:.2f} s"),
            ("first edit", f"{report.first_seconds:.2f} s"),
            ("edit, models loaded", f"{report.warm_seconds:.2f} s"),
            ("  reading, face, place", f"{report.prepare_seconds:.2f} s"),
            ("  editing, pasting back", f"{report.edit_seconds:.2f} s"),
            ("  encoding", f"{report.encode_seconds:.2f} s"),
            ("its model calls alone", f"{report.floor_seconds:.2f} s"),
            ("ratio of the two", f"{report.ratio:.3f}"),
            ("editing to model calls", f"{report.edit_ratio:.3f}"),
            ("model calls", ", ".join(f"{count} {name}" for name, count in report.calls.items())),
            ("peak memory", size_text(report.peak_memory)),
            ("device memory", size_text(report.device_memory)),
        ]
        console.emit("faceedit.bench/1", asdict(report), columns(rows))


def _advised(found: Finding) -> bool:
    """Advice is shown for what is wrong, and for a recipe that runs and could run better."""
    return bool(found.advice) and (found.ok is False or found.value.startswith("runs slowly"))


def size_text(count: int | None) -> str:
    """Bytes in words a person reads: "1.5 GiB", "-" where unknown."""
    if count is None:
        return "-"
    return f"{count / 1024**3:.2f} GiB" if count >= 1024**3 else f"{count / 1024**2:.0f} MiB"
