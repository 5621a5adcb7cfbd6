"""`faceedit batch` from the command line: results, resuming, refusals, reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from batch_harness import Files, Lines, Run
from PIL import Image

from faceedit.provenance import read_record

ROSY = ("--prompt", "rosy cheeks")


def refuse(*_: object, **__: object) -> NoReturn:
    raise AssertionError("models were loaded")


def test_a_folder_gives_what_edit_gives(run: Run, pictures: Path, tmp_path: Path, lines: Lines) -> None:
    """Subfolders are kept, and every result has the bytes of `faceedit edit` with the seed of its record."""
    out = tmp_path / "out"
    done = run("batch", pictures, *ROSY, "-o", out)
    assert done.code == 0, done.err
    names = ["a.rosy-cheeks.png", "sub/b.rosy-cheeks.png"]
    assert done.out == [str(out / name) for name in names]
    assert done.err.splitlines()[-1].startswith("2 edited, 0 done before, 0 failed, 0 left")
    finished = [line for line in lines(out) if line["status"] == "ok"]
    assert [line["output"] for line in finished] == names
    for line in finished:
        alone = tmp_path / "alone.png"
        made = run("edit", pictures / line["image"], "rosy cheeks", "-s", line["seed"], "-o", alone, "--force")
        assert made.code == 0
        assert alone.read_bytes() == (out / line["output"]).read_bytes()
    assert finished[0]["seed"] != finished[1]["seed"]


def test_several_prompts_and_a_glob(run: Run, pictures: Path, tmp_path: Path, files: Files) -> None:
    """Each prompt is one edit; the seed of an item does not depend on which others there are."""
    out, again = tmp_path / "out", tmp_path / "again"
    both = run("batch", pictures, *ROSY, "--prompt", "no glasses", "-o", out, "--name", "{prompt}/{stem}.webp")
    assert both.code == 0, both.err
    assert set(files(out)) == {f"sub/{p}/b.webp" for p in ("rosy-cheeks", "no-glasses")} | {
        f"{p}/a.webp" for p in ("rosy-cheeks", "no-glasses")
    }
    one = run("batch", f"{pictures}/*.png", "--prompt", "no glasses", "-o", again, "--name", "{prompt}/{stem}.webp")
    assert one.code == 0, one.err
    assert files(again) == {"no-glasses/a.webp": files(out)["no-glasses/a.webp"]}


def test_a_manifest(run: Run, pictures: Path, tmp_path: Path, lines: Lines) -> None:
    """Rows say what they want otherwise than the command line; a remark on consent is kept in the record."""
    mask = np.zeros((160, 160), np.uint8)
    mask[70:110, 60:100] = 255
    Image.fromarray(mask).save(pictures / "m.png")
    rows = [
        {"image": "a.png", "prompt": ["red lips", "no glasses"], "seed": 5, "consent": "form 12"},
        {"image": "a.png", "prompt": "red lips", "mask": "m.png", "seed": 6, "output": "masked/a.jpg"},
        {"image": "sub/b.jpg", "region": "nose", "face": 0},
        {"image": "gone.png", "prompt": "red lips"},
    ]
    listed = pictures / "list.jsonl"
    listed.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "out"
    done = run("batch", listed, *ROSY, "-o", out, "--json")
    assert done.code == 3
    records = {line["image"] + str(line["seed"]): line for line in lines(out) if line["status"] == "ok"}
    assert records["a.png5"]["output"] == "a.red-lips+no-glasses.png"
    assert records["a.png5"]["consent"] == "form 12"
    for row, seed in ((["red lips", "no glasses"], 5), (["red lips", "-m", pictures / "m.png"], 6)):
        suffix = Path(records[f"a.png{seed}"]["output"]).suffix
        alone = tmp_path / f"alone{suffix}"
        assert run("edit", pictures / "a.png", *row, "-s", seed, "-o", alone).code == 0
        assert alone.read_bytes() == (out / records[f"a.png{seed}"]["output"]).read_bytes()
    *items, summary = done.documents
    assert [item["status"] for item in items] == ["ok", "ok", "ok", "failed"]
    assert "gone.png does not exist" in items[-1]["error"]["message"]
    assert summary["schema"] == "faceedit.batch/1" and summary["failed"] == 1


def test_rows_that_differ_in_their_output_alone_are_variants(run: Run, pictures: Path, tmp_path: Path) -> None:
    """Breaks when two items share an id, so that the journal forgets one of them and no later run gets through."""
    rows = [{"image": "a.png", "prompt": "rosy cheeks", "output": name} for name in ("one.png", "two.png")]
    listed = pictures / "list.jsonl"
    listed.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("batch", listed, "-o", tmp_path / "out")
    assert run(*words).code == 0
    again = run(*words)
    assert again.code == 0 and "0 edited, 2 done before" in again.err
    assert (tmp_path / "out/one.png").read_bytes() != (tmp_path / "out/two.png").read_bytes()


def test_resume_does_nothing_twice(run: Run, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    assert run("batch", pictures, *ROSY, "-o", out).code == 0
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    monkeypatch.setattr("faceedit.warm.load_editor", refuse)
    again = run("batch", pictures, *ROSY, "-o", out)
    assert (again.code, again.out) == (0, [])
    assert "0 edited, 2 done before" in again.err
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.png")} == before


def test_what_a_result_depends_on(run: Run, pictures: Path, tmp_path: Path, portraits: list[Image.Image]) -> None:
    """Another setting, another input or a touched result is never taken for done, nor replaced without --force."""
    out = tmp_path / "out"
    base = ("batch", pictures / "a.png", *ROSY, "-o", out)
    assert run(*base).code == 0
    first = (out / "a.rosy-cheeks.png").read_bytes()
    settings = run(*base, "--steps", 3)
    assert settings.code == 3 and "other settings" in settings.err and "--force" in settings.err
    (out / "a.rosy-cheeks.png").write_bytes(first + b"touched")
    touched = run(*base)
    assert touched.code == 3 and "was changed since" in touched.err
    assert (out / "a.rosy-cheeks.png").read_bytes() == first + b"touched"
    assert run(*base, "--force").code == 0
    assert (out / "a.rosy-cheeks.png").read_bytes() == first
    portraits[2].save(pictures / "a.png")
    assert run(*base).code == 3
    assert run(*base, "--force").code == 0
    assert (out / "a.rosy-cheeks.png").read_bytes() != first
    (out / "a.rosy-cheeks.png").unlink()
    assert "1 edited" in run(*base).err


def test_failures_are_told_and_tried_again_only_when_asked(
    run: Run, pictures: Path, tmp_path: Path, portraits: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    (pictures / "cut.png").write_bytes((pictures / "a.png").read_bytes()[:2000])
    base = ("batch", pictures, *ROSY, "-o", out)
    first = run(*base)
    assert first.code == 3
    assert first.err.count("cut.png: cannot read the picture") == 2  # when it happens, and in the summary
    assert run("batch", "status", out).out[-1].startswith("failed  cut.png  cannot read")
    with monkeypatch.context() as patch:
        patch.setattr("faceedit.batch.ready.prepare", refuse)
        again = run(*base)
    assert again.code == 3 and "0 edited, 2 done before, 1 failed" in again.err
    assert "damaged" in run(*base, "--retry-failed").err
    portraits[3].save(pictures / "cut.png")  # the picture is whole now: another key, so it is tried by itself
    mended = run(*base)
    assert (mended.code, mended.out) == (0, [str(out / "cut.rosy-cheeks.png")])


def test_clashes_are_found_before_anything_runs(
    run: Run, pictures: Path, tmp_path: Path, portraits: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faceedit.warm.load_editor", refuse)
    out = tmp_path / "out"
    portraits[2].save(pictures / "A.jpg")
    same = run("batch", pictures, *ROSY, "-o", out)
    assert same.code == 2 and "A.jpg and a.png" in same.err and "--name" in same.err
    assert run("batch", pictures, *ROSY, "--prompt", "red lips", "-o", out, "--name", "{name}.png").code == 2
    (pictures / "A.jpg").unlink()
    assert run("batch", pictures, *ROSY, "-o", pictures).code == 2
    sub = pictures / "sub"
    portraits[2].save(sub / "a.png")
    assert run("batch", sub / "a.png", *ROSY, "-o", sub, "--name", "{stem}.png").code == 1
    out.mkdir()
    (out / "a.rosy-cheeks.png").write_bytes(b"mine")
    foreign = run("batch", pictures / "a.png", *ROSY, "-o", out)
    assert foreign.code == 1 and "not of this batch" in foreign.err
    assert (out / "a.rosy-cheeks.png").read_bytes() == b"mine"
    (out / "sub").symlink_to(tmp_path)
    away = run("batch", sub / "b.jpg", *ROSY, "-o", out, "--name", "sub/{stem}.png")
    assert away.code == 1 and "leads out" in away.err
    assert not list(out.glob("*.jsonl"))


@pytest.mark.parametrize(
    "words",
    [
        ("--prompt", "purple elbows"),
        ("--prompt", ""),
        (),
        ("--prompt", "red lips", "--region", "elbow"),
        ("--prompt", "red lips", "--name", "../{stem}.png"),
        ("--prompt", "red lips", "--shard", "3/3"),
        ("--prompt", "red lips", "--workers", "none"),
        ("--prompt", "red lips", "--root", "."),
        ("--prompt", "red lips", "-b", "nothing"),
    ],
)
def test_what_is_wrong_for_all_stops_at_once(run: Run, pictures: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    assert run("batch", pictures, *words, "-o", tmp_path / "out").code == 2
    assert not (tmp_path / "out").exists()


def test_results_below_the_source_are_no_sources(run: Run, pictures: Path) -> None:
    out = pictures / "results"
    assert run("batch", pictures, *ROSY, "-o", out).code == 0
    again = run("batch", pictures, *ROSY, "-o", out)
    assert again.code == 0 and "2 done before" in again.err
    globbed = run("batch", f"{pictures}/**/*.png", *ROSY, "-o", out)
    assert globbed.code == 0 and "1 done before" in globbed.err


def test_dry_run_reads_and_writes_nothing_but_the_plan(
    run: Run, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faceedit.warm.load_editor", refuse)
    out = tmp_path / "out"
    (pictures / "cut.png").write_bytes(b"")
    done = run("batch", pictures, *ROSY, "-o", out, "-n", "--json")
    assert done.code == 0, done.err
    assert [(line["image"], line["state"]) for line in done.documents] == [
        ("a.png", "to do"),
        ("cut.png", "to do"),
        ("sub/b.jpg", "to do"),
    ]
    assert "rosy cheeks" in run("batch", pictures, *ROSY, "-o", out, "-n").out[1]
    assert not out.exists()


def test_status_and_merge(run: Run, pictures: Path, tmp_path: Path) -> None:
    """Two shards, one of them not run yet; a lost and a touched result show."""
    out = tmp_path / "out"
    shards = [run("batch", pictures, *ROSY, "-o", out, "--shard", f"{index}/2") for index in range(2)]
    assert [shard.code for shard in shards] == [0, 0]
    assert sum(len(shard.out) for shard in shards) == 2
    merged = run("batch", "merge", out, "--json")
    assert merged.code == 0 and merged.documents[0]["complete"] is True
    listed = [json.loads(line) for line in (out / "merged.jsonl").open()]
    assert [(line["output"], line["status"]) for line in listed] == [
        ("a.rosy-cheeks.png", "ok"),
        ("sub/b.rosy-cheeks.png", "ok"),
    ]
    assert run("batch", "merge", out).code == 1  # it is there already
    (out / "a.rosy-cheeks.png").unlink()
    with (out / "sub" / "b.rosy-cheeks.png").open("ab") as file:
        file.write(b"x")
    (status,) = run("batch", "status", out, "--json").documents
    assert (status["ok"], status["missing"], status["changed"], status["total"]) == (0, 1, 1, 2)
    assert run("batch", "merge", out, "--force").code == 3
    assert run("batch", "status", pictures).code == 2


def test_a_source_may_be_called_like_a_verb(run: Run, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pictures.parent)
    pictures.rename("status")
    assert run("batch", "./status", *ROSY, "-o", "out", "-n").code == 0
    assert run("batch", *ROSY, "status", "-o", "out", "-n").code == 0


def test_weights_that_are_missing_stop_the_batch(run: Run, pictures: Path, tmp_path: Path) -> None:
    """Exit 4 and no item marked as failed: it is not the pictures' fault."""
    out = tmp_path / "out"
    done = run("batch", pictures, *ROSY, "-o", out, "--set", "weights.kind=local", "--set", f"weights.path={tmp_path}")
    assert done.code == 4
    assert "failed" not in "".join(path.read_text() for path in out.glob("*.jsonl"))


def test_memory_that_runs_out_stops_the_batch(
    run: Run, pictures: Path, tmp_path: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One step down that is recorded, then exit 7; the next run begins where this one ended."""
    from faceedit import run as walk

    tries: list[int] = []
    real = walk.edit_prepared

    def hungry(prepared: Any, request: Any, **more: Any) -> Any:
        tries.append(prepared.recipe.inpaint.candidates)
        if len(tries) in (1, 3):
            raise MemoryError
        return real(prepared, request, **more)

    out = tmp_path / "out"
    monkeypatch.setattr("faceedit.warm.edit_prepared", hungry)
    words = ("batch", pictures, *ROSY, "-o", out, "--set", "inpaint.candidates=2")
    assert run(*words).code == 7
    assert tries == [2, 1, 1]
    (record,) = [line for line in lines(out) if line["status"] == "ok"]
    assert any("candidates 2 -> 1" in warning for warning in record["warnings"])
    assert "candidates 2 -> 1" in str(read_record(out / record["output"]).data["step_down"])
    assert "failed" not in {line["status"] for line in lines(out)}


def test_an_unforeseen_error_is_one_items_misfortune(
    run: Run, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from faceedit.batch import ready

    real, calls = ready.prepare, []

    def odd(*words: Any) -> Any:
        calls.append(words)
        if len(calls) == 1:
            raise ZeroDivisionError("division by zero")
        return real(*words)

    monkeypatch.setattr("faceedit.batch.ready.prepare", odd)
    done = run("batch", pictures, *ROSY, "-o", tmp_path / "out")
    assert (done.code, len(done.out)) == (3, 1)
    assert "a.png: unexpected ZeroDivisionError: division by zero" in done.err
