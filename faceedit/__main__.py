"""`python -m faceedit` is `faceedit`."""

from __future__ import annotations

import sys

from faceedit.cli import main

if __name__ == "__main__":
    sys.exit(main())
