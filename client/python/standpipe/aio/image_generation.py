"""ImageGenerationService's methods."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, Unpack

from standpipe.aio.connection import AsyncConnection
from standpipe.calls import StreamRpc
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
from standpipe.streams import AsyncMessageStream

if TYPE_CHECKING:
    from PIL.Image import Image

P = ParamSpec("P")
R = TypeVar("R")


class AsyncImageGenerationMethods(AsyncConnection):
    """The methods of ImageGenerationService.

    Files are read, and pictures written and decoded, on a thread beside the event loop. Callbacks are called
    on the loop, and may be coroutine functions.
    """

    async def generate_image(
        self,
        prompt: str,
        *,
        on_progress: OnProgress | None = None,
        on_preview: OnPreview | None = None,
        timeout: float | None = None,
        **options: Unpack[GenerateImageOptions],
    ) -> list[Image]:
        """What a text describes, as a model draws it: one picture, or ``num_images_per_prompt``."""
        told = {"progress": on_progress, "preview": on_preview}
        asked = previewed(options, on_preview)
        return await self._draw(calls.GENERATE_IMAGE, told, timeout, prompt, **asked)

    async def transform_image(
        self,
        image: ImageSource,
        prompt: str,
        *,
        on_progress: OnProgress | None = None,
        on_preview: OnPreview | None = None,
        timeout: float | None = None,
        **options: Unpack[TransformImageOptions],
    ) -> list[Image]:
        """A picture, drawn anew as a text describes."""
        told = {"progress": on_progress, "preview": on_preview}
        asked = previewed(options, on_preview)
        return await self._draw(calls.TRANSFORM_IMAGE, told, timeout, image, prompt, **asked)

    async def inpaint_image(
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
        """A picture, a part of it drawn anew as a text describes."""
        told = {"progress": on_progress, "preview": on_preview}
        asked = previewed(options, on_preview)
        return await self._draw(calls.INPAINT_IMAGE, told, timeout, image, mask_image, prompt, **asked)

    async def generate_video(
        self,
        prompt: str = "",
        *,
        image: ImageSource | None = None,
        on_progress: OnProgress | None = None,
        timeout: float | None = None,
        **options: Unpack[GenerateVideoOptions],
    ) -> Video:
        """A film of what a text describes, or of a picture."""
        rpc = calls.generate_video(options.get("format"))
        return await self._draw(rpc, {"progress": on_progress}, timeout, prompt, image, **options)

    async def _draw(
        self,
        rpc: StreamRpc[P, Any, calls.Told, R],
        callbacks: Mapping[str, Callable[..., object] | None],
        timeout: float | None,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        result = None
        request = await asyncio.to_thread(rpc.request, *args, **kwargs)
        async with AsyncMessageStream[Any](*self._streaming(rpc.method(self), request, timeout)) as messages:
            async for message in messages:
                event = message.WhichOneof("event")
                if event == rpc.end:
                    result = getattr(message, event)
                elif (callback := callbacks.get(event)) is not None:
                    outcome = callback(*await asyncio.to_thread(rpc.deltas[event], getattr(message, event)))
                    if isawaitable(outcome):
                        await outcome
        return await asyncio.to_thread(rpc.join, (), calls.ended(result))
