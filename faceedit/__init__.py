"""Edit one local attribute of a face from a short text, and change nothing else."""

from __future__ import annotations

__version__ = "0.1.0"
