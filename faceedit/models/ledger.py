"""What this user has agreed to and seen: accepted licences, and hashes of files at their first download.

The manifest knows the hash of most large files. Of the others the first download from the pinned commit is trusted, and
its hash is written down here, so that any later change is found.
"""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

from faceedit.userfolders import data_folder

_FILE = "weights.json"


def ledger_path() -> Path:
    """The file, in the user's data folder; there or not."""
    return data_folder() / _FILE


def first_hash(repository: str, revision: str, path: str) -> str:
    """SHA-256 of a file as it was first downloaded, or empty."""
    return str(_section("hashes").get(f"{repository}@{revision}/{path}", ""))


def record_hashes(repository: str, revision: str, hashes: dict[str, str]) -> None:
    """Write down the SHA-256 of files by their path; what is known already stays as it is.

    Raises:
        OutputError: the user's data folder cannot be written.
    """
    seen = {f"{repository}@{revision}/{path}": sha256 for path, sha256 in hashes.items()}
    _update("hashes", {**seen, **_section("hashes")})


def is_accepted(licence: str, name: str) -> bool:
    """Whether the user has accepted this licence of this set of weights."""
    return isinstance(entry := _section("licences").get(name), dict) and entry.get("licence") == licence


def record_acceptance(licence: str, terms: str, name: str) -> None:
    """Write down that the user has accepted a licence today, and where it can be read. Raises as `record_hashes`."""
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    entry = {"licence": licence, "terms": terms, "accepted": today}
    _update("licences", {**_section("licences"), name: entry})


def _read() -> dict[str, Any]:
    try:
        values = json.loads(ledger_path().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _section(name: str) -> dict[str, Any]:
    entries = _read().get(name)
    return entries if isinstance(entries, dict) else {}


def _update(name: str, entries: dict[str, Any]) -> None:
    from faceedit.errors import OutputError
    from faceedit.images import write_atomic

    path = ledger_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}", "check the folder's permissions") from None
    text = json.dumps({**_read(), name: entries}, indent=1, sort_keys=True)
    write_atomic(path, text.encode("utf-8"), force=True)
