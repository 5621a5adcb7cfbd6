"""The folder form from rendered portraits: what is written is what was rendered, and a broken-off run goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceedit.errors import ImageError, OutputError, UsageError
from faceedit.portraits.render import render
from faceedit.portraits.split import HELD_OUT_FROM
from faceedit.regions import REGIONS, TEXT2MASK_REGIONS
from faceedit.text2mask import portraits
from faceedit.text2mask.form import Text2Mask, open_text2mask
from faceedit.text2mask.portraits import write_portraits
from faceedit.text2mask.prompts import PROMPTS, UNSEEN
from faceedit.text2mask.write import on_grid


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Text2Mask:
    return write_portraits(tmp_path_factory.mktemp("data") / "t2m", 3, seed=5, size=64, grid=16)


def test_reader_gives_back_what_was_rendered(folder: Text2Mask) -> None:
    """Breaks when pictures, masks or their order change on the way through the files."""
    assert (len(folder), folder.size, folder.grid, folder.regions) == (3, 64, 16, TEXT2MASK_REGIONS)
    for index in range(3):
        portrait = render(5 + index, 64)
        assert np.array_equal(folder.picture(index), portrait.image)
        masks = folder.masks(index)
        assert (masks.shape, masks.dtype) == ((18, 16, 16), np.uint8)
        for place, region in enumerate(TEXT2MASK_REGIONS):
            exact = portrait.regions[region].reshape(16, 4, 16, 4).mean((1, 3))
            assert np.abs(masks[place] / 255 - exact).max() < 0.003, region


def test_every_good_mask_has_a_text_of_its_region(folder: Text2Mask) -> None:
    """Breaks when a text is attached to another region's mask, or always the same one is drawn."""
    for index in range(3):
        assert {region: folder.present(index)[i] for i, region in enumerate(folder.regions)} == {
            region: region in folder.texts(index) for region in folder.regions
        }
        assert all(text in PROMPTS[region] for region, text in folder.texts(index).items())
    assert folder.texts(0) != folder.texts(1)
    assert folder.pairs == sum(int(folder.present(index).sum()) for index in range(3)) > 3 * 14
    assert dict(folder.prompts) == {region: PROMPTS[region] for region in TEXT2MASK_REGIONS}
    assert dict(folder.unseen) == {region: UNSEEN[region] for region in TEXT2MASK_REGIONS}


def test_all_regions_and_the_default_grid(tmp_path: Path) -> None:
    """Breaks when the four further regions get lost, or the grid is not PASL's eighth."""
    found = write_portraits(tmp_path / "t2m", 1, size=128, regions=REGIONS)
    assert found.masks(0).shape == (22, 16, 16)
    hat = found.masks(0)[REGIONS.index("hat")]
    assert np.array_equal(hat, on_grid(render(0, 128).regions["hat"], 16))
    assert hat.any()


def test_same_files_from_other_processes(folder: Text2Mask, tmp_path: Path) -> None:
    """Breaks when a portrait depends on the process that draws it, or cannot be drawn in a spawned one."""
    counted: list[int] = []
    write_portraits(tmp_path / "t2m", 3, seed=5, size=64, grid=16, workers=1, progress=counted.append)
    for path in (p for p in folder.path.rglob("*") if p.is_file()):
        assert path.read_bytes() == (tmp_path / "t2m" / path.relative_to(folder.path)).read_bytes(), path
    assert counted == [3]


def test_broken_off_run_goes_on(folder: Text2Mask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks when an unfinished folder can be read, finished pictures are drawn anew, or a damaged one stays."""
    drawn: list[int] = []

    def stops_at_third(seed: int, *args: object, **more: object) -> object:
        drawn.append(seed)
        if len(drawn) == 3:
            raise KeyboardInterrupt
        return render(seed, *args, **more)

    monkeypatch.setattr(portraits, "render", stops_at_third)
    out = tmp_path / "t2m"
    with pytest.raises(KeyboardInterrupt):
        write_portraits(out, 3, seed=5, size=64, grid=16)
    with pytest.raises(UsageError, match="not finished"):
        open_text2mask(out)
    (out / "masks/0000000005.png").unlink()
    damaged = out / "images/0000000006.png"
    damaged.write_bytes(damaged.read_bytes()[:-40])
    again = write_portraits(out, 3, seed=5, size=64, grid=16)
    assert drawn == [5, 6, 7, 5, 6, 7]
    assert again.samples == folder.samples
    assert write_portraits(out, 4, seed=5, size=64, grid=16).samples[:3] == folder.samples
    assert drawn == [5, 6, 7, 5, 6, 7, 8]


def test_held_out_portraits_are_kept_apart(tmp_path: Path) -> None:
    """Breaks when training can see a portrait of the benchmark without being asked to."""
    with pytest.raises(UsageError, match="kept for the benchmark"):
        write_portraits(tmp_path / "a", 2, seed=HELD_OUT_FROM - 1, size=64)
    with pytest.raises(UsageError, match="none of the held-out"):
        write_portraits(tmp_path / "a", 1, seed=5, size=64, held_out=True)
    assert not (tmp_path / "a").exists()
    judged = write_portraits(tmp_path / "b", 1, seed=HELD_OUT_FROM, size=64, held_out=True)
    assert judged.description.source == "held-out portraits"
    with pytest.raises(OutputError, match="another source"):
        write_portraits(tmp_path / "b", 1, seed=0, size=64)


def test_other_folders_are_left_alone(folder: Text2Mask, tmp_path: Path) -> None:
    """Breaks when somebody's folder is written into, or masks of two grids come to lie in one."""
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(OutputError, match="something else"):
        write_portraits(tmp_path, 1, size=64)
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    with pytest.raises(OutputError, match="another grid"):
        write_portraits(folder.path, 1, size=64, grid=32)
    with pytest.raises(OutputError, match="another regions"):
        write_portraits(folder.path, 1, size=64, grid=16, regions=REGIONS)
    with pytest.raises(UsageError, match="do not divide"):
        write_portraits(tmp_path / "new", 1, size=64, grid=48)
    assert {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()} == before
    assert not (tmp_path / "new").exists()


@pytest.fixture
def copy(folder: Text2Mask, tmp_path: Path) -> Path:
    return shutil.copytree(folder.path, tmp_path / "copy")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"form": "text2mask/9"}, "another form"),
        ({"grid": 5}, "do not divide"),
        ({"grid": 0}, "do not divide"),
        ({"size": "large"}, "invalid literal"),
        ({"regions": ["cheeks", "cheeks"]}, "not ours"),
        ({"regions": ["tail"]}, "not ours"),
        ({"prompts": {}}, "no prompt"),
        ({"prompts": {"cheeks": "rosy"}}, "a list of texts"),
        ({"extra": 1}, "another form"),
    ],
)
def test_wrong_descriptions_are_refused(copy: Path, change: dict[str, object], told: str) -> None:
    """Breaks when a folder of another kind ends in a traceback in the middle of a training."""
    values = json.loads((copy / "text2mask.json").read_text())
    (copy / "text2mask.json").write_text(json.dumps(values | change))
    with pytest.raises(UsageError, match=told):
        open_text2mask(copy)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "line 4 is no JSON"),
        ('{"image": "images/a.png"}', "line 4: the keys"),
        ('{"image": "images/../../a.png", "source": "", "texts": {}}', "outside images/"),
        ('{"image": "images/a.png", "source": "", "texts": {"tail": "a tail"}}', "has not"),
        ('{"image": "images/a.png", "source": "", "texts": ["a"]}', "image is a path"),
    ],
)
def test_wrong_samples_are_refused(copy: Path, line: str, told: str) -> None:
    """Breaks when a line leads out of the folder, or is not named."""
    with (copy / "samples.jsonl").open("a") as file:
        file.write(line)
    with pytest.raises(UsageError, match=told):
        open_text2mask(copy)


def test_damaged_files_are_named(copy: Path) -> None:
    """Breaks when a picture of another size or half a file reaches the training."""
    found = open_text2mask(copy)
    Image.new("RGB", (32, 32)).save(copy / "images/0000000005.png")
    with pytest.raises(ImageError, match="32x32, not RGB, 64x64"):
        found.picture(0)
    mask = copy / "masks/0000000006.png"
    mask.write_bytes(mask.read_bytes()[:60])
    with pytest.raises(ImageError, match=r"0000000006\.png cannot be read"):
        found.masks(1)
