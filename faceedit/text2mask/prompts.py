"""What is said of each region: phrases that PASL is trained on, and wordings that no training sees (pure Python)."""

from __future__ import annotations

_WORN = ("eyeglasses", "makeup", "hat", "earring", "necklace")

# Noun phrases that read after "a person with", or "a person wearing" for what is worn.
_TRAINED = {
    "beard": "a long beard|a short beard|a gray beard|a thick black beard|a neatly trimmed beard|a goatee|"
    "a bushy mustache|a thin mustache|a red beard|sideburns|a few days of stubble|a curly beard",
    "face_shape": "a round face shape|a long face|a wide face|a heart-shaped face|a diamond-shaped face|"
    "a strong jawline|a soft jawline|a narrow jaw|a small face|a sharp jaw|a triangular face|a bony face",
    "chin": "a square chin|a pointed chin|a double chin|a cleft chin|a dimpled chin|a long chin|a short chin|"
    "a weak chin|a strong chin|a round chin|a broad chin|a small chin",
    "skin": "pale skin|tan skin|dark skin|olive skin|smooth skin|oily skin|sunburnt skin|rough skin|wrinkled skin|"
    "skin with acne|a clear complexion|glowing skin",
    "hair": "black hair|straight hair|wavy hair|curly blond hair|red hair|gray hair|long hair|short hair|"
    "braided hair|a ponytail|pink hair|messy hair",
    "hairline": "a receding hairline|a high hairline|a low hairline|a straight hairline|a rounded hairline|"
    "a thick hairline|a thin hairline|an uneven hairline|a neat hairline|an m-shaped hairline|a fading hairline|"
    "a hairline with bare corners",
    "forehead": "wrinkles on the forehead|a smooth forehead|a high forehead|a low forehead|a broad forehead|"
    "a narrow forehead|deep lines on the forehead|bangs over the forehead|a shiny forehead|a scar on the forehead|"
    "a bare forehead|side-swept bangs",
    "mouth": "a slightly open mouth|a closed mouth|a wide open mouth|a small mouth|a wide mouth|white teeth|"
    "crooked teeth|a missing tooth|braces on the teeth|a crooked mouth|a big mouth|gold teeth",
    "lips": "red lipstick|big lips|thin lips|glossy lips|pink lips|dry lips|cracked lips|dark lips|plump lips|"
    "a full lower lip|nude lipstick|heart-shaped lips",
    "nose": "a big nose|a pointed nose|a small nose|a flat nose|a long nose|a crooked nose|a straight nose|"
    "a wide nose|a turned-up nose|a hooked nose|a nose ring|wide nostrils",
    "eyebrows": "bushy eyebrows|arched eyebrows|straight eyebrows|thin eyebrows|thick eyebrows|sparse eyebrows|"
    "dark eyebrows|blond eyebrows|raised eyebrows|neatly shaped eyebrows|gray eyebrows|short eyebrows",
    "under_eyes": "dark circles under the eyes|bags under the eyes|puffy skin under the eyes|wrinkles under the eyes|"
    "swollen bags below the eyes|shadows below the eyes|smooth skin under the eyes|hollow skin under the eyes|"
    "fine lines under the eyes|redness under the eyes|blue circles under the eyes|bright skin under the eyes",
    "pupils": "red pupils|dilated pupils|small pupils|blue pupils|green irises|dark pupils|large pupils|brown pupils|"
    "golden irises|gray pupils|cat-like pupils|bright irises",
    "eyes": "large eyes|closed eyes|small eyes|round eyes|almond-shaped eyes|narrow eyes|wide open eyes|"
    "long eyelashes|deep-set eyes|bright eyes|droopy eyelids|upturned eyes",
    "makeup": "heavy makeup|light makeup|natural makeup|evening makeup|dark makeup|colorful makeup|no makeup|"
    "gothic makeup|glittery makeup|bridal makeup|bold makeup|stage makeup",
    "cheeks": "rosy cheeks|high cheekbones|chubby cheeks|hollow cheeks|dimples in the cheeks|freckles on the cheeks|"
    "pink cheeks|blush on the cheeks|smooth cheeks|round cheeks|a scar on the cheek|soft cheeks",
    "expression": "a smiling expression|a sad expression|an angry expression|a happy expression|"
    "a surprised expression|a serious expression|a scared expression|a disgusted expression|a bored expression|"
    "a neutral expression|a worried expression|a calm expression",
    "eyeglasses": "a pair of glasses|a pair of sunglasses|round glasses|black-rimmed glasses|thin metal glasses|"
    "large glasses|square glasses|rimless glasses|red glasses|dark glasses|golden glasses|thick glasses",
    "ears": "big ears|small ears|pointed ears|ears that stick out|round ears|long earlobes|red ears|elf ears|"
    "ears close to the head|pierced ears|large earlobes|hairy ears",
    "hat": "a black hat|a straw hat|a cowboy hat|a baseball cap|a knitted beanie|a red cap|a winter hat|"
    "a wide-brimmed hat|a top hat|a crown|a headscarf|a helmet",
    "earring": "hoop earrings|pearl earrings|gold earrings|silver earrings|diamond earrings|long earrings|"
    "small earrings|a single earring|big round earrings|dangling earrings|ear studs|feather earrings",
    "necklace": "a gold necklace|a pearl necklace|a silver chain around the neck|a diamond necklace|a thin necklace|"
    "a thick gold chain|a beaded necklace|a necklace with a pendant|a choker|a long necklace|a silver necklace|"
    "a locket",
}

_UNSEEN = {
    "beard": "a braided beard|mutton chops|a soul patch|a pencil moustache|a patchy beard|curled whiskers",
    "face_shape": "a pear-shaped face|a chiselled jaw|a lantern jaw|a moon-shaped face|a delicate jawline|"
    "a wedge-shaped face",
    "chin": "a jutting chin|a receding chin|a protruding chin|a chiselled chin|a stubborn chin|a chin with a groove",
    "skin": "weathered skin|bronzed skin|leathery skin|dewy skin|blotchy skin|an alabaster complexion",
    "hair": "dreadlocks|a mohawk|silver highlights|a pixie cut|cornrows|teal hair",
    "hairline": "a pronounced widow's peak|a jagged hairline|a crooked hairline|a hairline that creeps back|"
    "a sharply cut hairline|a heart-shaped hairline",
    "forehead": "a bulging forehead|a sweaty forehead|a sloping forehead|worry lines across the forehead|"
    "a bindi on the forehead|a sunburnt forehead",
    "mouth": "a gap between the front teeth|a gaping mouth|a lopsided mouth|yellow teeth|vampire fangs|a tight mouth",
    "lips": "burgundy lipstick|bee-stung lips|frosted lip gloss|chapped lips|a pierced lip|coral lips",
    "nose": "an aquiline nose|a snub nose|a bulbous nose|a septum piercing|flared nostrils|a nose with a bump",
    "eyebrows": "a unibrow|feathered brows|pencilled eyebrows|angled brows|bleached eyebrows|"
    "eyebrows that slope upwards",
    "under_eyes": "deep tear troughs|hollows below the eyes|purple rings beneath the eyes|creases beneath the eyes|"
    "crinkled skin below the eyes|puffiness under the eyes",
    "pupils": "amber irises|pinpoint pupils|irises of two colours|glowing pupils|hazel irises|silver pupils",
    "eyes": "monolid eyes|hooded eyes|half-shut eyes|bulging eyes|doe eyes|curled eyelashes",
    "makeup": "clown makeup|cosmetics of all colours|foundation and powder|smudged makeup|theatrical makeup|"
    "professional makeup",
    "cheeks": "sunken cheeks|sculpted cheekbones|apple-red cheeks|a mole on the cheek|bronzed cheeks|puffed-out cheeks",
    "expression": "a puzzled expression|a melancholic expression|a tearful expression|a mischievous expression|"
    "a furious expression|a dreamy expression",
    "eyeglasses": "aviator shades|a monocle|cat-eye spectacles|ski goggles|half-moon spectacles|mirrored shades",
    "ears": "elephantine ears|cauliflower ears|floppy ears|sunburnt ears|dainty ears|jug ears",
    "hat": "a fedora|a beret|a bowler|a turban|a tiara|a sombrero",
    "earring": "chandelier earrings|an ear cuff|ruby ear pendants|tassel earrings|clip-on earrings|sapphire studs",
    "necklace": "a turquoise collar necklace|a velvet choker|a jade pendant|a shell necklace|a coral necklace|"
    "a string of amber beads",
}


def _split(table: dict[str, str]) -> dict[str, tuple[str, ...]]:
    return {region: tuple(text.split("|")) for region, text in table.items()}


PHRASES: dict[str, tuple[str, ...]] = _split(_TRAINED)
"""Region -> the phrases of training, without "a person with"."""

UNSEEN: dict[str, tuple[str, ...]] = _split(_UNSEEN)
"""Region -> phrases that are kept for judging how well other words are understood."""


def sentence(region: str, phrase: str) -> str:
    """ "bushy eyebrows" -> "a person with bushy eyebrows"; what is worn is worn."""
    worn = region in _WORN or phrase.endswith("lipstick")
    return f"a person {'wearing' if worn else 'with'} {phrase}"


def both(region: str, phrases: tuple[str, ...]) -> tuple[str, ...]:
    """Every phrase bare and as a sentence: both are typed, and both must mean the same place."""
    return (*phrases, *(sentence(region, phrase) for phrase in phrases))


PROMPTS: dict[str, tuple[str, ...]] = {region: both(region, phrases) for region, phrases in PHRASES.items()}
"""Region -> everything that may be attached to its masks."""
