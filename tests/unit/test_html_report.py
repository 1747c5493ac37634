"""The page of results: what is on it, that nothing of a result can break it, and that a browser draws it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import report_samples as samples
from page_elements import Elements, text_of

from browser import Browser, browser
from standpipe_bench.report.html import page
from standpipe_bench.results import Point, Result, read

PLOTS = {
    "run": ["percentiles", "latency-over-time", "throughput-over-time", "batches"],
    "sweep": ["load-curve", "percentiles", "latency-over-time", "throughput-over-time", "batches"],
    "search": ["load-curve", "percentiles", "latency-over-time", "throughput-over-time"],
    "matrix": ["percentiles"],
    "compare": ["percentiles", "rounds"],
    "stream": ["percentiles", "latency-over-time", "throughput-over-time"],
}
HOSTILE = '</script><b onclick="alert(1)">&amp;\u2028'
LARGEST = 300_000


def shown(command: str) -> Elements:
    return Elements(page([(command, samples.ALL[command]())]))


def changed(result: Result, change: Callable[[Point], Point]) -> Result:
    return replace(result, points=[change(point) for point in result.points])


@pytest.mark.parametrize(("command", "plots"), PLOTS.items())
def test_only_the_plots_that_apply_appear(command: str, plots: list[str]) -> None:
    elements = shown(command)
    assert plots == [plot["name"] for plot in elements.plots]
    assert plots == [figure.attributes["id"] for figure in elements.named("figure")]


@pytest.mark.parametrize("command", samples.ALL)
def test_every_plot_says_what_it_shows_and_how_to_read_it(command: str) -> None:
    elements = shown(command)
    assert all(title.text.strip() for title in elements.named("h3"))
    assert all(caption.text.strip().endswith(".") for caption in elements.named("figcaption"))
    assert all(place.attributes["aria-label"] for place in elements.named("div", "plot"))


@pytest.mark.parametrize("command", samples.ALL)
def test_a_page_is_small_and_names_no_other_place(command: str) -> None:
    text = page([(command, samples.ALL[command]())])
    assert len(text.encode()) < LARGEST
    assert [] == re.findall(
        r"""(?:src|href)\s*=|url\(|@import|import\(""", re.sub(r"<script>.*?</script>", "", text, flags=re.S)
    )
    assert "default-src 'none'" in text


def test_every_point_has_a_row_with_its_figures() -> None:
    result = samples.sweep()
    text = page([("sweep", result)]).replace("\u00a0", " ")
    rows = [row.partition("</tr>")[0] for row in text.partition('id="points-title"')[2].split("<tr")]
    cells = [re.findall(r">([^<>]+)</", row) for row in rows if "concurrency" in row]
    figures = [(point.labels["concurrency"], point.figures) for point in result.points]
    assert [
        [f"concurrency {concurrency}", f"{each.calls:,}", "none"] for concurrency, each in figures if each
    ] == [[row[0], *row[-3:-1]] for row in cells]


def test_columns_are_there_only_with_something_in_them() -> None:
    streamed, unary = text_of(shown("stream").named("thead")), text_of(shown("run").named("thead"))
    for heading in ("first message, ms", "gap between messages, ms", "tokens written"):
        assert heading in streamed
        assert heading not in unary
    assert "usage" in unary
    assert "usage" not in streamed


def test_usage_and_errors_are_told() -> None:
    text = text_of(shown("run").named("main"))
    assert "3.41 cores busy, 0.81 GB; GPU 0: 62 % busy, 2.1 GB, 140 W; processor 95 W" in text
    assert "RESOURCE_EXHAUSTED" in text


def test_an_absent_point_says_why() -> None:
    elements = shown("matrix")
    absent = elements.named("td", "absent")
    reasons = {each.text.strip() for each in absent}
    # 2 models × 2 paths × 3 batches in two heat-maps, and a row for each model in the table of points.
    assert (26, {"no XPU device"}) == (len(absent), reasons)
    assert 24 == len([each for each in absent if each.attributes.get("title") == "no XPU device"])


def test_a_heat_map_marks_the_best_of_each_row() -> None:
    best = shown("matrix").named("td", "best")
    assert 24 == len(best)
    assert {"1.000"} <= {each.attributes["style"].rpartition(":")[2] for each in best}


def test_a_comparison_shows_ratios_intervals_and_verdicts() -> None:
    verdicts = ("regression", "improvement", "unclear", "no-change")
    rows = text_of([row for row in shown("compare").named("tr") if row.attributes.get("class") in verdicts])
    assert [
        "p50 ms regression 1.093 1.071–1.115",
        "p99 ms unclear 1.080 0.970–1.210",
        "first message p50 ms improvement 0.910 0.880–0.940",
        "throughput calls/s no change 1.002 0.996–1.009",
    ] == rows.splitlines()


def test_an_interval_lies_where_the_scale_says() -> None:
    rows = [each.attributes for each in shown("compare").named("i", "ratio")]
    at = [float(row["style"].removeprefix("left:").removesuffix("%")) for row in rows]
    assert [True, True, False, True] == [place > 50 for place in at]
    assert all(0 <= place <= 100 for place in at)


@pytest.mark.parametrize(
    ("ratio", "row", "marks"),
    [(1.5, "1.500 1.500–1.500", 1), (None, "– –", 0)],
    ids=["no interval", "no ratio"],
)
def test_a_figure_that_is_hardly_comparable_is_shown_too(ratio: float | None, row: str, marks: int) -> None:
    metric = {"name": "p99", "unit": "ms", "ratio": ratio, "low": None, "high": None, "verdict": "unclear"}
    elements = Elements(page([("compare", replace(samples.compare(), found={"metrics": [metric]}))]))
    assert f"p99 ms unclear {row}" == text_of(elements.named("tr", "unclear"))
    assert marks == len(elements.named("i", "ratio"))


@pytest.mark.parametrize(
    ("command", "warnings"),
    [
        ("run", []),
        (
            "search",
            [
                "Broken off: partial search: points may be missing, and the last one may be short",
                "The driver was the bottleneck: these are not the server's figures "
                "rate 800: 3.2% of the calls were sent more than 2 ms late",
            ],
        ),
    ],
)
def test_what_speaks_against_figures_stands_before_them(command: str, warnings: list[str]) -> None:
    assert warnings == text_of(shown(command).named("div", "grave")).splitlines()


def test_points_that_were_not_steady_are_named() -> None:
    unsteady = changed(
        samples.run(),
        lambda point: replace(point, figures=point.figures and replace(point.figures, steady=False)),
    )
    warning = text_of(Elements(page([("run", unsteady)])).named("div", "warning"))
    assert warning.startswith("Not steady")
    assert warning.endswith("EmbedText")


def test_a_best_figure_is_never_the_drivers() -> None:
    # Of the rates that were tried, 800 answered most, but there the driver was the bottleneck.
    result = replace(samples.search(), command="sweep")
    assert "697 calls/s most throughput, at rate 700" in text_of(Elements(page([("x", result)])).named("li"))


def test_a_search_without_success_says_so() -> None:
    result = replace(samples.search(), found={"rate": None, "slo": "p99<1ms"})
    assert "none of the rates that were tried kept p99<1ms" in text_of(
        Elements(page([("x", result)])).named("li")
    )


def test_lines_of_loads_go_from_little_to_much_in_whatever_order_they_were_tried() -> None:
    series = shown("search").plots[1]["series"]
    assert isinstance(series, list)
    wanted = [f"rate {rate}" for rate in (100, 200, 400, 600, 650, 700, 800)]
    assert wanted == [each["name"] for each in series]
    assert [f"s{step}" for step in (0, 1, 2, 4, 5, 6, 7)] == [each["colour"] for each in series]


def test_the_slo_is_drawn_where_it_lies() -> None:
    assert [{"at": 50.0, "text": "p99<50ms"}] == shown("search").plots[0]["marks"]


def test_an_slo_that_says_nothing_here_is_no_error() -> None:
    result = replace(samples.search(), found={"rate": 650.0, "slo": "joy>9000"})
    assert [] == Elements(page([("search", result)])).plots[0]["marks"]


@pytest.mark.parametrize("command", samples.ALL)
def test_nothing_of_a_result_breaks_the_page(command: str) -> None:
    plain = samples.ALL[command]()
    metric = {"name": HOSTILE, "unit": HOSTILE, "ratio": 1.2, "low": 1.1, "high": 1.3, "verdict": HOSTILE}
    hostile = replace(
        changed(
            plain,
            lambda point: replace(
                point,
                labels={HOSTILE if key == "words" else key: value for key, value in point.labels.items()}
                | {"model": HOSTILE, HOSTILE: f"{len(point.labels)}{HOSTILE}{point.labels}"},
                target=HOSTILE,
                usage={HOSTILE: HOSTILE},
                absent=HOSTILE if point.absent else "",
            ),
        ),
        environment={"processor": HOSTILE, HOSTILE: {HOSTILE: HOSTILE}, "time": HOSTILE},
        settings={HOSTILE: [HOSTILE]},
        found={"metrics": [metric], "slo": HOSTILE, "rate": 1.0},
    )
    elements = Elements(page([(HOSTILE, hostile)]))
    assert [] == elements.named("b")
    assert [] == [each.tag for each in elements.all if "onclick" in each.attributes]
    assert 3 == len(elements.named("script"))
    assert HOSTILE in text_of(elements.named("td")) + elements.named("title")[0].text


def test_results_side_by_side_share_plots_and_keep_their_names() -> None:
    elements = Elements(page([("before", samples.sweep()), ("after", samples.sweep())]))
    series = elements.plots[0]["series"]
    assert isinstance(series, list)
    assert ["before · p99", "before · p50", "after · p99", "after · p50"] == [each["name"] for each in series]
    assert ["before", "after"] == [
        each.attributes["aria-label"] for each in elements.named("section", "source")
    ]
    assert PLOTS["sweep"] == [plot["name"] for plot in elements.plots]


@pytest.mark.parametrize("names", [[], ["a", "a"]])
def test_results_without_names_of_their_own_are_refused(names: list[str]) -> None:
    with pytest.raises(ValueError, match="results of different names"):
        page([(name, samples.run()) for name in names])


def test_points_alike_in_all_labels_are_told_apart_by_their_order() -> None:
    run = samples.run()
    twice = Elements(page([("run", replace(run, points=[*run.points, *run.points]))]))
    series = twice.plots[0]["series"]
    assert isinstance(series, list)
    assert ["EmbedText (1)", "EmbedText (2)"] == [each["name"] for each in series]


def test_a_result_of_nothing_is_still_a_page() -> None:
    elements = Elements(page([("run", Result("run", {}, [], partial=True))]))
    assert [] == elements.plots
    assert "not recorded" in text_of(elements.named("dd"))
    assert "Broken off: partial" in text_of(elements.named("main"))


def test_a_result_read_from_its_file_gives_the_same_page(tmp_path: Path) -> None:
    result = samples.search()
    result.write(tmp_path / "search.json")
    assert page([("search", result)]) == page([("search", read(tmp_path / "search.json"))])


# What a browser makes of it.

DRAWN = """
[...document.querySelectorAll("figure")].map((figure) => {
  const canvas = figure.querySelector("canvas");
  const whole = [0, 0, canvas.width, canvas.height];
  // Read from a copy: the browser warns of reading what is also drawn on.
  const often = { willReadFrequently: true };
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", often);
  copy.fillStyle = getComputedStyle(document.body).backgroundColor;
  copy.fillRect(...whole);
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(...whole);
  const bytes = (name) => {
    const text = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
  };
  const paper = bytes("paper");
  const plots = JSON.parse(document.getElementById("plots-data").textContent);
  const plot = plots.find((each) => each.name === figure.id);
  const missing = plot.series.filter(({ shown, colour }) => {
    // Bars let the paper through.
    const share = plot.bars ? 0x70 / 255 : 1;
    const wanted = bytes(colour).map((byte, i) => share * byte + (1 - share) * paper[i]);
    for (let at = 0; at < data.length; at += 4)
      if (wanted.every((byte, i) => Math.abs(byte - data[at + i]) < 3)) return false;
    return shown;
  });
  return { name: figure.id, missing: missing.map((series) => series.name) };
})
"""
"""Of each plot the series that ought to be seen and whose colours aren't."""

WIDTHS = "[document.documentElement.scrollWidth, innerWidth]"
VALUES = "[...document.querySelectorAll('#percentiles .u-value')].map(value => value.textContent)"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    found = {}
    for command, make in samples.ALL.items():
        found[command] = folder / f"{command}.html"
        found[command].write_text(page([(command, make())]), encoding="utf-8")
    return found


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (400, "light")])
@pytest.mark.parametrize("command", PLOTS)
def test_a_browser_draws_every_plot(
    command: str, width: int, scheme: str, chromium: Browser, pages: dict[str, Path]
) -> None:
    chromium.show(pages[command], width, scheme)
    drawn = chromium.evaluate(DRAWN)
    assert PLOTS[command] == [plot["name"] for plot in drawn]
    assert [] == [plot for plot in drawn if plot["missing"]]
    assert [width, width] == chromium.evaluate(WIDTHS)
    assert [] == chromium.complaints()
    assert [] == chromium.requests()


def test_a_change_of_scheme_or_width_draws_anew(chromium: Browser, pages: dict[str, Path]) -> None:
    chromium.show(pages["sweep"], 1280, "light")
    chromium.scheme("dark")
    chromium.settle()
    assert [] == [plot for plot in chromium.evaluate(DRAWN) if plot["missing"]]
    chromium.resize(400)
    chromium.settle()
    assert [400, 400] == chromium.evaluate(WIDTHS)
    assert [] == [plot for plot in chromium.evaluate(DRAWN) if plot["missing"]]
    assert [] == chromium.complaints()


def test_values_are_read_and_lines_hidden_by_keyboard(chromium: Browser, pages: dict[str, Path]) -> None:
    chromium.show(pages["run"], 1280, "light")
    assert ["– point to read values", ""] == chromium.evaluate(VALUES)
    chromium.evaluate("document.querySelector('#percentiles .plot').focus()")
    chromium.press("ArrowRight")
    chromium.settle()
    figures = samples.run().points[0].figures
    assert figures is not None
    assert ["0", f"{figures.curve[0][1]:.3g}"] == chromium.evaluate(VALUES)
    pressed = "document.querySelector('#percentiles .u-legend button').getAttribute('aria-pressed')"
    assert "true" == chromium.evaluate(pressed)
    chromium.evaluate("document.querySelector('#percentiles .u-legend button').click()")
    assert "false" == chromium.evaluate(pressed)


def test_a_hostile_result_runs_nothing(chromium: Browser, tmp_path: Path) -> None:
    script = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"
    result = changed(
        samples.sweep(), lambda point: replace(point, labels=dict(point.labels) | {script: script})
    )
    (tmp_path / "page.html").write_text(page([(script, result)]), encoding="utf-8")
    chromium.show(tmp_path / "page.html", 1280, "light")
    assert f"{script} – Standpipe bench" == chromium.evaluate("document.title")
    assert PLOTS["sweep"] == [plot["name"] for plot in chromium.evaluate(DRAWN)]
    assert [] == chromium.complaints()
    assert [] == chromium.requests()


def test_each_model_has_tables_of_its_own_measure() -> None:
    plain = samples.matrix()
    written = [
        replace(point, figures=replace(point.figures, written_per_second=99.0))
        if point.figures and point.labels["model"] == "bert-base"
        else point
        for point in plain.points
    ]
    text = text_of(Elements(page([("matrix", replace(plain, points=written))])).named("h2"))
    for title in (
        "minilm: items per second",
        "minilm: median latency, ms",
        "bert-base: tokens written per second",
        "bert-base: median latency, ms",
    ):
        assert title in text
