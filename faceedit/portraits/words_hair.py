"""Words for hair, hairline, bangs, beard and mustache."""

# ruff: noqa: E501

from __future__ import annotations

from faceedit.portraits.attribute_value import word

_CUT = "hair hairline ears hat"
_DYE = "hair eyebrows beard hat"

HAIR_WORDS = (
    word("hair_style=bald", _CUT, "a bald head|no hair|a shaved head|a bald scalp", "a hairless head|a clean-shaven scalp", "a head like a billiard ball|a head like an egg in the sun", "a bold head"),
    word("hair_style=short", _CUT, "short hair|a short haircut|short-cut hair|close-cropped hair", "a crew cut|hair cut above the ears", "hair like a soldier's|hair like a fresh lawn", "a practical haircut"),
    word("hair_style=medium", _CUT, "medium-length hair|chin-length hair|a bob|hair down to the chin", "a bob cut|hair of middle length", "hair like a helmet of silk|hair like a lampshade", "a neat haircut", editable=False),
    word("hair_style=long", _CUT, "long hair|long straight hair|hair over the shoulders|long flowing hair", "waist-length locks|hair that falls past the shoulders", "hair like a waterfall|hair like rapunzel's", "romantic hair", editable=False),
    word("hair_style=curly", _CUT, "curly hair|curls|a curly hairdo|big curly hair", "frizzy ringlets|an afro of curls", "hair like a cloud|hair like a lamb's wool", "playful hair", editable=False),
    word("hair_style=ponytail", _CUT, "a ponytail|hair tied in a ponytail|a side ponytail|hair tied back", "a horsetail hairdo|pulled-back hair with a tail", "hair like a squirrel's tail|hair ready for a run", "a sporty hairdo", editable=False),
    word("hair_color=black", _DYE, "black hair|dark black hair|jet-black hair|black-colored hair", "raven hair|hair dyed black", "hair like coal|hair like a moonless night", "striking dark hair"),
    word("hair_color=brown", _DYE, "brown hair|dark brown hair|chestnut hair|brown-colored hair", "brunette hair|hair dyed brown", "hair like chocolate|hair like autumn bark", "down-to-earth hair"),
    word("hair_color=blond", _DYE, "blond hair|blonde hair|golden hair|yellow blond hair", "fair flaxen hair|hair dyed blond", "hair like ripe wheat|hair like sunshine", "sunny hair"),
    word("hair_color=red", _DYE, "red hair|ginger hair|orange-red hair|copper hair", "auburn locks|hair dyed red", "hair like a fox|hair like a flame", "fiery hair"),
    word("hair_color=gray", _DYE, "gray hair|grey hair|gray-colored hair|graying hair", "salt-and-pepper hair|hair gone gray", "hair like ashes|hair like a cloudy day", "dignified hair"),
    word("hair_color=white", _DYE, "white hair|snow-white hair|bright white hair|white-colored hair", "platinum white locks|hair gone white", "hair like fresh snow|hair like cotton", "venerable hair"),
    word("bangs=no", "forehead hairline hair eyebrows", "no bangs|hair without bangs|a free forehead|no fringe", "an uncovered forehead|hair off the forehead", "a forehead like an open stage|a forehead open to the sun", "an open look"),
    word("bangs=yes", "forehead hairline hair eyebrows", "bangs|hair bangs|a fringe|bangs over the forehead", "fringe hair on the forehead|a full set of bangs", "hair like a curtain on the forehead|a forehead under a little roof", "a girlish fringe", "no bangs|without bangs|no fringe"),
    word("hairline=normal", "hairline forehead hair", "a normal hairline|an ordinary hairline|a full hairline|a regular hairline", "an average hairline|a hairline without gaps", "a hairline like a drawn arch|a hairline like a well-kept border", "a tidy hairline"),
    word("hairline=receding", "hairline forehead hair", "a receding hairline|a high hairline|thinning hair at the temples|a retreating hairline", "a balding hairline|a widow's peak with bare temples", "a hairline like a low tide|a hairline in retreat", "a scholarly hairline", "a normal hairline|a full hairline"),
    word("beard=none", "beard chin", "no beard|a shaved chin|a beardless face|a clean shaven face", "a chin free of hair|no facial hair", "a chin like a baby's|a chin smooth as silk", "a clean look"),
    word("beard=stubble", "beard chin", "stubble|a stubble beard|light stubble|stubbly cheeks", "a five o'clock shadow|designer stubble", "cheeks like sandpaper|a chin like a mown field", "a rugged look", "no beard|without stubble|clean shaven|a shaved chin"),
    word("beard=full", "beard chin", "a full beard|a beard|a thick beard|a bushy beard", "a long dense beard|a lumberjack's whiskers", "a beard like a viking's|a chin hidden in a bush", "a majestic beard", "no beard|without a beard|clean shaven|a shaved chin"),
    word("beard=goatee", "beard chin", "a goatee|a goatee beard|a chin beard|a small beard on the chin", "a van dyke|a little tuft on the chin", "a beard like a billy goat's|a beard like a musketeer's", "a roguish beard", "no goatee|no beard|without a goatee|clean shaven"),
    word("mustache=no", "beard mouth", "no mustache|a bare upper lip|no moustache|a shaved upper lip", "an upper lip without hair|a hairless upper lip", "an upper lip like a child's|an upper lip smooth as glass", "a tidy upper lip"),
    word("mustache=yes", "beard mouth", "a mustache|a moustache|a thick mustache|a mustache over the lip", "a handlebar of hair above the lip|whiskers above the mouth", "an upper lip under a brush|a lip like a walrus's", "a distinguished upper lip", "no mustache|without a mustache|a shaved upper lip"),
)  # fmt: skip
