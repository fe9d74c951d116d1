/* Figures are SVG texts in variables of the page's colours, so that one drawing serves light, dark, print and files. */

const pen = document.createElement("canvas").getContext("2d");
const wide = (text, size = 12, weight = 400) => { pen.font = `${weight} ${size}px ${light.font}`; return pen.measureText(text).width; };
const words = (x, y, text, extra = "") => `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${extra}>${esc(text)}</text>`;
const cropped = (text, most) => {
  let found = text;
  while (wide(found, 12, 600) > most && found.length > 3) found = `${found.replace(/\u2026$/, "").slice(0, -1)}\u2026`;
  return found;
};
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

/* Rows that stand out, in places of the plane: current, the answer, runners-up, baselines, what a limit refuses,
   selected; once each, in this order.
   `tag` is their name in the plots; `same` are all rows at that place. */
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
  for (const point of new Set(plane.rows.filter(({ role, point }) => role === "baseline" && point !== plane.rows[plane.current]?.point).map((row) => row.point))) add(nearest(point), "baseline");
  for (const point of section.data.refused) add(nearest(point), "refused");
  for (const point of section.selected) add(nearest(point), "selected");
  /* Points that are one stand out once; a place is called by its role, else by its model. */
  const merged = [];
  const cells = plane.at[section.split];
  const one = (r, s) => cells[r].every(([value], i) => known(value) && Math.abs(value - cells[s][i][VALUE]) <= 1e-4 * Math.abs(value));
  for (const [row, roles] of found) {
    const before = merged.find((each) => one(each.row, row));
    if (before) Object.assign(before, { same: [...before.same, row], roles: [...new Set([...before.roles, ...roles])] });
    else merged.push({ row, roles, same: [row] });
  }
  const every = merged.map((each) => ({ ...plane.rows[each.row], ...each, title: [...new Set(each.same.map((r) => plane.rows[r].title))].join(" = ") }));
  const short = ({ title }) => title.split(",")[0];
  const tag = (each) => {
    const roles = [each.roles.includes("pick") && (decision && touched(section) ? "your pick" : "answer"), each.roles.includes("current") && base(section)].filter(Boolean);
    const alike = every.filter((other) => short(other) === short(each));
    const number = alike.indexOf(each) + 1;
    const apart = alike.every(({ point }) => point === each.point) ? ` (weights ${number})` : ` ${number}`;
    if (roles.length || alike.length === 1) return roles.join(" = ") || short(each);
    const alone = every.filter(({ title }) => title === each.title).length === 1;
    return alone && each.title.length <= 22 ? each.title : short(each) + apart;
  };
  return every.map((each) => ({ ...each, tag: tag(each) }));
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

/* Places for labels that lie on no mark, no other label, and inside: nearest first; a thin line leads back. */
const placeLabels = (labels, marks, [left, top, right, bottom]) => {
  const taken = marks.map(([x, y, r]) => [x - r, y - r, x + r, y + r]);
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

/* Baselines and the current point that stand out are hollow. */
const fillOf = (section, row) => {
  const [role] = section.look(row);
  const hollow = row.roles?.includes("baseline") || row.roles?.includes("current");
  return hollow ? `fill="var(--surface)" stroke="var(--${role})" stroke-width="2.4"` : `fill="var(--${role})"`;
};

/* One plane of two axes in a box. */
const planePanel = (section, [i, j], width, height) => {
  const { plane } = section;
  const { rows, stands } = drawn(section);
  const [left, right, top, bottom] = [68, 14, 10, 46];
  const [xs, ys] = [span(section, i, rows, stands), span(section, j, rows, stands)];
  const x = (value) => left + ((value - xs[0]) / (xs[1] - xs[0])) * (width - left - right);
  const y = (value) => height - bottom - ((value - ys[0]) / (ys[1] - ys[0])) * (height - top - bottom);
  const frame = [left, top, width - right, height - bottom];
  const placed = (r) => [x(at(section, r, i)), y(at(section, r, j))];
  const inside = (r) => { const [a, b] = placed(r); return a >= frame[0] && a <= frame[2] && b >= frame[1] && b <= frame[3]; };
  const line = (some) => path(`M${some.map((r) => placed(r).map((value) => value.toFixed(1)).join(" ")).join("L")}`, 'fill="none"');
  const clip = `clip-${section.place}-${i}-${j}-${Math.round(width)}`;
  let svg = `<clipPath id="${clip}"><rect x="${left}" y="${top}" width="${width - left - right}" height="${height - top - bottom}"/></clipPath>`;
  const unit = (axis) => (section.absolute ? "" : plane.axes[axis].unit);
  const sign = (value, step) => (section.absolute || value <= 0 ? "" : "+") + tick(value, step);
  const font = 'font-size="12" fill="var(--muted)"';
  const [across, xstep] = ticks(xs, Math.max(2, (width - left - right) / 70));
  const [upwards, ystep] = ticks(ys, Math.max(2, (height - top - bottom) / 60));
  if (!section.absolute) svg += `<rect x="${Math.max(x(0), left)}" y="${top}" width="${Math.max(width - right - Math.max(x(0), left), 0)}" height="${Math.max(Math.min(y(0), height - bottom) - top, 0)}" fill="var(--accent)" opacity=".05"/>`;
  for (const value of across) {
    const said = sign(value, xstep) + unit(i);
    svg += path(`M${x(value).toFixed(1)} ${top}V${height - bottom}`, 'stroke="var(--grid)"') + words(Math.min(x(value), width - wide(said) / 2), height - bottom + 15, said, `text-anchor="middle" class="tick" ${font}`);
  }
  for (const value of upwards) svg += path(`M${left} ${y(value).toFixed(1)}H${width - right}`, 'stroke="var(--grid)"') + words(left - 6, y(value) + 4, sign(value, ystep) + unit(j), `text-anchor="end" class="tick" ${font}`);
  const title = (axis, room) => [axisTitle(section, axis), plane.axes[axis].label, brief(plane.axes).labels[axis]].find((text, k) => k === 2 || wide(text) <= room);
  svg += words((left + width - right) / 2, height - 6, title(i, width - left), `text-anchor="middle" class="axis" ${font}`);
  svg += words(-(top + height - bottom) / 2, 12, title(j, height - bottom), `text-anchor="middle" class="axis" transform="rotate(-90)" ${font}`);
  svg += `<g clip-path="url(#${clip})">`;
  if (!section.absolute) svg += path(`M${x(0).toFixed(1)} ${top}V${height - bottom}M${left} ${y(0).toFixed(1)}H${width - right}`, 'stroke="var(--front)" stroke-width="1" opacity=".6"');
  const roles = new Map(notable(section).flatMap((each) => each.same.map((r) => [r, each])));
  const once = rows.filter((r) => !roles.has(r) || roles.get(r).row === r);
  const seen = once.filter(inside);
  for (const r of seen) svg += region(section, r, roles.get(r)?.roles.includes("pick"), i, j, x, y);
  const front = frontLine(section, rows, i, j);
  if (plane.axes.length === 2 && front.length > 1) svg += `<g class="front" stroke="var(--front)" stroke-width="1.2" opacity=".6">${line(front)}</g>`;
  for (const point of section.selected) {
    const own = rows.filter((r) => plane.rows[r].point === point).sort((a, b) => at(section, a, i) - at(section, b, i));
    if (own.length > 1) svg += `<g stroke="var(--${section.look(plane.rows[own[0]])[0]})" stroke-width="2" stroke-dasharray="4 3">${line(own)}</g>`;
  }
  svg += "</g>";
  const picked = new Set(section.selected);
  const order = [...seen.filter((r) => !stands.has(r) && !onFront(section, r)), ...seen.filter((r) => !stands.has(r) && onFront(section, r)), ...seen.filter((r) => stands.has(r))];
  const [marks, labels] = [[], []];
  for (const r of order) {
    const row = plane.rows[r];
    const [role, shape] = section.look(row);
    const [cx, cy] = placed(r);
    const own = roles.get(r);
    const size = own ? 0.95 : onFront(section, r) ? (plane.kind === "served" ? 0.5 : 0.8) : 0.45;
    const ring = own?.roles.includes("pick") ? RING : picked.has(row.point) ? `<circle r="10" fill="none" stroke="var(--${role})" stroke-width="1.5"/>` : "";
    svg += `<g class="mark" data-row="${r}" transform="translate(${cx.toFixed(1)} ${cy.toFixed(1)}) scale(${size})"><circle r="12" fill="transparent"/>${path(shape, `${fillOf(section, own ?? row)} opacity="${own || onFront(section, r) ? 1 : 0.5}"`)}${ring}</g>`;
    const reach = (own?.roles.includes("pick") ? 13 : picked.has(row.point) ? 11 : own ? 8 : 7) * size;
    marks.push([cx, cy, reach]);
    if (own) labels.push({ x: cx, y: cy, r: reach, text: own.tag, first: own.roles.includes("pick") ? 0 : own.roles.includes("current") ? 1 : 2 });
  }
  const now = plane.current;
  if (now !== null && rows.includes(now) && !inside(now)) { // the direction in which it lies
    const [a, b] = placed(now);
    const [cx, cy] = [clamp(a, left + 10, width - right - 10), clamp(b, top + 10, height - bottom - 10)];
    svg += `<g class="mark away" data-row="${now}" transform="translate(${cx.toFixed(1)} ${cy.toFixed(1)}) rotate(${(Math.atan2(b - cy, a - cx) * 180 / Math.PI).toFixed(0)})">${path("M9 0L-5-6V6Z", 'fill="var(--text)"')}</g>`;
    marks.push([cx, cy, 9]);
    labels.push({ x: cx, y: cy, r: 9, text: base(section), first: 1 });
  }
  labels.sort((a, b) => a.first - b.first);
  return [svg + placeLabels(labels, marks, frame), height];
};
const RING = '<circle r="12" fill="none" stroke="var(--accent)" stroke-width="2.5"/>';

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

/* The 90% region of a difference, from paired draws; without them the ends of the intervals as a cross. Only the pick's
   is always shown, others under the pointer. */
const region = (section, row, pick, i, j, x, y) => {
  const [role] = section.look(section.plane.rows[row]);
  const [cx, cy] = [at(section, row, i), at(section, row, j)];
  const shown = `class="region" data-of="${row}" ${pick ? "" : 'display="none"'}`;
  const covariance = section.absolute ? null : section.plane.spread[section.split]?.[row];
  if (covariance) {
    const [a, b, c] = [covariance[i][i], covariance[i][j], covariance[j][j]];
    if (!(a > 0 || c > 0)) return "";
    const wide90 = Math.sqrt(4.605); // of chi squared with two degrees of freedom, at 90%
    const [u, v] = [Math.sqrt(a), a > 0 ? b / Math.sqrt(a) : 0];
    const w = Math.sqrt(Math.max(c - v * v, 0));
    const edge = range(41).map((k) => k * Math.PI / 20).map((turn) => `${x(cx + wide90 * u * Math.cos(turn)).toFixed(1)} ${y(cy + wide90 * (v * Math.cos(turn) + w * Math.sin(turn))).toFixed(1)}`);
    return path(`M${edge.join("L")}Z`, `${shown} fill="var(--${pick ? "accent" : role})" fill-opacity=".14" stroke="var(--${role})" stroke-opacity=".8"`);
  }
  const [[xl, xh], [yl, yh]] = [ends(section, row, i), ends(section, row, j)];
  const bars = (known(xl) ? `M${x(xl).toFixed(1)} ${y(cy).toFixed(1)}H${x(xh).toFixed(1)}` : "") + (known(yl) ? `M${x(cx).toFixed(1)} ${y(yl).toFixed(1)}V${y(yh).toFixed(1)}` : "");
  return bars && path(bars, `${shown} stroke="var(--${role})" stroke-opacity=".6" fill="none"`);
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
    const [y, [low, high], [role, shape]] = [20 + 30 * k, ends(section, each.row, 0), section.look(each)];
    svg += words(name - 10, y + 4, cropped(each.tag, name - 16), 'text-anchor="end" class="label" font-size="12" fill="var(--text)"');
    if (known(low)) svg += path(`M${x(low).toFixed(1)} ${y}H${x(high).toFixed(1)}`, `stroke="var(--${role})" stroke-width="2"`);
    svg += `<g class="mark" data-row="${each.row}" transform="translate(${x(at(section, each.row, 0)).toFixed(1)} ${y})">${path(shape, `fill="var(--${role})"`)}${each.roles.includes("pick") ? RING : ""}</g>`;
  });
  return [svg + words((name + width) / 2, height - 6, axisTitle(section, 0), `text-anchor="middle" class="axis" ${font}`), height];
};

const pairsIn = (axes) => axes.flatMap((_, i) => range(axes.length).filter((j) => j > i).map((j) => [i, j]));
const pairOf = (section) => { const pairs = pairsIn(section.plane.axes); return pairs[Number(section.state.pair)] ?? pairs[0]; };
const roomFor = (section, width) => clamp(width < 360 || innerWidth < 640 ? width * 0.8 : innerHeight - section.part("plots").getBoundingClientRect().top - scrollY - 62, 300, Math.max(width * 0.9, 300));
const mainFigure = (section) => {
  const { plane } = section;
  const title = plane.kind === "served" ? "The front that is served" : "The front of heads";
  const draw = (width, tall) => (plane.axes.length === 1 ? stripPanel(section, width) : planePanel(section, pairOf(section), width, tall ?? roomFor(section, width)));
  const paired = plane.spread[section.split] ? "region of the answer at 90%, paired" : plane.at[section.split].some((row) => known(row[0][GAIN_LOW])) ? "bars are 90% intervals, paired" : "";
  const about = section.absolute ? "bars are 90% intervals" : paired;
  const note = `${section.absolute ? "Absolute values" : `Differences from ${plane.against}, as measured`} on ${section.data.splits[section.split]}${about && `; ${about}`}.`;
  return { name: plane.kind, title, note, draw, key: [...namesOf(section), ...keyOf(section)], csv: () => planeCsv(plane) };
};
const keyOf = (section) => [...new Set(drawn(section).rows.map((r) => section.plane.rows[r].architecture))].map((kind) => [section.data.looks[kind], kind]);
const namesOf = (section) => notable(section).map((each) => [section.look(each), each.title.startsWith(each.tag) ? each.title : each.tag.startsWith(each.title) ? each.tag : `${each.tag}: ${each.title}`, fillOf(section, each)]);

const svgOf = (figure, width) => {
  const [inner, height] = figure.draw(width);
  return `<svg class="figure" viewBox="0 0 ${width} ${height.toFixed(0)}" width="${width}" height="${height.toFixed(0)}" role="img" tabindex="0" aria-label="${esc(`${figure.title}. ${figure.note}`)}">${inner}</svg>`;
};
const show = (section, box, figure) => {
  section.figures[figure.name] = figure;
  const width = Math.floor(box.clientWidth);
  if (!width) return;
  const held = box.contains(document.activeElement) && document.activeElement.matches("svg");
  box.innerHTML = `<h4>${esc(figure.title)}</h4>${svgOf(figure, width)}<p class="save"><span>${esc(figure.note)}</span>${["svg", "csv"].map((as) => `<button type="button" data-action="save" data-figure="${figure.name}" data-as="${as}">${as.toUpperCase()}</button>`).join("")}</p>`;
  if (held) box.querySelector("svg").focus();
};
/* Both pictures, and below them who is who: names of what stands out, and kinds, which can be hidden. */
const drawPlots = (section) => {
  const lead = section.data.leads.length && section.plane.kind === "served" ? leadFigure(section) : null;
  section.part("lead").hidden = !lead;
  show(section, section.part("plot"), mainFigure(section));
  if (lead) show(section, section.part("lead"), lead);
  const kinds = [...new Set(section.plane.rows.map((row) => row.architecture))];
  const chips = kinds.length > 1 ? kinds.map((kind) => `<button type="button" class="chip" data-action="hide" data-kind="${esc(kind)}" aria-pressed="${!section.hidden.has(kind)}">${mark(section.data.looks[kind])}${esc(kind)}</button>`).join("") : "";
  const held = document.activeElement?.dataset?.kind;
  const box = section.part("legend");
  box.innerHTML = `<ul>${namesOf(section).map(([[, shape], text, fill]) => `<li>${mark(["", shape], fill)}${esc(text)}</li>`).join("")}</ul><div class="chips">${chips}</div>`;
  if (held) box.querySelector(`[data-kind="${CSS.escape(held)}"]`)?.focus();
};

/* Switches above the plot. */
const bar = (section) => {
  const { state, plane, data } = section;
  const box = section.part("bar");
  box.hidden = false;
  const button = (name, value, text, on) => `<button type="button" data-action="switch" data-name="${name}" data-value="${value}" aria-pressed="${on}">${text}</button>`;
  const planes = section.planes.length > 1 ? section.planes.map((kind, k) => button("plane", k ? kind : "", kind === "served" ? "Served" : "Heads", plane.kind === kind)).join("") : "";
  const pairs = plane.axes.length > 2 ? (() => {
    const { labels } = brief(plane.axes);
    return `<select data-name="pair" aria-label="Outcomes drawn">${pairsIn(plane.axes).map(([i, j], k) => `<option value="${k || ""}" ${state.pair === String(k) ? "selected" : ""}>${esc(labels[i])} / ${esc(labels[j])}</option>`).join("")}</select>`;
  })() : "";
  const splits = section.splits.length > 1 ? `<select data-name="split" aria-label="Rows">${section.splits.map((each) => `<option value="${esc(each)}" ${each === section.split ? "selected" : ""}>${esc(data.splits[each])}</option>`).join("")}</select>` : "";
  const focused = document.activeElement?.closest?.(".bar") === box ? [...box.querySelectorAll("button,select")].indexOf(document.activeElement) : -1;
  const whole = section.wide ? button("near", section.near ? "0" : "", "whole front", !section.near) : "";
  box.innerHTML = `<span class="group">${planes}</span>${whole}${splits}${pairs}`;
  if (focused >= 0) box.querySelectorAll("button,select")[focused]?.focus();
};

/* Files: the figure in light colours, with title, data set and key, wide enough for a column of a paper. */
const fileOf = (section, figure) => {
  const width = 720;
  const [inner, height] = figure.draw(width, 480);
  let [x, y, keys] = [16, 62, ""];
  for (const [[role, shape], text, fill] of figure.key) {
    if (x + wide(text) + 40 > width) [x, y] = [16, y + 20];
    keys += `<g transform="translate(${x + 6} ${y - 4}) scale(.85)">${path(shape, fill ?? `fill="var(--${role})"`)}</g>${words(x + 18, y, text, 'font-size="12" fill="var(--text)"')}`;
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
const save = (section, button) => {
  const figure = section.figures[button.dataset.figure];
  const name = `${section.data.dataset}-${figure.name}`.replace(/[^\w.@-]+/g, "_");
  const as = button.dataset.as;
  download(`${name}.${as}`, as === "csv" ? new Blob([figure.csv()], { type: "text/csv" }) : new Blob([fileOf(section, figure)], { type: "image/svg+xml" }));
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
