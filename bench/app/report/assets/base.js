/* Words, the data of sections, and the state that is kept in the address. */

const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const esc = (text) => String(text ?? "").replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
const range = (count) => [...Array(count).keys()];
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const known = (value) => value !== null && value !== undefined;
const light = JSON.parse(document.getElementById("light").textContent);

const MINUS = "\u2212";
const minus = (text) => (Number(text) === 0 ? text.replace("-", "") : text.replace("-", MINUS));
const compact = (value) => {
  const size = Math.abs(value);
  if (size >= 1e4) return minus(size >= 1e6 ? `${+(value / 1e6).toPrecision(3)} M` : `${+(value / 1e3).toPrecision(3)} K`);
  return minus(Number.isInteger(value) || size >= 10 ? String(+value.toPrecision(4)) : value.toFixed(4));
};
const number = (value) => (known(value) ? compact(value) : "\u2013");
const tick = (value, step) => minus(value.toFixed(clamp(Math.ceil(-Math.log10(step) - 1e-9), 0, 8)));
/* A difference, with its sign unless it is zero; a decimal, as the verdict has it. */
const signed = (value, unit = "") => {
  if (!known(value)) return "\u2013";
  const text = Math.abs(value).toFixed(1);
  return `${Number(text) === 0 ? "" : value > 0 ? "+" : MINUS}${text}${unit}`;
};
const percent = (share) => `${Math.round(100 * share)}%`;
/* Labels of axes without the metric, where all have one; and that metric. */
const brief = (axes) => {
  const metrics = new Set(axes.map(({ label }) => label.split(" ").slice(1).join(" ")));
  const metric = metrics.size === 1 && axes.length > 1 ? [...metrics][0] : "";
  return { metric, labels: axes.map(({ label }) => (metric ? label.split(" ")[0] : label)) };
};

/* PARTS of `embed.py`. */
const [VALUE, LOW, HIGH, GAIN, GAIN_LOW, GAIN_HIGH] = range(6);

const inflate = async (text) => {
  const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
};
const floats = (text) => new Float32Array(Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0)).buffer);

const say = (text) => { document.getElementById("said").textContent = text; };
const mark = ([role, shape], fill = `fill="var(--${role})"`) => `<svg class="key" viewBox="-8 -8 16 16" aria-hidden="true"><path d="${shape}" ${fill}/></svg>`;

/* State of a section: plain values, of which those unlike the start are in the fragment as `<place>.<name>=<value>`. */
const START = { plane: "", split: "", near: "", pair: "", sel: "", hide: "", value: "", loss: "", limit: "" };
const sections = [];
const readState = () => {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const section of sections) {
    section.state = { ...START };
    for (const name of Object.keys(START)) section.state[name] = given.get(`${section.place}.${name}`) ?? "";
  }
};
let writing = 0;
const writeState = () => { // browsers refuse many changes of the address in a short time
  clearTimeout(writing);
  writing = setTimeout(writeAddress, 100);
};
const writeAddress = () => {
  const found = sections.flatMap((section) => Object.entries(section.state).filter(([, value]) => value !== "").map(([name, value]) => [`${section.place}.${name}`, value]));
  const text = found.map(([name, value]) => `${name}=${encodeURIComponent(value).replace(/%2C/g, ",").replace(/%3A/g, ":")}`).join("&");
  try {
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  } catch (error) {
    console.warn(error); // shown inside another page, as by MLflow: there is no address of ours
  }
};
const list = (text) => text.split(",").filter(Boolean).map(decodeURIComponent);
const listed = (values) => values.map(encodeURIComponent).join(",");

/* Whether a row is on the front of the rows that are shown: of a scenario, its own. */
const onFront = (section, r) => section.plane.fronts[section.split]?.[r] ?? section.plane.rows[r].on_front;

/* A section: what it holds, and what of it is shown now. */
class Section {
  constructor(element, data) {
    Object.assign(this, { element, data, place: element.dataset.place, state: { ...START }, figures: {}, kept: new Map() });
    this.decision = data.decision && new Decision(data.decision);
  }
  part(name) { return this.element.querySelector(`.${name}`); }
  get planes() { return Object.keys(this.data.planes); }
  get plane() { return this.data.planes[this.state.plane] ?? this.data.planes[this.planes[0]]; }
  get splits() { return Object.keys(this.plane.at); }
  get split() { return this.splits.includes(this.state.split) ? this.state.split : this.splits[0]; }
  /* Whether the plot shows the neighbourhood of the pick: by itself where the front is so wide that small differences vanish. */
  get wide() {
    const { plane, split } = this;
    return plane.kind === "served" && plane.rows.some((row, r) => onFront(this, r) && plane.at[split][r].some((cell) => Math.abs(cell[GAIN]) > 30));
  }
  get near() { return this.state.near ? this.state.near === "1" : this.wide; }
  get absolute() { return !this.plane.at[this.split].some((row) => known(row[0][GAIN])); }
  get selected() { return list(this.state.sel); }
  get hidden() { return new Set(list(this.state.hide)); }
  look(row) { return this.data.looks[row.role === "current" ? "current" : row.architecture]; }
  set(change, redraw = true) {
    Object.assign(this.state, change);
    writeState();
    if (redraw) this.render();
  }
  select(point) {
    const now = this.selected;
    this.set({ sel: listed(now.includes(point) ? now.filter((each) => each !== point) : [...now, point]) });
    say(`${this.selected.length} selected`);
  }
  /* What one drawing asks for many times. */
  once(name, make) {
    if (!this.kept.has(name)) this.kept.set(name, make());
    return this.kept.get(name);
  }
  render() {
    this.kept.clear();
    bar(this);
    if (this.decision) matters(this);
    drawPlots(this);
    shortlist(this);
    for (const fold of all("details[open][data-part]", this.element)) explore(this, fold.dataset.part);
  }
}
