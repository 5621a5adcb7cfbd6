"""How `examples/portrait.png` was drawn: python examples/make_portrait.py. No real person is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PIL import Image

from faceedit.portraits.attributes import sample_attributes
from faceedit.portraits.render import render
from faceedit.portraits.split import held_out_seed

SEED = held_out_seed(12)
PLAIN = {
    "age": "young", "gender": "feminine", "face_shape": "oval", "eyes": "open", "expression": "smile",
    "eyebrows": "normal", "under_eyes": "plain", "forehead": "smooth", "nose": "normal", "chin": "normal",
    "ears": "normal", "lips": "normal", "lip_color": "natural", "cheeks": "plain", "freckles": "no",
    "eyeshadow": "none", "beard": "none", "mustache": "no", "bangs": "no", "hairline": "normal", "glasses": "none",
    "hat": "none", "earring": "none", "necklace": "none",
}  # fmt: skip

if __name__ == "__main__":
    portrait = render(SEED, 512, replace(sample_attributes(SEED), **PLAIN), regions=False)
    Image.fromarray(portrait.image).save(Path(__file__).with_name("portrait.png"), optimize=True)
