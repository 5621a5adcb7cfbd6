"""FLUX.1-dev is for those who accepted its licence: one message says so, before anything is fetched or loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_hub import httpx
from huggingface_hub import set_client_factory
from huggingface_hub.utils import _http

from faceedit.cli import main
from faceedit.errors import WeightsError
from faceedit.models import ledger, manifest, pull
from faceedit.models.manifest import WeightSet
from faceedit.models.places import require_present, weights_folder
from faceedit.recipe_schema import Weights

PAGE = "https://huggingface.co/black-forest-labs/FLUX.1-dev"
LICENCE = "FLUX.1 [dev] Non-Commercial License"
RECIPE = "base: mini/inpaint\nweights: {kind: hub, repository: black-forest-labs/FLUX.1-dev, path: ''}\n"


class Refusing:
    """A Hub that refuses every request, in one of the ways that the real one has."""

    def __init__(self, status: int, code: str) -> None:
        self.status, self.headers, self.asked = status, {"X-Error-Code": code} if code else {}, []
        hooks = {"request": [_http.hf_request_event_hook]}
        transport = httpx.MockTransport(self.answer)
        set_client_factory(lambda: httpx.Client(transport=transport, event_hooks=hooks, follow_redirects=True))

    def answer(self, request: Any) -> Any:
        self.asked.append((request.method, str(request.url)))
        return httpx.Response(self.status, headers=self.headers, request=request)


@pytest.fixture(autouse=True)
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A user who is online, has an empty cache, and is not logged in."""
    monkeypatch.setenv("FACEEDIT_CONFIG", str(tmp_path / "no-config.toml"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr("huggingface_hub.constants.HF_STORED_TOKENS_PATH", str(tmp_path / "tokens"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    monkeypatch.setattr(ledger, "ledger_path", lambda: tmp_path / "data/weights.json")
    yield
    set_client_factory(_http.default_client_factory)


def flux() -> WeightSet:
    known = manifest.weight_set("flux.1-dev")
    assert known is not None
    return known


def test_the_set_says_what_it_is() -> None:
    """Breaks when the licence is not named, not asked for, or files are listed that are never fetched."""
    known = flux()
    assert known.gated and known.licence == LICENCE and known.terms.startswith(PAGE)
    todo = pull.plan(known)
    assert todo.missing == known.files and 33.7e9 < todo.size < 33.8e9
    shards = [file.path for file in known.files if file.path.endswith(".safetensors")]
    assert len(shards) == 7 and all(file.size and file.sha256 for file in known.files if file.path in shards)


def told(words: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines on stderr of a command that must end with the exit code for weights."""
    assert main(words) == 4
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


def test_without_a_login_nothing_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """Breaks when the user finds out only from the Hub, or is not told where and how."""
    hub = Refusing(500, "")
    lines = told(["weights", "pull", "flux.1-dev", "--accept-licence"], capsys)
    assert len(lines) == 2 and "flux.1-dev is gated" in lines[0]
    assert PAGE in lines[1] and "hf auth login" in lines[1] and "HF_TOKEN" in lines[1]
    assert hub.asked == [] and not ledger.ledger_path().exists()


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (401, "GatedRepo", "flux.1-dev is gated"),
        (403, "GatedRepo", "flux.1-dev is gated"),
        (403, "", "does not let this account read black-forest-labs/FLUX.1-dev (403)"),
    ],
)
def test_a_refusal_is_one_line_before_a_byte_comes(
    status: int, code: str, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Breaks when an account without access starts a download, gets a traceback, or is told to try again."""
    monkeypatch.setenv("HF_TOKEN", "hf_aaaaaaaaaaaaaaaa")
    hub = Refusing(status, code)
    lines = told(["weights", "pull", "flux.1-dev", "--accept-licence"], capsys)
    assert len(lines) == 2 and said in lines[0] and PAGE in lines[1] and "hf auth login" in lines[1]
    assert {method for method, _ in hub.asked} == {"HEAD"} and len({url for _, url in hub.asked}) == 1


def test_the_licence_is_asked_before_the_hub(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Breaks when a script without --accept-licence reaches the Hub."""
    monkeypatch.setenv("HF_TOKEN", "hf_aaaaaaaaaaaaaaaa")
    hub = Refusing(500, "")
    lines = told(["weights", "pull", "flux.1-dev"], capsys)
    assert f"under {LICENCE}, which was not accepted" in lines[0] and "--accept-licence" in lines[1]
    assert hub.asked == []


def test_an_edit_without_the_weights_loads_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Breaks when gigabytes or the picture are read before the user is told to accept the licence and pull."""
    hub = Refusing(500, "")
    monkeypatch.setattr("faceedit.run.prepare", lambda *_: pytest.fail("the picture was read"))
    monkeypatch.setattr("faceedit.models.loader.load_components", lambda *_: pytest.fail("models were loaded"))
    (tmp_path / "flux.yaml").write_text(RECIPE)
    words = ["edit", str(tmp_path / "face.png"), "red lips", "-r", str(tmp_path / "flux.yaml")]
    lines = told([*words, "-o", str(tmp_path / "out.png")], capsys)
    assert len(lines) == 2 and "black-forest-labs/FLUX.1-dev is not on this machine, and gated" in lines[0]
    for part in (LICENCE, PAGE, "hf auth login", "faceedit weights pull flux.1-dev"):
        assert part in lines[1]
    assert hub.asked == [] and not (tmp_path / "out.png").exists()


def test_a_download_that_stopped_halfway_is_missing_weights() -> None:
    """Breaks when a snapshot without its third shard is found only while loading."""
    known = flux()
    import huggingface_hub.constants as constants

    folder = Path(constants.HF_HUB_CACHE) / f"models--black-forest-labs--FLUX.1-dev/snapshots/{known.revision}"
    (folder / "transformer").mkdir(parents=True)
    (folder / "model_index.json").write_text('{"transformer": ["diffusers", "FluxTransformer2DModel"]}')
    shards = [f"diffusion_pytorch_model-0000{k}-of-00003.safetensors" for k in (1, 2, 3)]
    index = '{"weight_map": {' + ", ".join(f'"w{k}": "{name}"' for k, name in enumerate(shards)) + "}}"
    (folder / "transformer/diffusion_pytorch_model.safetensors.index.json").write_text(index)
    for name in shards[:2]:
        (folder / "transformer" / name).write_bytes(b"")
    weights = Weights(kind="hub", repository=known.repository)
    with pytest.raises(WeightsError, match=r"00003-of-00003\.safetensors is missing"):
        require_present(weights)
    with pytest.raises(WeightsError, match="00003-of-00003"):
        weights_folder(weights)
