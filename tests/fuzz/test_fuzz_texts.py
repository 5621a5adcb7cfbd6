"""Manifests, paths, recipes, settings, records and defaults of any shape."""

from __future__ import annotations

import base64
import json
import os
import string
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fuzzing import FOLDER, MASKS, VALUES, bent, fuzz, inside
from hostile_files import encoded
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from faceedit.backend import Choice
from faceedit.batch.manifest import COLUMNS, read_manifest
from faceedit.batch.safe_path import relative_path
from faceedit.cli.userfile import tomllib
from faceedit.errors import FaceEditError, UsageError
from faceedit.recipe import list_recipes, load_recipe, recipe_values
from faceedit.recipe_schema import Recipe
from faceedit.record import replay_of
from faceedit.request import Record
from faceedit.resources import recipes_dir

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
