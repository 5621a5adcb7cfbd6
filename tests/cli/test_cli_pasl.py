"""`--locator pasl` on the bundled weights: mask, overlay and heat map, and what the record keeps of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from cli_harness import Call
from PIL import Image

from faceedit.models.manifest import weight_set
from faceedit.portraits.render import render

PASL = ("--locator", "pasl")


def drawn(path: Path) -> np.ndarray:
    with Image.open(path) as opened:
        return np.asarray(opened)


def test_mask_draws_the_answer(call: Call, tmp_path: Path) -> None:
    """Breaks when the bundled locator misses the cheeks of a portrait, or a file is left out."""
    portrait = render(1_000_000_007, 256)
    Image.fromarray(portrait.image).save(tmp_path / "portrait.png")
    outcome = call("mask", tmp_path / "portrait.png", "rosy cheeks", *PASL, "--json")
    assert outcome.code == 0, outcome.err
    (document,) = outcome.documents
    assert document["mask_origin"] == "pasl: cheeks" and not document["warnings"]
    mask, overlay, heat = (drawn(Path(document[name])) for name in ("output", "overlay", "heat"))
    assert mask.shape == (256, 256) and overlay.shape == heat.shape == (256, 256, 3)
    answer, truth = mask >= 128, portrait.regions["cheeks"] >= 0.5
    assert (answer & truth).sum() / (answer | truth).sum() > 0.5
    assert heat[truth].mean() > 2 * heat[~truth].mean()
    again = call("mask", tmp_path / "portrait.png", "rosy cheeks", *PASL)
    assert again.code == 7 or "exists already" in again.err


def test_a_locator_that_cannot_tell_has_no_heat_map(call: Call, portrait: Path) -> None:
    """Breaks when --heat is silently ignored, or a half of the files is written."""
    wanted = portrait.with_name("heat.png")
    outcome = call("mask", portrait, "rosy cheeks", "--locator", "template", "--heat", wanted)
    assert outcome.code == 2 and "--locator pasl" in outcome.err
    assert [path for path in portrait.parent.iterdir() if path != portrait] == []


def test_weights_that_are_not_there_are_one_line(call: Call, portrait: Path, tmp_path: Path) -> None:
    for named in ("bundled:pasl-huge", str(tmp_path / "nowhere"), ""):
        outcome = call("mask", portrait, "rosy cheeks", *PASL, "--set", f"locator.weights={json.dumps(named)}")
        assert outcome.code in (2, 4), outcome.err
        assert "Traceback" not in outcome.err and not outcome.documents


def test_the_record_names_the_locators_weights(call: Call, portrait: Path) -> None:
    """Breaks when two versions of the locator give records that cannot be told apart."""
    outcome = call("edit", portrait, "rosy cheeks", "-r", "smoke/inpaint", *PASL, "--json")
    assert outcome.code == 0, outcome.err
    record = json.loads(call("info", outcome.documents[0]["output"], "--json").raw)["record"]
    known = weight_set("pasl-mini-1")
    assert known is not None
    assert record["weights"]["pasl/model.safetensors"] == {f.path: f.sha256 for f in known.files}["model.safetensors"]
    assert record["recipe"]["locator"]["name"] == "pasl" and record["mask"]["origin"].startswith("pasl: ")
