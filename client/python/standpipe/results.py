"""What the clients' methods return, where it isn't an array, a text or a message of the contract."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Label:
    """A label and how sure the model is of it.

    Attributes:
        label: As the model, or the call, names it.
        score: Between 0 and 1, unless raw outputs were asked for.
    """

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Ranked:
    """A text's place in a ranking.

    Attributes:
        index: Which of the call's texts, from 0.
        score: How relevant it is; higher is more.
        text: The text; empty unless ``return_texts`` was asked for.
    """

    index: int
    score: float
    text: str


@dataclass(frozen=True, slots=True)
class Entity:
    """A token, or a group of them, that has a label; ``text[start:end]`` is how the text has it.

    Attributes:
        entity: The label of a token; empty for a group.
        entity_group: The label of a group; empty for a token.
        score: Between 0 and 1.
        word: As the model's tokenizer writes it.
        start: Where it starts in the text, in characters (code points), from 0.
        end: Where it ends, exclusive.
        index: Position among the model's tokens; 0 for a group.
    """

    entity: str
    entity_group: str
    score: float
    word: str
    start: int
    end: int
    index: int

    @property
    def label(self) -> str:
        """The label, of a token or of a group."""
        return self.entity_group or self.entity


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that stands in a context: ``context[start:end]``.

    Attributes:
        answer: The words; empty for "no answer".
        score: Between 0 and 1.
        start: Where it starts in the context, in characters (code points), from 0.
        end: Where it ends, exclusive.
    """

    answer: str
    score: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TableAnswer:
    """An answer from a table.

    Attributes:
        answer: The cells joined, after what to do with them: "SUM > 2, 3".
        coordinates: Row and column of each cell, from 0, headings not counted.
        cells: What the cells hold.
        aggregator: "SUM", "AVERAGE", "COUNT" or "NONE"; empty for models without.
    """

    answer: str
    coordinates: tuple[tuple[int, int], ...]
    cells: tuple[str, ...]
    aggregator: str


@dataclass(frozen=True, slots=True)
class Fill:
    """A proposal for a mask.

    Attributes:
        score: Probability over the whole vocabulary.
        token: Id of the token.
        token_str: The token as text.
        sequence: The text with the proposal in the mask's place.
    """

    score: float
    token: int
    token_str: str
    sequence: str


@dataclass(frozen=True, slots=True)
class Token:
    """A token.

    Attributes:
        id: Its number in the vocabulary.
        token: As the vocabulary writes it: "##ing".
        start: Where it starts in its text, in characters (code points), from 0.
        end: Where it ends, exclusive; as ``start`` for what isn't in the text.
        special: The tokenizer added it.
        type_id: 1 for the second text of a pair, else 0.
    """

    id: int
    token: str
    start: int
    end: int
    special: bool
    type_id: int


@dataclass(frozen=True, slots=True)
class Tokens:
    """A text's tokens.

    Attributes:
        tokens: In order.
        overflowing: How many were cut.
    """

    tokens: tuple[Token, ...]
    overflowing: int

    @property
    def ids(self) -> list[int]:
        """The tokens' numbers, as ``detokenize`` takes them."""
        return [token.id for token in self.tokens]


@dataclass(frozen=True, slots=True)
class ChatPrompt:
    """A conversation as a model reads it.

    Attributes:
        text: The whole.
        ids: Its token ids; empty unless ``tokenize`` was asked for.
    """

    text: str
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token that was written.

    Attributes:
        id: Its number in the vocabulary.
        token: Its text by itself; a part of a character shows as U+FFFD.
        logprob: Natural logarithm of its probability.
    """

    id: int
    token: str
    logprob: float


@dataclass(frozen=True, slots=True)
class GeneratedText:
    """A text that a model wrote.

    Attributes:
        text: The text.
        finish_reason: Why it ends: "stop" (the model ended it), "length", "stop_string", or "cancelled" (the
            server shut down). Empty for a reason that this client doesn't know.
        stop_string: The stop string that was reached; empty without one.
        generated_tokens: Tokens written, end token included.
        logprobs: The tokens; empty unless ``logprobs`` was asked for.
    """

    text: str
    finish_reason: str
    stop_string: str
    generated_tokens: int
    logprobs: tuple[TokenLogprob, ...]


@dataclass(frozen=True, slots=True)
class Usage:
    """What a call took.

    Attributes:
        prompt_tokens: Tokens read, special tokens included.
        generated_tokens: Tokens written, end tokens included.
        cached_tokens: Of those read, how many the prefix cache held; None where the engine doesn't tell.
    """

    prompt_tokens: int
    generated_tokens: int
    cached_tokens: int | None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool.

    Attributes:
        id: Pairs the call with the tool's answer; may be empty.
        name: Of the function.
        arguments: A JSON object, as text.
    """

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """A model's answer to a conversation.

    Attributes:
        content: What it says.
        tool_calls: The tools that it calls.
        finish_reason: As for GeneratedText; "tool_call" where it waits for the answers of tools.
        stop_string: The stop string that was reached; empty without one.
        usage: What the call took.
        logprobs: The tokens; empty unless ``logprobs`` was asked for.
    """

    content: str
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str
    stop_string: str
    usage: Usage
    logprobs: tuple[TokenLogprob, ...]

    @property
    def message(self) -> dict[str, Any]:
        """The answer as a message of the conversation, in the form that chat templates know."""
        message: dict[str, Any] = {"role": "assistant", "content": self.content}
        if self.tool_calls:
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for call in self.tool_calls
            ]
        return message


@dataclass(frozen=True, slots=True)
class TextDelta:
    """What one step added to a text.

    Attributes:
        text: Whole characters; empty where a token waits for the rest of one.
        logprobs: The step's tokens; empty unless ``logprobs`` was asked for.
    """

    text: str
    logprobs: tuple[TokenLogprob, ...]


@dataclass(frozen=True, slots=True)
class ChatDelta:
    """What one step added to an answer.

    Attributes:
        content: Whole characters; empty where a token waits for the rest of one.
        tool_calls: Tools that the model calls, each whole.
        logprobs: The step's tokens; empty unless ``logprobs`` was asked for.
    """

    content: str
    tool_calls: tuple[ToolCall, ...]
    logprobs: tuple[TokenLogprob, ...]


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """The end of a stream.

    Attributes:
        finish_reason: As for ChatAnswer.
        stop_string: The stop string that was reached; empty without one.
        usage: What the call took.
    """

    finish_reason: str
    stop_string: str
    usage: Usage
