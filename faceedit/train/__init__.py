"""Training: one loop, one small module per objective. Nothing heavy is imported before a training starts."""

from __future__ import annotations

from faceedit.train.run import NAMES, run

__all__ = ["NAMES", "run"]
