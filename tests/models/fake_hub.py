"""A Hub without a network: answers below huggingface_hub's HTTP client, with the headers that the real one gives."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub import get_session, set_client_factory
from huggingface_hub.utils import _http

from faceedit.models.manifest import WeightFile, WeightSet

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "owner/tiny"
LARGE = ".safetensors"
CDN = "https://cdn-lfs.hf.co"
UNET = "unet/model.safetensors"
OTHER = "f" * 40
httpx: Any = importlib.import_module(type(get_session()).__module__.partition(".")[0])


def git_hash(data: bytes) -> str:
    """What git calls a blob, which is how the Hub tags small files."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass
class FakeHub:
    """What a repository holds, what goes wrong with it, and the requests that came."""

    files: dict[str, bytes]
    commit: str = COMMIT
    gated: bool = False
    served: dict[str, bytes] = field(default_factory=dict)
    breaks: list[int] = field(default_factory=list)
    status: dict[str, int] = field(default_factory=dict)
    redirect: dict[str, str] = field(default_factory=dict)
    log: list[Any] = field(default_factory=list)

    def install(self) -> None:
        """Every request of huggingface_hub comes here, through its own client and hooks."""
        hooks = {"request": [_http.hf_request_event_hook]}
        transport = httpx.MockTransport(self.answer)
        set_client_factory(lambda: httpx.Client(transport=transport, event_hooks=hooks, follow_redirects=True))

    def answer(self, request: Any) -> Any:
        self.log.append(request)
        url = request.url
        if url.host != "huggingface.co":
            path = next(
                (p for p, data in self.files.items() if url.path.endswith(hashlib.sha256(data).hexdigest())), ""
            )
            return self.content(request, path)
        _, owner, name, resolve, revision, path = url.path.split("/", 5)
        assert (f"{owner}/{name}", resolve) == (REPOSITORY, "resolve")
        if self.gated:
            return httpx.Response(
                403, headers={"X-Error-Code": "GatedRepo", "X-Error-Message": "gated"}, request=request
            )
        if path not in self.files or revision not in ("main", self.commit):
            return httpx.Response(404, headers={"X-Error-Code": "EntryNotFound"}, request=request)
        data = self.files[path]
        headers = {"X-Repo-Commit": self.commit}
        if path.endswith(LARGE):
            digest = hashlib.sha256(data).hexdigest()
            headers |= {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(data))}
            return httpx.Response(302, headers={**headers, "Location": self.redirect.get(path, f"{CDN}/{digest}")})
        if request.method == "HEAD":
            headers |= {"ETag": f'"{git_hash(data)}"', "Content-Length": str(len(data))}
            return httpx.Response(200, headers=headers)
        return self.content(request, path)

    def content(self, request: Any, path: str) -> Any:
        """The bytes, whole or from where the request asks, cut off where `breaks` says so."""
        if path in self.status:
            return httpx.Response(self.status[path], request=request)
        data = self.served.get(path, self.files.get(path, b""))
        start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        headers = {"Content-Length": str(len(data) - start), "Content-Range": f"bytes {start}-/{len(data)}"}
        stop = start + self.breaks.pop(0) if path.endswith(LARGE) and self.breaks else len(data)
        stream = Stream(data[start:stop], broken=stop < len(data))
        return httpx.Response(206 if start else 200, headers=headers, stream=stream)

    def asked(self, method: str = "") -> list[str]:
        """Addresses of the requests, of one method or of all."""
        return [str(request.url) for request in self.log if method in ("", request.method)]

    def known(self, **changes: Any) -> WeightSet:
        """The manifest's entry: large files by size and hash, small ones by name only."""
        files = tuple(
            WeightFile(path, len(data), hashlib.sha256(data).hexdigest()) if path.endswith(LARGE) else WeightFile(path)
            for path, data in self.files.items()
            if path.endswith((LARGE, ".json"))
        )
        values = {"repository": REPOSITORY, "revision": COMMIT, "licence": "Apache-2.0", "files": files, **changes}
        return WeightSet("tiny", "hub", **values)


class Stream(httpx.SyncByteStream):
    """Bytes that arrive and then, maybe, stop."""

    def __init__(self, data: bytes, broken: bool) -> None:
        self.data, self.broken = data, broken

    def __iter__(self) -> Iterator[bytes]:
        yield self.data
        if self.broken:
            raise httpx.RemoteProtocolError("peer closed connection")


def yes(_: WeightSet) -> bool:
    """Accepts every licence."""
    return True


def snapshot(cache: Path) -> Path:
    """The folder of the pinned commit."""
    return cache / f"models--owner--tiny/snapshots/{COMMIT}"


def leftovers(cache: Path) -> list[Path]:
    """Parts of files."""
    return sorted(cache.rglob("*.incomplete"))
