/* What can be pressed, and the start. */

const press = (button) => {
  const section = sectionOf(button);
  const on = button.getAttribute("aria-pressed") !== "true";
  all(".legend button", section)
    .filter((each) => each.dataset.kind === button.dataset.kind)
    .forEach((each) => each.setAttribute("aria-pressed", on));
  plots(section).forEach((plot) => draw(plot));
};

const zoom = (button) => {
  const plot = button.closest("figure").querySelector(".plot");
  plot.dataset.zoom = plot.dataset.zoom === "all" ? "near" : "all";
  button.textContent = button.dataset[plot.dataset.zoom === "all" ? "back" : "more"];
  if (plot.matches(".js-plotly-plot")) draw(plot);
};

/* Two different objectives: where both would be the same, the other takes the one that this had. */
const project = (choice) => {
  const figure = choice.closest("figure");
  const [across, upwards] = all("select", figure);
  const plot = figure.querySelector(".plot");
  const [i, j] = plot.dataset.figure.split("-").slice(-2);
  if (across.value === upwards.value) (choice === across ? upwards : across).value = choice === across ? i : j;
  plot.dataset.figure = `${plot.dataset.family}-${across.value}-${upwards.value}`;
  if (plot.matches(".js-plotly-plot")) draw(plot);
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

const clear = () => { if (docked) select(docked.section, []); };
const actions = {
  press, zoom, sort, copy, more, choose, look, save, clear, project,
  export: exportAll,
  fold: () => fold(!dockElement.classList.contains("folded")),
};
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-action]");
  if (button) actions[button.dataset.action](button);
  const row = event.target.closest("table.trials tbody tr");
  if (row && !event.target.closest("input, button, summary, details")) {
    pick(sectionOf(row), row.dataset.id, event.shiftKey || event.ctrlKey || event.metaKey);
  }
});
document.addEventListener("change", (event) => {
  const field = event.target.closest("input[data-action], select[data-action]");
  if (field) actions[field.dataset.action](field);
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (!card.hidden) hide();
  else if (docked && !dockElement.classList.contains("folded")) fold(true);
  else clear();
});
document.addEventListener("pointerdown", hide);
addEventListener("scroll", hide, { passive: true });

/* Inflate all that is packed, then draw one plot after another so that the page stays usable. */
const start = async () => {
  if (!("DecompressionStream" in window)) {
    throw new Error("Figures need a browser from 2023 or later; tables and text are complete without them.");
  }
  await Promise.all(all("script[data-packed]").map(async (each) => texts.set(each.id, await inflate(each.textContent))));
  (0, eval)(texts.get("plotly"));
  texts.delete("plotly");
  document.documentElement.dataset.live = "";
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
