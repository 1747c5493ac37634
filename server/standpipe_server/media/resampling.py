"""Samples at one rate to samples at another, whole or as they come.

soxr does it: nothing folds back into what is heard, an awkward ratio takes no longer than a plain one, and
chunks give what the whole gives. Not aware of files, messages, models or tasks.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import soxr
from numpy.typing import NDArray

# What transformers reads files with, too; its better ones differ by less than 16 bits can say.
_QUALITY = "HQ"


class StreamResampler:
    """Takes one channel as it comes and gives it at another rate, some hundredths of a second later.

    Args:
        rate_in: Samples a second that are fed.
        rate_out: Samples a second that are given.
    """

    def __init__(self, rate_in: int, rate_out: int) -> None:
        same = rate_in == rate_out
        self._stream = None if same else soxr.ResampleStream(rate_in, rate_out, 1, "float32", _QUALITY)

    def feed(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the next samples, and give what is certain by now: maybe nothing."""
        return self._through(samples, last=False)

    def finish(self) -> NDArray[np.float32]:
        """Give what is left; nothing can be fed any more."""
        return self._through(np.empty(0, np.float32), last=True)

    def _through(self, samples: NDArray[np.float32], *, last: bool) -> NDArray[np.float32]:
        if self._stream is None:
            return samples
        return cast("NDArray[np.float32]", self._stream.resample_chunk(samples, last=last))
