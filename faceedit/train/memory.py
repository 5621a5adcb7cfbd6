"""One allocator setting that decides the speed of training on a CPU."""

from __future__ import annotations

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Tell glibc's allocator to keep freed memory in the process; elsewhere nothing is done.

    glibc serves large blocks through mmap and hands them back when freed, so every activation of every step is mapped,
    zeroed by the kernel and unmapped anew: a third to two thirds of a small network's training time on a CPU.

    Returns:
        Whether the setting was made.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, -1))
