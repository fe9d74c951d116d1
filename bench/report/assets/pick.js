/* Selecting trials: one selection a section, shown in its figures, its table and the dock. */

const selections = new Map(); // section -> ids, in the order of selection
const selected = (section) => selections.get(section) ?? [];

const select = (section, ids, { open = true } = {}) => {
  selections.forEach((_, other) => { if (other !== section) mark(other, []); });
  mark(section, ids);
  dock(section, open);
  const words = ids.length === 1 ? cards(section).trials[ids[0]].title : `${ids.length} trials`;
  say(ids.length ? `Selected: ${words}` : "Nothing is selected");
};

const mark = (section, ids) => {
  selections.set(section, ids);
  rows(section, ids);
  requestAnimationFrame(() => plots(section).forEach((plot) => draw(plot)));
};

const toggled = (ids, id) => (ids.some((each) => String(each) === String(id)) ? ids.filter((each) => String(each) !== String(id)) : [...ids, id]);

const pick = (section, id, adding) => {
  const before = selected(section);
  const alone = before.length === 1 && String(before[0]) === String(id);
  select(section, adding ? toggled(before, id) : alone ? [] : [id]);
};

/* The keyboard: arrows walk along a figure's trials, Enter selects, with Shift in addition. */
const walked = new WeakMap(); // plot -> id of the trial that arrows stand on
const walk = (plot, event) => {
  const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
  const section = sectionOf(plot);
  const at = walked.get(plot);
  if (event.key === "Enter" && at !== undefined) pick(section, at, event.shiftKey);
  else if (event.key in steps) {
    const places = new Map(); // in the order of the table, front first
    for (const trace of plot.data.filter((each) => each.customdata && each.visible !== false)) {
      trace.customdata.forEach((id) => { if (id !== null) places.set(String(id), id); });
    }
    const order = cards(section).order.filter((id) => places.has(String(id)));
    const now = order.findIndex((id) => String(id) === String(at));
    const next = order[(now + steps[event.key] + order.length) % order.length] ?? order[0];
    walked.set(plot, next);
    const box = plot.getBoundingClientRect();
    show(plot, next, { clientX: box.left + box.width / 3, clientY: box.top + box.height / 2 });
    say(cards(section).trials[next].title);
  } else return;
  event.preventDefault();
};

const listen = (plot) => {
  const point = (event) => event.points.find((each) => each.customdata !== undefined && each.customdata !== null);
  plot.on("plotly_hover", (event) => { if (point(event)) show(plot, point(event).customdata, event.event); });
  plot.on("plotly_unhover", () => { if (!coarse.matches) hide(); }); // a finger leaves at once
  plot.on("plotly_click", (event) => {
    if (point(event)) pick(sectionOf(plot), point(event).customdata, event.event.shiftKey || event.event.ctrlKey || event.event.metaKey);
  });
  plot.on("plotly_selected", (event) => {
    if (!event?.range && !event?.lassoPoints) return;
    const ids = new Map(event.points.map((each) => [String(each.customdata), each.customdata]));
    ids.delete("null");
    ids.delete("undefined");
    select(sectionOf(plot), [...ids.values()], { open: false });
  });
  if (!plot.data.some((trace) => trace.customdata)) return;
  const name = plot.closest("figure").getAttribute("aria-label");
  marked(plot, { tabindex: 0, role: "group", "aria-label": `${name}: arrow keys walk along its trials, Enter selects` });
  plot.addEventListener("keydown", (event) => walk(plot, event));
};

/* The card of the trial under the pointer. */
const card = document.getElementById("card");
const show = (plot, id, pointer) => {
  const { axes, splits, names, trials } = cards(sectionOf(plot));
  const { title, measured, params } = trials[id];
  card.replaceChildren(element("h5", title), measures(axes, splits, measured), settings(names, params));
  card.hidden = false;
  const [x, y] = [pointer.clientX ?? 0, pointer.clientY ?? 0]; // narrow screens have the card at their foot
  const left = x + 20 + card.offsetWidth > innerWidth ? x - card.offsetWidth - 20 : x + 20;
  const top = Math.min(y - card.offsetHeight / 2, innerHeight - card.offsetHeight - 8);
  Object.assign(card.style, { left: `${Math.max(8, left)}px`, top: `${Math.max(8, top)}px` });
};
const hide = () => { card.hidden = true; };
