/* Saving: figures as SVG, PNG and CSV, all trials as CSV. Everything is made here; nothing is sent. */

const download = (name, content, type) => {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  const link = marked(document.createElement("a"), { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
};

/* A spreadsheet must not take text for a formula. */
const csvCell = (value) => {
  if (value === null || value === undefined) return "";
  const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) && Number.isNaN(Number(value)) ? `'${value}` : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};
const csv = (table) => table.map((row) => row.map(csvCell).join(",")).join("\r\n") + "\r\n";

const figureCsv = (plot) => {
  const title = (trace, way) => plot.layout[(trace[`${way}axis`] ?? way).replace(way, `${way}axis`)]?.title?.text?.replace(/<[^>]*>/g, " ") || way;
  const table = [["series", "trial", "x", "y", "x_low", "x_high", "y_low", "y_high", "x_title", "y_title"]];
  const bar = (values, error, i) => {
    if (!error?.array || values[i] === null) return ["", ""];
    const [down, up] = [(error.arrayminus ?? error.array)[i], error.array[i]];
    return [values[i] - down, values[i] + up];
  };
  for (const trace of plot.data.filter((each) => each.name !== "selected" && each.x && each.visible !== false)) {
    for (let i = 0; i < trace.x.length; i += 1) {
      if (trace.x[i] === null || trace.y[i] === null) continue;
      table.push([trace.name, trace.customdata?.[i], trace.x[i], trace.y[i], ...bar(trace.x, trace.error_x, i), ...bar(trace.y, trace.error_y, i), title(trace, "x"), title(trace, "y")]);
    }
  }
  return csv(table);
};

/* In light colours and at a fixed size, so that a saved figure is the same on every screen. */
const image = async (plot, format) => {
  const { data, layout } = figureOf(plot, true);
  const white = colour("surface") && { paper_bgcolor: "#ffffff", plot_bgcolor: "#ffffff" };
  const size = { width: Math.max(plot.clientWidth, 640), height: plot.clientHeight, autosize: false };
  const url = await Plotly.toImage({ data, layout: { ...layout, ...size, ...white } }, { format, ...size, scale: format === "png" ? 2 : 1 });
  if (format === "svg") return new Blob([decodeURIComponent(url.slice(url.indexOf(",") + 1))], { type: "image/svg+xml" });
  const bytes = Uint8Array.from(atob(url.slice(url.indexOf(",") + 1)), (c) => c.charCodeAt(0));
  return new Blob([bytes], { type: "image/png" });
};

const save = async (button) => {
  const plot = button.closest("figure").querySelector(".plot");
  if (!plot.matches(".js-plotly-plot")) return;
  const format = button.dataset.as;
  const name = `${plot.dataset.figure}.${format}`;
  if (format === "csv") download(name, figureCsv(plot), "text/csv");
  else download(name, await image(plot, format));
};

const exportAll = (button) => {
  const { axes, names, order, trials, dataset } = cards(sectionOf(button));
  const head = ["trial", "samples", "until", "architecture", "sharing", "balancing", "on_front", "picked", "p_nondominated"];
  const measured = axes.flatMap(({ name }) => [`valid/${name}`, ...["confirm", "test"].flatMap((split) => ["mean", "sd", "replicates", "low", "high"].map((what) => `${split}/${name}.${what}`))]);
  const body = order.map((id) => {
    const trial = trials[id];
    const own = new Map(trial.params);
    const fixed = [trial.number, trial.samples, trial.until, trial.architecture, trial.sharing, trial.balancing, trial.front, trial.picked, trial.sure];
    const numbers = trial.numbers.flatMap(([seen, ...splits]) => [seen, ...splits.flatMap((each) => each ?? Array(5).fill(null))]);
    return [...fixed, ...numbers, ...names.map((_, i) => own.get(i))];
  });
  download(`${dataset.replace(/[^\w.@-]+/g, "_") || "trials"}.csv`, csv([[...head, ...measured, ...names], ...body]), "text/csv");
};
