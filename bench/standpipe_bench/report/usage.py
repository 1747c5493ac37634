"""What a run took of the machine, in a few words. Not aware of how it was found out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def used(usage: Mapping[str, Any]) -> Iterator[str]:
    """A part for the server, one for each GPU, one for the processor's energy; only what is known.

    Args:
        usage: As ``usage.Usage.used`` gives it.
    """
    if server := usage.get("server"):
        yield f"{server['cores_busy']:.2f} cores busy, {server['rss_peak_bytes'] / 1e9:.2f} GB"
    for gpu in usage.get("gpus", ()):
        figures = (
            (gpu["utilization_percent"], "{:.0f} % busy"),
            (gpu["memory_peak_bytes"] and gpu["memory_peak_bytes"] / 1e9, "{:.1f} GB"),
            (gpu["power_watts"], "{:.0f} W"),
        )
        known = [words.format(figure) for figure, words in figures if figure is not None]
        yield f"GPU {gpu['index']}: {', '.join(known)}"
    if joules := usage.get("package_energy_joules"):
        yield f"processor {joules / usage['seconds']:.0f} W"
