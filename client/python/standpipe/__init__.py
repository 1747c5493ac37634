"""The client of Standpipe, typed gRPC inference for Hugging Face pipelines.

>>> import standpipe
>>> with standpipe.Client("127.0.0.1:50051") as client:  # doctest: +SKIP
...     vectors = client.embed_text(["Water stands ready in the pipe."])  # float32, (1, 384)
...     ((best, *others),) = client.classify_text(["What a wonderful film!"])  # Label("POSITIVE", 0.99…)

Needs grpcio, protobuf and numpy only; for images that aren't files yet, or that a model draws, also Pillow.
The messages are in ``standpipe.v1``, and ``standpipe.contract`` lists every RPC.
"""

from standpipe.aio import AsyncClient
from standpipe.audio.results import Sound, SpokenSentence, Transcript, TranscriptEvent, TranscriptPart
from standpipe.client import Client
from standpipe.errors import CallError
from standpipe.image_generation.results import Video
from standpipe.results import (
    Answer,
    ChatAnswer,
    ChatDelta,
    ChatPrompt,
    Entity,
    Fill,
    GeneratedText,
    Label,
    Ranked,
    StreamEnd,
    TableAnswer,
    TextDelta,
    Token,
    TokenLogprob,
    Tokens,
    ToolCall,
    Usage,
)
from standpipe.streams import (
    AsyncMessageStream,
    AsyncResultStream,
    AsyncStream,
    MessageStream,
    ResultStream,
    Stream,
)
from standpipe.vision.results import (
    Box,
    DetectedObject,
    DocumentAnswer,
    GeneratedMask,
    ImageAnswer,
    Keypoint,
    KeypointMatch,
    Segment,
)

__all__ = [
    "Answer",
    "AsyncClient",
    "AsyncMessageStream",
    "AsyncResultStream",
    "AsyncStream",
    "Box",
    "CallError",
    "ChatAnswer",
    "ChatDelta",
    "ChatPrompt",
    "Client",
    "DetectedObject",
    "DocumentAnswer",
    "Entity",
    "Fill",
    "GeneratedMask",
    "GeneratedText",
    "ImageAnswer",
    "Keypoint",
    "KeypointMatch",
    "Label",
    "MessageStream",
    "Ranked",
    "ResultStream",
    "Segment",
    "Sound",
    "SpokenSentence",
    "Stream",
    "StreamEnd",
    "TableAnswer",
    "TextDelta",
    "Token",
    "TokenLogprob",
    "Tokens",
    "ToolCall",
    "Transcript",
    "TranscriptEvent",
    "TranscriptPart",
    "Usage",
    "Video",
]
