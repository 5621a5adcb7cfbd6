"""The walk of an edit, as numbered steps; the only place that knows all rooms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from faceedit import faces, masks, safety
from faceedit.backend import Choice, choose_recipe
from faceedit.crop import PasteMode
from faceedit.errors import NothingToEditError
from faceedit.images import check_frame, load_picture
from faceedit.locate.base import build_locator
from faceedit.locate.user import UserMask
from faceedit.models.places import require_present
from faceedit.prompts import parse
from faceedit.recipe_schema import Recipe
from faceedit.record import make_record, recipe_hashes
from faceedit.regions import region_name
from faceedit.request import AttributePhrase, EditText, Float2, Mask, Picture, Portrait, Request, Result
from faceedit.trajectories import TrajectoryCache, trajectory_of
from faceedit.wordings import for_vocabulary

if TYPE_CHECKING:
    from faceedit.editors.base import Editor, Step

Progress = Callable[["Step"], None]


@dataclass(frozen=True)
class Prepared:
    """Everything that is known before a model is loaded.

    Attributes:
        choice: the recipe, and why it was taken.
        picture: the whole picture.
        portrait: the face and its crop.
        text: source, target and negative sentence.
        mask: the hard place to edit, at the picture's size, inside the crop.
        user_mask: the user's own mask as it was read, where one was given.
        warnings: sentences for the user.
    """

    choice: Choice
    picture: Picture
    portrait: Portrait
    text: EditText
    mask: Mask
    user_mask: Float2 | None
    warnings: tuple[str, ...]

    @property
    def recipe(self) -> Recipe:
        """The resolved recipe."""
        return self.choice.recipe


def find_mask(
    recipe: Recipe, portrait: Portrait, text: EditText, regions: tuple[str, ...], user_mask: Float2 | None
) -> tuple[Mask, tuple[str, ...]]:
    """The hard mask [H, W], cut to the crop, and warnings; the user's own, named regions or the locator's.

    Raises:
        UsageError: an unknown region.
        NothingToEditError: the mask is empty or lies outside the face's crop.
    """
    if user_mask is not None:
        found = UserMask(user_mask).locate(portrait, text)
    elif regions:
        phrase = AttributePhrase(text=" ".join(regions), regions=tuple(region_name(name) for name in regions))
        found = build_locator("template").locate(portrait, replace(text, phrases=(phrase,)))
    else:
        found = build_locator(recipe.locator.name, recipe).locate(portrait, text)
    values = masks.convex_hull(found.values) if recipe.locator.hull else found.values
    x0, y0, x1, y1 = portrait.crop
    values = masks.dilate(values, recipe.locator.dilate * (x1 - x0))
    masks.require_nonempty(values)
    h, w = values.shape
    box = (slice(max(y0, 0), min(y1, h)), slice(max(x0, 0), min(x1, w)))
    inside = np.zeros_like(values)
    inside[box] = values[box]
    if not inside.any():
        raise NothingToEditError("the mask lies outside the face's crop", "choose the face with --face")
    lost = 1 - float(inside.sum()) / float(values.sum())
    told = [f"{lost:.0%} of the mask lies outside the face's crop and is left alone"] if lost > 0.01 else []
    covered = masks.coverage_warning(values) if found.origin == "file" else None
    notes = [text for text in (found.note, *told, covered) if text]
    return Mask(inside, found.origin, found.note, found.heat), tuple(notes)


def prepare(request: Request, choice: Choice | None = None, user_mask: Float2 | None = None) -> Prepared:
    """Steps 1 to 4 of the walk: recipe, words, portrait, place. Loads no model.

    Args:
        request: what to do.
        choice: a recipe chosen already, as a replay has it.
        user_mask: a mask read already, float32 [H, W]; wins over the request's own.
    """
    # 1. the recipe
    choice = choice or choose_recipe(request)
    # 2. the words
    given = bool(request.region or request.mask or user_mask is not None)
    text = parse(request.prompts, request.source_prompt, regions_given=given)
    if choice.recipe.vocabulary == "portraits":
        text = for_vocabulary(text, request.source_prompt)
    # 3. the portrait
    picture = load_picture(request.image)
    face = faces.choose_face(faces.find_faces(picture), request.face)
    portrait = faces.portrait_of(picture, face, choice.recipe.margin)
    # 4. the place
    if user_mask is None and request.mask is not None:
        user_mask = UserMask.read(request.mask, picture.size, request.resize_mask).values
    elif user_mask is not None:
        user_mask = masks.fit(user_mask, picture.size)
    mask, warnings = find_mask(choice.recipe, portrait, text, request.region, user_mask)
    return Prepared(choice, picture, portrait, text, mask, user_mask, (*picture.notes, *warnings))


def load_editor(recipe: Recipe) -> Editor:
    """The recipe's editor over its loaded components; keep it to serve any number of edits.

    Raises:
        WeightsError: weights are missing or damaged, the safety checker's among them.
        UsageError: the editor cannot work at the recipe's size.
    """
    from faceedit.editors.base import build_editor, require_size, unused_parts
    from faceedit.models.loader import load_components
    from faceedit.models.plan import device_plan

    safety.require_checker(recipe)
    require_size(recipe)
    components = load_components(recipe.weights, device_plan(recipe.device), skip=unused_parts(recipe))
    return build_editor(recipe, components)


def edit(request: Request, *, progress: Progress | None = None, editor: Editor | None = None) -> Result:
    """Edit one local attribute of one face.

    Args:
        request: what to do.
        progress: called with every step of the edit loop.
        editor: a loaded editor of the same recipe, to save loading it again.

    Raises:
        FaceEditError: with the exit code and hint that the command line shows.
    """
    from faceedit.warm import Warm

    choice = choose_recipe(request)
    if editor is None:
        require_present(choice.recipe.weights)
    prepared = prepare(request, choice)
    return require_change(Warm(prepared.recipe, editor).edit(prepared, request, progress))


def require_change(result: Result) -> Result:
    """`result` itself; the input is never passed off as an edit.

    Raises:
        NothingToEditError: not one pixel was changed.
    """
    if np.array_equal(result.rgb, result.picture.rgb):
        raise NothingToEditError("the edit changed nothing", "try --strength 1, another seed or a larger mask")
    return result


def edit_prepared(
    prepared: Prepared,
    request: Request,
    *,
    editor: Editor,
    progress: Progress | None = None,
    cache: TrajectoryCache | None = None,
) -> Result:
    """Steps 5 and 6 of the walk: invert and edit, paste back. The editor decides nothing about the rest.

    With a `cache` an editor that offers it takes the inverted picture from there; without one it inverts every time.
    """
    import torch

    from faceedit.editors.base import TellsNotes

    recipe, portrait = prepared.recipe, prepared.portrait
    # 5. invert and edit
    pixels = np.asarray(faces.crop_pixels(portrait, editor.size), dtype=np.float32) / np.float32(255)
    crop_mask = faces.crop_mask(prepared.mask.values, portrait, editor.size)
    trajectory, notes = trajectory_of(editor, pixels, prepared.text.source, recipe, cache)
    generator = torch.Generator().manual_seed(request.seed)
    latents = trajectory.latents
    for step in editor.edit(trajectory, prepared.text, crop_mask, generator):
        latents = step.latents
        if progress is not None:
            progress(step)
    edited = editor.decode(latents)
    check_frame(edited)
    found = safety.finding(recipe, edited)
    mode = cast(PasteMode, recipe.paste.mode)
    reconstructed = None if mode == "full" else editor.decode(trajectory.latents)
    # 6. paste back
    side = portrait.crop[2] - portrait.crop[0]
    soft = masks.feather(prepared.mask.values, recipe.paste.feather * side)
    rgb = faces.paste_back(prepared.picture.rgb, portrait, edited, soft, mode, reconstructed)
    warnings = (*prepared.warnings, *notes, *(editor.notes if isinstance(editor, TellsNotes) else ()))
    changed = np.abs(rgb.astype(np.int16) - prepared.picture.rgb)[soft > 0].mean()
    if changed < 0.5:
        warnings = (*warnings, "hardly anything changed; try --strength 1, another seed or a larger mask")
    if found == safety.FLAGGED:
        warnings = (*warnings, "the safety checker flagged this edit")
    record = make_record(prepared, request, recipe_hashes(recipe), found)
    return Result(prepared.picture, rgb, replace(prepared.mask, values=soft), record, warnings, found)


def locate_mask(request: Request) -> tuple[Prepared, Mask]:
    """Where the edit would act, with no model loaded: steps 1 to 4 and the soft mask [H, W]."""
    prepared = prepare(request)
    side = prepared.portrait.crop[2] - prepared.portrait.crop[0]
    soft = masks.feather(prepared.mask.values, prepared.recipe.paste.feather * side)
    return prepared, replace(prepared.mask, values=soft)
