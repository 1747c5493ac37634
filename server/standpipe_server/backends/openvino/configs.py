"""What a job asks of openvino-genai, as that library has it: its names, its limits, its forms.

Not aware of the pipeline: a job is checked where there is none.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Any

import openvino_genai as genai

from standpipe_server.backends.constraints import Constraints
from standpipe_server.backends.engines import Job
from standpipe_server.backends.openvino.schemas import held
from standpipe_server.errors import InvalidInputError
from standpipe_server.programs import Constraint

Usual = Callable[[], Any]
"""Makes a GenerationConfig as the model's own files say."""

# What it doesn't have; the rest it calls as transformers does.
_UNKNOWN = ("typical_p",)
# Where transformers takes 0 for no limit, it takes the largest number.
_ZERO_IS_NONE = ("no_repeat_ngram_size", "top_k")
_NONE = (1 << 64) - 1
# Where transformers takes 1, the best token only, it stops short.
_BELOW_ONE = 1 - 2**-24
# What sampling draws from where neither the call nor the model's files say: the library's own figure.
_TOP_K = 50


class Checker:
    """Refuses what the pipeline would, or can't stand.

    Args:
        usual: Of the model.
        constraints: Checks what a text must look like.
        cache_tokens: Tokens that the pipeline's cache of keys and values holds.
    """

    def __init__(self, usual: Usual, constraints: Constraints, cache_tokens: int) -> None:
        self._usual = usual
        self._constraints = constraints
        self._cache_tokens = cache_tokens

    def check(self, job: Job) -> None:
        """See that a job can be done.

        Raises:
            InvalidInputError: Naming the option.
        """
        for name in _UNKNOWN:
            if name in job.options:
                raise InvalidInputError(f"openvino-genai has no {name}", f"parameters.{name}")
        if job.options.get("no_repeat_ngram_size") and job.options.get("num_beams", 1) == 1:
            raise InvalidInputError(
                "openvino-genai has no_repeat_ngram_size with num_beams only",
                "parameters.no_repeat_ngram_size",
            )
        new = job.options.get("num_beams", 1) * job.options["max_new_tokens"]
        if len(job.ids) + new > self._cache_tokens:
            raise InvalidInputError(
                f"the prompt's {len(job.ids)} tokens and {new} new ones are more "
                f"than the {self._cache_tokens} that the cache (kv_cache_gb) holds"
            )
        if job.writing.constraint is not None:
            self._constraints.check(job.writing.constraint)
        try:
            config_of(self._usual, job, 0).validate()
        except RuntimeError as error:
            raise InvalidInputError(last_line(error), "parameters") from error


def config_of(usual: Usual, job: Job, sequence: int) -> Any:
    """A GenerationConfig for one text of a job, or for all of its beams.

    Raises:
        InvalidInputError: Several texts would be the same.
    """
    # It begins as the model's own files say.
    config = usual()
    if config.top_k == _NONE:
        config.top_k = _TOP_K
    for option in job.options.items():
        # By attribute: the method that takes many has no room for the largest number.
        setattr(config, *_translated(option))
    beams = config.num_beams > 1
    if beams:
        config.num_return_sequences = job.writing.sequences
    seed = job.writing.generation.seed
    # A request without a seed draws another text each time.
    config.rng_seed = (secrets.randbits(63) if seed is None else seed + sequence) & _NONE
    config.logprobs = int(job.writing.logprobs)
    if job.writing.constraint is not None:
        config.structured_output_config = _structure(job.writing.constraint)
    if job.writing.sequences > 1 and not beams and not config.do_sample:
        raise InvalidInputError(
            "several texts of one prompt need do_sample or num_beams", "num_return_sequences"
        )
    return config


def _translated(option: tuple[str, Any]) -> tuple[str, Any]:
    """An option of transformers' ``generate`` as it is called here."""
    name, value = option
    if name == "early_stopping":
        return "stop_criteria", genai.StopCriteria.EARLY if value else genai.StopCriteria.HEURISTIC
    if name == "min_p":
        return name, min(value, _BELOW_ONE)
    return name, _NONE if name in _ZERO_IS_NONE and not value else value


def _structure(constraint: Constraint) -> Any:
    if constraint.form == "choices":
        config = genai.StructuredOutputConfig
        choices = [config.ConstString(text) for text in constraint.choices]
        return config(structural_tags_config=choices[0] if len(choices) == 1 else config.Union(choices))
    if constraint.form == "json_schema":
        # Whether it is JSON was checked before.
        return genai.StructuredOutputConfig(json_schema=json.dumps(held(json.loads(constraint.value))))
    return genai.StructuredOutputConfig(**{constraint.form: constraint.value})


def last_line(error: Exception) -> str:
    """What OpenVINO says, without the place in its own sources."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
