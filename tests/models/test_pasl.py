"""PASL's network at its published size and its text encoder, loaded alone or shared with FLUX."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from faceedit.errors import WeightsError
from faceedit.models.pasl import Pasl, PaslConfig, load_pasl, save_pasl
from faceedit.models.random import byte_tokenizer, random_components
from faceedit.models.sentence_features import PROJECTION, SentenceFeatures, load_sentence_features

TINY = PaslConfig(size=32, channels=(4, 4, 8, 8, 8, 8), text_width=32, hidden=16, text="bundled:mini-2")
SENTENCES = ["a person with rosy cheeks", "a person without glasses", "a smiling person", ""]


def tiny(seed: int = 0, **changes: Any) -> Pasl:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Pasl(dataclasses.replace(TINY, **changes)).eval().requires_grad_(False)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_published_size() -> None:
    """Breaks when a bias, a layer or a width differs from tables 4 and 5 of the paper."""
    model = Pasl(PaslConfig())
    assert count(model.encoder) == 6_270_592
    assert count(model.projector) == 1_312_256
    assert count(model) == 6_270_592 + 1_312_256
    convolutions = [layer for layer in model.encoder if isinstance(layer, nn.Conv2d)]
    assert [layer.stride[0] for layer in convolutions] == [1, 2, 2, 2, 1, 1]
    assert all(layer.kernel_size == (3, 3) and layer.padding == (1, 1) for layer in convolutions)
    assert isinstance(model.encoder[-1], nn.LeakyReLU) and model.encoder[-1].negative_slope == 0.01
    assert len(model.encoder) == 12
    assert model(torch.zeros(1, 3, 64, 64), torch.zeros(18, 768)).shape == (1, 18, 8, 8)


def test_the_published_network_sees_49_pixels() -> None:
    """Breaks when stride or padding moves: a cell of the map answers to 49 x 49 pixels, more with dilation."""

    def seen(model: Pasl) -> int:
        picture = torch.zeros(1, 3, 256, 256, requires_grad=True)
        model.requires_grad_(True)
        model.image_features(picture)[0, :, 16, 16].sum().backward()
        assert picture.grad is not None
        touched = picture.grad.abs().sum((0, 1))
        return int((touched.sum(0) > 0).sum())

    assert seen(tiny()) == 49
    assert seen(tiny(dilations=(2, 4))) == 113


def test_the_logit_is_the_plain_dot_product() -> None:
    """Breaks when eq. 6 gets a scale, a bias or a norm; f_img is computed for all sentences at once."""
    model = tiny()
    images, text = torch.randn(2, 3, 32, 32), torch.randn(5, 32)
    wanted = torch.einsum("bchw,kc->bkhw", model.encoder(images), model.projector(text))
    torch.testing.assert_close(model(images, text), wanted)
    alone = torch.stack([model(images[i : i + 1], text[k : k + 1])[0, 0] for i in range(2) for k in range(5)])
    torch.testing.assert_close(model(images, text).flatten(0, 1), alone)
    own = torch.randn(2, 3, 32)
    torch.testing.assert_close(model(images, own)[1:], model(images[1:], own[1]))


def test_options_beyond_the_paper_are_off_by_default_and_do_something() -> None:
    """Breaks when an option is on in the published network, or changes nothing."""
    published = PaslConfig()
    assert (published.coordinates, published.dilations, published.similarity) == (False, (1, 1), "dot")
    images, text = torch.randn(1, 3, 32, 32), torch.randn(3, 32)
    plain = tiny()(images, text)
    torch.testing.assert_close(tiny(similarity="scaled")(images, text), plain / 8**0.5)
    for changes in ({"dilations": (2, 4)}, {"similarity": "cosine"}, {"coordinates": True}):
        assert not torch.allclose(tiny(**changes)(images, text), plain)
    one_texture = torch.full((1, 3, 128, 128), 0.3)
    inside = [tiny(coordinates=on).image_features(one_texture)[0, :, 4:-4, 4:-4].std((1, 2)).max() for on in (0, 1)]
    assert float(inside[0]) < 1e-6 < 1e-5 < float(inside[1]), "only coordinates tell two places of one texture apart"


def test_low_precision_still_adds_up_in_fp32() -> None:
    model = tiny().to(torch.bfloat16)
    logits = model(torch.randn(1, 3, 32, 32, dtype=torch.bfloat16), torch.randn(2, 32, dtype=torch.bfloat16))
    assert logits.dtype == torch.float32


def test_saved_and_read_back(tmp_path: Path) -> None:
    """Breaks when a setting or a weight is lost on the way, or fp16 storage is read as fp16."""
    model = tiny(coordinates=True, similarity="cosine")
    save_pasl(model, tmp_path, torch.float16)
    found = load_pasl(tmp_path)
    assert found.config == model.config
    assert all(parameter.dtype == torch.float32 for parameter in found.parameters())
    images, text = torch.randn(1, 3, 32, 32), torch.randn(3, 32)
    torch.testing.assert_close(found(images, text), model(images, text), atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize(
    "changes",
    [{"channels": [4, 4]}, {"size": 33}, {"similarity": "dots"}, {"dilations": [0, 1]}, {"more": 1}, {"hidden": 1e9}],
)
def test_a_configuration_of_something_else_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    save_pasl(tiny(), tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(values | changes))
    with pytest.raises(WeightsError):
        load_pasl(tmp_path)


def test_a_plain_text_encoder_and_its_projection_equal_the_one_with_it() -> None:
    """Breaks when the feature is taken at another token than CLIP's, or normalised: FLUX's CLIP has no projection."""
    components = random_components(3)
    whole = SentenceFeatures(components.text_encoder, components.tokenizer)
    bare = SentenceFeatures(
        components.text_encoder.text_model, components.tokenizer, components.text_encoder.text_projection.weight
    )
    torch.testing.assert_close(whole(SENTENCES), bare(SENTENCES))
    ids = components.tokenizer(SENTENCES, padding="max_length", return_tensors="pt")["input_ids"]
    torch.testing.assert_close(whole(SENTENCES), components.text_encoder(ids).text_embeds)
    assert float(whole(SENTENCES).norm(dim=-1).std()) > 0
    torch.testing.assert_close(whole(SENTENCES)[1:2], whole(SENTENCES[1:2]))
    assert whole(["word " * 400]).shape == (1, whole.width), "a long sentence is cut, not refused"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for a repository in the local cache."""
    root = tmp_path / "repository"
    root.mkdir()
    monkeypatch.setattr("faceedit.models.sentence_features.hub_folder", lambda _: root)
    return root


def test_a_whole_clip_serves(repository: Path) -> None:
    """Breaks when OpenAI's file, with the vision encoder in it, cannot be read."""
    components = random_components(3)
    text = components.text_encoder
    text_config = text.config.to_dict() | {"projection_dim": 5}
    config = {"architectures": ["CLIPModel"], "projection_dim": text.config.projection_dim, "text_config": text_config}
    (repository / "config.json").write_text(json.dumps(config))
    state = dict(text.state_dict()) | {
        "vision_model.embeddings.class_embedding": torch.zeros(3),
        "visual_projection.weight": torch.zeros(3, 3),
        "logit_scale": torch.tensor(2.0),
        "text_model.embeddings.position_ids": torch.arange(77)[None],
    }
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, repository / "model.safetensors")
    byte_tokenizer().save_pretrained(repository)
    found = load_sentence_features("owner/clip")
    torch.testing.assert_close(found(SENTENCES), SentenceFeatures(text, components.tokenizer)(SENTENCES))


def test_flux_own_encoder_serves_with_a_projection_beside_the_weights(repository: Path, tmp_path: Path) -> None:
    """Breaks when the projection is not looked for, or one of another width is taken."""
    components = random_components(3)
    text = components.text_encoder
    text.text_model.save_pretrained(repository / "text_encoder")
    components.tokenizer.save_pretrained(repository / "tokenizer")
    with pytest.raises(WeightsError, match="no projection"):
        load_sentence_features("owner/flux", tmp_path)
    save_file({"weight": text.text_projection.weight.data.contiguous()}, tmp_path / PROJECTION)
    found = load_sentence_features("owner/flux", tmp_path)
    torch.testing.assert_close(found(SENTENCES), SentenceFeatures(text, components.tokenizer)(SENTENCES))
    save_file({"weight": torch.zeros(4, 5)}, tmp_path / PROJECTION)
    with pytest.raises(WeightsError, match="no projection of features"):
        load_sentence_features("owner/flux", tmp_path)
