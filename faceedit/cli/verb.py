"""What every verb shares: the options -q, -v, --json and --debug, and how a failure ends in an exit code."""

from __future__ import annotations

import functools
import inspect
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, NoReturn

import typer

from faceedit.cli.console import Console, without_secrets
from faceedit.cli.options import Debug, Json, Quiet, Verbose
from faceedit.errors import FaceEditError, OutOfMemoryError
from faceedit.memory_pressure import is_out_of_memory

INTERRUPTED = 130
COMMON: tuple[tuple[str, object, object], ...] = (
    ("json", Json, False),
    ("quiet", Quiet, False),
    ("verbose", Verbose, 0),
    ("debug", Debug, False),
)


def command(app: typer.Typer, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Registers a function as the verb `name` of `app`.

    The function takes a `Console` first; the parameters after it are its arguments and options. Whatever it or a
    library prints goes to stderr, so that stdout carries only what it writes through the console.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(function, eval_str=True)
        own = list(signature.parameters.values())[1:]
        shared = [
            inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for option, annotation, default in COMMON
        ]

        @functools.wraps(function)
        def run(*, json: bool, quiet: bool, verbose: int, debug: bool, **values: Any) -> None:
            console = Console(quiet, verbose, json, debug, sys.stdout, sys.stderr)
            try:
                with redirect_stdout(sys.stderr), warnings.catch_warnings(), interrupted_by_termination():
                    if not verbose:
                        warnings.simplefilter("ignore")
                    function(console, **values)
            except (typer.Exit, typer.TyperException, BrokenPipeError):
                raise
            except KeyboardInterrupt:
                console.say("interrupted")
                raise typer.Exit(INTERRUPTED) from None
            except Exception as error:  # the outermost frame: every failure ends here as a line and an exit code
                fail(console, error)

        parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own] + shared
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        app.command(name)(run)
        return function

    return register


@contextmanager
def interrupted_by_termination() -> Iterator[None]:
    """SIGTERM, and SIGHUP of a terminal that closes, end a verb as Ctrl-C does: temporary files go, exit 130.

    What was told to ignore them, as `nohup` does, goes on ignoring them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    ours = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def fail(console: Console, error: Exception) -> NoReturn:
    """Reports `error` and leaves with its exit code; the traceback is shown with `--debug` only."""
    if console.debug:
        console.stderr.write(without_secrets("".join(traceback.format_exception(error))))
    known = as_faceedit_error(error)
    console.error(known)
    raise typer.Exit(known.exit_code) from None


def as_faceedit_error(error: Exception) -> FaceEditError:
    """The error as the user meets it: memory that ran out has its own exit code, the unforeseen is called so."""
    if isinstance(error, FaceEditError):
        return error
    if is_out_of_memory(error):
        return OutOfMemoryError(
            "the memory does not hold what this edit needs",
            "try --memory low, --device cpu, or a smaller recipe (faceedit recipes list)",
        )
    first_line = (str(error).splitlines() or [""])[0]
    return FaceEditError(
        f"unexpected {type(error).__name__}: {first_line}",
        "this is a fault of faceedit: run again with --debug and report what it shows",
    )
