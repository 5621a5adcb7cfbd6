"""Camera-chain and warp augmentation, each step with a low probability (DigiFace-1M, Bae et al. 2023, sec. 4.2)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
RGB_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]], np.float32)


@dataclass(frozen=True)
class AugmentSettings:
    """Probability and largest strength of every step. Lengths are shares of the picture's side, angles degrees."""

    warp: float = 0.5
    rotation: float = 12.0
    scale: float = 0.12
    aspect: float = 0.08
    shift: float = 0.05
    corners: float = 0.06
    brightness: float = 0.25
    brightness_range: float = 0.25
    contrast: float = 0.25
    contrast_range: float = 0.25
    hue: float = 0.1
    hue_range: float = 10.0
    blur: float = 0.15
    blur_range: float = 0.025
    motion: float = 0.08
    motion_range: float = 0.08
    resample: float = 0.15
    resample_range: float = 2.5
    noise: float = 0.15
    noise_range: float = 12.0
    jpeg: float = 0.15
    jpeg_quality: int = 35


LIGHT = AugmentSettings(warp=0.4, rotation=6.0, scale=0.06, aspect=0.04, shift=0.03, corners=0.02, hue=0.0)


def augment(
    images: Images,
    rng: np.random.Generator,
    settings: AugmentSettings,
    masks: NDArray[np.uint8] | None = None,
) -> tuple[Images, NDArray[np.uint8] | None]:
    """Augment every picture on its own.

    Args:
        images: uint8 [B, S, S, 3] sRGB.
        rng: the batch's random numbers.
        settings: probabilities and strengths.
        masks: uint8 [B, R, G, G], warped along with their pictures; G may differ from S.

    Returns:
        New arrays of the same shapes.
    """
    out = np.empty_like(images)
    warped = None if masks is None else np.array(masks)
    for i, image in enumerate(images):
        picture = np.ascontiguousarray(image)
        if rng.random() < settings.warp:
            homography = _homography(rng, settings)
            picture = _warp(picture, homography, cv2.BORDER_REFLECT_101)
            if masks is not None and warped is not None:
                layers = [_warp(np.ascontiguousarray(m), homography, cv2.BORDER_CONSTANT) for m in masks[i]]
                warped[i] = np.stack(layers)
        out[i] = camera_chain(picture, rng, settings)
    return out, warped


def camera_chain(image: Images, rng: np.random.Generator, settings: AugmentSettings) -> Images:
    """Light, lens, sensor and file, in that order, on one picture uint8 [S, S, 3]."""
    side = image.shape[0]
    picture = image
    if rng.random() < settings.brightness:
        picture = _linear(picture, 1 + rng.uniform(-1, 1) * settings.brightness_range, 0.0)
    if rng.random() < settings.contrast:
        gain = 1 + rng.uniform(-1, 1) * settings.contrast_range
        picture = _linear(picture, gain, (1 - gain) * float(picture.mean()))
    if rng.random() < settings.hue:
        picture = _turn_hue(picture, rng.uniform(-1, 1) * settings.hue_range)
    if rng.random() < settings.blur:
        picture = cv2.GaussianBlur(picture, (0, 0), max(0.2, rng.uniform(0, settings.blur_range) * side))
    if rng.random() < settings.motion:
        picture = _motion_blur(picture, max(2.0, rng.uniform(0, settings.motion_range) * side), rng.uniform(0, 180))
    if rng.random() < settings.resample:
        small = max(8, round(side / rng.uniform(1.2, settings.resample_range)))
        reduced = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
        picture = cv2.resize(reduced, (side, side), interpolation=cv2.INTER_LINEAR)
    if rng.random() < settings.noise:
        noise = rng.normal(0, rng.uniform(1, settings.noise_range), picture.shape)
        picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
    if rng.random() < settings.jpeg:
        quality = int(rng.integers(settings.jpeg_quality, 96))
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        picture = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.asarray(picture, np.uint8)


def _homography(rng: np.random.Generator, settings: AugmentSettings) -> NDArray[np.float64]:
    """Rotation, scale, aspect, shift and displaced corners as one map of the unit square, 3 x 3."""
    angle = np.deg2rad(rng.uniform(-1, 1) * settings.rotation)
    scale = 1 + rng.uniform(-1, 1) * settings.scale
    stretch = 1 + rng.uniform(-1, 1) * settings.aspect
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    square = np.array([[0.0, 0.0], [1, 0], [1, 1], [0, 1]])
    moved = (square - 0.5) * [scale * stretch, scale / stretch] @ turn.T + 0.5
    moved += rng.uniform(-1, 1, 2) * settings.shift + rng.uniform(-1, 1, (4, 2)) * settings.corners
    return np.asarray(cv2.getPerspectiveTransform(square.astype(np.float32), moved.astype(np.float32)), np.float64)


def _warp(image: Images, homography: NDArray[np.float64], border: int) -> Images:
    """Apply a map of the unit square to a picture of any size; pixel centres lie at (i + 0.5) / side."""
    side = image.shape[0]
    to_pixels = np.array([[side, 0, -0.5], [0, side, -0.5], [0, 0, 1.0]])
    matrix = to_pixels @ homography @ np.linalg.inv(to_pixels)
    return np.asarray(cv2.warpPerspective(image, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=border))


def _linear(image: Images, gain: float, offset: float) -> Images:
    return np.asarray(np.clip(image * np.float32(gain) + np.float32(offset), 0, 255), np.uint8)


def _turn_hue(image: Images, degrees: float) -> Images:
    """Rotate the chroma plane of YIQ."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]], np.float32)
    matrix = (np.linalg.inv(RGB_TO_YIQ) @ turn @ RGB_TO_YIQ).astype(np.float32)
    return np.asarray(np.clip(image.astype(np.float32) @ matrix.T, 0, 255), np.uint8)


def _motion_blur(image: Images, length: float, degrees: float) -> Images:
    size = int(np.ceil(length)) | 1
    line = np.zeros((size, size), np.float32)
    line[size // 2] = 1
    turn = cv2.getRotationMatrix2D((size // 2, size // 2), degrees, 1.0)
    kernel = cv2.warpAffine(line, turn, (size, size))
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101), np.uint8)
