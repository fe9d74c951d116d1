/* Below the first screen: the shortlist, who is picked over all values, and the search. */

/* A difference in a cost, in words that cannot be read the wrong way round. */
const fewer = (cost, value, from) => {
  if (!known(value) || !known(from) || value === from) return "";
  const [much, less] = [Math.abs(value - from), value < from];
  return cost.includes("latency") ? `${costText(cost, much)} ${less ? "faster" : "slower"}` : `${number(much)} ${less ? "fewer" : "more"}`;
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
    return main ? `${text}<small>${differs ? value : ""}</small>` : `<small>confirmed ${differs ? signed(found[GAIN], plane.axes[i].unit) : value}</small>`;
  };
  const name = (each) => `${mark(section.look(each))}${Number(each.tag) ? `<span class="place">${each.tag}</span> ` : ""}<b>${esc(titled(each))}</b> ${each.roles.filter((role) => role !== "front" && (role !== "baseline" || !each.roles.includes("current"))).map((role) => `<span class="tag ${role}">${role === "current" ? base(section) : role}</span>`).join("")}${each.formula ? `<small>${esc(each.formula)}</small>` : ""}`;
  const risk = (each) => (each.roles.includes("current") ? [] : [
    known(each.p_nondominated) ? `<small>P(non-dom.) ${each.p_nondominated.toFixed(2)}</small>` : "",
    each.roles.includes("pick") && known(section.found?.share) ? `<small>holds in ${percent(section.found.share)}</small>` : "",
    !each.on_front ? "<small>not on the front</small>" : "",
  ]).join("");
  const cost = (each) => shownCosts.filter((kind) => known(costOf(each, kind))).map((kind) => `<span>${costText(kind, costOf(each, kind))}${kind.includes("param") ? " parameters" : ""}</span><small>${first && each !== first ? fewer(kind, costOf(each, kind), costOf(first, kind)) : ""}</small>`).join("");
  const heads = plane.axes.map(({ label, unit }) => `<th scope="col">${esc(label)}${plane.at[told].some((row) => known(row[0][GAIN])) ? `<small>against ${plane.against}${unit ? "" : ", \u00d7 1000"}, ${esc(data.splits[told])}</small>` : `<small>${esc(data.splits[told])}</small>`}</th>`).join("");
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
  const found = pick && plane.segments?.rows[pick.row];
  if (!found) { box.textContent = ""; return; }
  const open = box.querySelector("details")?.open;
  const cell = ([gain, low, high]) => {
    const told = [null, null, null, gain, low, high];
    return known(gain) ? `<td><b class="${way(told)}">${signed(gain, "%")}</b>${between(told)}</td>` : "<td>cannot tell</td>";
  };
  const body = plane.segments.names.map((name, k) => `<tr><th scope="row">${esc(name)}</th>${found[k].map(cell).join("")}</tr>`).join("");
  const lost = plane.segments.names.filter((_, k) => found[k].some(([, , high]) => known(high) && high < 0)).length;
  box.innerHTML = `<details ${open ? "open" : ""}><summary>By segment: ${esc(pick.name)} against ${plane.against}, ${lost ? `a loss in ${lost} of ${plane.segments.names.length}` : "no loss beyond noise in any"}</summary><div class="scroll" tabindex="0" role="region" aria-label="By segment"><table><thead><tr><th scope="col">segment</th>${plane.axes.map(({ label }) => `<th scope="col">${esc(label)}</th>`).join("")}</tr></thead><tbody>${body}</tbody></table></div></details>`;
};

/* Settings of the pick and of what is selected, side by side; those that differ first. */
const compared = (section, rows) => {
  const heads = section.data.planes.heads.rows;
  const points = [...new Set(rows.filter(({ roles }) => roles.includes("pick") || roles.includes("selected")).map(({ point }) => point))];
  const found = points.map((point) => heads.find((row) => row.point === point)).filter((row) => row?.params && Object.keys(row.params).length);
  const names = [...new Set(found.flatMap(({ params }) => Object.keys(params)))];
  const differ = (name) => new Set(found.map(({ params }) => JSON.stringify(params[name]))).size > 1;
  const sorted = [...names.filter(differ), ...names.filter((name) => !differ(name))];
  const value = (each) => (each === undefined ? "" : typeof each === "number" ? String(+each.toPrecision(4)) : String(each));
  section.part("compared").innerHTML = found.length ? `<details ${section.selected.length ? "open" : ""}><summary>Settings of ${found.map((row) => esc(row.name)).join(", ")}</summary><div class="scroll" tabindex="0" role="region" aria-label="Settings"><table><thead><tr><td></td>${found.map((row) => `<th scope="col">${esc(row.name)}</th>`).join("")}</tr></thead><tbody>${sorted.map((each) => `<tr class="${found.length > 1 && differ(each) ? "differs" : ""}"><th scope="row">${esc(each)}</th>${found.map(({ params }) => `<td>${esc(value(params[each]))}</td>`).join("")}</tr>`).join("")}</tbody></table></div></details>` : "";
};

/* Who is picked, over the share of value between two outcomes and the loss that is allowed. */
const LOSSES = [0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, null];
const drawMap = (section) => {
  const { decision, state } = section;
  if (decision.axes.length < 2) return;
  const [i, j] = state.map ? state.map.split("-").map(Number) : [0, 1];
  const { limit } = settingsOf(section);
  const losses = decision.today ? LOSSES : [null]; // of what nobody serves nothing is lost
  const memo = `${i}-${j} ${JSON.stringify(limit)}`;
  if (section.mapMemo !== memo) {
    section.mapMemo = memo;
    section.mapCells = losses.map((loss) => range(21).map((k) => {
      const settings = { share: decision.axes.map((_, m) => (m === i ? k / 20 : m === j ? 1 - k / 20 : 0)), loss: decision.axes.map(() => loss), limit };
      const [pick] = decision.ranked(settings);
      return pick === undefined ? null : [pick, decision.holds(settings, pick).share];
    }));
  }
  const box = section.part("map");
  if (!box.firstChild) box.innerHTML = `<p class="note">Which choice wins as you shift value between two outcomes${decision.today ? " and allow larger losses" : ""}; the fuller the colour, the more often it holds.</p><p class="tools"></p><div class="drawing"></div>`;
  const pairs = decision.axes.length > 2 ? `<select data-name="map" aria-label="Outcomes of the map">${pairsIn(decision.axes).map(([a, b]) => `<option value="${a}-${b}" ${a === i && b === j ? "selected" : ""}>${esc(decision.axes[a].label)} / ${esc(decision.axes[b].label)}</option>`).join("")}</select>` : "";
  if (box.querySelector(".tools").innerHTML.length !== pairs.length || !pairs) box.querySelector(".tools").innerHTML = pairs;
  const draw = (width) => {
    const [left, row] = [56, 26];
    const w = (width - left - 8) / 21;
    let svg = "";
    section.mapCells.forEach((cells, k) => {
      const y = 4 + row * k;
      if (decision.today) svg += words(left - 6, y + 17, LOSSES[k] === null ? "any" : `${100 * LOSSES[k]}%`, 'text-anchor="end" font-size="12" fill="var(--muted)"');
      cells.forEach((cell, at2) => {
        if (!cell) return;
        const each = decision.rows[cell[0]];
        const title = `${[titled(each), each.formula].filter(Boolean).join(", ")}: ${percent(at2 / 20)} of value on ${decision.axes[i].label}, ${percent(1 - at2 / 20)} on ${decision.axes[j].label}${cell[1] === null ? "" : `; holds in ${percent(cell[1])}`}`;
        svg += `<rect x="${(left + w * at2).toFixed(1)}" y="${y}" width="${(w - 1).toFixed(1)}" height="${row - 2}" fill="var(--${section.look(each)[0]})" fill-opacity="${(cell[1] === null ? 0.6 : 0.12 + 0.75 * cell[1]).toFixed(2)}"><title>${esc(title)}</title></rect>`;
      });
      for (let from = 0; from < 21;) {
        let to = from;
        const point = cells[from] && decision.rows[cells[from][0]].point;
        while (to < 21 && (cells[to] && decision.rows[cells[to][0]].point) === point) to += 1;
        const name = point ? decision.rows[cells[from][0]].name.replace(/^trial /, "") : "nothing";
        const text = [name, name.slice(0, 9)].find((each) => wide(each, 11) < w * (to - from) - 4);
        if (text) svg += words(left + w * (from + to) / 2, y + 16, text, 'text-anchor="middle" font-size="11" fill="var(--text)" stroke="var(--surface)" stroke-width="3" stroke-linejoin="round" paint-order="stroke"');
        from = to;
      }
    });
    const below = 4 + row * losses.length + 16;
    svg += words(left, below, `all value on ${decision.axes[j].label}`, 'font-size="12" fill="var(--muted)"');
    svg += words(width - 8, below + (width < 500 ? 15 : 0), `all on ${decision.axes[i].label}`, 'text-anchor="end" font-size="12" fill="var(--muted)"');
    return [`${svg}${decision.today ? words(-(4 + row * LOSSES.length) / 2, 12, "may lose", 'text-anchor="middle" transform="rotate(-90)" font-size="12" fill="var(--muted)"') : ""}`, below + (width < 500 ? 21 : 8)];
  };
  const rows = section.mapCells.flatMap((cells, k) => cells.map((cell, at2) => [100 * at2 / 20, losses[k] === null ? "any" : 100 * losses[k], cell ? decision.rows[cell[0]].point : "", cell?.[1]]));
  const kinds = [...new Set(section.mapCells.flat().filter(Boolean).map(([r]) => decision.rows[r].architecture))];
  show(section, box.querySelector(".drawing"), { name: "values", title: "Which choice wins", note: `Value shifted between ${decision.axes[j].label} and ${decision.axes[i].label}; numbers are trials.`, draw, key: kinds.map((kind) => [section.data.looks[kind], kind]), csv: () => csv([[`value of ${decision.axes[i].name} in %`, "may lose in %", "point", "holds"], ...rows]) });
};

const explore = (section, part) => ({ points: pointsTable, course })[part]?.(section);

/* All points of the search: filtered by the chips, sorted by any column, fifty at a time. */
const MORE = 50;
const pointsTable = (section) => {
  const plane = section.data.planes.heads;
  const splits = Object.keys(plane.at);
  const columns = [
    ["point", (row) => (row.role === "trial" ? `${row.point}` : row.name), (row) => Number.parseFloat(row.point) || 0],
    ["architecture", (row) => row.architecture, (row) => row.architecture],
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
  box.innerHTML = `<p class="note">Select points to see them in the plot, in the shortlist, and their settings side by side.</p><div class="scroll" tabindex="0" role="region" aria-label="All points"><table class="trials"><thead><tr><td></td>${heads}</tr></thead><tbody>${body.join("")}</tbody></table></div><p class="tools">${rows.length > count ? `<button type="button" data-action="more">Show more of the other ${rows.length - count}</button>` : ""}<button type="button" data-action="export">Save all as CSV</button></p>`;
  if (focused.action === "choose") box.querySelector(`input[data-point="${CSS.escape(focused.point)}"]`)?.focus();
  if (focused.action === "sort") box.querySelector(`button[data-column="${focused.column}"]`)?.focus();
};

/* Hypervolume over what was trained, the shares of settings, and each point as a line across settings and objectives. */
const course = (section) => {
  const { history, influences, bySamples } = section.data;
  const box = section.part("course");
  if (!box.firstChild) box.innerHTML = '<div class="history"></div><div class="influences"></div><div class="parallel"></div>';
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
        + path(line, 'fill="none" stroke="var(--accent)" stroke-width="2"') + words((left + width) / 2, height - 10, bySamples ? "training samples of the search" : "finished trials", `text-anchor="middle" ${font}`), height];
    };
    show(section, box.children[0], { name: "hypervolume", title: "Hypervolume of the front of heads", note: "By what the search saw.", draw, key: [], csv: () => csv([[bySamples ? "samples" : "trials", "hypervolume"], ...history]) });
  }
  if (influences.length) {
    const some = influences.slice(0, 12);
    const draw = (width) => {
      const left = Math.min(240, width * 0.48);
      const most = Math.max(...some.map(([, , , high]) => high), 0.01);
      const x = (value) => left + (value / most) * (width - left - 50);
      return [some.map(([name, share, low, high], k) => {
        const y = 16 + 24 * k;
        let text = name;
        while (wide(text) > left - 12) text = `\u2026${text.slice(2)}`;
        return words(left - 8, y + 4, text, 'text-anchor="end" font-size="12" fill="var(--text)"') + path(`M${left} ${y}H${x(share).toFixed(1)}`, 'stroke="var(--accent)" stroke-width="10" opacity=".7"') + path(`M${x(low).toFixed(1)} ${y}H${x(high).toFixed(1)}`, 'stroke="var(--text)"') + words(x(high) + 6, y + 4, percent(share), font);
      }).join(""), 24 * some.length + 12];
    };
    show(section, box.children[1], { name: "settings", title: "Which settings mattered", note: "Share of the variance of a trial's hypervolume that a setting explains alone, 90% interval.", draw, key: [], csv: () => csv([["setting", "share", "low", "high", "trials"], ...influences]) });
  }
  parallel(section, box.children[2]);
};
const MOST_LINES = 300;
const parallel = (section, box) => {
  const plane = section.data.planes.heads;
  const seen = plane.at.valid ? "valid" : Object.keys(plane.at)[0];
  const top = section.data.influences.slice(0, 5).map(([name]) => name);
  const every = range(plane.rows.length).filter((r) => plane.rows[r].role === "trial" && !section.hidden.has(plane.rows[r].architecture) && plane.at[seen][r].every((cell) => known(cell[VALUE])));
  const rows = every.filter((_, k) => k % Math.ceil(every.length / MOST_LINES) === 0);
  if (rows.length < 3) { box.textContent = ""; return; }
  const columns = [...top.map((name) => [name, (r) => plane.rows[r].params?.[name]]), ...plane.axes.map(({ label }, i) => [label, (r) => plane.at[seen][r][i][VALUE]])];
  const scales = columns.map(([name, value]) => {
    const values = rows.map(value).filter(known);
    if (values.every((each) => typeof each === "number")) {
      const log = values.every((each) => each > 0) && Math.max(...values) > 50 * Math.min(...values);
      const f = log ? Math.log : (each) => each;
      let [low, high] = [Math.min(...values), Math.max(...values)];
      const axis = plane.axes.find(({ label }) => label === name);
      if (axis) { // diverged trials would press the others together
        const sorted = [...values].sort((a, b) => a - b);
        if (axis.sign > 0) low = sorted[Math.floor(sorted.length / 10)]; else high = sorted[Math.ceil(sorted.length * 0.9) - 1];
      }
      return { place: (each) => clamp((f(each) - f(low)) / (f(high) - f(low) || 1), 0, 1), marks: [[0, number(low)], [1, number(high)]] };
    }
    const kinds = [...new Set(values.map(String))].sort();
    return { place: (each) => (kinds.indexOf(String(each)) + 0.5) / kinds.length, marks: kinds.map((kind, k) => [(k + 0.5) / kinds.length, kind]) };
  });
  const picked = new Set(section.selected);
  const draw = (width) => {
    const [height, left] = [320, 40];
    const x = (k) => left + (k / (columns.length - 1)) * (width - left - 70);
    const y = (share) => height - 40 - share * (height - 70);
    const lines = [...rows].sort((a, b) => plane.rows[a].on_front - plane.rows[b].on_front).map((r) => {
      const places = columns.map(([, value], k) => (known(value(r)) ? `${x(k).toFixed(1)} ${y(scales[k].place(value(r))).toFixed(1)}` : null));
      const strong = plane.rows[r].on_front || picked.has(plane.rows[r].point);
      return path(`M${places.filter(Boolean).join("L")}`, `fill="none" stroke="var(--${section.look(plane.rows[r])[0]})" stroke-width="${strong ? 2 : 1}" opacity="${strong ? 0.95 : 0.22}"`);
    });
    const room = (width - left - 70) / (columns.length - 1) - 6;
    const cut = (text, most) => { let found = text; while (wide(found, 11) > most && found.length > 3) found = `${found.slice(0, -2)}\u2026`.replace("\u2026\u2026", "\u2026"); return found; };
    const axes = columns.map(([name], k) => path(`M${x(k).toFixed(1)} ${y(0)}V${y(1)}`, 'stroke="var(--line)"')
      + scales[k].marks.map(([share, text]) => words(x(k) + 4, y(share) + (scales[k].marks.length > 2 ? 4 : share ? -4 : 12), cut(text, k === columns.length - 1 ? 64 : room), 'font-size="11" fill="var(--text)" stroke="var(--surface)" stroke-width="3" paint-order="stroke"')).join("")
      + words(x(k), k % 2 ? height - 6 : height - 20, cut(name.split(".").at(-1) === name ? name : name.split(".").slice(-2).join("."), 2 * room), `text-anchor="${k ? "middle" : "start"}" font-size="11" fill="var(--muted)"`));
    return [lines.join("") + axes.join(""), height];
  };
  show(section, box, { name: "parallel", title: "Settings and what came of them", note: `${rows.length} points on ${section.data.splits[seen]}; those on the front are strong.`, draw, key: keyOf(section), csv: () => csv([["point", ...columns.map(([name]) => name)], ...rows.map((r) => [plane.rows[r].point, ...columns.map(([, value]) => value(r))])]) });
};
