"""Objective: a small FLUX, trained by rectified flow, that takes its guidance scale as an input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor, nn

from faceedit.models.flux import image_ids, pack, unpack
from faceedit.regions import REGIONS
from faceedit.samplers.ddim import guided
from faceedit.samplers.flow import Evaluation, euler
from faceedit.samplers.flow_schedule import flow_schedule
from faceedit.train.commands import attribute_of, draw_command, draw_fields
from faceedit.train.data import PortraitCache, batch_rng, shuffled
from faceedit.train.frozen import FrozenEncoders
from faceedit.train.latents import cache_latents
from faceedit.train.loop import Batch, Modules
from faceedit.train.loop import Evaluation as Review
from faceedit.train.phrases import Caption, draw_caption
from faceedit.train.settings import FluxSettings, TokenizerSettings
from faceedit.train.t5_tokenizer import t5_tokenizer_of
from faceedit.train.tensors import to_pixels
from faceedit.train.tokenizer import corpus
from faceedit.train.unet import CAPTION_SIZES, SHEET_PROMPTS

EDIT_SIZES = (1, 1, 1, 2)
SHEET_STEPS, SHEET_GUIDANCE = 16, 3.5
SCHEDULER = {"base_shift": 0.5, "max_shift": 1.15, "use_dynamic_shifting": True}


def make_transformer(settings: FluxSettings, channels: int, text_width: int, pooled_width: int) -> Any:
    """A fresh `FluxTransformer2DModel` whose blocks do nothing at first (DiT, Peebles and Xie 2023, sec. 3.2)."""
    from diffusers import FluxTransformer2DModel

    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=4 * channels,
        num_layers=settings.double_blocks,
        num_single_layers=settings.single_blocks,
        attention_head_dim=sum(settings.rope),
        num_attention_heads=settings.heads,
        joint_attention_dim=text_width,
        pooled_projection_dim=pooled_width,
        guidance_embeds=True,
        axes_dims_rope=tuple(settings.rope),
    )
    modulations = [
        module.linear for name, module in transformer.named_modules() if name.endswith(("norm1", "norm1_context"))
    ]
    modulations += [block.norm.linear for block in transformer.single_transformer_blocks]
    for linear in (*modulations, transformer.norm_out.linear, transformer.proj_out):
        nn.init.zeros_(linear.weight)
        nn.init.zeros_(linear.bias)
    return transformer


def make_t5(settings: FluxSettings, tokenizer: Any) -> Any:
    """A fresh `T5EncoderModel`; it is trained together with the transformer."""
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(
        T5Config(
            vocab_size=len(tokenizer),
            d_model=settings.text_width,
            d_kv=settings.text_width // settings.text_heads,
            d_ff=2 * settings.text_width,
            num_layers=settings.text_layers,
            num_heads=settings.text_heads,
            feed_forward_proj="gated-gelu",
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            dropout_rate=0.0,
        )
    )


def read_export(folder: Path) -> dict[str, Any]:
    """Transformer and T5 encoder of a former run."""
    from diffusers import FluxTransformer2DModel
    from transformers import T5EncoderModel

    return {
        "transformer": FluxTransformer2DModel.from_pretrained(folder / "transformer", use_safetensors=True),
        "text_encoder_2": T5EncoderModel.from_pretrained(folder / "text_encoder_2", use_safetensors=True),
    }


class FluxObjective:
    """Rectified flow (Liu et al. 2023, eq. 1) with logit-normal times (Esser et al. 2024, sec. 3.1).

    With a `teacher`, a former export, a share of every batch learns its guided velocity instead, v_0 + g (v_c - v_0)
    (Meng et al. 2023, guidance distillation), so that the finished network answers under any scale with one pass, as
    FLUX.1-dev does. The teacher is frozen: a network that teaches itself amplifies its own difference without end.

    Two helps that a large model does not need: tokens of what the caption speaks about weigh more, and a linear head,
    dropped afterwards, tells from one block's tokens which regions they lie in.
    """

    name = "flux"

    def __init__(self, settings: FluxSettings, portraits: PortraitCache, validation: PortraitCache) -> None:
        from transformers import T5Tokenizer

        self.settings, self.portraits, self.validation = settings, portraits, validation
        self.seed = settings.loop.seed
        self.encoders = FrozenEncoders(Path(settings.clip), Path(settings.vae))
        latents = Path(settings.latents)
        self.latents = cache_latents(portraits, Path(settings.vae), latents.with_suffix(".npy"))
        beside = latents.with_name(f"{latents.name}-validation.npy")
        self.validation_latents = cache_latents(validation, Path(settings.vae), beside)
        former = settings.start_from or settings.teacher
        if former:
            self.tokenizer_2 = T5Tokenizer.from_pretrained(Path(former) / "tokenizer_2")
        else:
            self.tokenizer_2 = t5_tokenizer_of(corpus(TokenizerSettings()), settings.words)
        self.teacher = read_export(Path(settings.teacher)) if settings.teacher else {}
        for module in self.teacher.values():
            module.requires_grad_(False).eval()
        self.side = self.latents.shape[-1] // 2

    def build(self) -> dict[str, nn.Module]:
        settings = self.settings
        if settings.start_from:
            networks = read_export(Path(settings.start_from))
        else:
            pooled = self.encoders.text_encoder.config.hidden_size
            transformer = make_transformer(settings, self.latents.shape[2], settings.text_width, pooled)
            networks = {"transformer": transformer, "text_encoder_2": make_t5(settings, self.tokenizer_2)}
        regions = nn.Linear(networks["transformer"].inner_dim, len(REGIONS))
        return {**networks, "regions": regions}

    def batch(self, index: int) -> Batch:
        """`clean`, `noise` [B, C, h, w]; `time`, `guidance` [B]; text of B captions and, in the last row, of "";
        `regions` [B, R, n]; `weight` [B, n]."""
        settings, size = self.settings, self.settings.loop.batch
        rng = batch_rng(self.seed, index)
        rows = shuffled(len(self.portraits), size, index, self.seed)
        mirrored = rng.random(size) < 0.5 if settings.flip else np.zeros(size, bool)
        clean = torch.from_numpy(self.latents[rows, mirrored.astype(int)].astype(np.float32))
        captions = [self._caption(row, rng) for row in rows]
        masks = self.portraits.masks[rows]
        masks = np.where(mirrored[:, None, None, None], masks[..., ::-1], masks)
        regions = F.adaptive_avg_pool2d(torch.from_numpy(masks.astype(np.float32) / 255), self.side)
        said = torch.stack([self._said(caption, row) for caption, row in zip(captions, rows, strict=True)])
        stated = (regions * said[:, :, None, None]).amax(1)
        dropped = rng.random(size) < settings.text_dropout
        texts = ["" if gone else caption.text for gone, caption in zip(dropped, captions, strict=True)]
        time = 1 / (1 + np.exp(-rng.normal(settings.time_mean, settings.time_deviation, size)))
        guidance, taught = np.ones(size), self._guided(size)
        guidance[:taught] = rng.uniform(1.0, settings.largest_guidance, taught)
        return {
            "clean": clean,
            "noise": torch.from_numpy(rng.standard_normal(clean.shape, np.float32)),
            "time": torch.from_numpy(time.astype(np.float32)),
            "guidance": torch.from_numpy(guidance.astype(np.float32)),
            **self._text([*texts, ""]),
            "regions": rearrange(regions, "b r h w -> b r (h w)"),
            "weight": 1 + settings.stated_weight * rearrange(stated, "b h w -> b (h w)"),
        }

    def loss(self, modules: Modules, batch: Batch, _step: int) -> tuple[Tensor, dict[str, Tensor]]:
        settings = self.settings
        z0, noise, t = pack(batch["clean"]), pack(batch["noise"]), batch["time"]
        z = torch.lerp(z0, noise, t[:, None, None])
        text = modules["text_encoder_2"](input_ids=batch["ids"]).last_hidden_state
        pooled = batch["pooled"]
        n, scale = self._guided(len(z)), batch["guidance"]
        target = noise - z0
        if n:
            target = torch.cat([self._taught(z[:n], t[:n], batch, scale[:n]), target[n:]])
        seen: list[Tensor] = []
        hook = self._block(modules["transformer"]).register_forward_hook(lambda *call: seen.append(call[2][1]))
        try:
            v = self._velocity(modules, z, t, text[:-1], pooled[:-1], scale).float()
        finally:
            hook.remove()
        error = (v - target).square().mean(-1)
        weight = batch["weight"] / batch["weight"].mean(1, keepdim=True)
        logits = rearrange(modules["regions"](seen[0]).float(), "b n r -> b r n")
        where = F.binary_cross_entropy_with_logits(logits, batch["regions"])
        total = (error * weight).mean() + settings.regions * where
        return total, {"velocity": error[n:].mean().detach(), "regions": where.detach()}

    def evaluate(self, modules: Modules) -> Review:
        """Velocity error on validation portraits at three times, and a sheet of portraits drawn from text alone."""
        device = next(modules["transformer"].parameters()).device
        rows = np.arange(min(len(self.validation), 64))
        rng = batch_rng(self.seed + 1, 0)
        z0 = pack(torch.from_numpy(self.validation_latents[rows, 0].astype(np.float32))).to(device)
        noise = torch.from_numpy(rng.standard_normal(z0.shape, np.float32)).to(device)
        captions = [draw_caption(self.validation.attributes[row], rng, (1,), plain=0.3) for row in rows]
        text = {name: value.to(device) for name, value in self._text([c.text for c in captions]).items()}
        tokens = modules["text_encoder_2"](input_ids=text["ids"]).last_hidden_state
        ones = torch.ones(len(rows), device=device)
        figures = {}
        for t in (0.25, 0.5, 0.75):
            z = torch.lerp(z0, noise, t)
            v = self._velocity(modules, z, t * ones, tokens, text["pooled"], ones)
            figures[f"velocity_{t}"] = float((v.float() - (noise - z0)).square().mean())
        figures["velocity"] = float(np.mean(list(figures.values())))
        return Review(figures, self._sheet(modules))

    def export(self, modules: Modules, folder: Path) -> None:
        """`transformer/`, `text_encoder_2/`, `tokenizer_2/` and `scheduler/` in FLUX's layout."""
        from diffusers import FlowMatchEulerDiscreteScheduler

        for name in ("transformer", "text_encoder_2"):
            module: Any = modules[name]
            module.save_pretrained(folder / name, safe_serialization=True)
        self.tokenizer_2.save_pretrained(folder / "tokenizer_2")
        FlowMatchEulerDiscreteScheduler(**SCHEDULER).save_pretrained(folder / "scheduler")

    def _guided(self, size: int) -> int:
        """How many rows of a batch, the first ones, learn a teacher's guided velocity."""
        return round(self.settings.guided_share * size) if self.teacher else 0

    @torch.no_grad()
    def _taught(self, z: Tensor, t: Tensor, batch: Batch, scale: Tensor) -> Tensor:
        """The teacher's v_0 + g (v_c - v_0) for the batch's first rows, [n, L, 4C]; its last sentence is empty."""
        n, teacher = len(z), {name: module.to(z.device) for name, module in self.teacher.items()}
        rows = [*range(n), *[-1] * n]
        text = teacher["text_encoder_2"](input_ids=batch["ids"][rows]).last_hidden_state
        ones = torch.ones(2 * n, device=z.device)
        v = self._velocity(teacher, torch.cat([z, z]), t.repeat(2), text, batch["pooled"][rows], ones)
        told, untold = v.float().chunk(2)
        return guided(untold, told, scale[:, None, None])

    def _caption(self, row: int, rng: np.random.Generator) -> Caption:
        indices = self.portraits.attributes[row]
        if rng.random() < self.settings.command_share:
            fields = draw_fields(indices, self.portraits.visible[row], rng, EDIT_SIZES)
            return draw_command(indices, fields, rng, 1.0)
        return draw_caption(indices, rng, CAPTION_SIZES, always=None, plain=0.6)

    def _said(self, caption: Caption, row: int) -> Tensor:
        """Which regions the caption's fields lie in, float32 [R] of 0 and 1."""
        indices = self.portraits.attributes[row]
        names = {name for field in caption.fields for name in attribute_of(indices, field).regions}
        return torch.tensor([float(name in names) for name in REGIONS])

    def _text(self, sentences: Sequence[str]) -> dict[str, Tensor]:
        """T5's `ids` [B, L] at the padding of inference, and CLIP's `pooled` [B, P]."""
        limit = self.settings.text_tokens
        ids = self.tokenizer_2(
            list(sentences), padding="max_length", truncation=True, max_length=limit, return_tensors="pt"
        )["input_ids"]
        return {"ids": ids, "pooled": self.encoders.text(sentences)[1]}

    def _block(self, transformer: Any) -> nn.Module:
        """The single-stream block whose tokens the region head reads."""
        block: nn.Module = transformer.single_transformer_blocks[self.settings.regions_after]
        return block

    def _velocity(
        self, modules: Mapping[str, Any], z: Tensor, t: Tensor, text: Tensor, pooled: Tensor, guidance: Tensor
    ) -> Tensor:
        v: Tensor = modules["transformer"](
            hidden_states=z,
            timestep=t,
            guidance=guidance,
            encoder_hidden_states=text,
            pooled_projections=pooled,
            img_ids=image_ids((self.side, self.side), z.device),
            txt_ids=torch.zeros(text.shape[1], 3, device=z.device),
            return_dict=False,
        )[0]
        return v

    def _sheet(self, modules: Modules) -> NDArray[np.uint8]:
        """Euler samples of `SHEET_PROMPTS` from fixed noise under the network's own guidance."""
        device = next(modules["transformer"].parameters()).device
        text = {name: value.to(device) for name, value in self._text(SHEET_PROMPTS).items()}
        tokens = modules["text_encoder_2"](input_ids=text["ids"]).last_hidden_state
        shape = (len(SHEET_PROMPTS), *self.latents.shape[2:])
        z = pack(torch.randn(shape, generator=torch.Generator().manual_seed(0))).to(device)
        ones = torch.ones(len(SHEET_PROMPTS), device=device)

        def velocity(z: Tensor, where: Evaluation) -> Tensor:
            guidance = SHEET_GUIDANCE * ones
            return self._velocity(modules, z, where.t * ones, tokens, text["pooled"], guidance).float()

        schedule = flow_schedule(SCHEDULER, SHEET_STEPS, self.side**2)
        *_, (_, drawn) = euler(velocity, z, schedule.descending)
        pictures = self.encoders.pixels(unpack(drawn, (self.side, self.side)))
        return rearrange(to_pixels(pictures), "n h w c -> h (n w) c")
