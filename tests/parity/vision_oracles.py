"""What the library itself answers to each RPC about images and videos; see ``oracles``.

Pixels stand in answers as ``comparing.legible`` shows them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from google.protobuf.message import Message
from numpy.typing import NDArray
from PIL import Image, ImageOps
from transformers.models.auto.image_processing_auto import AutoImageProcessor

from parity.comparing import rows, shares, steps
from parity.library import Answer, auto, enum_word, given, pipe


def seen(image: Any) -> Image.Image:
    """As the library's pipelines open a file; greys of 16 bits, which they take for white, in eight."""
    picture = ImageOps.exif_transpose(Image.open(BytesIO(image.content)))
    if picture.mode == "I;16":
        picture = Image.fromarray((np.asarray(picture) // 257).astype(np.uint8))
    return picture.convert("RGB")


def classify_image(folder: Path, request: Any) -> Answer:
    options = given(request, "top_k")
    if function := enum_word(request, "function_to_apply"):
        options["function_to_apply"] = function
    label = pipe("image-classification", folder)
    return {"results": [{"labels": label(seen(image), **options)} for image in request.images]}


def classify_image_zero_shot(folder: Path, request: Any) -> Answer:
    label = pipe("zero-shot-image-classification", folder)
    options = {"candidate_labels": list(request.candidate_labels), **given(request, "hypothesis_template")}
    return {"results": [{"labels": label(seen(image), **options)} for image in request.images]}


def detect_objects(folder: Path, request: Any) -> Answer:
    detect = pipe("object-detection", folder)
    options = given(request, "threshold")
    return {"results": [{"objects": detect(seen(image), **options)} for image in request.images]}


def detect_objects_zero_shot(folder: Path, request: Any) -> Answer:
    detect = pipe("zero-shot-object-detection", folder)
    options = {"candidate_labels": list(request.candidate_labels), **given(request, "threshold", "top_k")}
    return {"results": [{"objects": detect(seen(image), **options)} for image in request.images]}


def segment_image(folder: Path, request: Any) -> Answer:
    options = given(request, "threshold", "mask_threshold", "overlap_mask_area_threshold")
    if subtask := enum_word(request, "subtask"):
        options["subtask"] = subtask
    results = []
    for image in request.images:
        segments = []
        for found in pipe("image-segmentation", folder)(seen(image), **options):
            score = {} if found["score"] is None else {"score": found["score"]}
            mask = covering(np.asarray(found["mask"]) == 255, request)
            segments.append({"label": found["label"], "mask": mask, **score})
        results.append({"segments": segments})
    return {"results": results}


def covering(mask: NDArray[np.bool_], request: Any) -> Answer:
    """A mask in the request's format."""
    height, width = mask.shape
    size = {"width": width, "height": height}
    if enum_word(request, "mask_format") != "run_lengths":
        return size | {"png": rows(Image.fromarray(mask))}
    counts, covers = [0], False
    for column in range(width):
        for row in range(height):
            if mask[row, column] != covers:
                covers = not covers
                counts.append(0)
            counts[-1] += 1
    return size | {"run_lengths": {"counts": counts}}


def generate_masks(folder: Path, request: Any) -> Answer:
    options = {field.name: value for field, value in request.ListFields()}
    del options["images"]
    options.pop("mask_format", None)
    results = []
    for image in request.images:
        with suppression():
            found = pipe("mask-generation", folder)(
                seen(image), points_per_batch=options["points_per_crop"] ** 2, **options
            )
        pairs = zip(found["scores"].tolist(), found["masks"], strict=True)
        results.append(
            {"masks": [{"score": score, "mask": covering(mask, request)} for score, mask in pairs]}
        )
    return {"results": results}


@contextmanager
def suppression() -> Iterator[None]:
    """Have what the pipeline takes from torchvision, which is no part of the project, in plain loops."""
    names = ("torchvision", "torchvision.ops", "torchvision.ops.boxes")
    modules: dict[str, Any] = {name: ModuleType(name) for name in names}
    modules[names[-1]].batched_nms = apart
    with patch.dict(sys.modules, modules):
        yield


def apart(boxes: Any, scores: Any, idxs: Any, iou_threshold: float) -> Any:
    """Boxes that share too much with no better one that stays."""
    kept: list[int] = []
    for index in sorted(range(len(scores)), key=lambda place: -float(scores[place])):
        if all(shared(boxes[index].tolist(), boxes[other].tolist()) <= iou_threshold for other in kept):
            kept.append(index)
    return torch.tensor(kept, dtype=torch.long)


def shared(one: list[float], other: list[float]) -> float:
    """Intersection over union of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    both = width * height if width > 0 and height > 0 else 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return both / (sum(areas) - both) if both else 0.0


def estimate_depth(folder: Path, request: Any) -> Answer:
    results = []
    for image in request.images:
        picture = seen(image)
        depth = pipe("depth-estimation", folder)(picture)["predicted_depth"].detach().double().numpy()
        low, high = depth.min(), depth.max()
        data = {"float32": shares(depth)}
        if enum_word(request, "format") == "png16":
            data = {"png16": steps(np.round((depth - low) / (high - low) * 65535))}
        size = {"width": picture.width, "height": picture.height}
        results.append(size | {"min": float(low), "max": float(high)} | data)
    return {"results": results}


def embed_image(folder: Path, request: Any) -> Answer:
    vectors = []
    for image in request.images:
        features, pooled = features_of(folder, seen(image))
        mean = features.mean((1, 2)) if features.ndim == 3 else features.mean(0)
        pools = {None: pooled, "pooler": pooled, "cls": features[0], "mean": mean}
        vector = pools[enum_word(request, "pooling")]
        length = float(np.linalg.norm(vector)) if request.normalize else 1.0
        vectors.append((vector / length).tolist())
    if enum_word(request, "format") == "packed":
        return {"packed": [value for vector in vectors for value in vector], "dimensions": len(vectors[0])}
    return {"embeddings": [{"values": vector} for vector in vectors], "dimensions": len(vectors[0])}


def features_of(folder: Path, image: Image.Image) -> tuple[NDArray[Any], NDArray[Any]]:
    """What a model finds in an image, and the one vector that it was trained to make of that."""
    if hasattr(auto("AutoConfig", folder), "text_config"):
        # The pipeline has models that read texts too read one.
        model = auto("AutoModel", folder)
        inputs = AutoImageProcessor.from_pretrained(folder)(image, return_tensors="pt")
        with torch.inference_mode():
            found = model.get_image_features(**inputs)
        return found.last_hidden_state[0].numpy(), found.pooler_output[0].numpy()
    extract = pipe("image-feature-extraction", folder)
    return np.asarray(extract(image)[0]), np.asarray(extract(image, pool=True)[0]).reshape(-1)


def caption_image(folder: Path, request: Any) -> Answer:
    if getattr(auto("AutoProcessor", folder), "chat_template", None):
        prompt = given(request, "prompt").get("prompt", "Describe this image in one sentence.")
        written = [chatted(folder, seen(image), prompt, request) for image in request.images]
    else:
        prompts = {"text": request.prompt} if request.HasField("prompt") else {}
        written = [
            wrote("AutoModelForImageTextToText", folder, seen(image), request, **prompts)
            for image in request.images
        ]
    return {"results": [{"generated_text": text, "generated_tokens": count} for text, count in written]}


def wrote(kind: str, folder: Path, image: Image.Image, request: Any, **prompt: str) -> tuple[str, int]:
    """What a model writes to an image, and how many tokens that is, told by the steps that it takes."""
    model, processor = auto(kind, folder), auto("AutoProcessor", folder)
    inputs = processor(images=image, return_tensors="pt", **prompt)
    options = {field.name: value for field, value in request.parameters.ListFields() if field.name != "seed"}
    if request.parameters.HasField("seed"):
        torch.manual_seed(request.parameters.seed)
    with torch.inference_mode():
        found = model.generate(**inputs, **options, return_dict_in_generate=True, output_scores=True)
    text = processor.tokenizer.decode(found.sequences[0], skip_special_tokens=True)
    return text.strip(), len(found.scores)


def chatted(folder: Path, image: Image.Image, text: str, request: Any) -> tuple[str, int]:
    """What the pipeline says in a conversation that begins with an image and a text."""
    options = {field.name: value for field, value in request.parameters.ListFields()}
    content = [{"type": "image", "image": image}, {"type": "text", "text": text}]
    talk = [{"role": "user", "content": content}]
    tell = pipe("image-text-to-text", folder)
    (found,) = tell(text=talk, generate_kwargs=options, return_full_text=False)
    (whole,) = tell(text=talk, generate_kwargs=options, return_tensors=True)
    read = auto("AutoProcessor", folder).apply_chat_template(
        talk, add_generation_prompt=True, tokenize=True, return_dict=True
    )
    return found["generated_text"].strip(), len(whole["generated_token_ids"]) - len(read["input_ids"][0])


def answer_image_question(folder: Path, request: Any) -> Answer:
    config = auto("AutoConfig", folder)
    answer = {"vilt": chosen, "llava": told}.get(config.model_type, spoken)
    return {"results": [{"answers": answer(folder, item, request)} for item in request.inputs]}


def chosen(folder: Path, item: Any, request: Any) -> list[Answer]:
    """As the visual-question-answering pipeline of transformers 4 chooses among labels."""
    model, processor = auto("ViltForQuestionAnswering", folder), auto("AutoProcessor", folder)
    with torch.inference_mode():
        logits = model(**processor(images=seen(item.image), text=item.question, return_tensors="pt")).logits
    most = min(given(request, "top_k").get("top_k", 5), model.config.num_labels)
    scores, places = logits.sigmoid()[0].topk(most)
    found = zip(scores.tolist(), places.tolist(), strict=True)
    return [{"answer": model.config.id2label[place], "score": score} for score, place in found]


def spoken(folder: Path, item: Any, request: Any) -> list[Answer]:
    kind = "BlipForQuestionAnswering"
    return [{"answer": wrote(kind, folder, seen(item.image), request, text=item.question)[0]}]


def told(folder: Path, item: Any, request: Any) -> list[Answer]:
    return [{"answer": chatted(folder, seen(item.image), item.question, request)[0]}]


def answer_document_question(folder: Path, request: Any) -> Answer:
    names = ("top_k", "doc_stride", "max_answer_len", "max_seq_len", "handle_impossible_answer")
    results = []
    for item in request.inputs:
        box = [(word.box.xmin, word.box.ymin, word.box.xmax, word.box.ymax) for word in item.words]
        words = [(word.text, list(edges)) for word, edges in zip(item.words, box, strict=True)]
        found = pipe("document-question-answering", folder)(
            image=seen(item.image), question=item.question, word_boxes=words, **given(request, *names)
        )
        answers = found if isinstance(found, list) else [found]
        results.append({"answers": [{**one, "answer": one["answer"] or ""} for one in answers]})
    return {"results": results}


def match_keypoints(folder: Path, request: Any) -> Answer:
    results = []
    for pair in request.pairs:
        images = [seen(pair.first), seen(pair.second)]
        matches = square if all(image.width == image.height for image in images) else oblong
        results.append({"matches": matches(folder, images, given(request, "threshold"))})
    return {"results": results}


def square(folder: Path, images: list[Image.Image], options: dict[str, Any]) -> list[Answer]:
    return [
        {"first": one["keypoint_image_0"], "second": one["keypoint_image_1"], "score": one["score"]}
        for one in pipe("keypoint-matching", folder)(images, **options)
    ]


def oblong(folder: Path, images: list[Image.Image], options: dict[str, Any]) -> list[Answer]:
    """The documented recipe: the pipeline (5.5) takes the widths of images for their heights."""
    processor = AutoImageProcessor.from_pretrained(folder)
    model = auto("AutoModelForKeypointMatching", folder)
    with torch.inference_mode():
        outputs = model(**processor(images, return_tensors="pt"))
    sizes = [[(image.height, image.width) for image in images]]
    (found,) = processor.post_process_keypoint_matching(outputs, sizes, **({"threshold": 0.0} | options))
    places = [
        [{"x": float(x), "y": float(y)} for x, y in found[name].tolist()]
        for name in ("keypoints0", "keypoints1")
    ]
    scored = zip(*places, found["matching_scores"].tolist(), strict=True)
    matches = [{"first": one, "second": other, "score": score} for one, other, score in scored]
    return sorted(matches, key=lambda match: -match["score"])


def classify_video(folder: Path, request: Any) -> Answer:
    options = given(request, "top_k", "num_frames", "frame_sampling_rate")
    if function := enum_word(request, "function_to_apply"):
        options["function_to_apply"] = function
    results = []
    with TemporaryDirectory() as home:
        for video in request.videos:
            path = Path(home) / "video"
            path.write_bytes(video.content)
            results.append({"labels": pipe("video-classification", folder)(str(path), **options)})
    return {"results": results}


def on_one_thread(oracle: Callable[[Path, Any], Answer]) -> Callable[[Path, Message], Answer]:
    """An oracle that leaves the cores to the servers: threads of both would wait for each other."""

    @wraps(oracle)
    def asked(folder: Path, request: Message) -> Answer:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return oracle(folder, request)
        finally:
            torch.set_num_threads(before)

    return asked


_ORACLES: dict[str, Callable[[Path, Any], Answer]] = {
    "ClassifyImage": classify_image,
    "ClassifyImageZeroShot": classify_image_zero_shot,
    "DetectObjects": detect_objects,
    "DetectObjectsZeroShot": detect_objects_zero_shot,
    "SegmentImage": segment_image,
    "GenerateMasks": generate_masks,
    "EstimateDepth": estimate_depth,
    "EmbedImage": embed_image,
    "CaptionImage": caption_image,
    "AnswerImageQuestion": answer_image_question,
    "AnswerDocumentQuestion": answer_document_question,
    "MatchKeypoints": match_keypoints,
    "ClassifyVideo": classify_video,
}
VISION_ORACLES = {rpc: on_one_thread(oracle) for rpc, oracle in _ORACLES.items()}
