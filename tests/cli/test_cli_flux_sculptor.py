"""`edit` with Flux-Sculptor from the command line: several wishes at once, maps, replay, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_harness import Call
from PIL import Image

from faceedit.provenance import read_record

FLUX = ("-r", "smoke/flux-sculptor", "-q")


def test_several_wishes_are_one_edit_that_can_be_replayed(call: Call, portrait: Path, tmp_path: Path) -> None:
    """Breaks when prompts are edited one by one, an edit depends on more than its record says, or shows no maps."""
    output, maps = tmp_path / "out.png", tmp_path / "maps"
    words = ("rosy cheeks", "red lips", *FLUX, "-o", output, "--save-maps", maps, "--json")
    said = call("edit", portrait, *words)
    assert said.code == 0, said.err
    (document,) = said.documents
    assert document["outside_max_abs_diff"] == 0 and 0 < document["mask_share"] < 1
    record = read_record(output.read_bytes())
    assert record is not None and "cheeks" in record.data["target"] and "lips" in record.data["target"]
    names = [path.name for path in maps.rglob("*.png")]
    assert any("mask" in name for name in names) and any("change" in name for name in names)
    assert call("replay", output, "--image", portrait, "-o", tmp_path / "again.png", "-q").code == 0


def test_the_users_mask_and_strength(call: Call, portrait: Path, tmp_path: Path) -> None:
    """Breaks when the mask that was given is not the one that is edited."""
    values = np.zeros((256, 256), np.uint8)
    values[96:160, 96:160] = 255
    Image.fromarray(values).save(tmp_path / "mask.png")
    output = tmp_path / "out.png"
    said = call(
        "edit", portrait, "a beard", *FLUX, "-m", tmp_path / "mask.png", "--strength", 0.5, "--feather", 0, "-o", output
    )
    assert said.code == 0, said.err
    changed = (np.asarray(Image.open(output)) != np.asarray(Image.open(portrait))).any(-1)
    assert changed[values > 0].mean() > 0.5 and not changed[values == 0].any()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["structure_steps=5"], ("5 structure steps", "4 sampling steps")),
        (["value_blocks=6"], ("6 blocks", "has 5")),
        (["size=60"], ("multiple of 8", "60")),
        (["text_tokens=8"], ("reads 8 tokens",)),
        (["text_tokens=600"], ("text_tokens", "out of range")),
        (["solver=heun"], ("heun", "no choice")),
    ],
)
def test_what_does_not_fit_is_refused(
    call: Call, portrait: Path, tmp_path: Path, settings: list[str], words: tuple[str, ...]
) -> None:
    """Breaks when a setting that cannot be met is bent, answered with a traceback, or leaves a file behind."""
    sets = [word for setting in settings for word in ("--set", setting)]
    said = call("edit", portrait, "rosy cheeks", *FLUX, *sets, "-o", tmp_path / "out.png")
    lines = said.err.splitlines()
    assert said.code == 2 and said.raw == b"" and len(lines) == 2, said.err
    assert lines[0].startswith("error: ") and lines[1].startswith("hint: ")
    assert all(word in lines[0] for word in words), lines[0]
    assert not (tmp_path / "out.png").exists()


def test_a_bank_that_was_asked_for_and_does_not_fit(
    call: Call, portrait: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Breaks when the memory is filled first and the error comes from the allocator."""
    from faceedit.editors.flux_sculptor import backbone

    monkeypatch.setattr(backbone, "free_device_bytes", lambda _device: 1 << 20)
    said = call("edit", portrait, "rosy cheeks", *FLUX, "--set", "bank=store", "-o", tmp_path / "out.png")
    assert said.code == 2 and "the value bank needs" in said.err.splitlines()[0], said.err
    assert "bank=auto" in said.err.splitlines()[1] and not (tmp_path / "out.png").exists()
    said = call("edit", portrait, "rosy cheeks", *FLUX, "--set", "bank=auto", "-o", tmp_path / "out.png")
    assert said.code == 0, said.err


@pytest.mark.parametrize(("size", "code", "word"), [((8, 8), 1, "too small"), ((4000, 20), 5, "face")])
def test_pictures_that_hold_no_face_to_speak_of(
    call: Call, tmp_path: Path, size: tuple[int, int], code: int, word: str
) -> None:
    """Breaks when a picture below the smallest side, or a mere strip, reaches the models."""
    Image.fromarray(np.full((*size[::-1], 3), 128, np.uint8)).save(tmp_path / "odd.png")
    said = call("edit", tmp_path / "odd.png", "rosy cheeks", *FLUX, "-o", tmp_path / "out.png")
    assert said.code == code and word in said.err.splitlines()[0], said.err


def test_a_small_picture_is_enlarged_to_the_grid(call: Call, portrait: Path, tmp_path: Path) -> None:
    """Breaks when a picture of fewer pixels than the models see is refused, or comes back at another size."""
    Image.open(portrait).resize((96, 96)).save(tmp_path / "small.png")
    output = tmp_path / "out.png"
    said = call("edit", tmp_path / "small.png", "rosy cheeks", *FLUX, "--set", "size=128", "-o", output)
    assert said.code == 0, said.err
    assert Image.open(output).size == (96, 96)
