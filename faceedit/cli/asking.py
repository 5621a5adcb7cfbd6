"""From options to a `Request`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faceedit.cli.files import read_source
from faceedit.errors import UsageError

if TYPE_CHECKING:
    from faceedit.request import Request


def settings_of(pairs: Sequence[str] | None) -> dict[str, str]:
    """`--set` options as a mapping: "sampling.steps=20" gives {"sampling.steps": "20"}; the last one of a key wins.

    Raises:
        UsageError: one has no "=" or no key.
    """
    found = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--set {pair}: not of the form key=value", "e.g. --set sampling.steps=20")
        found[key.strip()] = value
    return found


def build_request(
    image: str,
    prompts: Sequence[str] | None,
    *,
    region: Sequence[str] | None,
    settings: Sequence[str] | None,
    locator: str | None = None,
    stfg: bool | None = None,
    constraint: str | None = None,
    **options: Any,
) -> Request:
    """The request that a command line makes; `options` are further fields of `Request`, by name.

    Raises:
        ImageError: stdin was named and holds nothing.
        UsageError: a malformed `--set`.
    """
    from faceedit.request import Request

    chosen = settings_of(settings)
    if locator is not None:
        chosen["locator.name"] = locator
    if stfg is not None:
        chosen["stfg.enabled"] = str(stfg).lower()
    if constraint is not None:
        chosen["mag_edit.constraint"] = constraint
    mask: Path | None = options.get("mask")
    if mask is not None and region:
        raise UsageError("--mask and --region exclude each other", "leave one of them out")
    return Request(
        image=read_source(image), prompts=tuple(prompts or ()), region=tuple(region or ()), settings=chosen, **options
    )
