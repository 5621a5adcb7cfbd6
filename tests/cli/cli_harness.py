"""What a command line did, for the tests of the verbs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SMOKE = ("-r", "smoke/inpaint")


@dataclass(frozen=True)
class Outcome:
    """Exit code, stdout and stderr of a command line."""

    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode("utf-8")

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Call = Callable[..., Outcome]
