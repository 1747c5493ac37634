"""A voice of Piper, which speaks, from its ONNX export; of medium quality, with one speaker.

Knows Piper's names for the layers of VITS, and two things that ``transformers`` has otherwise. The vocoder's
blocks are HiFi-GAN's second type, of one convolution at a time, where ``transformers`` has the first, of two:
the second one here passes on what it gets, which costs some digits: no type of 16 bits has them. And a voice
is exported without the layers that only training needs: they are filled with ones.

Not aware of how a text becomes phonemes: it writes down for the server who is to do that, and in which voice.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import onnx
import torch
from onnx import numpy_helper
from transformers import AutoModelForTextToWaveform, VitsConfig, VitsTokenizer

from standpipe_server.demo_models.converters.folders import check_speaker, write_audio_model

with warnings.catch_warnings():
    # The library's module compiles a function when it is imported, in a way that torch has given up.
    warnings.simplefilter("ignore", DeprecationWarning)
    from transformers import VitsModel as Model

PHONEMES_FILE = "phonemes.json"
"""In the model's folder: how its input is made of a text."""

_BEGIN, _END, _PAD = "^", "$", "_"
_HELLO = f"{_BEGIN}həlˈoʊ.{_END}"
# Piper's names turned into ours, one after the other.
_RENAMES = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"^enc_p\.emb\.", "text_encoder.embed_tokens."),
        (r"^enc_p\.proj\.", "text_encoder.project."),
        (r"^enc_p\.encoder\.(\w+)\.(\d+)\.", r"text_encoder.encoder.layers.\2.\1."),
        (r"\.attn_layers\.(?:conv_([qkv])|conv_(o))\.", r".attention.\1\2_proj."),
        (r"\.attn_layers\.", ".attention."),
        (r"\.o_proj\.", ".out_proj."),
        (r"\.norm_layers_1\.", ".layer_norm."),
        (r"\.norm_layers_2\.", ".final_layer_norm."),
        (r"\.ffn_layers\.", ".feed_forward."),
        (r"^dp\.", "duration_predictor."),
        (r"^dec\.ups\.", "decoder.upsampler."),
        (r"^dec\.(resblocks\.\d+)\.convs\.", r"decoder.\1.convs1."),
        (r"^dec\.", "decoder."),
        (r"\.convs\.", ".conv_dds."),
        (r"\.convs_sep\.", ".convs_dilated."),
        (r"\.convs_1x1\.", ".convs_pointwise."),
        (r"\.enc\.", ".wavenet."),
        (r"\.(pre|post|proj)\.", r".conv_\1."),
        (r"\.gamma$", ".weight"),
        (r"\.beta$", ".bias"),
        (r"\.m$", ".translate"),
    )
)
# Piper counts what turns a flow round as one more flow.
_FLOW = re.compile(r"(?<=flows\.)\d+")
# Convolutions of one place, which are linear layers here.
_LINEAR = re.compile(r"\.attention\.\w+_proj\.weight$")
_NORMED = re.compile(r"\.wavenet\..*\.weight$")
_TRAINING_ONLY = re.compile(r"posterior_encoder\.|duration_predictor\.(post_|flows\.1\.)")
# What a block's first convolution gives is lifted by this over nought, where the bend between the two does
# nothing, and let down again. The more, the more digits it costs; in speech they reach to a third of it.
_LIFT = 200.0


def convert(source: Path, target: Path) -> None:
    """Write the model, in float32, its tokenizer, and how the tokenizer's input is made of a text.

    Raises:
        ValueError: The file isn't of a voice of medium quality with one speaker that reads espeak-ng's
            phonemes, or the model doesn't answer.
    """
    [path] = source.glob("*.onnx")
    said: dict[str, Any] = json.loads(path.with_name(f"{path.name}.json").read_text("utf-8"))
    if said["num_speakers"] != 1 or said["phoneme_type"] != "espeak":
        raise ValueError("the voice has several speakers, or phonemes that aren't espeak-ng's")
    voice = _Voice(onnx.load(path).graph)
    model = Model(_config(voice, said))
    weights = _unused(model) | dict(_weights(voice)) | _passing_on(voice)
    write_audio_model(model, weights, _tokenizer(said), target)
    (target / PHONEMES_FILE).write_text(json.dumps(_phonemes(said), indent=2) + "\n", "utf-8")
    check_speaker(target, AutoModelForTextToWaveform, _HELLO)


class _Voice:
    """What an export holds, by the names that the modules had in torch.

    Args:
        graph: Of the file.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        stored = {tensor.name: _torch(tensor) for tensor in graph.initializer}
        # A constant of the export has the path of its node for a name, or none that says anything.
        self.weights = {name: tensor for name, tensor in stored.items() if "." in name and "/" not in name}
        self.nodes = {_module(node): node for node in graph.node if node.op_type in _WEIGHT}
        for module, node in self.nodes.items():
            weight = stored.get(node.input[_WEIGHT[node.op_type]])
            if weight is not None and weight.is_floating_point():
                self.weights[f"{module}.weight"] = weight
        # Of an affine flow that is only ever gone backwards there is what it divides by.
        self.weights["dp.flows.0.log_scale"] = -torch.log(stored["/dp/flows.0/Exp_output_0"])

    def shape(self, module: str) -> torch.Size:
        return self.weights[f"{module}.weight"].shape

    def said(self, module: str, attribute: str) -> int:
        """First number of a convolution's attribute."""
        [numbers] = [found.ints for found in self.nodes[module].attribute if found.name == attribute]
        return int(numbers[0])

    def count(self, modules: str) -> int:
        """How many modules of this name there are, which are numbered."""
        numbered = re.compile(rf"{re.escape(modules)}\.(\d+)\.")
        return len({match[1] for name in self.weights if (match := numbered.match(name))})


# Which input of a node is its module's weight.
_WEIGHT = {"Conv": 1, "ConvTranspose": 1, "Gather": 0}


def _module(node: onnx.NodeProto) -> str:
    """Dotted path of the module that a node was traced in: "/dec/conv_pre/Conv" is of dec.conv_pre."""
    return node.name.strip("/").rpartition("/")[0].replace("/", ".")


def _torch(tensor: onnx.TensorProto) -> torch.Tensor:
    # Copied: what lies in the file's own bytes can't be written to, and torch wants it writable.
    return torch.from_numpy(numpy_helper.to_array(tensor).copy())


def _config(voice: _Voice, said: Mapping[str, Any]) -> Any:
    """Sizes as the weights have them."""
    signs, width = voice.shape("enc_p.emb")
    attention = "enc_p.encoder.attn_layers"
    _, places, head = voice.weights[f"{attention}.0.emb_rel_k"].shape
    ffn_dim, _, ffn_kernel = voice.shape("enc_p.encoder.ffn_layers.0.conv_1")
    ups = [f"dec.ups.{index}" for index in range(voice.count("dec.ups"))]
    blocks = [f"dec.resblocks.{index}.convs" for index in range(voice.count("dec.resblocks"))]
    kinds = blocks[: len(blocks) // len(ups)]
    return VitsConfig(
        vocab_size=signs,
        hidden_size=width,
        num_hidden_layers=voice.count(attention),
        num_attention_heads=width // head,
        window_size=(places - 1) // 2,
        ffn_dim=ffn_dim,
        ffn_kernel_size=ffn_kernel,
        flow_size=voice.shape("dec.conv_pre")[1],
        prior_encoder_num_wavenet_layers=voice.count("flow.flows.0.enc.in_layers"),
        wavenet_kernel_size=voice.shape("flow.flows.0.enc.in_layers.0")[2],
        upsample_initial_channel=voice.shape("dec.conv_pre")[0],
        upsample_rates=[voice.said(up, "strides") for up in ups],
        upsample_kernel_sizes=[voice.shape(up)[2] for up in ups],
        resblock_kernel_sizes=[voice.shape(f"{kind}.0")[2] for kind in kinds],
        resblock_dilation_sizes=[
            [voice.said(f"{kind}.{index}", "dilations") for index in range(voice.count(kind))]
            for kind in kinds
        ],
        sampling_rate=said["audio"]["sample_rate"],
        noise_scale=said["inference"]["noise_scale"],
        noise_scale_duration=said["inference"]["noise_w"],
        speaking_rate=1 / said["inference"]["length_scale"],
        # Of what only training uses as little as there can be.
        spectrogram_bins=1,
        posterior_encoder_num_wavenet_layers=1,
    )


def _weights(voice: _Voice) -> Iterator[tuple[str, torch.Tensor]]:
    """State dict of the model, but for what isn't in the export; what has no place in it is there, too."""
    for name, tensor in voice.weights.items():
        renamed = _renamed(name)
        if _NORMED.search(renamed):
            both = f"{renamed.removesuffix('weight')}parametrizations.weight.original"
            yield f"{both}0", tensor.norm(dim=(1, 2), keepdim=True)
            yield f"{both}1", tensor
        elif renamed.startswith("decoder.resblocks.") and renamed.endswith(".bias"):
            yield renamed, tensor + _LIFT
        else:
            yield renamed, tensor.squeeze(-1) if _LINEAR.search(renamed) else tensor


def _renamed(name: str) -> str:
    for pattern, replacement in _RENAMES:
        name = pattern.sub(replacement, name)
    return _FLOW.sub(lambda match: str((int(match[0]) + 1) // 2), name)


def _passing_on(voice: _Voice) -> dict[str, torch.Tensor]:
    """The vocoder's second convolutions, each of which gives what it gets, let down by what it was lifted."""
    passing = {}
    for name, weight in voice.weights.items():
        if not (name.startswith("dec.resblocks.") and name.endswith(".weight")):
            continue
        module = _renamed(name).replace(".convs1.", ".convs2.").removesuffix("weight")
        same = torch.zeros_like(weight)
        same[:, :, weight.shape[2] // 2] = torch.eye(len(weight))
        passing[f"{module}weight"] = same
        passing[f"{module}bias"] = torch.full((len(weight),), -_LIFT)
    return passing


def _unused(model: Model) -> dict[str, torch.Tensor]:
    """Weights that nothing is computed with unless the model is trained."""
    return {
        name: torch.ones_like(tensor)
        for name, tensor in model.state_dict().items()
        if _TRAINING_ONLY.match(name)
    }


def _tokenizer(said: Mapping[str, Any]) -> Any:
    """One whose words are Piper's signs; what isn't one of them it leaves out."""
    signs = {sign: number for sign, [number] in said["phoneme_id_map"].items()}
    with NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(signs, file, ensure_ascii=False)
        file.flush()
        # To normalize is to leave out what it doesn't know.
        return VitsTokenizer(
            file.name, pad_token=_PAD, unk_token=_PAD, add_blank=True, normalize=True, phonemize=False
        )


def _phonemes(said: Mapping[str, Any]) -> dict[str, str]:
    return {
        "phonemizer": "espeak-ng",
        "voice": said["espeak"]["voice"],
        "begin": _BEGIN,
        "end": _END,
    }
