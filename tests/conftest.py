"""For every test: no network, one thread, so that results do not depend on the machine's load or connection."""

from __future__ import annotations

import os
import secrets
import socket
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Set before torch, OpenCV or huggingface_hub are imported, which read them once; subprocesses inherit them.
os.environ |= {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}

# The same examples on every run, and no verdict on how fast a busy machine is.
settings.register_profile(
    "faceedit", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("faceedit")


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """An empty cache folder for every test; none sees the user's, nor what another test left."""
    folder = tmp_path_factory.getbasetemp() / "caches" / secrets.token_hex(8)
    monkeypatch.setenv("FACEEDIT_CACHE", str(folder))


class NetworkUsedError(AssertionError):
    """A test, or the code under it, tried to reach the network."""


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every connection but a local pipe fails, and so does every look-up of a name."""

    def guarded(name: str) -> Any:
        original = getattr(socket.socket, name)

        def call(self: socket.socket, *arguments: Any) -> Any:
            if self.family != getattr(socket, "AF_UNIX", None):
                raise NetworkUsedError(f"socket.{name}{arguments!r}")
            return original(self, *arguments)

        return call

    def refused(*arguments: Any, **_: Any) -> Any:
        raise NetworkUsedError(f"getaddrinfo{arguments!r}")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, guarded(name))
    monkeypatch.setattr(socket, "getaddrinfo", refused)
