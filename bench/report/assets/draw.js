/* Drawing. A plot's state is its zoom, its section's hidden kinds and selected trials; drawing again applies it. */

const dark = matchMedia("(prefers-color-scheme: dark)");
const coarse = matchMedia("(pointer: coarse)");
const twins = read("twins"); // light colour -> dark colour
const PRINT_WIDTH = 660;

const recoloured = (value) => {
  if (typeof value === "string") return twins[value] ?? value;
  if (Array.isArray(value)) return value.map(recoloured);
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, recoloured(each)]));
  }
  return value;
};
const colour = (role) => getComputedStyle(document.documentElement).getPropertyValue(`--${role}`).trim();

const zoomed = (layout, changes) => {
  for (const [path, value] of Object.entries(changes)) {
    const [axis, property] = path.split(".");
    if (property === "autorange") delete layout[axis].range;
    layout[axis][property] = value;
  }
};

/* Marks of the selected trials, over all others: where the figure has them, else where its layout says they belong. */
const highlights = (plot, { data, layout }) => {
  const section = sectionOf(plot);
  const ids = selected(section);
  if (!ids.length) return [];
  const wanted = new Map(ids.map((id) => [String(id), []]));
  const ink = colour("text");
  const ring = { symbol: "circle-open", size: 17, color: ink, line: { width: 2.2 } };
  const style = { hoverinfo: "skip", showlegend: false, cliponaxis: false, name: "selected" };
  if (layout.meta?.lines) {
    const lines = ids.map((id) => layout.meta.lines[id]).filter(Boolean);
    const x = lines.flatMap((line) => [...line.keys(), null]);
    const y = lines.flatMap((line) => [...line, null]);
    return [{ ...style, type: "scatter", mode: "lines+markers", x, y, line: { color: ink, width: 3 }, marker: { size: 7, color: ink } }];
  }
  for (const trace of data.filter((each) => each.customdata && each.visible)) {
    trace.customdata.forEach((id, i) => {
      wanted.get(String(id))?.push({ x: trace.x[i], y: trace.y[i], xaxis: trace.xaxis, yaxis: trace.yaxis });
    });
  }
  const trials = cards(section).trials;
  for (const [xaxis, yaxis, i, j] of layout.meta?.panels ?? []) {
    for (const [id, places] of wanted) {
      if (places.some((place) => (place.xaxis ?? "x") === xaxis && (place.yaxis ?? "y") === yaxis)) continue;
      places.push({ x: trials[id].values[i], y: trials[id].values[j], xaxis, yaxis });
    }
  }
  return [...wanted.values()].flat().map(({ x, y, xaxis, yaxis }) =>
    ({ ...style, type: "scatter", mode: "markers", x: [x], y: [y], xaxis, yaxis, marker: ring }));
};

const figureOf = (plot, printing = false) => {
  const figure = read(plot.dataset.figure);
  const { data, layout } = dark.matches && !printing ? recoloured(figure) : figure;
  const hidden = all('.legend button[aria-pressed="false"]', sectionOf(plot)).map((button) => button.dataset.kind);
  for (const trace of data) {
    trace.visible = !hidden.includes(trace.legendgroup);
    if (trace.customdata) Object.assign(trace, { hoverinfo: "none", hovertemplate: null }); // the card shows more
  }
  for (const words of layout.annotations ?? []) words.visible = !hidden.includes(words.name);
  const zoom = plot.dataset.zoom ?? "near";
  if (layout.meta?.[zoom]) zoomed(layout, layout.meta[zoom]);
  data.push(...highlights(plot, { data, layout }));
  const drag = coarse.matches ? false : data.some((trace) => trace.customdata) ? "select" : "zoom";
  const uirevision = `${plot.dataset.figure} ${zoom}`;
  Object.assign(layout, { showlegend: Boolean(layout.meta?.legend), autosize: true, uirevision, dragmode: drag });
  layout.newselection = { line: { color: colour("accent"), width: 1.5, dash: "solid" } };
  if (printing) {
    const width = Math.min(plot.clientWidth, PRINT_WIDTH);
    Object.assign(layout, { autosize: false, width, height: plot.clientHeight });
  }
  return { data, layout };
};

const draw = (plot, printing = false) => {
  const { data, layout } = figureOf(plot, printing);
  return Plotly.react(plot, data, layout, {
    responsive: true,
    displaylogo: false,
    doubleClick: coarse.matches ? false : "reset",
    displayModeBar: coarse.matches ? false : "hover",
    modeBarButtons: [["zoom2d", "pan2d", "select2d", "resetScale2d"]],
    showSendToCloud: false, // plotly's own default offers to upload the figure
    plotlyServerURL: "",
  });
};
const plots = (section = document) => all(".plot.js-plotly-plot", section);
const drawAll = (printing) => plots().forEach((plot) => draw(plot, printing === true));
