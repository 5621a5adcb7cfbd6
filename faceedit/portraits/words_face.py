"""Words for age, gender, skin, eyes, brows, nose, ears, the face's shape and its expression."""

# ruff: noqa: E501

from __future__ import annotations

from faceedit.portraits.attribute_value import word

_ALL = "face_shape hair ears"
_SHAPE = "face_shape skin hair ears beard chin earring hat necklace"
_MIEN = "expression mouth eyes eyebrows cheeks beard"

FACE_WORDS = (
    word("age=young", _ALL, "a young face|a youthful face|young features|a young look", "a face in its twenties|youthful traits", "a face fresh as morning|skin like a new peach", "a fresh face", editable=False),
    word("age=middle-aged", _ALL, "a middle-aged face|a mature face|middle-aged features|a grown-up face", "a face in its forties|features of middle age", "a face that has seen some summers|a face at the noon of life", "an experienced face", editable=False),
    word("age=old", _ALL, "an old face|an aged face|an elderly face|old features", "a face in its seventies|features of old age", "a face like a well-read book|a face weathered by the years", "a wise face", editable=False),
    word("gender=feminine", _ALL, "a feminine face|a woman's face|feminine features|a female face", "a womanly face|a lady's features", "a face like a queen of hearts|a face for a heroine", "a graceful face", editable=False),
    word("gender=masculine", _ALL, "a masculine face|a man's face|masculine features|a male face", "a manly face|a gentleman's features", "a face like a king of hearts|a face for a hero", "a strong face", editable=False),
    word("gender=androgynous", _ALL, "an androgynous face|a gender-neutral face|androgynous features|an androgynous look", "a unisex face|features neither male nor female", "a face like a joker's|a face for any role", "an ambiguous face", editable=False),
    word("skin_tone=very-light", "skin", "very light skin|pale skin|very fair skin|porcelain skin", "ivory skin|a pallid complexion", "skin like milk|skin white as snow", "a delicate complexion", editable=False),
    word("skin_tone=light", "skin", "light skin|fair skin|a fair complexion|light-toned skin", "beige skin|a light complexion", "skin like cream|skin like almond milk", "a bright complexion", editable=False),
    word("skin_tone=medium", "skin", "medium skin|olive skin|medium-toned skin|an olive complexion", "golden skin|a medium complexion", "skin like honey|skin like warm sand", "a glowing complexion", editable=False),
    word("skin_tone=tan", "skin", "tan skin|tanned skin|light brown skin|a tanned complexion", "caramel skin|a sun-browned complexion", "skin like toffee|skin kissed by the sun", "a sunny complexion", editable=False),
    word("skin_tone=brown", "skin", "brown skin|dark brown skin|brown-toned skin|a brown complexion", "chestnut skin|skin of a rich brown", "skin like cocoa|skin like polished walnut", "a rich complexion", editable=False),
    word("skin_tone=deep", "skin", "deep skin|very dark skin|deep dark skin|a very dark complexion", "ebony skin|a deep complexion", "skin like dark chocolate|skin like midnight", "a radiant deep complexion", editable=False),
    word("eyebrows=normal", "eyebrows", "normal eyebrows|ordinary eyebrows|medium eyebrows|plain eyebrows", "average eyebrows|brows of usual thickness", "eyebrows like two pencil strokes|eyebrows like gentle bridges", "tidy eyebrows"),
    word("eyebrows=thin", "eyebrows", "thin eyebrows|narrow eyebrows|fine eyebrows|thin brows", "plucked eyebrows|slender brows", "eyebrows like threads|eyebrows drawn with a needle", "elegant eyebrows", "normal eyebrows|ordinary eyebrows"),
    word("eyebrows=bushy", "eyebrows", "bushy eyebrows|thick eyebrows|heavy eyebrows|bushy brows", "dense eyebrows|big shaggy brows", "eyebrows like caterpillars|eyebrows like two hedges", "wild eyebrows", "normal eyebrows|ordinary eyebrows"),
    word("eye_color=brown", "eyes pupils", "brown eyes|dark brown eyes|brown irises|brown-colored eyes", "hazel brown eyes|a brown gaze", "eyes like chestnuts|eyes like dark amber", "warm eyes"),
    word("eye_color=blue", "eyes pupils", "blue eyes|bright blue eyes|blue irises|blue-colored eyes", "azure eyes|a blue gaze", "eyes like the sea|eyes like a summer sky", "dreamy eyes"),
    word("eye_color=green", "eyes pupils", "green eyes|bright green eyes|green irises|green-colored eyes", "emerald eyes|a green gaze", "eyes like a cat's|eyes like fresh leaves", "mysterious eyes"),
    word("eye_color=gray", "eyes pupils", "gray eyes|grey eyes|gray irises|light gray eyes", "silver eyes|a gray gaze", "eyes like rain clouds|eyes like steel", "cool eyes"),
    word("eyes=open", "eyes pupils under_eyes", "open eyes|eyes open|eyes that look ahead|opened eyes", "wide-awake eyes|eyes that are not shut", "eyes like open windows|eyes like two lamps", "an attentive look"),
    word("eyes=closed", "eyes pupils under_eyes", "closed eyes|eyes closed|shut eyes|lowered eyelids", "eyes shut|sleeping eyes", "eyes like drawn curtains|eyes lost in a dream", "a sleepy look", "open eyes|eyes open"),
    word("expression=neutral", _MIEN, "a neutral expression|a neutral face|a calm face|a closed, relaxed mouth", "an expressionless face|a mouth at rest", "a face like a still lake|a face like a mask", "a composed look"),
    word("expression=smile", _MIEN, "a smile|a smiling mouth|a smiling face|a happy smile", "a grin|upturned corners of the mouth", "a mouth like a crescent moon|a mouth that lights the room", "a warm, friendly mouth", "no smile|a neutral expression"),
    word("expression=laugh", _MIEN, "a laugh|a laughing mouth|an open-mouthed laugh|a big toothy smile", "bared teeth in laughter|a laughing face", "a mouth like a row of pearls|a mouth that heard the best joke", "a joyful mouth", "no laugh|a neutral expression"),
    word("expression=frown", _MIEN, "a frown|a frowning mouth|a sad mouth|a frowning face", "a scowl|downturned corners of the mouth", "a mouth like an upside-down bow|a face like thunder", "a grumpy mood", "no frown|a neutral expression"),
    word("expression=surprised", _MIEN, "a surprised expression|a surprised face|a surprised look|an open, round mouth", "an astonished face|raised brows and a round mouth", "a mouth like a letter o|a face that saw a ghost", "a startled mood", "no surprise|a neutral expression"),
    word("under_eyes=plain", "under_eyes", "no dark circles|plain skin under the eyes|no bags under the eyes|clear skin under the eyes", "no eye bags|even skin below the eyes", "eyes after a long sleep|eyes fresh from a holiday", "a rested look"),
    word("under_eyes=dark-circles", "under_eyes", "dark circles|dark circles under the eyes|bags under the eyes|shadows under the eyes", "dark rings under the eyes|tired eye bags", "eyes after a sleepless night|eyes like a raccoon's", "a tired look", "no dark circles|no bags under the eyes"),
    word("forehead=smooth", "forehead", "a smooth forehead|no wrinkles|a forehead without lines|an even forehead", "an unlined forehead|a wrinkle-free brow", "a forehead like polished marble|a forehead like a blank page", "a carefree forehead"),
    word("forehead=wrinkled", "forehead", "a wrinkled forehead|forehead wrinkles|wrinkles on the forehead|a lined forehead", "furrows on the forehead|a creased brow", "a forehead like a ploughed field|a forehead like a sheet of music", "a worried forehead", "a smooth forehead|no wrinkles"),
    word("nose=normal", "nose", "a normal nose|an ordinary nose|a medium nose|a medium-sized nose", "an average nose|a nose of usual size", "a nose like everyone's|a nose nobody would remember", "a balanced nose"),
    word("nose=small", "nose", "a small nose|a little nose|a short, small nose|a tiny nose", "a petite nose|a dainty nose", "a nose like a button|a nose like a kitten's", "a cute nose", "a normal nose|an ordinary nose"),
    word("nose=big", "nose", "a big nose|a large nose|a wide nose|a big, broad nose", "a prominent nose|a huge nose", "a nose like a potato|a nose like a clown's", "an imposing nose", "a normal nose|an ordinary nose"),
    word("face_shape=oval", _SHAPE, "an oval face|an oval face shape|an egg-shaped face|an oval head", "a face of oval form|an ellipse of a face", "a face like an egg|a face like a cameo", "a harmonious face shape"),
    word("face_shape=round", _SHAPE, "a round face|a round face shape|a circular face|a full, round face", "a chubby face|a face of round form", "a face like the full moon|a face like an apple", "a cuddly face shape"),
    word("face_shape=square", _SHAPE, "a square face|a square face shape|a square jaw|an angular face", "a boxy face|a broad angular jaw", "a face like a block of stone|a jaw like a superhero's", "a determined face shape"),
    word("face_shape=narrow", _SHAPE, "a narrow face|a narrow face shape|a slim face|a long, narrow face", "a thin face|a slender face", "a face like a fox's|a face like a long candle", "a noble face shape"),
    word("chin=normal", "chin beard necklace", "a normal chin|an ordinary chin|a medium chin|a plain chin", "an average chin|a chin of usual form", "a chin like everyone's|a chin nobody would notice", "a balanced chin"),
    word("chin=pointed", "chin beard necklace", "a pointed chin|a pointy chin|a sharp chin|a narrow, pointed chin", "a tapered chin|a v-shaped chin", "a chin like the tip of a heart|a chin like an elf's", "a cheeky chin", "a normal chin|an ordinary chin"),
    word("chin=double", "chin beard necklace", "a double chin|a full double chin|a fold under the chin|a soft double chin", "a second chin|a fleshy chin", "a chin like a cushion|a chin with an echo", "a cozy chin", "no double chin|a normal chin"),
    word("ears=normal", "ears earring", "normal ears|ordinary ears|medium ears|plain ears", "average ears|ears of usual size", "ears like small shells|ears nobody would notice", "modest ears"),
    word("ears=big", "ears earring", "big ears|large ears|ears that stick out|big protruding ears", "huge ears|prominent ears", "ears like an elephant's|ears like the handles of a cup", "funny ears", "normal ears|ordinary ears"),
)  # fmt: skip
