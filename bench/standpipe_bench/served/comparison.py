"""Figures that stand side by side, and what they are to show.

The machines that this runs on are shared, and their speed drifts: only figures of one round are compared,
and the ratios' median and spread over the rounds are what counts.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field


@dataclass(slots=True)
class Comparison:
    """Served calls against the same in-process.

    Attributes:
        name: What was compared.
        in_process: By round, with its unit in the name.
        served: The same.
    """

    name: str
    in_process: list[float] = field(default_factory=list)
    served: list[float] = field(default_factory=list)

    def ratios(self) -> list[float]:
        """Served against in-process, round by round."""
        return [served / alone for served, alone in zip(self.served, self.in_process, strict=True)]

    def differences(self) -> list[float]:
        """Served less in-process, round by round."""
        return [served - alone for served, alone in zip(self.served, self.in_process, strict=True)]


@dataclass(frozen=True, slots=True)
class Goal:
    """A comparison whose ratio is to reach something.

    Attributes:
        comparison: Items a second.
        against: How the library was called.
        wanted: The least median of the ratios.
    """

    comparison: Comparison
    against: str
    wanted: float

    def ratio(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.comparison.ratios())

    def met(self) -> bool:
        """Whether the ratio is reached."""
        return self.ratio() >= self.wanted
