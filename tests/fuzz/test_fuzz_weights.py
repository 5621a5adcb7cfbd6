"""Weights, the indexes beside them and the list of known ones, bent in every way."""

from __future__ import annotations

import json
import struct
from typing import Any

import torch
from fuzzing import FOLDER, RANDOM, VALUES, bent, fuzz, inside
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save
from torch import nn

from faceedit.errors import WeightsError
from faceedit.models.manifest import read_manifest
from faceedit.models.places import weight_paths
from faceedit.models.tensors import load_into
from faceedit.recipe_schema import Weights
from faceedit.resources import manifest_path


class Small(nn.Module):
    """Three tensors of different kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2, 3))
        self.bias = nn.Parameter(torch.zeros(3))
        self.register_buffer("count", torch.zeros(2, dtype=torch.int64))


def stored() -> bytes:
    return save({"weight": torch.ones(2, 3), "bias": torch.ones(3), "count": torch.ones(2, dtype=torch.int64)})


STORED = stored()
DTYPES = st.sampled_from(["F32", "F16", "BF16", "F64", "I64", "BOOL", "F8_E4M3", "F8_E5M2", "U8", "X", 5, None])
NUMBERS = st.integers(-1, 1 << 65) | st.integers(0, 64)
ENTRY = st.fixed_dictionaries(
    {
        "dtype": DTYPES,
        "shape": st.lists(NUMBERS, max_size=3) | st.just([2, 3]),
        "data_offsets": st.lists(NUMBERS, max_size=3),
    }
)
RIGHT = {
    "bias": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]},
    "count": {"dtype": "I64", "shape": [2], "data_offsets": [12, 28]},
    "weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [28, 52]},
}


@st.composite
def headers(draw: st.DrawFn) -> bytes:
    """A safetensors file with a header that is right but for an entry or two."""
    header: dict[str, Any] = {name: dict(entry) for name, entry in RIGHT.items()}
    for name in draw(st.lists(st.sampled_from([*RIGHT, "__metadata__", "../../x"]), max_size=2)):
        header[name] = draw(ENTRY | VALUES)
    if draw(st.booleans()):
        header["count"] = {**RIGHT["count"], "dtype": draw(DTYPES)}
    text = json.dumps(header).encode()
    length = draw(st.just(len(text)) | NUMBERS)
    return struct.pack("<Q", max(length, 0) % (1 << 64)) + text + bytes(draw(st.sampled_from([52, 51, 53, 0])))


@fuzz(250)
@given(bent([STORED]) | headers() | RANDOM)
def test_safetensors(data: bytes) -> None:
    """Breaks when weights load that are not exactly the module's, or a reader's own exception escapes."""
    path = FOLDER / "w.safetensors"
    path.write_bytes(data)
    module = Small()
    try:
        load_into(module, [path], "part")
    except WeightsError as error:
        assert "\n" not in str(error) and error.hint
        return
    for tensor in module.state_dict().values():
        assert torch.isfinite(tensor).all()
    assert module.weight.shape == (2, 3) and module.bias.dtype == torch.float32


@fuzz(80)
@given(VALUES | st.dictionaries(st.sampled_from(["unet", "vae", "_class_name", "text_encoder"]), VALUES, max_size=4))
def test_model_indexes(values: Any) -> None:
    """Breaks when model_index.json or a shard index of any shape ends in another exception, or leads elsewhere."""
    folder = FOLDER / "model"
    (folder / "vae").mkdir(parents=True, exist_ok=True)
    (folder / "model_index.json").write_text(json.dumps(values))
    (folder / "vae" / "model.safetensors.index.json").write_text(json.dumps({"weight_map": values}))
    try:
        paths = weight_paths(Weights(kind="local", path=str(folder)))
    except WeightsError as error:
        assert "\n" not in str(error)
        return
    assert all(path.is_relative_to(folder) for path in paths.values())


@fuzz(80)
@given(bent([manifest_path().read_bytes()]))
def test_weight_manifests(data: bytes) -> None:
    """Breaks when weights.toml of any shape ends in another exception than WeightsError."""
    path = FOLDER / "weights.toml"
    path.write_bytes(data)
    try:
        sets = read_manifest(path)
    except WeightsError as error:
        assert "\n" not in str(error)
        return
    assert all(inside(file.path) for known in sets for file in known.files)
