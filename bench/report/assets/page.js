"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const coarse = matchMedia("(pointer: coarse)");
  const twins = read("twins"); // light colour -> dark colour
  const PRINT_WIDTH = 660;

  /* Drawing. A plot's state is its zoom and its section's hidden kinds; drawing again applies it. */

  const recoloured = (value) => {
    if (typeof value === "string") return twins[value] ?? value;
    if (Array.isArray(value)) return value.map(recoloured);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, recoloured(each)]));
    }
    return value;
  };

  const zoomed = (layout, changes) => {
    for (const [path, value] of Object.entries(changes)) {
      const [axis, property] = path.split(".");
      if (property === "autorange") delete layout[axis].range;
      layout[axis][property] = value;
    }
  };

  const canvas = document.createElement("canvas");
  const accelerated = Boolean(canvas.getContext("webgl2") || canvas.getContext("webgl"));

  const draw = (plot, printing = false) => {
    const figure = read(plot.dataset.figure);
    const { data, layout } = dark.matches && !printing ? recoloured(figure) : figure;
    const hidden = all('.legend button[aria-pressed="false"]', plot.closest("section")).map((b) => b.dataset.kind);
    for (const trace of data) {
      if (trace.type === "scattergl" && !accelerated) trace.type = "scatter";
      trace.visible = !hidden.includes(trace.legendgroup);
      if (trace.customdata) Object.assign(trace, { hoverinfo: "none", hovertemplate: null }); // the card shows more
    }
    for (const words of layout.annotations ?? []) words.visible = !hidden.includes(words.name);
    const zoom = plot.dataset.zoom ?? "near";
    if (layout.meta) zoomed(layout, layout.meta[zoom]);
    Object.assign(layout, { showlegend: false, autosize: true, uirevision: zoom, dragmode: coarse.matches ? false : "zoom" });
    if (printing) {
      const width = Math.min(plot.clientWidth, PRINT_WIDTH);
      Object.assign(layout, { autosize: false, width, height: plot.clientHeight });
    }
    return Plotly.react(plot, data, layout, {
      responsive: true,
      displaylogo: false,
      doubleClick: coarse.matches ? false : "reset",
      displayModeBar: coarse.matches ? false : "hover",
      modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]],
      showSendToCloud: false, // plotly's own default offers to upload the figure
      plotlyServerURL: "",
      toImageButtonOptions: { filename: plot.dataset.figure, scale: 2 },
    });
  };
  const plots = () => all(".plot.js-plotly-plot");
  const drawAll = (printing) => plots().forEach((plot) => draw(plot, printing === true));

  /* The card of the trial under the pointer. */

  const card = document.getElementById("card");
  const known = new Map(); // cards are read once a section
  const cards = (id) => known.get(id) ?? known.set(id, read(id)).get(id);
  const element = (tag, text, ...children) => {
    const made = document.createElement(tag);
    if (text !== null) made.textContent = text;
    made.append(...children);
    return made;
  };

  const show = (plot, point, pointer) => {
    const { axes, splits, names, angles, trials } = cards(plot.closest("section").dataset.cards);
    const [title, measured, settings, diagnosis, between] = trials[point.customdata];
    const shown = splits.filter((_, i) => measured.some((row) => row[i]));
    const head = element("tr", null, element("th", ""), ...shown.map((split) => element("th", split)));
    const rows = measured.map((row, i) =>
      element("tr", null, element("th", axes[i]), ...shown.map((split) => element("td", row[splits.indexOf(split)]))));
    const list = element("dl", null, ...settings.flatMap(([name, value]) => [element("dt", names[name]), element("dd", value)]));
    list.className = "settings";
    const table = (head, rows) => element("table", null, element("thead", null, head), element("tbody", null, ...rows));
    const row = (cells, tag) => element("tr", null, ...cells.map((cell) => element(tag, cell)));
    card.replaceChildren(
      element("h5", title),
      table(head, rows),
      list,
      ...diagnosis.map((sentence) => element("p", sentence)),
      ...(between.length ? [table(row(angles, "th"), between.map((cells) => row(cells, "td")))] : []),
    );
    card.hidden = false;
    const [x, y] = [pointer.clientX ?? 0, pointer.clientY ?? 0]; // narrow screens have the card at their foot
    const left = x + 20 + card.offsetWidth > innerWidth ? x - card.offsetWidth - 20 : x + 20;
    const top = Math.min(y - card.offsetHeight / 2, innerHeight - card.offsetHeight - 8);
    Object.assign(card.style, { left: `${Math.max(8, left)}px`, top: `${Math.max(8, top)}px` });
  };
  const hide = () => { card.hidden = true; };

  const listen = (plot) => {
    const at = (event) => {
      const point = event.points.find((each) => each.customdata !== undefined);
      if (point) show(plot, point, event.event);
    };
    plot.on("plotly_hover", at);
    plot.on("plotly_click", at);
    plot.on("plotly_unhover", () => { if (!coarse.matches) hide(); }); // a finger leaves at once
  };

  /* What can be pressed. */

  const press = (button) => {
    const section = button.closest("section");
    const on = button.getAttribute("aria-pressed") !== "true";
    all(".legend button", section)
      .filter((each) => each.dataset.kind === button.dataset.kind)
      .forEach((each) => each.setAttribute("aria-pressed", on));
    plots().filter((plot) => section.contains(plot)).forEach((plot) => draw(plot));
  };

  const zoom = (button) => {
    const plot = button.closest("figure").querySelector(".plot");
    plot.dataset.zoom = plot.dataset.zoom === "all" ? "near" : "all";
    button.textContent = button.dataset[plot.dataset.zoom === "all" ? "back" : "more"];
    if (plot.matches(".js-plotly-plot")) draw(plot);
  };

  const sort = (button) => {
    const head = button.closest("th");
    const body = button.closest("table").tBodies[0];
    const column = Number(button.dataset.column);
    const way = head.getAttribute("aria-sort") === "descending" ? "ascending" : "descending";
    all("th[aria-sort]", button.closest("thead")).forEach((each) => each.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", way);
    const key = (row) => row.cells[column].dataset.value;
    const compare = (a, b) => {
      if (a === "" || b === "") return (a === "") - (b === ""); // what was not measured stays last
      const difference = head.matches(".number") ? Number(a) - Number(b) : a.localeCompare(b);
      return way === "ascending" ? difference : -difference;
    };
    body.append(...[...body.rows].sort((a, b) => compare(key(a), key(b))));
  };

  const copy = async (button) => {
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code); // no clipboard here: leave it selected
      button.textContent = "Selected";
    }
  };

  const actions = { press, zoom, sort, copy };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-action]");
    if (button) actions[button.dataset.action](button);
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  document.addEventListener("pointerdown", hide);
  addEventListener("scroll", hide, { passive: true });

  /* Start: inflate plotly, then draw one plot after another so that the page stays usable. */

  const start = async () => {
    if (!("DecompressionStream" in window)) {
      throw new Error("Figures need a browser from 2023 or later; tables and text are complete without them.");
    }
    const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    (0, eval)(await new Response(stream).text());
    for (const plot of all(".plot")) {
      plot.classList.remove("waiting");
      plot.textContent = "";
      await draw(plot);
      listen(plot);
      await new Promise((resolve) => setTimeout(resolve));
    }
    dark.addEventListener("change", drawAll);
    addEventListener("beforeprint", () => drawAll(true));
    addEventListener("afterprint", drawAll);
  };

  start()
    .catch((error) => {
      console.error(error);
      all(".plot.waiting").forEach((plot) => {
        plot.classList.replace("waiting", "broken");
        plot.textContent = error.message;
      });
    })
    .finally(() => { document.documentElement.dataset.ready = ""; });
})();
