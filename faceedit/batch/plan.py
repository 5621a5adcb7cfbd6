"""What a batch will do, settled before anything runs: every edit with its words, seed, recipe and place."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from faceedit.backend import Choice, choose_recipe
from faceedit.batch.naming import check_template, render, same_place, slug
from faceedit.batch.safe_path import inside
from faceedit.batch.sources import Found, Source
from faceedit.decode import plain
from faceedit.errors import OutputError, UsageError
from faceedit.prompts import parse
from faceedit.recipe_schema import Recipe
from faceedit.regions import region_name
from faceedit.request import Request
from faceedit.wordings import for_vocabulary

_MAX_TOLD = 5


@dataclass(frozen=True)
class Item:
    """One edit of one picture.

    Attributes:
        id: "sub/a.png#3f2a91c0b7d2": the picture's name and a hash of what the source says about this edit; it does
            not change with the folder's place, the other items or the settings of the run.
        name: the picture's path below the source's root.
        request: the edit, with the picture's path and the seed already chosen.
        choice: the recipe.
        output: path of the result below the output folder.
        consent: the manifest's remark, for the record.
        problem: why the picture must not be read, or the empty text.
    """

    id: str
    name: str
    request: Request
    choice: Choice
    output: PurePosixPath
    consent: str | None = None
    problem: str = ""

    @property
    def recipe(self) -> Recipe:
        """The resolved recipe."""
        return self.choice.recipe


@dataclass(frozen=True)
class Plan:
    """All items of a run in the order of work, for the output folder `folder`."""

    items: tuple[Item, ...]
    folder: Path
    passed_over: int = 0


def make_plan(source: Source, edits: Iterable[tuple[str, ...]], base: Request, folder: Path, template: str) -> Plan:
    """Settle every item; no picture is read and no model loaded.

    Args:
        source: the pictures.
        edits: the edits of every picture that has no prompts of its own, each a tuple of phrases.
        base: the request that all items start from; its image is not used, its seed is the run's.
        folder: the output folder.
        template: names of the results (`faceedit.batch.naming`).

    Raises:
        UsageError: words that mean nothing, an unknown recipe, or two results with one name.
        OutputError: a result would lie outside the folder or on top of an input.
    """
    check_template(template)
    choices: dict[tuple[str, str | None], Choice] = {}
    understood: set[str] = set()
    items: list[Item] = []
    for found in source.found:
        for edit in _edits_of(found, tuple(edits)):
            request = _request(found, edit, base)
            chosen_by = (request.backend, request.recipe)
            choice = choices.get(chosen_by) or choose_recipe(request)
            choices[chosen_by] = choice
            _understand(request, choice, understood, found)
            items.append(_item(found, request, choice, base.seed, template))
    _refuse_collisions(items, folder)
    first = {id(choice): number for number, choice in enumerate(choices.values())}
    # One recipe after the other, so that only one set of models is ever in memory.
    items.sort(key=lambda item: first[id(item.choice)])
    return Plan(tuple(items), folder, source.passed_over)


def _edits_of(found: Found, edits: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    own = edits if found.row is None else found.row.edits or edits
    if not own:
        where = "" if found.row is None else f" for {found.row.where}"
        raise UsageError(f"no prompt{where}", 'say what to change with --prompt "rosy cheeks", or in the manifest')
    return own


def _request(found: Found, edit: tuple[str, ...], base: Request) -> Request:
    row = found.row
    if row is None:
        return replace(base, image=found.path, prompts=edit)
    request = replace(base, image=found.path, prompts=edit)
    if found.mask is not None or row.region:
        request = replace(request, mask=found.mask, region=row.region)
    if row.backend is not None or row.recipe is not None:
        request = replace(request, backend=row.backend or "auto", recipe=row.recipe)
    if row.face is not None:
        request = replace(request, face=row.face)
    return request if row.source_prompt is None else replace(request, source_prompt=row.source_prompt)


def _understand(request: Request, choice: Choice, understood: set[str], found: Found) -> None:
    """Reads the words once, so that a prompt that means nothing stops the run and not every item of it."""
    given = bool(request.region or request.mask)
    said = (request.prompts, request.source_prompt, request.region, given, choice.recipe.vocabulary)
    signature = repr(said)
    if signature in understood:
        return
    try:
        for name in request.region:
            region_name(name)
        text = parse(request.prompts, request.source_prompt, regions_given=given)
        if choice.recipe.vocabulary == "portraits":
            for_vocabulary(text, request.source_prompt)
    except UsageError as error:
        where = f"{found.row.where}: " if found.row is not None and found.row.edits else ""
        raise UsageError(f"{where}{error}", error.hint) from None
    understood.add(signature)


def _item(found: Found, request: Request, choice: Choice, run_seed: int, template: str) -> Item:
    row = found.row
    item_id = f"{found.name}#{_said(found, request)}"
    seed = row.seed if row is not None and row.seed is not None else item_seed(run_seed, item_id)
    values = {
        "folder": "" if found.name.parent == PurePosixPath() else str(found.name.parent),
        "stem": found.name.stem,
        "name": found.name.name,
        "suffix": found.name.suffix.lstrip(".").lower(),
        "prompt": "+".join(slug(prompt) for prompt in request.prompts),
        "seed": str(seed),
        "editor": choice.recipe.editor,
        "recipe": choice.recipe.name.replace("/", "-"),
        "region": "+".join(request.region) or "auto",
        "face": "largest" if request.face is None else str(request.face),
        "id": item_id.rpartition("#")[2],
    }
    output = row.output if row is not None and row.output is not None else render(template, values)
    return Item(
        id=item_id,
        name=str(found.name),
        request=replace(request, seed=seed),
        choice=choice,
        output=output,
        consent=None if row is None else row.consent,
        problem=found.problem,
    )


def _said(found: Found, request: Request) -> str:
    """A short hash of what the source says about an edit besides the picture's name."""
    row = found.row
    said = [
        list(request.prompts),
        None if row is None else [str(row.mask), row.region, row.seed, row.backend, row.recipe, row.face],
        None if row is None else row.source_prompt,
        # Two rows may differ in nothing else: variants of one edit.
        None if row is None else str(row.output),
    ]
    return hashlib.sha256(json.dumps(said).encode("utf-8")).hexdigest()[:12]


def item_seed(run_seed: int, item_id: str) -> int:
    """The seed of an item without one of its own: 32 bits of the SHA-256 of run seed and item id.

    It depends on nothing else, so a shard, a resumed run and a single run draw the same noise for an item.
    """
    text = f"{run_seed}\n{item_id}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "big")


def _refuse_collisions(items: list[Item], folder: Path) -> None:
    places: dict[str, Item] = {}
    clashes: list[str] = []
    for item in items:
        other = places.setdefault(same_place(item.output), item)
        if other is not item:
            clashes.append(f"{plain(other.name)} and {plain(item.name)} to {plain(item.output)}")
    if clashes:
        more = f", and {len(clashes) - _MAX_TOLD} more" if len(clashes) > _MAX_TOLD else ""
        raise UsageError(
            f"two results would go to one file: {'; '.join(clashes[:_MAX_TOLD])}{more}",
            'tell them apart with --name, e.g. --name "{name}.{prompt}.png", or with {seed}, {region} or {id}',
        )
    inputs = {item.request.image.resolve() for item in items if isinstance(item.request.image, Path) and _real(item)}
    for parent in {item.output.parent for item in items}:
        if not inside(folder, folder / parent):
            raise OutputError(f"{plain(folder / parent)} leads out of the output folder", "remove the link")
    for item in items:
        if (folder / item.output).resolve() in inputs:
            raise OutputError(
                f"the result {plain(item.output)} would replace an input", "choose another folder with -o"
            )


def _real(item: Item) -> bool:
    return isinstance(item.request.image, Path) and item.request.image.is_file()


def counts_by_recipe(items: Iterable[Item]) -> dict[str, int]:
    """Recipe name -> number of items, in the order of work."""
    return dict(Counter(item.recipe.name for item in items))
