"""The work key: a hash of everything that a result depends on. Equal keys, equal results."""

from __future__ import annotations

import hashlib
import json
from functools import cache

from faceedit import __version__
from faceedit.batch.plan import Item
from faceedit.c2pa import Signer
from faceedit.recipe import recipe_values
from faceedit.recipe_schema import Recipe
from faceedit.record import recipe_hashes


def work_key(item: Item, picture: bytes, mask: bytes | None, metadata: bool, signer: Signer | None = None) -> str:
    """SHA-256 over the bytes of picture and mask, the resolved recipe, the words, the seed, the weights, the version.

    Of a signature only the certificates count: two signatures of one result never have the same bytes.

    Args:
        item: the edit.
        picture: encoded bytes of the input.
        mask: encoded bytes of the mask file, where there is one.
        metadata: whether the result holds its record.
        signer: who signs it.

    Raises:
        WeightsError: a file of weights is missing.
    """
    request = item.request
    parts = {
        "picture": hashlib.sha256(picture).hexdigest(),
        "mask": None if mask is None else hashlib.sha256(mask).hexdigest(),
        "settings": _settings(_Recipe(item.recipe)),
        "prompts": request.prompts,
        "source_prompt": request.source_prompt,
        "region": request.region,
        "face": request.face,
        "resize_mask": request.resize_mask,
        "seed": request.seed,
        "format": item.output.suffix.lower(),
        "metadata": metadata,
        "signed": None if signer is None else hashlib.sha256(signer.certificates).hexdigest(),
        "faceedit": __version__,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()


class _Recipe:
    """A recipe as a key of the cache: recipes hold mappings and have no hash of their own."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.text = json.dumps(recipe_values(recipe), sort_keys=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Recipe) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


@cache
def _settings(recipe: _Recipe) -> str:
    weights = recipe_hashes(recipe.recipe)
    return json.dumps([recipe.text, weights], sort_keys=True)
