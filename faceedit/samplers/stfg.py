"""Skin transition frequency guidance (STFG), CA-Edit eqs 7 to 10, as free functions.

Symbols: A the mean attention of the content tokens, M the mask, Idx the boundary region, z_0 the clean latents of the
original, z_{t→0} the one-step clean estimate (`faceedit.samplers.ddim.predict_z0`, eq. 8), x' the low frequencies of x
(`faceedit.samplers.low_pass`), g the distance that is to fall. All maths is in float32, one row per candidate.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from faceedit.samplers.ddim import predict_z0
from faceedit.samplers.low_pass import Band, low_pass

# Rounding must not empty a region whose smallest attention equals the threshold, as with one cell or with two.
_SLACK = 1e-6
_BELOW_SIGMA = 0.1587


def boundary_region(attention: Tensor, mask: Tensor) -> Tensor:
    """Idx = {A ≤ γ} inside M with γ = μ - σ of A's values inside M (eq. 7).

    Empty only where no value lies a standard deviation below the mean, as when a single cell stands out.

    Args:
        attention: A, float32 [B, h, w].
        mask: float32 [h, w]; inside is where it is above 0, and somewhere it is.

    Returns:
        bool [B, h, w].
    """
    inside = mask > 0
    values = attention[:, inside].double()
    gamma = values.mean(1) - values.std(1, correction=0)
    slack = _SLACK * values.abs().amax(1)
    return (attention <= (gamma + slack)[:, None, None]) & inside


def boundary_region_least(attention: Tensor, mask: Tensor) -> Tensor:
    """The least attended sixth of M's cells, at least one: what lies below μ - σ of values that are normally spread.

    Beyond the paper. Where one cell stands out, as on small latents, nothing lies below eq. 7's threshold.
    """
    inside = mask > 0
    values = attention[:, inside]
    gamma = values.kthvalue(max(1, round(_BELOW_SIGMA * values.shape[1])), dim=1).values
    return (attention <= gamma[:, None, None]) & inside


def boundary_region_appendix(attention: Tensor, mask: Tensor) -> Tensor:
    """The same with the threshold of eqs 12 and 13, whose statistics count the zeros outside the mask; for audit only.

    The threshold is negative, and the region empty, unless the mask covers about half of the latents.
    """
    masked = (attention * (mask > 0)).double()
    gamma = masked.mean((1, 2)) - masked.std((1, 2), correction=0)
    return (attention <= gamma[:, None, None]) & (mask > 0)


def seam_distance(low: Tensor, low_original: Tensor, region: Tensor) -> Tensor:
    """g = 1/|Idx| Σ_Idx ‖z'_{t→0} - z'_0‖² (eq. 9), float32 [B]; 0 where the region is empty.

    Args:
        low: z'_{t→0}, float32 or complex64 [B, C, h, w].
        low_original: z'_0, [1, C, h, w].
        region: Idx, bool [B, h, w].
    """
    squares = (low - low_original).abs().square().sum(1)
    return (squares * region).sum((1, 2)) / _count(region)


def closed_form_gradient(low: Tensor, low_original: Tensor, region: Tensor, band: Band, alpha_bar: Tensor) -> Tensor:
    """∇_{z_t} g with ε held constant: 2 / (|Idx| √ᾱ_t) · LP[1_Idx ⊙ (z'_{t→0} - z'_0)]. No backward pass.

    It is exact because the filter is real, idempotent and its own adjoint, and ∂z_{t→0}/∂z_t = 1/√ᾱ_t.

    Returns:
        float32 [B, C, h, w].
    """
    spread = low_pass((low - low_original) * region[:, None], band)
    scale = 2 / (_count(region)[:, None, None, None] * alpha_bar.sqrt())
    return scale * (spread.real if spread.is_complex() else spread)


def network_gradient(
    predict: Callable[[Tensor], Tensor],
    region_of: Callable[[], Tensor],
    z: Tensor,
    low_original: Tensor,
    band: Band,
    alpha_bar: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """∇_{z_t} g through everything that predicts the noise, by one backward pass.

    Args:
        predict: z_t [B, C, h, w] -> ε of the same shape, differentiable.
        region_of: Idx of that prediction, bool [B, h, w]; taken as a constant.
        z: z_t.

    Returns:
        ε, the region and the gradient, none of which carries a graph.
    """
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        eps = predict(z)
        region = region_of()
        low = low_pass(predict_z0(z, eps, alpha_bar), band)
        (gradient,) = torch.autograd.grad(seam_distance(low, low_original, region).sum(), z)
    return eps.detach(), region, gradient


def relative_strength(
    share: float,
    eps: Tensor,
    gradient: Tensor,
    difference: Tensor,
    region: Tensor,
    band: Band,
    alpha_bar: Tensor,
) -> Tensor:
    """λ for which the change of ε is `share` of ε's own size inside the boundary region, but never past g's minimum.

    With ε held constant g is a parabola along the change; its minimum is where a longer step would raise g again.

    Args:
        share: at least 0.
        eps: ε, [B, C, h, w].
        gradient: ∇g, the same shape.
        difference: z'_{t→0} - z'_0, the same shape.
        region: Idx, bool [B, h, w].

    Returns:
        float32 [B]; 0 where the gradient is 0.
    """
    rho = (1 - alpha_bar).sqrt()
    size = (eps * region[:, None]).flatten(1).norm(dim=1)
    wanted = share * size / (rho * gradient.flatten(1).norm(dim=1)).clamp(min=1e-20)
    # The estimate moves by -λ v, and with it the difference inside the region.
    v = low_pass(rho * (1 - alpha_bar).sqrt() / alpha_bar.sqrt() * gradient, band) * region[:, None]
    inside = difference * region[:, None]
    best = (inside * v.conj()).real.flatten(1).sum(1) / v.abs().square().flatten(1).sum(1).clamp(min=1e-20)
    return torch.minimum(wanted, best.clamp(min=0))


def guided_by_seam(eps: Tensor, gradient: Tensor, strength: Tensor | float, alpha_bar: Tensor) -> Tensor:
    """ε̂ = ε + λ ρ_t ∇g with ρ_t = √(1 - ᾱ_t) (eq. 10 with the sign that lowers g).

    The paper prints a minus. DDIM's clean estimate falls with ε, so a minus raises g; a negative `strength` gives it.

    Args:
        eps: ε with classifier-free guidance, [B, C, h, w].
        gradient: ∇g, the same shape.
        strength: λ, one value or [B].
    """
    lam = torch.as_tensor(strength, dtype=eps.dtype, device=eps.device).reshape(-1, 1, 1, 1)
    return eps + lam * (1 - alpha_bar).sqrt() * gradient


def _count(region: Tensor) -> Tensor:
    """|Idx| of every row, at least 1."""
    return region.sum((1, 2)).clamp(min=1)
