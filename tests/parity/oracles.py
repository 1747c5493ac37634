"""What the library itself answers to each RPC's request, in-process, on the same files.

Each oracle gives the response as the contract would hold it, without metadata, so that whoever compares needs
no knowledge of tasks. Where transformers 5 has dropped a pipeline, the oracle is the documented recipe on its
Auto classes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from google.protobuf import json_format
from google.protobuf.message import Message

from parity import causal_oracles
from parity.audio_oracles import AUDIO_ORACLES
from parity.drawing_oracles import DRAWING_ORACLES
from parity.library import Answer, auto, enum_word, given, pipe
from parity.vision_oracles import VISION_ORACLES


def embed_text(folder: Path, request: Any) -> Answer:
    extract = pipe("feature-extraction", folder)
    means = [np.asarray(extract(text, truncation=True)[0]).mean(0) for text in request.texts]
    return {"embeddings": [{"values": mean.tolist()} for mean in means], "dimensions": len(means[0])}


def rerank_text(folder: Path, request: Any) -> Answer:
    """As sentence-transformers' CrossEncoder reads pairs: an empty text makes a pair too."""
    model, tokenizer = auto("AutoModelForSequenceClassification", folder), auto("AutoTokenizer", folder)
    scores = []
    for text in request.texts:
        with torch.inference_mode():
            logits = model(**tokenizer([request.query], [text], truncation=True, return_tensors="pt")).logits
        scores.append(float(logits if request.raw_scores else logits.sigmoid()))
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    results = [{"index": index, "score": scores[index]} for index in order]
    if request.return_texts:
        results = [result | {"text": request.texts[result["index"]]} for result in results]
    return {"results": results[: given(request, "top_k").get("top_k")]}


def classify_text(folder: Path, request: Any) -> Answer:
    options: dict[str, Any] = {"top_k": None, "truncation": True} | given(request, "top_k")
    if function := enum_word(request, "function_to_apply"):
        options["function_to_apply"] = function
    inputs: list[Any] = list(request.texts)
    if request.text_pairs:
        pairs = zip(request.texts, request.text_pairs, strict=True)
        inputs = [{"text": first, "text_pair": second} for first, second in pairs]
    return {"results": [{"labels": pipe("text-classification", folder)(text, **options)} for text in inputs]}


def classify_text_zero_shot(folder: Path, request: Any) -> Answer:
    results = []
    for text in request.texts:
        found = pipe("zero-shot-classification", folder)(
            text,
            candidate_labels=list(request.candidate_labels),
            **given(request, "hypothesis_template", "multi_label"),
        )
        pairs = zip(found["labels"], found["scores"], strict=True)
        results.append({"labels": [{"label": label, "score": score} for label, score in pairs]})
    return {"results": results}


def classify_tokens(folder: Path, request: Any) -> Answer:
    options: dict[str, Any] = given(request, "stride")
    options["aggregation_strategy"] = enum_word(request, "aggregation_strategy") or "none"
    if request.HasField("ignore_labels"):
        options["ignore_labels"] = list(request.ignore_labels.labels)
    results = []
    for text in request.texts:
        # An empty text breaks the library's own windows; without them it answers.
        found = pipe("token-classification", folder)(text, **options)
        results.append({"entities": [{**entity, "score": float(entity["score"])} for entity in found]})
    return {"results": results}


def answer_question(folder: Path, request: Any) -> Answer:
    """The question-answering pipeline of transformers 4, spelled out, every span scored."""
    model = auto("AutoModelForQuestionAnswering", folder)
    tokenizer = auto("AutoTokenizer", folder)
    limit = min(tokenizer.model_max_length, model.config.max_position_embeddings)
    size = given(request, "max_seq_len").get("max_seq_len", min(384, limit))
    settings = {"top_k": 1, "max_answer_len": 15, "max_question_len": 64, "doc_stride": min(size // 2, 128)}
    settings |= given(request, *settings)
    align = given(request, "align_to_words").get("align_to_words", True)
    results = []
    for item in request.inputs:
        ids = tokenizer(item.question, add_special_tokens=False, return_offsets_mapping=True)
        cut = ids["offset_mapping"][: settings["max_question_len"]]
        windows = tokenizer(
            item.question[: cut[-1][1]],
            item.context,
            truncation="only_second",
            max_length=size,
            stride=settings["doc_stride"],
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        found: list[dict[str, Any]] = []
        nothing = 1.0
        for number in range(len(windows["input_ids"])):
            names = set(tokenizer.model_input_names) & set(windows)
            with torch.inference_mode():
                outputs = model(**{name: torch.tensor([windows[name][number]]) for name in names})
            where = windows.sequence_ids(number)
            allowed = np.array(
                [
                    place == 1 or id_ == tokenizer.cls_token_id
                    for place, id_ in zip(where, windows["input_ids"][number], strict=True)
                ]
            )
            start, end = (
                torch.where(torch.tensor(allowed), logits[0], torch.tensor(-10000.0))
                .softmax(-1)
                .numpy()
                .copy()
                for logits in (outputs.start_logits, outputs.end_logits)
            )
            nothing = min(nothing, float(start[0] * end[0]))
            start[0] = end[0] = 0
            spans = [
                (float(start[first] * end[last]), first, last)
                for first in range(len(where))
                for last in range(first, min(first + settings["max_answer_len"], len(where)))
            ]
            spans.sort(key=lambda span: -span[0])
            for score, first, last in spans[: settings["top_k"] * 2 + 10 if align else settings["top_k"]]:
                if not (allowed[first] and allowed[last]):
                    continue
                offsets = windows["offset_mapping"][number]
                begin, stop = offsets[first][0], offsets[last][1]
                if align and None not in (words := [windows.token_to_word(number, t) for t in (first, last)]):
                    begin = windows.word_to_chars(number, words[0], 1).start
                    stop = windows.word_to_chars(number, words[1], 1).end
                text = item.context[begin:stop]
                same = next((a for a in found if a["answer"].lower() == text.lower()), None)
                if same:
                    same["score"] += score
                else:
                    found.append({"answer": text, "score": score, "start": begin, "end": stop})
        if request.handle_impossible_answer:
            found.append({"answer": "", "score": nothing, "start": 0, "end": 0})
        found.sort(key=lambda answer: -answer["score"])
        results.append({"answers": found[: settings["top_k"]]})
    return {"results": results}


def answer_table_question(folder: Path, request: Any) -> Answer:
    table = {column.name: list(column.cells) for column in request.table.columns}
    ask = pipe("table-question-answering", folder)
    sequential = request.sequential
    questions = list(request.questions)
    asked = [questions] if sequential else [[question] for question in questions]
    results = []
    for batch in asked:
        found = ask(table=table, query=batch, sequential=sequential)
        for answer in found if isinstance(found, list) else [found]:
            places = [{"row": row, "column": column} for row, column in answer["coordinates"]]
            results.append({**answer, "coordinates": places})
    return {"results": results}


def fill_mask(folder: Path, request: Any) -> Answer:
    fill = pipe("fill-mask", folder)
    options: dict[str, Any] = given(request, "top_k")
    if request.targets:
        options["targets"] = list(request.targets)
    results = []
    for text in request.texts:
        found = fill(text, tokenizer_kwargs={"truncation": True}, **options)
        masks = found if isinstance(found[0], list) else [found]
        results.append({"masks": [{"fills": fills} for fills in masks]})
    return {"results": results}


def writer(folder: Path) -> Any:
    """A sequence-to-sequence model's tokenizer; AutoTokenizer forgets that NLLB's has languages."""
    return auto("NllbTokenizer" if folder.name == "nllb" else "AutoTokenizer", folder)


def generate(folder: Path, texts: Iterable[str], request: Any, **options: Any) -> list[tuple[str, int]]:
    """What a sequence-to-sequence model writes for each text by itself."""
    model, tokenizer = auto("AutoModelForSeq2SeqLM", folder), writer(folder)
    parameters = {
        field.name: value for field, value in request.parameters.ListFields() if field.name != "seed"
    }
    if model.generation_config.max_new_tokens is None and model.generation_config.max_length in (None, 20):
        parameters = {"max_new_tokens": 256} | parameters
    written = []
    for text in texts:
        inputs = tokenizer(text, return_tensors="pt", truncation=True)
        inputs.pop("token_type_ids", None)
        if request.parameters.HasField("seed"):
            torch.manual_seed(request.parameters.seed)
        with torch.inference_mode():
            ids = model.generate(**inputs, **options, **parameters)[0]
        written.append((tokenizer.decode(ids, skip_special_tokens=True), len(ids) - 1))
    return written


def summarize_text(folder: Path, request: Any) -> Answer:
    if not auto("AutoConfig", folder).is_encoder_decoder:
        return causal_oracles.summarize(folder, request)
    specific = auto("AutoConfig", folder).task_specific_params or {}
    prefix = specific.get("summarization", {}).get("prefix", "")
    written = generate(folder, [prefix + text for text in request.texts], request)
    return {"results": [{"summary_text": text, "generated_tokens": count} for text, count in written]}


def translate_text(folder: Path, request: Any) -> Answer:
    options: dict[str, Any] = {}
    prefix = ""
    tokenizer, config = writer(folder), auto("AutoConfig", folder)
    if hasattr(tokenizer, "src_lang"):
        tokenizer.src_lang = request.source_language or "eng_Latn"
        if request.target_language:
            options["forced_bos_token_id"] = tokenizer.convert_tokens_to_ids(request.target_language)
    elif request.source_language:
        pair = f"translation_{request.source_language}_to_{request.target_language}"
        prefix = config.task_specific_params[pair]["prefix"]
    elif request.target_language:
        prefix = f">>{request.target_language}<< "
    written = generate(folder, [prefix + text for text in request.texts], request, **options)
    return {"results": [{"translation_text": text, "generated_tokens": count} for text, count in written]}


def transform_text(folder: Path, request: Any) -> Answer:
    written = generate(folder, request.texts, request)
    return {"results": [{"generated_text": text, "generated_tokens": count} for text, count in written]}


def tokenize(folder: Path, request: Any) -> Answer:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    if side := enum_word(request, "truncation_direction"):
        tokenizer.truncation_side = side
    options = {
        "add_special_tokens": given(request, "add_special_tokens").get("add_special_tokens", True),
        "return_offsets_mapping": True,
        "return_special_tokens_mask": True,
        "return_token_type_ids": True,
    }
    cut = {"truncation": request.truncate, **given(request, "max_length")} if request.truncate else {}
    results = []
    for number, text in enumerate(request.texts):
        texts = [text, *request.text_pairs[number : number + 1]]
        whole, kept = tokenizer(*texts, **options), tokenizer(*texts, **options, **cut)
        tokens = [
            {
                "id": id_,
                "token": token,
                "start": start,
                "end": end,
                "special": bool(special),
                "type_id": type_id,
            }
            for id_, token, (start, end), special, type_id in zip(
                kept["input_ids"],
                tokenizer.convert_ids_to_tokens(kept["input_ids"]),
                kept["offset_mapping"],
                kept["special_tokens_mask"],
                kept["token_type_ids"],
                strict=True,
            )
        ]
        lost = len(whole["input_ids"]) - len(kept["input_ids"])
        results.append({"tokens": tokens, "overflowing": lost})
    return {"results": results}


def detokenize(folder: Path, request: Any) -> Answer:
    tokenizer = auto("AutoTokenizer", folder)
    options = given(request, "skip_special_tokens", "clean_up_tokenization_spaces")
    return {"texts": [tokenizer.decode(list(sequence.ids), **options) for sequence in request.sequences]}


def apply_chat_template(folder: Path, request: Any) -> Answer:
    tokenizer = auto("AutoTokenizer", folder)
    messages = []
    for message in request.messages:
        said: dict[str, Any] = {"role": message.role, "content": message.content}
        calls = [
            {
                **({"id": call.id} if call.id else {}),
                "type": "function",
                "function": {"name": call.name, "arguments": json.loads(call.arguments)},
            }
            for call in message.tool_calls
        ]
        messages.append(said | ({"tool_calls": calls} if calls else {}))
    options = given(request, "add_generation_prompt", "continue_final_message")
    variables = json_format.MessageToDict(request.template_variables)
    tools = [json.loads(tool) for tool in request.tools] or None
    text = tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, **options, **variables)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"] if request.tokenize else []
    return {"text": text, "ids": ids}


ORACLES: dict[str, Callable[[Path, Message], Answer]] = {
    "EmbedText": embed_text,
    "RerankText": rerank_text,
    "ClassifyText": classify_text,
    "ClassifyTextZeroShot": classify_text_zero_shot,
    "ClassifyTokens": classify_tokens,
    "AnswerQuestion": answer_question,
    "AnswerTableQuestion": answer_table_question,
    "FillMask": fill_mask,
    "SummarizeText": summarize_text,
    "TranslateText": translate_text,
    "TransformText": transform_text,
    "GenerateText": causal_oracles.generate_text,
    "Chat": causal_oracles.chat,
    "Tokenize": tokenize,
    "Detokenize": detokenize,
    "ApplyChatTemplate": apply_chat_template,
    **VISION_ORACLES,
    **AUDIO_ORACLES,
    **DRAWING_ORACLES,
}
