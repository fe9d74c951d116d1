/* What can be pressed, what shows under the pointer, and the start. */

const sectionOf = (element) => sections.find((section) => section.element.contains(element));
const card = document.getElementById("card");
const hide = () => {
  card.hidden = true;
  all(".region.shown").forEach((each) => each.classList.remove("shown"));
};
const cardOf = (section, r, lead) => {
  const { plane } = section;
  const row = plane.rows[r];
  const lines = plane.axes.map(({ label, unit }, i) => {
    const cell = plane.at[section.split][r][i];
    return `<tr><th scope="row">${esc(label)}</th><td>${number(cell[VALUE])}</td><td>${known(cell[GAIN]) ? `${signed(cell[GAIN], unit)}${between(cell)}` : ""}</td></tr>`;
  });
  const chance = known(row.p_nondominated) ? `<p>P(non-dominated) ${row.p_nondominated.toFixed(2)}</p>` : "";
  if (lead) {
    const [title, gains] = section.data.leads[lead];
    const [gain, low, high] = gains[row.point];
    return `<h4>${mark(section.look(row))}${esc(row.title)}</h4><p>${esc(title)}: ahead by <b>${signed(gain, "%")}</b> <small>${signed(low)} to ${signed(high)}</small></p>`;
  }
  return `<h4>${mark(section.look(row))}${esc(row.title)}</h4>${row.formula ? `<p>ranks by ${esc(row.formula)}</p>` : ""}<table><tbody>${lines.join("")}</tbody></table>${chance}`;
};
const showCard = (section, element, x, y) => {
  hide();
  card.innerHTML = cardOf(section, Number(element.dataset.row), element.dataset.lead);
  card.hidden = false;
  all(`.region[data-of="${element.dataset.row}"]`, section.part("plot")).forEach((each) => each.classList.add("shown"));
  const box = card.getBoundingClientRect();
  card.style.left = `${clamp(x + 14, 4, Math.max(innerWidth - box.width - 4, 4))}px`;
  card.style.top = `${y + 18 + box.height < innerHeight ? y + 18 : Math.max(y - box.height - 14, 4)}px`;
};

const copy = async (button, text) => {
  const was = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    const code = [...(button.closest(".command, form")?.querySelectorAll("code") ?? [])].find((each) => each.textContent === text);
    code?.closest("details")?.setAttribute("open", "");
    if (code) getSelection().selectAllChildren(code); // no clipboard here: leave it selected
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = was; }, 1500);
};

const actions = {
  copy: (_, button) => copy(button, button.parentElement.querySelector("code").textContent),
  policy: (section, button) => copy(button, policyOf(section)),
  command: (section, button) => copy(button, commandOf(section)),
  reset: (section) => section.set({ value: "", loss: "", limit: "" }),
  switch: (section, button) => section.set({ [button.dataset.name]: button.dataset.value, ...(button.dataset.name === "plane" ? { pair: "", split: "" } : {}) }),
  hide: (section, button) => {
    const now = section.hidden;
    if (!now.delete(button.dataset.kind)) now.add(button.dataset.kind);
    section.set({ hide: listed([...now]) });
  },
  save,
  sort: (section, button) => {
    const column = Number(button.dataset.column);
    const { column: before, way: turn } = section.sorted;
    section.sorted = { ...section.sorted, column, way: column === before ? -turn : -1 };
    pointsTable(section);
  },
  more: (section) => {
    section.sorted.count += MORE;
    pointsTable(section);
  },
};
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-action]");
  const section = sectionOf(event.target);
  if (button) actions[button.dataset.action](section, button);
  const point = event.target.closest(".mark");
  if (point && section) section.select(section.plane.rows[Number(point.dataset.row)].point);
});
document.addEventListener("change", (event) => {
  const section = sectionOf(event.target);
  const field = event.target;
  if (field.matches('input[data-action="choose"]')) section.select(field.dataset.point);
  if (field.matches("select[data-name]")) section.set({ [field.dataset.name]: field.value });
});
document.addEventListener("pointerover", (event) => {
  const point = event.target.closest?.(".mark");
  if (point) showCard(sectionOf(point), point, event.clientX, event.clientY);
  else if (!keyed) hide();
});
/* What the keyboard shows stays while the page scrolls below a resting pointer. */
let keyed = false;
document.addEventListener("pointermove", ({ movementX, movementY }) => { keyed = keyed && !movementX && !movementY; });
addEventListener("scroll", () => { if (!keyed) hide(); }, { passive: true });
/* In a figure the arrow keys go from mark to mark, from left to right; Enter selects, Escape clears. */
document.addEventListener("keydown", (event) => {
  const figure = document.activeElement?.closest?.("svg.figure");
  const section = figure && sectionOf(figure);
  if (event.key === "Escape") {
    if (!card.hidden) hide();
    else sections.filter((each) => each.state.sel).forEach((each) => each.set({ sel: "" }));
  }
  const marks = figure ? all(".mark", figure).sort((a, b) => a.getBoundingClientRect().x - b.getBoundingClientRect().x) : [];
  if (!marks.length || !["ArrowLeft", "ArrowRight", "Enter"].includes(event.key)) return;
  event.preventDefault();
  const now = marks.findIndex((each) => each.dataset.row === section.cursor);
  if (event.key === "Enter") {
    if (now >= 0) section.select(section.plane.rows[Number(section.cursor)].point);
    return;
  }
  const next = marks[clamp(now + (event.key === "ArrowRight" ? 1 : -1), 0, marks.length - 1)];
  section.cursor = next.dataset.row;
  keyed = true;
  const box = next.getBoundingClientRect();
  showCard(section, next, box.right, box.bottom);
  say(card.textContent);
});

const renderAll = () => sections.forEach((section) => section.render());
const start = async () => {
  if (!("DecompressionStream" in window)) throw new Error("Figures need a browser from 2023 or later; sentences are complete without them.");
  for (const element of all("section.run")) {
    const text = await inflate(element.querySelector("script[data-packed]").textContent);
    sections.push(new Section(element, JSON.parse(text)));
  }
  document.documentElement.dataset.live = "";
  readState();
  renderAll();
  all("details[data-part]").forEach((fold) => fold.addEventListener("toggle", () => { if (fold.open) explore(sectionOf(fold), fold.dataset.part); }));
  all("nav a").forEach((link) => link.addEventListener("click", (event) => { // the fragment holds the state
    event.preventDefault();
    document.getElementById(link.hash.slice(1)).scrollIntoView();
  }));
  addEventListener("hashchange", () => { readState(); renderAll(); });
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; renderAll(); } });
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = all("details.fold:not([open])");
    opened.forEach((fold) => { fold.open = true; if (fold.dataset.part) explore(sectionOf(fold), fold.dataset.part); });
  });
  addEventListener("afterprint", () => opened.forEach((fold) => { fold.open = false; }));
};

start()
  .catch((error) => {
    console.error(error);
    all(".plot").forEach((plot) => { plot.textContent = error.message; });
  })
  .finally(() => {
    document.documentElement.dataset.ready = "";
    const again = document.querySelector('meta[name="again"]'); // of a run that goes on; the address keeps the sliders
    if (again) setTimeout(() => location.reload(), 1000 * again.content);
  });
