"""Names of results: fields, clashes, and names that no input can lead out of the folder."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceedit.batch.naming import DEFAULT_TEMPLATE, FIELDS, check_template, render, same_place, slug
from faceedit.errors import UsageError

VALUES = dict.fromkeys(FIELDS, "x") | {"folder": "sub", "stem": "a", "name": "a.jpg", "prompt": "red-lips"}


@pytest.mark.parametrize(
    ("template", "path"),
    [
        (DEFAULT_TEMPLATE, "sub/a.red-lips.png"),
        ("{prompt}/{stem}.webp", "sub/red-lips/a.webp"),
        ("{prompt}/{folder}/{name}.png", "red-lips/sub/a.jpg.png"),
        ("{folder}-{stem}.png", "sub-a.png"),
        ("{{{stem}}}.png", "sub/{a}.png"),
    ],
)
def test_render(template: str, path: str) -> None:
    check_template(template)
    assert str(render(template, VALUES)) == path


@pytest.mark.parametrize(
    "template",
    [
        *("{stem}", "{stem}.exe", "{nothing}.png", "{stem!r}.png", "{stem:>9}.png", "{stem.png", "{}.png", "{0}.png"),
        *("../{stem}.png", "/{stem}.png", "{stem.__class__}.png", "{stem[0]}.png", "C:{stem}.png", "a\\{stem}.png", ""),
    ],
)
def test_bad_templates(template: str) -> None:
    with pytest.raises(UsageError):
        check_template(template)


@given(st.fixed_dictionaries({name: st.text(min_size=1, max_size=300) for name in FIELDS}))
def test_whatever_the_input_is_called_the_result_stays_below(values: dict[str, str]) -> None:
    """Breaks when a picture's name can steer its result elsewhere, or to a name that a file system cannot store."""
    # A folder comes from a walk over real folders, so no part of it is "..".
    values |= {"folder": "sub/deep"}
    for template in (DEFAULT_TEMPLATE, "{prompt}/{name}.png", "{stem}/{region}.png"):
        path = render(template, values)
        assert path.suffix == ".png"
        assert path.parts[:2] == ("sub", "deep") and ".." not in path.parts and not path.is_absolute()
        assert str(path).isprintable() and not set(str(path)) & set('<>:"\\|?*')
        assert all(len(part.encode()) <= 255 for part in path.parts)


@given(st.text(min_size=1, max_size=200))
def test_slug_is_short_and_plain(text: str) -> None:
    assert 0 < len(slug(text)) <= 60
    assert not set(slug(text)) & set("/\\ .\n")


def test_long_names_stay_different() -> None:
    one, two = (render("{stem}.png", VALUES | {"stem": "n" * 240 + end}) for end in "ab")
    assert one != two and len(one.name) <= 200
    assert slug("red " * 40 + "lips") != slug("red " * 40 + "hair")


@pytest.mark.parametrize("name", ["con", "NUL", "com1"])
def test_names_of_devices_are_never_written(name: str) -> None:
    assert render("{stem}.png", VALUES | {"stem": name}).name == f"_{name}.png"


def test_same_place_ignores_case_and_composition() -> None:
    assert same_place(PurePosixPath("A/b\u0301.png")) == same_place(PurePosixPath("a/B\u0301.PNG"))
    assert same_place(PurePosixPath("\u00e9.png")) == same_place(PurePosixPath("e\u0301.png"))
