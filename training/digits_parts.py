"""The parts of the painter of digits before training: stock classes of the libraries, made small.

Not aware of pictures or of how anything is trained; of the prompts it knows the words.
"""

from __future__ import annotations

from typing import Any

import diffusers
import tokenizers
import transformers

from training.grammar import WORDS

LATENT_CHANNELS = 4  # what diffusers' inpainting asks of a network that wasn't made for inpainting
SHRUNK = 4
"""How many pixels one latent stands for each way."""
LONGEST_PROMPT = 32
WIDTH = 64
"""Numbers for each piece of a prompt."""
START, END = "<|startoftext|>", "<|endoftext|>"


def tokenizer() -> Any:
    """A tokenizer of CLIP's kind that has a piece for each word of the training and spells all others."""
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, merges()), START, END]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    return transformers.CLIPTokenizer(vocab=vocabulary, merges=merges(), model_max_length=LONGEST_PROMPT)


def merges() -> list[tuple[str, str]]:
    """Which pieces are put together, in this order, until each word is one.

    They are kept because tokenizers' trainer, which found them once, finds others each time: it chooses among
    pairs that are equally frequent as its hash tables happen to lie.
    """
    lines = (WORDS / "digits.txt").read_text("utf-8").splitlines()
    pairs = (line.split() for line in lines if not line.startswith("#"))
    return [(first, second) for first, second in pairs]


def text_encoder(pieces: Any) -> Any:
    """What reads prompts."""
    config = transformers.CLIPTextConfig(
        vocab_size=len(pieces),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        projection_dim=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=LONGEST_PROMPT,
        bos_token_id=pieces.bos_token_id,
        eos_token_id=pieces.eos_token_id,
        pad_token_id=pieces.pad_token_id,
    )
    return transformers.CLIPTextModel(config)


def autoencoder(side: int) -> Any:
    """What turns pictures of so many pixels into latents and back."""
    return diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 24, 32),
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=side,
        force_upcast=False,
        mid_block_add_attention=False,
    )


def denoiser(side: int) -> Any:
    """What takes noise away from latents of pictures of so many pixels."""
    return diffusers.UNet2DConditionModel(
        sample_size=side // SHRUNK,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(48, 64),
        layers_per_block=1,
        norm_num_groups=8,
        attention_head_dim=4,  # diffusers takes it for the number of heads
        cross_attention_dim=WIDTH,
    )


def scheduler() -> Any:
    """What says how much noise there is at which step, and takes it away in a few of them."""
    return diffusers.DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.0001,
        beta_end=0.02,
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing="trailing",
    )


def pipeline(parts: dict[str, Any]) -> Any:
    """A stock pipeline of these parts, without the safety checker, for which digits give no occasion."""
    return diffusers.StableDiffusionPipeline(
        **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
