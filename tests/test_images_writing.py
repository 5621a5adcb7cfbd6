"""Pictures out: what must survive the round trip, and files that are whole or not there."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_pictures import FORMATS, LOSSLESS, encoded, pixels, wide_gamut

from faceedit.errors import NumericError, OutputError, UsageError
from faceedit.images import check_frame, encode_picture, encode_plain, format_of, load_picture, write_atomic


@pytest.mark.parametrize("container", LOSSLESS)
def test_lossless_containers_give_every_pixel_back(container: str) -> None:
    """Breaks when a writer compresses with loss, converts colours or swaps channels."""
    rgb = pixels()
    picture = load_picture(encoded(Image.fromarray(rgb), container))
    assert picture.format == container
    assert np.array_equal(picture.rgb, rgb)
    assert np.array_equal(load_picture(encode_picture(rgb, picture)).rgb, rgb)


def test_jpeg_keeps_its_container_and_stays_close() -> None:
    """Breaks when JPEG is written with subsampled colour or at low quality."""
    picture = load_picture(encoded(Image.fromarray(pixels()), "JPEG", quality=95))
    data = encode_picture(picture.rgb, picture)
    again = load_picture(data)
    assert again.format == "JPEG"
    assert np.abs(again.rgb.astype(int) - picture.rgb).mean() < 1.5
    assert Image.open(io.BytesIO(data)).layer[1][1:3] == (1, 1)


@pytest.mark.parametrize("container", LOSSLESS)
def test_alpha_is_carried_and_hides_nothing(container: str) -> None:
    """Breaks when alpha is dropped, or when colours under full transparency are lost or changed."""
    rgba = np.dstack([pixels(), np.tile(np.arange(56, dtype=np.uint8) * 4, (40, 1))])
    picture = load_picture(
        encoded(Image.fromarray(rgba), container, **({"exact": True} if container == "WEBP" else {}))
    )
    assert picture.mode == "RGBA"
    again = load_picture(encode_picture(picture.rgb, picture))
    assert again.alpha is not None
    assert np.array_equal(again.alpha, rgba[:, :, 3])
    assert np.array_equal(again.rgb, rgba[:, :, :3])


def test_alpha_does_not_fit_into_jpeg() -> None:
    """Breaks when transparency is flattened without a word."""
    picture = load_picture(encoded(Image.fromarray(pixels()).convert("RGBA")))
    with pytest.raises(OutputError, match="alpha"):
        encode_picture(picture.rgb, picture, "JPEG")


def test_grey_stays_grey_unless_the_edit_brings_colour() -> None:
    """Breaks when a grey picture comes back as RGB for a trace of tint, or when colour is thrown away."""
    grey = pixels()[:, :, 1]
    picture = load_picture(encoded(Image.fromarray(grey)))
    assert picture.mode == "L"
    tinted = picture.rgb.copy()
    tinted[5, 5] = (40, 46, 43)
    assert Image.open(io.BytesIO(encode_picture(tinted, picture))).mode == "L"
    red = picture.rgb.copy()
    red[5, 5] = (200, 20, 30)
    assert load_picture(encode_picture(red, picture)).rgb[5, 5].tolist() == [200, 20, 30]


@pytest.mark.parametrize("container", FORMATS)
def test_equal_input_gives_equal_bytes(container: str) -> None:
    """Breaks when a writer puts a time or a random value into the file."""
    picture = load_picture(encoded(Image.fromarray(pixels()), icc_profile=wide_gamut()))
    first, second = (encode_picture(picture.rgb, picture, container, xmp=b"<x/>", record="{}") for _ in range(2))
    assert first == second


def test_a_black_or_non_finite_frame_is_never_encoded() -> None:
    """Breaks when NaN is cast to black and saved as a result."""
    picture = load_picture(encoded(Image.fromarray(pixels())))
    with pytest.raises(NumericError, match="black"):
        encode_picture(np.zeros_like(picture.rgb), picture)
    for bad in (np.nan, np.inf, -np.inf):
        frame = np.full((4, 4, 3), 0.5, np.float32)
        frame[1, 1, 1] = bad
        with pytest.raises(NumericError, match="finite"):
            check_frame(frame)
    with pytest.raises(NumericError, match="black"):
        check_frame(np.zeros((4, 4, 3), np.float32))
    check_frame(np.full((4, 4, 3), 0.2, np.float32))


def test_format_of_reads_the_suffix() -> None:
    """Breaks when an unknown suffix falls back to some format silently."""
    assert format_of(Path("a.JPG")) == "JPEG"
    with pytest.raises(UsageError, match="suffix"):
        format_of(Path("a.gif"))


def test_plain_arrays_are_encoded_exactly() -> None:
    """Breaks when a saved mask or sheet is not what was drawn."""
    grey = pixels()[:, :, 0]
    for container in LOSSLESS:
        assert np.array_equal(load_picture(encode_plain(grey, container)).rgb[:, :, 0], grey)


class TestWriteAtomic:
    """Whole or not at all; never over another file without `force`."""

    def test_writes_and_leaves_nothing_else(self, tmp_path: Path) -> None:
        write_atomic(tmp_path / "a.png", b"data")
        assert (tmp_path / "a.png").read_bytes() == b"data"
        assert [path.name for path in tmp_path.iterdir()] == ["a.png"]

    def test_refuses_to_overwrite(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_bytes(b"old")
        with pytest.raises(OutputError, match="exists"):
            write_atomic(tmp_path / "a.png", b"new")
        assert (tmp_path / "a.png").read_bytes() == b"old"
        write_atomic(tmp_path / "a.png", b"new", force=True)
        assert (tmp_path / "a.png").read_bytes() == b"new"
        assert len(list(tmp_path.iterdir())) == 1

    @pytest.mark.parametrize("links", [True, False])
    def test_a_file_that_appears_meanwhile_survives(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
    ) -> None:
        """Breaks when the check and the rename leave a gap, with hard links and without."""
        target = tmp_path / "a.png"
        monkeypatch.setattr(os.path, "lexists", lambda _: False)
        if not links:
            monkeypatch.setattr(os, "link", self._no_links)
        target.write_bytes(b"rival")
        with pytest.raises(OutputError, match="exists"):
            write_atomic(target, b"new")
        assert target.read_bytes() == b"rival"
        assert len(list(tmp_path.iterdir())) == 1

    def test_works_without_hard_links(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Breaks on file systems such as FAT or SMB."""
        monkeypatch.setattr(os, "link", self._no_links)
        write_atomic(tmp_path / "a.png", b"data")
        assert (tmp_path / "a.png").read_bytes() == b"data"
        assert len(list(tmp_path.iterdir())) == 1

    def test_missing_folder_and_folder_as_target(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="does not exist"):
            write_atomic(tmp_path / "none" / "a.png", b"data")
        (tmp_path / "folder").mkdir()
        with pytest.raises(OutputError, match="is a folder"):
            write_atomic(tmp_path / "folder", b"data", force=True)
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(OutputError):
            write_atomic(tmp_path / "file" / "a.png", b"data")

    def test_a_full_disk_keeps_the_old_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Breaks when the old file is truncated before the new one is safe, or the temporary file stays behind."""
        (tmp_path / "a.png").write_bytes(b"old")

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OutputError, match="No space left"):
            write_atomic(tmp_path / "a.png", b"new", force=True)
        assert (tmp_path / "a.png").read_bytes() == b"old"
        assert len(list(tmp_path.iterdir())) == 1

    @staticmethod
    def _no_links(*_: object) -> None:
        raise OSError(95, "Operation not supported")
