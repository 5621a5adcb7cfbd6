"""Prompts: what is understood, what is refused, and that no word is lost."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from faceedit import grammar, lexicon
from faceedit.errors import UsageError
from faceedit.phrases import tokenize
from faceedit.prompts import canonical, parse
from faceedit.regions import REGIONS

SMALL_WORDS = (
    grammar.UNSEEN | grammar.PRONOUNS | grammar.PREPOSITIONS | grammar.AUXILIARIES | grammar.POLITE | grammar.JOINTS
)
TERMS = sorted(" ".join(words) for words in lexicon.TERMS)


def test_an_addition_gives_region_sentences_and_new_words() -> None:
    """Breaks when the first contract of text to place changes."""
    edit = parse(["rosy cheeks"])
    assert (edit.source, edit.target, edit.negative) == ("a person", "a person with rosy cheeks", "")
    assert edit.regions == ("cheeks",)
    assert edit.tokens == ("rosy", "cheeks")


@pytest.mark.parametrize(
    ("prompt", "thing", "region"),
    [
        ("no glasses", "glasses", "eyeglasses"),
        ("remove bangs", "bangs", "hairline"),
        ("without a beard", "a beard", "beard"),
        ("take off the hat", "a hat", "hat"),
        ("take the hat off", "a hat", "hat"),
        ("get rid of the freckles", "freckles", "cheeks"),
        ("glasses removed", "glasses", "eyeglasses"),
        ("freckle-free skin", "a freckle on the skin", "cheeks"),
        ("she isn't wearing glasses", "glasses", "eyeglasses"),
        ("please remove all wrinkles", "wrinkles", "forehead"),
        ("not smiling", "a smile", "mouth"),
        ("remove the glasses from her face", "glasses", "eyeglasses"),
    ],
)
def test_a_removal_goes_away_from_what_is_there(prompt: str, thing: str, region: str) -> None:
    """Breaks when a way to say "no" is read as "yes", or the negative does not name the thing."""
    edit = parse([prompt])
    (phrase,) = edit.phrases
    assert phrase.remove
    assert region in phrase.regions
    assert (edit.source, edit.target) == (f"a person with {thing}", f"a person without {thing}")
    assert edit.negative == edit.source


@pytest.mark.parametrize(
    ("prompt", "target", "gone"),
    [
        ("clean-shaven", "a clean shaven person", "a beard"),
        ("bald", "a bald person", "hair"),
        ("make him bald", "a bald person", "hair"),
        ("a bare neck", "a person with a bare neck", "a necklace"),
    ],
)
def test_a_state_that_means_gone_is_a_removal(prompt: str, target: str, gone: str) -> None:
    """Breaks when "bald" adds something instead of taking the hair away."""
    edit = parse([prompt])
    assert edit.phrases[0].remove
    assert (edit.source, edit.target) == (f"a person with {gone}", target)


@pytest.mark.parametrize(
    ("prompt", "target"),
    [
        ("red lipstick and bushy eyebrows", "a person with red lipstick and bushy eyebrows"),
        ("blue eyes, freckles and a beanie", "a person with blue eyes, freckles and a beanie"),
        ("rosy cheeks with no glasses", "a person with rosy cheeks, without glasses"),
        ("remove the hat and the glasses", "a person without a hat or glasses"),
        ("no glasses or beard", "a person without glasses or a beard"),
        ("remove the beard and add glasses", "a person with glasses, without a beard"),
        ("a long, narrow face and full lips", "a person with a long and narrow face and full lips"),
        ("earrings with pearls", "a person with earrings with pearls"),
        ("blue-eyed, red-haired", "a person with blue eyes and red hair"),
        ("older with wrinkles", "an older person with wrinkles"),
        ("remove the hat but keep the glasses", "a person without a hat"),
    ],
)
def test_several_attributes_in_one_prompt(prompt: str, target: str) -> None:
    """Breaks when a list is cut at the wrong places or a negation reaches too far or not far enough."""
    assert parse([prompt]).target == target


@pytest.mark.parametrize(
    ("prompt", "source", "target"),
    [
        ("make her lips red", "a person", "a person with red lips"),
        ("make her lips and cheeks red", "a person", "a person with red lips and cheeks"),
        ("make the lips fuller and redder", "a person", "a person with fuller and redder lips"),
        ("give him a beard", "a person", "a person with a beard"),
        ("please add glasses!", "a person", "a person with glasses"),
        ("change the hair to blond", "a person", "a person with blond hair"),
        ("change the color of her eyes to green", "a person", "a person with green eyes"),
        ("he should smile", "a person", "a person with a smile"),
        ("make him look surprised", "a person", "a surprised person"),
        ("make the person look older", "a person", "an older person"),
        ("make her lips look red", "a person", "a person with red lips"),
        ("I'd like her to have blue eyes", "a person", "a person with blue eyes"),
        ("turn brown eyes blue", "a person with brown eyes", "a person with blue eyes"),
        ("replace the glasses with sunglasses", "a person with glasses", "a person with sunglasses"),
        ("close the eyes", "a person", "a person with closed eyes"),
        ("put a hat on his head", "a person", "a person with a hat on his head"),
        ("add blush to her cheeks", "a person", "a person with blush on the cheeks"),
        ("put on a hat", "a person", "a person with a hat"),
        ("smiling", "a person", "a smiling person"),
        ("angry", "a person", "an angry person"),
        ("blonde", "a person", "a person with blonde hair"),
        ("full beard", "a person", "a person with a full beard"),
        ("FULL  Beard!!", "a person", "a person with a full beard"),
        ("a photo of a man with a moustache", "a man", "a man with a moustache"),
        ("an old man with a beard", "an old man", "an old man with a beard"),
    ],
)
def test_instructions_become_phrases(prompt: str, source: str, target: str) -> None:
    """Breaks when an instruction word stays in the sentence, or an article goes astray."""
    edit = parse([prompt])
    assert (edit.source, edit.target) == (source, target)


@pytest.mark.parametrize(
    ("phrase", "regions"),
    [
        ("golden septum ring", {"nose"}),
        ("lip gloss", {"lips"}),
        ("moustache", {"beard"}),
        ("brows", {"eyebrows"}),
        ("dimples", {"cheeks"}),
        ("teeth", {"mouth"}),
        ("stubble", {"beard"}),
        ("tiara", {"hat"}),
        ("mascara", {"eyes"}),
        ("eye bags", {"under_eyes"}),
        ("bags under her left eye", {"under_eyes"}),
        ("double chin", {"chin"}),
        ("receding hairline", {"hairline"}),
        ("angry", {"expression"}),
        ("scar on the cheek", {"cheeks"}),
        ("scar on the forehead", {"forehead"}),
        ("mole on the chin", {"chin"}),
        ("forehead wrinkles", {"forehead"}),
        ("freckles across the nose and cheeks", {"nose", "cheeks"}),
        ("glasses on the nose", {"eyeglasses"}),
        ("a butterfly on the forehead", {"forehead"}),
        ("lips like cherries", {"lips"}),
    ],
)
def test_open_vocabulary_finds_its_place(phrase: str, regions: set[str]) -> None:
    """Breaks when a word loses its region, or an explicit place no longer wins over a mark's usual one."""
    assert set(parse([phrase]).regions) == regions


def test_several_prompts_unite() -> None:
    edit = parse(["rosy cheeks", "no hat", "rosy cheeks"])
    assert edit.regions == ("cheeks", "hat")
    assert edit.target == "a person with rosy cheeks, without a hat"


@pytest.mark.parametrize(
    ("source", "prompt", "target"),
    [
        ("a woman", "rosy cheeks", "a woman with rosy cheeks"),
        ("a woman", "smiling", "a smiling woman"),
        ("A woman with glasses.", "no glasses", "A woman without glasses"),
        ("a woman with long hair and glasses", "no glasses", "a woman with long hair without glasses"),
        ("a woman with long hair", "rosy cheeks", "a woman with long hair and rosy cheeks"),
    ],
)
def test_the_users_source_is_kept_and_the_target_built_on_it(source: str, prompt: str, target: str) -> None:
    edit = parse([prompt], source)
    assert (edit.source, edit.target) == (source, target)


@pytest.mark.parametrize("prompts", [[], [""], ["   "], ["\n", "\t"]])
def test_an_empty_prompt_is_refused(prompts: list[str]) -> None:
    with pytest.raises(UsageError, match="empty"):
        parse(prompts)


def test_a_prompt_without_a_wish_is_refused() -> None:
    with pytest.raises(UsageError, match="no change"):
        parse(["keep the glasses"])


def test_a_phrase_without_a_place_lists_the_regions_and_the_ways_out() -> None:
    """Breaks when the user is left without the list of regions or the two options."""
    with pytest.raises(UsageError, match="banana") as caught:
        parse(["rosy cheeks", "banana"])
    assert caught.value.exit_code == 2
    assert all(name in caught.value.hint for name in (*REGIONS, "--region", "--mask"))


def test_the_same_thing_added_and_removed_is_refused() -> None:
    with pytest.raises(UsageError, match="both added and removed"):
        parse(["glasses", "no glasses"])


def test_with_the_place_given_any_phrase_is_welcome() -> None:
    edit = parse(["a purple banana"], regions_given=True)
    assert (edit.target, edit.regions) == ("a person with a purple banana", ())


@given(st.text(max_size=60))
@example("\ud800 lips")
@example("no no no")
@example("İ lips")
@settings(deadline=None)
def test_any_text_gives_an_edit_or_a_usage_error(text: str) -> None:
    """Breaks when odd Unicode, punctuation or a lone instruction word crashes the parser."""
    for given_regions in (False, True):
        try:
            edit = parse([text], regions_given=given_regions)
        except UsageError as error:
            assert str(error)
        else:
            assert edit.phrases and edit.target and all(phrase.text and phrase.tokens for phrase in edit.phrases)


@given(
    st.lists(
        st.sampled_from([*TERMS, *sorted(SMALL_WORDS), "red", "long", "zebra", "make", "remove", ","]),
        min_size=1,
        max_size=6,
    )
)
@settings(deadline=None, max_examples=300)
def test_what_is_understood_reads_the_same_again(words: list[str]) -> None:
    """Breaks when a canonical phrase parses to something else, so that a record could not be replayed."""
    try:
        edit = parse([" ".join(words)])
    except UsageError:
        return
    assert parse([canonical(phrase) for phrase in edit.phrases]).phrases == edit.phrases


NOUNS = ("lips", "cheeks", "eyes", "glasses", "hat", "beard", "earrings", "necklace", "nose", "eyebrows", "freckles")
ADJECTIVES = st.lists(st.sampled_from(["red", "zany", "velvet", "tiny", "glossy"]), unique=True, max_size=2)


@given(
    st.lists(st.tuples(ADJECTIVES, st.sampled_from(NOUNS)), min_size=1, max_size=3, unique_by=lambda part: part[1]),
    st.sampled_from(["{}", "add {}", "no {}", "please give her {}", "remove the {}"]),
    st.sampled_from([", ", " and ", " with ", " & "]),
)
@settings(deadline=None)
def test_no_word_of_meaning_is_lost(parts: list[tuple[list[str], str]], form: str, joint: str) -> None:
    """Breaks when a word of the wish reaches neither the source nor the target sentence."""
    wish = joint.join(" ".join((*adjectives, noun)) for adjectives, noun in parts)
    edit = parse([form.format(wish)])
    said = set(tokenize(f"{edit.source} {edit.target}"))
    assert {word for adjectives, noun in parts for word in (*adjectives, noun)} <= said
    assert set(edit.tokens) <= set(tokenize(edit.target))
