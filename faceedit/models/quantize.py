"""Quantised loading: the recipe's settings go to diffusers or transformers as they are, after the same strict check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from faceedit.errors import UsageError
from faceedit.models.jsonfile import read_config
from faceedit.models.keys import renamer
from faceedit.models.tensors import matched_keys, read_tensors, tied_keys, weight_files


def load_quantized(
    kind: Any, folder: Path, variant: str, dtype: torch.dtype, settings: Mapping[str, Any], part: str
) -> Any:
    """A module that its library quantises while loading.

    Args:
        kind: allowed diffusers or transformers class.
        folder: the part's folder.
        variant: variant of its files.
        dtype: precision of what is not quantised.
        settings: `quant_method` ("bitsandbytes", "torchao", ...) and that method's own options.
        part: names it in errors.

    Raises:
        WeightsError: as unquantised loading.
        UsageError: the method is unknown, its package is not installed, or it does not run on this machine.
    """
    from faceedit.models.loader import empty_module

    module = empty_module(kind, read_config(folder / "config.json"), folder)
    files = weight_files(folder, variant)
    matched_keys(module.state_dict(), read_tensors(files), tied_keys(module), part, renamer(module))
    dtype_name = "torch_dtype" if hasattr(kind, "load_config") else "dtype"
    try:
        with _without_bars():
            loaded = kind.from_pretrained(
                str(folder),
                variant=variant or None,
                use_safetensors=True,
                local_files_only=True,
                quantization_config=dict(settings),
                **{dtype_name: dtype},
            )
    except (ValueError, ImportError, KeyError, TypeError, RuntimeError, AssertionError) as error:
        line = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UsageError(
            f"quantisation of {part}: {line}",
            "pip install 'faceedit[quant]' brings the packages, most methods need a GPU; see docs/recipes.md, Devices",
        ) from error
    return loaded.eval().requires_grad_(False)


@contextmanager
def _without_bars() -> Iterator[None]:
    """transformers draws a bar of its own, whether or not there is a terminal."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
