"""Whatever is read from outside ends in a documented error or in a valid result; nothing else comes out, no file stays.

Real files are bent in the ways in which files get bent: bits flip, ends are missing, pieces are lost, doubled,
exchanged or come from another file. A few seconds by default, the same examples every time; a long and free run:

    FACEEDIT_FUZZ=5000 pytest tests/test_fuzz.py
"""

from __future__ import annotations

import base64
import json
import os
import string
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hostile_files import chunk, contents, encoded, noise, smooth
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save
from torch import nn

from faceedit.backend import Choice
from faceedit.batch.manifest import COLUMNS, read_manifest
from faceedit.batch.safe_path import relative_path
from faceedit.cli.userfile import tomllib
from faceedit.decode import MAX_PIXELS, MAX_SIDE, MIN_SIDE
from faceedit.errors import FaceEditError, ImageError, UsageError, WeightsError
from faceedit.images import encode_picture, load_picture
from faceedit.masks import load_mask
from faceedit.metadata import clean_xmp
from faceedit.models.manifest import read_manifest as read_weights_manifest
from faceedit.models.places import weight_paths
from faceedit.models.tensors import load_into
from faceedit.provenance import edited_xmp, read_record, record_text
from faceedit.recipe import list_recipes, load_recipe, recipe_values
from faceedit.recipe_schema import Recipe, Weights
from faceedit.record import replay_of
from faceedit.request import Record
from faceedit.resources import manifest_path, recipes_dir

FOLDER = Path("../files")  # beside the empty folder that the tests run in
EXAMPLES = int(os.environ.get("FACEEDIT_FUZZ", "0"))


def fuzz(examples: int) -> Callable[[Any], Any]:
    """So many examples, or as many as FACEEDIT_FUZZ says, and then others on every run."""
    return settings(max_examples=EXAMPLES or examples, derandomize=not EXAMPLES)


@pytest.fixture(autouse=True, scope="module")
def nothing_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Every test runs in an empty folder, which is empty afterwards."""
    folder = tmp_path_factory.mktemp("fuzz") / "here"
    folder.mkdir()
    before = Path.cwd()
    os.chdir(folder)
    FOLDER.mkdir()
    yield
    os.chdir(before)
    assert list(folder.iterdir()) == []


def seeds() -> dict[str, bytes]:
    """Real files of every format, mode and kind of metadata, small so that damage hits structure."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "maker", 6
    exif.get_ifd(0x8825)[2] = (48.0, 8.0, 15.0)
    xmp = edited_xmp(None, "0" * 64)
    small, grain = smooth(24, 20), noise(24, 20)
    pages = [smooth(24, 20), grain]
    return {
        "png": encoded(grain, "PNG", exif=exif, dpi=(72, 72)),
        "png grey 16": encoded(Image.fromarray(np.arange(480, dtype=np.uint16).reshape(24, 20) * 100), "PNG"),
        "png palette": encoded(small.quantize(16), "PNG", transparency=3),
        "png alpha": encoded(small.convert("RGBA"), "PNG"),
        "apng": encoded(small, "PNG", save_all=True, append_images=pages),
        "jpeg": encoded(grain, "JPEG", exif=exif, xmp=xmp),
        "jpeg progressive": encoded(grain, "JPEG", progressive=True),
        "jpeg cmyk": encoded(small.convert("CMYK"), "JPEG"),
        "webp": encoded(grain, "WEBP", exif=exif, xmp=xmp),
        "webp lossless": encoded(small.convert("RGBA"), "WEBP", lossless=True),
        "webp animated": encoded(small, "WEBP", save_all=True, append_images=pages),
        "tiff": encoded(grain, "TIFF", exif=exif),
        "tiff deflate": encoded(small, "TIFF", compression="tiff_adobe_deflate"),
        "tiff lzw pages": encoded(small, "TIFF", compression="tiff_lzw", save_all=True, append_images=pages),
        "tiff jpeg": encoded(small, "TIFF", compression="jpeg"),
        "tiff bilevel": encoded(small.convert("1"), "TIFF", compression="group4"),
    }


SEEDS = seeds()


@st.composite
def bent(draw: st.DrawFn, sources: list[bytes]) -> bytes:
    """One of the sources after one to four kinds of damage."""
    data = bytearray(draw(st.sampled_from(sources)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        size = draw(st.integers(1, 64))
        kind = draw(st.sampled_from(["flip", "cut", "lose", "double", "fill", "number", "graft", "insert"]))
        if kind == "flip" and data:
            data[at] ^= draw(st.integers(1, 255))
        elif kind == "cut":
            del data[at:]
        elif kind == "lose":
            del data[at : at + size]
        elif kind == "double":
            data[at:at] = data[at : at + size]
        elif kind == "fill":
            data[at : at + size] = bytes([draw(st.sampled_from([0, 0xFF, 0x80, 0x20]))]) * len(data[at : at + size])
        elif kind == "number":
            value = draw(st.sampled_from([0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]))
            data[at : at + 4] = struct.pack(draw(st.sampled_from([">I", "<I"])), value)
        elif kind == "graft":
            other = draw(st.sampled_from(sources))
            data[at:] = other[min(at, len(other)) :]
        else:
            data[at:at] = draw(st.binary(min_size=1, max_size=16))
    return bytes(data)


MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"RIFF\x20\0\0\0WEBP", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"")
RANDOM = st.builds(lambda start, rest: start + rest, st.sampled_from(MAGIC), st.binary(max_size=200))


def survives(data: bytes) -> None:
    """A picture within the limits that can also be written, or an ImageError with a hint."""
    try:
        picture = load_picture(data)
    except ImageError as error:
        assert "\n" not in str(error) and error.hint
        return
    height, width = picture.size
    assert min(height, width) >= MIN_SIDE and max(height, width) <= MAX_SIDE and height * width <= MAX_PIXELS
    assert picture.rgb.shape == (height, width, 3) and picture.rgb.dtype == np.uint8
    if picture.rgb.max() > 2 and height * width < 1 << 20:
        again = load_picture(encode_picture(picture.rgb, picture, "PNG", xmp=edited_xmp(picture.xmp), record="{}"))
        assert again.size == picture.size and np.array_equal(again.rgb, picture.rgb)


@fuzz(400)
@given(bent(list(SEEDS.values())))
def test_bent_pictures(data: bytes) -> None:
    """Breaks when a codec's or a metadata reader's own exception escapes, or kept metadata cannot be written again."""
    survives(data)


@fuzz(150)
@given(RANDOM)
def test_random_bytes(data: bytes) -> None:
    """Breaks as above, where nothing is right but the first bytes."""
    survives(data)


@pytest.mark.parametrize("name", SEEDS)
def test_a_picture_cut_at_every_place(name: str) -> None:
    """Breaks when a file that ends early is read as whole, unless only what follows the pixels is missing."""
    data = SEEDS[name]
    whole = load_picture(data)
    for end in {*range(0, len(data), max(len(data) // 60, 1)), len(data) - 1, len(data) - 2}:
        try:
            picture = load_picture(data[:end])
        except ImageError:
            continue
        assert np.array_equal(picture.rgb, whole.rgb), end


@fuzz(60)
@given(st.sampled_from([b"eXIf", b"iCCP", b"iTXt", b"zTXt", b"tRNS", b"gAMA", b"cHRM", b"acTL", b"pHYs"]), RANDOM)
def test_png_chunks_with_any_content(kind: bytes, body: bytes) -> None:
    """Breaks when a chunk with a right check sum and a wrong content brings a reader down."""
    good = SEEDS["png palette"]
    place = good.index(b"IDAT") - 4
    survives(good[:place] + chunk(kind, body) + good[place:])


@fuzz(60)
@given(RANDOM)
def test_exif_with_any_content(body: bytes) -> None:
    """Breaks when an EXIF block with any content makes the picture unreadable: its pixels are whole."""
    data = SEEDS["jpeg progressive"]
    segment = b"\xff\xe1" + struct.pack(">H", len(body) + 8) + b"Exif\0\0" + body
    assert load_picture(data[:2] + segment + data[2:]).rgb.any()


XML = st.text(alphabet="<>/&;'\"=:?! abcx\n\0\ufeff", max_size=80).map(str.encode)


@fuzz(150)
@given(XML | bent([edited_xmp(None, "0" * 64)]) | st.binary(max_size=60))
def test_xmp_packets(packet: bytes) -> None:
    """Breaks when a packet escapes as an XML library's exception, or a cleaned one cannot carry the mark."""
    cleaned = clean_xmp(packet)
    assert b"compositeWithTrainedAlgorithmicMedia" in edited_xmp(cleaned, "0" * 64)


MASKS = [encoded(smooth(24, 20).convert(mode), "PNG") for mode in ("L", "LA", "RGBA", "1", "P")]


@fuzz(120)
@given(bent(MASKS) | RANDOM, st.booleans())
def test_masks(data: bytes, resize: bool) -> None:
    """Breaks when a damaged mask is a crash, of another size, out of range or not finite."""
    try:
        mask = load_mask(data, (24, 20), resize)
    except (ImageError, UsageError):
        return
    assert mask.shape == (24, 20) and mask.dtype == np.float32
    assert np.isfinite(mask).all() and mask.min() >= 0 and mask.max() <= 1


LEAF = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 1 << 70),
    st.floats(),
    st.text(max_size=8),
    st.just("../x"),
    st.just("${a}"),
)
VALUES = st.recursive(
    LEAF,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=6), below, max_size=3),
    max_leaves=6,
)
ROWS = st.dictionaries(st.sampled_from([*COLUMNS, "imag", "\x1b"]), VALUES | st.just("a.png"), max_size=6)
JSONL = st.lists(ROWS.map(json.dumps) | st.text(max_size=30), max_size=4).map("\n".join)
CSV = st.text(alphabet=string.ascii_letters + ',"|\n\r./ \0\ufeff', max_size=120).map(
    lambda rows: "image,prompt\n" + rows
)
GOOD_ROW = b'{"image": "a/b.png", "prompt": "rosy cheeks", "seed": 3, "output": "c.png", "region": ["lips"]}\n'


@fuzz(150)
@given(JSONL.map(lambda t: t.encode("utf-8", "surrogatepass")) | bent([GOOD_ROW]), st.just(".jsonl"))
def test_jsonl_manifests(data: bytes, suffix: str) -> None:
    """Breaks when a row escapes as another exception, or its paths leave their folders."""
    manifest_survives(data, suffix)


@fuzz(120)
@given(CSV.map(str.encode) | bent([b"image,prompt,seed\na.png,rosy cheeks,3\nb/c.png,red lips,\n"]), st.just(".csv"))
def test_csv_manifests(data: bytes, suffix: str) -> None:
    """Breaks as above."""
    manifest_survives(data, suffix)


def manifest_survives(data: bytes, suffix: str) -> None:
    path = FOLDER / f"rows{suffix}"
    path.write_bytes(data)
    try:
        rows = read_manifest(path)
    except UsageError as error:
        assert "\n" not in str(error) and str(error).isprintable()
        return
    for row in rows:
        for place in (row.image, row.mask, row.output):
            assert place is None or inside(str(place))


def inside(text: str) -> bool:
    """Whether a path stays below its folder, read as POSIX and as Windows read it."""
    import ntpath
    import posixpath

    for system in (posixpath, ntpath):
        joined = system.normpath(system.join("/root/folder".replace("/", system.sep), text))
        if not joined.startswith(system.join(system.sep + "root", "folder") + system.sep):
            return False
    return True


@fuzz(300)
@given(st.text(alphabet="./\\:~ aC\0con1$", max_size=12) | st.text(max_size=12))
def test_relative_paths(text: str) -> None:
    """Breaks when a name that is let through leads out of its folder on any system."""
    try:
        path = relative_path(text, "here")
    except UsageError:
        return
    assert inside(str(path))


RECIPES = [(recipes_dir() / f"{name}.yaml").read_bytes() for name in list_recipes()]
YAML = st.text(alphabet="abc:-{}[]!&*|>'\"#%@` \n\t$0123456789.", max_size=60).map(str.encode)


@fuzz(150)
@given(bent(RECIPES) | YAML)
def test_recipe_files(data: bytes) -> None:
    """Breaks when YAML of any shape ends in another exception than UsageError, or in a recipe outside the schema."""
    path = FOLDER / "recipe.yaml"
    path.write_bytes(data)
    try:
        recipe = load_recipe(str(path))
    except UsageError as error:
        assert "\n" not in str(error)
        return
    assert isinstance(recipe, Recipe)
    json.dumps(recipe_values(recipe), allow_nan=False)


KEYS = (
    "sampling.steps",
    "weights.folders",
    "weights.folders.vae",
    "device.quantization",
    "paste.mode",
    "size",
    "x.y",
    "",
)


@fuzz(150)
@given(st.sampled_from(KEYS), YAML.map(bytes.decode) | st.text(max_size=20))
def test_settings(key: str, text: str) -> None:
    """Breaks when a value after --set ends in another exception than UsageError."""
    try:
        json.dumps(recipe_values(load_recipe("smoke/inpaint", {key: text})), allow_nan=False)
    except UsageError as error:
        assert "\n" not in str(error)


class Small(nn.Module):
    """Three tensors of different kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2, 3))
        self.bias = nn.Parameter(torch.zeros(3))
        self.register_buffer("count", torch.zeros(2, dtype=torch.int64))


def stored() -> bytes:
    return save({"weight": torch.ones(2, 3), "bias": torch.ones(3), "count": torch.ones(2, dtype=torch.int64)})


STORED = stored()
DTYPES = st.sampled_from(["F32", "F16", "BF16", "F64", "I64", "BOOL", "F8_E4M3", "F8_E5M2", "U8", "X", 5, None])
NUMBERS = st.integers(-1, 1 << 65) | st.integers(0, 64)
ENTRY = st.fixed_dictionaries(
    {
        "dtype": DTYPES,
        "shape": st.lists(NUMBERS, max_size=3) | st.just([2, 3]),
        "data_offsets": st.lists(NUMBERS, max_size=3),
    }
)
RIGHT = {
    "bias": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]},
    "count": {"dtype": "I64", "shape": [2], "data_offsets": [12, 28]},
    "weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [28, 52]},
}


@st.composite
def headers(draw: st.DrawFn) -> bytes:
    """A safetensors file with a header that is right but for an entry or two."""
    header: dict[str, Any] = {name: dict(entry) for name, entry in RIGHT.items()}
    for name in draw(st.lists(st.sampled_from([*RIGHT, "__metadata__", "../../x"]), max_size=2)):
        header[name] = draw(ENTRY | VALUES)
    if draw(st.booleans()):
        header["count"] = {**RIGHT["count"], "dtype": draw(DTYPES)}
    text = json.dumps(header).encode()
    length = draw(st.just(len(text)) | NUMBERS)
    return struct.pack("<Q", max(length, 0) % (1 << 64)) + text + bytes(draw(st.sampled_from([52, 51, 53, 0])))


@fuzz(250)
@given(bent([STORED]) | headers() | RANDOM)
def test_safetensors(data: bytes) -> None:
    """Breaks when weights load that are not exactly the module's, or a reader's own exception escapes."""
    path = FOLDER / "w.safetensors"
    path.write_bytes(data)
    module = Small()
    try:
        load_into(module, [path], "part")
    except WeightsError as error:
        assert "\n" not in str(error) and error.hint
        return
    for tensor in module.state_dict().values():
        assert torch.isfinite(tensor).all()
    assert module.weight.shape == (2, 3) and module.bias.dtype == torch.float32


@fuzz(80)
@given(VALUES | st.dictionaries(st.sampled_from(["unet", "vae", "_class_name", "text_encoder"]), VALUES, max_size=4))
def test_model_indexes(values: Any) -> None:
    """Breaks when model_index.json or a shard index of any shape ends in another exception, or leads elsewhere."""
    folder = FOLDER / "model"
    (folder / "vae").mkdir(parents=True, exist_ok=True)
    (folder / "model_index.json").write_text(json.dumps(values))
    (folder / "vae" / "model.safetensors.index.json").write_text(json.dumps({"weight_map": values}))
    try:
        paths = weight_paths(Weights(kind="local", path=str(folder)))
    except WeightsError as error:
        assert "\n" not in str(error)
        return
    assert all(path.is_relative_to(folder) for path in paths.values())


@fuzz(80)
@given(bent([manifest_path().read_bytes()]))
def test_weight_manifests(data: bytes) -> None:
    """Breaks when weights.toml of any shape ends in another exception than WeightsError."""
    path = FOLDER / "weights.toml"
    path.write_bytes(data)
    try:
        sets = read_weights_manifest(path)
    except WeightsError as error:
        assert "\n" not in str(error)
        return
    assert all(inside(file.path) for known in sets for file in known.files)


@pytest.fixture(scope="module")
def record() -> tuple[dict[str, Any], bytes]:
    """A real record and the picture that it was made from."""
    from faceedit.portraits.render import render
    from faceedit.request import Request
    from faceedit.run import edit

    image = encoded(Image.fromarray(render(0, 96, regions=False).image))
    mask = encoded(Image.fromarray(np.full((96, 96), 255, np.uint8)))
    FOLDER.joinpath("m.png").write_bytes(mask)
    request = Request(image, ("rosy cheeks",), recipe="smoke/inpaint", steps=1, mask=FOLDER / "m.png")
    return edit(request).record.data, image


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


@fuzz(200)
@given(st.data())
def test_records(record: tuple[dict[str, Any], bytes], data: st.DataObject) -> None:
    """Breaks when a record of any shape escapes as another exception, or gives a request of other types."""
    values, image = json.loads(json.dumps(record[0])), record[1]
    for _ in range(data.draw(st.integers(1, 3))):
        *above, last = data.draw(st.sampled_from([path for path in places(values) if path]))
        target: Any = values
        for key in above:
            target = target[key]
        if data.draw(st.booleans()) and isinstance(target, dict):
            del target[last]
        else:
            target[last] = data.draw(VALUES | bent(MASKS).map(lambda raw: base64.b64encode(raw).decode()))
    try:
        replay = replay_of(Record(values), image)
    except FaceEditError as error:
        assert "\n" not in error.hint
        return
    request = replay.request
    assert all(isinstance(text, str) for text in (*request.prompts, *request.region))
    assert isinstance(request.seed, int) and 0 <= request.seed < 1 << 32
    assert replay.mask is None or replay.mask.values.dtype == np.float32
    assert replace(Choice(replay.recipe, ""), reason="x").recipe == replay.recipe


@fuzz(80)
@given(bent([encoded(noise(24, 20), "PNG"), encoded(noise(24, 20), "JPEG")]))
def test_pictures_with_a_record(data: bytes) -> None:
    """Breaks when a record is read from a damaged picture, or its damage is another exception."""
    try:
        record_text(read_record(data))
    except ImageError as error:
        assert error.hint


@fuzz(100)
@given(st.text(alphabet="[]=\"'.#\n ab1", max_size=40) | bent([b'seed = 3\n[edit]\nrecipe = "smoke/inpaint"\n']).map(
    lambda raw: raw.decode("utf-8", "replace")))  # fmt: skip
def test_user_files(text: str) -> None:
    """Breaks when a user's file of defaults of any shape ends in another exception."""
    import typer

    from faceedit.cli.app import app
    from faceedit.cli.userfile import CONFIG_VARIABLE, defaults

    path = FOLDER / "config.toml"
    path.write_text(text, encoding="utf-8")
    os.environ[CONFIG_VARIABLE] = str(path)
    try:
        defaults(typer.main.get_command(app))
    except UsageError:
        return
    finally:
        del os.environ[CONFIG_VARIABLE]
    tomllib.loads(text)


def test_every_hostile_file_as_bytes() -> None:
    """Breaks as `test_bent_pictures`, on the files that were made by hand."""
    for _, _, make, _ in contents():
        survives(make())
