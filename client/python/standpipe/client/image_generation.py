"""ImageGenerationService's methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, Unpack

from standpipe.calls import StreamRpc
from standpipe.client.connection import Connection
from standpipe.image_generation import calls
from standpipe.image_generation.callbacks import OnPreview, OnProgress, previewed
from standpipe.image_generation.options import (
    GenerateImageOptions,
    GenerateVideoOptions,
    TransformImageOptions,
)
from standpipe.image_generation.requests import MaskSource
from standpipe.image_generation.results import Video
from standpipe.media import ImageSource
from standpipe.streams import MessageStream

if TYPE_CHECKING:
    from PIL.Image import Image

P = ParamSpec("P")
R = TypeVar("R")


class ImageGenerationMethods(Connection):
    """The methods of ImageGenerationService.

    What is drawn comes as images of Pillow, decoded, and needs ``pip install 'standpipe[images]'``;
    ``image.info["seed"]`` is the seed that draws it again, and ``image.info["nsfw_content_detected"]`` says
    whether the model's safety checker blackened it. An image that is sent may be all that VisionService's may
    be. What a callback raises ends the call, and the server's work at its next step.
    """

    def generate_image(
        self,
        prompt: str,
        *,
        on_progress: OnProgress | None = None,
        on_preview: OnPreview | None = None,
        timeout: float | None = None,
        **options: Unpack[GenerateImageOptions],
    ) -> list[Image]:
        """What a text describes, as a model draws it: one picture, or ``num_images_per_prompt``.

        Args:
            prompt: What it shows.
            on_progress: Called with each step: how many are done, and how many it takes.
            on_preview: Called with what a picture looks like before it is done: which of them it is, how many
                steps are done, and the image; after every ``preview_steps`` steps, or 5 where that isn't
                said. Each takes about as long as a step.
            timeout: Seconds; the client's own where None.
            options: As the fields of GenerateImageRequest and of DiffusionParameters. ``loras`` are names, or
                names with weights: ``{"watercolour": 0.8}``.

        >>> (image,) = client.generate_image("a red bucket", num_inference_steps=30)  # doctest: +SKIP
        >>> image.save("bucket.png")  # doctest: +SKIP
        """
        told = {"progress": on_progress, "preview": on_preview}
        return self._draw(calls.GENERATE_IMAGE, told, timeout, prompt, **previewed(options, on_preview))

    def transform_image(
        self,
        image: ImageSource,
        prompt: str,
        *,
        on_progress: OnProgress | None = None,
        on_preview: OnPreview | None = None,
        timeout: float | None = None,
        **options: Unpack[TransformImageOptions],
    ) -> list[Image]:
        """A picture, drawn anew as a text describes.

        Args:
            image: The picture.
            prompt: What is to become of it.
            on_progress: As for ``generate_image``.
            on_preview: As for ``generate_image``.
            timeout: Seconds; the client's own where None.
            options: As for ``generate_image``, and ``strength``: how little is kept of the picture.
        """
        told = {"progress": on_progress, "preview": on_preview}
        asked = previewed(options, on_preview)
        return self._draw(calls.TRANSFORM_IMAGE, told, timeout, image, prompt, **asked)

    def inpaint_image(
        self,
        image: ImageSource,
        mask_image: MaskSource,
        prompt: str,
        *,
        on_progress: OnProgress | None = None,
        on_preview: OnPreview | None = None,
        timeout: float | None = None,
        **options: Unpack[TransformImageOptions],
    ) -> list[Image]:
        """A picture, a part of it drawn anew as a text describes.

        Args:
            image: The picture.
            mask_image: Where it is drawn anew: an image that is white there and black elsewhere, or an array
                of bool, (height, width), that is True there.
            prompt: What is to be there.
            on_progress: As for ``generate_image``.
            on_preview: As for ``generate_image``.
            timeout: Seconds; the client's own where None.
            options: As for ``transform_image``.
        """
        told = {"progress": on_progress, "preview": on_preview}
        asked = previewed(options, on_preview)
        return self._draw(calls.INPAINT_IMAGE, told, timeout, image, mask_image, prompt, **asked)

    def generate_video(
        self,
        prompt: str = "",
        *,
        image: ImageSource | None = None,
        on_progress: OnProgress | None = None,
        timeout: float | None = None,
        **options: Unpack[GenerateVideoOptions],
    ) -> Video:
        """A film of what a text describes, or of a picture: ``video.save(path)`` writes it.

        Args:
            prompt: What it shows; models that read a picture may do without.
            image: The picture that it begins with, for models that read one.
            on_progress: As for ``generate_image``.
            timeout: Seconds; the client's own where None.
            options: As the fields of GenerateVideoRequest and of DiffusionParameters.
        """
        rpc = calls.generate_video(options.get("format"))
        return self._draw(rpc, {"progress": on_progress}, timeout, prompt, image, **options)

    def _draw(
        self,
        rpc: StreamRpc[P, Any, calls.Told, R],
        callbacks: Mapping[str, Callable[..., object] | None],
        timeout: float | None,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        result = None
        call = self._streaming(rpc.method(self), rpc.request(*args, **kwargs), timeout)
        with MessageStream[Any](*call) as messages:
            for message in messages:
                event = message.WhichOneof("event")
                if event == rpc.end:
                    result = getattr(message, event)
                elif (callback := callbacks.get(event)) is not None:
                    callback(*rpc.deltas[event](getattr(message, event)))
        return rpc.join((), calls.ended(result))
