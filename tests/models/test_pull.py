"""Fetching weights: only the listed files, from named hosts, whole and with their hashes, or one clear line."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import resource
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fake_hub import CDN, COMMIT, REPOSITORY, FakeHub
from huggingface_hub import set_client_factory
from huggingface_hub.utils import _http

from faceedit.errors import OutputError, UsageError, WeightsError
from faceedit.models import hub, ledger, manifest, verified
from faceedit.models.manifest import MISSING, PRESENT, WeightFile, WeightSet
from faceedit.models.needs import files_for, sets_of
from faceedit.models.places import hub_folder
from faceedit.models.pull import Pull, fetch, plan
from faceedit.recipe import load_recipe

UNET = "unet/model.safetensors"
OTHER = "f" * 40


def yes(_: WeightSet) -> bool:
    return True


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache and an empty ledger of a user who is online and not logged in."""
    folder = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 16)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr("huggingface_hub.constants.HF_STORED_TOKENS_PATH", str(tmp_path / "tokens"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    monkeypatch.setattr(ledger, "ledger_path", lambda: tmp_path / "data/weights.json")
    monkeypatch.setattr(verified, "cache_folder", lambda: tmp_path / "stamps")
    return folder


@pytest.fixture
def tiny(cache: Path) -> Iterator[FakeHub]:
    """A repository with two files that are wanted and two that never are."""
    del cache
    fake = FakeHub({
        "model_index.json": b'{"unet": ["diffusers", "UNet2DConditionModel"]}',
        UNET: bytes(range(200)),
        "unet/model.bin": b"pickle",
        "pipeline.py": b"import os",
    })  # fmt: skip
    fake.install()
    yield fake
    set_client_factory(_http.default_client_factory)


def leftovers(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.incomplete"))


def test_the_listed_files_of_the_pinned_commit_are_fetched_and_no_others(tiny: FakeHub, cache: Path) -> None:
    """Breaks when a pickle, code or another revision is fetched, or a second pull fetches anything again."""
    known = tiny.known()
    lines: list[str] = []
    folder = fetch(plan(known), yes, lines.append)
    assert folder == cache / f"models--owner--tiny/snapshots/{COMMIT}"
    assert manifest.check_folder(known, folder).state == PRESENT
    assert (folder / UNET).read_bytes() == tiny.files[UNET]
    assert all(f"/resolve/{COMMIT}/" in url or url.startswith(CDN) for url in tiny.asked())
    assert not [url for url in tiny.asked() if "bin" in url or ".py" in url]
    assert len(lines) == 2 and UNET in lines[1]
    count = len(tiny.log)
    assert plan(known).missing == () and fetch(plan(known), yes) == folder
    assert len(tiny.log) == count


def test_a_plan_opens_no_socket(tiny: FakeHub) -> None:
    """Breaks when --dry-run asks the network."""
    todo = plan(tiny.known())
    assert [file.path for file in todo.missing] == ["model_index.json", UNET]
    assert todo.size == 200 and todo.free > 0 and not tiny.log


def test_offline_means_not_one_socket(tiny: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks when HF_HUB_OFFLINE is asked after a request, or what is here cannot be used then."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="2 files are not on this machine and HF_HUB_OFFLINE is set"):
        fetch(plan(tiny.known()), yes)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    fetch(plan(tiny.known()), yes)
    count = len(tiny.log)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert fetch(plan(tiny.known()), yes).is_dir() and len(tiny.log) == count


def test_a_broken_connection_is_taken_up_where_it_broke(tiny: FakeHub) -> None:
    """Breaks when a hiccup ends the download, or the parts are put together wrongly."""
    tiny.breaks = [64, 32]
    folder = fetch(plan(tiny.known()), yes)
    ranges = [
        request.headers.get("Range") for request in tiny.log if request.method == "GET" and "cdn" in request.url.host
    ]
    assert ranges == [None, "bytes=64-", "bytes=96-"]
    assert (folder / UNET).read_bytes() == tiny.files[UNET]


def test_a_range_that_the_server_refuses_ends_in_one_line(tiny: FakeHub, cache: Path) -> None:
    """Breaks when 416 (range not satisfiable) leaves a part that looks like a file, or loops for ever."""
    tiny.status[UNET] = 416
    with pytest.raises(WeightsError, match="the Hub answered 416"):
        fetch(plan(tiny.known()), yes)
    assert not leftovers(cache) and manifest.check_folder(tiny.known(), snapshot(cache)).state == MISSING


def snapshot(cache: Path) -> Path:
    return cache / f"models--owner--tiny/snapshots/{COMMIT}"


def test_whole_files_are_kept_when_the_network_goes_away(tiny: FakeHub, cache: Path) -> None:
    """Breaks when a lost connection leaves a part behind, or the next run fetches whole files again."""
    tiny.breaks = [16] + [0] * 5
    with pytest.raises(WeightsError, match="cannot be reached") as caught:
        fetch(plan(tiny.known()), yes)
    assert "whole files are kept" in caught.value.hint
    assert not leftovers(cache) and [file.path for file in plan(tiny.known()).here] == ["model_index.json"]
    tiny.breaks, tiny.log = [], []
    assert (fetch(plan(tiny.known()), yes) / UNET).read_bytes() == tiny.files[UNET]
    assert not [url for url in tiny.asked() if "model_index" in url]


@pytest.mark.parametrize("place", ["https://evil.example/x", "http://cdn-lfs.hf.co/x", "https://hf.co.evil.example/x"])
@pytest.mark.parametrize("late", [False, True])
def test_t18_a_redirect_elsewhere_is_refused(tiny: FakeHub, place: str, late: bool) -> None:
    """Breaks when a redirect leads to a host that nobody named, or off https, at the first answer or at a later one."""
    good = f"{CDN}/{hashlib.sha256(tiny.files[UNET]).hexdigest()}"
    if late:
        content = tiny.content
        tiny.content = lambda request, path: (  # type: ignore[method-assign]
            _redirected(place, request) if str(request.url) == good else content(request, path)
        )
    else:
        tiny.redirect[UNET] = place
    with pytest.raises(WeightsError, match="is not the Hub's"):
        fetch(plan(tiny.known()), yes)
    assert place not in tiny.asked()


def _redirected(place: str, request: object) -> object:
    from fake_hub import httpx

    return httpx.Response(302, headers={"Location": place}, request=request)


def test_the_fence_is_taken_down_again(tiny: FakeHub) -> None:
    """Breaks when a pull changes how the rest of a program reaches the Hub."""
    from huggingface_hub import constants, get_session

    before = (
        constants.HF_HUB_DISABLE_XET,
        constants.HF_HUB_DISABLE_TELEMETRY,
        len(get_session().event_hooks["request"]),
    )
    fetch(plan(tiny.known()), yes)
    after = (
        constants.HF_HUB_DISABLE_XET,
        constants.HF_HUB_DISABLE_TELEMETRY,
        len(get_session().event_hooks["request"]),
    )
    assert before == after


@pytest.mark.parametrize("path", [UNET, "model_index.json"])
def test_t5_wrong_bytes_of_the_right_size_are_removed(tiny: FakeHub, cache: Path, path: str) -> None:
    """Breaks when corruption on the way is kept: by the manifest's hash, or by the one that the Hub itself gave."""
    tiny.served[path] = bytes(len(tiny.files[path]))
    with pytest.raises(WeightsError, match=f"{path} does not have its hash .* and was removed"):
        fetch(plan(tiny.known()), yes)
    assert not (snapshot(cache) / path).exists() and len(list((cache / "models--owner--tiny/blobs").iterdir())) < 2
    tiny.served.clear()
    assert manifest.check_folder(tiny.known(), fetch(plan(tiny.known()), yes)).state == PRESENT


def test_t5_what_is_here_is_checked_too(tiny: FakeHub) -> None:
    """Breaks when a pull calls damaged files whole because they have their names."""
    folder = fetch(plan(tiny.known()), yes)
    (folder / UNET).resolve().write_bytes(bytes(200))
    with pytest.raises(WeightsError, match="was removed"):
        fetch(plan(tiny.known()), yes)
    assert (fetch(plan(tiny.known()), yes) / UNET).read_bytes() == tiny.files[UNET]


def test_first_hashes_are_written_down_and_hold_from_then_on(tiny: FakeHub) -> None:
    """Breaks when a file whose hash nobody published can change after its first download without being noticed."""
    known = tiny.known()
    folder = fetch(plan(known), yes)
    digest = hashlib.sha256(tiny.files["model_index.json"]).hexdigest()
    assert ledger.first_hash(REPOSITORY, COMMIT, "model_index.json") == digest
    assert ledger.first_hash(REPOSITORY, COMMIT, UNET) == "", "the manifest knows this one"
    other = b'{"unet": ["diffusers", "UNet2DConditionMODEL"]}'
    (folder / "model_index.json").unlink()
    (folder / "model_index.json").write_bytes(other)  # no link any more: its name tells no hash
    assert "model_index.json does not have its hash" in str(manifest.check_folder(known, folder).problems)
    with pytest.raises(WeightsError, match="does not have its hash"):
        verified.require_verified(known, folder, (folder / "model_index.json",))


def test_another_size_on_the_hub_ends_it_before_a_byte_comes(tiny: FakeHub) -> None:
    """Breaks when gigabytes are fetched that cannot be the files of the manifest."""
    known = tiny.known(files=(WeightFile(UNET, 199),))
    with pytest.raises(WeightsError, match="has 200 bytes on the Hub instead of 199"):
        fetch(plan(known), yes)
    assert tiny.asked("GET") == []


def test_a_disk_that_is_too_full_is_found_first(tiny: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks when a download starts that cannot end."""
    usage = type("Usage", (), {"free": 1 << 20})
    monkeypatch.setattr("faceedit.models.pull.shutil.disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match="free"):
        fetch(plan(tiny.known()), yes)
    assert tiny.asked("GET") == []


def test_a_disk_that_fills_up_meanwhile_leaves_no_part(tiny: FakeHub, cache: Path) -> None:
    """Breaks when a write that fails leaves a file that is cut off: here the system itself refuses at 100 bytes."""
    fetch(plan(tiny.known(files=(WeightFile("model_index.json"),))), yes)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OutputError, match="the disk is full"):
            fetch(plan(tiny.known()), yes)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not leftovers(cache) and not (snapshot(cache) / UNET).exists()
    assert isinstance(hub.as_error(OSError(errno.ENOSPC, "x"), "tiny", REPOSITORY), OutputError)


def test_gated_weights_are_one_message_before_anything(tiny: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks when a user without an account finds out file by file, or is not told where and how."""
    known = tiny.known(gated=True)
    tiny.gated = True
    for token in (None, "hf_aaaaaaaaaaaaaaaa"):
        if token:
            monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(WeightsError, match="tiny is gated") as caught:
            fetch(plan(known), yes)
        assert "https://huggingface.co/owner/tiny" in caught.value.hint and "hf auth login" in caught.value.hint
        assert len(tiny.log) == (1 if token else 0) and tiny.asked("GET") == []
    tiny.gated = False
    assert fetch(plan(known), yes).is_dir()


def test_t16_the_token_goes_to_the_hub_alone(tiny: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks when the storage behind the Hub, a file or a message is told the user's token."""
    token = "hf_" + "a" * 20
    monkeypatch.setenv("HF_TOKEN", token)
    fetch(plan(tiny.known()), yes)
    told = {request.url.host for request in tiny.log if token in request.headers.get("authorization", "")}
    assert told == {"huggingface.co"}
    tiny.status[UNET] = 500
    with pytest.raises(WeightsError) as caught:
        fetch(plan(tiny.known(revision=OTHER)), yes)
    assert token not in f"{caught.value}{caught.value.hint}"
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and token.encode() in path.read_bytes()]


def test_a_licence_is_accepted_once_and_before_anything(tiny: FakeHub) -> None:
    """Breaks when conditions are passed over, asked for again, or accepted on the user's behalf."""
    known = tiny.known(licence="Open RAIL-M", terms="https://licence.example/text")
    with pytest.raises(WeightsError, match="Open RAIL-M, which was not accepted") as caught:
        fetch(plan(known), lambda _: False)
    assert "https://licence.example/text" in caught.value.hint and not tiny.log
    fetch(plan(known), yes)
    entry = json.loads(ledger.ledger_path().read_text())["licences"]["tiny"]
    assert (entry["licence"], entry["terms"]) == ("Open RAIL-M", "https://licence.example/text")
    fetch(plan(known, revision=COMMIT), lambda _: False)
    assert not ledger.is_accepted("Open RAIL++", "tiny"), "another licence is another question"


@pytest.mark.parametrize("revision", ["main", "v1", COMMIT[:12], COMMIT.upper()])
def test_t6_a_revision_that_can_move_is_refused_unless_asked_for(tiny: FakeHub, revision: str) -> None:
    """Breaks when weights can change under a name."""
    with pytest.raises(UsageError, match="can move"):
        plan(tiny.known(), revision=revision)
    with pytest.raises(UsageError, match="can move"):
        plan(tiny.known(revision=""))


def test_t6_a_moving_name_is_pinned_to_its_commit_of_today(tiny: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks when files of two commits are mixed because a branch moved during the download."""
    tiny.commit = OTHER
    folder = fetch(plan(tiny.known(), revision="main", moving=True), yes)
    assert folder.name == OTHER
    assert hub_folder(REPOSITORY, OTHER) == folder
    unpinned = replace(tiny.known(), revision="")
    monkeypatch.setattr(manifest, "weight_sets", lambda: (unpinned,))
    assert hub_folder(REPOSITORY) == folder, "what was taken under a name is found under it"
    assert [url.split("/")[6] for url in tiny.asked("HEAD")[:2]] == ["main", OTHER]


def test_t6_another_commit_than_the_one_asked_for_is_refused(tiny: FakeHub) -> None:
    """Breaks when a mirror can answer with whatever revision it likes."""
    answer = tiny.answer

    def lying(request: object) -> object:
        response = answer(request)
        if "X-Repo-Commit" in response.headers:
            response.headers["X-Repo-Commit"] = OTHER
        return response

    tiny.answer = lying  # type: ignore[method-assign]
    tiny.install()
    with pytest.raises(WeightsError, match="answers with commit 'ffffffffffff'"):
        fetch(plan(tiny.known()), yes)


@pytest.mark.parametrize(
    "path", ["unet/model.bin", "pipeline.py", "x.ckpt", "../x.json", "/etc/x.json", "C:\\x.json", "a\\..\\..\\x.json"]
)
def test_t8_only_plain_data_files_are_ever_fetched(tiny: FakeHub, path: str) -> None:
    """Breaks when a manifest can make a pull fetch code, or write outside the cache."""
    with pytest.raises(WeightsError, match="is not fetched"):
        plan(tiny.known(files=(WeightFile(path),)))


def test_bundled_weights_are_not_pulled() -> None:
    """Breaks when a mistaken pull looks for the bundled models on the Hub."""
    with pytest.raises(UsageError, match="part of faceedit"):
        plan(WeightSet("mini-2", "bundled"))


def test_what_killed_downloads_left_is_swept_and_running_ones_are_not(tiny: FakeHub, cache: Path) -> None:
    """Breaks when parts pile up for ever, or another process loses the file that it is writing."""
    blobs = cache / "models--owner--tiny/blobs"
    blobs.mkdir(parents=True)
    for name, age in (("old.1.incomplete", 7200), ("new.2.incomplete", 5)):
        (blobs / name).write_bytes(b"part")
        os.utime(blobs / name, (time.time() - age,) * 2)
    fetch(plan(tiny.known()), yes)
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
