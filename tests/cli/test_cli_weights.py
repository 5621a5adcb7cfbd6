"""`faceedit weights pull` and `rm` from the command line: questions, answers and exit codes; nothing is fetched."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_harness import Call

from faceedit.models import ledger

COMMIT = "451f4fe16113bff5a5d2269ed5ad43b0592e9a14"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache and an empty ledger."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(ledger, "ledger_path", lambda: tmp_path / "data/weights.json")
    return tmp_path / "hub"


def test_a_dry_run_says_what_would_come(call: Call) -> None:
    """Breaks when the plan hides the licence, the size or the commit, or needs a network."""
    (document,) = call("weights", "pull", "--recipe", "inpaint", "--dry-run", "--json").documents
    assert (document["id"], document["revision"], document["gated"]) == ("sd-1.5", COMMIT, False)
    assert document["licence"] == "CreativeML Open RAIL-M" and document["terms"].startswith("https://")
    assert document["bytes"] > 5_000_000_000
    assert not [row["path"] for row in document["fetch"] if not row["path"].endswith((".json", ".txt", ".safetensors"))]
    assert "safety_checker/model.safetensors" in call("weights", "pull", "sd-1.5", "-n").out


def test_offline_is_one_line_and_exit_4(call: Call) -> None:
    """Breaks when offline mode asks for a licence first, or tries the network."""
    outcome = call("weights", "pull", "sd-1.5", "--accept-licence")
    assert outcome.code == 4 and "HF_HUB_OFFLINE" in outcome.err and outcome.out == ""
    assert not ledger.ledger_path().exists()


def test_a_script_that_accepts_nothing_gets_nothing(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks when a licence counts as accepted because nobody was there to be asked."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    outcome = call("weights", "pull", "sd-1.5")
    assert outcome.code == 4 and "--accept-licence" in outcome.err
    assert not ledger.ledger_path().exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["pull"], "nothing to pull"),
        (["pull", "nosuch"], "unknown weights"),
        (["pull", "mini-2"], "part of faceedit"),
        (["pull", "sd-1.5", "--revision", "main"], "can move"),
        (["pull", "sd-1.5", "sd-1.4", "--revision", COMMIT], "one set"),
        (["pull", "--recipe", "mini/inpaint"], "bundled weights"),
        (["rm", "mini-2", "--yes"], "part of faceedit"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(call: Call, words: list[str], told: str) -> None:
    """Breaks when a mistake starts a download or a removal."""
    outcome = call("weights", *words)
    assert outcome.code == 2 and told in outcome.err


def test_removal_asks_first(call: Call, cache: Path) -> None:
    """Breaks when files go without a yes, or stay in spite of one."""
    path = cache / f"models--stable-diffusion-v1-5--stable-diffusion-v1-5/snapshots/{COMMIT}/model_index.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert call("weights", "rm", "sd-1.5").code == 2 and path.exists()
    assert "would remove 1 files" in call("weights", "rm", "sd-1.5", "--dry-run").out and path.exists()
    (document,) = call("weights", "rm", "sd-1.5", "--yes", "--json").documents
    assert (document["bytes"], document["removed"]) == (2, True) and not path.exists()
    assert call("weights", "rm", "sd-1.5", "--yes").code == 4
