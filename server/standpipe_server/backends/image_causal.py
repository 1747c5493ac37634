"""Prompts with images, for causal models that read them.

Not aware of tasks, nor of how the text is written: what the model reads beside tokens goes with the job.
"""

from __future__ import annotations

from typing import Any

import transformers

from standpipe_server.backends.causal import CausalReader
from standpipe_server.backends.engines import Job
from standpipe_server.backends.sources import Source
from standpipe_server.errors import InvalidInputError
from standpipe_server.media.images import TOGETHER, check_together
from standpipe_server.programs import CausalPrompt, Writing

# Of what a processor makes, these are the prompt's own.
_TOKENS = ("input_ids", "attention_mask")


class ImageCausalReader(CausalReader):
    """A model's processor, beside what a causal model has; used by one thread.

    Args:
        source: Of the model's files.
        config: Its transformers config.
        generation_config: Its transformers generation config.
    """

    def __init__(self, source: Source, config: Any, generation_config: Any) -> None:
        super().__init__(source, config.get_text_config(), generation_config)
        self._processor = transformers.AutoProcessor.from_pretrained(source.folder)

    @property
    def template(self) -> Any:
        return self._processor

    def job(self, prompt: CausalPrompt, writing: Writing) -> Job:
        if not prompt.images:
            return super().job(prompt, writing)
        check_together(prompt.images, TOGETHER * prompt.images[0].max_pixels)
        images = [image.open() for image in prompt.images]
        # As the library has it: a template that begins a text itself needs no token for that.
        begun = bool(self.tokenizer.bos_token) and prompt.text.startswith(self.tokenizer.bos_token)
        try:
            inputs = self._processor(
                text=[prompt.text], images=images, return_tensors="pt", add_special_tokens=not begun
            )
        # What the library says of a picture's shape, or of places that don't go with the pictures.
        except ValueError as error:
            raise InvalidInputError(f"the model can't read the images: {error}") from error
        beside = {name: value for name, value in inputs.items() if name not in _TOKENS}
        return self.job_of(inputs["input_ids"][0].tolist(), writing, beside)
