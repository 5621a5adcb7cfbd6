"""Odd pictures, words and masks: a right result, or a documented exit code with two lines; nothing half-written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hostile_files import encoded, png
from numpy.typing import NDArray
from PIL import Image
from security_harness import SMOKE, Call, alone, refused

from faceedit.images import load_picture
from faceedit.request import Request
from faceedit.run import edit, locate_mask


def turned(face: NDArray[np.uint8], orientation: int) -> bytes:
    """The upright portrait stored turned, with the EXIF tag that turns it back."""
    back = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    stored = Image.fromarray(face[:, 8:184])  # not square, so that a forgotten turn shows in the size
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(stored if back is None else stored.transpose(Image.Transpose(back)), exif=exif)


class TestOddPictures:
    @pytest.mark.parametrize("orientation", range(2, 9))
    def test_a_turned_photograph_is_edited_where_an_upright_one_is(
        self, face: NDArray[np.uint8], orientation: int
    ) -> None:
        """Breaks when the face is sought, or the mask laid, on the picture as it is stored."""
        upright, found = locate_mask(Request(turned(face, 1), ("red lips",), recipe="smoke/inpaint"))
        other, same = locate_mask(Request(turned(face, orientation), ("red lips",), recipe="smoke/inpaint"))
        assert other.picture.size == (192, 176) == upright.picture.size
        assert np.array_equal(found.values, same.values)

    def test_a_mask_belongs_to_the_upright_picture(self, call: Call, face: NDArray[np.uint8], tmp_path: Path) -> None:
        """Breaks when a mask as an image viewer shows it does not fit, or one of the stored size is taken."""
        (tmp_path / "in.png").write_bytes(turned(face, 6))
        Image.fromarray(np.pad(np.full((40, 40), 255, np.uint8), ((80, 72), (70, 66)))).save(tmp_path / "m.png")
        Image.new("L", (192, 176), 255).save(tmp_path / "stored.png")
        out = tmp_path / "out.png"
        assert call("edit", tmp_path / "in.png", "rosy cheeks", "-m", tmp_path / "m.png", "-o", out, *SMOKE)[0] == 0
        before, after = load_picture(tmp_path / "in.png").rgb, load_picture(out).rgb
        assert after.shape == (192, 176, 3)
        assert np.array_equal(before[:60], after[:60]) and not np.array_equal(before, after)
        words = ("edit", tmp_path / "in.png", "rosy cheeks", "-m", tmp_path / "stored.png", "-o", tmp_path / "x.png")
        refused(call(*words, *SMOKE), 2, "192x176")

    KINDS: tuple[tuple[str, str, str], ...] = (
        ("CMYK", "TIFF", "RGB"),
        ("RGBA", "PNG", "RGBA"),
        ("RGBA", "WEBP", "RGBA"),
        ("L", "PNG", "L"),
        ("LA", "PNG", "LA"),
        ("P", "PNG", "RGB"),
        ("I;16", "PNG", "L"),
        ("animated", "TIFF", "RGB"),
    )

    @pytest.mark.parametrize(("mode", "container", "kept"), KINDS)
    def test_it_comes_back_in_its_own_mode_and_equal_outside_the_mask(
        self, face: NDArray[np.uint8], mode: str, container: str, kept: str
    ) -> None:
        """Breaks when a mode reaches the editor as it is, alpha or grey is lost, or the outside changes."""
        image, options = Image.fromarray(face), {"lossless": True, "exact": True} if container == "WEBP" else {}
        if mode == "animated":
            options |= {"save_all": True, "append_images": [image.rotate(90), image.rotate(180)]}
        elif mode == "I;16":
            image = Image.fromarray(np.asarray(image.convert("L"), dtype=np.uint16) * 257)
        else:
            image = image.convert(mode)
        if mode in ("RGBA", "LA"):
            image.putalpha(Image.fromarray(np.tile(np.arange(192, dtype=np.uint8) + 40, (192, 1))))
        data = encoded(image, container, **options)
        result = edit(Request(data, ("rosy cheeks",), recipe="smoke/inpaint", steps=2))
        assert result.picture.mode == kept and result.rgb.shape == (192, 192, 3)
        outside = result.mask.values == 0
        assert np.array_equal(result.rgb[outside], result.picture.rgb[outside]) and not outside.all()
        assert bool(result.picture.notes) == (mode not in ("RGBA", "L", "LA"))

    @pytest.mark.parametrize("size", [(181, 203), (199, 187)])
    def test_a_size_that_no_model_likes_comes_back(self, face: NDArray[np.uint8], size: tuple[int, int]) -> None:
        """Breaks when the result is rounded to a multiple of eight."""
        data = encoded(Image.fromarray(face).resize(size))
        assert edit(Request(data, ("rosy cheeks",), recipe="smoke/inpaint", steps=1)).rgb.shape == (size[1], size[0], 3)


class TestWords:
    @pytest.mark.parametrize("prompt", ["", " \t\n", "\u200b", "…", "\0", "😀", "--", "no", "\ud83d"])
    def test_words_that_say_nothing_are_refused(self, call: Call, portrait: Path, prompt: str) -> None:
        """Breaks when an empty text runs, or an odd one is a crash."""
        refused(call("edit", portrait, "--", prompt) if prompt == "--" else call("edit", *SMOKE, portrait, prompt), 2)
        assert alone(portrait)

    @pytest.mark.parametrize("prompt", ["rosy cheeks 漢字 😀", "re\u0301d lips", "rosy cheeks \udcff", "RED   LIPS\n"])
    def test_words_of_any_script_are_taken(self, call: Call, portrait: Path, prompt: str) -> None:
        """Breaks when a letter, an accent of its own, or a byte that is no text stops an edit or its record."""
        code, _, err = call("edit", portrait, prompt, *SMOKE, "-o", portrait.with_name("o.png"))
        assert code == 0, err
        assert call("replay", portrait.with_name("o.png"), "--json")[1].count('"identical": true') == 1

    def test_more_words_than_the_encoder_reads_are_refused(self, call: Call, portrait: Path) -> None:
        """Breaks when words are cut off in silence: what is cut is not edited."""
        refused(call("edit", portrait, "rosy cheeks " + "a b c " * 90, *SMOKE, "-q"), 2, "77 tokens")
        assert alone(portrait)

    def test_a_prompt_without_end(self, call: Call, portrait: Path) -> None:
        """Breaks when a megabyte of clauses is taken apart for hours before it is refused."""
        refused(call("edit", portrait, "no " * 300_000 + "lips", *SMOKE), 2, "characters")
        refused(call("edit", portrait, "lips", "--source-prompt", "x" * 2000, *SMOKE), 2, "characters")


class TestMasks:
    @pytest.mark.parametrize(
        ("data", "code", "word"),
        [
            (b"", 1, "mask: "),
            (b"words", 1, "mask: "),
            (encoded(Image.new("L", (192, 192), 255))[:60], 1, "mask: "),
            (png(20_000, 20_000), 1, "too large"),
            (encoded(Image.new("L", (192, 192), 0)), 5, "empty"),
            (encoded(Image.new("L", (64, 64), 255)), 2, "64x64"),
            (encoded(Image.new("L", (192, 96), 255)), 2, "another aspect"),
        ],
    )
    def test_faults_of_a_mask(self, call: Call, portrait: Path, data: bytes, code: int, word: str) -> None:
        """Breaks when a mask that cannot be meant is resized, taken as empty, or read without limits."""
        mask = portrait.parent.parent / "mask.png"
        mask.write_bytes(data)
        refused(call("edit", portrait, "rosy cheeks", "-m", mask, *SMOKE), code, word)
        assert alone(portrait)

    def test_a_mask_drawn_in_alpha_only(self, call: Call, portrait: Path) -> None:
        """Breaks when a black picture with a drawn alpha channel is an empty mask."""
        drawn = Image.new("RGBA", (192, 192), (0, 0, 0, 0))
        drawn.paste((0, 0, 0, 255), (80, 90, 120, 120))
        mask = portrait.parent.parent / "mask.png"
        drawn.save(mask)
        assert call("edit", portrait, "rosy cheeks", "-m", mask, *SMOKE)[0] == 0

    def test_a_full_mask_is_warned_of(self, call: Call, portrait: Path) -> None:
        mask = portrait.parent.parent / "mask.png"
        Image.new("L", (192, 192), 255).save(mask)
        assert "almost nothing is kept" in call("edit", portrait, "rosy cheeks", "-m", mask, *SMOKE)[2]
