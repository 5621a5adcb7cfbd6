"""Recipes: what they may say, how they inherit, and that nothing else gets through."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceedit.errors import UsageError
from faceedit.recipe import describe, list_recipes, load_recipe, recipe_from, recipe_values
from faceedit.recipe_schema import Recipe


def write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", list_recipes())
def test_shipped_recipes_load_and_survive_a_round_trip(name: str) -> None:
    """Breaks when a shipped recipe no longer fits the schema, or its values cannot be kept in a record."""
    recipe = load_recipe(name)
    assert recipe.name == name and recipe.description
    assert recipe_from(recipe_values(recipe)) == recipe


def test_the_list_names_recipes_that_edit_only() -> None:
    """Breaks when a base file or a training shows up among the recipes that a user can edit with."""
    assert {"inpaint", "inpaint-9ch", "mini/inpaint", "smoke/inpaint"} <= set(list_recipes())
    assert not [name for name in list_recipes() if "base" in name or name.startswith("train")]


def test_every_option_has_a_meaning() -> None:
    """Breaks when an option is added without a meaning, or `describe` skips a section."""
    rows = {row.key: row for row in describe(load_recipe("mini/inpaint"))}
    assert all(row.meaning for row in rows.values())
    assert rows["weights.path"].value == "mini-2" and "0 to 50" in rows["sampling.guidance"].meaning
    assert rows["locator.hull"].value == "false" and rows["weights.repository"].value == "-"


def test_a_recipe_lies_over_its_base_and_overrides_over_both(tmp_path: Path) -> None:
    """Breaks when inheritance forgets a level, replaces a whole section, or beats an override."""
    write(tmp_path, "low.yaml", "size: 64\nsampling: {steps: 3, guidance: 2}\ndevice: {quantization: {unet: {a: 1}}}\n")
    write(tmp_path, "middle.yaml", "base: ./low.yaml\nsampling: {steps: 4}\ndevice: {quantization: {vae: {b: 2}}}\n")
    top = write(tmp_path, "top.yaml", "base: middle.yaml\nsampling: {strength: 1}\n")
    recipe = load_recipe(top, {"sampling.guidance": "5", "weights.folders.vae": "NO"})
    assert (recipe.name, recipe.size) == ("top", 64)
    assert (recipe.sampling.steps, recipe.sampling.guidance, recipe.sampling.strength) == (4, 5.0, 1.0)
    assert recipe.device.quantization == {"unet": {"a": 1}, "vae": {"b": 2}}
    assert recipe.weights.folders == {"vae": "NO"}


def test_a_file_may_inherit_from_a_shipped_recipe(tmp_path: Path) -> None:
    """Breaks when a user's file cannot build on the recipes that are shipped."""
    assert load_recipe(write(tmp_path, "mine.yaml", "base: mini/inpaint\nsize: 256\n")).weights.path == "mini-2"


def test_a_folder_name_means_its_base() -> None:
    """Breaks when `recipes show mini` finds nothing."""
    assert load_recipe("mini").name == "mini/base"


def test_circles_are_refused(tmp_path: Path) -> None:
    """Breaks when two recipes that inherit from each other hang or overflow the stack."""
    write(tmp_path, "a.yaml", "base: b.yaml\n")
    path = write(tmp_path, "b.yaml", "base: a.yaml\n")
    with pytest.raises(UsageError, match="circle: b -> a -> b"):
        load_recipe(path)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("sampling: {step: 3}", "unknown key 'sampling.step'", "did you mean 'steps'"),
        ("sampel: {}", "unknown key 'sampel'", "did you mean 'sampling'"),
        ("7: x", "unknown key '7'", "valid here: name"),
        ("sampling: 3", "sampling must be a section", ""),
        ("size: big", "size must be a whole number, not 'big'", ""),
        ("size: 64.0", "size must be a whole number", ""),
        ("size: true", "size must be a whole number", ""),
        ("size: null", "size must be a whole number", ""),
        ("size: 0", "size: 0 is out of range", "16 to 4096"),
        ("sampling: {steps: 1e3}", "steps must be a whole number, not 1000.0", ""),
        ("sampling: {guidance: .inf}", "guidance must be finite", ""),
        ("sampling: {strength: 1.5}", "strength: 1.5 is out of range", "0 to 1"),
        ("editor: NO", "editor must be text, not False (put it in quotes", ""),
        ("size: 12:30:00", "read as another number", "quotes"),
        ("size: 0100", "read as another number", "quotes"),
        ("editor: 12:30:00", "read as another number", "quotes"),
        ("weights: {folders: {vae: NO}}", "weights.folders must be a section of text values", ""),
        ("paste: {mode: ful}", "'ful' is no choice", "did you mean 'full'"),
        ("size: 64\nsize: 65", "line 2: found duplicate key size", ""),
        ("description: ${oc.env:HOME}", "is not taken", "do not interpolate"),
        ("description: ${size}", "is not taken", "do not interpolate"),
        ("device: {quantization: {'${oc.env:HOME}': 1}}", "is not taken", "do not interpolate"),
        ("editor: !!python/object/apply:os.system [ls]", "YAML tags", ""),
        ("editor: !!str x", "YAML tags", ""),
        ("editor: &a x\ndescription: *a", "anchors and aliases", "base:"),
        ("base: [mini/base]", "base must be one name", ""),
        ("base: nowhere", "unknown recipe 'nowhere'", "mini/inpaint"),
        ("- a\n- b", "holds no `key: value` lines", ""),
        ("{", "expected", ""),
        ("", "", ""),
        ("_target_: os.system", "unknown key '_target_'", ""),
    ],
)
def test_bad_recipes_end_in_one_clear_line(tmp_path: Path, text: str, message: str, hint: str) -> None:
    """Breaks when a wrong recipe is taken, ends in another error, or its error does not say what is wrong."""
    path = write(tmp_path, "x.yaml", text)
    if not message:
        load_recipe(path)
        return
    with pytest.raises(UsageError) as caught:
        load_recipe(path)
    assert message in str(caught.value) and hint in caught.value.hint
    assert "\n" not in str(caught.value) and "\n" not in caught.value.hint


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("sampling.step", "3", "unknown key 'sampling.step'"),
        ("sampling", "3", "is a section"),
        ("sampling.steps.x", "3", "no place under a single value"),
        ("sampling.steps", "many", "must be a whole number"),
        ("sampling.steps", "1\nsize: 2", "more than one value"),
        ("description", "${oc.env:HOME}", "is not taken"),
        ("", "3", "unknown key ''"),
    ],
)
def test_bad_overrides_end_in_one_clear_line(key: str, value: str, message: str) -> None:
    """Breaks when `--set` reaches past the schema or changes more than its own key."""
    with pytest.raises(UsageError, match=message):
        load_recipe("mini/inpaint", {key: value})


def test_text_overrides_are_taken_as_they_stand() -> None:
    """Breaks when YAML reads a text option as something else (NO, 1e3, a colon)."""
    for text in ("NO", "1e3", "a: b", "'quoted'", ""):
        assert load_recipe("mini/inpaint", {"description": text}).description == text


@pytest.mark.parametrize(
    "name", ["", "..", "../pyproject", "mini/", "/etc/passwd", "C:\\x", "mini\\inpaint", "gone.yaml"]
)
def test_names_do_not_leave_the_recipes(name: str) -> None:
    """Breaks when a recipe name can read a file outside the shipped recipes."""
    with pytest.raises(UsageError):
        load_recipe(name)


def test_the_environment_is_never_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Breaks when a secret in the environment can find its way into a record."""
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    path = write(tmp_path, "x.yaml", "weights: {repository: '${oc.env:HF_TOKEN}'}\n")
    with pytest.raises(UsageError) as caught:
        load_recipe(path)
    assert "hf_secret" not in str(caught.value) + caught.value.hint


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from([*Recipe.__dataclass_fields__, "steps", "kind", "x"])


@given(st.dictionaries(keys, plain | st.dictionaries(keys, plain, max_size=3), max_size=4))
def test_any_values_make_a_recipe_or_a_usage_error(values: dict[str, object]) -> None:
    """Breaks when some combination of plain values ends in another exception."""
    try:
        recipe = recipe_from(values)
    except UsageError:
        return
    assert recipe_from(recipe_values(recipe)) == recipe


def test_recipes_load_without_a_model_library() -> None:
    """Breaks when the recipe room imports torch and slows `--help` down."""
    code = (
        "import sys, faceedit.recipe as r; r.load_recipe('inpaint'); "
        "print([m for m in ('torch', 'diffusers', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_documentation_lists_every_option() -> None:
    """Breaks when an option, its default or its meaning changes and docs/recipes.md does not."""
    text = (Path(__file__).parent.parent / "docs/recipes.md").read_text(encoding="utf-8")
    for row in describe(Recipe()):
        assert f"| `{row.key}` | {row.value} | {row.meaning} |" in text, row.key
    for name in list_recipes():
        assert f"| `{name}` |" in text, name


def test_a_key_without_a_dot_means_the_editors_own_section() -> None:
    """Breaks when `--set inversion=npi` needs its section said, or reaches another editor's section."""
    assert load_recipe("smoke/mag-edit", {"inversion": "npi", "exact_reference": "true"}).mag_edit.inversion == "npi"
    assert load_recipe("smoke/inpaint", {"candidates": "3", "size": "96"}).inpaint.candidates == 3
    with pytest.raises(UsageError, match="unknown key 'inversion'"):
        load_recipe("smoke/inpaint", {"inversion": "npi"})
    with pytest.raises(UsageError, match="is no choice"):
        load_recipe("smoke/mag-edit", {"inversion": "ddpm"})
