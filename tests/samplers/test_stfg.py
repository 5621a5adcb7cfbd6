"""Skin transition frequency guidance: the filter, the boundary region, g, its gradient and the guided noise."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from faceedit.samplers.ddim import add_noise, alphas_cumprod, ddim_step, predict_z0
from faceedit.samplers.low_pass import centred_band, low_pass, quadrant_band
from faceedit.samplers.stfg import (
    boundary_region,
    boundary_region_appendix,
    boundary_region_least,
    closed_form_gradient,
    guided_by_seam,
    network_gradient,
    relative_strength,
    seam_distance,
)

SD = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SIDES = st.integers(1, 33)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def alpha_bar(t: int) -> Tensor:
    return alphas_cumprod(SD)[t]


def region_of(h: int, w: int, rows: int = 1, seed: int = 3) -> Tensor:
    return noise(rows, h, w, seed=seed) > 0.8


@given(SIDES, SIDES, st.floats(0.01, 0.5))
def test_low_pass_is_a_real_projection_that_keeps_the_mean(h: int, w: int, radius: float) -> None:
    """Breaks when a frequency is let through without its conjugate, at odd sizes or at the border of the band."""
    band = centred_band((h, w), radius)
    x, y = noise(1, 2, h, w), noise(1, 2, h, w, seed=1)
    filtered = torch.fft.ifft2(torch.fft.fft2(x) * band.keep)
    assert filtered.imag.abs().max() < 1e-5
    once = low_pass(x, band)
    torch.testing.assert_close(once, filtered.real)
    torch.testing.assert_close(low_pass(once, band), once, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(once.mean((2, 3)), x.mean((2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close((once * y).sum(), (x * low_pass(y, band)).sum(), rtol=1e-3, atol=1e-3)


def test_the_band_is_the_centred_half_of_the_shifted_spectrum() -> None:
    """31 of 64 frequencies on each axis; breaks when the band slips by one."""
    shifted = torch.fft.fftshift(centred_band((64, 64)).keep)
    expected = torch.zeros(64, 64, dtype=torch.bool)
    expected[17:48, 17:48] = True
    assert torch.equal(shifted, expected)


def test_the_printed_band_is_a_quadrant_that_loses_the_mean() -> None:
    """The literal reading: no mean, and real and imaginary part of equal energy."""
    band = quadrant_band((64, 64))
    expected = torch.zeros(64, 64, dtype=torch.bool)
    expected[33:48, 33:48] = True
    assert torch.equal(torch.fft.fftshift(band.keep), expected)
    x = noise(1, 4, 64, 64)
    assert low_pass(torch.ones(1, 1, 64, 64), band).abs().max() < 1e-5
    filtered = low_pass(x, band)
    energy = filtered.real.square().sum() / filtered.imag.square().sum()
    assert filtered.is_complex() and 0.99 < energy < 1.01
    torch.testing.assert_close(low_pass(filtered, band), filtered, rtol=1e-4, atol=1e-5)


@given(st.integers(1, 2), st.integers(1, 4), st.integers(0, 1000))
def test_boundary_region_of_small_masks_is_not_empty(h: int, w: int, seed: int) -> None:
    """One cell and two always have one at the threshold; breaks when rounding drops it or a sample's std is NaN."""
    mask = torch.zeros(16, 16)
    mask[5 : 5 + h, 3 : 3 + w] = 1
    attention = 0.02 + 0.001 * noise(1, 16, 16, seed=seed)
    region = boundary_region(attention, mask)
    assert not (region & (mask == 0)).any()
    values = attention[:, mask > 0].double()
    allowed = values.min() <= values.mean() - values.std(correction=0) + 1e-9
    assert region.any() == allowed
    assert region.any() or h * w > 2
    assert boundary_region(torch.full((2, 16, 16), 1 / 77), mask).sum() == 2 * h * w


def test_boundary_region_takes_the_least_attended_cells_inside_the_mask() -> None:
    """Breaks when the statistics see cells outside the mask, or one candidate those of another."""
    mask = torch.zeros(8, 8)
    mask[2:6, 2:6] = 1
    attention = torch.full((2, 8, 8), 9.0)
    attention[:, 2:6, 2:6] = 1.0
    attention[0, 2, 2:5] = 0.1
    attention[1, 5, 5] = 0.1
    region = boundary_region(attention, mask)
    assert region[0].nonzero().tolist() == [[2, 2], [2, 3], [2, 4]]
    assert region[1].nonzero().tolist() == [[5, 5]]


@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 1000))
def test_the_least_attended_sixth_is_never_empty(h: int, w: int, seed: int) -> None:
    """Also where one cell stands out and eq. 7 leaves nothing."""
    mask = torch.zeros(16, 16)
    mask[5 : 5 + h, 3 : 3 + w] = 1
    attention = 0.02 + 0.001 * noise(2, 16, 16, seed=seed)
    region = boundary_region_least(attention, mask)
    assert region.sum((1, 2)).tolist() == [max(1, round(0.1587 * h * w))] * 2
    assert not (region & (mask == 0)).any()
    kept = (mask > 0) & ~region
    assert all(attention[i][region[i]].max() <= attention[i][kept[i]].min() for i in range(2) if kept[i].any())
    peak = torch.where(mask > 0, 0.01, 0.0)
    peak[5, 3] = 1
    assert boundary_region_least(peak[None], mask).any()
    assert boundary_region(peak[None], mask).any() == (h * w <= 2)


def test_the_threshold_of_the_appendix_is_empty_for_small_masks_only() -> None:
    """The zeros outside the mask count there: a small mask has no cell below, nearly the whole picture has some."""
    attention = 0.02 + 0.002 * noise(1, 16, 16)
    small, large = torch.zeros(16, 16), torch.ones(16, 16)
    small[4:10, 4:10] = 1
    assert not boundary_region_appendix(attention, small).any()
    assert torch.equal(boundary_region_appendix(attention, large), boundary_region(attention, large))


@pytest.mark.parametrize("literal", [False, True])
@pytest.mark.parametrize("size", [(16, 16), (9, 13)])
def test_closed_form_is_autograd_with_constant_noise(size: tuple[int, int], literal: bool) -> None:
    """Breaks when a factor, the region or the filter's adjoint is off."""
    band = quadrant_band(size) if literal else centred_band(size)
    alpha, region = alpha_bar(401), region_of(*size, rows=2)
    z0, z, eps = noise(1, 4, *size), noise(2, 4, *size, seed=1), noise(2, 4, *size, seed=2)
    low_original = low_pass(z0, band)
    moving = z.clone().requires_grad_()
    g = seam_distance(low_pass(predict_z0(moving, eps, alpha), band), low_original, region)
    (expected,) = torch.autograd.grad(g.sum(), moving)
    low = low_pass(predict_z0(z, eps, alpha), band)
    found = closed_form_gradient(low, low_original, region, band, alpha)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_gradient_through_a_network_is_autograds() -> None:
    """Breaks when the network's own Jacobian is left out, or a graph is kept."""
    band, alpha, region = centred_band((8, 8)), alpha_bar(601), region_of(8, 8)
    z, low_original = noise(1, 4, 8, 8), low_pass(noise(1, 4, 8, 8, seed=1), band)
    eps, same, gradient = network_gradient(torch.sin, lambda: region, z, low_original, band, alpha)
    moving = z.clone().requires_grad_()
    low = low_pass(predict_z0(moving, torch.sin(moving), alpha), band)
    (expected,) = torch.autograd.grad(seam_distance(low, low_original, region).sum(), moving)
    torch.testing.assert_close(gradient, expected)
    assert torch.equal(eps, torch.sin(z)) and same is region
    assert not (eps.requires_grad or gradient.requires_grad)
    constant = closed_form_gradient(low.detach(), low_original, region, band, alpha)
    assert not torch.allclose(gradient, constant, rtol=0.05)


@pytest.mark.parametrize("t", [981, 501, 21])
@given(share=st.floats(0.001, 10.0))
def test_a_relative_step_lowers_g_and_the_printed_sign_raises_it(t: int, share: float) -> None:
    """Breaks with the paper's sign, or when a large share overshoots the minimum."""
    band, alpha, region = centred_band((16, 16)), alpha_bar(t), region_of(16, 16)
    z, eps = noise(1, 4, 16, 16), noise(1, 4, 16, 16, seed=1)
    low_original = low_pass(noise(1, 4, 16, 16, seed=2), band)

    def g(of: Tensor) -> Tensor:
        return seam_distance(low_pass(predict_z0(z, of, alpha), band), low_original, region)

    low = low_pass(predict_z0(z, eps, alpha), band)
    gradient = closed_form_gradient(low, low_original, region, band, alpha)
    lam = relative_strength(share, eps, gradient, low - low_original, region, band, alpha)
    change = (guided_by_seam(eps, gradient, lam, alpha) - eps).norm()
    assert change <= share * (eps * region[:, None]).norm() * 1.001
    assert g(guided_by_seam(eps, gradient, lam, alpha)) < g(eps) < g(guided_by_seam(eps, gradient, -lam, alpha))


def test_guided_sampling_ends_nearer_to_the_original_at_the_seam() -> None:
    """A whole DDIM run with a denoiser that pulls elsewhere; breaks with the printed sign."""
    band, region = centred_band((16, 16)), region_of(16, 16)
    original, other = noise(1, 4, 16, 16), noise(1, 4, 16, 16, seed=1)
    low_original = low_pass(original, band)
    steps = [981, 781, 581, 381, 181, 1]
    ends = {}
    for sign in (1, 0, -1):
        z = add_noise(original, noise(1, 4, 16, 16, seed=2), alpha_bar(steps[0]))
        for t, following in zip(steps, [*steps[1:], 0], strict=True):
            a = alpha_bar(t)
            eps = (z - a.sqrt() * other) / (1 - a).sqrt()
            low = low_pass(predict_z0(z, eps, a), band)
            gradient = closed_form_gradient(low, low_original, region, band, a)
            lam = relative_strength(0.3, eps, gradient, low - low_original, region, band, a)
            z = ddim_step(z, guided_by_seam(eps, gradient, sign * lam, a), a, alpha_bar(following))
        ends[sign] = float(seam_distance(low_pass(z, band), low_original, region))
    assert ends[1] < ends[0] < ends[-1]


def test_an_empty_region_guides_nothing() -> None:
    """Breaks when 0 / 0 turns into NaN latents."""
    band, alpha = centred_band((8, 8)), alpha_bar(501)
    region = torch.zeros(1, 8, 8, dtype=torch.bool)
    low, low_original, eps = (noise(1, 4, 8, 8, seed=s) for s in range(3))
    gradient = closed_form_gradient(low, low_original, region, band, alpha)
    lam = relative_strength(0.1, eps, gradient, low - low_original, region, band, alpha)
    assert torch.equal(guided_by_seam(eps, gradient, lam, alpha), eps)
    assert seam_distance(low, low_original, region).tolist() == [0]
