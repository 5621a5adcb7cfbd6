"""The settings of every training: frozen dataclasses that `recipes/train/NAME.yaml` fills in."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class LoopSettings:
    """What every training shares. The cosine runs over `steps`, so a run cut short by `max_minutes` resumes exactly."""

    steps: int = 1000
    batch: int = 32
    accumulate: int = 1
    learning_rate: float = 1e-3
    final_learning_rate: float = 2e-5
    warmup: int = 100
    weight_decay: float = 0.01
    beta1: float = 0.9
    beta2: float = 0.99
    clip_norm: float = 1.0
    ema: float = 0.999
    precision: str = "no"
    seed: int = 0
    threads: int | None = None
    max_minutes: float | None = None
    checkpoint_every: int = 500
    keep_checkpoints: int = 2
    evaluate_every: int = 500
    log_every: int = 20


@dataclass(frozen=True)
class DataSettings:
    """A cache of rendered portraits. `twins` is the share of rows that also get a counterfactual twin."""

    folder: str = "runs/data/portraits-64"
    count: int = 14_000
    seed: int = 0
    size: int = 64
    grid: int = 16
    twins: float = 0.4
    workers: int = 2
    validation_count: int = 512
    validation_seed: int = 900_000_000


@dataclass(frozen=True)
class VaeLossSettings:
    """Weights of the parts of the VAE's loss; a weight of 0 leaves the part out."""

    gradient: float = 1.0
    pooled: float = 0.5
    kl: float = 1e-6
    detail: float = 2.5
    perceptual: float = 0.0
    judge: str | None = None
    adversarial: float = 0.0
    adversarial_start: int = 0


@dataclass(frozen=True)
class VaeSettings:
    """`AutoencoderKL` on portraits. `start_from` is an exported VAE whose weights the training starts from;
    `freeze_encoder` trains its decoder alone, so that a UNet trained on its latents stays valid."""

    loop: LoopSettings = field(default_factory=LoopSettings)
    data: DataSettings = field(default_factory=DataSettings)
    loss: VaeLossSettings = field(default_factory=VaeLossSettings)
    channels: tuple[int, ...] = (32, 64, 64)
    layers: int = 1
    groups: int = 16
    latent_channels: int = 4
    brightness_jitter: float = 0.1
    start_from: str | None = None
    freeze_encoder: bool = False


@dataclass(frozen=True)
class TokenizerSettings:
    """Byte-level BPE on captions. `captions` sentences are drawn from sampled attributes."""

    captions: int = 4000
    seed: int = 0
    words: int = 4000


@dataclass(frozen=True)
class ClipSettings:
    """A small CLIP text and vision pair. `tokenizer` is the folder that `train tokenizer` wrote.

    `freeze_text` trains on the vision encoder alone, so that a UNet trained on the text encoder stays valid.
    """

    loop: LoopSettings = field(default_factory=LoopSettings)
    data: DataSettings = field(default_factory=DataSettings)
    tokenizer: str = "runs/tokenizer/export"
    text_width: int = 128
    text_layers: int = 4
    text_heads: int = 4
    vision_width: int = 128
    vision_layers: int = 5
    vision_heads: int = 4
    patch: int = 8
    projection: int = 128
    twin_share: float = 0.5
    captions_per_image: int = 2
    word_loss: float = 0.3
    attribute_loss: float = 1.0
    freeze_text: bool = False
    start_from: str | None = None


@dataclass(frozen=True)
class JudgeSettings:
    """The attribute classifier that judges edits."""

    loop: LoopSettings = field(default_factory=LoopSettings)
    data: DataSettings = field(default_factory=DataSettings)
    channels: tuple[int, ...] = (32, 64, 96, 128)
    blocks: int = 1
    degrade: float = 0.5
    vae: str | None = None
    start_from: str | None = None


@dataclass(frozen=True)
class UnetSettings:
    """A text-to-image latent diffusion UNet on cached latents, with optional grounding of its cross-attention."""

    loop: LoopSettings = field(default_factory=LoopSettings)
    data: DataSettings = field(default_factory=DataSettings)
    vae: str = "runs/vae/export"
    clip: str = "runs/clip/export"
    latents: str = "runs/data/latents-64"
    channels: tuple[int, ...] = (64, 128, 192)
    cross_attention: tuple[bool, ...] = (True, True, False)
    layers: int = 1
    heads: int = 4
    text_dropout: float = 0.1
    min_snr_gamma: float = 5.0
    grounding: float = 0.05
    grounding_sizes: tuple[int, ...] = (16, 8)
    flip: bool = True
    start_from: str | None = None


@dataclass(frozen=True)
class FluxSettings:
    """A small FLUX on cached latents, with its T5 encoder; `clip` gives the pooled text.

    `rope` holds the rotary sizes of a head's three axes, their sum is the head's size. `guided_share` of a batch learn
    the guided velocity of a `teacher`, a former export, where one is named. `stated_weight` is the extra weight of
    tokens that the caption speaks about, `regions` the weight of the region head on the block `regions_after`.
    `start_from` is a former export.
    """

    loop: LoopSettings = field(default_factory=LoopSettings)
    data: DataSettings = field(default_factory=DataSettings)
    vae: str = "runs/vae/export"
    clip: str = "runs/clip/export"
    latents: str = "runs/data/latents-128"
    double_blocks: int = 2
    single_blocks: int = 4
    heads: int = 4
    rope: tuple[int, ...] = (16, 20, 20)
    text_width: int = 128
    text_layers: int = 2
    text_heads: int = 4
    text_tokens: int = 48
    words: int = 1000
    text_dropout: float = 0.1
    command_share: float = 0.5
    time_mean: float = 0.0
    time_deviation: float = 1.0
    teacher: str | None = None
    guided_share: float = 0.5
    largest_guidance: float = 6.0
    stated_weight: float = 2.0
    regions: float = 0.2
    regions_after: int = 0
    flip: bool = True
    start_from: str | None = None


@dataclass(frozen=True)
class MaskSettings:
    """How rough the masks of an editor's training are: shares of the ways (they need not sum to 1), and their largest
    measures: discs as a share of the picture's side, `bulge` of a Bézier curve as a share of the region's box."""

    exact: float = 0.15
    eroded: float = 0.1
    dilated: float = 0.4
    hull: float = 0.15
    bezier: float = 0.2
    most_eroded: float = 0.015
    most_dilated: float = 0.06
    bulge: float = 0.3


@dataclass(frozen=True)
class Ca2Settings:
    """Reference net and causality-aware condition adapter (CA-Edit) on a frozen backbone.

    `data.folder` is a cache of rendered portraits, or a folder in the LAMask-Caption form. `vision` is the folder of
    the CLIP vision encoder where `clip` holds only `text_encoder` and `tokenizer`. `outside` is the weight of a cell
    outside the mask. `twin_visual` is the share, of portraits that have a counterfactual twin, whose original picture
    is that twin; `command_share` that of captions worded as an edit's own target. `start_from` is a former export.
    """

    loop: LoopSettings = field(default_factory=LoopSettings)
    data: DataSettings = field(default_factory=DataSettings)
    masks: MaskSettings = field(default_factory=MaskSettings)
    unet: str = "runs/unet/export/unet"
    vae: str = "runs/vae/export"
    clip: str = "runs/clip/export"
    vision: str | None = None
    latents: str = "runs/data/latents-64"
    score: str = "learned"
    outside: float = 0.1
    min_snr_gamma: float = 5.0
    image_dropout: float = 0.05
    text_dropout: float = 0.05
    both_dropout: float = 0.05
    mask_threshold: float = 0.5
    twin_visual: float = 0.7
    command_share: float = 0.5
    flip: bool = True
    start_from: str | None = None


@dataclass(frozen=True)
class PaslSettings:
    """The locator PASL (Flux-Sculptor) on a frozen text encoder.

    `data.folder` is a folder in the Text2Mask form, or a cache of rendered portraits. `text` names the text encoder:
    "bundled:SET", or owner/name of a repository. Twice `phrases` sentences join the one for each region of a picture:
    about attributes, and out of `made_up` for each region in words that do not exist. `coordinates`, `dilations` and
    `similarity` are beyond the paper; see `faceedit.models.pasl.PaslConfig`. `start_from` is a former export.
    """

    loop: LoopSettings = field(default_factory=LoopSettings)
    data: DataSettings = field(default_factory=lambda: DataSettings("runs/data/portraits-256", 4000, size=256, grid=32))
    text: str = "bundled:mini-2"
    channels: tuple[int, ...] = (64, 128, 256, 512, 512, 512)
    hidden: int = 1024
    coordinates: bool = False
    dilations: tuple[int, ...] = (1, 1)
    similarity: str = "dot"
    phrases: int = 0
    made_up: int = 0
    augment: bool = False
    flip: bool = True
    start_from: str | None = None
