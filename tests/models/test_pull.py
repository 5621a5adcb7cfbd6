"""Fetching weights: the listed files and no others, whole or not at all, or one clear line."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from fake_hub import CDN, COMMIT, REPOSITORY, UNET, FakeHub, leftovers, snapshot, yes

from faceedit.errors import OutputError, UsageError, WeightsError
from faceedit.models import hub, manifest
from faceedit.models.manifest import MISSING, PRESENT, WeightFile, WeightSet
from faceedit.models.needs import files_for, sets_of
from faceedit.models.pull import Pull, fetch, plan
from faceedit.recipe import load_recipe


def test_the_listed_files_of_the_pinned_commit_are_fetched_and_no_others(remote: FakeHub, cache: Path) -> None:
    """Breaks when a pickle, code or another revision is fetched, or a second pull fetches anything again."""
    known = remote.known()
    lines: list[str] = []
    folder = fetch(plan(known), yes, lines.append)
    assert folder == cache / f"models--owner--tiny/snapshots/{COMMIT}"
    assert manifest.check_folder(known, folder).state == PRESENT
    assert (folder / UNET).read_bytes() == remote.files[UNET]
    assert all(f"/resolve/{COMMIT}/" in url or url.startswith(CDN) for url in remote.asked())
    assert not [url for url in remote.asked() if "bin" in url or ".py" in url]
    assert len(lines) == 2 and UNET in lines[1]
    count = len(remote.log)
    assert plan(known).missing == () and fetch(plan(known), yes) == folder
    assert len(remote.log) == count


def test_a_plan_opens_no_socket(remote: FakeHub) -> None:
    """Breaks when --dry-run asks the network."""
    todo = plan(remote.known())
    assert [file.path for file in todo.missing] == ["model_index.json", UNET]
    assert todo.size == 200 and todo.free > 0 and not remote.log


def test_offline_means_not_one_socket(remote: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks when HF_HUB_OFFLINE is asked after a request, or what is here cannot be used then."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="2 files are not on this machine and HF_HUB_OFFLINE is set"):
        fetch(plan(remote.known()), yes)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    fetch(plan(remote.known()), yes)
    count = len(remote.log)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert fetch(plan(remote.known()), yes).is_dir() and len(remote.log) == count


def test_a_broken_connection_is_taken_up_where_it_broke(remote: FakeHub) -> None:
    """Breaks when a hiccup ends the download, or the parts are put together wrongly."""
    remote.breaks = [64, 32]
    folder = fetch(plan(remote.known()), yes)
    ranges = [
        request.headers.get("Range") for request in remote.log if request.method == "GET" and "cdn" in request.url.host
    ]
    assert ranges == [None, "bytes=64-", "bytes=96-"]
    assert (folder / UNET).read_bytes() == remote.files[UNET]


def test_a_range_that_the_server_refuses_ends_in_one_line(remote: FakeHub, cache: Path) -> None:
    """Breaks when 416 (range not satisfiable) leaves a part that looks like a file, or loops for ever."""
    remote.status[UNET] = 416
    with pytest.raises(WeightsError, match="the Hub answered 416"):
        fetch(plan(remote.known()), yes)
    assert not leftovers(cache) and manifest.check_folder(remote.known(), snapshot(cache)).state == MISSING


def test_whole_files_are_kept_when_the_network_goes_away(remote: FakeHub, cache: Path) -> None:
    """Breaks when a lost connection leaves a part behind, or the next run fetches whole files again."""
    remote.breaks = [16] + [0] * 5
    with pytest.raises(WeightsError, match="cannot be reached") as caught:
        fetch(plan(remote.known()), yes)
    assert "whole files are kept" in caught.value.hint
    assert not leftovers(cache) and [file.path for file in plan(remote.known()).here] == ["model_index.json"]
    remote.breaks, remote.log = [], []
    assert (fetch(plan(remote.known()), yes) / UNET).read_bytes() == remote.files[UNET]
    assert not [url for url in remote.asked() if "model_index" in url]


def test_another_size_on_the_hub_ends_it_before_a_byte_comes(remote: FakeHub) -> None:
    """Breaks when gigabytes are fetched that cannot be the files of the manifest."""
    known = remote.known(files=(WeightFile(UNET, 199),))
    with pytest.raises(WeightsError, match="has 200 bytes on the Hub instead of 199"):
        fetch(plan(known), yes)
    assert remote.asked("GET") == []


def test_a_disk_that_is_too_full_is_found_first(remote: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks when a download starts that cannot end."""
    usage = type("Usage", (), {"free": 1 << 20})
    monkeypatch.setattr("faceedit.models.pull.shutil.disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match="free"):
        fetch(plan(remote.known()), yes)
    assert remote.asked("GET") == []


def test_a_disk_that_fills_up_meanwhile_leaves_no_part(remote: FakeHub, cache: Path) -> None:
    """Breaks when a write that fails leaves a file that is cut off: here the system itself refuses at 100 bytes."""
    fetch(plan(remote.known(files=(WeightFile("model_index.json"),))), yes)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OutputError, match="the disk is full"):
            fetch(plan(remote.known()), yes)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not leftovers(cache) and not (snapshot(cache) / UNET).exists()
    assert isinstance(hub.as_error(OSError(errno.ENOSPC, "x"), "tiny", REPOSITORY), OutputError)


def test_bundled_weights_are_not_pulled() -> None:
    """Breaks when a mistaken pull looks for the bundled models on the Hub."""
    with pytest.raises(UsageError, match="part of faceedit"):
        plan(WeightSet("mini-2", "bundled"))


def test_what_killed_downloads_left_is_swept_and_running_ones_are_not(remote: FakeHub, cache: Path) -> None:
    """Breaks when parts pile up for ever, or another process loses the file that it is writing."""
    blobs = cache / "models--owner--tiny/blobs"
    blobs.mkdir(parents=True)
    for name, age in (("old.1.incomplete", 7200), ("new.2.incomplete", 5)):
        (blobs / name).write_bytes(b"part")
        os.utime(blobs / name, (time.time() - age,) * 2)
    fetch(plan(remote.known()), yes)
    assert [path.name for path in leftovers(cache)] == ["new.2.incomplete"]


def test_a_recipe_takes_what_it_reads_and_no_more() -> None:
    """Breaks when a replaced part, or a checker that is switched off, is fetched all the same."""
    (known,) = sets_of(load_recipe("inpaint"))
    assert known.id == "sd-1.5"
    every = {file.path for file in files_for(known, load_recipe("inpaint"))}
    assert every == {file.path for file in known.files}
    settings = {"safety": "off", "weights.folders": "{vae: /x}"}
    fewer = {file.path for file in files_for(known, load_recipe("inpaint", settings))}
    assert {path.partition("/")[0] for path in every - fewer} == {"vae", "safety_checker"}
    with pytest.raises(UsageError, match="nothing to pull"):
        try:
            sets_of(load_recipe("mini/inpaint"))
        except UsageError as error:
            raise UsageError(error.hint) from None


CHILD = """
    import sys
    sys.path.insert(0, {tests!r})
    from pathlib import Path
    from huggingface_hub import constants
    constants.HF_HUB_CACHE, constants.HF_HUB_OFFLINE = {cache!r}, False
    from fake_hub import FakeHub
    from faceedit.models import ledger, verified
    from faceedit.models.pull import fetch, plan
    ledger.ledger_path = lambda: Path({cache!r}).parent / "weights.json"
    verified.cache_folder = lambda: Path({cache!r}).parent / "stamps"
    hub = FakeHub({{f"part{{k}}.safetensors": bytes([k]) * 300_000 for k in range(12)}})
    hub.install()
    print(fetch(plan(hub.known()), lambda _: True))
"""


def test_t19_two_processes_share_a_cache(cache: Path) -> None:
    """Breaks when two pulls of one set at once disturb each other."""
    script = textwrap.dedent(CHILD.format(tests=str(Path(__file__).parent), cache=str(cache)))
    children = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [child.communicate(timeout=120)[0].strip() for child in children]
    assert [child.returncode for child in children] == [0, 0] and set(answers) == {str(snapshot(cache))}
    fake = FakeHub({f"part{k}.safetensors": bytes([k]) * 300_000 for k in range(12)})
    assert manifest.check_folder(fake.known(), snapshot(cache)).state == PRESENT
    assert not leftovers(cache) and not list(cache.parent.glob(".faceedit-*"))


def test_a_pull_tells_what_it_would_do() -> None:
    """Breaks when unknown sizes are counted as something."""
    todo = Pull(WeightSet("x", "hub"), COMMIT, (), (WeightFile("a", 3), WeightFile("b")), Path(), 0)
    assert todo.size == 3
