"""`faceedit info` and `faceedit replay`: how a result was made, and making it again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from faceedit.cli import options as o
from faceedit.cli.console import Console
from faceedit.cli.edit import shown_steps
from faceedit.cli.files import check_outputs, check_stdout, output_path, read_source
from faceedit.cli.output import write_files
from faceedit.cli.verb import command
from faceedit.errors import ImageError

LONG = 200


def register(app: typer.Typer) -> None:
    """Adds the verbs."""

    @command(app, "info")
    def info(console: Console, result: o.ResultFile) -> None:
        """Print the record that is embedded in a result."""
        from faceedit.provenance import read_record

        data = read_record(result).data
        console.emit(
            "faceedit.info/1",
            {"file": str(result), "record": data},
            json.dumps(shortened(data), indent=2, ensure_ascii=True),
        )

    @command(app, "replay")
    def replay(
        console: Console,
        result: o.ResultFile,
        image: o.OriginalImage = None,
        output: o.Output = None,
        force: o.Force = False,
    ) -> None:
        """Make a result again from its record."""
        check_stdout(console, output)
        target = output_path(str(result), output, "replay", result.suffix)
        check_outputs([target], force)
        run_replay(console, result, image, target, force)


def run_replay(console: Console, result: Path, image: str | None, target: Path | None, force: bool) -> None:
    """Runs the record of `result` over its original and says whether the bytes are the same."""
    from faceedit.backend import Choice
    from faceedit.images import format_of
    from faceedit.images import read_source as read_bytes
    from faceedit.provenance import encode_result, read_record
    from faceedit.record import replay_of
    from faceedit.run import edit_prepared, load_editor, prepare

    before, _ = read_bytes(result)
    record = read_record(before)
    source = find_original(result, record.data) if image is None else read_source(image)
    again = replay_of(record, read_bytes(source)[0])
    mask = None if again.mask is None else again.mask.values
    choice = Choice(again.recipe, "as recorded", step_down=str(record.data.get("step_down", "")))
    prepared = prepare(again.request, choice, mask)
    with console.progress() as report:
        report("loading the models", 0, 0)
        editor = load_editor(again.recipe)
        made = edit_prepared(prepared, again.request, editor=editor, progress=shown_steps(report))
    data = encode_result(made, format_of(target or result))
    write_files(console, [(target, data)], force)
    same = data == before
    if same:
        console.say(f"the same bytes as {result}")
    else:
        console.warn(f"other bytes than {result}: {difference(record.data, made.record.data)}")
    shown = None if target is None else str(target)
    document = {"file": str(result), "output": shown, "identical": same}
    console.emit("faceedit.replay/1", document, shown)


def find_original(result: Path, record: dict[str, Any]) -> Path:
    """The picture beside `result` whose hash the record names.

    Raises:
        ImageError: none of the pictures there is it.
    """
    from faceedit.models.manifest import digest

    wanted = record.get("input", {}).get("sha256")
    for path in _pictures_beside(result):
        if digest(path) == wanted:
            return path
    raise ImageError(f"the original of {result} is not in its folder", "name it with --image FILE")


def _pictures_beside(result: Path) -> Iterator[Path]:
    from faceedit.images import SUFFIXES

    for path in sorted(result.parent.iterdir()):
        if path.suffix.lower() in SUFFIXES and path.is_file() and path.name != result.name:
            yield path


def difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    """What changed between two records of the same request, for a person."""
    old, new = before.get("versions", {}), now.get("versions", {})
    changed = [f"{name} {old.get(name)} is now {new[name]}" for name in new if old.get(name) != new[name]]
    if before.get("weights") != now.get("weights"):
        changed.append("the weights are others")
    if any(before.get(key) != now.get(key) for key in ("crop", "mask")):
        changed.append("the face or the place was found elsewhere")
    return ", ".join(changed) or "another format, or written without its record"


def shortened(value: Any) -> Any:
    """A record for reading: long texts, such as an embedded mask, give way to their length."""
    if isinstance(value, dict):
        return {key: shortened(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shortened(item) for item in value]
    return f"({len(value)} characters)" if isinstance(value, str) and len(value) > LONG else value
