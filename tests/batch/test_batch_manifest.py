"""Manifests: what is read, and everything that is refused before a picture is touched."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceedit.batch.manifest import COLUMNS, read_manifest
from faceedit.batch.safe_path import inside, relative_path
from faceedit.batch.sources import read_source
from faceedit.errors import UsageError

OUTSIDE = [
    "../a.png", "sub/../../a.png", "/etc/passwd", "//server/share/a.png", "\\\\server\\share\\a.png", "..\\a.png",
    "C:\\a.png", "C:a.png", "c:/a.png", "a.png:stream", "~/a.png", "", ".", "sub\\a.png", "nul", "sub/CON.png",
    "com1.png", "aux/a.png", "a.png.", "a.png ", "a\x00.png", "a\n.png", "\x1b[31m.png", "\u202ea.png", "x" * 2000,
]  # fmt: skip

BAD_ROWS = {
    "no image": {"prompt": "red lips"},
    "unknown column 'promt', did you mean 'prompt'": {"image": "a.png", "promt": "red lips"},
    "image must be text": {"image": 3},
    "prompt must be text": {"image": "a.png", "prompt": 3},
    "prompt is an empty list": {"image": "a.png", "prompt": []},
    "prompts must be a list": {"image": "a.png", "prompts": "red lips"},
    "prompt or prompts": {"image": "a.png", "prompt": "red lips", "prompts": ["red lips"]},
    "control characters": {"image": "a.png", "prompt": "red\x1b[31m lips"},
    "seed must be a whole number": {"image": "a.png", "seed": "seven"},
    "seed must be a whole number from": {"image": "a.png", "seed": True},
    "0 to 4294967295": {"image": "a.png", "seed": 2**32},
    "face must be a whole number": {"image": "a.png", "face": -1},
    "unknown suffix": {"image": "a.png", "output": "a.exe"},
    "leads out of its folder": {"image": "a.png", "output": "../a.png"},
    "mask and region exclude": {"image": "a.png", "mask": "m.png", "region": "lips"},
    "shipped recipes": {"image": "a.png", "recipe": "mine.yaml"},
    "several prompts cannot go": {"image": "a.png", "prompts": ["red lips", "no glasses"], "output": "b.png"},
}


def manifest(folder: Path, *rows: object) -> Path:
    path = folder / "list.jsonl"
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("text", OUTSIDE)
def test_paths_that_lead_away_are_refused_on_every_system(text: str) -> None:
    with pytest.raises(UsageError, match="line 1"):
        relative_path(text, "line 1")


@pytest.mark.parametrize("text", ["a.png", "./a.png", "sub/größe 漢字.webp", "a..b.png", "$(touch x).jpg", ".hidden"])
def test_plain_names_pass(text: str) -> None:
    assert str(relative_path(text, "line 1")) == text.removeprefix("./")


@given(st.text(max_size=30))
def test_whatever_passes_stays_inside(text: str) -> None:
    """Breaks when some spelling of a path leaves the folder, under POSIX or Windows rules."""
    from pathlib import PureWindowsPath

    try:
        path = relative_path(text, "here")
    except UsageError:
        return
    windows = PureWindowsPath(text)
    assert not path.is_absolute() and ".." not in path.parts
    assert not windows.drive and not windows.root and ".." not in windows.parts


@pytest.mark.parametrize("message", BAD_ROWS)
def test_bad_rows_are_named(message: str, tmp_path: Path) -> None:
    path = manifest(tmp_path, {"image": "good.png", "prompt": "red lips"}, BAD_ROWS[message])
    with pytest.raises(UsageError, match="line 2") as caught:
        read_manifest(path)
    assert message in str(caught.value)


def test_all_bad_rows_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"line 1.*line 2"):
        read_manifest(manifest(tmp_path, {"prompt": "x"}, {"image": "/a"}))


@pytest.mark.parametrize(
    "text", ['{"image": "a", "image": "b"}', "[1]", "7", "{", '{"image": "a.png", "seed": NaN}', "[" * 100_000]
)
def test_no_json_object(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="line 1"):
        read_manifest(manifest(tmp_path, text))


def test_every_column_of_jsonl(tmp_path: Path) -> None:
    values = {
        "image": "sub/a.png", "prompts": ["rosy cheeks", ["red lips", "no glasses"]], "region": ["lips", "cheeks"],
        "seed": 7, "backend": "mini", "recipe": "mini/inpaint", "face": 1, "source_prompt": "a man",
        "consent": "signed",
    }  # fmt: skip
    (row,) = read_manifest(manifest(tmp_path, values))
    assert row.image == PurePosixPath("sub/a.png")
    assert row.edits == (("rosy cheeks",), ("red lips", "no glasses"))
    assert (row.region, row.seed, row.face, row.consent) == (("lips", "cheeks"), 7, 1, "signed")
    (row,) = read_manifest(
        manifest(tmp_path, {"image": "a.png", "prompt": "red lips", "mask": "m.png", "output": "b.png"})
    )
    assert (row.mask, row.output) == (PurePosixPath("m.png"), PurePosixPath("b.png"))
    assert set(COLUMNS) == set(values) | {"prompt", "mask", "output"}


def test_csv(tmp_path: Path) -> None:
    """A byte order mark, quoted cells, empty cells, and several values in one cell."""
    path = tmp_path / "list.csv"
    path.write_text('\ufeffimage,prompts,seed,region\r\n"a, b.png",rosy cheeks|red lips,7,\r\nc.png,,,lips|nose\r\n')
    first, second = read_manifest(path)
    assert (str(first.image), first.edits, first.seed) == ("a, b.png", (("rosy cheeks",), ("red lips",)), 7)
    assert (second.edits, second.seed, second.region) == ((), None, ("lips", "nose"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,promt\na.png,x\n", "unknown column"),
        ("image,image\na.png,b.png\n", "comes twice"),
        ("image,seed\na.png\n", "1 cells under 2"),
        ("image,seed\na.png,1,2\n", "3 cells under 2"),
        ("image,seed\na.png,-1\n", "whole number"),
        ("image,seed\na.png,1e3\n", "whole number"),
        ('image\n"a.png\n', "no CSV"),
        ("image\n", "no rows"),
        ("", "no rows"),
    ],
)
def test_bad_csv(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_manifest(path)


@given(st.binary(max_size=200), st.sampled_from(["list.jsonl", "list.csv"]))
def test_any_bytes_give_rows_or_a_usage_error(tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str) -> None:
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(data)
    try:
        rows = read_manifest(path)
    except UsageError as error:
        assert str(error).isprintable()
        return
    assert all(row.image.parts for row in rows)


def test_links_out_of_the_root_are_refused(tmp_path: Path) -> None:
    """In a manifest before anything runs; in a folder the one file is a failure of its own."""
    (tmp_path / "secret.png").write_bytes(b"x")
    root = tmp_path / "in"
    (root / "sub").mkdir(parents=True)
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "sub" / "near.png").symlink_to(root / "a.png")
    (root / "a.png").write_bytes(b"x")
    with pytest.raises(UsageError, match="a link leads out"):
        read_source(str(manifest(root, {"image": "link.png"})), tmp_path / "out")
    found = read_source(str(root), tmp_path / "out").found
    assert {str(hit.name): bool(hit.problem) for hit in found} == {
        "a.png": False,
        "link.png": True,
        "sub/near.png": False,
    }
    assert inside(root, root / "a.png") and not inside(root, root / "link.png")
