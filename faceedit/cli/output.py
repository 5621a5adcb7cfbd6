"""Results as files: encoded whole before the first byte is written, so that a failure leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from faceedit.cli.console import Console
from faceedit.cli.files import numbered

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from faceedit.c2pa import Finish
    from faceedit.request import Result
    from faceedit.step_maps import Seen


@dataclass(frozen=True)
class Targets:
    """The files of one result; `picture` is `None` for stdout, the others where they were not asked for."""

    picture: Path | None
    mask: Path | None = None
    compare: Path | None = None
    maps: Path | None = None

    @property
    def paths(self) -> tuple[Path | None, ...]:
        """All that are single files; `maps` is a folder."""
        return self.picture, self.mask, self.compare

    def for_seed(self, seed: int) -> Targets:
        """The files of the variant with this seed."""
        return Targets(*(path and numbered(path, seed) for path in (*self.paths, self.maps)))


def write_result(
    console: Console,
    result: Result,
    targets: Targets,
    force: bool,
    metadata: bool,
    seen: Seen | None = None,
    finish: Finish | None = None,
) -> None:
    """Writes the picture, and mask, comparison and maps where they were asked for.

    Args:
        seen: maps by step, where `targets` names a folder for them.
        finish: the last step over the picture's bytes (`faceedit.c2pa.signing`).

    Raises:
        OutputError: a file cannot be written, or its format cannot hold the result.
    """
    from faceedit.compare import input_mask_result
    from faceedit.images import format_of
    from faceedit.provenance import encode_result
    from faceedit.step_maps import OWN_NAME, map_pictures

    container = "PNG" if targets.picture is None else format_of(targets.picture)
    data = encode_result(result, container, metadata=metadata)
    files = [(targets.picture, data if finish is None else finish(data, result.picture))]
    if targets.mask is not None:
        files.append((targets.mask, grey_bytes(result.mask.values, targets.mask)))
    if targets.compare is not None:
        pixels = input_mask_result(result.picture.rgb, result.mask.values, result.rgb)
        files.append((targets.compare, edited_bytes(pixels, targets.compare)))
    if targets.maps is None or not seen:
        write_files(console, files, force)
        return
    pictures = map_pictures(seen)
    files += [(targets.maps / name, pixel_bytes(pixels, None)) for name, pixels in pictures.items()]
    with new_folder(targets.maps):
        write_files(console, files, force)
        for path in targets.maps.iterdir():
            if OWN_NAME.fullmatch(path.name) and path.name not in pictures:
                path.unlink()


@contextmanager
def new_folder(path: Path) -> Iterator[None]:
    """Makes a folder, and takes it away again where the block fails before anything lies in it.

    Raises:
        OutputError: it cannot be made.
    """
    from faceedit.errors import OutputError

    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {path}: {error.strerror}", "check the permissions there") from None
    try:
        yield
    except BaseException:
        with suppress(OSError):
            path.rmdir()
        raise


def write_files(console: Console, files: Sequence[tuple[Path | None, bytes]], force: bool) -> None:
    """Writes encoded files, and last what goes to stdout, which the path `None` stands for.

    Raises:
        OutputError: a file cannot be written; those written before it are taken away, unless `force` may have
            replaced something by them.
    """
    from faceedit.errors import OutputError
    from faceedit.images import write_atomic

    written: list[Path] = []
    for path, data in files:
        if path is None:
            continue
        try:
            write_atomic(path, data, force)
        except OutputError:
            for earlier in written if not force else ():
                earlier.unlink(missing_ok=True)
            raise
        written.append(path)
    for path, data in files:
        if path is None:
            console.write_bytes(data)


def grey_bytes(values: NDArray[np.float32], path: Path | None) -> bytes:
    """A mask, float32 [H, W] in [0, 1], as an 8-bit grey picture in the format that `path` asks for."""
    import numpy as np

    return pixel_bytes(np.round(values * 255).astype(np.uint8), path)


def pixel_bytes(pixels: NDArray[np.uint8], path: Path | None) -> bytes:
    """Pixels, uint8 [H, W] or [H, W, 3], in the format that `path` asks for; PNG for `None`."""
    from faceedit.images import encode_plain, format_of

    return encode_plain(pixels, "PNG" if path is None else format_of(path))


def edited_bytes(pixels: NDArray[np.uint8], path: Path) -> bytes:
    """A sheet, uint8 [h, w, 3], that shows an edited picture and therefore carries the same mark as the result."""
    from faceedit.images import encode_picture, format_of
    from faceedit.provenance import edited_xmp
    from faceedit.request import Picture

    container = format_of(path)
    bare = Picture(pixels, None, "RGB", container, icc_profile=None, exif=None, xmp=None, sha256="")
    return encode_picture(pixels, bare, container, xmp=edited_xmp(None))
