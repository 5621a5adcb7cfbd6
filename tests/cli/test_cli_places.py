"""`mask`, `faces` and `compare`: where an edit acts, and what it changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_harness import Call
from PIL import Image


@pytest.mark.parametrize("words", [("rosy cheeks",), ("--region", "cheeks")])
def test_mask_and_overlay(call: Call, portrait: Path, words: tuple[str, ...]) -> None:
    """A region needs no prompt, also where the recipe's models know few words."""
    outcome = call("mask", portrait, *words, "--json")
    assert outcome.code == 0, outcome.err
    (document,) = outcome.documents
    assert document["schema"] == "faceedit.mask/1"
    with Image.open(document["output"]) as mask, Image.open(document["overlay"]) as overlay:
        assert (mask.mode, mask.size) == ("L", (256, 256))
        assert (overlay.mode, overlay.size) == ("RGB", (256, 256))
        assert np.asarray(mask).mean() / 255 == pytest.approx(document["mask_share"], abs=1e-3)


def test_mask_to_stdout_is_the_file(call: Call, portrait: Path) -> None:
    piped = call("mask", portrait, "red lips", "-o", "-")
    filed = call("mask", portrait, "red lips")
    assert piped.raw == Path(filed.out.rstrip("\n")).read_bytes()


def test_dilating_grows_the_mask(call: Call, portrait: Path) -> None:
    share = [
        call("mask", portrait, "red lips", "--dilate", dilate, "-o", f"{portrait}.{index}.png", "--json").documents[0]
        for index, dilate in enumerate((0, 0.05))
    ]
    assert share[1]["mask_share"] > 1.3 * share[0]["mask_share"]


def test_mask_warns_as_an_edit_would(call: Call, portrait: Path) -> None:
    """Breaks when `mask` keeps to itself what is odd about a mask."""
    whole = portrait.with_name("whole.png")
    Image.new("L", (256, 256), 255).save(whole)
    outcome = call("mask", portrait, "-m", whole, "--json")
    assert any("almost nothing is kept" in warning for warning in outcome.documents[0]["warnings"])
    assert "almost nothing is kept" in outcome.err


def test_mask_needs_a_place(call: Call, portrait: Path) -> None:
    outcome = call("mask", portrait)
    assert outcome.code == 2
    assert "--region" in outcome.err


def test_faces_are_listed_and_drawn(call: Call, portrait: Path) -> None:
    drawn = portrait.with_name("drawn.png")
    (document,) = call("faces", portrait, "--json", "-o", drawn).documents
    assert document["schema"] == "faceedit.faces/1"
    (face,) = document["faces"]
    x0, y0, x1, y1 = face["box"]
    assert (face["index"], face["quarter_turns"]) == (0, 0)
    assert 60 < (x0 + x1) / 2 < 190 and 40 < (y0 + y1) / 2 < 190
    with Image.open(portrait) as before, Image.open(drawn) as after:
        assert not np.array_equal(np.asarray(before), np.asarray(after))
    assert len(call("faces", portrait).out.splitlines()) == 2


def test_compare_scores(call: Call, portrait: Path) -> None:
    """One pixel of 65,536, off by 20 in one of three channels: MSE = 400 / 3 / 65536, so PSNR = 75.04 dB."""
    other = portrait.with_name("other.png")
    with Image.open(portrait) as image:
        changed = np.array(image)
    changed[10, 10, 0] = changed[10, 10, 0] + 20 if changed[10, 10, 0] < 200 else changed[10, 10, 0] - 20
    Image.fromarray(changed).save(other)
    sheet, difference = portrait.with_name("sheet.png"), portrait.with_name("difference.png")
    outcome = call("compare", portrait, other, portrait, "--json", "-o", sheet, "--difference", difference)
    assert outcome.code == 0, outcome.err
    one, same = outcome.documents
    assert one["psnr_db"] == pytest.approx(75.04, abs=0.01)
    assert one["max_abs_diff"] == 20
    assert one["changed"] == pytest.approx(1 / 256**2, abs=1e-6)
    assert (same["psnr_db"], same["ssim"], same["max_abs_diff"]) == (None, 1.0, 0)
    with Image.open(portrait.with_name("difference.1.png")) as image:
        assert np.count_nonzero(np.asarray(image).any(axis=2)) == 1
    assert sheet.exists() and portrait.with_name("difference.2.png").exists()


def test_compare_prints_a_table(call: Call, portrait: Path) -> None:
    header, row = call("compare", portrait, portrait).out.splitlines()
    assert header.split() == ["picture", "psnr", "dB", "ssim", "max", "diff", "changed"]
    assert row.split()[1:] == ["identical", "1", "0", "0.0"]


def test_compare_refuses(call: Call, portrait: Path) -> None:
    small = portrait.with_name("small.png")
    Image.new("RGB", (64, 64)).save(small)
    assert call("compare", portrait).code == 2
    assert call("compare", portrait, small).code == 2
