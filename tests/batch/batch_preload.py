"""Imported by the server that batches are forked from: everything an edit imports, once."""

from __future__ import annotations

from faceedit.batch import runner
from faceedit.models.random import random_components

random_components(0)
__all__ = ["runner"]
