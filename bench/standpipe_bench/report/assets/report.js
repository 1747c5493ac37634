// Draws the page's plots from the data in it. What is shown, and how it is to be read, was decided before; here
// is only drawing: colours and sizes come from the style sheet, so a change of either draws anew.
"use strict";

(() => {
  const PLOTS = JSON.parse(document.getElementById("plots-data").textContent);
  const DASHES = [[], [7, 4], [2, 3]];
  const BORDERS = ["solid", "dashed", "dotted"];
  const HINT = "– point to read values";
  const NEAR = 0.04; // share of the width within which a line's point is told of

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const font = (size) => `${size}px ${getComputedStyle(document.body).fontFamily}`;

  function number(value) {
    if (value == null) return "–";
    if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en-GB");
    return String(Number(value.toPrecision(3)));
  }

  // A percentile's place: each nine is as wide as the last, so 0, 90, 99 and 99.9 are at 0, 1, 2 and 3.
  const nines = (percentile) => -Math.log10(1 - percentile / 100);
  const percentile = (place) => Number((100 - 100 * 10 ** -place).toPrecision(2 + Math.max(1, Math.ceil(place))));

  function decades(min, max, steps) {
    const found = [];
    for (let power = Math.floor(Math.log10(min)); power <= Math.ceil(Math.log10(max)); power++)
      for (const step of steps) found.push(Number((step * 10 ** power).toPrecision(6)));
    return found;
  }

  // How each kind of scale places values, reaches around them, and names its ticks.
  const SCALES = {
    linear: {
      place: (value) => value,
      range: (min, max) => [0, max > 0 ? max * 1.05 : 1],
      text: number,
    },
    log: {
      place: (value) => (value > 0 ? value : null),
      distr: 3,
      range(min, max) {
        const around = decades(min, max, [1, 1.5, 2, 3, 5, 7]);
        const below = around.filter((tick) => tick <= min * 0.95).pop() ?? min / 2;
        const above = around.find((tick) => tick >= max * 1.05) ?? max * 2;
        return [below, above];
      },
      ticks(min, max) {
        const span = Math.log10(max / min);
        const steps = span < 0.7 ? [1, 1.5, 2, 3, 4, 5, 6, 7, 8] : span < 2 ? [1, 2, 5] : span < 3.5 ? [1, 3] : [1];
        return decades(min, max, steps).filter((tick) => tick >= min * 0.999 && tick <= max * 1.001);
      },
      text: number,
    },
    nines: {
      place: (value) => (value < 100 ? nines(value) : null),
      range: (min, max) => [0, Math.max(1, max)],
      ticks: (min, max) => [0, nines(50), 1, 2, 3, 4, 5, 6].filter((tick) => tick <= max * 1.001),
      text: (place) => String(percentile(place)),
    },
    names: {
      place: (value) => value,
      range: (min, max, axis) => [-0.6, axis.names.length - 0.4],
      ticks(min, max, axis, room) {
        const step = Math.max(1, Math.ceil(axis.names.length / room));
        return axis.names.map((_, index) => index).filter((index) => index % step === 0);
      },
      text: (place, axis) => axis.names[place] ?? "",
    },
  };

  // uPlot wants one ascending row of x for all lines; each point gets a column of its own, so none is lost.
  function aligned(lines) {
    const columns = lines.flatMap((line, index) => line.map(([x, y]) => ({ x, y, index })));
    columns.sort((a, b) => a.x - b.x);
    const rows = lines.map((_, index) => columns.map((column) => (column.index === index ? column.y : undefined)));
    return [columns.map((column) => column.x), ...rows];
  }

  function placed(plot) {
    const [across, up] = [SCALES[plot.x.scale], SCALES[plot.y.scale]];
    return plot.series.map((series) =>
      series.x
        .map((x, index) => [across.place(x), series.y[index] == null ? null : up.place(series.y[index])])
        .filter(([x]) => x != null),
    );
  }

  // In the order of the points, which may turn back: beyond its best a server answers less under more load.
  const joined = (line) => (u) => {
    const stroke = new Path2D();
    let gap = true;
    for (const [x, y] of line) {
      if (y != null) stroke[gap ? "moveTo" : "lineTo"](u.valToPos(x, "x", true), u.valToPos(y, "y", true));
      gap = y == null;
    }
    return { stroke, fill: null, clip: null, band: null, gaps: null, flags: 1 };
  };

  // One over the other and translucent: histograms are told apart by where their weight lies.
  const bars = (line) => (u) => {
    const path = new Path2D();
    const bottom = u.valToPos(0, "y", true);
    for (const [x, y] of line) {
      const left = u.valToPos(x - 0.42, "x", true);
      const top = u.valToPos(y, "y", true);
      if (y > 0) path.rect(left, top, u.valToPos(x + 0.42, "x", true) - left, bottom - top);
    }
    return { stroke: path, fill: path, clip: null, band: null, gaps: null, flags: 1 };
  };

  function nearest(u, index, hovered, x) {
    if (index === 0) return hovered;
    const [xs, ys] = [u.data[0], u.data[index]];
    const reach = NEAR * (u.scales.x.max - u.scales.x.min);
    let found = null;
    let least = reach;
    ys.forEach((y, i) => {
      const distance = Math.abs(xs[i] - x);
      if (y != null && distance <= least) [found, least] = [i, distance];
    });
    return found;
  }

  // A button, so that a line can be hidden by keyboard too; the click that it gives is uPlot's.
  function legendName(series) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = series.name;
    button.setAttribute("aria-pressed", String(series.shown));
    return button;
  }

  function seriesOf(plot, series, line) {
    const stroke = colour(series.colour);
    return {
      label: legendName(series),
      show: series.shown,
      stroke,
      fill: plot.bars ? `${stroke}70` : undefined,
      width: plot.bars ? 1 : 2,
      dash: DASHES[series.dash],
      paths: plot.bars ? bars(line) : joined(line),
      points: { show: series.dots && !plot.bars, size: 6, width: 1.5, fill: colour("paper"), stroke },
      value: (u, value) => (value == null ? "" : number(value)),
    };
  }

  function axisOf(axis, vertical) {
    const scale = SCALES[axis.scale];
    const quiet = { stroke: colour("grid"), width: 1 };
    const found = {
      label: axis.label,
      labelFont: font(12),
      font: font(12),
      stroke: colour("soft"),
      grid: { ...quiet, show: vertical || axis.scale !== "names" },
      ticks: { show: false },
      gap: 6,
      labelSize: 22,
      filter: (u, splits) => splits,
      values: (u, splits) => splits.map((split) => (split == null ? "" : scale.text(split, axis))),
      size: vertical
        ? (u, values) => 14 + 7.2 * Math.max(2, ...(values ?? []).map((value) => value.length))
        : 30,
    };
    if (scale.ticks)
      found.splits = (u, _, min, max) => scale.ticks(min, max, axis, Math.max(2, Math.floor(u.width / 44)));
    else found.space = vertical ? 40 : 70;
    return found;
  }

  function onCanvas(u, paint) {
    const { ctx } = u;
    ctx.save();
    ctx.font = font(11 * devicePixelRatio);
    ctx.textBaseline = "alphabetic";
    paint(ctx, devicePixelRatio);
    ctx.restore();
  }

  // With a rim of the paper's colour, so that it can be read over lines.
  function write(ctx, text, x, y) {
    ctx.setLineDash([]);
    ctx.lineWidth = 4 * devicePixelRatio;
    ctx.lineJoin = "round";
    ctx.strokeStyle = colour("paper");
    ctx.strokeText(text, x, y);
    ctx.fillText(text, x, y);
  }

  const levels = (plot) => (u) =>
    onCanvas(u, (ctx, pixel) => {
      const { left, width } = u.bbox;
      for (const mark of plot.marks) {
        const at = u.valToPos(mark.at, "y", true);
        ctx.strokeStyle = ctx.fillStyle = colour("grave");
        ctx.setLineDash([4 * pixel, 4 * pixel]);
        ctx.lineWidth = pixel;
        ctx.beginPath();
        ctx.moveTo(left, at);
        ctx.lineTo(left + width, at);
        ctx.stroke();
        ctx.textAlign = "left";
        write(ctx, mark.text, left + 6 * pixel, at - 5 * pixel);
      }
    });

  // Beside the points; where two texts would touch, the first stays.
  const pointTexts = (plot, lines) => (u) =>
    onCanvas(u, (ctx, pixel) => {
      const taken = [];
      ctx.textAlign = "center";
      ctx.fillStyle = colour("soft");
      plot.series.forEach((series, index) => {
        if (!u.series[index + 1].show) return;
        series.texts.forEach((text, i) => {
          const [x, y] = lines[index][i];
          if (y == null) return;
          const [left, top] = [u.valToPos(x, "x", true), u.valToPos(y, "y", true) - 9 * pixel];
          const room = ctx.measureText(text).width + 4 * pixel;
          const apart = (other) => Math.abs(other.left - left) > room || Math.abs(other.top - top) > 12 * pixel;
          if (!taken.every(apart)) return;
          taken.push({ left, top });
          write(ctx, text, left, top);
        });
      });
    });

  function rangeOf(axis) {
    // Without any value there is still a scale.
    return (u, min, max) => (min == null ? [1, 10] : SCALES[axis.scale].range(min, max, axis));
  }

  // All values count for a scale, hidden lines' too: showing one mustn't move the others.
  function reach(lines, side, more = []) {
    const all = [...lines.flatMap((line) => line.map((point) => point[side])), ...more];
    const values = all.filter((value) => value != null);
    return values.length ? [Math.min(...values), Math.max(...values)] : [null, null];
  }

  function draw(plot, place) {
    const lines = placed(plot);
    const xs = reach(lines, 0);
    const ys = reach(lines, 1, plot.marks.map((mark) => mark.at));
    const across = SCALES[plot.x.scale];
    const options = {
      width: place.clientWidth,
      height: heightOf(place),
      padding: [16, 24, 0, 0],
      scales: {
        x: { time: false, range: (u) => rangeOf(plot.x)(u, ...xs) },
        y: { distr: SCALES[plot.y.scale].distr ?? 1, range: (u) => rangeOf(plot.y)(u, ...ys) },
      },
      axes: [axisOf(plot.x, false), axisOf(plot.y, true)],
      series: [
        { label: plot.x.label, value: (u, value) => (value == null ? HINT : across.text(value, plot.x)) },
        ...plot.series.map((series, index) => seriesOf(plot, series, lines[index])),
      ],
      cursor: {
        dataIdx: nearest,
        drag: { x: false, y: false },
        y: false,
        points: { size: 9, width: 2, fill: (u, index) => u.series[index].stroke(u, index) },
      },
      legend: {
        markers: {
          width: 3,
          stroke: (u, index) => colour(plot.series[index - 1].colour),
          dash: (u, index) => BORDERS[plot.series[index - 1].dash],
          fill: () => "transparent",
        },
      },
      hooks: {
        draw: [levels(plot), pointTexts(plot, lines)],
        setSeries: [
          (u, index, changed) => {
            if (changed.show == null) return;
            plot.series[index - 1].shown = changed.show;
            u.series[index].label.setAttribute("aria-pressed", String(changed.show));
          },
        ],
      },
    };
    const drawn = new uPlot(options, aligned(lines), place);
    drawn.ctx.canvas.setAttribute("role", "img");
    drawn.ctx.canvas.setAttribute("aria-label", `${plot.title}: ${plot.y.label} by ${plot.x.label}`);
    return drawn;
  }

  const heightOf = (place) => (place.clientWidth < 480 ? 270 : 330);

  // Left and right go from value to value, as the pointer does.
  function move(u, key) {
    const xs = [...new Set(u.data[0])];
    const now = u.cursor.left >= 0 ? u.posToVal(u.cursor.left, "x") : -Infinity;
    const slack = (u.scales.x.max - u.scales.x.min) * 1e-6;
    const next = {
      ArrowRight: () => xs.find((x) => x > now + slack) ?? xs.at(-1),
      ArrowLeft: () => xs.findLast((x) => x < now - slack) ?? xs[0],
    }[key];
    if (!next || !xs.length) return false;
    u.setCursor({ left: u.valToPos(next(), "x"), top: u.over.clientHeight / 2 });
    return true;
  }

  const places = [...document.querySelectorAll("[data-plot]")];
  const drawn = new Map();

  function drawAll() {
    for (const place of places) {
      drawn.get(place)?.destroy();
      drawn.set(place, draw(PLOTS[Number(place.dataset.plot)], place));
    }
  }

  function fit() {
    for (const [place, u] of drawn)
      if (place.clientWidth !== u.width) u.setSize({ width: place.clientWidth, height: heightOf(place) });
  }

  drawAll();
  for (const place of places)
    place.addEventListener("keydown", (event) => {
      if (event.target === place && move(drawn.get(place), event.key)) event.preventDefault();
    });
  new ResizeObserver(() => requestAnimationFrame(fit)).observe(document.body);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  addEventListener("beforeprint", () => {
    document.documentElement.dataset.print = "";
    drawAll();
  });
  addEventListener("afterprint", () => {
    delete document.documentElement.dataset.print;
    drawAll();
  });
})();
