"""The reference net's two layouts, and the residuals that a frozen UNet takes from it as BrushNet's does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from accelerate import init_empty_weights
from diffusers import UNet2DConditionModel
from test_published import UNET
from torch import Tensor

from faceedit.errors import UsageError
from faceedit.models.components import Components
from faceedit.models.loader import empty_module
from faceedit.models.random import random_components
from faceedit.models.reference_net import ReferenceNet
from faceedit.models.residual_unet import Residuals, layers_of, predict_with_residuals

LAYOUTS = ("unet", "brushnet")
MINI = UNET | {
    "attention_head_dim": 4,
    "block_out_channels": [64, 128, 192],
    "cross_attention_dim": 128,
    "down_block_types": ["CrossAttnDownBlock2D"] * 2 + ["DownBlock2D"],
    "layers_per_block": 1,
    "sample_size": 16,
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 2,
}


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def inputs(side: int = 16, rows: int = 2) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Noisy latents, timesteps, text and condition."""
    mask = (noise(rows, 1, side, side, seed=3) > 0).float()
    z, text = noise(rows, 4, side, side), noise(rows, 77, 32, seed=1)
    return z, torch.tensor([3, 700])[:rows], text, torch.cat([noise(rows, 4, side, side, seed=2), mask], dim=1)


def random_residuals(net: ReferenceNet, side: int = 16) -> Residuals:
    """What a net of this size hands over, with random numbers in it."""
    z, t, text, condition = inputs(side)
    shapes = net(z, t, text, condition)
    down, up = ([noise(*x.shape, seed=i) for i, x in enumerate(xs)] for xs in (shapes.down, shapes.up))
    return Residuals(tuple(down), noise(*shapes.mid.shape, seed=50), tuple(up))


def added_by_hand(unet: Any, z: Tensor, t: Tensor, text: Tensor, residuals: Residuals) -> Tensor:
    """BrushNet's rule, spelled out: conv_in's skip is stored before the sum, every other one after it."""
    emb = unet.time_embedding(unet.time_proj(t))
    down, up = list(residuals.down), list(residuals.up)

    def layer(block: Any, i: int, x: Tensor) -> Tensor:
        x = block.resnets[i](x, emb)
        return block.attentions[i](x, text, return_dict=False)[0] if hasattr(block, "attentions") else x

    x = unet.conv_in(z)
    skips = [x]
    x = x + down.pop(0)
    for block in unet.down_blocks:
        for i in range(len(block.resnets)):
            x = layer(block, i, x) + down.pop(0)
            skips.append(x)
        for downsample in block.downsamplers or ():
            x = downsample(x) + down.pop(0)
            skips.append(x)
    x = unet.mid_block(x, emb, encoder_hidden_states=text) + residuals.mid
    for block in unet.up_blocks:
        for i in range(len(block.resnets)):
            x = layer(block, i, torch.cat([x, skips.pop()], dim=1)) + up.pop(0)
        for upsample in block.upsamplers or ():
            x = upsample(x, skips[-1].shape[2:]) + up.pop(0)
    eps: Tensor = unet.conv_out(unet.conv_act(unet.conv_norm_out(x)))
    return eps


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("side", [16, 13])
def test_a_fresh_net_changes_nothing(tiny: Components, layout: str, side: int) -> None:
    """Breaks when a zero convolution starts with anything else, or a hook changes what it adds zeros to."""
    z, t, text, condition = inputs(side)
    net = ReferenceNet.from_unet(tiny.unet, layout)
    residuals = net(z, t, text, condition)
    assert torch.equal(predict_with_residuals(tiny.unet, z, t, text, residuals), tiny.unet(z, t, text).sample)


@pytest.mark.parametrize("side", [16, 13])
def test_residuals_go_where_brushnet_adds_them(tiny: Components, side: int) -> None:
    """Breaks when a residual is added to another layer, or before or after the wrong skip is stored."""
    z, t, text, _ = inputs(side)
    residuals = random_residuals(ReferenceNet.from_unet(tiny.unet), side)
    with torch.no_grad():
        expected = added_by_hand(tiny.unet, z, t, text, residuals)
        torch.testing.assert_close(predict_with_residuals(tiny.unet, z, t, text, residuals), expected)


def test_the_unet_layout_sees_what_the_unet_sees(tiny: Components) -> None:
    """Breaks when a copied layer keeps fresh weights, or blank conditions do not leave the noisy latents alone."""
    z, t, text, condition = inputs()
    net = ReferenceNet.from_unet(tiny.unet)
    torch.nn.init.dirac_(net.brushnet_mid_block.weight)
    torch.nn.init.dirac_(net.brushnet_up_blocks[-1].weight)
    seen: list[Tensor] = []
    sites = (tiny.unet.mid_block, layers_of(tiny.unet.up_blocks)[-1])
    hooks = [site.register_forward_hook(lambda *args: seen.append(args[2])) for site in sites]
    tiny.unet(z, t, text)
    for hook in hooks:
        hook.remove()
    residuals = net(z, t, text, torch.zeros_like(condition))
    torch.testing.assert_close(residuals.mid, seen[0])
    torch.testing.assert_close(residuals.up[-1], seen[1][0])


def test_the_input_starts_as_brushnets_does(tiny: Components) -> None:
    """Breaks when the channels are in another order, or the mask's start with anything but zero."""
    weight = ReferenceNet.from_unet(tiny.unet).conv_in_condition.weight
    own = tiny.unet.conv_in.weight
    assert torch.equal(weight[:, :4], own) and torch.equal(weight[:, 4:8], own) and not weight[:, 8:].any()
    nine = random_components(channels=9).unet
    assert torch.equal(ReferenceNet.from_unet(nine).conv_in_condition.weight[:, 4:8], nine.conv_in.weight[:, :4])


def test_gradients_reach_the_net_and_not_the_unet(tiny: Components) -> None:
    """Breaks when the frozen UNet is trained, or work before the first sum is recorded for nothing."""
    z, t, text, condition = inputs()
    net = ReferenceNet.from_unet(tiny.unet)
    recorded: list[bool] = []
    hook = tiny.unet.conv_in.register_forward_hook(lambda *args: recorded.append(args[2].requires_grad))
    predict_with_residuals(tiny.unet, z, t, text, net(z, t, text, condition)).square().sum().backward()
    hook.remove()
    zero = [*net.brushnet_down_blocks, net.brushnet_mid_block, *net.brushnet_up_blocks]
    assert all(conv.weight.grad is not None and conv.weight.grad.any() for conv in zero)
    assert recorded == [False]
    assert all(parameter.grad is None for parameter in tiny.unet.parameters())


def test_no_hook_stays_behind(tiny: Components) -> None:
    """Breaks when an exception leaves a request's residuals on the shared UNet."""
    z, t, text, _ = inputs()
    whole = random_residuals(ReferenceNet.from_unet(tiny.unet))
    with pytest.raises(ValueError, match="zip"):
        predict_with_residuals(tiny.unet, z, t, text, Residuals(whole.down, whole.mid, whole.up[:-1]))
    with pytest.raises(RuntimeError):
        predict_with_residuals(tiny.unet, z, t, text, Residuals(whole.down, whole.mid[:, :1, :2], whole.up))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in tiny.unet.modules())


def test_brushnets_mask_is_turned_over_inside(tiny: Components) -> None:
    """Breaks when a published net sees the hole where the known pixels are, or a hole that is not the mask."""
    z, t, text, condition = inputs()
    net = ReferenceNet.from_unet(tiny.unet, "brushnet")
    torch.nn.init.dirac_(net.brushnet_down_blocks[0].weight)
    with torch.no_grad():
        net.conv_in_condition.weight.zero_()
        net.conv_in_condition.bias.zero_()
        net.conv_in_condition.weight[:, 8, 1, 1] = 1
        first = net(z, t, text, condition).down[0]
    assert torch.equal(first[:, :1], 1 - condition[:, 4:])


def test_brushnets_layout_reads_no_text(tiny: Components) -> None:
    """Breaks when the convolution-only layout holds an attention layer."""
    net = ReferenceNet.from_unet(tiny.unet, "brushnet")
    assert not net.attn_processors and not any("attn" in key for key in net.state_dict())
    assert (net.layout, ReferenceNet.from_unet(tiny.unet).layout) == ("brushnet", "unet")


def test_what_cannot_be_copied_is_said_so(tiny: Components) -> None:
    """Breaks when another layout or a UNet of SDXL ends in a traceback, or in a net without its embeddings."""
    with pytest.raises(UsageError, match="unknown layout 'controlnet'"):
        ReferenceNet.from_unet(tiny.unet, "controlnet")
    larger = {"addition_embed_type": "text_time", "addition_time_embed_dim": 8}
    config = MINI | larger | {"projection_class_embeddings_input_dim": 64}
    with pytest.raises(UsageError, match=r"SD 1.x and 2.x only"):
        ReferenceNet.from_unet(empty_module(UNet2DConditionModel, config))


@pytest.mark.parametrize(
    ("config", "layout", "size", "residuals", "attention"),
    [
        (UNET, "unet", 886_069_440, (12, 15), 32),
        (UNET, "brushnet", 618_830_080, (12, 15), 0),  # 2.48 GB in fp32, as published
        (MINI, "unet", None, (6, 8), 14),
        (MINI, "brushnet", None, (6, 8), 0),
    ],
)
def test_sizes_at_full_scale(
    config: dict[str, Any], layout: str, size: int | None, residuals: tuple[int, int], attention: int
) -> None:
    """Breaks when the net of Stable Diffusion 1.5 has another size, or other residuals than that UNet has layers."""
    side, width = config["sample_size"], config["cross_attention_dim"]
    unet = empty_module(UNet2DConditionModel, config)
    with init_empty_weights():
        net = ReferenceNet.from_unet(unet, layout)
    assert size is None or sum(p.numel() for p in net.parameters()) == size
    assert (len(net.brushnet_down_blocks), len(net.brushnet_up_blocks)) == residuals
    assert len(net.attn_processors) == attention
    with torch.device("meta"):
        z, t, text = torch.zeros(2, 4, side, side), torch.zeros(2), torch.zeros(2, 77, width)
        handed = net(z, t, text, torch.zeros(2, 5, side, side))
        assert predict_with_residuals(unet, z, t, text, handed).shape == z.shape
