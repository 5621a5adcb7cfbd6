"""Words for lips, cheeks, freckles and eyeshadow."""

# ruff: noqa: E501

from __future__ import annotations

from faceedit.portraits.attribute_value import word

_LIPS = "lips mouth"
_LID = "eyes makeup"
_BARE = "natural lips|no lipstick"

MAKEUP_WORDS = (
    word("lip_color=natural", _LIPS, "natural lips|no lipstick|natural lip color|lips without lipstick", "unpainted lips|bare lips", "lips as nature made them|lips like plain skin", "modest lips"),
    word("lip_color=red", _LIPS, "red lips|red lipstick|bright red lips|red-painted lips", "scarlet lips|crimson lipstick", "lips like cherries|lips like a red rose", "seductive lips", _BARE),
    word("lip_color=pink", _LIPS, "pink lips|pink lipstick|bright pink lips|pink-painted lips", "rose-colored lips|fuchsia lipstick", "lips like bubblegum|lips like peonies", "sweet lips", _BARE),
    word("lip_color=purple", _LIPS, "purple lips|purple lipstick|violet lips|purple-painted lips", "plum-colored lips|lilac lipstick", "lips like blueberries|lips like ripe grapes", "daring lips", _BARE),
    word("lips=normal", _LIPS, "normal lips|ordinary lips|medium lips|lips of medium size", "average lips|lips of usual fullness", "lips like everyone's|lips nobody would notice", "balanced lips"),
    word("lips=full", _LIPS, "full lips|thick lips|big lips|plump lips", "voluptuous lips|a full mouth", "lips like cushions|lips like ripe fruit", "sensual lips", "normal lips|ordinary lips"),
    word("lips=thin", _LIPS, "thin lips|narrow lips|slim lips|fine lips", "slender lips|a thin-lipped mouth", "lips like a line|lips like a slit", "stern lips", "normal lips|ordinary lips"),
    word("cheeks=plain", "cheeks", "plain cheeks|no blush|cheeks without blush|even-toned cheeks", "unblushed cheeks|cheeks of even color", "cheeks like calm water|cheeks without a sunset", "quiet cheeks"),
    word("cheeks=rosy", "cheeks", "rosy cheeks|flushed cheeks|blush on the cheeks|red cheeks", "blushing cheeks|rouge on the cheeks", "cheeks like ripe apples|cheeks like after a walk in the snow", "healthy, lively cheeks", "no blush|plain cheeks|without rosy cheeks"),
    word("freckles=no", "cheeks nose under_eyes", "no freckles|skin without freckles|unfreckled cheeks|no spots on the cheeks", "a face free of freckles|spotless cheeks", "cheeks like a clear sky|cheeks without stars", "even cheeks"),
    word("freckles=yes", "cheeks nose under_eyes", "freckles|freckled cheeks|freckles on the cheeks|a freckled face", "sun spots across the nose|many little freckles", "cheeks sprinkled with cinnamon|cheeks like a starry sky", "cheerful summery cheeks", "no freckles|without freckles"),
    word("eyeshadow=none", _LID, "no eyeshadow|bare eyelids|natural eyelids|eyes without eyeshadow", "unpainted eyelids|lids without color", "eyelids as nature made them|eyelids plain as paper", "modest eyelids"),
    word("eyeshadow=blue", _LID, "blue eyeshadow|blue eyelids|blue eye makeup|blue-painted eyelids", "azure lids|sky-blue eye paint", "eyelids like bluebells|eyelids like the evening sky", "glamorous blue lids", "no eyeshadow|without eyeshadow"),
    word("eyeshadow=purple", _LID, "purple eyeshadow|purple eyelids|purple eye makeup|purple-painted eyelids", "violet lids|lilac eye paint", "eyelids like lavender|eyelids like violets", "glamorous purple lids", "no eyeshadow|without eyeshadow"),
    word("eyeshadow=green", _LID, "green eyeshadow|green eyelids|green eye makeup|green-painted eyelids", "emerald lids|mint-green eye paint", "eyelids like spring leaves|eyelids like a peacock's", "glamorous green lids", "no eyeshadow|without eyeshadow"),
)  # fmt: skip
