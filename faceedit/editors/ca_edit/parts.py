"""Which of CA-Edit's parts an edit uses, given what the weights hold and the recipe asks for, and what to expect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from faceedit.attention.content import text_layers
from faceedit.errors import UsageError, WeightsError
from faceedit.models.condition_adapter import cross_attention_layers

_WHERE = "set weights.folders.reference_net and weights.folders.adapter to trained ones"


@dataclass(frozen=True)
class Parts:
    """The parts in use.

    Attributes:
        unet: the frozen UNet.
        reference_net: hands it residuals, or `None`.
        adapter: CA²'s weights, or `None`.
        host: the network that the adapter sits in and whose attention to the text is read: the reference net where it
            reads text, else the UNet.
        score: learned, fixed or none, as far as the adapter can.
        notes: what differs from the trained method, a sentence each.
    """

    unet: Any
    reference_net: Any
    adapter: Any
    host: Any
    score: str
    notes: tuple[str, ...]


def choose_parts(components: Any, options: Any, seam: bool) -> Parts:
    """The parts of an edit.

    An adapter with a score predictor was trained inside its reference net and is of no use without it. One without, as
    IP-Adapter's published file, works in the UNet itself where there is no reference net that reads text.

    Args:
        components: the loaded weights.
        options: the recipe's section `ca_edit`.
        seam: whether STFG is on; only the notes say so.

    Raises:
        UsageError: a UNet with more input channels than latent channels.
        WeightsError: the adapter fits another network, or there is no vision encoder for it.
    """
    unet = components.unet
    if unet.config.in_channels != components.vae.config.latent_channels:
        raise UsageError(
            f"ca-edit wants a 4-channel UNet, this one has {unet.config.in_channels} channels",
            "its reference net sees the mask; take --backend inpaint for this checkpoint",
        )
    net = components.reference_net if options.reference else None
    adapter = components.adapter if options.adapter else None
    notes: list[str] = []
    if adapter is not None and net is None and adapter.has_score:
        adapter = None
        if components.reference_net is None:
            notes.append("the adapter is left out: it was trained inside a reference net, which these weights lack")
    host = net if net is not None and text_layers(net) else unet
    if adapter is not None:
        _require_fit(adapter, host, components.vision)
    elif options.adapter and components.adapter is None and net is not None:
        notes.append(
            "no adapter in these weights: the reference net works from the text and the surroundings alone, and skin "
            f"detail is not taken from the picture; {_WHERE}"
        )
    if net is None and adapter is None and components.reference_net is None and options.reference:
        notes.append(
            f"neither reference net nor adapter in these weights: this is inpainting{' with STFG' if seam else ''}, "
            f"and its quality is that of inpaint; {_WHERE}"
        )
    score = options.score
    if adapter is not None and score == "learned" and not adapter.has_score:
        score = "fixed"
        notes.append(
            f"the adapter holds no score predictor (a published IP-Adapter): a fixed score of {options.fixed_score:g} "
            "holds the picture back inside the mask; expect a cruder balance of text and picture than a trained one's"
        )
    return Parts(unet, net, adapter, host, score, tuple(notes))


def _require_fit(adapter: Any, host: Any, vision: Any) -> None:
    if vision is None:
        raise WeightsError("the adapter needs a CLIP vision encoder", "set weights.folders.vision to its folder")
    widths = {number: layer.to_q.out_features for number, layer in cross_attention_layers(host).items()}
    made_for, has = (sorted(set(found.values())) for found in (adapter.config.widths, widths))
    if widths != dict(adapter.config.widths):
        raise WeightsError(
            f"the adapter was made for {len(adapter.config.widths)} layers of widths {made_for}, and this network has "
            f"{len(widths)} of {has}",
            "take an adapter and a reference net that were trained together",
        )
