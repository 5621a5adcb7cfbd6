"""How much memory is free, on the device and on the machine that carries it; a container's limit counts."""

from __future__ import annotations

from pathlib import Path

import psutil
import torch

GIB = 1024**3
# Version 2 of control groups, then version 1: the limit, what is used, and the name of what the kernel gives back.
_GROUPS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
)


def free_device_bytes(device: torch.device) -> int:
    """Bytes that a device can still give; the CPU and Apple's devices take theirs from the machine's memory."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return free_host_bytes()


def free_host_bytes(groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that the machine, or the container that this process lives in, can still give."""
    free = int(psutil.virtual_memory().available)
    limits = [_left(groups / limit, groups / used, stat) for limit, used, stat in _GROUPS]
    return min([free, *(left for left in limits if left is not None)])


def _left(limit: Path, used: Path, reclaimable: str) -> int | None:
    """What a control group leaves, or `None` where there is none or it sets no limit."""
    try:
        allowed = limit.read_text(encoding="ascii").strip()
        if allowed == "max":
            return None
        lines = (limit.parent / "memory.stat").read_text(encoding="ascii").splitlines()
        given_back = next((int(line.split()[1]) for line in lines if line.split()[0] == reclaimable), 0)
        return max(0, int(allowed) - int(used.read_text(encoding="ascii")) + given_back)
    except (OSError, ValueError, IndexError):
        return None
