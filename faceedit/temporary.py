"""Names of files that are being written: they tell whose they are, so that those of dead processes can be swept."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import socket

TEMPORARY = re.compile(r"\.faceedit-(?P<host>[0-9a-f]{8})-(?P<pid>\d{1,10})-[0-9a-f]{12}\.part")


def temporary_name() -> str:
    """A new name: ".faceedit-<machine>-<process>-<random>.part"."""
    host, pid = writer_of(os.getpid())
    return f".faceedit-{host}-{pid}-{secrets.token_hex(6)}.part"


def writer_of(pid: int) -> tuple[str, int]:
    """How a process of this machine signs its files; the machine's name is hashed, as folders get shared."""
    return hashlib.sha256(socket.gethostname().encode("utf-8", "replace")).hexdigest()[:8], pid
