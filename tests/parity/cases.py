"""What is asked of each RPC, on which models: the one table of the parity tests."""

from __future__ import annotations

from typing import Any

from parity.audio_cases import (
    AUDIO_CASES,
    AUDIO_INVALID,
    AUDIO_MISTAKES,
    AUDIO_MISTAKES_BY_MODEL,
    AUDIO_REAL_CASES,
    AUDIO_SPECIAL,
    AUDIO_TINY,
)
from parity.drawing_cases import (
    DRAWING_CASES,
    DRAWING_INVALID,
    DRAWING_MISTAKES,
    DRAWING_MISTAKES_BY_MODEL,
    DRAWING_ON_OPENVINO,
    DRAWING_REAL_CASES,
    DRAWING_SPECIAL,
    DRAWING_TINY,
)
from parity.vision_cases import (
    VISION_CASES,
    VISION_INVALID,
    VISION_MISTAKES,
    VISION_ON_OPENVINO,
    VISION_REAL_CASES,
    VISION_SPECIAL,
    VISION_TINY,
)

Request = dict[str, Any]

LONG = "water stands ready in the pipe for any hose " * 40
TEXTS = [
    "hello world",
    "the lazy dog jumps over the house",
    "",
    "Ada Lovelace 😀 in London, naïve café",
    "nul \x00 and \ufffd inside",
    LONG,
]
LABELS = ["water", "dogs", "the house of Ada"]
CONTEXT = "Ada Lovelace stands in the house in London. The quick brown fox jumps over the lazy dog. "
TABLE = {
    "columns": [
        {"name": "pipe", "cells": ["one", "two", "three"]},
        {"name": "water", "cells": ["12", "7", "3.5"]},
        {"name": "house", "cells": ["Ada", "London", "the fox"]},
    ]
}
WRITE = {"maxNewTokens": 12}

# By RPC: requests without a model, in the contract's own JSON.
CASES: dict[str, list[Request]] = {
    "EmbedText": [{"texts": TEXTS[:2]}, {"texts": [LONG]}],
    "RerankText": [
        {"query": "which dog", "texts": TEXTS},
        {"query": "which dog", "texts": TEXTS, "topK": 2, "returnTexts": True},
        {"query": "", "texts": ["hello"], "rawScores": True},
        {"query": LONG, "texts": [LONG, "short"]},
    ],
    "ClassifyText": [
        {"texts": TEXTS},
        {"texts": TEXTS, "topK": 1},
        {"texts": TEXTS[:2], "functionToApply": "CLASSIFICATION_FUNCTION_SIGMOID"},
        {"texts": TEXTS[:2], "functionToApply": "CLASSIFICATION_FUNCTION_SOFTMAX"},
        {"texts": TEXTS[:2], "functionToApply": "CLASSIFICATION_FUNCTION_NONE", "topK": 2},
        {"texts": TEXTS, "textPairs": [LONG, "fox", "", "hose", "x", "y"]},
    ],
    "ClassifyTextZeroShot": [
        {"texts": [text for text in TEXTS if text], "candidateLabels": LABELS},
        {"texts": TEXTS[:2], "candidateLabels": LABELS, "multiLabel": True},
        {"texts": TEXTS[:2], "candidateLabels": LABELS[:1]},
        {"texts": TEXTS[1:2], "candidateLabels": LABELS, "hypothesisTemplate": "It is {}!"},
    ],
    "ClassifyTokens": [
        {"texts": TEXTS},
        *(
            {"texts": TEXTS, "aggregationStrategy": f"AGGREGATION_STRATEGY_{word}"}
            for word in ("NONE", "SIMPLE", "FIRST", "AVERAGE", "MAX")
        ),
        {"texts": TEXTS, "ignoreLabels": {"labels": []}},
        {"texts": TEXTS[:2], "ignoreLabels": {"labels": ["B-PER", "LOC", "$KEEP"]}},
        {"texts": [LONG, TEXTS[3]], "aggregationStrategy": "AGGREGATION_STRATEGY_SIMPLE", "stride": 8},
        {"texts": [LONG], "aggregationStrategy": "AGGREGATION_STRATEGY_FIRST", "stride": 0},
    ],
    "AnswerQuestion": [
        {"inputs": [{"question": "who stands in the house", "context": CONTEXT}]},
        {"inputs": [{"question": "which dog", "context": CONTEXT * 8}, {"question": "w", "context": "x"}]},
        {"inputs": [{"question": "where is Ada", "context": CONTEXT * 3}], "topK": 4, "maxAnswerLen": 3},
        {
            "inputs": [{"question": "where is Ada", "context": CONTEXT * 3}],
            "topK": 3,
            "handleImpossibleAnswer": True,
            "alignToWords": False,
            "maxSeqLen": 32,
            "docStride": 4,
        },
        {"inputs": [{"question": LONG, "context": CONTEXT}], "maxQuestionLen": 5},
    ],
    "AnswerTableQuestion": [
        {"table": TABLE, "questions": ["which house has the water", "how much water"]},
        {"table": TABLE, "questions": ["which house", "and how much water"], "sequential": True},
    ],
    "FillMask": [
        {"texts": ["hello [MASK]", "the lazy [MASK] jumps over the house", "[MASK]"]},
        {"texts": ["the [MASK] dog jumps over the [MASK]"], "topK": 3},
        {"texts": ["the lazy [MASK] jumps"], "targets": ["dog", "fox", "foxdogs", "dog"]},
        {"texts": ["the [MASK] house " + LONG], "topK": 1},
    ],
    "SummarizeText": [
        {"texts": TEXTS[:2], "parameters": WRITE},
        {"texts": [LONG], "parameters": WRITE | {"numBeams": 3, "lengthPenalty": 0.5, "earlyStopping": True}},
    ],
    "TranslateText": [{"texts": TEXTS[:2], "parameters": WRITE}],
    "TransformText": [
        {"texts": TEXTS, "parameters": WRITE},
        {"texts": TEXTS[:2]},
        {"texts": TEXTS[:2], "parameters": {"maxNewTokens": 8, "minNewTokens": 8, "noRepeatNgramSize": 2}},
        {"texts": TEXTS[:2], "parameters": WRITE | {"repetitionPenalty": 1.5, "numBeams": 2}},
        {
            "texts": TEXTS[:2],
            "parameters": WRITE | {"doSample": True, "seed": "7", "temperature": 0.8, "topK": 9, "topP": 0.9},
        },
    ],
    "GenerateText": [
        {"prompts": [TEXTS[0], TEXTS[3], TEXTS[4]], "parameters": WRITE},
        {"prompts": TEXTS[:2], "parameters": WRITE | {"minNewTokens": 12}, "returnFullText": True},
        {"prompts": TEXTS[:1], "parameters": WRITE | {"repetitionPenalty": 1.5}},
        {"prompts": TEXTS[1:2], "parameters": WRITE | {"numBeams": 3}, "numReturnSequences": 2},
    ],
    "Chat": [
        {"messages": [{"role": "user", "content": "hello"}], "parameters": WRITE},
        {
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "parts": [{"text": "wat"}, {"text": "er?"}]},
                {"role": "assistant", "content": "it st"},
            ],
            "parameters": WRITE,
            "templateVariables": {"mood": "calm"},
        },
    ],
    "Tokenize": [
        {"texts": TEXTS},
        {"texts": TEXTS[:2], "textPairs": ["a pipe", "Ada"], "addSpecialTokens": False},
        {"texts": [LONG], "truncate": True, "maxLength": 9},
        {"texts": [LONG], "truncate": True, "truncationDirection": "TRUNCATION_DIRECTION_LEFT"},
    ],
    "Detokenize": [
        {"sequences": [{"ids": [2, 40, 41, 60, 3]}, {"ids": []}]},
        {"sequences": [{"ids": [2, 40, 41, 60, 3]}], "skipSpecialTokens": True},
        {"sequences": [{"ids": [2, 40, 41, 60, 3]}], "cleanUpTokenizationSpaces": True},
    ],
    "ApplyChatTemplate": [
        {"messages": [{"role": "user", "content": "hello"}]},
        {
            "messages": [
                {"role": "user", "content": "water?"},
                {
                    "role": "assistant",
                    "content": "",
                    "toolCalls": [{"id": "1", "name": "pipe", "arguments": '{"z": 1, "a": [2.5, null]}'}],
                },
            ],
            "tools": ['{"type": "function", "function": {"name": "pipe", "a": 1}}'],
            "addGenerationPrompt": True,
            "tokenize": True,
            "templateVariables": {"mood": "calm"},
        },
        {"messages": [{"role": "assistant", "content": "it is"}], "continueFinalMessage": True},
    ],
}

# Requests that only some models understand, by model.
SPECIAL: dict[str, dict[str, list[Request]]] = {
    "t5": {
        "TranslateText": [
            {"texts": TEXTS, "sourceLanguage": "en", "targetLanguage": "de", "parameters": WRITE},
        ],
    },
    "marian": {
        "TranslateText": [
            {"texts": TEXTS[:2], "targetLanguage": "fra", "parameters": WRITE},
            {"texts": TEXTS[:2], "targetLanguage": "deu", "parameters": WRITE | {"numBeams": 2}},
        ],
    },
    "nllb": {
        "TranslateText": [
            {
                "texts": TEXTS[:2],
                "sourceLanguage": "eng_Latn",
                "targetLanguage": "fra_Latn",
                "parameters": WRITE,
            },
            {"texts": TEXTS[:2], "sourceLanguage": "deu_Latn", "parameters": WRITE},
        ],
    },
}
TOKENIZER_RPCS = ("Tokenize", "Detokenize", "ApplyChatTemplate")

# The models with random weights: by name, the task and its RPCs.
TINY: dict[str, tuple[str, list[str]]] = {
    "plain": ("feature-extraction", ["EmbedText", "Tokenize", "Detokenize"]),
    "ranker": ("text-ranking+zero-shot-classification", ["RerankText", "ClassifyTextZeroShot"]),
    "nli": ("text-classification+zero-shot-classification", ["ClassifyText", "ClassifyTextZeroShot"]),
    "several": ("text-classification", ["ClassifyText"]),
    "regression": ("text-classification", ["ClassifyText"]),
    "tagger": ("token-classification", ["ClassifyTokens"]),
    "speller": ("token-classification", ["ClassifyTokens"]),
    "masked": ("fill-mask", ["FillMask"]),
    "reader": ("question-answering", ["AnswerQuestion"]),
    "tables": ("table-question-answering", ["AnswerTableQuestion"]),
    "t5": (
        "text2text-generation+summarization+translation",
        ["TransformText", "SummarizeText", "TranslateText", *TOKENIZER_RPCS],
    ),
    "llama": ("text-generation+summarization", ["GenerateText", "Chat", "SummarizeText"]),
    "marian": ("translation", ["TranslateText"]),
    "nllb": ("translation", ["TranslateText"]),
}
# One of each kind that Optimum exports: what is left out has none, or differs in numbers after the model
# only.
ON_OPENVINO: tuple[str, ...] = ("plain", "nli", "tagger", "masked", "reader", "t5", "llama")

REAL_TEXTS = [
    "This film was a wonderful surprise, and I would watch it again.",
    "Ms. Okafor flew from Lagos to Paris to meet the people of Siemens.",
    "He has went to they're house yesterday.",
    "Not bad at all.",
    "x",
]
# What is asked of the demo models, by RPC.
REAL_CASES: dict[str, list[Request]] = {
    "EmbedText": [],
    "RerankText": [
        {"query": "how does water reach the upper floors of a building", "texts": [*REAL_TEXTS, LONG]},
        {"query": "Who flew to Paris?", "texts": REAL_TEXTS, "rawScores": True},
    ],
    "ClassifyText": [{"texts": REAL_TEXTS}, {"texts": REAL_TEXTS, "topK": 1}],
    "ClassifyTextZeroShot": [
        {"texts": REAL_TEXTS, "candidateLabels": ["film", "travel", "grammar"]},
        {
            "texts": REAL_TEXTS[:1],
            "candidateLabels": ["film"],
            "hypothesisTemplate": "This text is about {}.",
        },
    ],
    "ClassifyTokens": [
        {"texts": REAL_TEXTS, "aggregationStrategy": f"AGGREGATION_STRATEGY_{word}"}
        for word in ("NONE", "SIMPLE", "FIRST", "AVERAGE", "MAX")
    ],
    "FillMask": [
        {"texts": ["Paris is the [MASK] of France.", "He went to the [MASK] to buy some [MASK]."]},
        {"texts": ["Water is [MASK]."], "targets": ["wet", "dry", "cold"]},
    ],
    "TransformText": [
        {"texts": [f"spell in English: {number}" for number in (0, 7, 12, 21, 100, 342, 999)]},
    ],
    "TranslateText": [
        {"texts": ["twenty-one", "three hundred five"], "sourceLanguage": "en", "targetLanguage": "de"},
        {"texts": ["einundzwanzig", "hundert"], "sourceLanguage": "de", "targetLanguage": "en"},
    ],
    "Tokenize": [{"texts": REAL_TEXTS}],
    "Detokenize": [{"sequences": [{"ids": [2, 40, 41, 100, 3]}], "skipSpecialTokens": True}],
}

# What SmolLM2 is asked: RPC by RPC, in fp32 so that the same words come out.
PROMPTS = [
    "The capital of France is",
    "Water boils at",
    "Once upon a time there was a pipe",
    "def fibonacci(n):",
    "A standpipe is",
]
QUESTIONS = [
    "What is the capital of France?",
    "What colour is the sky?",
    "Write one sentence about the sea.",
    "What do firefighters use a hose for?",
    "Tell me a very short story about a dog.",
]
SHORT = {"maxNewTokens": 12}
REAL_CASES |= {
    "GenerateText": [{"prompts": PROMPTS, "parameters": SHORT}],
    "Chat": [
        {"messages": [{"role": "user", "content": question}], "parameters": SHORT} for question in QUESTIONS
    ],
    "SummarizeText": [{"texts": [" ".join(REAL_TEXTS)], "parameters": SHORT}],
}

# One request per RPC that is at fault, and the field that the refusal names.
INVALID: dict[str, tuple[Request, str]] = {
    "EmbedText": ({"texts": ["a"], "promptName": "none such"}, "prompt_name"),
    "RerankText": ({"query": "a", "texts": []}, "texts"),
    "ClassifyText": ({"texts": ["a"], "textPairs": ["b", "c"]}, "text_pairs"),
    "ClassifyTextZeroShot": ({"texts": ["a"]}, "candidate_labels"),
    "ClassifyTokens": (
        {"texts": ["a"], "aggregationStrategy": "AGGREGATION_STRATEGY_SIMPLE", "stride": 5000},
        "stride",
    ),
    "AnswerQuestion": ({"inputs": [{"question": "who"}]}, "inputs[0].context"),
    "AnswerTableQuestion": ({"questions": ["who"]}, "table.columns"),
    "FillMask": ({"texts": ["a [MASK]", "no mask"]}, "texts[1]"),
    "SummarizeText": ({"texts": []}, "texts"),
    "TranslateText": ({"texts": ["a"], "sourceLanguage": "tlh", "targetLanguage": "vul"}, "target_language"),
    "TransformText": ({"texts": ["a"], "parameters": {"temperature": 0}}, "parameters.temperature"),
    "GenerateText": ({"prompts": ["a", LONG]}, "prompts[1]"),
    "Chat": ({"messages": [{"role": "robot", "content": "beep"}]}, "messages[0].role"),
    "Tokenize": ({"texts": ["a"], "truncate": True, "maxLength": 1}, "max_length"),
    "Detokenize": ({"sequences": [{"ids": [4000000]}]}, "sequences[0].ids[0]"),
    "ApplyChatTemplate": ({"messages": [{"role": "robot", "content": "beep"}]}, "messages"),
}

# Further mistakes: RPC, request, and the field that the refusal names.
MISTAKES: list[tuple[str, Request, str]] = [
    *(
        (rpc, {"query": "a", "texts": []} if rpc == "RerankText" else {}, "texts")
        for rpc in (
            "RerankText",
            "ClassifyText",
            "ClassifyTextZeroShot",
            "ClassifyTokens",
            "FillMask",
            "SummarizeText",
            "TranslateText",
            "TransformText",
            "Tokenize",
        )
    ),
    ("ClassifyTextZeroShot", {"texts": ["a"], "candidateLabels": ["b"] * 1001}, "candidate_labels"),
    ("ClassifyTextZeroShot", {"texts": ["a"] * 5, "candidateLabels": ["b"] * 1000}, "candidate_labels"),
    (
        "ClassifyTextZeroShot",
        {"texts": ["a"], "candidateLabels": ["b"], "hypothesisTemplate": "no place"},
        "hypothesis_template",
    ),
    ("ClassifyTextZeroShot", {"texts": ["a"], "candidateLabels": [LONG]}, "texts[0]"),
    ("ClassifyText", {"texts": ["a"], "topK": 0}, "top_k"),
    ("ClassifyText", {"texts": ["a", LONG], "truncate": False}, "texts[1]"),
    ("ClassifyTokens", {"texts": ["a"], "stride": 2}, "stride"),
    ("AnswerQuestion", {"inputs": []}, "inputs"),
    ("AnswerQuestion", {"inputs": [{"context": "a"}]}, "inputs[0].question"),
    ("AnswerQuestion", {"inputs": [{"question": "a", "context": "b"}], "maxSeqLen": 3}, "max_seq_len"),
    ("AnswerQuestion", {"inputs": [{"question": "a", "context": "b"}], "maxSeqLen": 999}, "max_seq_len"),
    ("AnswerQuestion", {"inputs": [{"question": "a", "context": "b"}], "docStride": 384}, "doc_stride"),
    ("AnswerTableQuestion", {"table": TABLE, "questions": [" "]}, "questions[0]"),
    ("FillMask", {"texts": ["a [MASK]"], "targets": [""]}, "targets"),
    ("FillMask", {"texts": [LONG + "[MASK]"]}, "texts[0]"),
    ("TransformText", {"texts": ["a", LONG], "truncate": False}, "texts[1]"),
    ("TransformText", {"texts": ["a"], "parameters": {"maxNewTokens": 5000}}, "parameters.max_new_tokens"),
    ("TranslateText", {"texts": ["a"], "sourceLanguage": "en"}, "target_language"),
    ("GenerateText", {}, "prompts"),
    ("GenerateText", {"prompts": ["a"], "parameters": {"topP": 2}}, "parameters.top_p"),
    ("Chat", {"messages": [{"role": "user", "content": LONG}]}, "messages"),
    ("Chat", {"messages": [{"role": "user"}], "parameters": {"temperature": -1}}, "parameters.temperature"),
    (
        "Chat",
        {"messages": [{"role": "user"}], "constraint": {"jsonSchema": '{"enum": []}'}},
        "constraint.json_schema",
    ),
    ("Detokenize", {"sequences": []}, "sequences"),
    ("ApplyChatTemplate", {"messages": [{"role": "user"}], "tools": ["[1]"]}, "tools[0]"),
]

# Mistakes on a model that others would understand: model, RPC, request, and the field.
MISTAKES_BY_MODEL: list[tuple[str, str, Request, str]] = AUDIO_MISTAKES_BY_MODEL + DRAWING_MISTAKES_BY_MODEL

CASES |= VISION_CASES | AUDIO_CASES | DRAWING_CASES
SPECIAL |= VISION_SPECIAL | AUDIO_SPECIAL | DRAWING_SPECIAL
TINY |= VISION_TINY | AUDIO_TINY | DRAWING_TINY
ON_OPENVINO += VISION_ON_OPENVINO + DRAWING_ON_OPENVINO
REAL_CASES |= VISION_REAL_CASES | AUDIO_REAL_CASES | DRAWING_REAL_CASES
INVALID |= VISION_INVALID | AUDIO_INVALID | DRAWING_INVALID
MISTAKES += VISION_MISTAKES + AUDIO_MISTAKES + DRAWING_MISTAKES
