"""Fetching published weights: the listed files of a pinned commit into the Hugging Face cache, and no others."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from faceedit.errors import OutputError, UsageError, WeightsError
from faceedit.images import write_atomic
from faceedit.models import hub, ledger, manifest
from faceedit.models.manifest import WeightFile, WeightSet
from faceedit.models.needs import files_for
from faceedit.models.verified import remember
from faceedit.recipe_schema import Recipe

# What a download may be: data that the strict readers take. Pickles and code are refused whoever lists them.
SUFFIXES = (".safetensors", ".json", ".txt", ".model")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_RESERVE = 512 << 20
_ABANDONED = 3600.0

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Pull:
    """What a download would do.

    Attributes:
        known: the set.
        revision: commit, branch or tag to fetch from.
        here: files that are in the cache already.
        missing: files to fetch, with their sizes as far as they are known.
        cache: folder of the Hugging Face cache.
        free: bytes free there.
    """

    known: WeightSet
    revision: str
    here: tuple[WeightFile, ...]
    missing: tuple[WeightFile, ...]
    cache: Path
    free: int

    @property
    def size(self) -> int:
        """Bytes to fetch, as far as they are known."""
        return sum(file.size or 0 for file in self.missing)


def plan(known: WeightSet, recipe: Recipe | None = None, revision: str = "", moving: bool = False) -> Pull:
    """What fetching a set would do, from what lies on this machine alone; opens no socket.

    Args:
        known: the set.
        recipe: fetch only what this one needs.
        revision: another than the pinned commit; a 40-digit commit unless `moving`.
        moving: allow a branch or tag, whose content can change from one day to the next.

    Raises:
        UsageError: bundled weights, or a revision that can move.
        WeightsError: the manifest lists a file that is no plain data.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.constants import HF_HUB_CACHE

    if known.kind != "hub":
        raise UsageError(f"{known.id} is part of faceedit", "there is nothing to pull")
    wanted = revision or known.revision or "main"
    if not _COMMIT.fullmatch(wanted) and not moving:
        raise UsageError(
            f"revision {wanted!r} can move: what it names today may be other files tomorrow",
            "name a 40-digit commit, or add --allow-moving to take what is there now",
        )
    files = files_for(known, recipe)
    if wanted != known.revision:  # sizes and hashes in the manifest belong to the pinned commit
        files = tuple(WeightFile(file.path) for file in files)
    for file in files:
        if not (manifest.is_plain_path(file.path) and file.path.endswith(SUFFIXES)):
            raise WeightsError(f"{known.id} lists {file.path!r}, which is not fetched", "only data files are")
    # What a name that moves means today, only the Hub knows.
    here = (
        ()
        if moving
        else tuple(
            file
            for file in files
            if isinstance(try_to_load_from_cache(known.repository, file.path, revision=wanted), str)
        )
    )
    cache = Path(HF_HUB_CACHE)
    existing = next(folder for folder in (cache, *cache.parents) if folder.exists())
    missing = tuple(file for file in files if file not in here)
    return Pull(known, wanted, here, missing, cache, shutil.disk_usage(existing).free)


def _require_licence(known: WeightSet, accept: Callable[[WeightSet], bool]) -> None:
    """Ask once per set and licence, and write the answer down. A set without `terms` needs none."""
    if not known.terms or ledger.is_accepted(known.licence, known.id):
        return
    if not accept(known):
        raise WeightsError(
            f"{known.id} comes under {known.licence}, which was not accepted",
            f"read {known.terms}, then add --accept-licence",
        )
    ledger.record_acceptance(known.licence, known.terms, known.id)


def fetch(pull: Pull, accept: Callable[[WeightSet], bool], tell: Tell = lambda _: None, bars: bool = False) -> Path:
    """Fetch the missing files and check every hash.

    Every file is written under a name of its own and renamed when it is whole, so that other processes never see a
    part of it. Within a run a broken connection is taken up where it broke; a new run keeps whole files and starts the
    others over.

    Args:
        pull: from `plan`.
        accept: whether the user accepts the set's licence; asked once for all, before anything is downloaded.
        tell: called with a line of progress per file.
        bars: whether progress bars may be drawn on stderr.

    Returns:
        The snapshot's folder.

    Raises:
        WeightsError: offline, gated, licence not accepted, not reachable, or a file that is not what it should be,
            which is then removed.
        OutputError: the disk would not, or did not, hold it.
    """
    known = pull.known
    if pull.missing and hub.offline():
        raise WeightsError(
            f"{known.id}: {len(pull.missing)} files are not on this machine and HF_HUB_OFFLINE is set",
            "unset it to download",
        )
    if pull.missing and known.gated and not hub.has_token():
        raise hub.gated_error(known.id, known.repository)
    if pull.missing:
        _require_licence(known, accept)
    asked = pull.revision
    with hub.fenced(bars):
        try:
            pull = _with_sizes(pull) if pull.missing else pull
            _require_space(pull)
            _sweep(pull, tell)
            folder = _fetch(pull, tell)
            if not _COMMIT.fullmatch(asked):
                _note_commit(pull, asked, folder.name)
        except Exception as error:  # whichever HTTP library is below: every failure is one line
            raise hub.as_error(error, known.id, known.repository) from error
    return folder


def _with_sizes(pull: Pull) -> Pull:
    """Ask the Hub for the size of every missing file, all before the first download, and for the commit behind a name.

    A size that is not the manifest's, or another commit than the one asked for, ends it here.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    known, sized, commit = pull.known, [], ""
    for file in pull.missing:
        info = get_hf_file_metadata(hf_hub_url(known.repository, file.path, revision=commit or pull.revision))
        told = info.commit_hash or ""
        commit = commit or told
        if not _COMMIT.fullmatch(told) or told != (pull.revision if _COMMIT.fullmatch(pull.revision) else commit):
            raise WeightsError(f"the Hub answers with commit {told[:12]!r}, not with the one asked for", "try again")
        if file.size is not None and info.size != file.size:
            raise WeightsError(
                f"{file.path} has {info.size} bytes on the Hub instead of {file.size}", "update faceedit"
            )
        sized.append(replace(file, size=info.size))
    return replace(pull, missing=tuple(sized), revision=commit)


def _require_space(pull: Pull) -> None:
    if pull.missing and pull.size + _RESERVE > pull.free:
        raise OutputError(
            f"{pull.known.id} needs {pull.size / 1e9:.1f} GB and {pull.cache} has {pull.free / 1e9:.1f} GB free",
            "make room, or set HF_HOME to a larger disk",
        )


def _fetch(pull: Pull, tell: Tell) -> Path:
    from huggingface_hub import hf_hub_download

    known, seen, folder = pull.known, {}, None
    for number, file in enumerate((*pull.here, *pull.missing), start=1):
        new = file in pull.missing
        if new:
            tell(f"{number}/{len(pull.here) + len(pull.missing)} {file.path} ({(file.size or 0) / 1e6:.1f} MB)")
        path = Path(hf_hub_download(known.repository, file.path, revision=pull.revision, local_files_only=not new))
        folder = path.parents[file.path.count("/")]
        expected = manifest.expected_hash(known, file, folder)
        sha256 = _checked(path, expected, f"{known.id}: {file.path}")
        if len(expected) != 64:
            seen[file.path] = sha256
        remember(path, expected if len(expected) == 64 else sha256)
    if folder is None:
        raise WeightsError(f"{known.id} lists no files", "update faceedit")
    ledger.record_hashes(known.repository, folder.name, seen)
    return folder


def _note_commit(pull: Pull, name: str, commit: str) -> None:
    """Write down, where the cache keeps it, which commit a branch or tag meant, so that it is found under that name."""
    if not manifest.is_plain_path(name):
        raise UsageError(f"{name!r} is no name of a revision", "name a branch, a tag or a commit")
    path = pull.cache / f"models--{pull.known.repository.replace('/', '--')}" / "refs" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, commit.encode("ascii"), force=True)


def _checked(path: Path, expected: str, name: str) -> str:
    """SHA-256 of a file that has its hash; one that has not is removed, so that it can never be loaded."""
    sha256 = manifest.digest(path)
    found = sha256 if len(expected) == 64 else manifest.digest(path, "git")
    if expected and found != expected:
        content = path.parent / path.readlink() if path.is_symlink() else path
        path.unlink()
        content.unlink(missing_ok=True)
        raise WeightsError(
            f"{name} does not have its hash {expected[:12]}… and was removed", "pull again; if it stays so, report it"
        )
    return sha256


def _sweep(pull: Pull, tell: Tell) -> None:
    """Take away what killed downloads left; a download that still runs touches its file all the time."""
    for path in _parts(pull.cache / f"models--{pull.known.repository.replace('/', '--')}" / "blobs"):
        if time.time() - path.stat().st_mtime > _ABANDONED:
            tell(f"removing {path.name}, left by a download that was killed")
            path.unlink(missing_ok=True)


def _parts(folder: Path) -> Iterable[Path]:
    return sorted(folder.glob("*.incomplete"))
