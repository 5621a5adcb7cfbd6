"""The folders on the user's machine that faceedit writes on its own account."""

from __future__ import annotations

import os
from pathlib import Path

CACHE_VARIABLE = "FACEEDIT_CACHE"


def cache_folder() -> Path:
    """Where what can be made again is kept: FACEEDIT_CACHE, else the user's cache folder."""
    from platformdirs import user_cache_path

    named = os.environ.get(CACHE_VARIABLE)
    return Path(named).expanduser() if named else user_cache_path("faceedit", appauthor=False)


def data_folder() -> Path:
    """Where what the user has said and seen is kept, such as accepted licences."""
    from platformdirs import user_data_path

    return user_data_path("faceedit", appauthor=False)
