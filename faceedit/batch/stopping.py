"""Ending a batch from outside: SIGINT drops the item in hand, SIGTERM and SIGUSR1 finish it first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Slurm sends SIGUSR1 some time before the end where it was asked to, and SIGTERM 30 seconds before it kills.
_FINISH = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name))


class DroppedError(Exception):
    """The item in hand is given up; nothing of it was written."""


class Stop:
    """What signals have asked for: `asked` to end, and with `drop` to give up the item in hand."""

    def __init__(self) -> None:
        self.asked = False
        self.drop = False

    def check(self) -> None:
        """Called at every step of an edit.

        Raises:
            DroppedError: the item in hand is to be given up.
        """
        if self.drop:
            raise DroppedError


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """A `Stop` that signals set inside the block; a second SIGINT raises KeyboardInterrupt at once.

    Outside the main thread, where Python takes no signals, it is never set.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def interrupt(_number: int, _frame: object) -> None:
        if stop.drop:
            raise KeyboardInterrupt
        stop.asked = stop.drop = True

    def finish(_number: int, _frame: object) -> None:
        stop.asked = True

    handlers = {signal.SIGINT: interrupt, **dict.fromkeys(_FINISH, finish)}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
