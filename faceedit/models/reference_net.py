"""The reference net: a second UNet that sees the masked picture and hands residuals to the frozen one."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin, UNet2DConditionModel
from diffusers.configuration_utils import register_to_config
from diffusers.models.attention import AttentionMixin
from diffusers.models.unets.unet_2d_blocks import UNetMidBlock2D
from torch import Tensor, nn

from faceedit.errors import UsageError
from faceedit.models.residual_unet import Residuals, layers_of

# BrushNet's published configuration calls its attention-free mid block by this name, and only that one.
_BRUSHNET_MID = "MidBlock2D"
# What else that configuration names: options of other backbones, unused for SD 1.x.
_BRUSHNET_UNUSED = frozenset(
    {
        "addition_embed_type", "addition_embed_type_num_heads", "addition_time_embed_dim", "class_embed_type",
        "brushnet_conditioning_channel_order", "conditioning_embedding_out_channels", "encoder_hid_dim",
        "encoder_hid_dim_type", "global_pool_conditions", "num_attention_heads", "num_class_embeds",
        "projection_class_embeddings_input_dim",
    }
)  # fmt: skip


class ReferenceNet(ModelMixin, AttentionMixin, ConfigMixin):  # type: ignore[misc]
    """A copy of a UNet with a nine-channel input and a zero convolution after every layer (CA-Edit, reference net).

    Two layouts, told apart by `mid_block_type`, with BrushNet's published key names in both:

    - "unet": every layer of the UNet, its text cross-attention included, which is what CA² stands on.
    - "brushnet": the convolutions only. Published BrushNet files load into it, and the text is not looked at.

    The parameters are those of `UNet2DConditionModel` under their own names; the published BrushNet configuration
    names the same ones. `conv_norm_out` and `conv_out` have no counterpart: nothing reads the net's own output.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        in_channels: int = 4,
        conditioning_channels: int = 5,
        flip_sin_to_cos: bool = True,
        freq_shift: int = 0,
        down_block_types: tuple[str, ...] = ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        mid_block_type: str = "UNetMidBlock2DCrossAttn",
        up_block_types: tuple[str, ...] = ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        only_cross_attention: bool = False,
        block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280),
        layers_per_block: int = 2,
        downsample_padding: int = 1,
        mid_block_scale_factor: float = 1,
        act_fn: str = "silu",
        norm_num_groups: int = 32,
        norm_eps: float = 1e-5,
        cross_attention_dim: int = 768,
        transformer_layers_per_block: int = 1,
        attention_head_dim: Any = 8,
        use_linear_projection: bool = False,
        upcast_attention: bool = False,
        resnet_time_scale_shift: str = "default",
    ) -> None:
        super().__init__()
        body = UNet2DConditionModel(
            in_channels=in_channels,
            flip_sin_to_cos=flip_sin_to_cos,
            freq_shift=freq_shift,
            down_block_types=tuple(down_block_types),
            mid_block_type="UNetMidBlock2D" if mid_block_type == _BRUSHNET_MID else mid_block_type,
            up_block_types=tuple(up_block_types),
            only_cross_attention=only_cross_attention,
            block_out_channels=tuple(block_out_channels),
            layers_per_block=layers_per_block,
            downsample_padding=downsample_padding,
            mid_block_scale_factor=mid_block_scale_factor,
            act_fn=act_fn,
            norm_num_groups=norm_num_groups,
            norm_eps=norm_eps,
            cross_attention_dim=cross_attention_dim,
            transformer_layers_per_block=transformer_layers_per_block,
            attention_head_dim=attention_head_dim,
            use_linear_projection=use_linear_projection,
            upcast_attention=upcast_attention,
            resnet_time_scale_shift=resnet_time_scale_shift,
        )
        conv_in = body.conv_in
        channels = in_channels + conditioning_channels
        self.conv_in_condition = nn.Conv2d(channels, conv_in.out_channels, conv_in.kernel_size, padding=conv_in.padding)
        self.time_proj, self.time_embedding = body.time_proj, body.time_embedding
        # Attention layers are counted in this order, by IP-Adapter's numbering: down, up, mid.
        self.down_blocks, self.up_blocks = body.down_blocks, body.up_blocks
        self.mid_block = body.mid_block
        if mid_block_type == _BRUSHNET_MID:
            self.mid_block = UNetMidBlock2D(
                in_channels=block_out_channels[-1],
                temb_channels=body.time_embedding.linear_2.out_features,
                num_layers=1,  # the class counts the resnets after the first
                resnet_eps=norm_eps,
                resnet_act_fn=act_fn,
                output_scale_factor=mid_block_scale_factor,
                resnet_groups=norm_num_groups,
                resnet_time_scale_shift=resnet_time_scale_shift,
                add_attention=False,
            )
        down = (conv_in.out_channels, *(_width(layer) for layer in layers_of(self.down_blocks)))
        self.brushnet_down_blocks = nn.ModuleList(_zero_convolution(width) for width in down)
        self.brushnet_mid_block = _zero_convolution(down[-1])
        self.brushnet_up_blocks = nn.ModuleList(_zero_convolution(_width(layer)) for layer in layers_of(self.up_blocks))

    @classmethod
    def from_unet(cls, unet: Any, layout: str = "unet") -> ReferenceNet:
        """A fresh reference net of a UNet's topology and weights.

        The convolution on the noisy latents and that on the masked picture's latents both start as `unet.conv_in`, the
        mask's at zero, and so does every output: at first the net changes nothing.
        It is on the CPU in fp32.

        Args:
            unet: `UNet2DConditionModel` of SD 1.x or 2.x topology; of a 9-channel one the noisy channels are taken.
            layout: "unet" or "brushnet".

        Raises:
            UsageError: another layout, or a UNet with embeddings that this net has no place for (SDXL).
        """
        if layout not in ("unet", "brushnet"):
            raise UsageError(f"unknown layout {layout!r} of the reference net", "the layouts are: unet, brushnet")
        if unet.config.addition_embed_type is not None or unet.config.class_embed_type is not None:
            raise UsageError("a reference net copies UNets of SD 1.x and 2.x only", "take weights of that family")
        shared = set(cls._get_init_keys(cls)) - {"self"}
        config = {name: value for name, value in unet.config.items() if name in shared}
        config["in_channels"] = unet.config.out_channels
        config["attention_head_dim"] = unet.config.num_attention_heads or unet.config.attention_head_dim
        if layout == "brushnet":
            count = len(unet.config.block_out_channels)
            config |= {"down_block_types": ("DownBlock2D",) * count, "up_block_types": ("UpBlock2D",) * count}
            config["mid_block_type"] = _BRUSHNET_MID
        net: ReferenceNet = cls(**config)
        kept = {key: value for key, value in unet.state_dict().items() if key in net.state_dict()}
        net.load_state_dict(kept, strict=False)
        conv: Any = net.conv_in_condition
        with torch.no_grad():
            noisy, known = config["in_channels"], 2 * config["in_channels"]
            conv.weight.zero_()
            conv.weight[:, :noisy] = unet.conv_in.weight[:, :noisy]
            conv.weight[:, noisy:known] = unet.conv_in.weight[:, :noisy]
            conv.bias.copy_(unet.conv_in.bias)
        return net

    @classmethod
    def from_config(cls, config: Any, **options: Any) -> Any:
        """As diffusers does it, for BrushNet's published configuration too."""
        return super().from_config({k: v for k, v in config.items() if k not in _BRUSHNET_UNUSED}, **options)

    @property
    def layout(self) -> str:
        """ "unet" or "brushnet"."""
        return "brushnet" if self.config.mid_block_type == _BRUSHNET_MID else "unet"

    def forward(self, z: Tensor, t: Tensor | float, text: Tensor, condition: Tensor) -> Residuals:
        """Residuals for every layer of the UNet that it was made for.

        Args:
            z: noisy latents [B, 4, h, w].
            t: timestep, a scalar or [B].
            text: token features [B, L, D]; the "brushnet" layout does not read them.
            condition: [B, 5, h, w]: scaled latents of the picture with the region blanked out, then the mask in
                [0, 1], 1 = edit. BrushNet's own channel is 1 on known pixels; its layout turns the mask over here.
        """
        t_ = torch.as_tensor(t, device=z.device).expand(len(z))
        emb = self.time_embedding(self.time_proj(t_).to(z.dtype))
        if self.layout == "brushnet":
            condition = torch.cat([condition[:, :-1], 1 - condition[:, -1:]], dim=1)
        x = self.conv_in_condition(torch.cat([z, condition], dim=1))
        down = [x]
        for block in self.down_blocks:
            x, features = block(x, emb, **_seen(block, text))
            down += features
        x = self.mid_block(x, emb, **_seen(self.mid_block, text))
        skips, mid, up = list(down), x, []
        for block in self.up_blocks:
            for i, resnet in enumerate(block.resnets):
                x = resnet(torch.cat([x, skips.pop()], dim=1), emb)
                if _seen(block, text):
                    x = block.attentions[i](x, encoder_hidden_states=text, return_dict=False)[0]
                up.append(x)
            for upsample in block.upsamplers or ():
                x = upsample(x, skips[-1].shape[-2:])
                up.append(x)
        return Residuals(
            tuple(conv(x) for conv, x in zip(self.brushnet_down_blocks, down, strict=True)),
            self.brushnet_mid_block(mid),
            tuple(conv(x) for conv, x in zip(self.brushnet_up_blocks, up, strict=True)),
        )


def _seen(block: Any, text: Tensor) -> dict[str, Tensor]:
    return {"encoder_hidden_states": text} if getattr(block, "has_cross_attention", False) else {}


def _width(layer: Any) -> int:
    """Channels that a resnet, transformer block or resampler answers with."""
    width = getattr(layer, "out_channels", None) or layer.in_channels
    return int(width)


def _zero_convolution(width: int) -> nn.Conv2d:
    conv = nn.Conv2d(width, width, kernel_size=1)
    for parameter in conv.parameters():
        nn.init.zeros_(parameter)
    return conv
