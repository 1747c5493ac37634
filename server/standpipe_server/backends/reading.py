"""How a model reads text: its tokenizer, without any state that one runner could change under another.

transformers' own tokenizers keep truncation and padding as state; here what is too long is cut afterwards, by
the same rules. Not aware of tasks, or of what is computed from the tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from standpipe_server.errors import InvalidInputError, ModelLoadError
from standpipe_server.programs import Cut, Encoding, Text

INPUT_NAMES = frozenset({"input_ids", "attention_mask", "token_type_ids"})
"""What a forward pass may take."""

# Where neither the tokenizer nor the model states a limit, as for models of relative positions.
_UNSTATED = 1 << 20
_MAX_SHARED = 128
# How often windows that overlap may read a text: each time costs as much as the first.
_MOST_READ = 8


class TextReader:
    """A model's tokenizer and config, shared by its runners; see ``programs.TextModel``.

    Args:
        folder: Of the model's files.
        config: Its transformers config.
    """

    def __init__(self, folder: Path, config: Any) -> None:
        self.folder = folder
        self.config = config
        self.tokenizer = load_tokenizer(folder)
        if not self.tokenizer.is_fast:
            raise ModelLoadError("its tokenizer has no fast (Rust) form, which serving needs")
        self.max_tokens = token_limit(self.tokenizer, config)
        self._fast = Tokenizer.from_str(self.tokenizer.backend_tokenizer.to_str())
        self._fast.no_truncation()
        self._fast.no_padding()
        self._pad_id: int = self.tokenizer.pad_token_id or 0
        # Some tokenizers number the texts of a pair for a model that is to take them all for one.
        self._numbers_texts = "token_type_ids" in self.tokenizer.model_input_names

    def encode(
        self, texts: Sequence[Text], cuts: Sequence[Cut], *, offsets: bool = False, spread: bool = False
    ) -> list[Encoding | Exception]:
        encode = self._fast.encode_batch if offsets else self._fast.encode_batch_fast
        encodings = encode(texts) if spread else [encode([text])[0] for text in texts]
        return [
            encoding if len(encoding) <= self.max_tokens else self._cut(text, len(encoding), cut)
            for text, encoding, cut in zip(texts, encodings, cuts, strict=True)
        ]

    def windows(
        self,
        text: str,
        *,
        before: str = "",
        stride: int | None,
        max_tokens: int,
        max_before: int | None = None,
    ) -> list[Encoding]:
        main = self._fast.encode(text, add_special_tokens=False)
        first = self._fast.encode(before, add_special_tokens=False) if before else None
        if first is not None and max_before is not None:
            first.truncate(max_before)
        taken = self._fast.num_special_tokens_to_add(first is not None) + len(first or ())
        room = max_tokens - taken
        if room < 1:
            raise InvalidInputError(f"windows of {max_tokens} tokens have no room for the text")
        shared = min(max_tokens // 2, _MAX_SHARED, room - 1) if stride is None else stride
        held = f"windows of {max_tokens} tokens hold {room} of the text"
        if shared >= room:
            raise InvalidInputError(f"{held}: they can't share {shared}", "stride")
        if len(main) > room > _MOST_READ * (room - shared):
            raise InvalidInputError(
                f"{held}: sharing {shared}, they would read it more than {_MOST_READ} times", "stride"
            )
        main.truncate(room, stride=shared)
        parts = [main, *main.overflowing]
        return [self._join(part) if first is None else self._join(first, part) for part in parts]

    def arrays(self, encodings: Sequence[Encoding]) -> dict[str, NDArray[np.int64]]:
        """Token ids, mask and segments, padded on the right to the longest."""
        shape = (len(encodings), max(len(encoding) for encoding in encodings))
        ids = np.full(shape, self._pad_id, np.int64)
        mask = np.zeros(shape, np.int64)
        types = np.zeros(shape, np.int64)
        for row, encoding in enumerate(encodings):
            length = len(encoding)
            ids[row, :length] = encoding.ids
            mask[row, :length] = 1
            if self._numbers_texts:
                types[row, :length] = encoding.type_ids
        return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}

    def _cut(self, text: Text, length: int, cut: Cut) -> Encoding | Exception:
        if not cut.truncate:
            return InvalidInputError(f"the text has {length} tokens, more than the model's {self.max_tokens}")
        pair = isinstance(text, tuple)
        parts = [self._fast.encode(part, add_special_tokens=False) for part in (text if pair else (text,))]
        room = self.max_tokens - self._fast.num_special_tokens_to_add(pair)
        lengths = shorten([len(part) for part in parts], room, first_only=cut.first_only)
        if lengths is None:
            return InvalidInputError(
                f"the second text leaves no room for the first among the model's {self.max_tokens} tokens"
            )
        for part, kept in zip(parts, lengths, strict=True):
            part.truncate(kept, direction=cut.side or self.tokenizer.truncation_side)
        return self._join(*parts)

    def _join(self, *parts: Any) -> Encoding:
        joined: Encoding = self._fast.post_process(*parts)
        return joined


def shorten(lengths: Sequence[int], room: int, *, first_only: bool) -> list[int] | None:
    """How many tokens of one or two texts to keep, as the tokenizers library decides it.

    Args:
        lengths: Of the texts.
        room: What there is for both together.
        first_only: Cut the first only; else the longer, and both evenly where neither fits.

    Returns:
        What is kept of each; None where nothing would be left of the first.
    """
    if len(lengths) == 1:
        return [min(lengths[0], room)]
    first, second = lengths
    if first + second <= room:
        return [first, second]
    if first_only:
        return [room - second, second] if second < room else None
    low, high = sorted(lengths)
    high = low if low > room else max(low, room - low)
    if low + high > room:
        low = room // 2
        high = low + room % 2
    return [high, low] if first > second else [low, high]


def token_limit(tokenizer: Any, config: Any) -> int:
    """Tokens that a model reads at once, as far as its files say."""
    stated = (tokenizer.model_max_length, getattr(config, "max_position_embeddings", None))
    return min(_UNSTATED, *(int(limit) for limit in stated if limit))


def load_tokenizer(folder: Path) -> Any:
    """A model's transformers tokenizer.

    Each owner loads its own: calling one changes it.
    """
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    files = transformers.models.auto.tokenization_auto.get_tokenizer_config(folder)
    stated: Any = getattr(transformers, files.get("tokenizer_class") or "", None)
    # AutoTokenizer (5.5) takes a plain tokenizer where the model's type has another: NLLB's would forget its
    # languages.
    if hasattr(stated, "src_lang") and not hasattr(tokenizer, "src_lang"):
        return stated.from_pretrained(folder)
    return tokenizer
