"""Models of sound with random weights: feature extractors, tokenizers and processors included.

Not aware of what reads them: a head, a pipeline or an Auto class. None needs torchaudio or ffmpeg.
"""

from __future__ import annotations

import json
import string
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import AddedToken

from tiny_models import CLAP_EARS, byte_pairs

RATE = 16_000
SOUNDS = ("bell", "rain", "siren")
LANGUAGES = ("en", "de", "fr")

# Of the usual size, so that sounds differ in what comes out of them by more than rounding.
_SPREAD = {"initializer_range": 0.5}
_BODY: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
} | _SPREAD
_NAMES: dict[str, Any] = {
    "id2label": dict(enumerate(SOUNDS)),
    "label2id": {sound: index for index, sound in enumerate(SOUNDS)},
}
# Of models in BART's line.
_LAYERS: dict[str, Any] = {
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
}
# A step of 80 samples, and 5 ms.
_WAVE: dict[str, Any] = _BODY | {
    "conv_dim": (16, 16, 16),
    "conv_stride": (5, 4, 4),
    "conv_kernel": (10, 8, 4),
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
# An EnCodec of eight samples to a code.
CODEC: dict[str, Any] = {
    "sampling_rate": RATE,
    "target_bandwidths": [48.0],
    "upsampling_ratios": [4, 2],
    "num_filters": 4,
    "hidden_size": 16,
    "codebook_size": 64,
    "codebook_dim": 16,
    "num_lstm_layers": 1,
}

# Of what makes waves: 64 samples to a step.
WAVES_OUT: dict[str, Any] = {
    "upsample_initial_channel": 16,
    "upsample_rates": [8, 8],
    "upsample_kernel_sizes": [16, 16],
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 2]],
}
_BYTE_ENDS: dict[str, Any] = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def save_tiny_whisper(
    folder: Path, *, multilingual: bool = True, seconds: int = 2, **generation: Any
) -> Path:
    """Write a Whisper that tells times, of segments and of words.

    Args:
        folder: To write into.
        multilingual: It knows ``LANGUAGES`` and both tasks; else it's of English only.
        seconds: That it hears at once: a longer sound is heard in turns.
        generation: Anything else for its generation config.
    """
    steps = seconds * 50
    tokenizer = _whisper_tokens(steps)
    ids = tokenizer.convert_tokens_to_ids
    ends = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), ids("<|endoftext|>"))
    start = {"decoder_start_token_id": ids("<|startoftranscript|>")}
    settings = transformers.WhisperConfig(
        **_LAYERS,
        d_model=32,
        init_std=0.5,
        **ends,
        **start,
        vocab_size=len(tokenizer),
        num_mel_bins=16,
        max_source_positions=steps,
        max_target_positions=64,
    )
    knows: dict[str, Any] = {
        "lang_to_id": {f"<|{language}|>": ids(f"<|{language}|>") for language in LANGUAGES},
        "task_to_id": {task: ids(f"<|{task}|>") for task in ("transcribe", "translate")},
    }
    decoding = transformers.GenerationConfig(
        **ends,
        **start,
        max_length=24,
        is_multilingual=multilingual,
        no_timestamps_token_id=ids("<|notimestamps|>"),
        prev_sot_token_id=ids("<|startofprev|>"),
        alignment_heads=[[0, 1], [1, 2]],
        max_initial_timestamp_index=steps // 4,
        return_timestamps=False,
        # As the published ones: a text is neither empty nor begins with a blank.
        begin_suppress_tokens=[ids("\u0120"), ids("<|endoftext|>")],
        suppress_tokens=[],
        **(knows if multilingual else {}),
        **generation,
    )
    reader = transformers.WhisperFeatureExtractor(feature_size=16, chunk_length=seconds)

    def make() -> Any:
        model = transformers.WhisperForConditionalGeneration(settings)
        words = model.get_input_embeddings().weight.data
        # The library draws none for what's also the pad: no text would end.
        torch.nn.init.normal_(words[ids("<|endoftext|>")], std=0.5)
        # Never likely: after a segment that ends at 0, generate() hears the same again, without end.
        words[ids("<|0.00|>")] = 0.0
        model.generation_config = decoding
        return model

    return write(folder, make, reader, tokenizer)


def save_tiny_wav2vec2_ctc(folder: Path, **config: Any) -> Path:
    """Write a Wav2Vec2 that spells; ``config`` is anything else for its config."""
    tokenizer = _speller(folder)
    settings = transformers.Wav2Vec2Config(**_WAVE | config, vocab_size=len(tokenizer), pad_token_id=0)
    return write(folder, lambda: transformers.Wav2Vec2ForCTC(settings), _waves(), tokenizer)


def save_tiny_speech_to_text(folder: Path) -> Path:
    """Write a SpeechEncoderDecoder of a Wav2Vec2 and a GPT-2: a sequence to sequence without times."""
    tokenizer = byte_pairs()
    ears = transformers.Wav2Vec2Config(**_WAVE)
    voice = transformers.GPT2Config(
        **_SPREAD,
        **_BYTE_ENDS,
        vocab_size=len(tokenizer),
        n_positions=128,
        n_embd=32,
        n_layer=1,
        n_head=4,
        is_decoder=True,
        add_cross_attention=True,
    )

    def make() -> Any:
        model = transformers.SpeechEncoderDecoderModel(
            encoder=transformers.Wav2Vec2Model(ears), decoder=transformers.GPT2LMHeadModel(voice)
        )
        model.generation_config = transformers.GenerationConfig(
            **_BYTE_ENDS, decoder_start_token_id=1, max_length=24
        )
        return model

    return write(folder, make, _waves(), tokenizer)


def save_tiny_wav2vec2(folder: Path) -> Path:
    """Write a Wav2Vec2 that classifies."""
    settings = transformers.Wav2Vec2Config(**_WAVE, **_NAMES, classifier_proj_size=16)
    return write(folder, lambda: transformers.Wav2Vec2ForSequenceClassification(settings), _waves())


def save_tiny_ast(folder: Path) -> Path:
    """Write an AST, which classifies a spectrogram of 64 steps."""
    settings = transformers.ASTConfig(
        **_BODY, **_NAMES, num_mel_bins=16, max_length=64, patch_size=8, frequency_stride=8, time_stride=8
    )
    reader = transformers.ASTFeatureExtractor(num_mel_bins=16, max_length=64)
    return write(folder, lambda: transformers.ASTForAudioClassification(settings), reader)


def save_tiny_clap(folder: Path) -> Path:
    """Write a CLAP with RoBERTa's kind of tokens: it hears 16 kHz, and a second at once."""
    tokenizer = _plain(64)
    text = (
        _BODY
        | _BYTE_ENDS
        | {
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 66,
            "projection_dim": 16,
            "initializer_factor": 10.0,
        }
    )
    ears = CLAP_EARS | {"initializer_factor": 10.0}
    settings = transformers.ClapConfig(text_config=text, audio_config=ears, projection_dim=16)
    reader = transformers.ClapFeatureExtractor(
        feature_size=16,
        sampling_rate=RATE,
        hop_length=160,
        max_length_s=1,
        fft_window_size=400,
        frequency_max=8000,
        truncation="rand_trunc",
    )
    processor = transformers.ClapProcessor(feature_extractor=reader, tokenizer=tokenizer)
    return write(folder, lambda: transformers.ClapModel(settings), processor)


def save_tiny_vits(folder: Path, *, voices: int = 1, **config: Any) -> Path:
    """Write a VITS that says letters, in one voice or more.

    Args:
        folder: To write into.
        voices: That it has.
        config: Anything else for its config.
    """
    words = {letter: index for index, letter in enumerate(f"_{string.ascii_lowercase} '")}
    tokenizer = transformers.VitsTokenizer(
        _listed(folder, words), pad_token="_", unk_token="_", phonemize=False, is_uroman=False
    )
    settings = transformers.VitsConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        ffn_dim=32,
        flow_size=16,
        spectrogram_bins=9,
        prior_encoder_num_flows=2,
        prior_encoder_num_wavenet_layers=1,
        posterior_encoder_num_wavenet_layers=1,
        **WAVES_OUT,
        duration_predictor_num_flows=2,
        duration_predictor_filter_channels=16,
        sampling_rate=RATE,
        num_speakers=voices,
        speaker_embedding_size=8 if voices > 1 else 0,
        initializer_range=0.1,
        **config,
    )

    def make() -> Any:
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            return transformers.VitsModel(settings)  # its module scripts a function for torch.jit

    return write(folder, make, tokenizer)


def save_tiny_speecht5(folder: Path) -> Path:
    """Write a SpeechT5 that gives spectrograms, and into its folder ``vocoder`` what makes waves of them."""
    tokenizer = _plain(128)
    settings = transformers.SpeechT5Config(
        **_SPREAD,
        vocab_size=len(tokenizer),
        hidden_size=32,
        **_LAYERS,
        num_mel_bins=16,
        speech_decoder_prenet_units=16,
        speech_decoder_postnet_units=16,
        speech_decoder_postnet_layers=2,
        speaker_embedding_dim=8,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        max_text_positions=128,
        **_BYTE_ENDS,
        decoder_start_token_id=2,
    )
    waves = transformers.SpeechT5HifiGanConfig(model_in_dim=16, **WAVES_OUT, initializer_range=0.2)
    write(folder / "vocoder", lambda: transformers.SpeechT5HifiGan(waves))
    return write(folder, lambda: transformers.SpeechT5ForTextToSpeech(settings), tokenizer)


def save_tiny_musicgen(folder: Path) -> Path:
    """Write a MusicGen: a T5 that reads, a decoder of two codebooks, and an EnCodec."""
    tokenizer = _plain(128)
    text = transformers.T5Config(
        vocab_size=len(tokenizer),
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=1,
        num_heads=4,
        pad_token_id=0,
        eos_token_id=2,
        initializer_factor=3.0,
    )
    codec = transformers.EncodecConfig(**CODEC | {"target_bandwidths": [24.0]})
    decoder = transformers.MusicgenDecoderConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        ffn_dim=64,
        num_codebooks=2,
        max_position_embeddings=512,
        pad_token_id=64,
        bos_token_id=64,
        initializer_factor=0.5,
    )
    settings = transformers.MusicgenConfig(
        text_encoder=text.to_dict(), audio_encoder=codec.to_dict(), decoder=decoder.to_dict()
    )

    def make() -> Any:
        model = transformers.MusicgenForConditionalGeneration(settings)
        tune(model.audio_encoder)
        model.generation_config = transformers.GenerationConfig(
            decoder_start_token_id=64,
            pad_token_id=64,
            bos_token_id=64,
            do_sample=True,
            guidance_scale=3.0,
            max_length=40,
        )
        return model

    reader = transformers.EncodecFeatureExtractor(sampling_rate=RATE)
    processor = transformers.MusicgenProcessor(feature_extractor=reader, tokenizer=tokenizer)
    return write(folder, make, processor)


def write(folder: Path, make: Callable[[], Any], *readers: Any) -> Path:
    """Write what ``make`` draws, always the same, and what reads its inputs."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        make().save_pretrained(folder)
    for reader in readers:
        reader.save_pretrained(folder)
    return folder


def _plain(max_tokens: int) -> Any:
    tokenizer = byte_pairs(max_tokens=max_tokens)
    # These models' forward passes know no types of tokens.
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    return tokenizer


def _waves() -> Any:
    return transformers.Wav2Vec2FeatureExtractor(return_attention_mask=True)


def _listed(folder: Path, words: dict[str, int]) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "vocab.json"
    path.write_text(json.dumps(words), encoding="utf-8")
    return str(path)


def _speller(folder: Path) -> Any:
    words = ["<pad>", "<s>", "</s>", "<unk>", "|", *string.ascii_lowercase]
    return transformers.Wav2Vec2CTCTokenizer(_listed(folder, {word: i for i, word in enumerate(words)}))


def tune(codec: Any) -> None:
    """Draw an EnCodec's codebooks: the library leaves them at 0, and all sounds would be alike."""
    for layer in codec.quantizer.layers:
        torch.nn.init.normal_(layer.codebook.embed)


def _whisper_tokens(steps: int) -> Any:
    """Whisper's tokenizer, of single letters: times come last, and words begin often."""
    letters = ["\u0120", *string.ascii_letters, *string.digits, *string.punctuation]
    begun = [f"\u0120{letter}" for letter in string.ascii_lowercase]
    words = [*letters, *begun, "<|endoftext|>"]
    tokenizer = transformers.WhisperTokenizer(
        vocab={word: index for index, word in enumerate(words)},
        merges=[("\u0120", letter) for letter in string.ascii_lowercase],
        pad_token="<|endoftext|>",
        model_max_length=64,
    )
    special = ["startoftranscript", *LANGUAGES, "translate", "transcribe"]
    special += ["startoflm", "startofprev", "nospeech", "notimestamps"]
    tokenizer.add_special_tokens({"additional_special_tokens": [f"<|{name}|>" for name in special]})
    times = (
        AddedToken(f"<|{step * 0.02:.2f}|>", normalized=False, special=False) for step in range(steps + 1)
    )
    tokenizer.add_tokens(list(times))
    return tokenizer
