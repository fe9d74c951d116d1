/* Below the first screen: the shortlist, and the search. */

/* A difference in a cost, in words that cannot be read the wrong way round. */
const fewer = (cost, value, from) => {
  if (!known(value) || !known(from) || value === from) return "";
  const [much, less] = [Math.abs(value - from), value < from];
  return cost.includes("latency") ? `${costText(cost, much)} ${less ? "faster" : "slower"}` : `${number(much)} ${less ? "fewer" : "more"}`;
};

/* Whether a point is off the front as it was chosen, and as it is drawn. */
const behind = (section, { row, same }) => {
  const { plane } = section;
  const beaten = (r) => range(plane.axes.length).every((i) => better(section, i) * (at(section, r, i) - at(section, row, i)) >= 0);
  return !same.some((r) => onFront(section, r)) && range(plane.rows.length).some((r) => onFront(section, r) && !same.includes(r) && beaten(r));
};

const shortlist = (section) => {
  const { plane, decision, data } = section;
  const rows = notable(section);
  const [told, other] = [section.splits[0], section.splits[1]];
  const splits = [told, ...(plane.kind === "served" || other === "confirm" ? [other] : [])].filter(Boolean);
  const [first] = rows.filter(({ roles }) => roles.includes("current"));
  const costs = ["cost/parameters", "cost/latency_ms"];
  const costOf = (row, cost) => {
    if (known(row[cost])) return row[cost];
    const r = decision ? decision.rows.findIndex(({ point }) => point === row.point) : -1;
    return r < 0 ? null : decision.costs[cost]?.[r] ?? decision.rows[r][cost] ?? null;
  };
  const shownCosts = costs.filter((cost) => rows.some((row) => known(costOf(row, cost))));
  const cell = (row, i, split, main) => {
    const found = plane.at[split][row][i];
    if (!known(found[VALUE])) return main ? "\u2013" : "";
    const differs = known(found[GAIN]) && row !== plane.current;
    const text = differs ? `<b class="${way(found)}">${signed(found[GAIN], plane.axes[i].unit)}</b>${between(found)}` : `<b>${number(found[VALUE])}</b>`;
    const value = number(found[VALUE]);
    return main ? `${text}<small>${differs ? value : ""}</small>` : `<small>${esc(data.splits[split])} ${differs ? signed(found[GAIN], plane.axes[i].unit) : value}</small>`;
  };
  const name = (each) => `${mark(section.look(each))}<b>${esc(each.title)}</b> ${each.roles.filter((role) => role !== "front" && (role !== "baseline" || !each.roles.includes("current"))).map((role) => `<span class="tag ${role}">${role === "current" ? base(section) : role === "pick" ? "answer" : role}</span>`).join("")}<small>${esc([each.role === "trial" && each.name, each.formula].filter(Boolean).join(": "))}</small>`;
  const risk = (each) => (each.roles.includes("current") ? [] : [
    known(each.p_nondominated) ? `<small>P(non-dom.) ${each.p_nondominated.toFixed(2)}</small>` : "",
    each.roles.includes("pick") && known(section.found?.share) ? `<small>holds in ${percent(section.found.share)}</small>` : "",
    behind(section, each) ? "<small>not on the front</small>" : "",
  ]).join("");
  const cost = (each) => shownCosts.filter((kind) => known(costOf(each, kind))).map((kind) => `<span>${costText(kind, costOf(each, kind))}${kind.includes("param") ? " parameters" : ""}</span><small>${first && each !== first ? fewer(kind, costOf(each, kind), costOf(first, kind)) : ""}</small>`).join("");
  const heads = plane.axes.map(({ label, unit }) => `<th scope="col">${esc(label)}${plane.at[told].some((row) => known(row[0][GAIN])) ? `<small>measured against ${plane.against}${unit ? "" : ", \u00d7 1000"}, ${esc(data.splits[told])}</small>` : `<small>${esc(data.splits[told])}</small>`}</th>`).join("");
  const risks = rows.some((each) => risk(each));
  const body = rows.map((each) => `<tr data-point="${esc(each.point)}"><th scope="row">${name(each)}</th>${plane.axes.map(({ label }, i) => `<td data-label="${esc(label)}">${splits.map((split, k) => cell(each.row, i, split, k === 0)).join("")}</td>`).join("")}${shownCosts.length ? `<td data-label="cost">${cost(each)}</td>` : ""}${risks ? `<td data-label="risk">${risk(each)}</td>` : ""}</tr>`);
  section.part("shortlist").innerHTML = `<div class="scroll" tabindex="0" role="region" aria-label="Shortlist"><table class="short"><thead><tr><th scope="col">choice</th>${heads}${shownCosts.length ? '<th scope="col">cost</th>' : ""}${risks ? '<th scope="col">risk</th>' : ""}</tr></thead><tbody>${body.join("")}</tbody></table></div>`;
  compared(section, rows);
  segments(section, rows);
};

/* What the pick gains in each segment of the rows. */
const segments = (section, rows) => {
  const { plane } = section;
  const box = section.part("segments");
  const pick = rows.find(({ roles }) => roles.includes("pick"));
  const { expected } = section.data;
  const together = pick && plane.kind === "served" && expected?.row === pick.row && expected.segments;
  const found = pick && plane.segments && (together ? plane.segments.names.map((name) => expected.segments[name]) : plane.segments.rows[pick.row]);
  if (!found) { box.textContent = ""; return; }
  const open = box.querySelector("details")?.open;
  const cell = ([gain, low, high]) => {
    const told = [null, null, null, gain, low, high];
    return known(gain) ? `<td><b class="${way(told)}">${signed(gain, "%")}</b>${between(told)}</td>` : "<td>cannot tell</td>";
  };
  const body = plane.segments.names.map((name, k) => `<tr><th scope="row">${esc(name)}</th>${found[k].map(cell).join("")}</tr>`).join("");
  const lost = plane.segments.names.filter((_, k) => found[k].some(([, , high]) => known(high) && high < 0)).length;
  box.innerHTML = `<details ${open ? "open" : ""}><summary>By segment: ${esc(pick.title)} against ${plane.against}, ${lost ? `a loss in ${lost} of ${plane.segments.names.length}` : "no loss beyond noise in any"}</summary><div class="scroll" tabindex="0" role="region" aria-label="By segment"><table><thead><tr><th scope="col">segment</th>${plane.axes.map(({ label }) => `<th scope="col">${esc(label)}</th>`).join("")}</tr></thead><tbody>${body}</tbody></table></div></details>`;
};

/* Settings of the pick and of what is selected, side by side; those that differ first. */
const compared = (section, rows) => {
  const heads = section.data.planes.heads.rows;
  const points = [...new Set(rows.filter(({ roles }) => roles.includes("pick") || roles.includes("selected")).flatMap(({ same }) => same.map((r) => section.plane.rows[r].point)))];
  const found = points.map((point) => heads.find((row) => row.point === point)).filter((row) => row?.params && Object.keys(row.params).length);
  const names = [...new Set(found.flatMap(({ params }) => Object.keys(params)))];
  const differ = (name) => new Set(found.map(({ params }) => JSON.stringify(params[name]))).size > 1;
  const sorted = [...names.filter(differ), ...names.filter((name) => !differ(name))];
  const value = (each) => (each === undefined ? "" : typeof each === "number" ? String(+each.toPrecision(4)) : String(each));
  section.part("compared").innerHTML = found.length ? `<details ${section.selected.length ? "open" : ""}><summary>Settings of ${found.map((row) => esc(row.title)).join("; ")}</summary><div class="scroll" tabindex="0" role="region" aria-label="Settings"><table><thead><tr><td></td>${found.map((row) => `<th scope="col">${esc(row.title)} <small>${esc(row.name)}</small></th>`).join("")}</tr></thead><tbody>${sorted.map((each) => `<tr class="${found.length > 1 && differ(each) ? "differs" : ""}"><th scope="row">${esc(each)}</th>${found.map(({ params }) => `<td>${esc(value(params[each]))}</td>`).join("")}</tr>`).join("")}</tbody></table></div></details>` : "";
};

const explore = (section, part) => ({ points: pointsTable, course })[part]?.(section);

/* All points of the search: filtered by the chips, sorted by any column, fifty at a time. */
const MORE = 50;
const pointsTable = (section) => {
  const plane = section.data.planes.heads;
  const splits = Object.keys(plane.at);
  const columns = [
    ["point", (row) => (row.role === "trial" ? `${row.point}` : row.name), (row) => Number.parseFloat(row.point) || 0],
    ["model", (row) => row.title, (row) => row.title],
    ["balancing", (row) => row.balancing, (row) => row.balancing ?? ""],
    ...splits.flatMap((split) => plane.axes.map(({ label }, i) => [`${label} <small>${esc(section.data.splits[split])}</small>`, (_, r) => number(plane.at[split][r][i][VALUE]), (_, r) => plane.at[split][r][i][VALUE]])),
    ["P(non-dom.)", (row) => (known(row.p_nondominated) ? row.p_nondominated.toFixed(2) : ""), (row) => row.p_nondominated],
    ...(plane.rows.some(({ samples }) => known(samples)) ? [["samples", (row) => number(row.samples), (row) => row.samples]] : []),
    ["replicates", (row) => row.replicates ?? "", (row) => row.replicates],
  ];
  section.sorted ??= { column: columns.findIndex(([name]) => name === "P(non-dom.)"), way: -1, count: MORE };
  const { column, way: turn, count } = section.sorted;
  const value = columns[column][2];
  const rows = range(plane.rows.length).filter((r) => !section.hidden.has(plane.rows[r].architecture));
  rows.sort((a, b) => {
    const [x, y] = [value(plane.rows[a], a), value(plane.rows[b], b)];
    if (!known(x) || !known(y)) return known(y) - known(x) || a - b; // what was not measured stays last
    return turn * (typeof x === "string" ? x.localeCompare(y) : x - y) || plane.rows[b].on_front - plane.rows[a].on_front || a - b;
  });
  const picked = new Set(section.selected);
  const body = rows.slice(0, count).map((r) => {
    const row = plane.rows[r];
    const cells = columns.map(([, text], k) => `<td class="${k > 2 ? "number" : ""}">${k === 1 ? mark(section.look(row)) : ""}${esc(text(row, r))}${k === 0 && row.on_front ? ' <span class="tag">front</span>' : ""}</td>`).join("");
    return `<tr aria-selected="${picked.has(row.point)}"><td><input type="checkbox" data-action="choose" data-point="${esc(row.point)}" aria-label="Select ${esc(row.name)}" ${picked.has(row.point) ? "checked" : ""}></td>${cells}</tr>`;
  });
  const heads = columns.map(([name], k) => `<th scope="col" class="${k > 2 ? "number" : ""}" ${k === column ? `aria-sort="${turn > 0 ? "ascending" : "descending"}"` : ""}><button type="button" data-action="sort" data-column="${k}">${name}</button></th>`).join("");
  const focused = document.activeElement?.dataset ?? {};
  const box = section.part("points");
  box.innerHTML = `<p class="note">Select points to see them in the plot, in the shortlist, and their settings side by side.</p><div class="scroll" tabindex="0" role="region" aria-label="All points"><table class="trials"><thead><tr><td></td>${heads}</tr></thead><tbody>${body.join("")}</tbody></table></div><p class="tools">${rows.length > count ? `<button type="button" data-action="more">Show more of the other ${rows.length - count}</button>` : ""}</p>`;
  if (focused.action === "choose") box.querySelector(`input[data-point="${CSS.escape(focused.point)}"]`)?.focus();
  if (focused.action === "sort") box.querySelector(`button[data-column="${focused.column}"]`)?.focus();
};

/* Hypervolume over what was trained, and the shares of settings. */
const course = (section) => {
  const { history, influences } = section.data;
  const box = section.part("course");
  if (!box.firstChild) box.innerHTML = '<div class="history"></div><div class="influences"></div>';
  const font = 'font-size="12" fill="var(--muted)"';
  if (history.length > 1) {
    const ys = [Math.min(...history.map(([, v]) => v)), Math.max(...history.map(([, v]) => v))];
    const most = history.at(-1)[0];
    const draw = (width) => {
      const [left, height] = [64, 230];
      const x = (value) => left + (value / most) * (width - left - 16);
      const y = (value) => 10 + ((ys[1] - value) / (ys[1] - ys[0] || 1)) * (height - 60);
      const [up, step] = ticks(ys, 4);
      const [across] = ticks([0, most], width / 130);
      const line = history.map(([at2, v], k) => `${k ? `H${x(at2).toFixed(1)}V` : `M${x(at2).toFixed(1)} `}${y(v).toFixed(1)}`).join("");
      return [up.map((value) => path(`M${left} ${y(value)}H${width - 16}`, 'stroke="var(--grid)"') + words(left - 6, y(value) + 4, tick(value, step), `text-anchor="end" ${font}`)).join("")
        + across.map((value) => words(x(value), height - 32, number(value), `text-anchor="middle" ${font}`)).join("")
        + path(line, 'fill="none" stroke="var(--accent)" stroke-width="2"') + words((left + width) / 2, height - 10, "training samples of the search", `text-anchor="middle" ${font}`), height];
    };
    show(section, box.children[0], { name: "hypervolume", title: "Hypervolume of the front of heads", note: "By what the search saw.", draw, key: [], csv: () => csv([["samples", "hypervolume"], ...history]) });
  }
  if (influences.length) {
    const some = influences.slice(0, 12);
    const draw = (width) => {
      const left = Math.min(240, width * 0.48);
      const most = Math.max(...some.map(([, , , high]) => high), 0.01);
      const x = (value) => left + (value / most) * (width - left - 50);
      return [some.map(([name, share, low, high], k) => {
        const y = 16 + 24 * k;
        return words(left - 8, y + 4, cropped(name.split(".").slice(-2).join("."), left - 12), 'text-anchor="end" font-size="12" fill="var(--text)"') + path(`M${left} ${y}H${x(share).toFixed(1)}`, 'stroke="var(--accent)" stroke-width="10" opacity=".7"') + path(`M${x(low).toFixed(1)} ${y}H${x(high).toFixed(1)}`, 'stroke="var(--text)"') + words(x(high) + 6, y + 4, percent(share), font);
      }).join(""), 24 * some.length + 12];
    };
    show(section, box.children[1], { name: "settings", title: "Which settings mattered", note: "Share of the variance of a trial's hypervolume that a setting explains alone, 90% interval.", draw, key: [], csv: () => csv([["setting", "share", "low", "high", "trials"], ...influences]) });
  }
};
