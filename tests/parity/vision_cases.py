"""What is asked of each RPC about images and videos, on which models; see ``cases``."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from parity.pictures import clear, deep, drawn, encoded, file_of, held, moving, picture, video

Request = dict[str, Any]

WIDE = picture(64, 48)
TALL = picture(40, 90, 1)
SQUARE = picture(56, 56, 2)
# Upright it is 80 × 120: a camera was held on its side.
TURNED = held(drawn(120, 80, 3), 6)
FORMATS = [
    deep(50, 40),
    clear(44, 60),
    encoded(drawn(64, 40, 6).convert("L")),
    encoded(drawn(64, 64, 7).quantize(32), "GIF"),
    encoded(drawn(70, 50, 8), "WEBP", quality=90),
    encoded(drawn(50, 70, 9), "BMP"),
    encoded(drawn(48, 48, 10), "TIFF"),
    encoded(drawn(90, 60, 11).convert("CMYK"), "JPEG"),
    encoded(drawn(60, 90, 12), "JPEG", progressive=True),
    encoded(drawn(60, 60, 13).convert("1")),
]
LABELS = ["a cat", "dogs", "the house of Ada"]
FRAMES = [drawn(48, 40, seed) for seed in range(12)]
MP4 = video(FRAMES, "mp4", "mpeg4")
WEBM = video(FRAMES, "webm", "libvpx")
GIF = moving(FRAMES)
WRITE = {"maxNewTokens": 8}
POINTS = {"pointsPerCrop": 4}
# Every mask that the points find.
LOOSE = POINTS | {"predIouThresh": 0, "stabilityScoreThresh": 0}


def word(text: str, place: int) -> dict[str, Any]:
    """A word of a document of ten words a line."""
    left, top = place % 10 * 100, place // 10 * 50
    return {"text": text, "box": {"xmin": left, "ymin": top, "xmax": left + 90, "ymax": top + 40}}


def document(text: str) -> list[dict[str, Any]]:
    return [word(part, place) for place, part in enumerate(text.split())]


BRIEF = document("Ada Lovelace stands in the house in London")
PAGE = document("the quick brown fox jumps over the lazy dog in the house of Ada Lovelace in London " * 6)

VISION_CASES: dict[str, list[Request]] = {
    "ClassifyImage": [
        {"images": [WIDE]},
        {"images": [TALL, TURNED, SQUARE], "topK": 1},
        {"images": FORMATS},
        {"images": [WIDE, TURNED], "functionToApply": "CLASSIFICATION_FUNCTION_SIGMOID"},
        {"images": [WIDE, TURNED], "functionToApply": "CLASSIFICATION_FUNCTION_SOFTMAX", "topK": 50},
        {"images": [TALL], "functionToApply": "CLASSIFICATION_FUNCTION_NONE", "topK": 2},
    ],
    "ClassifyImageZeroShot": [
        {"images": [WIDE, TURNED], "candidateLabels": LABELS},
        {"images": [TALL, *FORMATS[:2]], "candidateLabels": LABELS[:1]},
        {"images": [SQUARE], "candidateLabels": [*LABELS, "dogs"], "hypothesisTemplate": "{}!"},
    ],
    "DetectObjects": [
        {"images": [WIDE]},
        {"images": [TALL, TURNED, SQUARE], "threshold": 0},
        {"images": [*FORMATS[:3], TURNED], "threshold": 0.35},
        {"images": [WIDE], "threshold": 1},
    ],
    "DetectObjectsZeroShot": [
        {"images": [WIDE, TURNED], "candidateLabels": LABELS},
        {"images": [TALL], "candidateLabels": LABELS[:1], "threshold": 0},
        {"images": [SQUARE, WIDE], "candidateLabels": LABELS, "threshold": 0, "topK": 3},
    ],
    "SegmentImage": [
        {"images": [WIDE]},
        {"images": [TALL, TURNED], "maskFormat": "MASK_FORMAT_RUN_LENGTHS"},
        {"images": [SQUARE, WIDE], "subtask": "SEGMENTATION_SUBTASK_SEMANTIC"},
    ],
    "GenerateMasks": [
        {"images": [SQUARE], **POINTS},
        {"images": [WIDE, TURNED], **LOOSE, "maskFormat": "MASK_FORMAT_RUN_LENGTHS"},
        {"images": [TALL], **LOOSE, "cropsNmsThresh": 0.2, "maskThreshold": 0.5},
        {"images": [WIDE], **LOOSE, "stabilityScoreThresh": 0.9, "stabilityScoreOffset": 0.25},
        {"images": [WIDE], **LOOSE, "predIouThresh": 1, "cropsNmsThresh": 1},
    ],
    "EstimateDepth": [
        {"images": [WIDE]},
        {"images": [TALL, TURNED, SQUARE]},
        {"images": [WIDE, TALL], "format": "DEPTH_FORMAT_PNG16"},
    ],
    "EmbedImage": [
        {"images": [WIDE]},
        {"images": [TALL, TURNED, SQUARE], "pooling": "IMAGE_POOLING_MEAN"},
        {"images": FORMATS[:3], "pooling": "IMAGE_POOLING_POOLER", "normalize": True},
        {"images": [WIDE, TALL], "format": "EMBEDDING_FORMAT_PACKED"},
    ],
    "CaptionImage": [
        {"images": [WIDE], "parameters": WRITE},
        {"images": [TALL, TURNED, SQUARE], "parameters": WRITE | {"minNewTokens": 8}},
        {"images": [WIDE], "parameters": WRITE | {"numBeams": 3, "repetitionPenalty": 1.5}},
    ],
    "AnswerImageQuestion": [
        {"inputs": [{"image": WIDE, "question": "which dog is it"}], "parameters": WRITE},
        {
            "inputs": [
                {"image": SQUARE, "question": "where is Ada?"},
                {"image": TURNED, "question": "how much water stands in the house"},
            ],
            "parameters": WRITE,
            "topK": 2,
        },
    ],
    "AnswerDocumentQuestion": [
        {"inputs": [{"image": WIDE, "question": "who stands in the house", "words": BRIEF}]},
        {
            "inputs": [
                {"image": SQUARE, "question": "where is Ada", "words": BRIEF},
                {"image": TURNED, "question": "which fox", "words": PAGE},
            ],
            "topK": 3,
            "maxAnswerLen": 4,
        },
        {
            "inputs": [{"image": WIDE, "question": "which dog", "words": PAGE}],
            "maxSeqLen": 40,
            "docStride": 8,
            "handleImpossibleAnswer": True,
            "topK": 2,
        },
    ],
    "MatchKeypoints": [
        {"pairs": [{"first": SQUARE, "second": picture(64, 64, 20)}]},
        {"pairs": [{"first": WIDE, "second": TURNED}, {"first": TALL, "second": TALL}]},
        {"pairs": [{"first": SQUARE, "second": picture(64, 64, 20)}], "threshold": 0.1},
    ],
    "ClassifyVideo": [
        {"videos": [{**MP4}]},
        {"videos": [WEBM, GIF], "topK": 2},
        {"videos": [MP4], "frameSamplingRate": 3},
        {"videos": [GIF], "functionToApply": "CLASSIFICATION_FUNCTION_SIGMOID", "numFrames": 4},
        {"videos": [MP4], "functionToApply": "CLASSIFICATION_FUNCTION_NONE", "frameSamplingRate": 2},
    ],
}

_CLS = [{"images": [WIDE, TURNED], "pooling": "IMAGE_POOLING_CLS"}]
_DRAWN = WRITE | {"doSample": True, "seed": "7", "temperature": 0.8, "topK": 9}

VISION_SPECIAL: dict[str, dict[str, list[Request]]] = {
    "maskformer": {
        "SegmentImage": [
            {"images": [WIDE, SQUARE], "subtask": "SEGMENTATION_SUBTASK_INSTANCE", "threshold": 0.4},
            {
                "images": [TURNED],
                "subtask": "SEGMENTATION_SUBTASK_PANOPTIC",
                "threshold": 0.3,
                "maskThreshold": 0.4,
                "overlapMaskAreaThreshold": 0.2,
                "maskFormat": "MASK_FORMAT_RUN_LENGTHS",
            },
        ],
    },
    "vit_features": {"EmbedImage": _CLS},
    "clip_vision": {"EmbedImage": _CLS},
    "blip": {
        "CaptionImage": [
            {"images": [WIDE, TALL], "prompt": "the lazy dog", "parameters": WRITE},
            {"images": [WIDE, TALL], "parameters": _DRAWN},
        ],
    },
    "llava": {"CaptionImage": [{"images": [WIDE], "prompt": "which dog", "parameters": WRITE}]},
    "donut": {"AnswerDocumentQuestion": [{"inputs": [{"image": WIDE, "question": "who", "words": []}]}]},
}

VISION_TINY: dict[str, tuple[str, list[str]]] = {
    "vit": ("image-classification", ["ClassifyImage"]),
    "convnext": ("image-classification", ["ClassifyImage"]),
    "clip": ("zero-shot-image-classification", ["ClassifyImageZeroShot"]),
    "siglip": ("zero-shot-image-classification", ["ClassifyImageZeroShot"]),
    "yolos": ("object-detection", ["DetectObjects"]),
    "detr": ("object-detection", ["DetectObjects"]),
    "owlvit": ("zero-shot-object-detection", ["DetectObjectsZeroShot"]),
    "segformer": ("image-segmentation", ["SegmentImage"]),
    "maskformer": ("image-segmentation", ["SegmentImage"]),
    "sam": ("mask-generation", ["GenerateMasks"]),
    "glpn": ("depth-estimation", ["EstimateDepth"]),
    "depth_anything": ("depth-estimation", ["EstimateDepth"]),
    "convnext_features": ("image-feature-extraction", ["EmbedImage"]),
    "vit_features": ("image-feature-extraction", ["EmbedImage"]),
    "clip_vision": ("image-feature-extraction", ["EmbedImage"]),
    "clip_both": ("image-feature-extraction", ["EmbedImage"]),
    "blip": ("image-to-text", ["CaptionImage"]),
    "trocr": ("image-to-text", ["CaptionImage"]),
    "llava": ("image-to-text", ["CaptionImage"]),
    "vilt": ("visual-question-answering", ["AnswerImageQuestion"]),
    "blip_answers": ("visual-question-answering", ["AnswerImageQuestion"]),
    "llava_answers": ("visual-question-answering", ["AnswerImageQuestion"]),
    "layoutlm": ("document-question-answering", ["AnswerDocumentQuestion"]),
    "donut": ("document-question-answering", ["AnswerDocumentQuestion"]),
    "superglue": ("keypoint-matching", ["MatchKeypoints"]),
    "videomae": ("video-classification", ["ClassifyVideo"]),
}
# One of each form that a model's features have; what else reads images is converted in the same way.
VISION_ON_OPENVINO = ("vit", "convnext", "clip_vision", "videomae")


def real_photos() -> list[dict[str, str]]:
    """scikit-learn's two sample photos, made small."""
    from sklearn.datasets import load_sample_images  # type: ignore[import-untyped]

    return [
        encoded(Image.fromarray(np.asarray(photo)).resize((320, 214)), "JPEG", quality=90)
        for photo in load_sample_images().images
    ]


PHOTOS = real_photos()
VISION_REAL_CASES: dict[str, list[Request]] = {
    "ClassifyImage": [{"images": PHOTOS}, {"images": PHOTOS[:1], "topK": 1}],
}

NO_IMAGE = file_of(b"this is no image")
SVG = file_of(b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>')
_WHOLE = encoded(drawn(64, 48), "JPEG")["content"]
# What ends in the middle; and what begins like a PNG, and isn't one.
CUT = {"content": _WHOLE[: len(_WHOLE) // 8 * 4]}
BROKEN = file_of(b"\x89PNG\r\n\x1a\n" + b"0123456789" * 9)
DOT = picture(1, 1)
ELSEWHERE = {"uri": "https://example.com/cat.png"}
LONG = "water stands ready in the pipe for any hose " * 40

# By RPC: the request's other fields, the field with its images, and a good one of these.
_ASKED: dict[str, tuple[Request, str, Request]] = {
    "ClassifyImage": ({}, "images", WIDE),
    "ClassifyImageZeroShot": ({"candidateLabels": LABELS}, "images", WIDE),
    "DetectObjects": ({}, "images", WIDE),
    "DetectObjectsZeroShot": ({"candidateLabels": LABELS}, "images", WIDE),
    "SegmentImage": ({}, "images", WIDE),
    "GenerateMasks": (POINTS, "images", WIDE),
    "EstimateDepth": ({}, "images", WIDE),
    "EmbedImage": ({}, "images", WIDE),
    "CaptionImage": ({"parameters": WRITE}, "images", WIDE),
}
_DOCUMENT = {"image": WIDE, "question": "who", "words": BRIEF}

VISION_INVALID: dict[str, tuple[Request, str]] = {
    "ClassifyImage": ({"images": [WIDE, NO_IMAGE]}, "images[1].content"),
    "ClassifyImageZeroShot": ({"images": [WIDE], "candidateLabels": ["a", LONG]}, "candidate_labels[1]"),
    "DetectObjects": ({"images": [WIDE], "threshold": 1.5}, "threshold"),
    "DetectObjectsZeroShot": ({"images": [WIDE], "candidateLabels": LABELS, "topK": 0}, "top_k"),
    "SegmentImage": ({"images": [WIDE], "subtask": "SEGMENTATION_SUBTASK_INSTANCE"}, "subtask"),
    "GenerateMasks": ({"images": [WIDE], "predIouThresh": -1}, "pred_iou_thresh"),
    "EstimateDepth": ({"images": [WIDE, SQUARE, CUT]}, "images[2].content"),
    "EmbedImage": ({"images": [WIDE], "pooling": "IMAGE_POOLING_CLS"}, "pooling"),
    "CaptionImage": ({"images": [WIDE, ELSEWHERE]}, "images[1].uri"),
    "AnswerImageQuestion": ({"inputs": [{"image": WIDE, "question": " "}]}, "inputs[0].question"),
    "AnswerDocumentQuestion": (
        {"inputs": [_DOCUMENT | {"words": [word("a", 3), {"text": "b", "box": {"xmin": 1001}}]}]},
        "inputs[0].words[1].box",
    ),
    "MatchKeypoints": ({"pairs": [{"first": WIDE, "second": NO_IMAGE}]}, "pairs[0].second.content"),
    "ClassifyVideo": ({"videos": [MP4, NO_IMAGE]}, "videos[1].content"),
}

VISION_MISTAKES: list[tuple[str, Request, str]] = [
    *((rpc, rest, field) for rpc, (rest, field, _) in _ASKED.items()),
    *(
        (rpc, rest | {field: [good, bad]}, f"{field}[1].content")
        for rpc, (rest, field, good) in _ASKED.items()
        for bad in (BROKEN, DOT)
    ),
    *(("ClassifyImage", {"images": [bad]}, "images[0].content") for bad in (SVG, CUT, {})),
    ("ClassifyImage", {"images": [ELSEWHERE]}, "images[0].uri"),
    ("ClassifyImage", {"images": [WIDE], "topK": 0}, "top_k"),
    ("ClassifyImage", {"images": [WIDE], "functionToApply": 99}, "function_to_apply"),
    ("ClassifyImageZeroShot", {"images": [WIDE]}, "candidate_labels"),
    (
        "ClassifyImageZeroShot",
        {"images": [WIDE], "candidateLabels": LABELS, "hypothesisTemplate": "no place"},
        "hypothesis_template",
    ),
    ("DetectObjectsZeroShot", {"images": [WIDE], "candidateLabels": [LONG]}, "candidate_labels[0]"),
    ("DetectObjectsZeroShot", {"images": [WIDE], "candidateLabels": ["a"] * 1001}, "candidate_labels"),
    ("DetectObjectsZeroShot", {"images": [WIDE], "candidateLabels": ["a"], "threshold": -1}, "threshold"),
    ("SegmentImage", {"images": [WIDE], "subtask": 99}, "subtask"),
    ("SegmentImage", {"images": [WIDE], "maskFormat": 99}, "mask_format"),
    ("SegmentImage", {"images": [WIDE], "overlapMaskAreaThreshold": 2}, "overlap_mask_area_threshold"),
    ("GenerateMasks", {"images": [WIDE], "pointsPerCrop": 0}, "points_per_crop"),
    ("GenerateMasks", {"images": [WIDE], "pointsPerCrop": 500}, "points_per_crop"),
    ("GenerateMasks", {"images": [WIDE], "cropsNmsThresh": 2}, "crops_nms_thresh"),
    ("EstimateDepth", {"images": [WIDE], "format": 99}, "format"),
    ("EstimateDepth", {"images": [picture(40, 8)]}, "images[0]"),
    ("EstimateDepth", {"images": [picture(402, 2)]}, "images[0].content"),
    ("EmbedImage", {"images": [WIDE], "format": 99}, "format"),
    ("EmbedImage", {"images": [WIDE], "pooling": 99}, "pooling"),
    ("CaptionImage", {"images": [WIDE], "parameters": {"temperature": 0}}, "parameters.temperature"),
    ("CaptionImage", {"images": [WIDE], "parameters": {"maxNewTokens": 5000}}, "parameters.max_new_tokens"),
    ("CaptionImage", {"images": [WIDE], "prompt": LONG, "parameters": WRITE}, "images[0]"),
    ("AnswerImageQuestion", {}, "inputs"),
    ("AnswerImageQuestion", {"inputs": [{"question": "who"}]}, "inputs[0].image.content"),
    ("AnswerImageQuestion", {"inputs": [{"image": NO_IMAGE, "question": "w"}]}, "inputs[0].image.content"),
    ("AnswerImageQuestion", {"inputs": [{"image": WIDE, "question": LONG}]}, "inputs[0]"),
    ("AnswerDocumentQuestion", {"inputs": []}, "inputs"),
    ("AnswerDocumentQuestion", {"inputs": [_DOCUMENT | {"question": ""}]}, "inputs[0].question"),
    ("AnswerDocumentQuestion", {"inputs": [_DOCUMENT | {"words": []}]}, "inputs[0].words"),
    ("AnswerDocumentQuestion", {"inputs": [_DOCUMENT | {"image": CUT}]}, "inputs[0].image.content"),
    ("AnswerDocumentQuestion", {"inputs": [_DOCUMENT], "topK": 0}, "top_k"),
    ("AnswerDocumentQuestion", {"inputs": [_DOCUMENT], "maxSeqLen": 4}, "max_seq_len"),
    ("AnswerDocumentQuestion", {"inputs": [_DOCUMENT | {"words": PAGE}], "maxSeqLen": 500}, "max_seq_len"),
    ("AnswerDocumentQuestion", {"inputs": [_DOCUMENT], "docStride": 500}, "doc_stride"),
    ("AnswerDocumentQuestion", {"inputs": [_DOCUMENT], "docStride": 119}, "doc_stride"),
    ("AnswerDocumentQuestion", {"inputs": [_DOCUMENT | {"question": LONG}]}, "inputs[0].question"),
    ("MatchKeypoints", {}, "pairs"),
    ("MatchKeypoints", {"pairs": [{"first": WIDE}]}, "pairs[0].second.content"),
    ("MatchKeypoints", {"pairs": [{"first": DOT, "second": WIDE}]}, "pairs[0].first.content"),
    ("MatchKeypoints", {"pairs": [{"first": WIDE, "second": WIDE}], "threshold": 7}, "threshold"),
    ("ClassifyVideo", {}, "videos"),
    ("ClassifyVideo", {"videos": [{}]}, "videos[0].content"),
    ("ClassifyVideo", {"videos": [ELSEWHERE]}, "videos[0].uri"),
    ("ClassifyVideo", {"videos": [MP4], "topK": 0}, "top_k"),
    ("ClassifyVideo", {"videos": [MP4], "functionToApply": 99}, "function_to_apply"),
    ("ClassifyVideo", {"videos": [MP4], "frameSamplingRate": 4}, "videos[0].content"),
    ("ClassifyVideo", {"videos": [MP4], "frameSamplingRate": 2000}, "videos[0].content"),
    ("ClassifyVideo", {"videos": [MP4], "numFrames": 5}, "num_frames"),
]
