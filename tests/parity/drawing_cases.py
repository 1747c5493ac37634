"""What is asked of each RPC that draws, on which models; see ``cases``."""

from __future__ import annotations

from typing import Any

from PIL import Image

from parity.pictures import drawn, encoded, file_of, held, picture

Request = dict[str, Any]

PROMPT = "the house of Ada"
QUICK = {"numInferenceSteps": 3, "seed": "7"}
ONCE = {"numInferenceSteps": 1, "seed": "7"}
FORMS = [f"IMAGE_FORMAT_{form}" for form in ("JPEG", "WEBP")]
FILMS = [f"VIDEO_FORMAT_{form}" for form in ("MP4", "WEBM", "GIF")]
PICTURE = picture(32, 32)
MASK = encoded(Image.linear_gradient("L").resize((32, 32)))
ADAPTER = "ink"


def asked(prompt: str = PROMPT, **parameters: Any) -> Request:
    return {"prompt": prompt, "parameters": QUICK | parameters}


_ANEW = {"image": PICTURE}
_PART = {"image": PICTURE, "maskImage": MASK}
_SIZE: Request = {"width": 48, "height": 32}
_FILM = {"prompt": PROMPT, "numFrames": 5, "parameters": ONCE | {"width": 32, "height": 32}}

DRAWING_CASES: dict[str, list[Request]] = {
    "GenerateImage": [
        asked(),
        asked("a calm bell", negativePrompt="rain"),
        asked(guidanceScale=3),
    ],
    "TransformImage": [
        asked() | _ANEW | {"strength": 0.8},
        asked(negativePrompt="") | _ANEW | {"strength": 0.5},
    ],
    "InpaintImage": [asked() | _PART, asked(guidanceScale=1) | _PART | {"strength": 0.5}],
    "GenerateVideo": [_FILM, *(_FILM | {"format": form, "fps": 12} for form in FILMS)],
}

_TURNED = held(drawn(48, 32, 3), 6)

DRAWING_SPECIAL: dict[str, dict[str, list[Request]]] = {
    "sd": {
        "GenerateImage": [
            asked() | {"numImagesPerPrompt": 3},
            asked(**_SIZE),
            *(asked() | {"format": form} for form in FORMS),
            asked(scheduler="EulerDiscreteScheduler"),
            asked(scheduler="EulerAncestralDiscrete"),
            asked(scheduler="DPMSolverMultistep", guidanceRescale=0.7),
            asked(scheduler="PNDM", numInferenceSteps=5),
            asked(eta=1, guidanceScale=2),
            asked(seed=str((1 << 64) - 1)),
        ],
        "TransformImage": [
            asked(**_SIZE) | _ANEW,
            asked(numInferenceSteps=10) | _ANEW | {"strength": 0.7},
            asked(scheduler="EulerDiscrete") | {"image": _TURNED, "numImagesPerPrompt": 2},
            # Not a multiple of what the model draws at once.
            asked() | {"image": picture(35, 46)},
        ],
        "InpaintImage": [
            asked(**_SIZE) | _PART,
            asked() | {"image": picture(48, 32), "maskImage": MASK},
        ],
    },
    "flux": {
        "GenerateImage": [
            asked() | {"numImagesPerPrompt": 2},
            asked(width=48, guidanceScale=2),
        ],
        # Of ten steps six tenths, as it was sent and not as a float of 32 bits has it.
        "TransformImage": [asked(numInferenceSteps=10) | _ANEW | {"strength": 0.6}],
    },
    "ltx_begins": {
        "GenerateVideo": [
            _FILM | {"image": picture(64, 64)},
            _FILM | {"image": picture(80, 50), "fps": 24, "numFrames": 9},
        ],
    },
    "sd_inked": {
        "GenerateImage": [
            asked(loras=[{"name": ADAPTER}]),
            asked(loras=[{"name": ADAPTER, "weight": -0.5}]),
            asked(clipSkip=1),
            # No adapter is left of the calls before.
            asked("rain"),
        ],
        "TransformImage": [asked(loras=[{"name": ADAPTER}]) | _ANEW],
    },
}

DRAWING_TINY: dict[str, tuple[str, list[str]]] = {
    "sd": ("text-to-image+image-to-image+inpainting", ["GenerateImage", "TransformImage", "InpaintImage"]),
    "sd_inked": ("text-to-image+image-to-image", ["GenerateImage", "TransformImage"]),
    "sd_checks": ("text-to-image", ["GenerateImage"]),
    "sd_inpainting": ("inpainting", ["InpaintImage"]),
    "sdxl": ("text-to-image+image-to-image+inpainting", ["GenerateImage", "TransformImage", "InpaintImage"]),
    "wan": ("text-to-video", ["GenerateVideo"]),
    "ltx_begins": ("image-to-video", ["GenerateVideo"]),
    "flux": ("text-to-image+image-to-image", ["GenerateImage", "TransformImage"]),
}
# Models that are asked their own cases only.
DRAWING_APART = ("flux", "ltx_begins")
DRAWING_ON_OPENVINO = ("sd",)

DRAWING_REAL_CASES: dict[str, list[Request]] = {
    "GenerateImage": [
        {"prompt": "a handwritten seven", "parameters": {"numInferenceSteps": 20, "seed": "3"}},
        {
            "prompt": "a handwritten 2",
            "parameters": {"numInferenceSteps": 8, "guidanceScale": 3, "seed": "4"},
        },
    ],
    "TransformImage": [{"prompt": "a handwritten nine", "parameters": QUICK} | _ANEW],
    "InpaintImage": [{"prompt": "a handwritten nine", "parameters": QUICK} | _PART],
}

_NO_PICTURE = file_of(b"this is no picture")

DRAWING_INVALID: dict[str, tuple[Request, str]] = {
    "GenerateImage": (asked(width=30), "parameters.width"),
    "TransformImage": (asked() | {"image": _NO_PICTURE}, "image.content"),
    "InpaintImage": (asked() | {"image": PICTURE, "maskImage": _NO_PICTURE}, "mask_image.content"),
    "GenerateVideo": (_FILM | {"image": PICTURE}, "image"),
}

_WRONG_PARAMETERS: list[tuple[Request, str]] = [
    ({"numInferenceSteps": 0}, "num_inference_steps"),
    ({"numInferenceSteps": 251}, "num_inference_steps"),
    ({"guidanceScale": 101}, "guidance_scale"),
    ({"guidanceScale": "NaN"}, "guidance_scale"),
    ({"guidanceRescale": -1}, "guidance_rescale"),
    ({"eta": 1.5}, "eta"),
    ({"clipSkip": 0}, "clip_skip"),
    ({"clipSkip": 9}, "clip_skip"),
    ({"width": 0}, "width"),
    ({"width": 4096, "height": 4096}, "width"),
    ({"width": 8_000_000}, "width"),
    ({"height": 31}, "height"),
    ({"scheduler": "Euler"}, "scheduler"),
    ({"scheduler": "StableDiffusionPipeline"}, "scheduler"),
    ({"loras": [{"name": "oil"}]}, "loras[0].name"),
    ({"loras": [{"name": ADAPTER}, {"name": ADAPTER}]}, "loras[1].name"),
    ({"loras": [{"name": ADAPTER, "weight": 5}]}, "loras[0].weight"),
    ({"negativePrompt": "a" * 16_385}, "negative_prompt"),
]
DRAWING_MISTAKES: list[tuple[str, Request, str]] = [
    *(("GenerateImage", asked(**wrong), f"parameters.{field}") for wrong, field in _WRONG_PARAMETERS),
    ("GenerateImage", asked(" "), "prompt"),
    ("GenerateImage", asked("ä" * 8_193), "prompt"),
    ("GenerateImage", asked(width=16_400, height=8) | {"format": "IMAGE_FORMAT_WEBP"}, "format"),
    ("GenerateImage", asked() | {"format": 99}, "format"),
    ("GenerateImage", asked() | {"numImagesPerPrompt": 0}, "num_images_per_prompt"),
    ("GenerateImage", asked() | {"numImagesPerPrompt": 17}, "num_images_per_prompt"),
    ("TransformImage", asked(), "image.content"),
    ("TransformImage", asked("") | _ANEW, "prompt"),
    ("TransformImage", asked() | {"image": picture(3, 32)}, "image"),
    ("TransformImage", asked() | {"image": picture(2400, 2000)}, "image"),
    ("TransformImage", asked() | _ANEW | {"strength": 0}, "strength"),
    ("TransformImage", asked() | _ANEW | {"strength": 1.5}, "strength"),
    ("TransformImage", asked() | {"image": {"uri": "https://example.com/bell.png"}}, "image.uri"),
    ("InpaintImage", asked() | _ANEW, "mask_image.content"),
    ("InpaintImage", asked() | {"maskImage": MASK}, "image.content"),
    ("GenerateVideo", {}, "prompt"),
    ("GenerateVideo", _FILM | {"numFrames": 0}, "num_frames"),
    ("GenerateVideo", _FILM | {"numFrames": 129}, "num_frames"),
    ("GenerateVideo", _FILM | {"fps": 0.5}, "fps"),
    (
        "GenerateVideo",
        _FILM | {"numFrames": 128, "parameters": {"width": 2048, "height": 2048}},
        "num_frames",
    ),
    ("GenerateVideo", _FILM | {"format": 99}, "format"),
]
# Model, RPC, request, and the field.
DRAWING_MISTAKES_BY_MODEL: list[tuple[str, str, Request, str]] = [
    ("wan", "GenerateVideo", _FILM | {"parameters": ONCE | {"clipSkip": 1}}, "parameters.clip_skip"),
    ("wan", "GenerateVideo", _FILM | {"parameters": ONCE | {"width": 8}}, "parameters.width"),
    ("ltx_begins", "GenerateVideo", _FILM, "image"),
    ("flux", "GenerateImage", asked() | {"previewSteps": 1}, "preview_steps"),
    ("sdxl", "GenerateImage", asked(clipSkip=2), "parameters.clip_skip"),
    ("sdxl", "TransformImage", asked() | _ANEW | {"strength": 0.3}, "strength"),
    ("sdxl", "TransformImage", asked() | _ANEW, "parameters.num_inference_steps"),
    (
        "wan",
        "GenerateVideo",
        _FILM | {"parameters": ONCE | {"loras": [{"name": ADAPTER}]}},
        "parameters.loras[0].name",
    ),
]
