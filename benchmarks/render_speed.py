"""Milliseconds per portrait at 64 and 256 pixels, with and without regions, on one core."""

from __future__ import annotations

import time

import cv2

from faceedit.portraits.render import render

COUNT = 40


def milliseconds(size: int, regions: bool) -> tuple[float, float]:
    """Wall and processor time of one portrait, averaged over `COUNT` seeds."""
    wall, processor = time.perf_counter(), time.process_time()
    for seed in range(COUNT):
        render(seed, size, regions=regions)
    return 1000 * (time.perf_counter() - wall) / COUNT, 1000 * (time.process_time() - processor) / COUNT


def main() -> None:
    """Print one line for each case."""
    cv2.setNumThreads(1)
    render(0, 64)
    for size in (64, 256):
        for regions in (False, True):
            wall, processor = milliseconds(size, regions)
            print(f"{size} px, regions {'yes' if regions else 'no'}: {wall:.1f} ms wall, {processor:.1f} ms processor")


if __name__ == "__main__":
    main()
