"""Fetching weights: only from named hosts, of the pinned commit, with their hashes, under an accepted licence."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from fake_hub import CDN, COMMIT, OTHER, REPOSITORY, UNET, FakeHub, httpx, snapshot, yes

from faceedit.errors import UsageError, WeightsError
from faceedit.models import ledger, manifest, verified
from faceedit.models.manifest import PRESENT, WeightFile
from faceedit.models.places import hub_folder
from faceedit.models.pull import fetch, plan


@pytest.mark.parametrize("place", ["https://evil.example/x", "http://cdn-lfs.hf.co/x", "https://hf.co.evil.example/x"])
@pytest.mark.parametrize("late", [False, True])
def test_t18_a_redirect_elsewhere_is_refused(remote: FakeHub, place: str, late: bool) -> None:
    """Breaks when a redirect leads to a host that nobody named, or off https, at the first answer or at a later one."""
    good = f"{CDN}/{hashlib.sha256(remote.files[UNET]).hexdigest()}"
    if late:
        content = remote.content
        remote.content = lambda request, path: (
            _redirected(place, request) if str(request.url) == good else content(request, path)
        )
    else:
        remote.redirect[UNET] = place
    with pytest.raises(WeightsError, match="is not the Hub's"):
        fetch(plan(remote.known()), yes)
    assert place not in remote.asked()


def _redirected(place: str, request: object) -> object:
    return httpx.Response(302, headers={"Location": place}, request=request)


def test_the_fence_is_taken_down_again(remote: FakeHub) -> None:
    """Breaks when a pull changes how the rest of a program reaches the Hub."""
    from huggingface_hub import constants, get_session

    before = (
        constants.HF_HUB_DISABLE_XET,
        constants.HF_HUB_DISABLE_TELEMETRY,
        len(get_session().event_hooks["request"]),
    )
    fetch(plan(remote.known()), yes)
    after = (
        constants.HF_HUB_DISABLE_XET,
        constants.HF_HUB_DISABLE_TELEMETRY,
        len(get_session().event_hooks["request"]),
    )
    assert before == after


@pytest.mark.parametrize("path", [UNET, "model_index.json"])
def test_t5_wrong_bytes_of_the_right_size_are_removed(remote: FakeHub, cache: Path, path: str) -> None:
    """Breaks when corruption on the way is kept: by the manifest's hash, or by the one that the Hub itself gave."""
    remote.served[path] = bytes(len(remote.files[path]))
    with pytest.raises(WeightsError, match=f"{path} does not have its hash .* and was removed"):
        fetch(plan(remote.known()), yes)
    assert not (snapshot(cache) / path).exists() and len(list((cache / "models--owner--tiny/blobs").iterdir())) < 2
    remote.served.clear()
    assert manifest.check_folder(remote.known(), fetch(plan(remote.known()), yes)).state == PRESENT


def test_t5_what_is_here_is_checked_too(remote: FakeHub) -> None:
    """Breaks when a pull calls damaged files whole because they have their names."""
    folder = fetch(plan(remote.known()), yes)
    (folder / UNET).resolve().write_bytes(bytes(200))
    with pytest.raises(WeightsError, match="was removed"):
        fetch(plan(remote.known()), yes)
    assert (fetch(plan(remote.known()), yes) / UNET).read_bytes() == remote.files[UNET]


def test_first_hashes_are_written_down_and_hold_from_then_on(remote: FakeHub) -> None:
    """Breaks when a file whose hash nobody published can change after its first download without being noticed."""
    known = remote.known()
    folder = fetch(plan(known), yes)
    digest = hashlib.sha256(remote.files["model_index.json"]).hexdigest()
    assert ledger.first_hash(REPOSITORY, COMMIT, "model_index.json") == digest
    assert ledger.first_hash(REPOSITORY, COMMIT, UNET) == "", "the manifest knows this one"
    other = b'{"unet": ["diffusers", "UNet2DConditionMODEL"]}'
    (folder / "model_index.json").unlink()
    (folder / "model_index.json").write_bytes(other)  # no link any more: its name tells no hash
    assert "model_index.json does not have its hash" in str(manifest.check_folder(known, folder).problems)
    with pytest.raises(WeightsError, match="does not have its hash"):
        verified.require_verified(known, folder, (folder / "model_index.json",))


def test_gated_weights_are_one_message_before_anything(remote: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks when a user without an account finds out file by file, or is not told where and how."""
    known = remote.known(gated=True)
    remote.gated = True
    for token in (None, "hf_aaaaaaaaaaaaaaaa"):
        if token:
            monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(WeightsError, match="tiny is gated") as caught:
            fetch(plan(known), yes)
        assert "https://huggingface.co/owner/tiny" in caught.value.hint and "hf auth login" in caught.value.hint
        assert len(remote.log) == (1 if token else 0) and remote.asked("GET") == []
    remote.gated = False
    assert fetch(plan(known), yes).is_dir()


def test_t16_the_token_goes_to_the_hub_alone(remote: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks when the storage behind the Hub, a file or a message is told the user's token."""
    token = "hf_" + "a" * 20
    monkeypatch.setenv("HF_TOKEN", token)
    fetch(plan(remote.known()), yes)
    told = {request.url.host for request in remote.log if token in request.headers.get("authorization", "")}
    assert told == {"huggingface.co"}
    remote.status[UNET] = 500
    with pytest.raises(WeightsError) as caught:
        fetch(plan(remote.known(revision=OTHER)), yes)
    assert token not in f"{caught.value}{caught.value.hint}"
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and token.encode() in path.read_bytes()]


def test_a_licence_is_accepted_once_and_before_anything(remote: FakeHub) -> None:
    """Breaks when conditions are passed over, asked for again, or accepted on the user's behalf."""
    known = remote.known(licence="Open RAIL-M", terms="https://licence.example/text")
    with pytest.raises(WeightsError, match="Open RAIL-M, which was not accepted") as caught:
        fetch(plan(known), lambda _: False)
    assert "https://licence.example/text" in caught.value.hint and not remote.log
    fetch(plan(known), yes)
    entry = json.loads(ledger.ledger_path().read_text())["licences"]["tiny"]
    assert (entry["licence"], entry["terms"]) == ("Open RAIL-M", "https://licence.example/text")
    fetch(plan(known, revision=COMMIT), lambda _: False)
    assert not ledger.is_accepted("Open RAIL++", "tiny"), "another licence is another question"


@pytest.mark.parametrize("revision", ["main", "v1", COMMIT[:12], COMMIT.upper()])
def test_t6_a_revision_that_can_move_is_refused_unless_asked_for(remote: FakeHub, revision: str) -> None:
    """Breaks when weights can change under a name."""
    with pytest.raises(UsageError, match="can move"):
        plan(remote.known(), revision=revision)
    with pytest.raises(UsageError, match="can move"):
        plan(remote.known(revision=""))


def test_t6_a_moving_name_is_pinned_to_its_commit_of_today(remote: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks when files of two commits are mixed because a branch moved during the download."""
    remote.commit = OTHER
    folder = fetch(plan(remote.known(), revision="main", moving=True), yes)
    assert folder.name == OTHER
    assert hub_folder(REPOSITORY, OTHER) == folder
    unpinned = replace(remote.known(), revision="")
    monkeypatch.setattr(manifest, "weight_sets", lambda: (unpinned,))
    assert hub_folder(REPOSITORY) == folder, "what was taken under a name is found under it"
    assert [url.split("/")[6] for url in remote.asked("HEAD")[:2]] == ["main", OTHER]


def test_t6_another_commit_than_the_one_asked_for_is_refused(remote: FakeHub) -> None:
    """Breaks when a mirror can answer with whatever revision it likes."""
    answer = remote.answer

    def lying(request: object) -> object:
        response = answer(request)
        if "X-Repo-Commit" in response.headers:
            response.headers["X-Repo-Commit"] = OTHER
        return response

    remote.answer = lying
    remote.install()
    with pytest.raises(WeightsError, match="answers with commit 'ffffffffffff'"):
        fetch(plan(remote.known()), yes)


@pytest.mark.parametrize(
    "path", ["unet/model.bin", "pipeline.py", "x.ckpt", "../x.json", "/etc/x.json", "C:\\x.json", "a\\..\\..\\x.json"]
)
def test_t8_only_plain_data_files_are_ever_fetched(remote: FakeHub, path: str) -> None:
    """Breaks when a manifest can make a pull fetch code, or write outside the cache."""
    with pytest.raises(WeightsError, match="is not fetched"):
        plan(remote.known(files=(WeightFile(path),)))
