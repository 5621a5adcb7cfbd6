"""The cache of inverted pictures: the same bits, a limit, damage, and several processes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from faceedit.backend import Choice
from faceedit.editors.mag_edit.editor import MagEditor
from faceedit.editors.mag_edit.trajectory import MagTrajectory, invert_portrait, trajectory_settings
from faceedit.evaluate.runner import portrait_of_render
from faceedit.models.random import random_components
from faceedit.models.stable_diffusion import StableDiffusion
from faceedit.portraits.render import render
from faceedit.prompts import parse
from faceedit.recipe import load_recipe
from faceedit.recipe_schema import CacheOptions
from faceedit.request import Mask, Request
from faceedit.run import Prepared, edit_prepared
from faceedit.samplers.ddim import ddim_schedule
from faceedit.trajectories import DamagedEntryError, TrajectoryCache, open_cache, trajectory_key, trajectory_of
from faceedit.warm import Warm

RECIPE = load_recipe("smoke/inpaint")
STEPS = 3
MEGABYTE = 10**6


class Inverting:
    """An editor as far as the cache sees one, over tiny real components; counts its inversions."""

    def __init__(self, inversion="null-text", steps=STEPS):
        self.backbone = StableDiffusion(random_components(seed=0))
        self.schedule = ddim_schedule(self.backbone.scheduler_config, steps)
        self.inversion, self.inverted, self.size = inversion, 0, 64

    def invert(self, pixels, source):
        self.inverted += 1
        return invert_portrait(self.backbone, pixels, source, self.schedule, self.inversion, 7.5)

    def trajectory_settings(self):
        return trajectory_settings(self.backbone, self.schedule, self.inversion, 7.5)

    def restore(self, tensors, texts):
        return MagTrajectory.from_tensors(tensors, texts, self.backbone.device)


def picture(seed=0):
    return np.random.default_rng(seed).random((64, 64, 3), dtype=np.float32)


@pytest.fixture
def cache(tmp_path):
    return TrajectoryCache(tmp_path / "trajectories", 100 * MEGABYTE)


def entry(size=250, seed=0):
    """Tensors and texts of an entry that takes about `size` kilobytes."""
    generator = torch.Generator().manual_seed(seed)
    return {"chain": torch.randn(size, 250, generator=generator)}, {"source": "a person", "inversion": "direct"}


def key(number):
    return f"{number:064x}"


@pytest.mark.parametrize("inversion", ["null-text", "direct"])
def test_a_second_edit_takes_the_same_bits_and_does_not_invert(cache, inversion):
    """Breaks if anything is rounded on its way to the disk and back, or if the key is not found again."""
    editor = Inverting(inversion)
    first, notes = trajectory_of(editor, picture(), "a person", RECIPE, cache)
    second, _ = trajectory_of(editor, picture(), "a person", RECIPE, cache)
    third, _ = trajectory_of(Inverting(inversion), picture(), "a person", RECIPE, None)
    assert (editor.inverted, notes) == (1, ())
    for again in (second, third):
        for name in ("pixels", "latents", "chain", "null"):
            assert torch.equal(getattr(again, name), getattr(first, name)), name
            assert getattr(again, name).dtype == torch.float32
    assert (second.source, second.inversion) == (first.source, first.inversion)


def test_anything_that_gives_other_numbers_is_another_entry(cache):
    editor = Inverting("direct")
    other_pixel = picture()
    other_pixel[0, 0, 0] += 2**-20
    seeded = replace(RECIPE, weights=replace(RECIPE.weights, seed=1))
    rounded = replace(RECIPE, device=replace(RECIPE.device, dtype="bf16"))
    calls = [
        (editor, picture(), "a person", RECIPE),
        (editor, other_pixel, "a person", RECIPE),
        (editor, picture(), "a person.", RECIPE),
        (editor, picture(), "a person", seeded),
        (editor, picture(), "a person", rounded),
        (Inverting("npi"), picture(), "a person", RECIPE),
        (Inverting("direct", STEPS + 1), picture(), "a person", RECIPE),
    ]
    for number, call in enumerate(calls):
        trajectory_of(*call, cache)
        assert cache.usage()[0] == number + 1
    leaner = replace(RECIPE, sampling=replace(RECIPE.sampling, guidance=3.0), cache=CacheOptions(limit=1.0))
    trajectory_of(editor, picture(), "a person", leaner, cache)
    assert cache.usage()[0] == len(calls)


def test_editors_that_keep_nothing_are_inverted_each_time(cache):
    editor = Inverting("direct")
    plain = type("Plain", (), {"invert": editor.invert})()
    for _ in range(2):
        trajectory_of(plain, picture(), "a person", RECIPE, cache)
    assert editor.inverted == 2
    assert not cache.folder.exists()


def test_a_limit_of_zero_keeps_nothing(tmp_path):
    editor, off = Inverting("direct"), TrajectoryCache(tmp_path / "off", 0)
    for _ in range(2):
        trajectory_of(editor, picture(), "a person", RECIPE, off)
    assert editor.inverted == 2
    assert not off.folder.exists()


def test_the_longest_unused_goes_first(tmp_path):
    """Breaks if entries go by age alone, or if the newest is deleted for the sake of older ones."""
    cache = TrajectoryCache(tmp_path, MEGABYTE)
    for number in range(3):
        cache.write(key(number), *entry(seed=number))
        os.utime(tmp_path / f"{key(number)}.safetensors", (number, number))
    assert cache.read(key(0)) is not None
    cache.write(key(3), *entry(seed=3))
    left = {number for number in range(4) if cache.read(key(number)) is not None}
    assert left == {0, 2, 3}
    assert cache.usage()[1] <= MEGABYTE


def test_what_is_larger_than_the_limit_is_not_kept(tmp_path):
    cache = TrajectoryCache(tmp_path / "cache", MEGABYTE)
    cache.write(key(0), *entry(100))
    cache.write(key(1), *entry(2000))
    assert cache.read(key(1)) is None
    assert cache.read(key(0)) is not None


def flip(path):
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def empty(path):
    path.write_bytes(b"")


def no_header(path):
    save_file({"chain": torch.zeros(1)}, path)


def foreign_header(path):
    save_file({"chain": torch.zeros(1)}, path, metadata={"faceedit": '["x"]'})


def text_file(path):
    path.write_text("not a trajectory at all")


@pytest.mark.parametrize("damage", [flip, cut, empty, no_header, foreign_header, text_file])
def test_a_damaged_entry_is_made_again_and_said(cache, damage):
    """Breaks if a bit that fell over on the disk reaches a picture, or stops an edit."""
    editor = Inverting("direct")
    first, _ = trajectory_of(editor, picture(), "a person", RECIPE, cache)
    (path,) = cache.folder.iterdir()
    damage(path)
    with pytest.raises(DamagedEntryError):
        cache.read(path.stem)
    again, notes = trajectory_of(editor, picture(), "a person", RECIPE, cache)
    assert torch.equal(again.chain, first.chain)
    assert "damaged" in notes[0]
    assert trajectory_of(editor, picture(), "a person", RECIPE, cache)[1] == ()
    assert editor.inverted == 2


def test_an_entry_without_a_part_is_made_again(cache):
    """Breaks if a file that is whole but not a MAG-Edit trajectory stops an edit."""
    editor = Inverting("direct")
    trajectory_of(editor, picture(), "a person", RECIPE, cache)
    (path,) = cache.folder.iterdir()
    cache.write(path.stem, *entry())
    assert "damaged" in trajectory_of(editor, picture(), "a person", RECIPE, cache)[1][0]
    assert editor.inverted == 2


def test_numbers_that_are_not_finite_are_not_kept(cache):
    cache.write(key(0), {"chain": torch.tensor([1.0, float("nan")])}, {"source": "a person"})
    assert cache.read(key(0)) is None


def test_a_folder_that_cannot_be_written_does_not_stop_an_edit(tmp_path):
    (tmp_path / "file").write_text("in the way")
    blocked = TrajectoryCache(tmp_path / "file" / "below", MEGABYTE)
    trajectory, notes = trajectory_of(Inverting("direct"), picture(), "a person", RECIPE, blocked)
    assert trajectory.chain.shape[0] == STEPS + 1
    assert len(notes) == 1
    assert "could not be kept" in notes[0]
    assert blocked.usage() == (0, 0)
    assert blocked.clear() == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_only_its_user_may_look_into_the_folder(cache):
    """Breaks if others on a shared machine could read faces out of the cache."""
    cache.write(key(0), *entry())
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700


def test_clearing_deletes_everything_that_is_its_own(cache):
    cache.write(key(0), *entry())
    (cache.folder / ".left.part").write_bytes(b"half")
    (cache.folder / "notes.txt").write_text("the user's")
    assert cache.clear() == 2
    assert [path.name for path in cache.folder.iterdir()] == ["notes.txt"]


def test_what_a_killed_process_left_is_cleaned_up(cache):
    cache.write(key(0), *entry())
    old, young = cache.folder / ".old.part", cache.folder / ".young.part"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    cache.write(key(1), *entry())
    assert (old.exists(), young.exists()) == (False, True)


def test_the_folder_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("FACEEDIT_CACHE", str(tmp_path))
    found = open_cache(CacheOptions(limit=2.0))
    assert found == TrajectoryCache(tmp_path / "trajectories", 2 * 10**9)


def test_keys_see_the_shape_and_every_byte():
    flat = np.zeros((2, 8, 3), np.float32)
    assert trajectory_key(flat, "", {}) != trajectory_key(flat.reshape(8, 2, 3), "", {})
    assert trajectory_key(flat, "", {}) != trajectory_key(-flat, "", {})


@pytest.mark.parametrize("inversion", ["direct", "null-text"])
def test_edits_of_one_picture_share_its_inversion(monkeypatch, inversion):
    """Breaks if the walk does not ask the cache, or if an edit from it differs by one level from one without it."""
    recipe = load_recipe("smoke/mag-edit", {"mag_edit.inversion": inversion})
    inverted = []
    honest = MagEditor.invert
    monkeypatch.setattr(MagEditor, "invert", lambda self, *given: inverted.append(1) or honest(self, *given))
    editor = MagEditor(recipe, random_components(seed=0))
    results = {}
    for phrase in ("rosy cheeks", "red lips"):
        prepared, request = prepared_edit(recipe, phrase)
        results[phrase] = [
            Warm(recipe, editor).edit(prepared, request).rgb,
            Warm(recipe, MagEditor(recipe, random_components(seed=0))).edit(prepared, request).rgb,
        ]
    assert len(inverted) == 1
    for phrase, made in results.items():
        prepared, request = prepared_edit(recipe, phrase)
        without = edit_prepared(prepared, request, editor=editor)
        assert all(np.array_equal(rgb, without.rgb) for rgb in made)
        assert not np.array_equal(without.rgb, prepared.picture.rgb)
    assert len(inverted) == 3
    assert open_cache(recipe.cache).usage()[0] == 1


def prepared_edit(recipe, phrase):
    portrait = portrait_of_render(render(0, 64))
    text, mask = parse([phrase], "a person"), np.zeros((64, 64), np.float32)
    mask[24:48, 16:48] = 1
    prepared = Prepared(Choice(recipe, ""), portrait.picture, portrait, text, Mask(mask, "file"), None, ())
    return prepared, Request(image=b"", prompts=(phrase,), recipe=recipe.name)


SHARING = """
import sys
from pathlib import Path
import torch
from faceedit.trajectories import TrajectoryCache
cache = TrajectoryCache(Path(sys.argv[1]), 60_000)
read = 0
for turn in range(150):
    number = (turn * int(sys.argv[2])) % 7
    key, tensors = f"{number:064x}", {"chain": torch.full((50, 50), float(number))}
    found = cache.read(key)
    if found is None:
        cache.write(key, tensors, {"source": str(number)})
    else:
        assert torch.equal(found[0]["chain"], tensors["chain"]) and found[1] == {"source": str(number)}
        read += 1
print(read)
"""


def test_processes_share_the_folder(tmp_path):
    """Breaks if a reader sees a file that is half written, or falls over one that another process deletes.

    The folder holds about five of seven entries, so that the three processes write and delete all the time.
    """
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", SHARING, str(tmp_path), stride],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for stride in ("1", "2", "3")
    ]
    outcomes = [worker.communicate() for worker in workers]
    for worker, (out, err) in zip(workers, outcomes, strict=True):
        assert worker.returncode == 0, err
        assert int(out) > 0
    cache = TrajectoryCache(tmp_path, 60_000)
    assert cache.usage()[1] <= 60_000
    assert not list(tmp_path.glob(".*.part"))
