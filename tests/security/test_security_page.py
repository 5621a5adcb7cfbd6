"""docs/security.md says which test holds each promise."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "security.md"


def test_every_test_that_the_page_names_is_there() -> None:
    """Breaks when a test is moved or renamed and its row goes on promising it."""
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    named = [name for row in rows for name in re.findall(r"`(?:tests/)?([\w/]+\.py(?:::\w+)?)`", row.split(" | ")[-1])]
    assert len(named) > 30
    for name in named:
        file, _, inside = name.partition("::")
        assert (TESTS / file).is_file(), name
        assert re.search(rf"^(class|def) {inside}\b", (TESTS / file).read_text(encoding="utf-8"), re.MULTILINE), name
    for row in rows:
        assert re.match(r"\| (threat|fault) ", row) or ".py" in row.split(" | ")[-1], row
