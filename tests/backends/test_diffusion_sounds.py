"""Diffusion pipelines that make sounds: the library's own, ended when nobody waits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from standpipe_server.backends.diffusion_sounds import DiffusionSoundModel
from standpipe_server.errors import GoneError, InvalidInputError, ModelLoadError
from tiny_diffusers import save_tiny_audioldm2, save_tiny_stable_audio, save_tiny_stable_diffusion

TEXT = "a calm bell"
QUICK: dict[str, Any] = {"num_inference_steps": 3}
Loaded = Callable[[str], Any]
KINDS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "AudioLDM2": (save_tiny_audioldm2, "audio_length_in_s"),
    "StableAudio": (save_tiny_stable_audio, "audio_end_in_s"),
}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """Pipelines by kind, read once."""
    home = tmp_path_factory.mktemp("sounds")
    kept: dict[str, Any] = {}

    def load(kind: str) -> Any:
        if kind not in kept:
            kept[kind] = diffusers.DiffusionPipeline.from_pretrained(KINDS[kind][0](home / kind))
        return kept[kind]

    return load


def model_of(pipeline: Any) -> DiffusionSoundModel:
    return DiffusionSoundModel(Path("a-folder"), pipeline)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sound_is_the_one_that_the_pipeline_makes_of_that_seed(kind: str, loaded: Loaded) -> None:
    pipeline = loaded(kind)
    asked = QUICK | {"guidance_scale": 5.0, "negative_prompt": "rain"}
    found = model_of(pipeline).sound(TEXT, seed=7, options=asked | {"duration": 0.1})
    generator = torch.Generator().manual_seed(7)
    options = asked | {KINDS[kind][1]: 0.1}
    wanted = pipeline(TEXT, generator=generator, output_type="np", **options).audios[0]
    np.testing.assert_array_equal(wanted, found)
    assert 1600 == found.shape[-1]
    assert 0.01 < found.std()


def test_one_that_has_channels_keeps_them(loaded: Loaded) -> None:
    model = model_of(loaded("StableAudio"))
    sound = model.sound(TEXT, seed=7, options=QUICK)
    assert ((2, 2048), 16_000) == (sound.shape, model.rate)


def test_without_a_seed_each_sound_is_another(loaded: Loaded) -> None:
    model = model_of(loaded("AudioLDM2"))
    first, second = (model.sound(TEXT, seed=None, options=QUICK) for _ in range(2))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("after", [0, 2])
def test_it_ends_at_the_first_step_after_nobody_waits(kind: str, after: int, loaded: Loaded) -> None:
    model = model_of(loaded(kind))
    asked: list[int] = []

    def gone() -> bool:
        asked.append(len(asked))
        return asked[-1] == after

    with pytest.raises(GoneError):
        model.sound(TEXT, seed=7, options=QUICK | {"num_inference_steps": 9}, gone=gone)
    assert list(range(after + 1)) == asked


@pytest.mark.parametrize(
    ("kind", "asked", "field"),
    [
        ("AudioLDM2", {"duration": 0.001}, "duration"),
        ("AudioLDM2", {"duration": 0.1, "num_inference_steps": 5000}, "num_inference_steps"),
        ("StableAudio", {"duration": 20.0}, "duration"),
    ],
)
def test_what_a_pipeline_refuses_is_the_callers_mistake(
    kind: str, asked: dict[str, float], field: str, loaded: Loaded
) -> None:
    with pytest.raises(InvalidInputError, match=f"{kind}Pipeline refuses it") as caught:
        model_of(loaded(kind)).sound(TEXT, seed=7, options=QUICK | asked)
    assert field == caught.value.field


@pytest.mark.parametrize(
    ("part", "way", "words"),
    [("text_encoder", "forward", "out of words"), ("vae", "decode", "num_inference_steps, too late")],
)
def test_what_else_a_pipeline_stumbles_over_is_not(
    part: str, way: str, words: str, loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*given: Any, **named: Any) -> Any:
        raise ValueError(words)

    pipeline = loaded("StableAudio")
    monkeypatch.setattr(getattr(pipeline, part), way, stumble)
    with pytest.raises(ValueError, match=f"^{words}") as caught:
        model_of(pipeline).sound(TEXT, seed=7, options=QUICK)
    assert ValueError is caught.type


class _Plain(diffusers.AudioLDM2Pipeline):  # type: ignore[misc] # the library has no types
    """A pipeline that takes less than others."""

    def __call__(self, prompt: str, audio_length_in_s: float, generator: Any, output_type: str) -> Any:
        """Nothing: it isn't come to."""


def test_what_a_pipeline_does_not_take_is_named(loaded: Loaded) -> None:
    parts = loaded("AudioLDM2").components
    model = model_of(_Plain(**parts))
    with pytest.raises(InvalidInputError, match="_Plain takes no negative_prompt") as caught:
        model.sound(TEXT, seed=7, options={"duration": 0.1, "negative_prompt": "rain"})
    assert "negative_prompt" == caught.value.field


def test_tokens_are_those_that_are_read(loaded: Loaded) -> None:
    model = model_of(loaded("AudioLDM2"))
    assert [5, 16] == [model.tokens(text) for text in ("abc", "abc" * 99)]


def test_files_that_name_a_class_of_earlier_days_make_the_same_sounds(tmp_path: Path, loaded: Loaded) -> None:
    published = diffusers.DiffusionPipeline.from_pretrained(save_tiny_audioldm2(tmp_path, published=True))
    assert "GPT2Model" == type(published.language_model).__name__
    parts = loaded("AudioLDM2").components
    # The same weights, in the class that there is now.
    published.language_model.load_state_dict(parts["language_model"].transformer.state_dict())
    older = model_of(diffusers.AudioLDM2Pipeline(**parts | {"language_model": published.language_model}))
    newer = model_of(loaded("AudioLDM2"))
    wanted, found = (model.sound(TEXT, seed=7, options=QUICK) for model in (newer, older))
    np.testing.assert_array_equal(wanted, found)


def test_a_pipeline_that_draws_makes_no_sounds(tmp_path: Path) -> None:
    pipeline = diffusers.DiffusionPipeline.from_pretrained(save_tiny_stable_diffusion(tmp_path))
    with pytest.raises(ModelLoadError, match="a StableDiffusionPipeline makes no sounds"):
        model_of(pipeline)
