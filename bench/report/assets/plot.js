/* Figures are SVG texts in variables of the page's colours, so that one drawing serves light, dark, print and files. */

const pen = document.createElement("canvas").getContext("2d");
const wide = (text, size = 12, weight = 400) => { pen.font = `${weight} ${size}px ${light.font}`; return pen.measureText(text).width; };
const words = (x, y, text, extra = "") => `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${extra}>${esc(text)}</text>`;
const path = (d, extra) => `<path d="${d}" ${extra}/>`;

const ticks = ([low, high], count) => {
  const rough = (high - low) / Math.max(count, 1) || 1;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * unit).find((each) => each >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  return [range(Math.floor(high / step + 1e-9) - first + 1).map((at) => (first + at) * step), step];
};

/* Without choices: some of the front, or with one axis the best rows. */
const bestRows = (section, plane) => {
  const cells = Object.values(plane.at)[0];
  if (plane.axes.length > 1) return range(plane.rows.length).filter((r) => plane.rows[r].on_front).slice(0, 5);
  const sorted = range(plane.rows.length).filter((r) => known(cells[r][0][VALUE]));
  return sorted.sort((a, b) => plane.axes[0].sign * (cells[b][0][VALUE] - cells[a][0][VALUE])).slice(0, 10);
};

/* What differences are from: what is served today, or what stands for it. */
const base = ({ plane }) => (plane.against === "current" ? "current" : "reference");

/* Rows that stand out, in places of the plane: current, pick, what the verdict advises where that is another, runners-up,
   baselines, selected; once each, in this order.
   `tag` is their name in the plot and in the shortlist: a word, or a number. */
const notable = (section) => section.once("notable", () => {
  const { decision, plane } = section;
  const found = new Map();
  const add = (row, role) => { if (row >= 0) found.set(row, [...(found.get(row) ?? []), role]); };
  const rowsOf = (point) => range(plane.rows.length).filter((r) => plane.rows[r].point === point);
  const own = plane === section.data.planes[section.planes[0]];
  const placed = (r) => (own ? decision.row[r] : rowsOf(decision.rows[r].point)[0] ?? -1);
  /* Of one point's choices the one that comes nearest to the pick in its worst outcome, as in the verdict. */
  const nearest = (point) => {
    const mine = decision ? range(decision.rows.length).filter((r) => decision.rows[r].point === point) : [];
    const merit = (r) => decision.worst(r, section.found.pick ?? decision.current);
    return mine.length ? placed(mine.reduce((a, b) => (merit(b) > merit(a) ? b : a))) : rowsOf(point)[0] ?? -1;
  };
  if (plane.current !== null) add(plane.current, "current");
  if (decision) {
    if (plane.current === null) add(placed(decision.current), "current");
    const { pick, after } = section.found;
    if (pick !== null) add(placed(pick), "pick");
    if (own && section.data.advised !== null) add(section.data.advised, "advised");
    const others = new Set([decision.rows[decision.current].point, pick === null ? "" : decision.rows[pick].point]);
    for (const r of after) {
      const { point, role } = decision.rows[r];
      if (others.has(point) || role !== "trial") continue;
      others.add(point);
      add(placed(r), "runner-up");
      if (others.size > 3) break;
    }
  } else add(rowsOf(section.data.picked)[0] ?? -1, "pick");
  if (!decision) bestRows(section, plane).forEach((r) => add(r, "front"));
  for (const point of new Set(plane.rows.filter(({ role }) => role === "baseline").map((row) => row.point))) add(nearest(point), "baseline");
  for (const point of section.selected) add(nearest(point), "selected");
  let number = 0;
  const mine = decision && touched(section) ? "your pick" : "pick";
  const tag = (roles) => (roles.includes("pick") ? mine : roles.includes("current") ? base(section) : String((number += 1)));
  return [...found].map(([row, roles]) => ({ row, roles, tag: tag(roles), ...plane.rows[row] }));
});

/* What is drawn of a row in an axis: a difference, or the value. */
const at = (section, row, i) => section.plane.at[section.split][row][i][section.absolute ? VALUE : GAIN];
const ends = (section, row, i) => section.plane.at[section.split][row][i].slice(...(section.absolute ? [LOW, HIGH + 1] : [GAIN_LOW, GAIN_HIGH + 1]));
const better = (section, i) => (section.absolute ? section.plane.axes[i].sign : 1);
const axisTitle = (section, i) => {
  const { label, unit, sign } = section.plane.axes[i];
  const less = sign < 0 ? (section.absolute ? ", less is better" : ", less is a gain") : "";
  return section.absolute ? label + less : `${label}${less}, change${unit ? " in %" : " \u00d7 1000"}`;
};

const drawn = (section) => section.once("drawn", () => {
  const { plane, hidden } = section;
  const stands = new Set(notable(section).map(({ row }) => row));
  const placed = range(plane.rows.length).filter((r) => range(plane.axes.length).every((i) => known(at(section, r, i))));
  const rows = placed.filter((r) => stands.has(r) || !hidden.has(plane.rows[r].architecture));
  return { rows, stands };
});

/* The range of an axis. Near: what stands out, and the current point where that at most doubles the range. Else all of
   the front, and of what lies behind its better three quarters. */
const span = (section, i, rows, stands, near = section.near) => section.once(`span ${i} ${near}`, () => {
  const { plane } = section;
  const sign = better(section, i);
  const values = (some) => some.map((r) => sign * at(section, r, i));
  const whiskers = (some) => some.flatMap((r) => ends(section, r, i).filter(known).map((end) => sign * end));
  const close = rows.filter((r) => stands.has(r) && r !== plane.current);
  const needed = near && close.length ? close : rows.filter((r) => stands.has(r) || onFront(section, r));
  const must = [...values(needed), ...whiskers(needed.filter((r) => stands.has(r)))];
  let [low, high] = [Math.min(...must), Math.max(...must)];
  const now = !section.absolute ? 0 : plane.current === null ? null : sign * at(section, plane.current, i);
  if (now !== null && (!near || Math.max(high, now) - Math.min(low, now) <= 2 * (high - low))) [low, high] = [Math.min(low, now), Math.max(high, now)];
  if (!near) {
    const sorted = values(rows).sort((a, b) => a - b);
    low = Math.min(low, Math.max(sorted[Math.floor(sorted.length / 4)] ?? low, low - (high - low) / 2));
    high = Math.max(high, ...sorted);
  }
  const pad = 0.07 * (high - low) || Math.abs(high) * 0.01 || 1;
  return sign > 0 ? [low - pad, high + pad] : [-high - pad, -low + pad];
});

/* Places for labels that lie on no mark, no other label, in no box, and inside: nearest first; a thin line leads back. */
const placeLabels = (labels, marks, boxes, [left, top, right, bottom]) => {
  const taken = [...boxes, ...marks.map(([x, y, r]) => [x - r, y - r, x + r, y + r])];
  const crosses = ([a, b, c, d]) => taken.some(([e, f, g, h]) => a < g && e < c && b < h && f < d);
  return labels.map(({ x, y, r, text }) => {
    const [width, height] = [wide(text, 12, 600) + 6, 17];
    for (const far of [2, 8, 16, 28, 44, 64, 90, 120, 160, 210]) {
      for (const turn of [0, 4, 1, 3, 5, 7, 2, 6].flatMap((eighth) => [eighth, eighth + 0.5])) {
        const [dx, dy] = [Math.cos(turn * Math.PI / 4), Math.sin(turn * Math.PI / 4)];
        const [cx, cy] = [x + dx * (r + far + width / 2 * Math.abs(dx)) , y + dy * (r + far + height / 2)];
        const box = [cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2];
        if (box[0] < left || box[2] > right || box[1] < top || box[3] > bottom || crosses(box)) continue;
        taken.push(box);
        const lead = far > 16 ? path(`M${(x + dx * r).toFixed(1)} ${(y + dy * r).toFixed(1)}L${clamp(x, box[0], box[2]).toFixed(1)} ${clamp(y, box[1], box[3]).toFixed(1)}`, 'stroke="var(--muted)" stroke-width="1" fill="none"') : "";
        return lead + words(box[0] + 3, cy + 4, text, 'class="label" font-size="12" font-weight="600" fill="var(--text)" stroke="var(--surface)" stroke-width="3" stroke-linejoin="round" paint-order="stroke"');
      }
    }
    return "";
  }).join("");
};

const ROLE = { pick: "pick", advised: "advised", "runner-up": "runner-up", baseline: "", selected: "", front: "" };
const labelOf = (section, { roles, name, role }) => {
  const first = roles.map((each) => (each === "pick" && section.decision && touched(section) ? "your pick" : each === "current" ? base(section) : ROLE[each])).filter(Boolean);
  if (roles.includes("current") && !roles.includes("pick")) return base(section);
  return first.length ? `${first.join(", ")}: ${name}` : name;
};

/* Baselines and the current point that stand out are hollow. */
const fillOf = (section, row) => {
  const [role] = section.look(row);
  const hollow = row.roles?.includes("baseline") || row.roles?.includes("current");
  return hollow ? `fill="var(--surface)" stroke="var(--${role})" stroke-width="2.4"` : `fill="var(--${role})"`;
};

/* Who is who: markup of the names in columns from a place on, and how high it is. */
const who = (section, x, y, width) => {
  const names = notable(section).map((each) => [each, `${each.tag}: ${titled(each)}`]);
  const step = Math.max(...names.map(([, text]) => wide(text))) + 34;
  const columns = Math.max(1, Math.floor(width / step));
  const lines = names.map(([each, text], k) => {
    const [left, top] = [x + step * (k % columns), y + 18 * Math.floor(k / columns)];
    return `<g transform="translate(${left + 12} ${top + 13}) scale(.8)">${path(section.look(each)[1], fillOf(section, each))}</g>${words(left + 24, top + 17, text, 'class="who" font-size="12" fill="var(--text)"')}`;
  });
  return { markup: lines.join(""), height: 18 * Math.ceil(names.length / columns) + 8, step };
};

/* One plane of two axes in a box; `small` is a panel among many, of which the first has labels. */
const planePanel = (section, [i, j], width, height, small) => {
  const { plane, split } = section;
  const { rows, stands } = drawn(section);
  const [left, right, top, bottom] = [small ? 60 : 62, small ? 8 : 14, 10, small ? 38 : 46];
  const [xs, ys] = [span(section, i, rows, stands), span(section, j, rows, stands)];
  const x = (value) => left + ((value - xs[0]) / (xs[1] - xs[0])) * (width - left - right);
  const y = (value) => height - bottom - ((value - ys[0]) / (ys[1] - ys[0])) * (height - top - bottom);
  const frame = [left, top, width - right, height - bottom];
  const inside = (r) => { const [a, b] = [x(at(section, r, i)), y(at(section, r, j))]; return a >= frame[0] && a <= frame[2] && b >= frame[1] && b <= frame[3]; };
  const clip = `clip-${section.place}-${i}-${j}-${Math.round(width)}`;
  let svg = `<clipPath id="${clip}"><rect x="${left}" y="${top}" width="${width - left - right}" height="${height - top - bottom}"/></clipPath>`;
  const unit = (axis) => (section.absolute ? "" : plane.axes[axis].unit);
  const sign = (value, step) => (section.absolute || value <= 0 ? "" : "+") + tick(value, step);
  const font = `font-size="${small ? 10.5 : 12}" fill="var(--muted)"`;
  const [across, xstep] = ticks(xs, Math.max(2, (width - left - right) / (small ? 48 : 90)));
  const [upwards, ystep] = ticks(ys, Math.max(2, (height - top - bottom) / (small ? 36 : 60)));
  if (!section.absolute) svg += `<rect x="${Math.max(x(0), left)}" y="${top}" width="${Math.max(width - right - Math.max(x(0), left), 0)}" height="${Math.max(Math.min(y(0), height - bottom) - top, 0)}" fill="var(--accent)" opacity=".05"/>`;
  for (const value of across) svg += path(`M${x(value).toFixed(1)} ${top}V${height - bottom}`, 'stroke="var(--grid)"') + words(x(value), height - bottom + 15, sign(value, xstep) + unit(i), `text-anchor="middle" class="tick" ${font}`);
  for (const value of upwards) svg += path(`M${left} ${y(value).toFixed(1)}H${width - right}`, 'stroke="var(--grid)"') + words(left - 6, y(value) + 4, sign(value, ystep) + unit(j), `text-anchor="end" class="tick" ${font}`);
  if (!section.absolute) svg += path(`M${x(0).toFixed(1)} ${top}V${height - bottom}M${left} ${y(0).toFixed(1)}H${width - right}`, 'stroke="var(--front)" stroke-width="1" opacity=".6"');
  const title = (axis, room) => [...(small ? [] : [axisTitle(section, axis), plane.axes[axis].label]), brief(plane.axes).labels[axis]].find((text, k, { length }) => k === length - 1 || wide(text) <= room);
  svg += words((left + width - right) / 2, height - 6, title(i, width - left), `text-anchor="middle" class="axis" ${font}`);
  svg += words(-(top + height - bottom) / 2, small ? 9 : 12, title(j, height - bottom), `text-anchor="middle" class="axis" transform="rotate(-90)" ${font}`);
  svg += `<g clip-path="url(#${clip})">`;
  for (const each of notable(section)) svg += region(section, each, i, j, x, y);
  const front = frontLine(section, rows, i, j);
  if (plane.axes.length === 2 && front.length > 1) svg += path(`M${front.map((r) => `${x(at(section, r, i)).toFixed(1)} ${y(at(section, r, j)).toFixed(1)}`).join("L")}`, 'class="front" fill="none" stroke="var(--front)" stroke-width="1.2" opacity=".6"');
  for (const point of section.selected) {
    const own = rows.filter((r) => plane.rows[r].point === point).sort((a, b) => at(section, a, i) - at(section, b, i));
    if (own.length > 1) svg += path(`M${own.map((r) => `${x(at(section, r, i)).toFixed(1)} ${y(at(section, r, j)).toFixed(1)}`).join("L")}`, `fill="none" stroke="var(--${section.look(plane.rows[own[0]])[0]})" stroke-width="2" stroke-dasharray="4 3"`);
  }
  svg += "</g>";
  const seen = rows.filter(inside);
  const marks = [];
  const picked = new Set(section.selected);
  const order = [...seen.filter((r) => !stands.has(r) && !onFront(section, r)), ...seen.filter((r) => !stands.has(r) && onFront(section, r)), ...seen.filter((r) => stands.has(r))];
  const roles = new Map(notable(section).map((each) => [each.row, each]));
  const labels = [];
  for (const r of order) {
    const row = plane.rows[r];
    const [role, shape] = section.look(row);
    const [cx, cy] = [x(at(section, r, i)), y(at(section, r, j))];
    const own = roles.get(r);
    const size = (own ? 0.95 : onFront(section, r) ? (plane.kind === "served" ? 0.5 : 0.8) : 0.45) * (small ? 0.7 : 1);
    const ring = own?.roles.includes("pick") ? `<circle r="12" fill="none" stroke="var(--accent)" stroke-width="2.5"/>` : picked.has(row.point) ? `<circle r="10" fill="none" stroke="var(--${role})" stroke-width="1.5"/>` : "";
    const target = own?.roles.includes("current") ? '<circle r="2.6" fill="var(--text)"/>' : "";
    svg += `<g class="mark" data-row="${r}" transform="translate(${cx.toFixed(1)} ${cy.toFixed(1)}) scale(${size})"><circle r="12" fill="transparent"/>${path(shape, `${fillOf(section, own ?? row)} opacity="${own || onFront(section, r) ? 1 : 0.5}"`)}${target}${ring}</g>`;
    const reach = (own?.roles.includes("pick") ? 13 : picked.has(row.point) ? 11 : own ? 8 : 7) * size;
    marks.push([cx, cy, reach]);
    if (own && (!small || (i + j === 1 && Number.isNaN(Number(own.tag))))) labels.push({ x: cx, y: cy, r: reach, text: own.tag, first: own.roles.includes("pick") ? 0 : own.roles.includes("current") ? 1 : 2 });
  }
  labels.sort((a, b) => a.first - b.first);
  if (small) return [svg + placeLabels(labels, marks, [], frame), height];
  /* The names: in a corner of the plot that is free, else below it. */
  const column = who(section, 0, 0, 1);
  const corners = (w2, h2) => [[frame[2] - w2 - 8, top + 8], [left + 8, height - bottom - h2 - 8], [left + 8, top + 8], [frame[2] - w2 - 8, height - bottom - h2 - 8]].map(([a, b]) => [a, b, a + w2, b + h2]);
  const boxes = [];
  const free = (box) => [...marks.map(([a, b, r]) => [a - r, b - r, a + r, b + r]), ...boxes].every(([a, b, c, d]) => box[0] > c || box[2] < a || box[1] > d || box[3] < b);
  const corner = width >= 560 && corners(column.step, column.height).find(free);
  if (corner) boxes.push(corner);
  const inset = section.near && width >= 560 && corners(150, 110).find(free);
  if (inset) boxes.push(inset);
  svg += inset ? overview(section, [i, j], [xs, ys], inset) : "";
  svg += placeLabels(labels, marks, boxes, frame);
  if (corner) {
    const backing = `<rect x="${corner[0]}" y="${corner[1]}" width="${column.step}" height="${column.height}" fill="var(--surface)" opacity=".85"/>`;
    return [svg + backing + who(section, corner[0], corner[1], 1).markup, height];
  }
  const below = who(section, 8, height, width - 8);
  return [svg + below.markup, height + below.height];
};

/* The part of the front that nothing in it dominates on the rows drawn: it was chosen on other rows. */
const frontLine = (section, rows, i, j) => {
  const [a, b] = [better(section, i), better(section, j)];
  let best = -Infinity;
  return rows.filter((r) => onFront(section, r)).sort((r, s) => a * (at(section, s, i) - at(section, r, i))).filter((r) => {
    const ahead = b * at(section, r, j) > best;
    if (ahead) best = b * at(section, r, j);
    return ahead;
  });
};

/* All of the front, small, with the part that the plot shows. */
const overview = (section, [i, j], [xs, ys], [left, top, right, bottom]) => {
  const { rows, stands } = drawn(section);
  const [xw, yw] = [span(section, i, rows, stands, false), span(section, j, rows, stands, false)];
  const x = (value) => clamp(left + ((value - xw[0]) / (xw[1] - xw[0])) * (right - left), left, right);
  const y = (value) => clamp(bottom - ((value - yw[0]) / (yw[1] - yw[0])) * (bottom - top), top, bottom);
  const line = frontLine(section, rows, i, j).map((r) => `${x(at(section, r, i)).toFixed(1)} ${y(at(section, r, j)).toFixed(1)}`).join("L");
  const now = section.plane.current;
  const point = now === null ? "" : `<circle cx="${x(at(section, now, i)).toFixed(1)}" cy="${y(at(section, now, j)).toFixed(1)}" r="3" fill="var(--text)"/>${words(x(at(section, now, i)) + 6, y(at(section, now, j)) + 4, base(section), 'font-size="10.5" fill="var(--muted)"')}`;
  return `<g class="overview"><rect x="${left}" y="${top}" width="${right - left}" height="${bottom - top}" fill="var(--surface)" stroke="var(--line)"/>${words(left + 6, bottom - 6, "whole front", 'font-size="10.5" fill="var(--muted)"')}${path(`M${line}`, 'fill="none" stroke="var(--front)" stroke-width="1.2"')}<rect x="${x(xs[0]).toFixed(1)}" y="${y(ys[1]).toFixed(1)}" width="${(x(xs[1]) - x(xs[0])).toFixed(1)}" height="${(y(ys[0]) - y(ys[1])).toFixed(1)}" fill="var(--accent)" fill-opacity=".12" stroke="var(--accent)"/>${point}</g>`;
};

/* The 90% region of a difference, from paired draws; without them the ends of the intervals as a cross. */
const region = (section, { row, roles, architecture }, i, j, x, y) => {
  const [role] = section.data.looks[architecture];
  const [cx, cy] = [at(section, row, i), at(section, row, j)];
  if (!known(cx) || !known(cy)) return "";
  const covariance = section.absolute ? null : section.plane.spread[section.split]?.[row];
  if (covariance) {
    const [a, b, c] = [covariance[i][i], covariance[i][j], covariance[j][j]];
    if (!(a > 0 || c > 0)) return "";
    const wide90 = Math.sqrt(4.605); // of chi squared with two degrees of freedom, at 90%
    const [u, v] = [Math.sqrt(a), a > 0 ? b / Math.sqrt(a) : 0];
    const w = Math.sqrt(Math.max(c - v * v, 0));
    const edge = range(41).map((k) => k * Math.PI / 20).map((turn) => `${x(cx + wide90 * u * Math.cos(turn)).toFixed(1)} ${y(cy + wide90 * (v * Math.cos(turn) + w * Math.sin(turn))).toFixed(1)}`);
    return path(`M${edge.join("L")}Z`, `class="region" fill="${roles.includes("pick") ? "var(--accent)" : "none"}" fill-opacity=".14" stroke="var(--${role})" stroke-opacity="${roles.includes("pick") ? 0.9 : 0.5}"`);
  }
  const [[xl, xh], [yl, yh]] = [ends(section, row, i), ends(section, row, j)];
  const bars = (known(xl) ? `M${x(xl).toFixed(1)} ${y(cy).toFixed(1)}H${x(xh).toFixed(1)}` : "") + (known(yl) ? `M${x(cx).toFixed(1)} ${y(yl).toFixed(1)}V${y(yh).toFixed(1)}` : "");
  return bars && path(bars, `class="region" stroke="var(--${role})" stroke-opacity=".6" fill="none"`);
};

/* One outcome: a row for each point that stands out. */
const stripPanel = (section, width) => {
  const rows = notable(section).filter(({ row }) => known(at(section, row, 0))).sort((a, b) => better(section, 0) * (at(section, b.row, 0) - at(section, a.row, 0)));
  const name = Math.min(230, width * 0.45);
  const stands = new Set(rows.map(({ row }) => row));
  const xs = span(section, 0, [...stands], stands);
  const x = (value) => name + ((value - xs[0]) / (xs[1] - xs[0])) * (width - name - 14);
  const height = 30 * rows.length + 50;
  const [across, step] = ticks(xs, Math.max(2, (width - name) / 90));
  const font = 'font-size="12" fill="var(--muted)"';
  let svg = across.map((value) => path(`M${x(value).toFixed(1)} 6V${height - 42}`, 'stroke="var(--grid)"') + words(x(value), height - 26, (section.absolute || value <= 0 ? "" : "+") + tick(value, step), `text-anchor="middle" class="tick" ${font}`)).join("");
  if (!section.absolute) svg += path(`M${x(0).toFixed(1)} 6V${height - 42}`, 'stroke="var(--front)"');
  rows.forEach((each, k) => {
    const [y, [low, high], [role, shape]] = [20 + 30 * k, ends(section, each.row, 0), section.data.looks[each.architecture]];
    let text = labelOf(section, each);
    while (wide(text) > name - 16) text = `${text.slice(0, -2)}\u2026`.replace("\u2026\u2026", "\u2026");
    svg += words(name - 10, y + 4, text, 'text-anchor="end" class="label" font-size="12" fill="var(--text)"');
    if (known(low)) svg += path(`M${x(low).toFixed(1)} ${y}H${x(high).toFixed(1)}`, `stroke="var(--${role})" stroke-width="2"`);
    svg += `<g class="mark" data-row="${each.row}" transform="translate(${x(at(section, each.row, 0)).toFixed(1)} ${y})">${path(shape, `fill="var(--${role})"`)}${each.roles.includes("pick") ? '<circle r="11" fill="none" stroke="var(--accent)" stroke-width="2.5"/>' : ""}</g>`;
  });
  return [svg + words((name + width) / 2, height - 6, axisTitle(section, 0), `text-anchor="middle" class="axis" ${font}`), height];
};

const pairsIn = (axes) => axes.flatMap((_, i) => range(axes.length).filter((j) => j > i).map((j) => [i, j]));
const pairsOf = (section) => {
  const pairs = pairsIn(section.plane.axes);
  return pairs[Number(section.state.pair || -1)] ? [pairs[Number(section.state.pair)]] : pairs;
};
const mainFigure = (section) => {
  const { plane } = section;
  const title = plane.kind === "served" ? "The front that is served" : "The front of heads";
  const draw = (width, tall) => {
    if (plane.axes.length === 1) return stripPanel(section, width);
    const pairs = pairsOf(section);
    const room = innerHeight - section.part("bar").getBoundingClientRect().bottom - scrollY - 18;
    if (pairs.length === 1) {
      const height = tall ?? clamp(width < 560 ? width * 0.88 : room, 320, width * 0.8);
      return planePanel(section, pairs[0], width, height, false);
    }
    const lines = Math.ceil(pairs.length / Math.max(2, Math.floor(width / 155)));
    const columns = Math.ceil(pairs.length / lines);
    const names = who(section, 8, 0, width - 8);
    const [w, h] = [width / columns, clamp(((tall ?? room) - names.height) / lines, 150, width / columns)];
    const panels = pairs.map((pair, k) => `<g transform="translate(${((k % columns) * w).toFixed(1)} ${(Math.floor(k / columns) * h).toFixed(1)})">${planePanel(section, pair, w, h, true)[0]}</g>`);
    return [`${panels.join("")}<g transform="translate(0 ${(h * lines).toFixed(1)})">${names.markup}</g>`, h * lines + names.height];
  };
  const { metric } = brief(plane.axes);
  const units = section.absolute || plane.axes.length < 3 ? "" : plane.axes.every(({ unit }) => unit) ? ", in %" : plane.axes.some(({ unit }) => unit) ? "" : ", \u00d7 1000";
  const regions = section.absolute ? "; bars are 90% intervals" : plane.spread[section.split] ? "; regions at 90%, paired" : plane.at[section.split].some((row) => known(row[0][GAIN_LOW])) ? "; bars are 90% intervals, paired" : "";
  const note = `${section.absolute ? "Absolute values" : `Differences from ${plane.against}`} on ${section.data.splits[section.split]}${plane.axes.length > 2 && metric ? `, ${metric}` : ""}${units}${regions}.`;
  return { name: plane.kind, title, note, draw, key: keyOf(section), csv: () => planeCsv(plane) };
};
const keyOf = (section) => [...new Set(drawn(section).rows.map((r) => section.plane.rows[r].architecture))].map((kind) => [section.data.looks[kind], kind]);

const svgOf = (figure, width) => {
  const [inner, height] = figure.draw(width);
  return `<svg class="figure" viewBox="0 0 ${width} ${height.toFixed(0)}" width="${width}" height="${height.toFixed(0)}" role="img" tabindex="0" aria-label="${esc(`${figure.title}. ${figure.note}`)}">${inner}</svg>`;
};
const show = (section, box, figure) => {
  section.figures[figure.name] = figure;
  const width = Math.floor(box.clientWidth);
  if (!width) return;
  const held = box.contains(document.activeElement) && document.activeElement.matches("svg");
  box.innerHTML = `${svgOf(figure, width)}<p class="save"><span>${esc(figure.note)}</span>${["svg", "png", "csv"].map((as) => `<button type="button" data-action="save" data-figure="${figure.name}" data-as="${as}">${as.toUpperCase()}</button>`).join("")}</p>`;
  if (held) box.querySelector("svg").focus();
};
const drawPlot = (section) => show(section, section.part("plot"), mainFigure(section));

/* Switches above the plot. */
const bar = (section) => {
  const { state, plane, data } = section;
  const box = section.part("bar");
  box.hidden = false;
  const button = (name, value, text, on) => `<button type="button" data-action="switch" data-name="${name}" data-value="${value}" aria-pressed="${on}">${text}</button>`;
  const planes = section.planes.length > 1 ? section.planes.map((kind, k) => button("plane", k ? kind : "", kind === "served" ? "Served" : "Heads", plane.kind === kind)).join("") : "";
  const pairs = plane.axes.length > 2 ? (() => {
    const { labels } = brief(plane.axes);
    return `<select data-name="pair" aria-label="Outcomes drawn"><option value="">all pairs</option>${pairsIn(plane.axes).map(([i, j], k) => `<option value="${k}" ${state.pair === String(k) ? "selected" : ""}>${esc(labels[i])} / ${esc(labels[j])}</option>`).join("")}</select>`;
  })() : "";
  const splits = section.splits.length > 1 ? `<select data-name="split" aria-label="Rows">${section.splits.map((each) => `<option value="${esc(each)}" ${each === section.split ? "selected" : ""}>${esc(data.splits[each])}</option>`).join("")}</select>` : "";
  const kinds = new Set(plane.rows.map(({ architecture }) => architecture));
  const chips = kinds.size > 1 ? [...kinds].map((kind) => `<button type="button" class="chip" data-action="hide" data-kind="${esc(kind)}" aria-pressed="${!section.hidden.has(kind)}">${mark(data.looks[kind])}${esc(kind)}</button>`).join("") : "";
  const differs = plane.at[section.split].some((row) => known(row[0][GAIN]));
  const focused = document.activeElement?.closest?.(".bar") === box ? [...box.querySelectorAll("button,select")].indexOf(document.activeElement) : -1;
  box.innerHTML = `<div><span class="group">${planes}</span>${differs ? button("abs", state.abs ? "" : "1", "absolute values", Boolean(state.abs)) : ""}${button("near", !section.near === section.wide ? "" : section.near ? "0" : "1", "close-up", section.near)}${splits}${pairs}</div><div class="chips">${chips}</div>`;
  if (focused >= 0) box.querySelectorAll("button,select")[focused]?.focus();
};

/* Files: the figure in light colours, with title, data set and key, wide enough for a column of a paper. */
const fileOf = (section, figure) => {
  const width = 720;
  const [inner, height] = figure.draw(width, 480);
  let [x, y, keys] = [16, 62, ""];
  for (const [[role, shape], text] of figure.key) {
    if (x + wide(text) + 40 > width) [x, y] = [16, y + 20];
    keys += `<g transform="translate(${x + 6} ${y - 4}) scale(.85)">${path(shape, `fill="var(--${role})"`)}</g>${words(x + 18, y, text, 'font-size="12" fill="var(--text)"')}`;
    x += wide(text) + 40;
  }
  const top = figure.key.length ? y + 14 : 52;
  const whole = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${(height + top + 8).toFixed(0)}" viewBox="0 0 ${width} ${(height + top + 8).toFixed(0)}" font-family="${esc(light.font)}"><rect width="100%" height="100%" fill="var(--surface)"/>${words(16, 24, `${figure.title}: ${section.data.title}`, 'font-size="16" font-weight="600" fill="var(--text)"')}${words(16, 42, `${[section.data.run, section.data.dataset].filter(Boolean).join(", ")}. ${figure.note}`, 'font-size="12" fill="var(--muted)"')}${keys}<g transform="translate(0 ${top})">${inner}</g></svg>`;
  return whole.replace(/var\(--([\w-]+)\)/g, (_, role) => light[role]);
};
const download = (name, blob) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href));
};
const toPng = async (svg) => {
  const picture = new Image();
  picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await picture.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [3 * picture.width, 3 * picture.height];
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
};
const save = async (section, button) => {
  const figure = section.figures[button.dataset.figure];
  const as = button.dataset.as;
  const name = `${section.data.dataset}-${figure.name}`.replace(/[^\w.@-]+/g, "_");
  if (as === "csv") download(`${name}.csv`, new Blob([figure.csv()], { type: "text/csv" }));
  else {
    const svg = fileOf(section, figure);
    download(`${name}.${as}`, as === "svg" ? new Blob([svg], { type: "image/svg+xml" }) : await toPng(svg));
  }
};
/* A text that a spreadsheet would run as a formula begins with an apostrophe. */
const csv = (rows) => rows.map((row) => row.map((cell) => {
  const text = String(cell ?? "");
  const safe = typeof cell === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}).join(",")).join("\n");
const planeCsv = (plane) => {
  const splits = Object.keys(plane.at);
  const parts = ["", ".low", ".high", ".gain", ".gain_low", ".gain_high"];
  const head = ["point", "name", "architecture", "role", "kind", "weights", "on_front", ...(plane.rows.some((row) => known(row.p_nondominated)) ? ["p_nondominated"] : [])];
  const names = splits.flatMap((split) => plane.axes.flatMap(({ name }) => parts.map((part) => `${split}/${name}${part}`)));
  const params = [...new Set(plane.rows.flatMap((row) => Object.keys(row.params ?? {})))];
  return csv([[...head, ...names, ...params], ...plane.rows.map((row, r) => [...head.map((name) => (name === "weights" && row.weights ? JSON.stringify(row.weights) : row[name])), ...splits.flatMap((split) => plane.at[split][r].flat()), ...params.map((name) => row.params?.[name])])]);
};
