"""From a voice's ONNX file to the library's VITS: each weight in its place, and its signs read as Piper's."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import leaky_relu
from transformers import (
    AutoModelForTextToWaveform,
    AutoTokenizer,
)

from standpipe_server.demo_models.converters.folders import check_speaker
from standpipe_server.demo_models.converters.piper import PHONEMES_FILE, convert

WIDTH, FLOW, SIGNS = 8, 6, 12
# Of the vocoder's blocks: a kernel, and the dilations of its convolutions.
BLOCKS = [(3, (1, 2)), (5, (2, 6))]
UPS = [(2, 4), (3, 7)]
SAID: dict[str, Any] = {
    "audio": {"sample_rate": 22050},
    "espeak": {"voice": "en-us"},
    "inference": {"noise_scale": 0.5, "length_scale": 1.25, "noise_w": 0.75},
    "phoneme_type": "espeak",
    "num_speakers": 1,
    "phoneme_id_map": {sign: [index] for index, sign in enumerate("_^$ .həlˈoʊ")},
}


def convolution(
    name: str, given: int, made: int, kernel: int = 1, bias: bool = True
) -> dict[str, torch.Tensor]:
    weights = {f"{name}.weight": torch.randn(made, given, kernel) * 0.3}
    return weights | ({f"{name}.bias": torch.randn(made) * 0.3} if bias else {})


def norm(name: str) -> dict[str, torch.Tensor]:
    return {f"{name}.gamma": torch.rand(WIDTH) + 0.5, f"{name}.beta": torch.randn(WIDTH) * 0.3}


def separable(name: str) -> Iterator[dict[str, torch.Tensor]]:
    for index in range(3):
        yield convolution(f"{name}.convs_sep.{index}", 1, WIDTH, 3)
        yield convolution(f"{name}.convs_1x1.{index}", WIDTH, WIDTH)
        yield norm(f"{name}.norms_1.{index}")
        yield norm(f"{name}.norms_2.{index}")


def encoder() -> Iterator[dict[str, torch.Tensor]]:
    yield {"enc_p.emb.weight": torch.randn(SIGNS, WIDTH)}
    for layer in range(2):
        attention = f"enc_p.encoder.attn_layers.{layer}"
        yield {f"{attention}.emb_rel_{letter}": torch.randn(1, 9, WIDTH // 2) for letter in "kv"}
        for letter in "qkvo":
            yield convolution(f"{attention}.conv_{letter}", WIDTH, WIDTH)
        yield norm(f"enc_p.encoder.norm_layers_1.{layer}")
        yield norm(f"enc_p.encoder.norm_layers_2.{layer}")
        yield convolution(f"enc_p.encoder.ffn_layers.{layer}.conv_1", WIDTH, 10, 3)
        yield convolution(f"enc_p.encoder.ffn_layers.{layer}.conv_2", 10, WIDTH, 3)
    yield convolution("enc_p.proj", WIDTH, 2 * FLOW)


def flows() -> Iterator[dict[str, torch.Tensor]]:
    for index in (0, 2, 4, 6):
        its = f"flow.flows.{index}"
        yield convolution(f"{its}.pre", FLOW // 2, WIDTH)
        yield convolution(f"{its}.post", WIDTH, FLOW // 2)
        for layer, made in enumerate((2 * WIDTH, WIDTH)):
            yield convolution(f"{its}.enc.in_layers.{layer}", WIDTH, 2 * WIDTH, 5)
            yield convolution(f"{its}.enc.res_skip_layers.{layer}", WIDTH, made)


def durations() -> Iterator[dict[str, torch.Tensor]]:
    yield {"dp.flows.0.m": torch.randn(2, 1) * 0.3}
    yield convolution("dp.pre", WIDTH, WIDTH) | convolution("dp.proj", WIDTH, WIDTH)
    yield from separable("dp.convs")
    for index in (3, 5, 7):
        yield convolution(f"dp.flows.{index}.pre", 1, WIDTH)
        yield convolution(f"dp.flows.{index}.proj", WIDTH, 29)
        yield from separable(f"dp.flows.{index}.convs")


class Block(nn.Module):
    """Of HiFi-GAN's second type: each convolution is added to what it is given."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel, dilation=dilation, padding="same") for dilation in dilations
        )

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        for conv in self.convs:
            given = given + conv(leaky_relu(given, 0.1))
        return given


class Vocoder(nn.Module):
    """As Piper has it in voices of medium quality, by its names."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_pre = nn.Conv1d(FLOW, 16, 7, padding=3)
        self.ups, self.resblocks, channels = nn.ModuleList(), nn.ModuleList(), 16
        for rate, kernel in UPS:
            padding = (kernel - rate) // 2
            self.ups.append(nn.ConvTranspose1d(channels, channels // 2, kernel, rate, padding))
            channels //= 2
            self.resblocks.extend(Block(channels, *block) for block in BLOCKS)
        self.conv_post = nn.Conv1d(channels, 1, 7, padding=3, bias=False)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        seen = self.conv_pre(latents)
        for index, up in enumerate(self.ups):
            seen = up(leaky_relu(seen, 0.1))
            blocks = self.resblocks[index * len(BLOCKS) :][: len(BLOCKS)]
            seen = torch.stack([block(seen) for block in blocks]).mean(0)
        return torch.tanh(self.conv_post(leaky_relu(seen)))


def weights_of(vocoder: Vocoder) -> dict[str, torch.Tensor]:
    parts = [*encoder(), *flows(), *durations()]
    weights = {name: tensor for part in parts for name, tensor in part.items()}
    return weights | {f"dec.{name}": tensor for name, tensor in vocoder.state_dict().items()}


def node(name: str, weight: str) -> onnx.NodeProto:
    """What reads a module's weight, named as the export names it."""
    path = f"/{name.removesuffix('.weight')}"
    # Of a list's modules the export has the last part with its number: /dec/resblocks.0/convs.1/Conv.
    path = re.sub(r"\.(?!\d)", "/", path)
    said: dict[str, Any]
    if name == "enc_p.emb.weight":
        return helper.make_node("Gather", [weight, "input"], [f"{path}/out"], name=f"{path}/Gather")
    if match := re.fullmatch(r"dec\.ups\.(\d+)\.weight", name):
        kind, said = "ConvTranspose", {"strides": [UPS[int(match[1])][0]]}
    elif match := re.fullmatch(r"dec\.resblocks\.(\d+)\.convs\.(\d+)\.weight", name):
        kind, said = "Conv", {"dilations": [BLOCKS[int(match[1]) % len(BLOCKS)][1][int(match[2])]]}
    else:
        kind, said = "Conv", {"dilations": [1]}
    return helper.make_node(kind, ["x", weight], [f"{path}/out"], name=f"{path}/{kind}", **said)


def package(folder: Path, weights: dict[str, torch.Tensor], said: dict[str, Any]) -> Path:
    """What the package ships, as a conversion gets it; some weights lost their names in the export."""
    folder.mkdir()
    stored, nodes = (
        {"/dp/flows.0/Exp_output_0": torch.tensor([[0.5], [2.0]]), "/enc_p/Constant_0": torch.ones(1)},
        [],
    )
    for index, (name, tensor) in enumerate(weights.items()):
        known = f"onnx::Conv_{index}" if ".enc." in name and name.endswith("weight") else name
        known = "sid" if name == "enc_p.emb.weight" else known
        stored[known] = tensor
        if name.endswith(".weight"):
            nodes.append(node(name, known))
    tensors = [numpy_helper.from_array(tensor.numpy(), name) for name, tensor in stored.items()]
    onnx.save(helper.make_model(helper.make_graph(nodes, "voice", [], [], tensors)), folder / "joe.onnx")
    (folder / "joe.onnx.json").write_text(json.dumps(said), "utf-8")
    return folder


@pytest.fixture(scope="module")
def vocoder() -> Vocoder:
    torch.manual_seed(7)
    return Vocoder().eval()


@pytest.fixture(scope="module")
def weights(vocoder: Vocoder) -> dict[str, torch.Tensor]:
    torch.manual_seed(8)
    return weights_of(vocoder)


@pytest.fixture(scope="module")
def converted(weights: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("piper")
    convert(package(home / "package", weights, SAID), home / "made")
    return home / "made"


@pytest.fixture(scope="module")
def model(converted: Path) -> Any:
    return AutoModelForTextToWaveform.from_pretrained(converted).eval()


def test_the_vocoder_gives_the_samples_of_one_with_blocks_of_one_convolution(
    vocoder: Vocoder, model: Any
) -> None:
    latents = torch.randn(2, FLOW, 20) * 5
    with torch.inference_mode():
        expected, actual = vocoder(latents), model.decoder(latents)
    assert expected.std() > 0.05
    torch.testing.assert_close(actual, expected, rtol=0, atol=3e-4)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("text_encoder.embed_tokens.weight", "enc_p.emb.weight"),
        ("text_encoder.encoder.layers.1.attention.emb_rel_v", "enc_p.encoder.attn_layers.1.emb_rel_v"),
        (
            "text_encoder.encoder.layers.1.attention.k_proj.weight",
            "enc_p.encoder.attn_layers.1.conv_k.weight",
        ),
        ("text_encoder.encoder.layers.0.attention.out_proj.bias", "enc_p.encoder.attn_layers.0.conv_o.bias"),
        ("text_encoder.encoder.layers.1.layer_norm.weight", "enc_p.encoder.norm_layers_1.1.gamma"),
        ("text_encoder.encoder.layers.0.final_layer_norm.bias", "enc_p.encoder.norm_layers_2.0.beta"),
        ("text_encoder.project.weight", "enc_p.proj.weight"),
        ("flow.flows.3.conv_pre.weight", "flow.flows.6.pre.weight"),
        ("flow.flows.1.wavenet.in_layers.1.weight", "flow.flows.2.enc.in_layers.1.weight"),
        ("duration_predictor.conv_dds.convs_pointwise.2.bias", "dp.convs.convs_1x1.2.bias"),
        ("duration_predictor.flows.0.translate", "dp.flows.0.m"),
        ("duration_predictor.flows.3.conv_proj.weight", "dp.flows.5.proj.weight"),
        ("duration_predictor.flows.4.conv_dds.convs_dilated.0.weight", "dp.flows.7.convs.convs_sep.0.weight"),
    ],
)
def test_a_weight_is_where_the_library_has_it(
    model: Any, weights: dict[str, torch.Tensor], ours: str, theirs: str
) -> None:
    module, _, name = ours.rpartition(".")
    # What is kept as a direction and a length is put together again when it is asked for.
    actual = getattr(model.get_submodule(module), name)
    torch.testing.assert_close(actual, weights[theirs].reshape(actual.shape))


def test_settings_and_scales_are_those_of_the_voice(model: Any) -> None:
    told = model.config
    assert (22050, 0.5, 0.75, 0.8) == (
        told.sampling_rate,
        told.noise_scale,
        told.noise_scale_duration,
        told.speaking_rate,
    )
    expected = torch.tensor([[2.0], [0.5]]).log()
    torch.testing.assert_close(model.duration_predictor.flows[0].log_scale.data, expected)


def test_signs_stand_between_blanks_and_unknown_ones_are_left_out(converted: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(converted)
    expected = [0, 1, 0, 5, 0, 6, 0, 7, 0, 8, 0, 9, 0, 10, 0, 3, 0, 5, 0, 4, 0, 2, 0]
    assert expected == tokenizer("^hə€l(ˈ)oʊ hQ.$")["input_ids"]


def test_the_folder_says_who_makes_phonemes_of_a_text(converted: Path) -> None:
    expected = {"phonemizer": "espeak-ng", "voice": "en-us", "begin": "^", "end": "$"}
    assert expected == json.loads((converted / PHONEMES_FILE).read_text("utf-8"))


@pytest.mark.parametrize(
    ("name", "tensor", "words"),
    [
        ("dec.cond.bias", torch.zeros(2), r"Unexpected.*decoder\.cond\.bias"),
        ("dp.proj.bias", None, r"Missing.*duration_predictor\.conv_proj\.bias"),
    ],
)
def test_a_weight_that_has_no_place_or_is_missing_is_named_and_nothing_is_written(
    weights: dict[str, torch.Tensor], tmp_path: Path, name: str, tensor: torch.Tensor | None, words: str
) -> None:
    changed = {**weights, name: tensor}
    kept = {other: values for other, values in changed.items() if values is not None}
    with pytest.raises(RuntimeError, match=words):
        convert(package(tmp_path / "package", kept, SAID), tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_a_voice_that_gives_no_numbers_is_refused(converted: Path, tmp_path: Path) -> None:
    shutil.copytree(converted, tmp_path / "m")
    weights = load_file(converted / "model.safetensors")
    weights["decoder.conv_post.weight"].fill_(torch.nan)
    save_file(weights, tmp_path / "m" / "model.safetensors", {"format": "pt"})
    check_speaker(converted, AutoModelForTextToWaveform, "^h.$")
    with pytest.raises(ValueError, match="VitsModel answers with something else than numbers"):
        check_speaker(tmp_path / "m", AutoModelForTextToWaveform, "^h.$")


@pytest.mark.parametrize("change", [{"num_speakers": 2}, {"phoneme_type": "text"}])
def test_a_voice_of_another_kind_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="several speakers, or phonemes that aren't espeak-ng's"):
        convert(package(tmp_path / "package", {}, {**SAID, **change}), tmp_path / "made")
