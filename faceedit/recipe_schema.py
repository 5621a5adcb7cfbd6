"""What a recipe can say: frozen dataclasses whose fields carry their own meaning and limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from faceedit.editors.ca_edit.options import CaEditOptions, StfgOptions
from faceedit.editors.flux_sculptor.options import FluxSculptorOptions
from faceedit.editors.mag_edit.options import MagEditOptions
from faceedit.recipe_option import option


@dataclass(frozen=True)
class Weights:
    """Where the components come from. Nothing is ever downloaded while loading."""

    kind: str = option("bundled", "where the weights are", choices=("bundled", "local", "hub", "random"))
    path: str = option("", "bundled: the set's name (mini-2); local: a folder in diffusers layout")
    repository: str = option("", "hub: repository in the local Hugging Face cache, owner/name")
    revision: str = option("", "hub: 40-hex commit; empty: the one pinned in weights.toml")
    variant: str = option("", "variant of the weight files, e.g. fp16; empty: the plain files")
    folders: dict[str, str] = option({}, "part -> another folder for it (in diffusers layout), e.g. a finer VAE")
    family: str = option("sd", "random: whose parts they are, Stable Diffusion's or FLUX.1's", choices=("sd", "flux"))
    seed: int = option(0, "random: seed of the weights", at_least=0)


@dataclass(frozen=True)
class Sampling:
    """How the latents are denoised."""

    steps: int = option(50, "denoising steps of the full schedule", at_least=1, at_most=1000)
    guidance: float = option(7.5, "classifier-free guidance scale; 1 switches it off", at_least=0.0, at_most=50.0)
    strength: float = option(
        1.0, "share of the schedule that is run again, from the noisy end; at least one step", at_least=0.0, at_most=1.0
    )


@dataclass(frozen=True)
class Locator:
    """Where the mask comes from when the user gives none."""

    name: str = option("template", "which locator finds the region")
    dilate: float = option(0.0, "the mask grows by this share of the crop's side", at_least=0.0, at_most=0.5)
    hull: bool = option(False, "the mask is replaced by its convex hull")
    weights: str = option("bundled:pasl-mini-1", "pasl: bundled:SET, or a folder that `faceedit train pasl` exported")
    ask: str = option(
        "regions",
        "pasl: phrase asks by the words themselves, as the paper does; regions by the regions that are read out of "
        "them, for weights whose text encoder knows few words",
        choices=("regions", "phrase"),
    )
    threshold: float = option(
        0.1,
        "pasl: what it is surer of than this is edited; 0 takes its soft answer as the mask, as the paper does",
        at_least=0.0,
        at_most=0.99,
    )


@dataclass(frozen=True)
class Paste:
    """How the edited crop goes back into the picture."""

    mode: str = option(
        "full",
        "full: the decoded pixels; change: edited minus reconstructed, added to the picture's own; blend: change where "
        "it is small, full where it is large",
        choices=("full", "change", "blend"),
    )
    feather: float = option(
        0.01, "width of the soft edge around the mask, as a share of the crop's side", at_least=0.0, at_most=0.5
    )


@dataclass(frozen=True)
class InpaintOptions:
    """Blended-latent inpainting (Blended Latent Diffusion)."""

    candidates: int = option(
        1, "edits drawn at once; CLIP picks the one that fits the text best", at_least=1, at_most=64
    )
    mask_threshold: float = option(
        0.5, "a latent cell is edited when more than this share of it is masked", at_least=0.0, at_most=0.99
    )
    noise: str = option(
        "random",
        "random: drawn from the seed; inverted: what DDIM inversion of the picture ends in, which keeps more of it",
        choices=("random", "inverted"),
    )
    contrast: str = option(
        "nothing",
        "what guidance leads away from when nothing is removed: nothing (the empty sentence) or the source sentence",
        choices=("nothing", "source"),
    )


@dataclass(frozen=True)
class DeviceOptions:
    """What the models run on, unless the request says otherwise."""

    device: str = option("auto", "auto, cpu, cuda, cuda:N or mps")
    dtype: str = option(
        "auto", "precision of the models; auto takes what suits the device", choices=("auto", "fp32", "fp16", "bf16")
    )
    memory: str = option(
        "auto",
        "auto; full: all on the device; low: one model at a time; lowest: one layer at a time; for FLUX.1 on cards of "
        "that size 80gb: full; 24gb: low, the transformer rests in 8 bits; 16gb: low, transformer and T5 in 4 bits",
        choices=("auto", "full", "low", "lowest", "80gb", "24gb", "16gb"),
    )
    attention: str = option(
        "auto",
        "attention backend of the denoiser by diffusers' names (native, flash, xformers, ...); auto: its own choice",
    )
    quantization: dict[str, Any] = option(
        {}, "part -> {quant_method: ..., options}, passed on to diffusers or transformers"
    )
    layerwise: dict[str, str] = option(
        {}, "part -> fp8 or fp8-e5m2: its weights rest in that precision and are cast layer by layer while they run"
    )


@dataclass(frozen=True)
class CacheOptions:
    """What is kept on disk between edits, in the user's cache folder or where FACEEDIT_CACHE says."""

    limit: float = option(
        5.0,
        "GB that inverted pictures may take, the longest unused are deleted first; 0 keeps none",
        at_least=0.0,
        at_most=10000.0,
    )


@dataclass(frozen=True)
class Recipe:
    """Everything that an edit needs to know besides the request.

    A later editor adds one section with its own options and leaves the others as they are.
    """

    name: str = option("", "name that the recipe was loaded by")
    description: str = option("", "what the recipe is for")
    editor: str = option("inpaint", "editor that runs it")
    vocabulary: str = option(
        "open", "portraits: only the words that the mini models learned; open: any text", choices=("portraits", "open")
    )
    safety: str = option(
        "off",
        "the published backbones' safety checker: off; flag: look and mark the result; block: look, and write nothing "
        "that is flagged (exit 6)",
        choices=("off", "flag", "block"),
    )
    size: int = option(512, "side of the square crop that the models see, in pixels", at_least=16, at_most=4096)
    margin: float = option(
        1.0, "factor on the crop's side; above 1 shows more around the face", at_least=0.5, at_most=4.0
    )
    weights: Weights = field(default_factory=Weights)
    sampling: Sampling = field(default_factory=Sampling)
    locator: Locator = field(default_factory=Locator)
    paste: Paste = field(default_factory=Paste)
    inpaint: InpaintOptions = field(default_factory=InpaintOptions)
    ca_edit: CaEditOptions = field(default_factory=CaEditOptions)
    stfg: StfgOptions = field(default_factory=StfgOptions)
    mag_edit: MagEditOptions = field(default_factory=MagEditOptions)
    flux_sculptor: FluxSculptorOptions = field(default_factory=FluxSculptorOptions)
    cache: CacheOptions = field(default_factory=CacheOptions)
    device: DeviceOptions = field(default_factory=DeviceOptions)
