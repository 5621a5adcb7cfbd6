"""The Hugging Face Hub behind a fence: named hosts over https, no telemetry, errors in one line."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from faceedit.errors import FaceEditError, OutputError, WeightsError

LOGIN = "hf auth login"
_HOSTS = ("huggingface.co", "hf.co")


def offline() -> bool:
    """Whether HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) forbids every request."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def has_token() -> bool:
    """Whether the user is logged in, by HF_TOKEN or `hf auth login`."""
    from huggingface_hub import get_token

    return get_token() is not None


def page(repository: str) -> str:
    """Address of a repository's page, where a gated one's conditions are accepted."""
    return f"https://huggingface.co/{repository}"


def gated_error(name: str, repository: str) -> WeightsError:
    """What to do about weights that the Hub gives only to those who accepted their conditions."""
    return WeightsError(
        f"{name} is gated: the Hub gives it to accounts that accepted its conditions",
        f"accept them at {page(repository)}, then: {LOGIN} (or set HF_TOKEN)",
    )


def absent_error(repository: str, name: str, licence: str = "") -> WeightsError:
    """What to do about weights that are not on this machine.

    Args:
        repository: owner/name.
        name: the set's id in weights.toml; "NAME" where it has none.
        licence: name of the licence that must be accepted on the Hub first, or empty where nothing is gated.
    """
    pull = f"faceedit weights pull {name}"
    if licence:
        return WeightsError(
            f"{repository} is not on this machine, and gated: only accounts that accepted its licence get it",
            f"accept the {licence} at {page(repository)}, then: {LOGIN}, then: {pull}",
        )
    return WeightsError(
        f"{repository} is not in the Hugging Face cache", f"{pull}; -r mini/inpaint runs on the bundled models"
    )


@contextmanager
def fenced(bars: bool = True) -> Iterator[None]:
    """Requests of huggingface_hub go to the Hub and its own storage only, and tell nothing about this machine.

    Xet, whose own client would pass the fence by, is off; its files come over plain https. A redirect elsewhere is an
    error, whatever header or address it came by.

    Args:
        bars: whether the library may draw its progress bars on stderr.

    Raises:
        WeightsError: a request to a foreign host, or over http.
    """
    from huggingface_hub import constants, set_client_factory
    from huggingface_hub.utils import _http
    from huggingface_hub.utils import logging as hub_logging
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    factory: Any = _http._GLOBAL_CLIENT_FACTORY
    values = {"HF_HUB_DISABLE_XET": True, "HF_HUB_DISABLE_TELEMETRY": True}
    before = {name: getattr(constants, name) for name in values}
    silent, verbosity = are_progress_bars_disabled(), hub_logging.get_verbosity()

    def fenced_client() -> Any:
        client = factory()
        client.event_hooks = {**client.event_hooks, "request": [_refuse_foreign, *client.event_hooks["request"]]}
        return client

    try:
        for name, value in values.items():
            setattr(constants, name, value)
        hub_logging.set_verbosity(logging.ERROR)  # it announces every attempt; what counts in the end is said once
        if not bars:
            disable_progress_bars()
        # A client that is there already knows no fence, and one that breaks is made anew: so the factory is changed.
        set_client_factory(fenced_client)
        yield
    finally:
        set_client_factory(factory)
        for name, value in before.items():
            setattr(constants, name, value)
        hub_logging.set_verbosity(verbosity)
        if not (bars or silent):
            enable_progress_bars()


def _refuse_foreign(request: Any) -> None:
    from huggingface_hub import constants

    url, endpoint = urlsplit(str(request.url)), urlsplit(constants.ENDPOINT)
    if (url.scheme, url.netloc) == (endpoint.scheme, endpoint.netloc):  # HF_ENDPOINT is the user's own choice
        return
    host = url.hostname or ""
    if url.scheme != "https" or not any(host == name or host.endswith(f".{name}") for name in _HOSTS):
        raise WeightsError(
            f"the download was sent on to {url.scheme}://{host}, which is not the Hub's; nothing was fetched there",
            "check HF_ENDPOINT and proxies",
        )


def as_error(error: Exception, name: str, repository: str) -> FaceEditError:
    """A failure of the library in one line, with what to do."""
    from huggingface_hub import errors

    http_error: Any = getattr(errors, "HTTPError")  # noqa: B009 - of whichever HTTP library it is built on
    again = f"try again: faceedit weights pull {name}; whole files are kept, the one in hand starts over"
    if isinstance(error, FaceEditError):
        return error
    if isinstance(error, errors.GatedRepoError):
        return gated_error(name, repository)
    if isinstance(error, errors.RepositoryNotFoundError):
        return WeightsError(f"{repository} is not on the Hub, or not for this account", f"log in: {LOGIN}")
    if isinstance(error, errors.RevisionNotFoundError):
        return WeightsError(f"{repository} has no such revision", "name another with --revision")
    if isinstance(error, errors.EntryNotFoundError) and isinstance(error, errors.HfHubHTTPError):
        return WeightsError(
            f"{repository} lacks a file that {name} needs", "its owner took it away, or update faceedit"
        )
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        if status in (401, 403):
            return WeightsError(
                f"the Hub does not let this account read {repository} ({status})",
                f"accept its conditions at {page(repository)} and let the token read gated repositories, then: {LOGIN}",
            )
        return WeightsError(f"the Hub answered {status} for {repository}", again)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return OutputError(f"the disk is full: {os.strerror(error.errno)}", f"make room, then {again}")
    if isinstance(error, PermissionError):
        return OutputError(f"cannot write to the cache: {error.strerror}", "set HF_HOME to a folder of yours")
    if isinstance(error, (http_error, OSError)):
        return WeightsError(f"{repository} cannot be reached: {type(error).__name__}", again)
    return WeightsError(f"fetching {repository} failed: {type(error).__name__}", again)
