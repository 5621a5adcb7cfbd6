"""The words that prompts are understood by: names of places, things and states on a face, and the small words around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["body", "thing", "mark", "state"]


@dataclass(frozen=True)
class Term:
    """What a word or fixed phrase of the lexicon stands for.

    Attributes:
        regions: canonical regions, the ones edited when nothing more precise is said.
        kind: "body" is a part that everybody has ("lips"), "thing" an attribute in itself ("glasses"), "mark" something
            that sits wherever the phrase puts it ("scar"), "state" an adjective or participle ("smiling").
    """

    regions: tuple[str, ...]
    kind: Kind


# Regions (joined by "+") -> words and fixed phrases, singular or plural alike.
BODY = {
    "lips": "lip|upper lip|lower lip|pout",
    "mouth": "mouth|teeth|tooth|tongue|gum|mouth corner|corner of mouth|corners of mouth",
    "eyes": "eye|eyelid|eye lid|eyelash|eye lash|lash|eye corner|eye socket|sclera|gaze",
    "pupils": "pupil|iris|eye pupil|irises|eye color|eye colour",
    "under_eyes": "under eye|undereye|area below eyes|areas below eyes|area under eyes|lower eyelid",
    "eyebrows": "eyebrow|eye brow|brow|monobrow|unibrow",
    "nose": "nose|nostril|nasal bridge|nose bridge|bridge of nose|nose tip|tip of nose|septum",
    "cheeks": "cheek|cheekbone|cheek bone|jowl",
    "chin": "chin",
    "forehead": "forehead|temple",
    "hairline": "hairline|hair line",
    "hair": "hair|hairs|head of hair|hair color|hair colour",
    "ears": "ear|earlobe|ear lobe",
    "skin": "skin|complexion|skin tone|skin color|skin colour|pore",
    "face_shape": "face|face shape|jaw|jawline|jaw line|head shape|facial contour",
    "expression": "expression|facial expression|mood|mien",
}
THINGS = {
    "beard": "beard|moustache|mustache|goatee|stubble|sideburn|side burn|facial hair|whisker|soul patch|mutton chop|van dyke|"
    "five o'clock shadow|5 o'clock shadow|handlebar|peach fuzz",
    "eyeglasses": "glasses|eyeglasses|eye glasses|spectacles|sunglasses|sun glasses|specs|shades|goggles|monocle|pince nez|aviators|"
    "eyewear|reading glasses",
    "hat": "hat|cap|beanie|crown|tiara|helmet|beret|fedora|bonnet|turban|hood|headscarf|head scarf|bandana|headband|cowboy hat|"
    "baseball cap|bowler|sombrero|diadem|headdress|flower crown|wreath|bucket hat|top hat|headgear|woolly hat|toque|hijab|halo",
    "earring": "earring|ear ring|ear stud|ear cuff|ear piercing|hoop|ear pendant|ear jewelry|ear jewellery|stud in ear|ring in ear",
    "necklace": "necklace|choker|pendant|neck chain|pearl necklace|collar necklace|locket|string of pearls|chain around neck",
    "lips": "lipstick|lip stick|lip gloss|lipgloss|lip balm|lip liner|lip filler|lip piercing|lip ring|cupid's bow|labret",
    "mouth": "braces|gold tooth|gap teeth|tooth gap|buck teeth|fangs|overbite|grillz",
    "mouth+expression": "smile|grin|smirk|laugh|laughter|frown|scowl|grimace|pouting mouth|snarl|yawn",
    "eyes": "eyelashes|mascara|eyeliner|eye liner|eyeshadow|eye shadow|eye makeup|eye make up|false lashes|contact lens|"
    "contact lenses|contacts|crow's feet|crows feet|crow foot|smoky eye|cat eye|heterochromia|squint",
    "under_eyes": "dark circle|eye bag|bags under eyes|bag under eyes|circles under eyes|rings under eyes|shadows under eyes|"
    "dark rings|tear trough|puffy eyes|eye circles|under eye bags|bags below eyes|circles below eyes",
    "eyebrows": "eyebrow piercing|brow piercing|eyebrow slit",
    "nose": "nose ring|septum ring|nose stud|nose piercing|septum piercing|nasal ring|bulbous nose|clown nose|hump on nose",
    "cheeks": "blush|blusher|rouge|dimple|rosy glow|apple cheeks|bronzer|contouring",
    "cheeks+nose": "freckle|freckling",
    "chin": "double chin|cleft chin|chin dimple|chin cleft|dimpled chin",
    "hairline": "widow's peak|receding hairline|receding hair|receding hair line",
    "hair+forehead": "bang|fringe",
    "hair": "ponytail|pony tail|pigtail|braid|plait|curl|wave|bob|bun|mohawk|afro|dreadlock|dreads|cornrow|mullet|undercut|buzz cut|"
    "buzzcut|crew cut|pixie cut|bob cut|hairstyle|hair style|hairdo|haircut|updo|topknot|top knot|hair bow|hair clip|highlights|"
    "ringlet|quiff|bowl cut|parting|comb over|locks|tresses|strands of hair|pompadour|wig|hair band|hair ribbon|curly top",
    "makeup": "makeup|cosmetics|foundation|contour|face powder|concealer|powder|maquillage|highlighter",
    "face_shape": "jaw line|square jaw|strong jaw",
    "skin": "tan|sunburn|sun tan|suntan|face paint|face mask|acne scars",
    "expression": "angry look|sad look|happy look|poker face",
}
MARKS = {
    "skin": "wrinkle|fine line|age spot|acne|pimple|spot|blemish|tattoo|scar|mole|birthmark|birth mark|bruise|bandage|plaster|"
    "band aid|glitter|sticker|piercing|stud|ring|rash|wart|beauty mark|beauty spot|scratch|cut|paint|mud|sweat|tear|shine|vitiligo|"
    "zit|line|crease|redness|shadow|sequin|gem|jewel|bindi|dot|liver spot|stripe|dimpling|furrow",
    "under_eyes": "bag|circle",
}
STATES = {
    "mouth+expression": "smiling|grinning|laughing|frowning|pouting|smirking|yawning|scowling|grimacing|toothy|open mouthed|snarling",
    "expression": "angry|happy|sad|surprised|scared|afraid|fearful|disgusted|neutral|serious|calm|joyful|cheerful|furious|worried|"
    "bored|confused|shocked|relaxed|friendly|grumpy|crying|excited|annoyed|sleepy|tired|stern|proud|shy|gloomy|mad|amused|"
    "melancholic|astonished|upset|unhappy",
    "eyes": "winking|squinting|cross eyed|blinking|wide eyed|doe eyed|bug eyed",
    "skin": "older|old|young|younger|elderly|aged|youthful|pale|tanned|sunburnt|sunburned|wrinkled|wrinkly|dark skinned|aging|ageing|"
    "middle aged|suntanned|sweaty|sweating|tattooed|scarred|spotty|pimply|sun kissed|fair skinned|light skinned|mature|teenage",
    "cheeks": "blushing|flushed|dimpled|rosy|rosy cheeked|red cheeked",
    "cheeks+nose": "freckled|freckly",
    "beard": "bearded|unshaven|moustached|mustached|stubbly|moustachioed|mustachioed",
    "hair": "blonde|blond|brunette|redhead|red haired|redheaded|grey haired|gray haired|long haired|short haired|curly haired|"
    "curly|dreadlocked|balding|dark haired|ginger",
    "eyeglasses": "bespectacled",
    "face_shape": "chubby|skinny|gaunt|round faced|fat|thin|slim|plump|square jawed",
    "makeup": "made up",
}

# States that mean that something is gone -> what is gone.
GONE = {
    "bald": "hair",
    "bald headed": "hair",
    "completely bald": "hair",
    "hairless": "hair",
    "shaved head": "hair",
    "bald head": "hair",
    "shaven head": "hair",
    "clean shaven": "a beard",
    "cleanly shaven": "a beard",
    "freshly shaven": "a beard",
    "shaven": "a beard",
    "shaved": "a beard",
    "smooth shaven": "a beard",
    "beardless": "a beard",
    "hatless": "a hat",
    "bareheaded": "a hat",
    "bare headed": "a hat",
    "bare faced": "makeup",
    "barefaced": "makeup",
    "unmade up": "makeup",
    "wrinkleless": "wrinkles",
    "browless": "eyebrows",
}
# The noun that a state is taken away as ("not smiling" -> "without a smile").
STATE_NOUNS = {
    "smiling": "a smile",
    "grinning": "a grin",
    "laughing": "a laugh",
    "frowning": "a frown",
    "smirking": "a smirk",
    "bearded": "a beard",
    "freckled": "freckles",
    "freckly": "freckles",
    "wrinkled": "wrinkles",
    "wrinkly": "wrinkles",
    "dimpled": "dimples",
    "tattooed": "tattoos",
    "bespectacled": "glasses",
    "blushing": "a blush",
}
# States that read better with their noun.
STATE_REWRITES = {
    "blond": "blond hair",
    "blonde": "blonde hair",
    "brunette": "brunette hair",
    "redhead": "red hair",
    "ginger": "ginger hair",
    "curly": "curly hair",
    "rosy": "rosy cheeks",
    "toothy": "a toothy smile",
}
# Verbs as they come in instructions ("she should laugh", "close the eyes") -> the state or adjective that they ask for.
VERB_STATES = {
    "smile": "a smile",
    "grin": "a grin",
    "frown": "a frown",
    "smirk": "a smirk",
    "laugh": "laughing",
    "cry": "crying",
    "wink": "winking",
    "blush": "a blush",
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

COLOURS = frozenset(
    "blue green brown hazel grey gray black amber golden violet purple dark light emerald turquoise sapphire teal red azure "
    "chestnut honey pale bright icy bluish greenish brownish aqua pink white yellow orange silver".split()
)
# Singular nouns that want an article.
COUNT_NOUNS = frozenset(
    "beard moustache mustache goatee hat cap beanie crown tiara helmet beret fedora bonnet turban hood headscarf bandana headband "
    "sombrero diadem headdress wreath earring necklace choker pendant locket smile grin smirk frown scowl grimace scar mole "
    "birthmark tattoo bruise bandage plaster sticker piercing stud ring wart fringe ponytail pigtail braid plait bob bun mohawk afro "
    "mullet undercut buzzcut hairstyle hairdo haircut updo topknot quiff parting wig nose mouth chin forehead face jaw jawline hairline "
    "complexion expression tan sunburn monocle dimple freckle pimple wrinkle peak unibrow monobrow laugh shadow look pompadour spot mark "
    "rash scratch tooth overbite hijab hoop patch cut eyebrow cheek lip eye ear halo tongue squint gap bow clip bindi glow pout".split()
)
DETERMINERS = frozenset("a an the her his their my your its our this that these those some any".split())
PRONOUNS = frozenset("he she they it i you we him her them me us himself herself themselves someone somebody".split())
PEOPLE = frozenset(
    "person man woman girl boy lady guy gentleman child kid baby teenager adult individual subject model people female male human "
    "portrait selfie senior grandmother grandfather actor actress".split()
)
PREPOSITIONS = frozenset(
    "on in at of under underneath below beneath above over across around along like as near beside between behind to from for into onto "
    "covering through with upon by".split()
)
AUXILIARIES = frozenset(
    "should must shall would could can will may might is are be been being was were has have having had gets get getting need needs to "
    "wear wears wearing look looks looking appear appears seem seems become becomes let also just so really now wore put got sport "
    "sporting sports he'd she'd bearing bears".split()
)
POLITE = frozenset("please kindly hey hi hello ok okay thanks thank lets let's want like wish want".split())
ADDERS = frozenset("add give put apply insert draw include create grow place show generate paint bring attach introduce make".split())
CHANGERS = frozenset("make turn change set color colour dye tint transform convert paint let render switch modify alter edit get".split())
REPLACERS = frozenset("replace swap exchange substitute".split())
KEEPERS = frozenset("keep leave preserve retain maintain".split())
REMOVERS = (
    "get rid of",
    "take away",
    "take off",
    "wipe off",
    "wipe away",
    "shave off",
    "shave away",
    "cut off",
    "clean off",
    "free of",
    "free from",
    "no more",
    "no longer",
    "do away with",
    "remove",
    "removing",
    "removed",
    "without",
    "delete",
    "erase",
    "eliminate",
    "lose",
    "drop",
    "hide",
    "strip",
    "shave",
    "minus",
    "lacking",
    "not",
    "no",
    "none",
    "never",
    "don't",
    "doesn't",
    "isn't",
    "aren't",
    "hasn't",
    "haven't",
    "shouldn't",
    "w/o",
)
# Removers that also govern the plain nouns coordinated after them ("remove the hat and the glasses").
VERBAL_REMOVERS = frozenset(REMOVERS) - {"no", "not", "none", "never", "no longer", "free of", "free from", "minus"}
FIXED_PAIRS = (("salt", "and", "pepper"), ("black", "and", "white"), ("cheek", "and", "bone"))


def singular(word: str) -> str:
    """A rough singular, only good for comparing words that went through it too ("glasses" -> "glass")."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes")):
        return word[:-2]
    if word.endswith("s") and len(word) > 3 and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _terms() -> dict[tuple[str, ...], Term]:
    tables: tuple[tuple[Kind, dict[str, str]], ...] = (("state", STATES), ("mark", MARKS), ("body", BODY), ("thing", THINGS))
    terms: dict[tuple[str, ...], Term] = {}
    for kind, table in tables:
        for regions, phrases in table.items():
            for phrase in phrases.split("|"):
                terms[tuple(singular(word) for word in phrase.split())] = Term(tuple(regions.split("+")), kind)
    for phrase, thing in GONE.items():
        key = tuple(singular(word) for word in thing.removeprefix("a ").split())
        terms[tuple(singular(word) for word in phrase.split())] = Term(terms[key].regions, "state")
    return terms


TERMS = _terms()
LONGEST_TERM = max(len(words) for words in TERMS)


@dataclass(frozen=True)
class Found:
    """A term of the lexicon found at words[start:stop]."""

    start: int
    stop: int
    term: Term


def find_terms(words: tuple[str, ...]) -> tuple[Found, ...]:
    """All terms in a phrase, left to right, the longest first at each place; determiners inside do not matter."""
    plain = [(i, singular(word)) for i, word in enumerate(words) if word not in DETERMINERS]
    found: list[Found] = []
    at = 0
    while at < len(plain):
        for length in range(min(LONGEST_TERM, len(plain) - at), 0, -1):
            term = TERMS.get(tuple(word for _, word in plain[at : at + length]))
            if term is not None:
                found.append(Found(plain[at][0], plain[at + length - 1][0] + 1, term))
                at += length
                break
        else:
            at += 1
    return tuple(found)
