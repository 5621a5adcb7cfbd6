"""`python -m faceedit.train NAME` and `accelerate launch -m faceedit.train NAME`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from faceedit.errors import FaceEditError, UsageError
from faceedit.train import NAMES, run


def main() -> int:
    """Parse, train, print the folder of the exported part; the error's own exit code where it fails."""
    parser = argparse.ArgumentParser(prog="python -m faceedit.train", description=__doc__)
    parser.add_argument("name", help=f"one of {', '.join(NAMES)}, or the path of a recipe")
    parser.add_argument("-o", "--output", type=Path, help="the run's folder (runs/NAME)")
    parser.add_argument("--set", dest="sets", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint")
    arguments = parser.parse_args()
    try:
        overrides = dict(_pair(text) for text in arguments.sets)
        print(run(arguments.name, arguments.output, overrides, arguments.resume))
    except FaceEditError as error:
        print(f"error: {error}\nhint: {error.hint}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--set {text} has no value", "write --set loop.steps=200")
    return key, value


if __name__ == "__main__":
    sys.exit(main())
