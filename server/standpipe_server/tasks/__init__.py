"""One module per task: its messages, its calls, and the head that reads and answers them for a model.

``TASKS`` lists them. Not aware of gRPC, of how models compute, or of how calls are batched.
"""

from __future__ import annotations

from collections.abc import Sequence

from standpipe_server.errors import ModelLoadError
from standpipe_server.kinds import Kind
from standpipe_server.programs import Program
from standpipe_server.tasks.answer_document_question import ANSWER_DOCUMENT_QUESTION
from standpipe_server.tasks.answer_image_question import ANSWER_IMAGE_QUESTION
from standpipe_server.tasks.answer_question import ANSWER_QUESTION
from standpipe_server.tasks.answer_table_question import ANSWER_TABLE_QUESTION
from standpipe_server.tasks.apply_chat_template import APPLY_CHAT_TEMPLATE
from standpipe_server.tasks.base import InputLimits, LiveTask, PieceTask, Session, StreamTask, Task
from standpipe_server.tasks.caption_image import CAPTION_IMAGE
from standpipe_server.tasks.chat import CHAT, STREAM_CHAT
from standpipe_server.tasks.classify_audio import CLASSIFY_AUDIO
from standpipe_server.tasks.classify_audio_zero_shot import CLASSIFY_AUDIO_ZERO_SHOT
from standpipe_server.tasks.classify_image import CLASSIFY_IMAGE
from standpipe_server.tasks.classify_image_zero_shot import CLASSIFY_IMAGE_ZERO_SHOT
from standpipe_server.tasks.classify_text import CLASSIFY_TEXT
from standpipe_server.tasks.classify_text_zero_shot import CLASSIFY_TEXT_ZERO_SHOT
from standpipe_server.tasks.classify_tokens import CLASSIFY_TOKENS
from standpipe_server.tasks.classify_video import CLASSIFY_VIDEO
from standpipe_server.tasks.detect_objects import DETECT_OBJECTS
from standpipe_server.tasks.detect_objects_zero_shot import DETECT_OBJECTS_ZERO_SHOT
from standpipe_server.tasks.embed_image import EMBED_IMAGE
from standpipe_server.tasks.embed_text import EMBED_TEXT
from standpipe_server.tasks.estimate_depth import ESTIMATE_DEPTH
from standpipe_server.tasks.fill_mask import FILL_MASK
from standpipe_server.tasks.generate_audio import GENERATE_AUDIO
from standpipe_server.tasks.generate_image import GENERATE_IMAGE
from standpipe_server.tasks.generate_masks import GENERATE_MASKS
from standpipe_server.tasks.generate_text import GENERATE_TEXT, STREAM_GENERATE_TEXT
from standpipe_server.tasks.generate_video import GENERATE_VIDEO
from standpipe_server.tasks.inpaint_image import INPAINT_IMAGE
from standpipe_server.tasks.match_keypoints import MATCH_KEYPOINTS
from standpipe_server.tasks.rerank_text import RERANK_TEXT
from standpipe_server.tasks.segment_image import SEGMENT_IMAGE
from standpipe_server.tasks.stream_transcribe_audio import STREAM_TRANSCRIBE_AUDIO
from standpipe_server.tasks.summarize_text import SUMMARIZE_TEXT
from standpipe_server.tasks.synthesize_speech import STREAM_SYNTHESIZE_SPEECH, SYNTHESIZE_SPEECH
from standpipe_server.tasks.tokenize import DETOKENIZE, TOKENIZE
from standpipe_server.tasks.transcribe_audio import TRANSCRIBE_AUDIO
from standpipe_server.tasks.transform_image import TRANSFORM_IMAGE
from standpipe_server.tasks.transform_text import TRANSFORM_TEXT
from standpipe_server.tasks.translate_text import TRANSLATE_TEXT

TASKS: tuple[Task, ...] = (
    EMBED_TEXT,
    RERANK_TEXT,
    CLASSIFY_TEXT,
    CLASSIFY_TEXT_ZERO_SHOT,
    CLASSIFY_TOKENS,
    ANSWER_QUESTION,
    ANSWER_TABLE_QUESTION,
    FILL_MASK,
    SUMMARIZE_TEXT,
    TRANSLATE_TEXT,
    TRANSFORM_TEXT,
    GENERATE_TEXT,
    CHAT,
    CLASSIFY_IMAGE,
    CLASSIFY_IMAGE_ZERO_SHOT,
    DETECT_OBJECTS,
    DETECT_OBJECTS_ZERO_SHOT,
    SEGMENT_IMAGE,
    GENERATE_MASKS,
    ESTIMATE_DEPTH,
    EMBED_IMAGE,
    CAPTION_IMAGE,
    ANSWER_IMAGE_QUESTION,
    ANSWER_DOCUMENT_QUESTION,
    MATCH_KEYPOINTS,
    CLASSIFY_VIDEO,
    TRANSCRIBE_AUDIO,
    CLASSIFY_AUDIO,
    CLASSIFY_AUDIO_ZERO_SHOT,
    SYNTHESIZE_SPEECH,
    GENERATE_AUDIO,
    GENERATE_IMAGE,
    TRANSFORM_IMAGE,
    INPAINT_IMAGE,
    GENERATE_VIDEO,
    TOKENIZE,
    DETOKENIZE,
    APPLY_CHAT_TEMPLATE,
)
LIVE_TASKS: tuple[LiveTask, ...] = (STREAM_TRANSCRIBE_AUDIO,)
"""Those that are answered while their requests still come."""

PIECE_TASKS: tuple[PieceTask, ...] = (STREAM_SYNTHESIZE_SPEECH,)
"""Those whose answers are made piece by piece."""

STREAM_TASKS: tuple[StreamTask, ...] = (STREAM_GENERATE_TEXT, STREAM_CHAT)
"""Those whose answers are sent while they are written."""

MODEL_TASKS = {task.name: task for task in TASKS if task.kind is not None and not task.of}
"""The tasks that a model is loaded for, by name."""

SEVERAL = {
    "image-text-to-text": ("text-generation", "image-to-text", "visual-question-answering"),
    "image-to-video": ("text-to-video",),
}
"""Hugging Face names that stand for other tasks, or several, of one model."""

TOKENIZER_TASKS = {task.name: task for task in TASKS if task.kind is None}
"""The tasks of every model's tokenizer, by name."""


def kind_for(names: Sequence[str]) -> Kind | None:
    """The kind of model that serves these tasks; None where no single one can serve them all."""
    first, *others = (MODEL_TASKS[name].kinds for name in names)
    return next((kind for kind in first if all(kind in kinds for kinds in others)), None)


def program_for(names: Sequence[str]) -> Program:
    """What to load a model for that serves these tasks.

    Raises:
        ModelLoadError: No single model can serve them all.
    """
    kind = kind_for(names)
    if kind is None:
        raise ModelLoadError(f"{' and '.join(names)} need models of different kinds")
    served = [task for task in TASKS if task.model_task in names]
    return Program(
        kind=kind,
        task=names[0],
        heads={task.parameters: task.kinds[kind] for task in served},
        tokenizer_heads={task.parameters: task.head for task in TOKENIZER_TASKS.values()},
    )


__all__ = [
    "LIVE_TASKS",
    "MODEL_TASKS",
    "PIECE_TASKS",
    "SEVERAL",
    "STREAM_TASKS",
    "TASKS",
    "TOKENIZER_TASKS",
    "InputLimits",
    "LiveTask",
    "PieceTask",
    "Session",
    "StreamTask",
    "Task",
    "kind_for",
    "program_for",
]
