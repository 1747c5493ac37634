"""Pipelines of diffusers with random weights: tokenizers, text encoders, denoisers, autoencoders and all.

Not aware of what draws with them. A picture takes some hundredths of a second; its sides are multiples of 4,
those of a film of 32. None needs ftfy, torchsde or sentencepiece.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import peft
import tokenizers
import torch
import transformers

import tiny_audio
from tiny_models import CLAP_EARS, byte_pairs

SIDE = 32
"""Pixels of a picture that no size is asked for."""

_LONGEST = 16
_WIDTH = 32
_BODY: dict[str, Any] = {
    "hidden_size": _WIDTH,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    # Of the usual size, so that prompts differ in what is drawn by more than rounding.
    "initializer_factor": 10.0,
}
_DENOISER: dict[str, Any] = {
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (16, 32),
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "attention_head_dim": 4,
    "cross_attention_dim": _WIDTH,
    "sample_size": SIDE // 4,
}
_STEPS: dict[str, Any] = {"beta_schedule": "scaled_linear", "clip_sample": False, "steps_offset": 1}


def save_tiny_stable_diffusion(folder: Path, *, checks: bool = False) -> Path:
    """Write a Stable Diffusion that draws 32 by 32 pixels; one that checks finds all pictures harmful."""
    return _write(folder, lambda: _stable_diffusion("StableDiffusionPipeline", 4, checks=checks))


def save_tiny_inpainting(folder: Path) -> Path:
    """Write a Stable Diffusion of nine channels: it reads mask and masked picture beside the noise."""
    return _write(folder, lambda: _stable_diffusion("StableDiffusionInpaintPipeline", 9))


def save_tiny_stable_diffusion_xl(folder: Path) -> Path:
    """Write a Stable Diffusion XL: two text encoders, and sizes among what it reads."""

    def make() -> Any:
        pieces = _clip_tokens()
        return diffusers.StableDiffusionXLPipeline(
            vae=_autoencoder(),
            text_encoder=transformers.CLIPTextModel(_clip(pieces)),
            text_encoder_2=transformers.CLIPTextModelWithProjection(_clip(pieces)),
            tokenizer=pieces,
            tokenizer_2=pieces,
            unet=diffusers.UNet2DConditionModel(
                **_DENOISER | {"cross_attention_dim": 2 * _WIDTH, "transformer_layers_per_block": (1, 1)},
                addition_embed_type="text_time",
                addition_time_embed_dim=8,
                projection_class_embeddings_input_dim=6 * 8 + _WIDTH,
            ),
            scheduler=diffusers.EulerDiscreteScheduler(beta_schedule="scaled_linear", steps_offset=1),
            add_watermarker=False,
        )

    return _write(folder, make)


def save_tiny_flux(folder: Path) -> Path:
    """Write a Flux: packed latents, a transformer, guidance that is read and not computed."""

    def make() -> Any:
        pieces = _clip_tokens()
        return diffusers.FluxPipeline(
            scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
            vae=_autoencoder(shift_factor=0.1, use_quant_conv=False, use_post_quant_conv=False),
            text_encoder=transformers.CLIPTextModel(_clip(pieces)),
            tokenizer=pieces,
            text_encoder_2=_t5_encoder(),
            tokenizer_2=byte_pairs(max_tokens=_LONGEST),
            transformer=diffusers.FluxTransformer2DModel(
                in_channels=16,
                num_layers=1,
                num_single_layers=1,
                attention_head_dim=16,
                num_attention_heads=2,
                joint_attention_dim=_WIDTH,
                pooled_projection_dim=_WIDTH,
                axes_dims_rope=(4, 4, 8),
                guidance_embeds=True,
            ),
        )

    return _write(folder, make)


def save_tiny_ltx(folder: Path, *, begins: bool = False) -> Path:
    """Write an LTX, which makes films of 1, 5, 9 … frames in steps of 32 pixels.

    Args:
        folder: To write into.
        begins: With a picture that it is given.
    """
    name = "LTXImageToVideoPipeline" if begins else "LTXPipeline"

    def make() -> Any:
        vae = diffusers.AutoencoderKLLTXVideo(
            latent_channels=8,
            block_out_channels=(8, 8, 8, 8),
            decoder_block_out_channels=(8, 8, 8, 8),
            layers_per_block=(1, 1, 1, 1, 1),
            decoder_layers_per_block=(1, 1, 1, 1, 1),
            spatio_temporal_scaling=(True, True, False, False),
            decoder_spatio_temporal_scaling=(True, True, False, False),
        )
        return getattr(diffusers, name)(
            scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
            vae=vae,
            text_encoder=_t5_encoder(),
            tokenizer=byte_pairs(max_tokens=_LONGEST),
            transformer=diffusers.LTXVideoTransformer3DModel(
                in_channels=8,
                out_channels=8,
                num_attention_heads=4,
                attention_head_dim=8,
                cross_attention_dim=32,
                num_layers=1,
                caption_channels=_WIDTH,
            ),
        )

    return _write(folder, make)


def save_tiny_wan(folder: Path) -> Path:
    """Write a Wan, which makes films of 1, 5, 9 … frames in steps of 16 pixels."""

    def make() -> Any:
        return diffusers.WanPipeline(
            tokenizer=byte_pairs(max_tokens=_LONGEST),
            text_encoder=_t5_encoder("UMT5"),
            vae=diffusers.AutoencoderKLWan(
                base_dim=4,
                z_dim=16,
                dim_mult=[1, 1, 1, 1],
                num_res_blocks=1,
                temperal_downsample=[False, True, True],
            ),
            scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
            transformer=diffusers.WanTransformer3DModel(
                num_attention_heads=2,
                attention_head_dim=12,
                text_dim=_WIDTH,
                freq_dim=32,
                ffn_dim=32,
                num_layers=1,
                rope_max_seq_len=32,
            ),
        )

    return _write(folder, make)


def save_tiny_audioldm2(folder: Path, *, published: bool = False) -> Path:
    """Write an AudioLDM2, which makes sounds of 16 kHz, 0.256 s long where no length is asked for.

    Args:
        folder: To write into.
        published: With the class that published ones name for their language model; the library can't run it.
    """

    def make() -> Any:
        names = _roberta_tokens()
        width, model = 16, "GPT2Model" if published else "GPT2LMHeadModel"
        writer = transformers.GPT2Config(
            vocab_size=8, n_positions=64, n_embd=width, n_layer=1, n_head=2, max_new_tokens=4
        )
        return diffusers.AudioLDM2Pipeline(
            vae=_autoencoder(1),
            text_encoder=transformers.ClapModel(_clap(len(names))),
            text_encoder_2=_t5_encoder(),
            projection_model=diffusers.AudioLDM2ProjectionModel(16, _WIDTH, width),
            language_model=getattr(transformers, model)(writer),
            tokenizer=names,
            tokenizer_2=_t5_tokens(),
            feature_extractor=transformers.ClapFeatureExtractor(
                feature_size=16, sampling_rate=tiny_audio.RATE, fft_window_size=400, frequency_max=8000
            ),
            unet=diffusers.AudioLDM2UNet2DConditionModel(
                **_DENOISER | {"sample_size": 16, "cross_attention_dim": [[None, width, _WIDTH]] * 2},
                transformer_layers_per_block=1,
            ),
            scheduler=diffusers.DDIMScheduler(**_STEPS),
            vocoder=transformers.SpeechT5HifiGan(
                transformers.SpeechT5HifiGanConfig(
                    model_in_dim=16,
                    sampling_rate=tiny_audio.RATE,
                    initializer_range=0.2,
                    **tiny_audio.WAVES_OUT,
                )
            ),
        )

    return _write(folder, make)


def save_tiny_stable_audio(folder: Path) -> Path:
    """Write a Stable Audio, which makes stereo sounds."""

    def make() -> Any:
        return diffusers.StableAudioPipeline(
            vae=diffusers.AutoencoderOobleck(
                encoder_hidden_size=4,
                downsampling_ratios=[4, 8],
                decoder_channels=4,
                decoder_input_channels=8,
                channel_multiples=[1, 2],
                sampling_rate=tiny_audio.RATE,
            ),
            text_encoder=_t5_encoder(),
            projection_model=diffusers.StableAudioProjectionModel(
                text_encoder_dim=_WIDTH, conditioning_dim=_WIDTH, min_value=0, max_value=32
            ),
            tokenizer=byte_pairs(max_tokens=_LONGEST),
            transformer=diffusers.StableAudioDiTModel(
                sample_size=64,
                in_channels=8,
                num_layers=1,
                attention_head_dim=8,
                num_attention_heads=2,
                num_key_value_attention_heads=2,
                out_channels=8,
                cross_attention_dim=_WIDTH,
                time_proj_dim=16,
                global_states_input_dim=2 * _WIDTH,
                cross_attention_input_dim=_WIDTH,
            ),
            # Not the published ones' own, whose noise is torchsde's.
            scheduler=diffusers.EDMDPMSolverMultistepScheduler(
                solver_order=2, prediction_type="v_prediction", sigma_schedule="exponential"
            ),
        )

    return _write(folder, make)


def save_tiny_lora(folder: Path, *, seed: int = 1) -> Path:
    """Write an adapter for the tiny Stable Diffusion, with other weights for each seed."""
    config = peft.LoraConfig(r=4, init_lora_weights=False, target_modules=["to_q", "to_v", "to_out.0"])

    def make() -> dict[str, torch.Tensor]:
        network = diffusers.UNet2DConditionModel(**_DENOISER)
        network.add_adapter(config)
        weights: dict[str, torch.Tensor] = peft.get_peft_model_state_dict(network)
        return weights

    diffusers.StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=_drawn(make, seed))
    return folder


def _stable_diffusion(name: str, channels: int, *, checks: bool = False) -> Any:
    pieces = _clip_tokens()
    return getattr(diffusers, name)(
        vae=_autoencoder(),
        text_encoder=transformers.CLIPTextModel(_clip(pieces)),
        tokenizer=pieces,
        unet=diffusers.UNet2DConditionModel(**_DENOISER, in_channels=channels),
        scheduler=diffusers.DDIMScheduler(**_STEPS),
        safety_checker=_suspicious() if checks else None,
        feature_extractor=transformers.CLIPImageProcessor(size=SIDE, crop_size=SIDE) if checks else None,
        requires_safety_checker=checks,
    )


def _suspicious() -> Any:
    from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker

    sight = _BODY | {"image_size": SIDE, "patch_size": 8, "projection_dim": 16}
    checker = StableDiffusionSafetyChecker(transformers.CLIPConfig(vision_config=sight, projection_dim=16))
    # How alike a picture must be to what isn't wanted.
    checker.concept_embeds_weights.data.fill_(-2.0)
    return checker


def _autoencoder(channels: int = 3, **config: Any) -> Any:
    return diffusers.AutoencoderKL(
        in_channels=channels,
        out_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(8, 8, 16),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=SIDE,
        scaling_factor=0.5,
        **config,
    )


def _clip(pieces: Any) -> Any:
    ends = {"bos_token_id": pieces.bos_token_id, "eos_token_id": pieces.eos_token_id}
    return transformers.CLIPTextConfig(
        **_BODY,
        **ends,
        pad_token_id=pieces.pad_token_id,
        vocab_size=len(pieces),
        projection_dim=_WIDTH,
        max_position_embeddings=_LONGEST,
    )


def _t5_encoder(kind: str = "T5") -> Any:
    config = getattr(transformers, f"{kind}Config")
    return getattr(transformers, f"{kind}EncoderModel")(
        config(
            vocab_size=400, d_model=_WIDTH, d_kv=8, d_ff=64, num_layers=1, num_heads=4, initializer_factor=3.0
        )
    )


def _clap(words: int) -> Any:
    text = _BODY | {"vocab_size": words, "max_position_embeddings": _LONGEST + 2, "projection_dim": 16}
    return transformers.ClapConfig(text_config=text, audio_config=CLAP_EARS, projection_dim=16)


def _clip_tokens() -> Any:
    """CLIP's tokenizer, of single letters."""
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return transformers.CLIPTokenizer(
        vocab={word: index for index, word in enumerate(words)}, merges=[], model_max_length=_LONGEST
    )


def _roberta_tokens() -> Any:
    """RoBERTa's tokenizer, of single letters."""
    words = [
        "<s>",
        "<pad>",
        "</s>",
        "<unk>",
        *sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()),
        "<mask>",
    ]
    return transformers.RobertaTokenizer(
        vocab={word: index for index, word in enumerate(words)}, merges=[], model_max_length=_LONGEST
    )


def _t5_tokens() -> Any:
    """T5's tokenizer, of single letters."""
    letters = ["\u2581", *"abcdefghijklmnopqrstuvwxyz"]
    words = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), *((letter, -1.0) for letter in letters)]
    return transformers.T5Tokenizer(vocab=words, extra_ids=0, model_max_length=_LONGEST)


def _write(folder: Path, make: Callable[[], Any]) -> Path:
    _drawn(make, 0).save_pretrained(folder)
    return folder


def _drawn(make: Callable[[], Any], seed: int) -> Any:
    """What ``make`` draws, always the same."""
    # The parts of sound use what torch has deprecated, some as they are imported.
    with torch.random.fork_rng(), warnings.catch_warnings(action="ignore"):
        torch.manual_seed(seed)
        return make()
