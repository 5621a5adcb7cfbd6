"""Damaged, unsafe or unfitting weights end in a WeightsError that says what is wrong."""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel

from faceedit.errors import WeightsError
from faceedit.models.components import Components
from faceedit.models.jsonfile import read_config
from faceedit.models.loader import load_components
from faceedit.models.plan import DevicePlan
from faceedit.models.save import save_components
from faceedit.recipe_schema import Weights

Local = Callable[[Path], Weights]
UNET = "unet/diffusion_pytorch_model.safetensors"


def change(folder: Path, edit: Callable[[dict[str, torch.Tensor]], object], file: str = UNET) -> None:
    """Rewrite a file after `edit` has changed its tensors."""
    state = {key: value.clone() for key, value in load_file(folder / file).items()}
    edit(state)
    save_file(state, folder / file)


def failure(folder: Path, cpu: DevicePlan) -> WeightsError:
    with pytest.raises(WeightsError) as caught:
        load_components(Weights(kind="local", path=str(folder)), cpu)
    assert "\n" not in str(caught.value) and caught.value.hint
    return caught.value


def test_a_missing_key_is_named(saved: Path, cpu: DevicePlan) -> None:
    """Breaks when a tensor that is not in the file is left random, as diffusers leaves it."""
    change(saved, lambda s: s.pop("mid_block.resnets.0.conv1.weight"))
    assert "unet: 1 key (mid_block.resnets.0.conv1.weight) missing" in str(failure(saved, cpu))


def test_an_unexpected_key_is_named(saved: Path, cpu: DevicePlan) -> None:
    """Breaks when a tensor that the configuration has no place for is dropped silently."""
    change(saved, lambda s: s.update(extra=torch.ones(1)))
    assert "unet: 1 key (extra) unexpected" in str(failure(saved, cpu))


def test_another_shape_is_named_with_both_shapes(saved: Path, cpu: DevicePlan) -> None:
    """Breaks when a 9-channel UNet passes for a 4-channel one."""
    change(saved, lambda s: s.update({"conv_in.weight": torch.zeros(32, 9, 3, 3)}))
    assert "conv_in.weight [32, 9, 3, 3] instead of [32, 4, 3, 3]" in str(failure(saved, cpu))


def test_many_keys_are_counted_and_eight_are_shown(saved: Path, cpu: DevicePlan) -> None:
    """Breaks when another model's file ends in a message of a thousand lines."""
    change(saved, lambda s: [s.pop(key) for key in list(s) if key.startswith("down_blocks")])
    text = str(failure(saved, cpu))
    assert "more) missing" in text and text.count("down_blocks") == 8


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_is_refused(saved: Path, cpu: DevicePlan, value: float) -> None:
    """Breaks when NaN weights load and every edit comes out black."""
    change(saved, lambda s: s["conv_out.weight"].view(-1)[5:6].fill_(value))
    assert "conv_out.weight" in str(failure(saved, cpu)) and "NaN or infinity" in str(failure(saved, cpu))


def header_twice(data: bytes) -> bytes:
    """The same file with its first tensor's name in the header twice."""
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    entries = [json.dumps({key: value})[1:-1] for key, value in header.items()]
    text = ("{" + ",".join([entries[0], *entries]) + "}").encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def overlapping(data: bytes) -> bytes:
    """The file with its second tensor laid over the first."""
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    second = sorted(header, key=lambda key: header[key]["data_offsets"][0])[1]
    start, end = header[second]["data_offsets"]
    header[second]["data_offsets"] = [0, end - start]
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "is empty"),
    "few bytes": (lambda d: d[:5], "is not a whole safetensors file"),
    "cut in the header": (lambda d: d[:100], "is not a whole safetensors file"),
    "cut in the data": (lambda d: d[:-7], "is not a whole safetensors file"),
    "bytes added": (lambda d: d + b"\0" * 16, "is not a whole safetensors file"),
    "pickle": (lambda _: pickle.dumps({"a": 1}), "renamed pickle"),
    "web page": (lambda _: b"<!DOCTYPE html><html></html>", "web page"),
    "LFS pointer": (lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS pointer"),
    "endless header": (lambda d: b"\xff" * 8 + d[8:], "is not a whole safetensors file"),
    "a name twice": (header_twice, "occurs twice"),
    "overlapping tensors": (overlapping, "is not a whole safetensors file"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_files_say_what_they_are(saved: Path, cpu: DevicePlan, name: str) -> None:
    """Breaks when a damaged or foreign file loads, or its error does not say what the file is."""
    damage, message = DAMAGES[name]
    path = saved / UNET
    path.write_bytes(damage(path.read_bytes()))
    text = str(failure(saved, cpu))
    assert message in text and "diffusion_pytorch_model.safetensors" in text


def test_a_tensors_name_is_never_a_path(saved: Path, cpu: DevicePlan, tmp_path: Path) -> None:
    """T3. Breaks when a tensor called "../../x" is taken for anything but an unexpected key."""
    before = sorted(tmp_path.rglob("*"))
    change(saved, lambda state: state.update({"../../x": torch.zeros(1)}))
    assert "1 key (../../x) unexpected" in str(failure(saved, cpu))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_torch_checkpoint_under_the_name_of_safetensors(saved: Path, cpu: DevicePlan) -> None:
    """Breaks when a renamed `torch.save` file is unpickled."""
    with zipfile.ZipFile(saved / UNET, "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    assert "renamed pickle archive" in str(failure(saved, cpu))


class Evil:
    """Unpickling it leaves a file behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("name", ["diffusion_pytorch_model.bin", "model.pt", "weights.ckpt"])
def test_pickles_are_never_loaded(saved: Path, cpu: DevicePlan, tmp_path: Path, name: str) -> None:
    """Breaks when a folder with pickles only is loaded, which runs whatever they hold."""
    (saved / UNET).unlink()
    (saved / "unet" / name).write_bytes(pickle.dumps(Evil(tmp_path / "mark")))
    text = str(failure(saved, cpu))
    assert name in text and "pickle" in text
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    "key",
    [
        "auto_map",
        "trust_remote_code",
        "custom_pipeline",
        "_attn_implementation",
        "_attn_implementation_internal",
        "_target_",
    ],
)
@pytest.mark.parametrize(
    "file", ["model_index.json", "unet/config.json", "text_encoder/config.json", "tokenizer/tokenizer_config.json"]
)
def test_configurations_cannot_choose_code(saved: Path, cpu: DevicePlan, file: str, key: str) -> None:
    """Breaks when a key that can make a library run code of the weights reaches that library."""
    config = json.loads((saved / file).read_text())
    (saved / file).write_text(json.dumps(config | {"nested": [{key: "evil--module.Class"}]}))
    assert repr(key) in str(failure(saved, cpu))


def test_classes_outside_the_table_are_refused(saved: Path, cpu: DevicePlan) -> None:
    """Breaks when model_index.json can name any class to import."""
    index = json.loads((saved / "model_index.json").read_text())
    (saved / "model_index.json").write_text(json.dumps(index | {"unet": ["os", "system"]}))
    assert "class 'system' is not one that faceedit loads" in str(failure(saved, cpu))


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("model_index.json", "{", "not valid JSON"),
        ("model_index.json", "[]", "no JSON object"),
        ("unet/config.json", '{"in_channels": 4, "in_channels": 9}', "key 'in_channels' occurs twice"),
        ("unet/config.json", "\xff", "not valid JSON"),
        ("unet/config.json", '{"block_out_channels": "x"}', "does not take this configuration"),
        ("tokenizer/tokenizer.json", "{}", "tokenizer cannot be read"),
    ],
)
def test_bad_json_is_said_so(saved: Path, cpu: DevicePlan, file: str, text: str, message: str) -> None:
    """Breaks when damaged JSON ends in a library's traceback, or a repeated key wins silently."""
    (saved / file).write_bytes(text.encode("latin-1"))
    assert message in str(failure(saved, cpu))


@pytest.mark.parametrize(
    "gone", ["model_index.json", "unet/config.json", UNET, "tokenizer", "scheduler/scheduler_config.json"]
)
def test_missing_files_are_said_so(saved: Path, cpu: DevicePlan, gone: str) -> None:
    """Breaks when an incomplete folder ends in another error than WeightsError."""
    path = saved / gone
    path.rename(path.with_name("elsewhere"))
    assert gone.split("/")[-1].split(".")[0] in str(failure(saved, cpu)) or gone == UNET


def test_deeply_nested_json_is_refused(tmp_path: Path) -> None:
    """Breaks when a crafted configuration overflows the stack."""
    path = tmp_path / "config.json"
    path.write_text('{"a":' * 200_000)
    with pytest.raises(WeightsError):
        read_config(path)


VAE = "vae/diffusion_pytorch_model.safetensors"
OLD = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def old_vae(state: dict[str, torch.Tensor]) -> None:
    """Rename the middle attention as the files of SD 1.x have it."""
    for key in [key for key in state if ".attentions.0.to_" in key]:
        place, _, rest = key.partition(".attentions.0.")
        name, _, kind = rest.rpartition(".")
        state[f"{place}.attentions.0.{OLD[name]}.{kind}"] = state.pop(key)


def test_the_attention_names_of_published_vaes(tiny: Components, saved: Path, cpu: DevicePlan, local: Local) -> None:
    """Breaks when the VAE of SD 1.x does not load, or loads differently from diffusers itself."""
    change(saved, old_vae, VAE)
    assert "decoder.mid_block.attentions.0.proj_attn.weight" in load_file(saved / VAE)
    ours = load_components(local(saved), cpu).vae.state_dict()
    theirs = AutoencoderKL.from_pretrained(saved / "vae").state_dict()
    assert all(torch.equal(ours[key], value) for key, value in tiny.vae.state_dict().items())
    assert all(torch.equal(ours[key], value) for key, value in theirs.items())


def test_both_names_of_one_tensor_are_refused(saved: Path, cpu: DevicePlan) -> None:
    """Breaks when a file that holds old and new names is loaded with either of them."""
    old, new = (f"decoder.mid_block.attentions.0.{name}.weight" for name in ("query", "to_q"))
    change(saved, lambda s: s.update({old: s[new].clone()}), VAE)
    assert "are both" in str(failure(saved, cpu))


TEXT = "text_encoder/model.safetensors"


@pytest.mark.parametrize("prefix", ["", "text_model."])
def test_both_layouts_of_clip_text_files(
    tiny: Components, tmp_path: Path, cpu: DevicePlan, local: Local, prefix: str
) -> None:
    """Breaks when a text encoder saved by another release of transformers does not load, or loads otherwise."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        encoder = CLIPTextModel(tiny.text_encoder.config).eval()
    save_components(Components(torch.device("cpu"), text_encoder=encoder), tmp_path)
    state = {prefix + key.removeprefix("text_model."): value for key, value in load_file(tmp_path / TEXT).items()}
    state[prefix + "embeddings.position_ids"] = torch.arange(77)[None]
    save_file(state, tmp_path / TEXT, metadata={"format": "pt"})
    ours = load_components(local(tmp_path), cpu).text_encoder
    theirs = CLIPTextModel.from_pretrained(tmp_path / "text_encoder").state_dict()
    assert all(torch.equal(ours.state_dict()[key], value) for key, value in theirs.items())
    assert all(torch.equal(ours.state_dict()[key], value) for key, value in encoder.state_dict().items())
