"""Results as one page: tables that stand by themselves, and plots that a small script draws.

Everything is inside the page, and its policy forbids it to fetch anything. What comes from results is
escaped, and only the page's own scripts run: the policy knows them by their hashes. Not aware of how figures
are found.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from standpipe_bench.report.entries import Named, entries, measured
from standpipe_bench.report.forest import forests
from standpipe_bench.report.heatmap import heatmaps
from standpipe_bench.report.plots import plots
from standpipe_bench.report.points import table
from standpipe_bench.report.summary import source, warnings


def page(results: Sequence[Named]) -> str:
    """A page of one result, or of some side by side.

    Args:
        results: Each with the name by which the reader knows it: the stem of its file.

    Raises:
        ValueError: There are none, or two of one name.
    """
    names = [name for name, _ in results]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"a page needs results of different names, not {names}")
    points = entries(results)
    scripts = [_script("uPlot.iife.min.js", licence="uPlot.LICENSE"), _script("report.js")]
    return _TEMPLATES.get_template("report.html.j2").render(
        sources=[source(named) for named in results],
        warnings=warnings(results, points),
        table=table(points),
        plots=[asdict(plot) for plot in plots(measured(points))],
        heatmaps=heatmaps(points),
        forests=forests(results),
        styles=[Markup(_asset(name)) for name in ("uPlot.min.css", "report.css")],  # noqa: S704
        scripts=scripts,
        policy=" ".join(f"'sha256-{_hash(script)}'" for script in scripts),
    )


_TEMPLATES = Environment(
    loader=PackageLoader("standpipe_bench.report", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def _unbroken(name: str) -> str:
    """A point's name, which a line may end only between its labels."""
    return "\u00a0· ".join(part.replace(" ", "\u00a0") for part in name.split(" · "))


_TEMPLATES.filters["unbroken"] = _unbroken


def _script(name: str, licence: str = "") -> Markup:
    # A licence goes with every copy of what it covers, and the page is one.
    notice = f"/*\n{_asset(licence)}*/\n" if licence else ""
    return Markup(f"\n{notice}{_asset(name)}")  # noqa: S704


def _asset(name: str) -> str:
    return files("standpipe_bench.report").joinpath("assets", name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
