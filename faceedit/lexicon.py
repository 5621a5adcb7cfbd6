"""What can be edited on a face, in words: names of places, of things worn or grown, of marks and of states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from faceedit.grammar import UNSEEN

Kind = Literal["body", "whole", "thing", "mark", "state"]


@dataclass(frozen=True)
class Term:
    """What a word or fixed phrase of the lexicon stands for.

    Attributes:
        regions: canonical regions, the ones edited when nothing more precise is said.
        kind: "body" is a part that everybody has ("lips"), "whole" one that holds others ("face", "skin"), "thing" an
            attribute in itself ("glasses"), "mark" something that sits wherever the phrase puts it ("scar"), "state"
            an adjective or participle ("smiling").
    """

    regions: tuple[str, ...]
    kind: Kind


# Regions (joined by "+") -> words and fixed phrases, singular or plural alike.
BODY = {
    "lips": "lip|lower lip|pout",
    "lips+mouth": "upper lip",
    "mouth": "mouth|teeth|tooth|tongue|gum|mouth corner|corner of mouth|corners of mouth|above lip|above upper lip|"
    "around mouth",
    "eyes": "eye|eyelid|eye lid|lid|eyelash|eye lash|lash|eye corner|eye socket|sclera|gaze",
    "pupils": "pupil|iris|eye pupil|irises|eye color|eye colour",
    "under_eyes": "under eye|undereye|below eye|beneath eye|underneath eye|area below eyes|areas below eyes"
    "|area under eyes|lower eyelid",
    "eyebrows": "eyebrow|eye brow|brow|monobrow|unibrow",
    "nose": "nose|nostril|nasal bridge|nose bridge|bridge of nose|nose tip|tip of nose|septum",
    "cheeks": "cheek|cheekbone|cheek bone|jowl",
    "chin": "chin",
    "forehead": "forehead|temple|creased brow|lined brow|furrowed brow|wrinkled brow|wrinkle free brow",
    "hairline": "hairline|hair line",
    "hair": "hair|hairs|scalp|head of hair|hair color|hair colour",
    "ears": "ear|earlobe|ear lobe",
    "skin": "complexion|skin tone|skin color|skin colour|pore",
    "face_shape": "face shape|jaw|jawline|jaw line|head shape|facial contour",
    "expression": "expression|facial expression|mood|mien",
    "necklace": "neck",
}
WHOLES = {
    "skin": "skin",
    "face_shape": "face|head|feature",
    "expression": "look",
}
THINGS = {
    "beard": "beard|moustache|mustache|goatee|stubble|sideburn|side burn|facial hair|whisker|soul patch|"
    "mutton chop|van dyke|five o'clock shadow|5 o'clock shadow|handlebar|peach fuzz|stubbly cheek|"
    "stubbly chin",
    "eyeglasses": "glasses|eyeglasses|eye glasses|spectacles|sunglasses|sun glasses|specs|shades|goggles|"
    "monocle|pince nez|aviators|eyewear|reading glasses|lens|lense",
    "hat": "hat|cap|beanie|crown|tiara|helmet|beret|fedora|bonnet|turban|hood|headscarf|head scarf|"
    "bandana|headband|cowboy hat|baseball cap|bowler|sombrero|diadem|headdress|flower crown|"
    "wreath|bucket hat|top hat|headgear|woolly hat|toque|hijab|halo|headwear",
    "earring": "earring|ear ring|ear stud|ear cuff|ear piercing|hoop|ear pendant|ear jewelry|ear jewellery|"
    "stud in ear|ring in ear|pearl stud|pearl earring|pearl drop",
    "necklace": "necklace|scarf|choker|pendant|neck chain|pearl necklace|collar necklace|locket|string of pearls|"
    "row of pearl beads|gold chain|golden chain|chain|chain around neck",
    "lips": "lipstick|lip stick|lip gloss|lipgloss|lip balm|lip liner|lip filler|lip piercing|lip ring|"
    "cupid's bow|labret",
    "mouth": "braces|gold tooth|gap teeth|tooth gap|buck teeth|fangs|overbite|grillz",
    "mouth+expression": "smile|grin|smirk|laugh|laughter|frown|scowl|grimace|pouting mouth|snarl|yawn",
    "eyes": "eye patch|eyepatch|eyelashes|mascara|eyeliner|eye liner|eyeshadow|eye shadow|eye makeup|eye make up|"
    "false lashes|contact lens|contact lenses|contacts|crow's feet|crows feet|crow foot|smoky eye|"
    "cat eye|heterochromia|squint",
    "under_eyes": "dark circle|eye bag|bags under eyes|bag under eyes|circles under eyes|rings under eyes|"
    "shadows under eyes|dark rings|tear trough|puffy eyes|eye circles|under eye bags|"
    "bags below eyes|circles below eyes",
    "eyebrows": "eyebrow piercing|brow piercing|eyebrow slit",
    "nose": "nose ring|septum ring|nose stud|nose piercing|septum piercing|nasal ring|bulbous nose|"
    "clown nose|hump on nose",
    "cheeks": "blush|blusher|rouge|dimple|rosy glow|apple cheeks|bronzer|contouring",
    "cheeks+nose": "freckle|freckling",
    "chin": "double chin|cleft chin|chin dimple|chin cleft|dimpled chin",
    "hairline": "widow's peak|receding hairline|receding hair|receding hair line",
    "forehead+hairline": "bang|fringe",
    "hair": "ponytail|pony tail|pigtail|braid|plait|curl|wave|bob|bun|mohawk|afro|dreadlock|dreads|"
    "cornrow|mullet|undercut|buzz cut|buzzcut|crew cut|pixie cut|bob cut|hairstyle|hair style|"
    "hairdo|haircut|updo|topknot|top knot|hair bow|hair clip|highlights|ringlet|quiff|bowl cut|"
    "parting|comb over|locks|tresses|strands of hair|pompadour|wig|hair band|hair ribbon|"
    "curly top",
    "makeup": "makeup|cosmetics|foundation|contour|face powder|concealer|powder|maquillage|highlighter",
    "face_shape": "jaw line|square jaw|strong jaw",
    "skin": "tan|sunburn|sun tan|suntan|face paint|face mask|acne scars",
    "expression": "angry look|sad look|happy look|poker face",
}
MARKS = {
    "skin": "age spot|acne|pimple|spot|blemish|tattoo|scar|mole|birthmark|birth mark|bruise|bandage|"
    "plaster|band aid|glitter|sticker|piercing|rash|wart|beauty mark|beauty spot|scratch|cut|"
    "paint|mud|sweat|tear|shine|vitiligo|zit|redness|shadow|sequin|gem|jewel|bindi|dot|"
    "liver spot|stripe|dimpling",
    "forehead+under_eyes": "wrinkle|fine line|line|crease|furrow",
    "earring": "pearl|stud|ring",
    "necklace": "bead",
    "under_eyes": "bag|circle",
}
STATES = {
    "mouth+expression": "smiling|grinning|laughing|frowning|pouting|smirking|yawning|scowling|grimacing|toothy|"
    "open mouthed|snarling",
    "expression": "angry|happy|sad|surprised|scared|afraid|fearful|disgusted|neutral|serious|calm|joyful|"
    "cheerful|furious|worried|bored|confused|shocked|relaxed|friendly|grumpy|crying|excited|"
    "annoyed|sleepy|tired|stern|proud|shy|gloomy|mad|amused|melancholic|astonished|upset|"
    "unhappy|expressionless|surprise|composed|anger|sadness|happiness|joy",
    "eyes": "winking|squinting|cross eyed|blinking|wide eyed|doe eyed|bug eyed",
    "skin": "older|old|young|younger|elderly|aged|youthful|pale|tanned|sunburnt|sunburned|wrinkled|"
    "wrinkly|dark skinned|aging|ageing|middle aged|suntanned|sweaty|sweating|tattooed|scarred|"
    "spotty|pimply|sun kissed|fair skinned|light skinned|mature|teenage",
    "cheeks": "blushing|flushed|dimpled|rosy|rosy cheeked|red cheeked",
    "cheeks+nose": "freckled|freckly",
    "beard": "bearded|unshaven|moustached|mustached|stubbly|moustachioed|mustachioed",
    "hair": "blonde|blond|brunette|redhead|red haired|redheaded|grey haired|gray haired|long haired|"
    "short haired|curly haired|curly|dreadlocked|balding|dark haired|ginger",
    "eyeglasses": "bespectacled",
    "face_shape": "chubby|skinny|gaunt|round faced|fat|thin|slim|plump|square jawed",
    "makeup": "made up",
}

# States that mean that something is gone -> what is gone.
GONE = {
    "bald": "hair",
    "bald scalp": "hair",
    "clean shaven scalp": "hair",
    "hairless head": "hair",
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
    "clean shaven cheeks": "a beard",
    "clean shaven chin": "a beard",
    "shaved chin": "a beard",
    "shaven chin": "a beard",
    "beardless": "a beard",
    "bare upper lip": "a mustache",
    "shaved upper lip": "a mustache",
    "hairless upper lip": "a mustache",
    "hatless": "a hat",
    "bare head": "a hat",
    "uncovered head": "a hat",
    "nothing on head": "a hat",
    "bare neck": "a necklace",
    "unadorned neck": "a necklace",
    "nothing around neck": "a necklace",
    "bare ears": "earrings",
    "bare earlobes": "earrings",
    "unadorned earlobes": "earrings",
    "uncovered eyes": "glasses",
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
    tables: tuple[tuple[Kind, dict[str, str]], ...] = (
        ("state", STATES),
        ("mark", MARKS),
        ("whole", WHOLES),
        ("body", BODY),
        ("thing", THINGS),
    )
    terms: dict[tuple[str, ...], Term] = {}
    for kind, table in tables:
        for regions, phrases in table.items():
            for phrase in phrases.split("|"):
                terms[tuple(singular(word) for word in phrase.split())] = Term(tuple(regions.split("+")), kind)
    gone: dict[tuple[str, ...], Term] = {}
    for phrase, thing in GONE.items():
        key = tuple(singular(word) for word in thing.removeprefix("a ").split())
        words = tuple(singular(word) for word in phrase.split())
        noun = terms.get(words[-1:])
        gone[words] = Term(terms[key].regions, "thing" if noun and noun.kind in ("body", "whole") else "state")
    return terms | gone


TERMS = _terms()
LONGEST_TERM = max(len(words) for words in TERMS)


@dataclass(frozen=True)
class Found:
    """A term of the lexicon found at words[start:stop]."""

    start: int
    stop: int
    term: Term


def find_terms(words: tuple[str, ...]) -> tuple[Found, ...]:
    """All terms in a phrase, left to right, the longest first at each place; articles and sides do not matter."""
    plain = [(i, singular(word)) for i, word in enumerate(words) if word not in UNSEEN]
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
