"""Free memory: a container's limit is smaller than the machine, and what the kernel gives back is free."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
import torch

from faceedit.models.free_memory import free_device_bytes, free_host_bytes


def group(folder: Path, limit: str, used: int, reclaimable: int, version: int) -> Path:
    """The files of a control group."""
    inner = folder if version == 2 else folder / "memory"
    inner.mkdir(parents=True, exist_ok=True)
    names = ("memory.max", "memory.current", "") if version == 2 else (
        "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"
    )  # fmt: skip
    (inner / names[0]).write_text(f"{limit}\n")
    (inner / names[1]).write_text(f"{used}\n")
    (inner / "memory.stat").write_text(f"anon 1\n{names[2]}inactive_file {reclaimable}\nshmem 2\n")
    return folder


@pytest.mark.parametrize("version", [1, 2])
def test_a_containers_limit_counts(tmp_path: Path, version: int) -> None:
    """Breaks when a container with 1 MB left is taken for the machine around it, or its page cache for used."""
    assert free_host_bytes(group(tmp_path, "4000000", 3500000, 500000, version)) == 1000000
    assert free_host_bytes(group(tmp_path, "4000000", 5000000, 0, version)) == 0


def test_without_a_limit_the_machine_counts(tmp_path: Path) -> None:
    """Breaks when a machine without control groups, or with one that sets no limit, has no memory."""
    total = psutil.virtual_memory().total
    assert 0 < free_host_bytes(tmp_path) <= total
    assert 0 < free_host_bytes(group(tmp_path, "max", 1, 0, 2)) <= total


def test_a_cpu_takes_its_memory_from_the_machine() -> None:
    """Breaks when a device without memory of its own is asked for it."""
    assert 0 < free_device_bytes(torch.device("cpu")) <= psutil.virtual_memory().total
