/* The table of trials: sorting, selecting, and the rows that it did not come with. */

const MORE = 50;
const tableOf = (section) => section.querySelector("table.trials");
const rowOf = (section, id) => all("tbody tr", tableOf(section)).find((row) => row.dataset.id === String(id));

const rows = (section, ids) => {
  const table = tableOf(section);
  if (!table) return;
  ids.forEach((id) => { if (!rowOf(section, id) && ids.length <= MORE) addRow(section, id); });
  const wanted = new Set(ids.map(String));
  for (const row of table.tBodies[0].rows) {
    const on = wanted.has(row.dataset.id);
    row.setAttribute("aria-selected", on);
    row.querySelector("input").checked = on;
  }
  const box = table.closest(".scroll");
  const first = ids.length && rowOf(section, ids[ids.length - 1]);
  if (first) box.scrollTop = Math.max(0, first.offsetTop - box.clientHeight / 2);
};

/* A cell's words and what it sorts by, from the name of its column. */
const cellOf = (section, trial, field) => {
  const { splits } = cards(section);
  const [split, i] = field.split(".");
  if (splits.includes(split)) {
    const at = splits.indexOf(split);
    const numbers = trial.numbers[i][at];
    const value = at ? numbers?.[0] ?? null : numbers; // the search's value, else mean and spread of replicates
    return [value === null ? "\u2013" : trial.measured[i][at], value];
  }
  const value = trial[field];
  const words = { sure: value?.toFixed?.(2), samples: value?.toLocaleString?.("en") }[field] ?? value ?? "\u2013";
  return [String(words), value];
};

const addRow = (section, id) => {
  const trial = cards(section).trials[id];
  const table = tableOf(section);
  const row = marked(document.createElement("tr"), { class: "behind", "data-id": id });
  for (const head of table.tHead.rows[1].cells) {
    const { field } = head.dataset;
    if (field === "select") {
      const box = marked(document.createElement("input"), { type: "checkbox", "data-action": "choose", "aria-label": `Select trial ${trial.number}` });
      row.append(element("td", null, box));
    } else if (field === "settings") {
      row.append(element("td", String(trial.params.length)));
    } else {
      const [words, value] = cellOf(section, trial, field);
      const cell = marked(element("td", words), { "data-value": value ?? "" });
      if (head.matches(".number")) cell.className = "number";
      const key = section.querySelector(`.legend button[data-kind="${CSS.escape(trial.sharing)}"] svg`);
      if (field === "architecture" && key) cell.prepend(key.cloneNode(true));
      row.append(cell);
    }
  }
  table.tBodies[0].append(row);
  const left = Object.keys(cards(section).trials).length - table.tBodies[0].rows.length;
  const button = section.querySelector("button.more");
  button.hidden = left === 0;
  button.textContent = `Show more of the other ${left.toLocaleString("en")}`;
};

const more = (button) => {
  const section = sectionOf(button);
  const there = new Set(all("tbody tr", tableOf(section)).map((row) => row.dataset.id));
  cards(section).order.filter((id) => !there.has(String(id))).slice(0, MORE).forEach((id) => addRow(section, id));
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

const choose = (box) => {
  const section = sectionOf(box);
  const { id } = box.closest("tr").dataset;
  select(section, toggled(selected(section), id), { open: false });
};
