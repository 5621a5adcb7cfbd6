"""The application: its verbs, the user's file of defaults, and `main`, which turns everything into an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from faceedit import __version__
from faceedit.cli import (
    batch,
    cache,
    compare,
    data,
    edit,
    evaluate,
    faces,
    machine,
    mask,
    recipes,
    record,
    train,
    weights,
)
from faceedit.cli.console import Console
from faceedit.cli.userfile import defaults, user_file
from faceedit.errors import FaceEditError, UsageError

HELP = """Edit one local attribute of a face from a short text, and change nothing else.

Every option also reads FACEEDIT_<OPTION> from the environment, and defaults come from config.toml in the user's
configuration folder (faceedit doctor prints where); a flag wins over the environment, that over the file, that over
the recipe."""

app = typer.Typer(name="faceedit", rich_markup_mode=None, pretty_exceptions_enable=False)
for room in (edit, batch, mask, faces, compare, record, recipes, weights, cache, data, train, evaluate, machine):
    room.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"faceedit {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True, help=HELP)
def root(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback does the work
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code.

    Args:
        argv: the words after the program's name; `sys.argv[1:]` when `None`.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    _open_closed_streams()
    console = Console(stdout=sys.stdout, stderr=sys.stderr)
    root_command = typer.main.get_command(app)
    try:
        code = root_command.main(
            args=words, prog_name="faceedit", standalone_mode=False, default_map=defaults(root_command)
        )
        sys.stdout.flush()
    except typer.TyperException as error:
        return _usage(console, error)
    except FaceEditError as error:
        console.error(error)
        return error.exit_code
    except typer.Abort:
        return 130
    except BrokenPipeError:
        return _reader_gone()
    except SystemExit as error:  # Typer leaves this way when a pipe breaks below a command
        return _reader_gone() if error.code == 1 else int(error.code or 0)
    return int(code or 0)


def _open_closed_streams() -> None:
    """A stream that the caller closed (`>&-`) is `None`; an empty one in its place spares everyone the question.

    Opened in this order each takes its own number again, so that no result file becomes what libraries complain into.
    """
    sys.stdin = sys.stdin or Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - open as long as the process runs
    sys.stdout = sys.stdout or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115


def _usage(console: Console, error: typer.TyperException) -> int:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "faceedit"
    where = _origin(context, getattr(error, "param", None))
    console.error(UsageError(error.format_message() + where, f"{path} --help lists what it takes"))
    return UsageError.exit_code


def _origin(context: Any, parameter: Any) -> str:
    """Where a wrong value came from, when it was not typed."""
    source = context.get_parameter_source(parameter.name) if context is not None and parameter is not None else None
    if source is None or source.name not in ("ENVIRONMENT", "DEFAULT_MAP"):
        return ""
    return f" (from {parameter.envvar if source.name == 'ENVIRONMENT' else user_file()})"


def _reader_gone() -> int:
    # Whoever read our stdout has left (`| head`); without this the interpreter complains once more when it flushes.
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    return 1
