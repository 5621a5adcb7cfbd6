"""`faceedit train NAME`: a recipe to an objective to the loop."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faceedit.errors import UsageError

if TYPE_CHECKING:
    from faceedit.train.data import PortraitCache
    from faceedit.train.settings import Ca2Settings, DataSettings, PaslSettings

NAMES = ("tokenizer", "judge", "vae", "clip", "unet", "ca2", "flux", "pasl")


def run(name: str, out: Path | None = None, overrides: Mapping[str, str] | None = None, resume: bool = False) -> Path:
    """Train one part of the mini models.

    Args:
        name: one of `NAMES`, or the path of a YAML recipe whose file name starts with one ("vae-96.yaml").
        out: the run's folder; `runs/NAME` if None.
        overrides: dotted settings and their values as text, e.g. `{"loop.steps": "200"}`.
        resume: go on from the newest checkpoint in `out`.

    Returns:
        The folder with the exported part.

    Raises:
        UsageError: an unknown name or setting, or a run without `resume` into a folder that holds one.
        NumericError: the loss was not finite.
    """
    recipe, part = _recipe(name)
    out = out or Path("runs") / recipe.stem
    if (out / "checkpoints").exists() and not resume:
        raise UsageError(f"{out} holds a run already", "add --resume to go on with it, or give another folder")
    from faceedit.train.recipes import load_settings
    from faceedit.train.settings import TokenizerSettings

    if part == "tokenizer":
        from faceedit.train.tokenizer import train_tokenizer

        return train_tokenizer(load_settings(TokenizerSettings, recipe, overrides), out / "export")
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    from faceedit.train.loop import train

    # Several processes would render the same portraits into the same files.
    with PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU")).main_process_first():
        objective = _objective(part, recipe, overrides)
    train(objective, objective.settings.loop, out, resume)
    return out / "export"


def _recipe(name: str) -> tuple[Path, str]:
    from faceedit.resources import recipes_dir

    path = Path(name) if name.endswith((".yaml", ".yml")) else recipes_dir() / "train" / f"{name}.yaml"
    part = path.stem.split("-")[0]
    if part not in NAMES or not path.is_file():
        raise UsageError(f"nothing to train is called {name!r}", f"the names are: {', '.join(NAMES)}")
    return path, part


def _objective(part: str, recipe: Path, overrides: Mapping[str, str] | None) -> Any:
    from faceedit.train.recipes import load_settings

    if part == "vae":
        from faceedit.train.settings import VaeSettings
        from faceedit.train.vae import VaeObjective

        vae = load_settings(VaeSettings, recipe, overrides)
        return VaeObjective(vae, *portraits(vae.data))
    if part == "clip":
        from faceedit.train.clip import ClipObjective
        from faceedit.train.settings import ClipSettings

        clip = load_settings(ClipSettings, recipe, overrides)
        return ClipObjective(clip, *portraits(clip.data))
    if part == "judge":
        from faceedit.train.judge import JudgeObjective
        from faceedit.train.settings import JudgeSettings

        judge = load_settings(JudgeSettings, recipe, overrides)
        return JudgeObjective(judge, *portraits(judge.data))
    if part == "ca2":
        from faceedit.train.settings import Ca2Settings

        return _ca2(load_settings(Ca2Settings, recipe, overrides))
    if part == "flux":
        from faceedit.train.flux import FluxObjective
        from faceedit.train.settings import FluxSettings

        flux = load_settings(FluxSettings, recipe, overrides)
        return FluxObjective(flux, *portraits(flux.data))
    if part == "pasl":
        from faceedit.train.settings import PaslSettings

        return _pasl(load_settings(PaslSettings, recipe, overrides))
    from faceedit.train.settings import UnetSettings
    from faceedit.train.unet import UnetObjective

    unet = load_settings(UnetSettings, recipe, overrides)
    return UnetObjective(unet, *portraits(unet.data))


def _ca2(settings: Ca2Settings) -> Any:
    from faceedit.lamask.form import is_lamask
    from faceedit.train.ca2 import Ca2Objective
    from faceedit.train.frozen import FrozenEncoders
    from faceedit.train.triples import portrait_examples

    vision = None if settings.vision is None else Path(settings.vision)
    encoders = FrozenEncoders(Path(settings.clip), Path(settings.vae), vision)
    if is_lamask(Path(settings.data.folder)):
        from faceedit.train.lamask_triples import lamask_examples

        return Ca2Objective(settings, encoders, *lamask_examples(settings, encoders))
    return Ca2Objective(settings, encoders, *portrait_examples(settings, encoders, *portraits(settings.data)))


def _pasl(settings: PaslSettings) -> Any:
    from accelerate import PartialState

    from faceedit.models.sentence_features import load_sentence_features
    from faceedit.text2mask.form import MARKER, open_text2mask
    from faceedit.text2mask.prompts import PROMPTS, UNSEEN
    from faceedit.train.pasl import PaslObjective
    from faceedit.train.place_wordings import attribute_wordings, made_up_wordings
    from faceedit.train.region_pictures import RenderedRegions, split_folder

    encode = load_sentence_features(settings.text, device=PartialState().device)
    folder = Path(settings.data.folder)
    if (folder / MARKER).is_file():
        text2mask = open_text2mask(folder)
        return PaslObjective(
            settings, *split_folder(text2mask, settings.data), text2mask.prompts, text2mask.unseen, (), encode
        )
    training, validation = (RenderedRegions(cache) for cache in portraits(settings.data))
    more = (attribute_wordings(), made_up_wordings(PROMPTS, settings.made_up)) if settings.phrases else ()
    return PaslObjective(settings, training, validation, PROMPTS, UNSEEN, more, encode)


def portraits(data: DataSettings) -> tuple[PortraitCache, PortraitCache]:
    """The training and the validation portraits of a recipe, rendered now if they are not there yet."""
    from faceedit.train.data import build_cache

    folder = Path(data.folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    shape = {"size": data.size, "grid": data.grid, "workers": data.workers}
    validation = build_cache(
        folder.with_name(f"{folder.name}-validation"), data.validation_count, data.validation_seed, twins=0.5, **shape
    )
    return build_cache(folder, data.count, data.seed, twins=data.twins, **shape), validation
