"""A byte-level BPE tokenizer in CLIP's format, trained on captions: their words are one token each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from faceedit.train.settings import TokenizerSettings

START, END, WORD_END = "<|startoftext|>", "<|endoftext|>", "</w>"
MAX_LENGTH = 77


def train_tokenizer(settings: TokenizerSettings, folder: Path) -> Path:
    """Train on the wordings of the vocabulary and on drawn captions; held-out wordings stay unseen.

    Writes `tokenizer.json`, `tokenizer_config.json`, `vocab.json` and `merges.txt`.

    Returns:
        The folder.
    """
    tokenizer = tokenizer_of(corpus(settings), settings.words)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    model = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False), encoding="utf-8")
    merges = "\n".join(" ".join(pair) for pair in model["merges"])
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}\n", encoding="utf-8")
    return folder


def corpus(settings: TokenizerSettings) -> list[str]:
    """Every training wording once, and `settings.captions` captions of sampled people."""
    from faceedit.portraits.attributes import sample_attributes
    from faceedit.portraits.captions import KINDS, caption
    from faceedit.portraits.vocabulary import ATTRIBUTES

    sentences = [
        text for item in ATTRIBUTES for text in (*item.phrases, *item.indirect, *item.subjective, *item.removals)
    ]
    for number in range(settings.captions):
        rng = np.random.default_rng([settings.seed, number])
        sentences.append(caption(sample_attributes(settings.seed + number), rng, KINDS[number % len(KINDS)]))
    return sentences


def tokenizer_of(sentences: Iterable[str], words: int) -> Any:
    """A `CLIPTokenizer` whose merges are learnt from the sentences, at most `words` of them.

    The vocabulary holds all 256 byte symbols, alone and at a word's end: BPE training leaves out those that do not
    occur, and an unknown symbol would become `<|endoftext|>` and cut the sentence short.
    """
    from tokenizers import pre_tokenizers, trainers
    from transformers import CLIPTokenizer

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    symbols = [*alphabet, *(symbol + WORD_END for symbol in alphabet)]
    learner = CLIPTokenizer(vocab=_numbered([*symbols, START, END]), merges=[])
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) * 2 + words,
        min_frequency=1,
        show_progress=False,
        initial_alphabet=alphabet,
        end_of_word_suffix=WORD_END,
    )
    backend = learner.backend_tokenizer
    backend.train_from_iterator(sentences, trainer)
    merges = [tuple(pair) for pair in json.loads(backend.to_str())["model"]["merges"]]
    merged = dict.fromkeys(left + right for left, right in merges)
    vocabulary = _numbered([*symbols, *(token for token in merged if token not in set(symbols)), START, END])
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=MAX_LENGTH)


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer in a folder that `train_tokenizer` wrote."""
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(folder)


def _numbered(tokens: list[str]) -> dict[str, int]:
    return {token: number for number, token in enumerate(tokens)}
