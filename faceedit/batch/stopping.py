"""Ending a batch from outside: SIGINT drops the item in hand, SIGTERM and SIGUSR1 finish it first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class DroppedError(Exception):
    """The item in hand is given up; nothing of it was written."""


class Flag(Protocol):
    """What `threading.Event` and `multiprocessing.Event` have in common, as far as it is needed here."""

    def is_set(self) -> bool:
        """Whether it was set."""

    def set(self) -> None:
        """Set it."""


class Stop:
    """What signals have asked for.

    Attributes:
        end: to end after the item in hand.
        drop: to end and to give up the item in hand.
    """

    def __init__(self, end: Flag | None = None, drop: Flag | None = None) -> None:
        self.end, self.drop = end or threading.Event(), drop or threading.Event()

    @property
    def asked(self) -> bool:
        """Whether either was asked for."""
        return self.end.is_set() or self.drop.is_set()

    def check(self) -> None:
        """Called at every step of an edit.

        Raises:
            DroppedError: the item in hand is to be given up.
        """
        if self.drop.is_set():
            raise DroppedError


@contextmanager
def stop_on_signals(stop: Stop, worker: bool = False) -> Iterator[Stop]:
    """Signals set `stop` inside the block; a second SIGINT raises KeyboardInterrupt at once.

    Outside the main thread, where Python takes no signals, nothing is changed.

    Args:
        stop: the flags.
        worker: SIGINT is left to the process that started this one, which gets it from the terminal as well.
    """
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def interrupt(_number: int, _frame: object) -> None:
        if stop.drop.is_set():
            raise KeyboardInterrupt
        stop.drop.set()

    def finish(_number: int, _frame: object) -> None:
        stop.end.set()

    # Slurm sends SIGUSR1 some time before the end where it was asked to, and SIGTERM 30 seconds before it kills.
    finishing = [getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name)]
    handlers = {signal.SIGINT: signal.SIG_IGN if worker else interrupt, **dict.fromkeys(finishing, finish)}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
