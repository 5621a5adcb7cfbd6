"""Where the face parser and the vision-language model lie on this machine, and what to say where they do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from faceedit.errors import WeightsError
from faceedit.models import manifest
from faceedit.models.jsonfile import read_config
from faceedit.models.verified import require_verified

_FAULTS = ("missing_keys", "unexpected_keys", "mismatched_keys")
PARSER, DESCRIBER = "face-parsing", "qwen2.5-vl-3b"


def model_folder(name: str, given: Path | None = None) -> Path:
    """The folder of one of the two published models; nothing is downloaded.

    Args:
        name: id of the set in `weights.toml`.
        given: a folder of the user's own instead.

    Raises:
        WeightsError: it is not there, which tells what to pull and how large that is, or it is damaged.
    """
    if given is not None:
        if not (given / "config.json").is_file():
            raise WeightsError(f"{given} holds no config.json", "give a folder in transformers layout")
        return given
    known = manifest.weight_set(name)
    folder = None if known is None else manifest.folder_of(known)
    if known is None or folder is None:
        about = "" if known is None else f" ({known.description})"
        raise WeightsError(
            f"{name}{about} is not on this machine",
            f"faceedit weights pull {name} --revision main --allow-moving; rendered portraits need none: --portraits N",
        )
    require_verified(known, folder, tuple(folder / file.path for file in known.files))
    return folder


def load_strictly(kind: Any, folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    """A transformers model from a folder, frozen; its own loader, which knows the published key names of each class.

    Raises:
        WeightsError: files that are missing or unreadable, or a key that is missing, unexpected or of another shape.
    """
    read_config(folder / "config.json")
    try:
        model, told = kind.from_pretrained(
            folder, output_loading_info=True, local_files_only=True, use_safetensors=True, dtype=dtype
        )
    except (OSError, ValueError, RuntimeError) as error:
        line = str(error).splitlines()[0]
        raise WeightsError(f"{folder}: {kind.__name__} cannot be read: {line}", "fetch it again") from error
    # transformers itself would leave a missing key random and say so in passing.
    wrong = sorted(str(key) for name in _FAULTS for key in told[name])
    if wrong:
        raise WeightsError(f"{folder}: {len(wrong)} keys do not fit, such as {wrong[0]}", "fetch it again")
    return model.eval().requires_grad_(False)
