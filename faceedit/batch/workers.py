"""Several processes for one batch: one per GPU, or several on a CPU with its threads divided among them.

A worker is a shard of the shard that was asked for, so what it does depends on no other worker.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from faceedit.batch.plan import Plan
from faceedit.batch.ready import Options, known
from faceedit.batch.runner import Outcome, run_shard
from faceedit.batch.shards import Shard
from faceedit.batch.stopping import Flag, Stop, stop_on_signals
from faceedit.errors import FaceEditError, UsageError

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


@dataclass(frozen=True)
class Ended:
    """The last word of a worker: the error that ended it, or `None`."""

    error: FaceEditError | None


def worker_count(text: str, device: str) -> int:
    """How many workers "auto" or a number means for a device ("auto", "cpu", "cuda", "mps").

    Raises:
        UsageError: no number, or workers on one named GPU.
    """
    gpus = gpu_names() if device in ("auto", "cuda") else ()
    if text == "auto":
        return max(1, len(gpus))
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 256):
        raise UsageError(f"--workers {text}: neither auto nor a number from 1 to 256", "e.g. --workers auto")
    if int(text) > 1 and ":" in device:
        raise UsageError(
            f"--workers {text} on --device {device}: they would share one GPU",
            "leave the number out of --device, or use one worker",
        )
    return int(text)


def gpu_names() -> tuple[str, ...]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    count = torch.cuda.device_count()
    return tuple(named[:count]) if named else tuple(str(index) for index in range(count))


def run_workers(
    plan: Plan, shard: Shard, options: Options, count: int, stop: Stop, gpus: Sequence[str]
) -> Iterator[Outcome]:
    """Work through one shard with `count` processes; yields what became of each item, in the order of completion.

    Args:
        plan: all items.
        shard: the part that the workers share.
        options: of the run.
        count: of processes.
        stop: is handed on to them.
        gpus: names for CUDA_VISIBLE_DEVICES, dealt out in turns; without any, the CPU's threads are divided.

    Raises:
        FaceEditError: what ended a worker; the others are stopped first.
    """
    context = multiprocessing.get_context("spawn")
    # Flags and not signals: Ctrl-C reaches every process of the terminal, and a second one means something else.
    end, drop = context.Event(), context.Event()
    pipes: dict[Connection, SpawnProcess] = {}
    for number, part in enumerate(shard.split(count)):
        near, far = context.Pipe(duplex=False)
        worker = context.Process(target=_work, args=(far, plan, part, options, end, drop), name=f"shard {part}")
        with _environment(number, count, gpus):
            worker.start()
        far.close()
        pipes[near] = worker
    workers = list(pipes.values())
    failure: FaceEditError | None = None
    try:
        while pipes:
            for pipe in wait(list(pipes), timeout=0.2):
                assert isinstance(pipe, Connection)
                said = _said(pipe, pipes[pipe])
                if isinstance(said, Outcome):
                    yield said
                    continue
                del pipes[pipe]
                failure = failure or said.error
            if stop.drop.is_set():
                drop.set()
            if stop.asked or failure is not None:
                end.set()
        for worker in workers:
            worker.join()
    finally:
        for worker in workers:
            worker.kill()
    if failure is not None:
        raise failure


def _said(pipe: Connection, worker: SpawnProcess) -> Outcome | Ended:
    try:
        said: Outcome | Ended = pipe.recv()
    except EOFError:
        worker.join()
        return Ended(FaceEditError(f"a worker died (exit {worker.exitcode})", "start the same command again"))
    return said


def _work(pipe: Connection, plan: Plan, shard: Shard, options: Options, end: Flag, drop: Flag) -> None:
    """What a worker does: its shard, told item by item, and a last word."""
    _die_with_parent()
    error: FaceEditError | None = None
    with stop_on_signals(Stop(end, drop), worker=True) as stop:
        try:
            for outcome in run_shard(plan, shard, options, stop):
                pipe.send(outcome)
        except Exception as failure:  # the outermost frame of this process: the parent tells of it
            error = known(failure)
        pipe.send(Ended(error))


def _die_with_parent() -> None:
    """A worker whose parent was killed ends at once: it would go on unseen and hold its journal."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="faceedit-parent", daemon=True).start()


@contextmanager
def _environment(number: int, count: int, gpus: Sequence[str]) -> Iterator[None]:
    """What a worker's libraries read when they are imported: its GPU, or its share of the threads."""
    own = {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else _threads(count)
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


def _threads(count: int) -> dict[str, str]:
    # OpenMP takes a list, one number per level of nesting; the first one counts here.
    said = {name: os.environ.get(name, "").partition(",")[0].strip() for name in _THREAD_VARIABLES}
    whole = {name: int(text) if text.isdecimal() else os.cpu_count() or 1 for name, text in said.items()}
    return {name: str(max(1, threads // count)) for name, threads in whole.items()}
