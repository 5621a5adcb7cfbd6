"""Words for glasses, hats and jewellery."""

# ruff: noqa: E501

from __future__ import annotations

from faceedit.portraits.attribute_value import word

_HAT = "hat hair hairline forehead"

WORN_WORDS = (
    word("glasses=none", "eyeglasses", "no glasses|no eyeglasses|a face without glasses|no spectacles", "uncovered eyes|no lenses before the eyes", "eyes without a fence|eyes without windows", "an unframed look"),
    word("glasses=eyeglasses", "eyeglasses", "glasses|eyeglasses|spectacles|clear glasses", "reading glasses|framed lenses", "eyes behind little windows|eyes in two frames", "a bookish look", "no glasses|without glasses|no eyeglasses|without eyeglasses"),
    word("glasses=sunglasses", "eyeglasses", "sunglasses|dark sunglasses|dark glasses|black sunglasses", "tinted shades|glasses with dark lenses", "eyes hidden like a movie star's|eyes like a fly's", "a cool look", "no sunglasses|without sunglasses|no glasses|without glasses"),
    word("hat=none", _HAT, "no hat|a bare head|a head without a hat|an uncovered head", "nothing on the head|no headwear", "a head open to the sky|a head without a roof", "a free head"),
    word("hat=beanie", _HAT, "a beanie|a beanie hat|a knitted hat|a wool hat", "a knit cap of wool|a winter bobble hat", "a head under a tea cozy|a head dressed for snow", "a cozy hat", "no hat|without a hat|a bare head"),
    word("hat=cap", _HAT, "a cap|a baseball cap|a cap with a visor|a peaked cap", "a trucker's headgear|a sports cap", "a head dressed for the ballpark|a head with its own sunshade", "a sporty hat", "no cap|no hat|without a hat|a bare head"),
    word("earring=none", "earring ears", "no earrings|bare earlobes|ears without earrings|no earring", "unadorned earlobes|no jewels at the ears", "ears as nature made them|ears without treasure", "plain simple ears"),
    word("earring=hoops", "earring ears", "hoop earrings|earrings|golden hoops|big hoop earrings", "creole earrings|rings hanging from the ears", "ears like a pirate's|ears with little wheels", "flashy ears", "no earrings|without earrings|bare earlobes"),
    word("earring=pearls", "earring ears", "pearl earrings|pearls on the ears|earrings with pearls|white pearl earrings", "pearl studs|pearl drops at the ears", "ears like oysters|ears with two small moons", "refined ears", "no earrings|without earrings|bare earlobes"),
    word("necklace=none", "necklace", "no necklace|a bare neck|a neck without a necklace|no chain around the neck", "an unadorned neck|nothing around the neck", "a neck as nature made it|a neck without treasure", "a plain simple neck"),
    word("necklace=gold", "necklace", "a gold necklace|a golden necklace|a necklace|a gold chain", "a golden chain with a pendant|gold around the neck", "a neck like a pharaoh's|a neck with a ray of sun", "a wealthy look", "no necklace|without a necklace|a bare neck"),
    word("necklace=pearls", "necklace", "a pearl necklace|a necklace of pearls|a string of pearls|pearls around the neck", "a white bead necklace|a row of pearl beads", "a neck like a mermaid's|a neck wrapped in small moons", "a ladylike look", "no necklace|without a necklace|a bare neck"),
)  # fmt: skip
