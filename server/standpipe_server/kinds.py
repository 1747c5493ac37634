"""The kinds of models that tasks need: which classes of the libraries load them, and how they run.

Not aware of tasks, nor of any library: classes are named, not imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of model.

    Attributes:
        way: How it runs: ``encoder`` is one tokenizer call, one forward pass and numpy; ``image`` is the same
            with an image processor; ``image_text`` is a processor of both, and ``generate`` or a forward
            pass; ``seq2seq`` is batched ``generate``; ``causal`` is an engine that batches token by token;
            ``image_causal`` is the same for prompts with images; ``sound`` makes sound of text; ``pipeline``
            is the library's own pipeline object; ``diffusion`` is a pipeline of diffusers.
        transformers: The class that loads it; of diffusers for ``diffusion``.
        optimum: The class that exports it to OpenVINO; empty where there is none. Models that read images
            need none.
        outputs: What a forward pass gives, by name.
        others: Classes that load what the first one doesn't know.
        readers: What a pipeline object reads with, as its own arguments are called.
        precise: Its models lose what they make in half precision: where nothing else is asked for they run
            in full.
    """

    way: Literal[
        "encoder",
        "image",
        "image_text",
        "seq2seq",
        "causal",
        "image_causal",
        "sound",
        "pipeline",
        "diffusion",
    ]
    transformers: str
    optimum: str = ""
    outputs: tuple[str, ...] = ("logits",)
    others: tuple[str, ...] = ()
    readers: tuple[str, ...] = ("image_processor",)
    precise: bool = False

    @property
    def tokenizes(self) -> bool:
        """Whether its models read texts by a tokenizer that can be asked by itself."""
        # What a pipeline object reads with needn't be one: TAPAS' reads tables.
        return self.way in ("encoder", "seq2seq", "causal", "image_causal")

    @property
    def exports(self) -> bool:
        """Whether there is a way to OpenVINO's format."""
        return bool(self.optimum) or self.way == "image"


FEATURES = Kind("encoder", "AutoModel", "OVModelForFeatureExtraction", ("last_hidden_state",))
SEQUENCE_CLASSIFIER = Kind(
    "encoder", "AutoModelForSequenceClassification", "OVModelForSequenceClassification"
)
TOKEN_CLASSIFIER = Kind("encoder", "AutoModelForTokenClassification", "OVModelForTokenClassification")
MASKED_LANGUAGE_MODEL = Kind("encoder", "AutoModelForMaskedLM", "OVModelForMaskedLM")
SPAN_CLASSIFIER = Kind(
    "encoder", "AutoModelForQuestionAnswering", "OVModelForQuestionAnswering", ("start_logits", "end_logits")
)
SEQ2SEQ = Kind("seq2seq", "AutoModelForSeq2SeqLM", "OVModelForSeq2SeqLM")
CAUSAL = Kind("causal", "AutoModelForCausalLM", "OVModelForCausalLM")
IMAGE_CHAT = Kind("image_causal", "AutoModelForImageTextToText")
TABLE_READER = Kind("pipeline", "AutoModelForTableQuestionAnswering", readers=("tokenizer",))
IMAGE_CLASSIFIER = Kind("image", "AutoModelForImageClassification")
IMAGE_FEATURES = Kind("image", "AutoModel", outputs=("last_hidden_state", "pooler_output"))
ZERO_SHOT_IMAGE_CLASSIFIER = Kind(
    "pipeline", "AutoModelForZeroShotImageClassification", readers=("image_processor", "tokenizer")
)
OBJECT_DETECTOR = Kind("pipeline", "AutoModelForObjectDetection")
ZERO_SHOT_OBJECT_DETECTOR = Kind(
    "pipeline", "AutoModelForZeroShotObjectDetection", readers=("image_processor", "tokenizer")
)
SEGMENTER = Kind(
    "pipeline",
    "AutoModelForImageSegmentation",
    others=(
        "AutoModelForSemanticSegmentation",
        "AutoModelForInstanceSegmentation",
        "AutoModelForUniversalSegmentation",
    ),
)
MASK_GENERATOR = Kind("pipeline", "AutoModelForMaskGeneration")
DEPTH_ESTIMATOR = Kind("pipeline", "AutoModelForDepthEstimation")
KEYPOINT_MATCHER = Kind("pipeline", "AutoModelForKeypointMatching")
VIDEO_CLASSIFIER = Kind("image", "AutoModelForVideoClassification")
DOCUMENT_READER = Kind(
    "pipeline",
    "AutoModelForDocumentQuestionAnswering",
    others=("AutoModelForImageTextToText",),
    readers=("tokenizer", "image_processor"),
)
IMAGE_WRITER = Kind("image_text", "AutoModelForImageTextToText")
IMAGE_ANSWERER = Kind(
    "image_text", "AutoModelForVisualQuestionAnswering", others=("AutoModelForImageTextToText",)
)
SPEECH_RECOGNIZER = Kind(
    "pipeline",
    "AutoModelForSpeechSeq2Seq",
    others=("AutoModelForCTC",),
    readers=("feature_extractor", "tokenizer"),
)
AUDIO_CLASSIFIER = Kind("pipeline", "AutoModelForAudioClassification", readers=("feature_extractor",))
ZERO_SHOT_AUDIO_CLASSIFIER = Kind("pipeline", "AutoModel", readers=("feature_extractor", "tokenizer"))
SPEAKER = Kind("sound", "AutoModelForTextToWaveform", others=("AutoModelForTextToSpectrogram",), precise=True)
SOUND_MAKER = Kind("sound", "AutoModelForTextToWaveform")
DIFFUSER = Kind("diffusion", "DiffusionPipeline", "OVDiffusionPipeline")
