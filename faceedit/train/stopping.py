"""Stopping a run from outside without breaking it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Stop(threading.Event):
    """Set when a signal asked to stop; `interrupted` when it was SIGINT (Ctrl-C)."""

    interrupted = False


@contextmanager
def stop_requested() -> Iterator[Stop]:
    """SIGINT and SIGTERM set the event instead of ending the process, so that the current step can be finished.

    A second SIGINT ends the process at once. Outside the main thread signals are left alone.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, _frame: object) -> None:
        if stop.interrupted and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.interrupted = number == signal.SIGINT
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
