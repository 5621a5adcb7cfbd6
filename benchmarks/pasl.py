"""PASL against the region templates on held-out portraits: mean IoU by region and by wording, and what it costs.

Both are cut at 0.5 and compared at the portraits' own size. "seen" sentences are those of training, "unseen" ones were
kept out of it; "named" asks by the mean of a region's prompts. The template is told the right region too; "known" puts
it onto the renderer's own landmarks, "found" onto the face that the walk of an edit finds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch

from faceedit.compare import heat_map, sheet
from faceedit.evaluate import locating as lo
from faceedit.locate.pasl import PaslLocator, open_pasl
from faceedit.models.pasl import Pasl, PaslConfig
from faceedit.portraits.render import render
from faceedit.portraits.split import held_out_seed
from faceedit.portraits.vocabulary import ATTRIBUTES
from faceedit.regions import REGIONS, TEXT2MASK_REGIONS
from faceedit.text2mask.prompts import PHRASES, UNSEEN
from faceedit.train.place_wordings import attribute_wordings

PAPER = tuple((region,) for region in TEXT2MASK_REGIONS)
ALL = tuple((region,) for region in REGIONS)
EDITS = ("edits", "edits, held out")
BY_REGION = ("named", "known", "found")
"""Locators that are told the right region: PASL by its name, the template on either face."""


def main() -> None:
    """Print the tables; `--picture` draws heat maps besides."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="bundled:pasl-mini-1", help="bundled:SET or an exported folder")
    parser.add_argument("--count", type=int, default=100, help="held-out portraits")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--picture", type=Path, help="write heat maps of prompts here")
    parser.add_argument("--latency", action="store_true", help="only time it, at its own and at the published size")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    locator = open_pasl(asked.weights)
    if asked.latency:
        latency(locator)
        return
    if asked.picture is not None:
        draw(locator, asked.picture, asked.size)
        return
    groups = wordings()
    answers: dict[str, list[lo.Answered]] = {name: [] for name in (*groups, *BY_REGION)}
    edits: dict[str, list[lo.Answered]] = {name: [] for name in BY_REGION}
    places = tuple(dict.fromkeys(regions for name in EDITS for _, regions in groups[name]))
    lost = 0
    for number in range(asked.count):
        portrait = render(held_out_seed(number), asked.size)
        for name, said in groups.items():
            answers[name] += lo.score_pasl(locator, portrait, said)
        masks = {
            "named": lo.pasl_masks(locator, portrait),
            "known": lo.template_masks(portrait, lo.known_face(portrait)),
        }
        found = lo.found_face(portrait)
        if found is None:
            lost += 1
        else:
            masks["found"] = lo.template_masks(portrait, found)
        for name, own in masks.items():
            answers[name] += lo.score_places(portrait, ALL, own)
            edits[name] += lo.score_places(portrait, places, own)
    print(
        f"{asked.weights}, {asked.count} held-out portraits of {asked.size} px, IoU cut at 0.5; no face found on {lost}"
    )
    print_regions(answers)
    print_edits(answers, edits)


def wordings() -> dict[str, tuple[lo.Said, ...]]:
    """What is asked, each as the locator asks it: "a person with ..."."""
    tables = {"seen": PHRASES, "unseen": UNSEEN}
    groups: dict[str, tuple[lo.Said, ...]] = {
        name: tuple((f"a person with {text}", (r,)) for r in REGIONS for text in table[r])
        for name, table in tables.items()
    }
    for name, held_out in zip(EDITS, (False, True), strict=True):
        typed = {f"a person with {t}" for a in ATTRIBUTES for t in (a.held_out if held_out else a.phrases[:1])}
        groups[name] = tuple((w.text, w.regions) for w in attribute_wordings(held_out) if w.text in typed)
    return groups


def print_regions(answers: dict[str, list[lo.Answered]]) -> None:
    """One row for each region."""
    columns = ("named", "seen", "unseen", "known", "found")
    means = {name: lo.mean_by_region(answers[name]) for name in columns}
    print("| region | PASL, named | PASL, seen | PASL, unseen | template, known | template, found |")
    print("|---|---|---|---|---|---|")
    for regions in ALL:
        print(f"| {regions[0]} | " + " | ".join(f"{means[name][regions]:.3f}" for name in columns) + " |")
    for title, rows in (("mean of the paper's 18", PAPER), ("mean of all 22", ALL)):
        print(f"| {title} | " + " | ".join(f"{lo.grand_mean(means[name], rows):.3f}" for name in columns) + " |")


def print_edits(answers: dict[str, list[lo.Answered]], edits: dict[str, list[lo.Answered]]) -> None:
    """The places of edits: unions of regions, weighed as often as the vocabulary asks for them."""
    by_region = {name: lo.mean_by_region(found) for name, found in edits.items()}
    print("| edits of the mini vocabulary | PASL, phrase | PASL, named | template, known | template, found |")
    print("|---|---|---|---|---|")
    for name in EDITS:
        own = [answer for answer in answers[name] if not np.isnan(answer.iou)]
        others = [np.mean([by_region[column][a.regions] for a in own]) for column in BY_REGION]
        title = "first wordings, trained on" if name == EDITS[0] else "held-out wordings"
        print(f"| {title} | {np.mean([a.iou for a in own]):.3f} | " + " | ".join(f"{v:.3f}" for v in others) + " |")


def latency(locator: PaslLocator) -> None:
    """Milliseconds on one thread."""
    network = locator.network
    size = network.config.size
    portrait, said = lo.portrait_of_render(render(held_out_seed(0), size)), ["a person with rosy cheeks"]
    print(f"processor time of one thread, {weights_of(network):,} weights, {size} px:")
    print(f"  the sentence {timed(lambda: locator.encode(said)):.1f} ms")
    for count in (1, 22):
        print(f"  whole answer to {count}: {timed(lambda n=count: locator.answers(portrait, said * n)):.1f} ms")
    published = Pasl(PaslConfig()).eval().requires_grad_(False).to(memory_format=torch.channels_last)
    picture, text = torch.zeros(1, 3, 512, 512).contiguous(memory_format=torch.channels_last), torch.zeros(1, 768)
    print(f"published size, random weights, {weights_of(published):,} weights, 512 px, without its text encoder:")
    for name, narrow in (("fp32", False), ("bf16", True)):
        with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
            print(f"  {name} {timed(lambda: published(picture, text)):.0f} ms")


def weights_of(network: torch.nn.Module) -> int:
    """How many numbers a network holds."""
    return sum(parameter.numel() for parameter in network.parameters())


def timed(work: Callable[[], object], repeats: int = 7) -> float:
    """Median milliseconds of processor time, which other work does not change; the first call warms up."""
    seconds = []
    for _ in range(repeats + 1):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return 1000 * median(seconds[1:])


SHOWN = (
    ("a person with rosy cheeks", "a person with red lipstick", "a person with a full beard", "a person with glasses"),
    (
        "a person with a fedora",
        "a person with hazel irises",
        "a person with a chiselled chin",
        "a person with sapphire studs",
    ),
)
"""The second row are unseen wordings."""


def draw(locator: PaslLocator, path: Path, size: int) -> None:
    """Heat maps of prompts, seen and unseen, over held-out portraits."""
    tiles, labels = [], []
    for row, texts in enumerate(SHOWN):
        for number in range(2):
            portrait = render(held_out_seed(4 * row + number + 2), size)
            tiles.append(portrait.image)
            labels.append("")
            answers = locator.answers(lo.portrait_of_render(portrait), list(texts))
            tiles += [heat_map(portrait.image, answer) for answer in answers]
            labels += [text.removeprefix("a person with ") + (" (unseen)" if row else "") for text in texts]
    from PIL import Image

    Image.fromarray(sheet(tiles, labels, 200, 5)).save(path, quality=88)


if __name__ == "__main__":
    main()
