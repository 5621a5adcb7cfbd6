"""The small words of prompts: articles, persons, verbs that instruct, words that take away."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Verbs as they come in instructions ("she should laugh", "close the eyes") -> the state or adjective they ask for.
VERB_STATES = {
    "smile": "a smile",
    "grin": "a grin",
    "frown": "a frown",
    "smirk": "a smirk",
    "laugh": "laughing",
    "cry": "crying",
    "wink": "winking",
    "pout": "pouting",
    "yawn": "yawning",
    "scowl": "scowling",
    "squint": "squinting",
}
VERB_ADJECTIVES = {
    "open": "open",
    "close": "closed",
    "shut": "shut",
    "whiten": "whiter",
    "darken": "darker",
    "lighten": "lighter",
    "brighten": "brighter",
    "redden": "redder",
    "thicken": "thicker",
    "lengthen": "longer",
    "shorten": "shorter",
    "straighten": "straightened",
    "widen": "wider",
    "enlarge": "enlarged",
    "shrink": "shrunken",
    "plump": "plump",
    "raise": "raised",
    "soften": "softer",
    "smooth": "smooth",
    "smoothen": "smoother",
    "curl": "curly",
    "trim": "trimmed",
    "narrow": "narrow",
}
# "blue eyed" -> "blue eyes".
SUFFIX_NOUNS = {
    "eyed": "eyes",
    "haired": "hair",
    "lipped": "lips",
    "cheeked": "cheeks",
    "nosed": "nose",
    "skinned": "skin",
    "browed": "eyebrows",
    "chinned": "chin",
    "eared": "ears",
    "mouthed": "mouth",
}

# Singular nouns that want an article.
COUNT_NOUNS = _words(
    "beard moustache mustache goatee hat cap beanie crown tiara helmet beret fedora bonnet turban hood "
    "headscarf bandana headband sombrero diadem headdress wreath earring necklace choker pendant locket "
    "smile grin smirk frown scowl grimace scar mole birthmark tattoo bruise bandage plaster sticker "
    "piercing stud ring wart fringe ponytail pigtail braid plait bob bun mohawk afro mullet undercut "
    "buzzcut hairstyle hairdo haircut updo topknot quiff parting wig nose mouth chin forehead face jaw "
    "jawline hairline complexion expression tan sunburn monocle dimple freckle pimple wrinkle peak "
    "unibrow monobrow laugh shadow look pompadour spot mark rash scratch tooth overbite hijab hoop patch "
    "cut eyebrow cheek lip eye ear halo tongue squint gap bow clip bindi glow pout"
)
DETERMINERS = _words("a an the all her his their my your its our this that these those some any")
# Words that may stand inside a term without changing it ("bags under her left eye").
UNSEEN = DETERMINERS | {"left", "right", "both"}
PRONOUNS = _words(
    "who that which there he she they it i you we him her them me us himself herself themselves someone somebody"
)
PEOPLE = _words(
    "person man woman girl boy lady guy gentleman child kid baby teenager adult individual subject model "
    "people female male human portrait selfie senior grandmother grandfather actor actress"
)
PREPOSITIONS = _words(
    "on in at of under underneath below beneath above over across around along like as near beside "
    "between behind to from for into onto covering through with upon by before"
)
AUXILIARIES = _words(
    "sees should must shall would could can will may might is are be been being was were has have having had "
    "gets get getting need needs to wear wears wearing look looks looking appear appears seem seems "
    "become becomes let also just so really now wore put got sport sporting sports he'd she'd bearing "
    "bears"
)
POLITE = _words("please kindly hey hi hello ok okay thanks thank lets let's want like wish want")
ADDERS = _words(
    "add give put apply insert draw include create grow place show generate paint bring attach introduce make"
)
CHANGERS = _words(
    "make turn change set color colour dye tint transform convert paint let render switch modify alter edit get"
)
REPLACERS = _words("replace swap exchange substitute")
KEEPERS = _words("keep leave preserve retain maintain")
SEEMING = _words("look be appear seem become")
PICTURES = _words("photo photograph picture image portrait closeup shot headshot selfie painting drawing face")
TOUCHES = _words("change touch alter modify edit affect")
TRAILERS = _words("please too instead again now thanks though")
_REMOVER_LIST = (
    "get rid of|take away|take off|wipe off|wipe away|shave off|shave away|cut off|clean off|"
    "free of|free from|no more|no longer|do away with|remove|removing|removed|without|delete|"
    "erase|eliminate|lose|drop|hide|strip|shave|minus|lacking|not|no|none|never|"
    "stop|avoid|quit"
)
REMOVERS = tuple(_REMOVER_LIST.split("|"))
# Removers that also govern the plain nouns coordinated after them ("remove the hat and the glasses").
VERBAL_REMOVERS = frozenset(REMOVERS) - {"no", "not", "none", "never", "no longer", "free of", "free from", "minus"}
JOINTS = _words("and plus with but while also then or nor")
FIXED_PAIRS = (("salt", "and", "pepper"), ("black", "and", "white"))
