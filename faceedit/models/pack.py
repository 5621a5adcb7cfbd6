"""Taking trained parts into the package: fp16 safetensors in `faceedit/weights/`, their hashes into `weights.toml`.

Run as `python -m faceedit.models.pack RUNS_DIR`, where RUNS_DIR holds what `faceedit train` wrote, or without RUNS_DIR
to write only the hashes of the files that are there. `--family` packs the FLUX-like parts or PASL as sets of their own.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from faceedit.errors import FaceEditError, WeightsError
from faceedit.models.components import Components, ImageStatistics, component_class
from faceedit.models.conditions import require_fit
from faceedit.models.jsonfile import read_config
from faceedit.models.loader import build_scheduler, empty_module
from faceedit.models.manifest import digest
from faceedit.models.pasl import load_pasl, save_pasl
from faceedit.models.save import save_components, stored
from faceedit.models.tensors import load_into, read_tensors, weight_files
from faceedit.resources import bundled_weights_dir, manifest_path

# part -> (folder that a training exports it to, class)
_EXPORTS = {
    "vae": ("vae/export", "AutoencoderKL"),
    "unet": ("unet/export/unet", "UNet2DConditionModel"),
    "text_encoder": ("clip/export/text_encoder", "CLIPTextModelWithProjection"),
    "vision": ("clip/export/image_encoder", "CLIPVisionModelWithProjection"),
}
# Parts of editors that a set may lack.
_OPTIONAL = {
    "reference_net": ("ca2/export/reference_net", "ReferenceNet"),
    "adapter": ("ca2/export/adapter", "ConditionAdapter"),
}
# Its VAE, CLIP text encoder and tokenizer are those of the Stable Diffusion-like set, which recipes borrow.
_FLUX_EXPORTS = {
    "transformer": ("flux/export/transformer", "FluxTransformer2DModel"),
    "text_encoder_2": ("flux/export/text_encoder_2", "T5EncoderModel"),
}
_FLUX_TOKENIZER, _FLUX_SCHEDULER = "flux/export/tokenizer_2", "flux/export/scheduler"
_NAMES = {"sd": "mini-2", "flux": "mini-flux-1", "pasl": "pasl-mini-1"}
_TOKENIZER, _PROCESSOR, _JUDGE = "clip/export/tokenizer", "clip/export/feature_extractor", "judge/export"
_NOT_HASHED = {"MODEL_LICENSES.md"}


def pack(runs: Path, target: Path, manifest: Path, dtype: torch.dtype = torch.float16) -> int:
    """Write the trained parts as one set, and its hashes into the manifest.

    Args:
        runs: folder of finished trainings (`vae`, `clip`, `unet`, `judge`; `ca2` where there is one).
        target: the set's folder; its name is the set's id in the manifest. Files there are replaced.
        manifest: `weights.toml`, with an entry of that id.
        dtype: precision that is stored.

    Returns:
        Size of the set in bytes.

    Raises:
        WeightsError: a part is missing or does not fit its configuration, or a number does not fit into `dtype`.
    """
    optional = {part: entry for part, entry in _OPTIONAL.items() if (runs / entry[0]).is_dir()}
    parts = {part: _module(part, runs / place, name) for part, (place, name) in (_EXPORTS | optional).items()}
    tokenizer = component_class("tokenizer", "CLIPTokenizer").from_pretrained(str(runs / _TOKENIZER))
    config = read_config(runs / _PROCESSOR / "preprocessor_config.json")
    processor = ImageStatistics(tuple(config["image_mean"]), tuple(config["image_std"]))
    components = Components(
        torch.device("cpu"), tokenizer=tokenizer, image_processor=processor, scheduler=_scheduler(runs), **parts
    )
    require_fit(components)
    save_components(components, target, dtype)
    _pack_judge(runs / _JUDGE, target / "judge", dtype)
    return write_hashes(manifest, target)


def pack_flux(runs: Path, target: Path, manifest: Path, dtype: torch.dtype = torch.float16) -> int:
    """As `pack`, for the FLUX-like transformer, its T5 encoder, tokenizer and scheduler (`flux`)."""
    parts = {part: _module(part, runs / place, name) for part, (place, name) in _FLUX_EXPORTS.items()}
    tokenizer = component_class("tokenizer_2", "T5Tokenizer").from_pretrained(str(runs / _FLUX_TOKENIZER))
    config = read_config(runs / _FLUX_SCHEDULER / "scheduler_config.json")
    scheduler = build_scheduler(component_class("scheduler", "FlowMatchEulerDiscreteScheduler"), config)
    components = Components(torch.device("cpu"), tokenizer_2=tokenizer, scheduler=scheduler, **parts)
    save_components(components, target, dtype)
    return write_hashes(manifest, target)


def pack_pasl(runs: Path, target: Path, manifest: Path, dtype: torch.dtype = torch.float16) -> int:
    """As `pack`, for the locator (`pasl`); the text encoder that it was trained with stays where it is."""
    save_pasl(load_pasl(runs / "pasl/export"), target, dtype)
    return write_hashes(manifest, target)


def _module(part: str, folder: Path, class_name: str) -> Any:
    module = empty_module(component_class(part, class_name), read_config(folder / "config.json"), folder)
    load_into(module, weight_files(folder), part)
    return module


def _scheduler(runs: Path) -> Any:
    """DDIM over the noise schedule that the UNet was trained on, with Stable Diffusion's own sampling conventions."""
    config = read_config(runs / "unet/export/scheduler/scheduler_config.json")
    conventions = {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}
    return build_scheduler(component_class("scheduler", "DDIMScheduler"), {**config, **conventions})


def _pack_judge(source: Path, target: Path, dtype: torch.dtype) -> None:
    target.mkdir(parents=True, exist_ok=True)
    text = json.dumps(read_config(source / "config.json"), indent=1)
    (target / "config.json").write_text(text + "\n", encoding="utf-8")
    path = weight_files(source)[0]
    names = read_tensors([path])
    with safe_open(str(path), framework="pt") as reader:
        state = {name: stored(reader.get_tensor(name), dtype, f"judge: {name}") for name in names}
    save_file(state, str(target / "model.safetensors"), metadata={"format": "pt"})


def write_hashes(manifest: Path, folder: Path) -> int:
    """Replace the file list of the manifest's set named like the folder; returns the size of the files in bytes.

    Raises:
        WeightsError: the manifest has no such set.
    """
    files = sorted(_files(folder), key=lambda path: path.relative_to(folder).as_posix())
    lines = [
        f'    {{ path = "{path.relative_to(folder).as_posix()}", size = {path.stat().st_size}, '
        f'sha256 = "{digest(path)}" }},\n'
        for path in files
    ]
    text = manifest.read_text(encoding="utf-8")
    entry = re.search(rf'^id = "{re.escape(folder.name)}"$.*?^file = \[\n(.*?)^\]$', text, re.MULTILINE | re.DOTALL)
    if entry is None or "[[set]]" in entry[0]:
        raise WeightsError(f"{manifest} has no set {folder.name!r} with a `file` list", "add the entry by hand first")
    manifest.write_text(text[: entry.start(1)] + "".join(lines) + text[entry.end(1) :], encoding="utf-8")
    return sum(path.stat().st_size for path in files)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and path.name not in _NOT_HASHED)


_PACKERS = {"sd": pack, "flux": pack_flux, "pasl": pack_pasl}


def main() -> int:
    """The command line; prints the folder and size, or the error and its hint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="?", help="folder that `faceedit train` wrote its runs into")
    parser.add_argument("--family", default="sd", choices=tuple(_NAMES), help="which parts")
    parser.add_argument("--name", help=f"id of the set; by family: {_NAMES}")
    arguments = parser.parse_args()
    target = bundled_weights_dir() / (arguments.name or _NAMES[arguments.family])
    try:
        if arguments.runs is None:
            size = write_hashes(manifest_path(), target)
        else:
            size = _PACKERS[arguments.family](arguments.runs, target, manifest_path())
    except FaceEditError as error:
        print(f"{error}\n{error.hint}", file=sys.stderr)
        return error.exit_code
    print(f"{target}: {size / 2**20:.1f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
