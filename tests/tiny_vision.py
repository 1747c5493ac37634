"""Models of images with random weights: image processors of PIL's kind, tokenizers and processors included.

Not aware of what reads them: a head, a pipeline or an Auto class.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

from tiny_models import byte_pairs, word_pieces

ANIMALS = ("cat", "dog", "fox")
CHAT_WITH_IMAGES = (
    "{% for m in messages %}{{ m['role'] }}: "
    "{% if m['content'] is string %}{{ m['content'] }}"
    "{% else %}{% for part in m['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)

# Of the usual size, so that images differ in what comes out of them by more than rounding.
_SPREAD = {"initializer_range": 0.5}
_BODY: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
} | _SPREAD
_EYE: dict[str, Any] = _BODY | {"image_size": 32, "patch_size": 8}
# CLIP and its kin scale what they draw by this.
_CLIP: dict[str, Any] = {"initializer_factor": 3.0}
_SQUARE = {"height": 32, "width": 32}
_WIDE = {"height": 64, "width": 64}
_NAMES: dict[str, Any] = {
    "id2label": dict(enumerate(ANIMALS)),
    "label2id": {animal: index for index, animal in enumerate(ANIMALS)},
}
# Of word pieces ([PAD], [CLS] and [SEP]), and of pairs of bytes.
_WORD_ENDS: dict[str, Any] = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
_BYTE_ENDS: dict[str, Any] = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
# Of models that look at an image in four steps, each smaller than the last.
_STEPS: dict[str, Any] = {
    "hidden_sizes": [16, 16, 16, 16],
    "depths": [1, 1, 1, 1],
    "num_attention_heads": [1, 1, 1, 1],
    "decoder_hidden_size": 16,
} | _SPREAD
# Of models in BART's and in DETR's line.
_SMALL: dict[str, Any] = {
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "init_std": 0.5,
}


def save_tiny_vit(folder: Path, head: str = "AutoModelForImageClassification") -> Path:
    """Write a ViT: it classifies, or with ``head="AutoModel"`` it gives features, pooled ones too."""
    settings = transformers.ViTConfig(**_EYE, **_NAMES)
    reader = transformers.ViTImageProcessorPil(size=_SQUARE)
    return _write(folder, lambda: getattr(transformers, head).from_config(settings), reader)


def save_tiny_convnext(folder: Path, head: str = "AutoModelForImageClassification") -> Path:
    """Write a ConvNext, which looks at an image's middle; with ``head="AutoModel"`` its features are maps."""
    settings = transformers.ConvNextConfig(
        hidden_sizes=[8, 16, 16, 32], depths=[1, 1, 1, 1], **_SPREAD, **_NAMES
    )
    reader = transformers.ConvNextImageProcessorPil(size={"shortest_edge": 64}, crop_pct=0.875)
    return _write(folder, lambda: getattr(transformers, head).from_config(settings), reader)


def save_tiny_clip(folder: Path) -> Path:
    """Write a CLIP with its own kind of tokenizer."""
    tokenizer = _letters(77)
    settings = transformers.CLIPConfig(
        text_config=_BODY | _CLIP | _speech(tokenizer), vision_config=_EYE | _CLIP, projection_dim=16, **_CLIP
    )
    reader = transformers.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=_SQUARE)
    return _write(folder, lambda: transformers.CLIPModel(settings), _both("CLIP", reader, tokenizer))


def save_tiny_clip_vision(folder: Path) -> Path:
    """Write a CLIP's eyes alone: what gives features without a text."""
    settings = transformers.CLIPVisionConfig(**_EYE | _CLIP)
    reader = transformers.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=_SQUARE)
    return _write(folder, lambda: transformers.CLIPVisionModel(settings), reader)


def save_tiny_siglip(folder: Path) -> Path:
    """Write a SigLIP, whose scores are each label's own."""
    tokenizer = _plain(byte_pairs(max_tokens=64))
    settings = transformers.SiglipConfig(
        text_config=_BODY | _speech(tokenizer) | {"projection_size": 32}, vision_config=_EYE
    )
    reader = transformers.SiglipImageProcessorPil(size=_SQUARE)
    return _write(folder, lambda: transformers.SiglipModel(settings), _both("Siglip", reader, tokenizer))


def save_tiny_yolos(folder: Path) -> Path:
    """Write a YOLOS of five boxes."""
    settings = transformers.YolosConfig(
        **_EYE | {"image_size": [64, 64], "patch_size": 16, "initializer_range": 0.25},
        num_detection_tokens=5,
        **_NAMES,
    )
    reader = transformers.YolosImageProcessorPil(size=_WIDE)

    def make() -> Any:
        model = transformers.YolosForObjectDetection(settings)
        # The library draws none for these: all boxes would be the same.
        torch.nn.init.normal_(model.vit.embeddings.detection_tokens)
        return model

    return _write(folder, make, reader)


def save_tiny_detr(folder: Path) -> Path:
    """Write a DETR of five boxes on a ResNet that needs no timm."""
    settings = transformers.DetrConfig(
        **_SMALL, backbone_config=_resnet("stage2"), use_timm_backbone=False, num_queries=5, **_NAMES
    )
    reader = transformers.DetrImageProcessorPil(size=_WIDE)
    return _write(folder, lambda: transformers.DetrForObjectDetection(settings), reader)


def save_tiny_owlvit(folder: Path) -> Path:
    """Write an OWL-ViT of sixteen boxes."""
    tokenizer = _letters(32)
    # Drawn from wider, boxes stick to the image's corners.
    factor = {"initializer_factor": 0.3}
    settings = transformers.OwlViTConfig(
        text_config=_BODY | factor | _speech(tokenizer),
        vision_config=_EYE | factor,
        projection_dim=32,
        **factor,
    )
    reader = transformers.OwlViTImageProcessorPil(size=_SQUARE, crop_size=_SQUARE)
    return _write(
        folder, lambda: transformers.OwlViTForObjectDetection(settings), _both("OwlViT", reader, tokenizer)
    )


def save_tiny_segformer(folder: Path) -> Path:
    """Write a SegFormer: each dot has one of the labels, without scores."""
    settings = transformers.SegformerConfig(**_STEPS, **_NAMES)
    # SegFormer's own wants torchvision even in PIL's kind; BEiT's does the same work.
    reader = transformers.BeitImageProcessorPil(size=_WIDE)
    return _write(folder, lambda: transformers.SegformerForSemanticSegmentation(settings), reader)


def save_tiny_maskformer(folder: Path) -> Path:
    """Write a MaskFormer, for panoptic, instance and semantic segments."""
    settings = transformers.MaskFormerConfig(
        init_std=2.0,
        init_xavier_std=3.0,
        fpn_feature_size=32,
        mask_feature_size=32,
        backbone_config=_resnet("stage1", "stage2"),
        decoder_config=transformers.DetrConfig(
            **_SMALL, backbone_config=_resnet("stage2"), use_timm_backbone=False, num_queries=8
        ),
        **_NAMES,
    )
    reader = transformers.MaskFormerImageProcessorPil(size=_WIDE, size_divisor=32)
    return _write(folder, lambda: transformers.MaskFormerForInstanceSegmentation(settings), reader)


def save_tiny_sam(folder: Path) -> Path:
    """Write a SAM for images of 64 dots a side."""
    # Narrower, no mask is stable enough for the pipeline's threshold.
    spread, view = {"initializer_range": 1.0}, {"image_size": 64, "patch_size": 8}
    eye = {"output_channels": 16, "window_size": 4, "global_attn_indexes": [0], "num_pos_feats": 8}
    layers = {"num_hidden_layers": 1, "num_attention_heads": 4}
    settings = transformers.SamConfig(
        vision_config=_BODY | eye | view | layers | spread | {"mlp_dim": 64},
        prompt_encoder_config={"hidden_size": 16, "mask_input_channels": 4} | view,
        mask_decoder_config={"hidden_size": 16, "mlp_dim": 32, "iou_head_hidden_dim": 16, **layers},
        **spread,
    )
    reader = transformers.SamImageProcessorPil(
        size={"longest_edge": 64}, pad_size=_WIDE, mask_size={"longest_edge": 32}, mask_pad_size=_SQUARE
    )
    processor = transformers.SamProcessor(image_processor=reader)
    return _write(folder, lambda: transformers.SamModel(settings), processor)


def save_tiny_glpn(folder: Path) -> Path:
    """Write a GLPN: depths of the image as it is, but for the edges beyond a multiple of 32."""
    settings, reader = transformers.GLPNConfig(**_STEPS), transformers.GLPNImageProcessorPil()
    return _write(folder, lambda: transformers.GLPNForDepthEstimation(settings), reader)


def save_tiny_depth_anything(folder: Path) -> Path:
    """Write a Depth Anything on a DINOv2: it looks at any image at one size."""
    settings = transformers.DepthAnythingConfig(
        backbone_config=transformers.Dinov2Config(
            **_EYE | {"num_hidden_layers": 4, "initializer_range": 0.2},
            out_features=["stage1", "stage2", "stage3", "stage4"],
            reshape_hidden_states=False,
        ),
        patch_size=8,
        reassemble_hidden_size=32,
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=8,
        head_hidden_size=8,
        initializer_range=0.2,
    )
    reader = transformers.DPTImageProcessorPil(size=_SQUARE, ensure_multiple_of=8, keep_aspect_ratio=False)
    return _write(folder, lambda: transformers.DepthAnythingForDepthEstimation(settings), reader)


def save_tiny_blip(folder: Path, head: str = "BlipForConditionalGeneration") -> Path:
    """Write a BLIP: it captions, or with ``head="BlipForQuestionAnswering"`` it writes answers."""
    tokenizer = _plain(word_pieces(64))
    words = (
        _speech(tokenizer) | _WORD_ENDS | {"sep_token_id": 3, "encoder_hidden_size": 32, "projection_dim": 16}
    )
    settings = transformers.BlipConfig(
        text_config=_BODY | words, vision_config=_EYE, projection_dim=16, image_text_hidden_size=16
    )
    reader = transformers.BlipImageProcessorPil(size=_SQUARE)

    def make() -> Any:
        model = getattr(transformers, head)(settings)
        # Else some texts are nothing but special tokens, which are the first five.
        torch.nn.init.constant_(model.text_decoder.cls.predictions.bias[:5], -100.0)
        return model

    return _write(folder, make, _both("Blip", reader, tokenizer))


def save_tiny_trocr(folder: Path) -> Path:
    """Write a ViT that a TrOCR decoder puts into words."""
    words = _plain(word_pieces(64))
    decoder = transformers.TrOCRConfig(
        **_SMALL, vocab_size=len(words), max_position_embeddings=64, cross_attention_hidden_size=32
    )
    settings = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(
        transformers.ViTConfig(**_EYE), decoder, decoder_start_token_id=2, **_WORD_ENDS
    )
    processor = _both("TrOCR", transformers.ViTImageProcessorPil(size=_SQUARE), words)
    return _write(folder, lambda: transformers.VisionEncoderDecoderModel(settings), processor)


def save_tiny_donut(folder: Path) -> Path:
    """Write a Donut: its prompt's marks are tokens, as in the checkpoint for questions about documents."""
    marks = ("<s_docvqa>", "<s_question>", "</s_question>", "<s_answer>", "</s_answer>")
    words = _plain(byte_pairs(extra=marks))
    encoder = transformers.DonutSwinConfig(
        image_size=[32, 32], embed_dim=16, depths=[1, 1], num_heads=[2, 4], window_size=4, **_SPREAD
    )
    decoder = transformers.MBartConfig(**_SMALL, vocab_size=len(words), max_position_embeddings=128)
    settings = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(
        encoder, decoder, decoder_start_token_id=1, **_BYTE_ENDS
    )
    reader = transformers.DonutImageProcessorPil(size=_SQUARE)

    def make() -> Any:
        model = transformers.VisionEncoderDecoderModel(settings)
        # The pipeline finds an answer by the mark that ends it, which random weights would hardly write.
        # It heeds a model's own limit of length only where that counts the prompt too.
        end = words.convert_tokens_to_ids("</s_answer>")
        model.generation_config.update(eos_token_id=end, forced_eos_token_id=end, max_length=64)
        return model

    return _write(folder, make, _both("Donut", reader, words))


def save_tiny_llava(folder: Path) -> Path:
    """Write a LLaVA: a Llama with a CLIP for eyes, and a chat template that has parts for images."""
    words = _plain(byte_pairs(extra=("<image>",), max_tokens=256, ends=False))
    image = words.convert_tokens_to_ids("<image>")
    settings = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**_EYE),
        text_config=transformers.LlamaConfig(
            **_BODY,
            vocab_size=len(words),
            num_key_value_heads=2,
            max_position_embeddings=256,
            **_BYTE_ENDS,
        ),
        image_token_index=image,
        image_seq_length=16,
        vision_feature_layer=-1,
    )
    reader = transformers.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=_SQUARE)
    processor = transformers.LlavaProcessor(
        image_processor=reader,
        tokenizer=words,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_WITH_IMAGES,
    )
    return _write(folder, lambda: transformers.LlavaForConditionalGeneration(settings), processor)


def save_tiny_vilt(folder: Path) -> Path:
    """Write a ViLT that answers questions with one of the labels."""
    words = word_pieces(40)
    settings = transformers.ViltConfig(**_EYE, vocab_size=len(words), max_position_embeddings=40, **_NAMES)
    reader = transformers.ViltImageProcessorPil(size={"shortest_edge": 32}, size_divisor=8)
    return _write(
        folder, lambda: transformers.ViltForQuestionAnswering(settings), _both("Vilt", reader, words)
    )


def save_tiny_layoutlm(folder: Path) -> Path:
    """Write a LayoutLM: it reads words and their boxes, and no image."""
    words = word_pieces(128)
    settings = transformers.LayoutLMConfig(**_BODY, vocab_size=len(words), max_position_embeddings=128)
    return _write(folder, lambda: transformers.LayoutLMForQuestionAnswering(settings), words)


def save_tiny_superglue(folder: Path) -> Path:
    """Write a SuperGlue on a SuperPoint: it finds the dots that two images share."""
    settings = transformers.SuperGlueConfig(
        keypoint_detector_config=transformers.SuperPointConfig(
            **_SPREAD | {"encoder_hidden_sizes": [8, 8, 16, 16], "decoder_hidden_size": 16},
            descriptor_decoder_dim=16,
            max_keypoints=16,
        ),
        hidden_size=16,
        keypoint_encoder_sizes=[8, 16],
        gnn_layers_types=["self", "cross"],
        matching_threshold=0.0,
        initializer_range=0.3,
    )
    reader = transformers.SuperGlueImageProcessorPil(size={"height": 48, "width": 64})
    return _write(folder, lambda: transformers.SuperGlueForKeypointMatching(settings), reader)


def save_tiny_videomae(folder: Path) -> Path:
    """Write a VideoMAE that classifies four frames."""
    settings = transformers.VideoMAEConfig(**_EYE, num_frames=4, tubelet_size=2, **_NAMES)
    reader = transformers.VideoMAEImageProcessorPil(size={"shortest_edge": 32}, crop_size=_SQUARE)
    return _write(folder, lambda: transformers.VideoMAEForVideoClassification(settings), reader)


def _write(folder: Path, make: Callable[[], Any], *readers: Any) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        make().save_pretrained(folder)
    for reader in readers:
        reader.save_pretrained(folder)
    return folder


def _both(kind: str, reader: Any, tokenizer: Any) -> Any:
    return getattr(transformers, f"{kind}Processor")(image_processor=reader, tokenizer=tokenizer)


def _speech(tokenizer: Any) -> dict[str, Any]:
    names = ("bos_token_id", "eos_token_id", "pad_token_id")
    return {name: getattr(tokenizer, name) for name in names} | {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": tokenizer.model_max_length,
    }


def _letters(max_tokens: int) -> Any:
    """CLIP's tokenizer, of single letters."""
    letters = string.ascii_lowercase + string.digits + string.punctuation
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return transformers.CLIPTokenizer(
        vocab={word: index for index, word in enumerate(words)}, merges=[], model_max_length=max_tokens
    )


def _plain(tokenizer: Any) -> Any:
    # These models' forward passes know no types of tokens.
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    return tokenizer


def _resnet(*out: str) -> Any:
    return transformers.ResNetConfig(
        embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic", out_features=list(out)
    )
