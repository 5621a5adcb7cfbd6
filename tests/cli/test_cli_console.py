"""What reaches the terminal: one safe line per message, secrets hidden, results alone on stdout."""

from __future__ import annotations

import io
import sys

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from faceedit.cli.app import main
from faceedit.cli.console import Console, columns, one_line
from faceedit.cli.verb import as_faceedit_error, command
from faceedit.errors import FaceEditError, WeightsError


@given(st.text())
def test_a_message_is_one_printable_line(text: str) -> None:
    shown = one_line(text)
    assert shown.isprintable()


def test_control_characters_are_escaped() -> None:
    """A file name must not recolour the terminal, nor turn its own ending around."""
    assert one_line("a\x1b[31m\u202egnp.png") == r"a\x1b[31m\u202egnp.png"


def test_tokens_are_hidden() -> None:
    shown = one_line("401 for https://x hf_AbCdEfGh12345678 Authorization: Bearer abc.def")
    assert "AbCd" not in shown and "abc.def" not in shown
    assert shown.count("[hidden]") == 2


def test_columns_align() -> None:
    assert columns([("a", 1), ("long", 22)], ("n", "v")) == "n     v\na     1\nlong  22"


def stub(error: BaseException | None, prints: str = "") -> typer.Typer:
    """An application with one verb that prints, then fails."""
    app = typer.Typer()

    @app.callback()
    def root() -> None:
        pass

    @command(app, "work")
    def work(console: Console) -> None:
        """Work."""
        if prints:
            print(prints)
        if error is not None:
            raise error
        console.emit("test/1", {}, "result")

    return app


def run(monkeypatch: pytest.MonkeyPatch, app: typer.Typer, *words: str) -> int:
    monkeypatch.setattr("faceedit.cli.app.app", app)
    return main(["work", *words])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FaceEditError("plain", "do this"), 1),
        (WeightsError("gone", "do this"), 4),
        (MemoryError(), 7),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"), 7),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"), 7),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("division by zero"), 1),
    ],
)
def test_exit_codes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int
) -> None:
    assert run(monkeypatch, stub(error)) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert len(err.splitlines()) == (1 if code == 130 else 2)


def test_traceback_only_with_debug(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, stub(ZeroDivisionError("x")), "--debug") == 1
    assert "Traceback" in capsys.readouterr().err


def test_error_as_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run(monkeypatch, stub(WeightsError("gone hf_AbCdEfGh12345678", "do this")), "--json")
    out = capsys.readouterr().out
    assert out == (
        '{"schema": "faceedit.error/1", "status": "error", "error": '
        '{"code": 4, "kind": "WeightsError", "message": "gone [hidden]", "hint": "do this"}}\n'
    )


def test_what_libraries_print_stays_off_stdout(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, stub(None, prints="chatter")) == 0
    assert capsys.readouterr() == ("result\n", "chatter\n")


def test_quiet_leaves_errors_only(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(quiet=True, stdout=sys.stdout, stderr=sys.stderr)
    console.say("a")
    console.warn("b")
    console.error(FaceEditError("c"))
    assert capsys.readouterr().err == "error: c\n"


def test_message_in_a_narrow_encoding() -> None:
    """A Windows console that knows no such letter must not end the program."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    Console(stderr=stream).say("größe")
    assert raw.getvalue() == b"gr\\xf6\\xdfe\n"


def test_no_progress_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Console(stdout=sys.stdout, stderr=sys.stderr).progress() as report:
        report("editing", 1, 2)
    assert capsys.readouterr() == ("", "")


def test_unforeseen_errors_are_said_to_be_ours() -> None:
    shown = as_faceedit_error(KeyError("x"))
    assert "KeyError" in str(shown)
    assert "--debug" in shown.hint
