"""TranslateText: texts into another language, however a model wants to be told which.

Source: the translation pipeline of transformers 4, which transformers 5 no longer has. A chat
model is asked in words, with the languages as the caller calls them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from standpipe.v1 import text_pb2
from standpipe_server.errors import InvalidInputError, check_limit
from standpipe_server.interfaces import Call, Output
from standpipe_server.kinds import CAUSAL, SEQ2SEQ
from standpipe_server.programs import Prompt
from standpipe_server.tasks.base import (
    InputLimits,
    Task,
    check_texts,
    optional,
    text_cost,
    texts_to_calls,
)
from standpipe_server.tasks.causal import written
from standpipe_server.tasks.instructed import InstructedHead
from standpipe_server.tasks.writing import BRIEF, PlainHead, WriteParameters, generation, warm_up

# Names of languages go into a chat model's prompt: no longer than a name is.
_MAX_LANGUAGE = 64
_SOURCE, _TARGET = "source_language", "target_language"


@dataclass(frozen=True, slots=True)
class TranslateParameters(WriteParameters):
    """From what language to what, as the model names them."""

    source: str | None = None
    target: str | None = None


Writer = Callable[[str, TranslateParameters], Prompt]
"""A text, and its languages, to what a model reads."""


class TranslateHead(PlainHead):
    """Tells a model the languages in the way that its own files show it to know."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        # The first way that the model knows; any model knows the last.
        self._write = next(write for way in _WAYS if (write := way(model)) is not None)

    def prompt(self, call: Call) -> Prompt:
        return self._write(call.input, call.parameters)


def _by_tokens(model: Any) -> Writer | None:
    """mBART, M2M100, NLLB: the tokenizer takes the source, the answer begins with the target's token."""
    tokenizer = model.tokenizer
    if not hasattr(tokenizer, "src_lang"):
        return None
    codes = _language_tokens(tokenizer)

    def token(language: str, field: str) -> int:
        if language not in codes:
            raise InvalidInputError(
                f"the model doesn't know the language {language!r}; it knows {_some(codes)}", field
            )
        return codes[language]

    def write(text: str, parameters: TranslateParameters) -> Prompt:
        if parameters.source is not None:
            token(parameters.source, _SOURCE)
        first = None if parameters.target is None else token(parameters.target, _TARGET)
        # Stated each time: the tokenizer keeps what the call before said.
        return Prompt(text, parameters.source or usual, first)

    usual = tokenizer.src_lang
    return write


def _by_prefix(model: Any) -> Writer | None:
    """T5: the text begins with an instruction, which the model's files have for each pair of languages."""
    specific = getattr(model.config, "task_specific_params", None) or {}
    head = "translation_"
    prefixes = {
        tuple(name.removeprefix(head).split("_to_")): settings.get("prefix") or ""
        for name, settings in specific.items()
        if name.startswith(head)
    }
    if not prefixes:
        return None

    def write(text: str, parameters: TranslateParameters) -> Prompt:
        pair = parameters.source, parameters.target
        if pair == (None, None):
            return Prompt(text)
        if pair not in prefixes:
            offered = ", ".join(" to ".join(known) for known in prefixes)
            field = _SOURCE if parameters.source is None else _TARGET
            raise InvalidInputError(
                f"the model doesn't translate {pair[0]} to {pair[1]}; it translates {offered}", field
            )
        return Prompt(prefixes[pair] + text)

    return write


def _by_target_word(model: Any) -> Writer | None:
    """Marian models of several targets: the text begins with ">>fra<<"."""
    targets = {
        word[2:-2] for word in model.tokenizer.get_vocab() if word.startswith(">>") and word.endswith("<<")
    }
    if not targets:
        return None

    def write(text: str, parameters: TranslateParameters) -> Prompt:
        if parameters.target is None:
            return Prompt(text)
        if parameters.target not in targets:
            raise InvalidInputError(
                f"the model doesn't know the language {parameters.target!r}; it knows {_some(targets)}",
                _TARGET,
            )
        return Prompt(f">>{parameters.target}<< {text}")

    return write


def _one_pair(_: Any) -> Writer:
    """A model of one pair of languages, which its files don't name."""

    def write(text: str, parameters: TranslateParameters) -> Prompt:
        for field, language in ((_SOURCE, parameters.source), (_TARGET, parameters.target)):
            if language is not None:
                raise InvalidInputError(
                    f"the model translates one pair of languages: leave {field} out", field
                )
        return Prompt(text)

    return write


_WAYS: tuple[Callable[[Any], Writer | None], ...] = (_by_tokens, _by_prefix, _by_target_word, _one_pair)


class TranslateChatHead(InstructedHead):
    """Asks a chat model for the translation alone."""

    def instruction(self, parameters: TranslateParameters) -> str:
        if not parameters.target:
            raise InvalidInputError("a chat model must be told the language to translate to", _TARGET)
        source = "" if not parameters.source else f" from {parameters.source}"
        return (
            f"Translate the following text{source} to {parameters.target}. Answer with the translation only."
        )


def _language_tokens(tokenizer: Any) -> dict[str, int]:
    """Ids of the languages that a tokenizer knows: "fra_Latn", "fr_XX", or "fr" for M2M100's "__fr__"."""
    special = [*tokenizer.all_special_tokens, *getattr(tokenizer, "additional_special_tokens", ())]
    # What isn't a language is written <s>, <pad>, <mask>.
    names = {token for token in special if not token.startswith("<")}
    return {token.strip("_"): tokenizer.convert_tokens_to_ids(token) for token in names}


def _some(names: Any) -> str:
    """A few of many names."""
    listed = sorted(names)
    return ", ".join(listed[:8]) + (f" and {len(listed) - 8} more" if len(listed) > 8 else "")


def _decode(request: text_pb2.TranslateTextRequest, limits: InputLimits) -> list[Call]:
    check_texts(request.texts, "texts", limits)
    source, target = optional(request, _SOURCE, None), optional(request, _TARGET, None)
    for field, language in ((_SOURCE, source), (_TARGET, target)):
        check_limit(len(language or ""), field, "language", _MAX_LANGUAGE, "characters")
    parameters = TranslateParameters(generation(request, limits), source, target)
    return texts_to_calls(request.texts, parameters)


def _encode(outputs: Sequence[Output], _: text_pb2.TranslateTextRequest) -> text_pb2.TranslateTextResponse:
    response = text_pb2.TranslateTextResponse()
    for output in outputs:
        text = written(output)
        response.results.add(translation_text=text.text, generated_tokens=text.tokens)
    return response


TRANSLATE_TEXT = Task(
    name="translation",
    rpc="standpipe.v1.TextService.TranslateText",
    request=text_pb2.TranslateTextRequest,
    response=text_pb2.TranslateTextResponse,
    kind=SEQ2SEQ,
    parameters=TranslateParameters,
    head=TranslateHead,
    decode=_decode,
    encode=_encode,
    cost=text_cost,
    mixes=False,
    default=("google-t5/t5-base", "a9723ea"),
    warm_up=warm_up(TranslateParameters(BRIEF)),
    also={CAUSAL: TranslateChatHead},
)
