"""What the library's text-generation pipeline writes, in-process, on the same files; see ``oracles``."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers
from google.protobuf import json_format

Answer = dict[str, Any]
SUMMARIZE = "Summarize the following text in one or two sentences. Answer with the summary only."


@cache
def writer(folder: Path) -> Any:
    return transformers.pipeline("text-generation", model=str(folder), device="cpu", dtype=torch.float32)


def options_of(request: Any) -> dict[str, Any]:
    given = {field.name: value for field, value in request.parameters.ListFields()}
    return {"max_new_tokens": 256, "do_sample": False} | given


def tokens_of(tokenizer: Any, prompt: Any) -> int:
    """How many tokens the pipeline reads for a prompt or a conversation."""
    if isinstance(prompt, str):
        return len(tokenizer(prompt)["input_ids"])
    begun = prompt[-1]["role"] == "assistant"
    written = tokenizer.apply_chat_template(
        prompt, add_generation_prompt=not begun, continue_final_message=begun, return_dict=True
    )
    return len(written["input_ids"])


def write(folder: Path, prompt: Any, options: dict[str, Any]) -> tuple[list[Answer], int]:
    """The texts of a prompt, or of a conversation, and the prompt's tokens."""
    pipe = writer(folder)
    tokenizer, ends = pipe.tokenizer, pipe.model.generation_config.eos_token_id
    ends = [ends] if isinstance(ends, int) else ends
    read, texts = tokens_of(tokenizer, prompt), []
    for found in pipe(prompt, return_tensors=True, **options):
        ids = found["generated_token_ids"][read:]
        stop = next((index for index, token in enumerate(ids) if token in ends), None)
        ids = ids if stop is None else ids[: stop + 1]
        reason = "FINISH_REASON_LENGTH" if stop is None else "FINISH_REASON_STOP"
        text = tokenizer.decode(ids, skip_special_tokens=True)
        texts.append({"generated_text": text, "finish_reason": reason, "generated_tokens": len(ids)})
    return texts, read


def generate_text(folder: Path, request: Any) -> Answer:
    options = options_of(request)
    if request.num_return_sequences:
        options["num_return_sequences"] = request.num_return_sequences
    results, read = [], 0
    for prompt in request.prompts:
        texts, tokens = write(folder, prompt, options)
        read += tokens
        for text in texts:
            text["generated_text"] = (prompt if request.return_full_text else "") + text["generated_text"]
        results.append({"texts": texts})
    written = sum(text["generated_tokens"] for result in results for text in result["texts"])
    return {"results": results, "usage": {"prompt_tokens": read, "generated_tokens": written}}


def chat(folder: Path, request: Any) -> Answer:
    messages = [
        {"role": message.role, "content": message.content or "".join(part.text for part in message.parts)}
        for message in request.messages
    ]
    options = options_of(request)
    variables = json_format.MessageToDict(request.template_variables)
    if variables:
        # The pipeline passes none on to the template: its own two steps, with them.
        begun = messages[-1]["role"] == "assistant"
        text = writer(folder).tokenizer.apply_chat_template(
            messages,
            tokenize=False,
            add_generation_prompt=not begun,
            continue_final_message=begun,
            **variables,
        )
        (answer,), read = write(folder, text, options)
    else:
        (answer,), read = write(folder, messages, options)
    return {
        "message": {"role": "assistant", "content": answer["generated_text"]},
        "finish_reason": answer["finish_reason"],
        "usage": {"prompt_tokens": read, "generated_tokens": answer["generated_tokens"]},
    }


def summarize(folder: Path, request: Any) -> Answer:
    """The documented prompt; of a text that is too long, the beginning for which there is room."""
    tokenizer = writer(folder).tokenizer
    options = options_of(request)

    def conversation(text: str) -> list[dict[str, str]]:
        return [{"role": "user", "content": f"{SUMMARIZE}\n\n{text}"}]

    frame = tokenizer.apply_chat_template(conversation(""), tokenize=False, add_generation_prompt=True)
    taken = len(tokenizer(frame, add_special_tokens=False)["input_ids"]) + options["max_new_tokens"]
    limit = min(tokenizer.model_max_length, writer(folder).model.config.max_position_embeddings) - taken
    results = []
    for text in request.texts:
        offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        kept = text if len(offsets) <= limit else text[: offsets[limit - 1][1]]
        (answer,), _ = write(folder, conversation(kept), options)
        results.append(
            {"summary_text": answer["generated_text"], "generated_tokens": answer["generated_tokens"]}
        )
    return {"results": results}
