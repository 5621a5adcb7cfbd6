"""A batch that is stopped, killed, or meets hostile files loses nothing and leaves nothing behind."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from batch_harness import Files, Lines, Run
from PIL import Image

from faceedit.batch.journal import Journal, read_history
from faceedit.batch.leftovers import leftovers, sweep
from faceedit.batch.shards import Shard
from faceedit.errors import OutputError
from faceedit.temporary import temporary_name, writer_of

ROSY = ("--prompt", "rosy cheeks")
COUNT, KILLS = 8, 3

# Forked from a server that has the libraries loaded and runs no threads: a batch starts at once.
server = multiprocessing.get_context("forkserver") if hasattr(os, "fork") else None


def _main(words: list[str], err: str) -> None:
    from faceedit.cli import main

    os.setpgrp()
    with Path(err).open("a") as file:
        os.dup2(file.fileno(), 2)
        os.dup2(file.fileno(), 1)
        os._exit(main(words))


def start(err: Path, *words: object) -> Any:
    """A batch in a process of its own."""
    assert server is not None
    server.set_forkserver_preload(["batch_preload"])
    process = server.Process(target=_main, args=([str(word) for word in words], str(err)))
    process.start()
    return process


@pytest.fixture
def many(tmp_path: Path, portraits: list[Image.Image]) -> Path:
    """A folder of eight portraits."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(COUNT):
        portraits[number].save(folder / f"{number}.png")
    return folder


@pytest.mark.skipif(server is None, reason="there is no SIGKILL here")
def test_killed_at_any_moment(
    run: Run, many: Path, tmp_path: Path, files: Files, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three SIGKILLs at random moments: in the end every result, bit-equal to an undisturbed run, none finished twice.

    `benchmarks/batch_faults.py` does the same at full size.
    """
    quiet, killed, log = tmp_path / "quiet", tmp_path / "killed", tmp_path / "log"
    words = ("batch", many, *ROSY)
    assert run(*words, "-o", quiet).code == 0
    # The server knows no path of its parent's when it imports what it preloads.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    chance = random.Random(0)
    for kill in range(KILLS):
        target = len(_lines_of(killed)) + chance.randint(0, 5)
        process = start(log, *words, "-o", killed)
        while process.is_alive() and len(_lines_of(killed)) < target:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.1))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, (kill, log.read_text())
    last = run(*words, "-o", killed)
    assert last.code == 0, last.err
    assert files(killed) == files(quiet) and len(files(quiet)) == COUNT
    finished = [line["id"] for line in lines(killed) if line["status"] == "ok"]
    assert len(finished) == len(set(finished)) == COUNT
    made = [line["id"] for line in lines(killed) if line["status"] == "made"]
    assert COUNT <= len(made) <= COUNT + KILLS
    assert not list(killed.rglob(".*"))


def _lines_of(folder: Path) -> list[bytes]:
    return [line for path in folder.glob("*.jsonl") for line in path.read_bytes().splitlines()]


@pytest.mark.parametrize("when", ["in the journal", "before the file", "after the file"])
def test_killed_around_a_write(
    run: Run, pictures: Path, tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """The three places where a kill could leave record and file apart; only the item in hand is ever made again."""

    class KilledError(BaseException):
        pass

    def kill(*_: object, **__: object) -> None:
        raise KilledError

    out, quiet = tmp_path / "out", tmp_path / "quiet"
    assert run("batch", pictures, *ROSY, "-o", quiet).code == 0
    from faceedit.batch import runner

    real = runner.write_atomic

    def write_and_die(*words: Any, **more: Any) -> None:
        real(*words, **more)
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr("faceedit.batch.runner.write_atomic", write_and_die if when == "after the file" else kill)
        with pytest.raises(KilledError):
            run("batch", pictures, *ROSY, "-o", out)
    journal = out / "faceedit-batch.jsonl"
    if when == "in the journal":
        journal.write_bytes(journal.read_bytes()[:-40])
    before = len([line for line in journal.read_bytes().splitlines() if b'"made"' in line])
    again = run("batch", pictures, *ROSY, "-o", out)
    assert again.code == 0, again.err
    assert files(out) == files(quiet)
    history = read_history(out)
    assert history.torn == (1 if when == "in the journal" else 0)
    assert sorted(record.status for record in history.latest.values()) == ["ok", "ok"]
    edits = len([line for line in journal.read_bytes().splitlines() if b'"made"' in line]) - before
    assert edits == (1 if when == "after the file" else 2)


@pytest.mark.skipif(server is None, reason="signals as on Unix")
@pytest.mark.parametrize(("number", "finishes"), [(signal.SIGINT, 0), (signal.SIGTERM, 1), (signal.SIGUSR1, 1)])
def test_signals_end_cleanly(
    run: Run, many: Path, tmp_path: Path, lines: Lines, files: Files, monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals, finishes: int,
) -> None:  # fmt: skip
    """SIGINT drops the item in hand, SIGTERM and SIGUSR1 finish it; exit 130, nothing half-written, resumable."""
    from faceedit.batch import ready

    out = tmp_path / "out"
    real, seen = ready.prepare, []

    def prepare(*words: Any) -> Any:
        seen.append(words)
        return real(*words)

    steps: list[int] = []

    def listen(self: Any) -> None:
        steps.append(1)
        if len(steps) == 1:
            signal.raise_signal(number)
        check(self)

    from faceedit.batch.stopping import Stop

    check = Stop.check
    with monkeypatch.context() as patch:
        patch.setattr("faceedit.batch.ready.prepare", prepare)
        patch.setattr(Stop, "check", listen)
        handlers = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
        done = run("batch", many, *ROSY, "-o", out)
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)] == handlers
    assert done.code == 130
    assert f"{finishes} edited, 0 done before, 0 failed, {COUNT - finishes} left" in done.err
    assert len(files(out)) == finishes
    assert len(seen) <= finishes + 2  # the next picture may have been decoded already, none after it
    assert [line["status"] for line in lines(out)] == ["made", "ok"] * finishes
    assert run("batch", many, *ROSY, "-o", out).code == 0
    assert len(files(out)) == COUNT


def test_a_second_interrupt_ends_at_once(
    run: Run, many: Path, tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    from faceedit.batch.stopping import Stop

    def twice(self: Any) -> None:  # noqa: ARG001
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("it went on")

    monkeypatch.setattr(Stop, "check", twice)
    assert run("batch", many, *ROSY, "-o", tmp_path / "out").code == 130
    assert files(tmp_path / "out") == {}


def test_workers_give_the_single_runs_results(run: Run, many: Path, tmp_path: Path, files: Files, lines: Lines) -> None:
    """Three shards, one of them by two worker processes: their union is the single run, bit for bit."""
    single, shared = tmp_path / "single", tmp_path / "shared"
    (many / "cut.png").write_bytes(b"nothing")
    assert run("batch", many, *ROSY, "-o", single).code == 3
    codes = [run("batch", many, *ROSY, "-o", shared, "--shard", f"{index}/3").code for index in (0, 2)]
    last = run("batch", many, *ROSY, "-o", shared, "--shard", "1/3", "--workers", "2")
    assert sorted([*codes, last.code]) == [0, 0, 3], last.err
    assert files(shared) == files(single) and len(files(single)) == COUNT
    done = [line["id"] for line in lines(shared) if line["status"] in ("ok", "failed")]
    assert len(done) == len(set(done)) == COUNT + 1
    again = run("batch", many, *ROSY, "-o", shared)
    assert again.code == 3 and f"0 edited, {COUNT} done before, 1 failed" in again.err


def test_a_worker_that_cannot_load_ends_all(run: Run, many: Path, tmp_path: Path) -> None:
    words = ("--set", "weights.kind=local", "--set", f"weights.path={tmp_path}", "--workers", "2")
    assert run("batch", many, *ROSY, "-o", tmp_path / "out", *words).code == 4


def test_two_runs_on_one_shard(run: Run, many: Path, tmp_path: Path) -> None:
    """The second is refused; shards of their own do not disturb each other."""
    out = tmp_path / "out"
    out.mkdir()
    with Journal(out, Shard()):
        refused = run("batch", many, *ROSY, "-o", out)
        assert refused.code == 1 and "another batch is at work" in refused.err
        assert run("batch", many / "0.png", *ROSY, "-o", out, "--shard", "0/1").code == 1
        assert run("batch", many / "0.png", *ROSY, "-o", out, "--shard", "1/2").code == 0


def test_journal_is_no_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious\n")
    (tmp_path / "faceedit-batch.jsonl").symlink_to(victim)
    with pytest.raises(OutputError):
        Journal(tmp_path, Shard())
    assert victim.read_text() == "precious\n"


def test_only_files_of_dead_processes_are_swept(tmp_path: Path) -> None:
    """Never a file that is being written, one of another program, a link, or one of another machine before a day."""
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    host = writer_of(0)[0]
    names = {
        "mine": temporary_name(),
        "dead": f".faceedit-{host}-{int(dead.stdout)}-0123456789ab.part",
        "elsewhere": ".faceedit-00000000-1-0123456789ab.part",
        "old elsewhere": ".faceedit-00000001-1-0123456789ab.part",
        "foreign": ".somebody-elses.part",
        "link": f".faceedit-{host}-{int(dead.stdout)}-0123456789ac.part",
    }
    for key, name in names.items():
        if key == "link":
            (tmp_path / name).symlink_to(tmp_path / names["foreign"])
        else:
            (tmp_path / name).write_bytes(b"x")
    os.utime(tmp_path / names["old elsewhere"], (1, 1))
    assert {path.name for path in leftovers([tmp_path])} == {names["dead"], names["old elsewhere"]}
    assert sweep([tmp_path, tmp_path / "absent"]) == 2
    assert {path.name for path in tmp_path.iterdir()} == set(names.values()) - {names["dead"], names["old elsewhere"]}


def test_journals_that_are_no_journals(tmp_path: Path) -> None:
    """Torn, foreign and hostile lines are counted and passed over."""
    good = {"schema": "faceedit.batch.item/1", "status": "ok", "id": "a#1", "image": "a", "prompts": ["x"], "seed": 1}
    good |= {"output": "a.png", "warnings": [], "finished": "2026"}
    rows = [
        json.dumps(good),
        "{",
        "[]",
        '"x"',
        json.dumps(good | {"status": "odd"}),
        "[" * 90_000,
        json.dumps({"id": 1}),
        json.dumps(good | {"id": ["a"]}),
        json.dumps(good | {"output": None}),
        json.dumps(good | {"finished": 7}),
        json.dumps(good | {"error": "odd"}),
        json.dumps({"schema": "faceedit.batch.run/1", "total": "many", "started": "9999"}),
    ]
    (tmp_path / "faceedit-batch.jsonl").write_text("\n".join(rows) + '\n{"half')
    history = read_history(tmp_path)
    assert list(history.latest) == ["a#1"]
    assert history.torn == len(rows)


def test_a_hostile_folder(run: Run, tmp_path: Path, files: Files, lines: Lines) -> None:
    """Every good picture is edited, every bad file named with its reason; nothing is written anywhere else."""
    from hostile_files import write_good, write_hostile

    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    hostile, good = write_hostile(source), write_good(source)
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")}
    done = run("batch", source, *ROSY, "-o", out, "--name", "{name}.png")
    assert done.code == 3
    assert set(files(out)) == {f"{name}.png" for name in good}
    failed = {line["image"]: line["error"] for line in lines(out) if line["status"] == "failed"}
    expected = {bad.name: bad for bad in hostile if not (source / bad.name).is_dir()}
    assert set(failed) == set(expected) and len(expected) > 40
    for name, bad in expected.items():
        assert any(word in failed[name]["message"] for word in bad.expected_words), (name, failed[name])
        assert failed[name]["code"] == bad.code
    assert "\x1b" not in done.err and all(line.isprintable() for line in done.err.splitlines())
    after = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*") if not path.is_relative_to(out)}
    ours = {tmp_path / "cache"}
    assert {path for path in after if not any(path.is_relative_to(own) for own in ours)} == set(before)
    assert all(after[path] == when for path, when in before.items() if path != tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_a_hostile_folder_takes_little_memory(pictures: Path, tmp_path: Path) -> None:
    """Breaks when a batch unpacks a bomb, or keeps what it refused: compared with a batch of two good pictures."""
    from hostile_files import write_hostile

    (tmp_path / "hostile").mkdir()
    write_hostile(tmp_path / "hostile")
    script = (
        "import sys; from pathlib import Path; from faceedit.cli import main\n"
        "peak = lambda: int(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0]) // 1024\n"
        "words = ['--prompt', 'rosy cheeks', '-r', 'smoke/inpaint', '--name', '{name}.png', '-q']\n"
        "assert main(['batch', sys.argv[1], '-o', 'good', *words]) == 0\n"
        "before = peak()\n"
        "assert main(['batch', sys.argv[2], '-o', 'bad', *words]) == 3\n"
        "print(peak() - before)"
    )
    words = [sys.executable, "-c", script, str(pictures), str(tmp_path / "hostile")]
    run = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert int(run.stdout.splitlines()[-1]) < 64  # MiB; one of the bombs alone would take 400
