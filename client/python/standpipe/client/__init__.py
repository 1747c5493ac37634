"""The synchronous client."""

from standpipe.client.audio import AudioMethods
from standpipe.client.generation import GenerationMethods
from standpipe.client.image_generation import ImageGenerationMethods
from standpipe.client.models import ModelMethods
from standpipe.client.text import TextMethods
from standpipe.client.tokenizers import TokenizerMethods
from standpipe.client.vision import VisionMethods


class Client(
    TextMethods,
    GenerationMethods,
    TokenizerMethods,
    VisionMethods,
    AudioMethods,
    ImageGenerationMethods,
    ModelMethods,
):
    """Calls a Standpipe server; safe to share between threads.

    Args:
        address: ``host:port``, a list of them that calls are spread over, or any gRPC target.
        timeout: Seconds that a call may take unless it says otherwise.
        credentials: For TLS, with one address; None for plain text.
        retry: Retry calls that met UNAVAILABLE.
        metadata: Sent with every call, such as an authorization header.

    Every method raises CallError where the server, or the way to it, refuses, ValueError for a word that the
    contract doesn't have, and TypeError for one text, image or sound where a list is meant. What is returned
    keeps the order of what was given.

    The methods return what was asked for. The whole response (``metadata``: which model, how long, how many
    tokens) comes from ``call`` with a message of ``standpipe.v1`` and a method of a generated stub; these are
    the attributes ``text``, ``generation``, ``tokenizers``, ``vision``, ``audio``, ``image_generation`` and
    ``models``:

    >>> request = text_pb2.ClassifyTextRequest(texts=["Fine."])  # doctest: +SKIP
    >>> client.call(client.text.ClassifyText, request).metadata.compute_duration  # doctest: +SKIP

    Where an RPC streams its answer, ``stream`` is what ``call`` is elsewhere.
    """
