"""Strict loading of safetensors into a module: every key and shape must fit, every number must be finite."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from faceedit.errors import WeightsError
from faceedit.models.jsonfile import parse_json, read_json

_STEMS = ("diffusion_pytorch_model", "model")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.msgpack")
_MAX_HEADER = 100_000_000
_SHOWN = 8

Renamer = Callable[[str], str | None]


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor lies: its file, its name there, its shape and its size in bytes."""

    file: Path
    name: str
    shape: tuple[int, ...]
    bytes: int


def weight_files(folder: Path, variant: str = "") -> tuple[Path, ...]:
    """The safetensors files of one part: a single file, or the shards that its index names.

    Args:
        folder: e.g. `.../unet`.
        variant: "fp16" for `model.fp16.safetensors`; empty for the plain files.

    Raises:
        WeightsError: none there (pickles are never loaded), or an index that names anything but plain file names.
    """
    for stem in _STEMS:
        single = folder / (f"{stem}.{variant}.safetensors" if variant else f"{stem}.safetensors")
        if single.is_file():
            return (single,)
        index = folder / (f"{stem}.safetensors.index.{variant}.json" if variant else f"{stem}.safetensors.index.json")
        if index.is_file():
            shards = read_json(index).get("weight_map")
            if not isinstance(shards, dict) or not shards:
                raise WeightsError(f"{index} names no shards", "fetch the weights again")
            return tuple(_shard(folder, name) for name in dict.fromkeys(str(shard) for shard in shards.values()))
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    others = sorted(path.name for path in folder.glob("*.safetensors"))
    wanted = f"{variant} safetensors" if variant else "safetensors"
    if others:
        raise WeightsError(
            f"{folder} has no {wanted}, only {others[0]}", "set weights.variant to the one that is there"
        )
    if pickles:
        raise WeightsError(
            f"{folder} has no {wanted}, only {pickles[0]}, a pickle that can run code",
            "take a repository or variant with safetensors files",
        )
    raise WeightsError(f"{folder} has no {wanted}", "fetch the weights: faceedit weights list")


def _shard(folder: Path, shard: str) -> Path:
    if shard != PurePosixPath(shard).name or shard != PureWindowsPath(shard).name or not shard.endswith(".safetensors"):
        raise WeightsError(f"{folder}: the index names {shard!r} as a shard", "shards lie beside their index")
    path = folder / shard
    if not path.is_file():
        raise WeightsError(f"{path} is missing", "fetch the weights again")
    return path


def read_header(path: Path) -> dict[str, StoredTensor]:
    """Names, shapes and sizes of the tensors in a safetensors file, without reading them.

    Raises:
        WeightsError: the file is no safetensors, is cut off, or holds a name twice.
    """
    try:
        with path.open("rb") as file:
            start = file.read(8)
            length = int.from_bytes(start, "little")
            if len(start) < 8 or length > _MAX_HEADER:
                raise _damaged(path, start)
            data = file.read(length)
            if len(data) < length or not data.startswith(b"{"):
                raise _damaged(path, start)
        header = parse_json(data, str(path))
        header.pop("__metadata__", None)
        with safe_open(str(path), framework="pt"):  # lets the library check offsets, overlaps and the file's length
            return {
                name: StoredTensor(
                    path, name, tuple(entry["shape"]), entry["data_offsets"][1] - entry["data_offsets"][0]
                )
                for name, entry in header.items()
            }
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror or error}", "check the file") from error
    except SafetensorError as error:
        raise _damaged(path, start) from error


def read_tensors(files: Iterable[Path]) -> dict[str, StoredTensor]:
    """The tensors of one file or of several shards; WeightsError as in `read_header`, or for a name in two of them."""
    stored: dict[str, StoredTensor] = {}
    for file in files:
        for name, tensor in read_header(file).items():
            if name in stored:
                raise WeightsError(
                    f"{name} is in {stored[name].file.name} and in {file.name}", "fetch the weights again"
                )
            stored[name] = tensor
    return stored


def load_into(
    module: nn.Module,
    files: Iterable[Path],
    what: str,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    rename: Renamer = lambda name: name,
    dtype_of: Callable[[str], torch.dtype | None] = lambda _: None,
) -> None:
    """Fill a module (its parameters may be on the meta device) from safetensors files, strictly.

    Args:
        module: gets exactly its own `state_dict` keys.
        files: one file, or shards.
        what: names the part in errors ("unet").
        dtype: floating-point tensors are cast to it; others keep theirs.
        device: where the tensors go.
        rename: stored name -> the module's name, or `None` to leave the tensor out.
        dtype_of: the module's name -> a precision of its own, or `None` for `dtype`.

    Raises:
        WeightsError: keys missing, unexpected or of another shape (named), a tensor with NaN or infinity, or a
            damaged file.
    """
    wanted = module.state_dict()
    stored = matched_keys(wanted, read_tensors(files), tied_keys(module), what, rename)
    state: dict[str, Tensor] = {}
    for path in dict.fromkeys(tensor.file for tensor in stored.values()):
        with safe_open(str(path), framework="pt") as reader:
            for key, tensor in stored.items():
                if tensor.file == path:
                    values = reader.get_tensor(tensor.name)
                    if values.is_floating_point():
                        _refuse_non_finite(values, f"{what}: {tensor.name} in {path}")
                        values = values.to(dtype_of(key) or dtype)
                    state[key] = values.to(device)
    tied = tied_keys(module)
    module.load_state_dict(state | {key: state[source] for key, source in tied.items()}, strict=True, assign=True)
    for key, source in tied.items():
        owner, _, name = key.rpartition(".")
        setattr(module.get_submodule(owner), name, module.get_parameter(source))


def matched_keys(
    wanted: Mapping[str, Tensor],
    stored: Mapping[str, StoredTensor],
    tied: Mapping[str, str],
    what: str,
    rename: Renamer = lambda name: name,
) -> dict[str, StoredTensor]:
    """The stored tensor of every wanted key; a tied key may be left out of the file.

    Raises:
        WeightsError: anything missing, unexpected or of another shape.
    """
    named: dict[str, StoredTensor] = {}
    for name, tensor in stored.items():
        key = rename(name)
        if key in named:
            raise WeightsError(f"{what}: {name} and {named[key].name} are both {key}", "fetch the weights again")
        if key is not None:
            named[key] = tensor
    missing = [key for key in wanted if key not in named and key not in tied]
    unexpected = [tensor.name for key, tensor in named.items() if key not in wanted]
    misshaped = [
        f"{key} {list(named[key].shape)} instead of {list(wanted[key].shape)}"
        for key in wanted
        if key in named and named[key].shape != tuple(wanted[key].shape)
    ]
    faults = {"missing": missing, "unexpected": unexpected, "of another shape": misshaped}
    told = [f"{_named(keys)} {fault}" for fault, keys in faults.items() if keys]
    if told:
        raise WeightsError(f"{what}: {'; '.join(told)}", "these weights belong to another configuration or are damaged")
    return {key: tensor for key, tensor in named.items() if key not in tied}


def tied_keys(module: nn.Module) -> dict[str, str]:
    """Keys that transformers ties to another key (T5: `encoder.embed_tokens.weight` -> `shared.weight`)."""
    tied = getattr(module, "_tied_weights_keys", None)
    return {key: source for key, source in tied.items() if key in module.state_dict()} if isinstance(tied, dict) else {}


def _named(keys: list[str]) -> str:
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return f"{len(keys)} {'key' if len(keys) == 1 else 'keys'} ({', '.join(keys[:_SHOWN])}{more})"


def _refuse_non_finite(values: Tensor, where: str) -> None:
    # NaN and infinity both show in the extremes, and finding those needs no copy of the tensor.
    if values.numel() and not all(bool(torch.isfinite(v)) for v in values.aminmax()):
        raise WeightsError(f"{where} holds NaN or infinity", "the weights are damaged; fetch them again")


def _damaged(path: Path, start: bytes) -> WeightsError:
    kinds = {
        b"": "is empty",
        b"PK": "is a renamed pickle archive, not safetensors",
        b"\x80": "is a renamed pickle, not safetensors",
        b"<": "is a web page, not safetensors",
        b"version ": "is a Git LFS pointer, not the file itself",
    }
    told = next((text for magic, text in kinds.items() if magic and start.startswith(magic)), None)
    told = told or ("is empty" if not start else "is not a whole safetensors file")
    return WeightsError(f"{path} {told}", "fetch the weights again")
