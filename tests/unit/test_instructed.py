"""Summaries and translations by chat models."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from task_cases import decoded
from transformers import GenerationConfig

from standpipe.v1 import common_pb2, text_pb2
from standpipe_server.backends.causal import CausalReader
from standpipe_server.backends.sources import Source
from standpipe_server.errors import InvalidInputError
from standpipe_server.interfaces import Call
from standpipe_server.kinds import CAUSAL
from standpipe_server.programs import CausalPrompt, Generation, Writing
from standpipe_server.tasks.summarize_text import SUMMARIZE_TEXT
from standpipe_server.tasks.translate_text import TRANSLATE_TEXT
from tiny_models import byte_pairs

Parameters = common_pb2.GenerationParameters
Summarize = text_pb2.SummarizeTextRequest
Translate = text_pb2.TranslateTextRequest
Request = Summarize | Translate

SUMMARIZE = "Summarize the following text in one or two sentences. Answer with the summary only."
# For each task its instruction and a request of a text.
TASKS: list[tuple[str, Request]] = [
    (SUMMARIZE, Summarize()),
    (
        "Translate the following text to French. Answer with the translation only.",
        Translate(target_language="French"),
    ),
]
each = pytest.mark.parametrize(("instruction", "request_"), TASKS, ids=["summarize", "translate"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a tokenizer with a chat template."""
    folder = tmp_path_factory.mktemp("chat")
    byte_pairs(max_tokens=10_000, ends=False).save_pretrained(folder)
    return folder


def model(folder: Path, max_tokens: int = 1000) -> CausalReader:
    """A chat model's reader."""
    config = SimpleNamespace(max_position_embeddings=max_tokens)
    return CausalReader(Source(folder, ""), config, GenerationConfig())


def head(reader: CausalReader, request: Request) -> Any:
    task = SUMMARIZE_TEXT if isinstance(request, Summarize) else TRANSLATE_TEXT
    return task.also[CAUSAL](reader)


def of(request: Request, text: str, **fields: Any) -> Call:
    """The call of a request with a text and more."""
    asked: Any = type(request)(texts=[text], **fields)
    asked.MergeFrom(request)
    (call,) = decoded(asked)
    return call


def read(reader: CausalReader, request: Request, text: str, **fields: Any) -> str:
    """What the model reads for a text."""
    prompt: CausalPrompt = head(reader, request).prompt(of(request, text, **fields))
    assert not prompt.special_tokens
    return prompt.text


def frame(instruction: str, text: str) -> str:
    """A text as the template of the model has it: the library drops a line's end after a tag."""
    return f"user: {instruction}\n\n{text}assistant: "


@each
@pytest.mark.parametrize("text", ["water stands ready", "", "Wasser 🚰\n\nsteht bereit. "])
def test_a_model_is_asked_in_words(folder: Path, instruction: str, request_: Request, text: str) -> None:
    for truncate in (True, False):
        assert frame(instruction, text) == read(model(folder), request_, text, truncate=truncate)


@pytest.mark.parametrize(
    ("languages", "said"),
    [
        ({"target_language": "French"}, " to French"),
        ({"source_language": "en", "target_language": "fr"}, " from en to fr"),
    ],
)
def test_a_translation_is_asked_for_by_the_names_of_the_languages(
    folder: Path, languages: dict[str, Any], said: str
) -> None:
    instruction = f"Translate the following text{said}. Answer with the translation only."
    assert frame(instruction, "a") == read(model(folder), Translate(**languages), "a")


@pytest.mark.parametrize("truncate", [True, False])
@pytest.mark.parametrize("languages", [{}, {"source_language": "English"}])
def test_a_translation_into_no_language_is_refused(
    folder: Path, languages: dict[str, Any], truncate: bool
) -> None:
    with pytest.raises(InvalidInputError, match="must be told the language") as caught:
        read(model(folder), Translate(**languages), "a", truncate=truncate)
    assert "target_language" == caught.value.field


LONG = " ".join(f"{number} pipes stand ready" for number in range(200))


@each
@pytest.mark.parametrize(
    ("max_tokens", "parameters", "room"),
    [
        # Where a call doesn't say how much it wants written, 256 tokens.
        (1000, Parameters(), 256),
        (1000, Parameters(max_new_tokens=100), 100),
        (1000, Parameters(max_new_tokens=1), 1),
        # Never more than half of what the instruction leaves.
        (300, Parameters(), None),
        (300, Parameters(max_new_tokens=1000), None),
    ],
)
def test_a_text_that_is_too_long_is_cut_and_the_instruction_stays_whole(
    folder: Path,
    instruction: str,
    request_: Request,
    max_tokens: int,
    parameters: Parameters,
    room: int | None,
) -> None:
    reader = model(folder, max_tokens)
    prompt = read(reader, request_, LONG, parameters=parameters)
    before, after = frame(instruction, "\0").split("\0")
    assert (before, after) == (prompt[: len(before)], prompt[-len(after) :])
    text = prompt[len(before) : -len(after)]
    assert LONG.startswith(text)
    left = max_tokens - reader.count(frame(instruction, ""))
    kept = left // 2 if room is None else room
    # All of the text for which there is room, but for a token that may break in two.
    assert kept - 2 <= max_tokens - reader.count(prompt) <= kept + 2
    assert reader.job(CausalPrompt(prompt, special_tokens=False), Writing()).ids


@each
def test_a_short_text_is_read_whole_however_much_a_call_wants_written(
    folder: Path, instruction: str, request_: Request
) -> None:
    small = model(folder, model(folder).count(frame(instruction, "")) + 20)
    for parameters in (Parameters(), Parameters(max_new_tokens=1000)):
        assert frame(instruction, "ready") == read(small, request_, "ready", parameters=parameters)


@each
def test_a_model_without_room_for_the_text_refuses_it(
    folder: Path, instruction: str, request_: Request
) -> None:
    small = model(folder, model(folder).count(frame(instruction, "")))
    with pytest.raises(InvalidInputError, match="leave no room for the text"):
        read(small, request_, "a")


@each
def test_a_text_that_may_not_be_cut_is_left_to_the_engine_to_refuse(
    folder: Path, instruction: str, request_: Request
) -> None:
    small = model(folder, 100)
    prompt = read(small, request_, LONG, truncate=False)
    assert frame(instruction, LONG) == prompt
    with pytest.raises(InvalidInputError, match="the model holds 100"):
        small.job(CausalPrompt(prompt, special_tokens=False), Writing())


@each
@pytest.mark.parametrize(
    ("parameters", "options", "seed"),
    [
        (Parameters(), {"do_sample": False}, None),
        (Parameters(max_new_tokens=9), {"do_sample": False, "max_new_tokens": 9}, None),
        (Parameters(do_sample=False), {"do_sample": False}, None),
        (
            Parameters(do_sample=True, temperature=0.5, seed=3),
            {"do_sample": True, "temperature": 0.5},
            3,
        ),
    ],
)
def test_the_likeliest_is_written_unless_a_call_says_otherwise(
    folder: Path,
    instruction: str,
    request_: Request,
    parameters: Parameters,
    options: dict[str, Any],
    seed: int | None,
) -> None:
    writing: Writing = head(model(folder), request_).writing(of(request_, "a", parameters=parameters))
    assert (options, seed) == (dict(writing.generation.options), writing.generation.seed)
    # Otherwise as a text that is whole at once.
    assert Writing(writing.generation) == writing


@each
def test_what_the_server_lets_a_call_write_reaches_the_engine(
    folder: Path, instruction: str, request_: Request
) -> None:
    call = of(request_, "a")
    writing: Writing = head(model(folder), request_).writing(call)
    expected: Generation = call.parameters.generation
    assert expected.max_new_tokens == writing.generation.max_new_tokens


@each
def test_what_a_chat_model_writes_is_not_cleaned_up(
    folder: Path, instruction: str, request_: Request
) -> None:
    asked = head(model(folder), request_)
    assert asked.writing(of(request_, "a", clean_up_tokenization_spaces=False))
    with pytest.raises(InvalidInputError) as caught:
        asked.writing(of(request_, "a", clean_up_tokenization_spaces=True))
    assert "clean_up_tokenization_spaces" == caught.value.field


@each
def test_a_model_without_a_chat_template_can_not_be_asked(
    folder: Path, instruction: str, request_: Request
) -> None:
    plain = model(folder)
    plain.tokenizer.chat_template = None
    with pytest.raises(InvalidInputError, match="no chat template") as caught:
        read(plain, request_, "a")
    assert "model" == caught.value.field
