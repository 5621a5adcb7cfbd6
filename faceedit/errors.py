"""Everything that can go wrong for a user, with the exit code it ends in and a hint what to do."""

from __future__ import annotations


class FaceEditError(Exception):
    """One clear line (`str(error)`) and, in `hint`, one line on what to do about it."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(FaceEditError):
    """The request itself is off: an unknown region, key or recipe, an empty prompt, a mask of another size."""

    exit_code = 2


class ImageError(FaceEditError):
    """A picture that cannot be read: not an image, truncated, too small, too large, an unsupported format."""


class OutputError(FaceEditError):
    """A result that cannot be written: it exists already, its folder is missing, the disk is full."""


class NumericError(FaceEditError):
    """A non-finite value or a black frame where a picture should be; never saved."""


class WeightsError(FaceEditError):
    """Weights that are missing, gated or damaged; keys that do not fit."""

    exit_code = 4


class NothingToEditError(FaceEditError):
    """No face was found, or the mask is empty."""

    exit_code = 5


class SafetyError(FaceEditError):
    """The safety checker flagged a result, and the recipe blocks such results."""

    exit_code = 6


class OutOfMemoryError(FaceEditError):
    """The device's memory does not hold what the recipe asks for."""

    exit_code = 7
