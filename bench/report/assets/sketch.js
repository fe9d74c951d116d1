/* Small plots of one trial, as SVG in the page's colours. */

const SVG = "http://www.w3.org/2000/svg";
const shape = (tag, attributes, text) => {
  const made = marked(document.createElementNS(SVG, tag), attributes);
  if (text !== undefined) made.textContent = text;
  return made;
};
const sketch = (width, height, name, ...shapes) => {
  const made = shape("svg", { viewBox: `0 0 ${width} ${height}`, class: "sketch", role: "img", "aria-label": name });
  made.append(...shapes);
  return made;
};
const minus = (text) => (Number(text) === 0 ? text.replace("-", "") : text.replace("-", "\u2212"));
const short = (value) => minus(String(Number(value.toPrecision(4))));
const clipped = (name) => (name.length > 21 ? `${name.slice(0, 9)}\u2026${name.slice(-11)}` : name);
const INKS = ["kind-1", "kind-2", "kind-3", "kind-4", "kind-5", "kind-0", "kind-6"];
const DASHES = ["", "6 3", "2 3", "8 3 2 3"];
const ink = (i) => `var(--${INKS[i % INKS.length]})`;

/* Lines over training samples; each has its name at its end. */
const lines = (name, series) => {
  const [width, height, left, right, top, bottom] = [300, 110, 58, 10, 8, 20];
  const points = series.flatMap((each) => each.points);
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  const [most, low, high] = [Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const x = (value) => left + (value / (most || 1)) * (width - left - right);
  const y = (value) => (high === low ? (height - bottom + top) / 2 : top + ((high - value) / (high - low)) * (height - top - bottom));
  const drawn = series.flatMap((each, i) => {
    const path = each.points.map(([a, b]) => `${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("L");
    const dots = each.points.length > 12 ? [] : each.points.map(([a, b]) => shape("circle", { cx: x(a), cy: y(b), r: 2.2, fill: ink(i) }));
    return [shape("path", { d: `M${path}`, fill: "none", stroke: ink(i), "stroke-width": 1.6, "stroke-dasharray": DASHES[i % DASHES.length] }), ...dots];
  });
  const frame = shape("path", { d: `M${left} ${top}V${height - bottom}H${width - right}`, fill: "none", stroke: "var(--line)" });
  const words = [
    shape("text", { x: left - 4, y: top + 6, "text-anchor": "end" }, short(high)),
    ...(high === low ? [] : [shape("text", { x: left - 4, y: height - bottom, "text-anchor": "end" }, short(low))]),
    shape("text", { x: width - right, y: height - 6, "text-anchor": "end" }, `${most.toLocaleString("en")} samples`),
  ];
  const keys = element("p", null, ...series.map((each, i) => {
    const dash = shape("path", { d: "M1 6H21", stroke: ink(i), "stroke-width": 2, "stroke-dasharray": DASHES[i % DASHES.length] });
    const sign = sketch(22, 12, "", dash);
    sign.setAttribute("aria-hidden", "true");
    return element("span", null, sign, each.name);
  }));
  keys.className = "keys";
  const named = series.length > 1 ? [keys] : [];
  return element("div", null, element("h6", name), sketch(width, height, name, frame, ...drawn, ...words), ...named);
};

/* A row for each value on one scale: label, mark, words. `zero` draws a line there. */
const dots = (name, entries, [low, high], zero) => {
  const [width, row, left, right] = [300, 17, 132, 66];
  const x = (value) => left + ((Math.min(Math.max(value, low), high) - low) / (high - low || 1)) * (width - left - right);
  const height = row * entries.length + 4;
  const shapes = entries.flatMap(({ label, value, words, mark }, i) => {
    const y = row * i + row / 2 + 2;
    return [
      shape("text", { x: left - 8, y: y + 4, "text-anchor": "end" }, clipped(label)),
      shape("path", { d: `M${x(zero ?? low)} ${y}H${x(value)}`, stroke: ink(mark), "stroke-width": 3, opacity: 0.45 }),
      mark % 2
        ? shape("rect", { x: x(value) - 3.6, y: y - 3.6, width: 7.2, height: 7.2, fill: ink(mark) })
        : shape("circle", { cx: x(value), cy: y, r: 4, fill: ink(mark) }),
      shape("text", { x: width - right + 8, y: y + 4 }, words),
    ];
  });
  const line = zero === undefined ? [] : [shape("path", { d: `M${x(zero)} 0V${height}`, stroke: "var(--line)" })];
  return element("div", null, element("h6", name), sketch(width, height, name, ...line, ...shapes));
};

/* Shares of a whole as a bar in parts, a row for each. */
const shares = (name, entries) => {
  const [width, row, left, right] = [300, 20, 132, 6];
  const shapes = entries.flatMap(({ label, parts, note }, i) => {
    let at = left;
    const whole = parts.reduce((sum, part) => sum + part, 0) || 1;
    const boxes = parts.flatMap((part, k) => {
      const wide = (part / whole) * (width - left - right);
      const box = shape("rect", { x: at, y: row * i + 3, width: Math.max(wide - 1, 0.5), height: row - 6, fill: "var(--accent)", opacity: 0.3 + 0.5 * (k % 2) });
      box.append(shape("title", {}, `expert ${k + 1}: ${(100 * part).toFixed(0)}%`));
      const words = wide > 24 ? [shape("text", { x: at + wide / 2, y: row * i + row / 2 + 4, "text-anchor": "middle" }, `${(100 * part).toFixed(0)}%`)] : [];
      at += wide;
      return [box, ...words];
    });
    const full = label + note;
    const text = shape("text", { x: left - 8, y: row * i + row / 2 + 4, "text-anchor": "end" }, clipped(full));
    text.append(shape("title", {}, full));
    return [text, ...boxes];
  });
  return element("div", null, element("h6", name), sketch(width, row * entries.length + 2, name, ...shapes));
};
