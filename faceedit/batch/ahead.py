"""Working one item ahead in a background thread: the next picture is decoded while this one is edited."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """`function(item)` for every item, in order; at most one result waits while another is in use.

    The thread is a daemon: a program that ends does not wait for a picture that nobody will edit. An exception of
    `function` is raised here.
    """
    # The slot holds one result; a second would only hold memory.
    results: queue.Queue[Callable[[], R] | None] = queue.Queue(maxsize=1)
    room = threading.Semaphore(1)
    left = threading.Event()

    def work() -> None:
        for item in items:
            room.acquire()
            if left.is_set():
                return
            results.put(_outcome(function, item))
        results.put(None)

    threading.Thread(target=work, name="faceedit-ahead", daemon=True).start()
    try:
        while (outcome := results.get()) is not None:
            room.release()
            yield outcome()
            del outcome
    finally:
        left.set()
        room.release()


def _outcome(function: Callable[[T], R], item: T) -> Callable[[], R]:
    try:
        result = function(item)
    except BaseException as error:  # carried over to the thread that asked
        caught = error

        def fail() -> R:
            raise caught

        return fail
    return lambda: result
