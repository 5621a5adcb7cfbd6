"""The command line: thin commands that parse, call and print. `main` is the entry point."""

from __future__ import annotations

from faceedit.cli.app import main

__all__ = ["main"]
