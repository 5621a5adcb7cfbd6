"""What a batch did, for its tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Ran:
    """Exit code, lines of stdout, and stderr of a command line."""

    code: int
    out: list[str]
    err: str

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out]


Run = Callable[..., Ran]
Files = Callable[[Path], dict[str, str]]
Lines = Callable[[Path], list[dict[str, Any]]]
