"""The names of the places on a face: the 18 regions of Flux-Sculptor's Text2Mask table, and four more."""

from __future__ import annotations

import difflib

from faceedit.errors import UsageError

TEXT2MASK_REGIONS = (
    "beard",
    "face_shape",
    "chin",
    "skin",
    "hair",
    "hairline",
    "forehead",
    "mouth",
    "lips",
    "nose",
    "eyebrows",
    "under_eyes",
    "pupils",
    "eyes",
    "makeup",
    "cheeks",
    "expression",
    "eyeglasses",
)
REGIONS = (*TEXT2MASK_REGIONS, "ears", "hat", "earring", "necklace")

ALIASES = {
    "areas_below_eyes": "under_eyes",
    "eye_pupils": "pupils",
    "glasses": "eyeglasses",
    "face": "face_shape",
    "brows": "eyebrows",
    "earrings": "earring",
    "cheek": "cheeks",
    "lip": "lips",
    "eye": "eyes",
    "ear": "ears",
}


def region_name(name: str) -> str:
    """The canonical name of a region, from any spelling ("Areas below eyes", "eye-pupils", "glasses").

    Raises:
        UsageError: the name is no region; the message lists them all.
    """
    key = name.strip().lower().replace(" ", "_").replace("-", "_")
    key = ALIASES.get(key, key)
    if key in REGIONS:
        return key
    near = difflib.get_close_matches(key, REGIONS, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UsageError(f"unknown region {name!r}", f"{hint}the regions are: {', '.join(REGIONS)}")
