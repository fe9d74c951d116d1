/* The dock: which trials are selected, and all that is known of one of them. */

const dockElement = document.getElementById("dock");
let docked = null; // section and id that it shows

const dock = (section, open) => {
  const ids = selected(section);
  dockElement.hidden = !ids.length;
  document.body.classList.toggle("docked", ids.length > 0);
  if (!ids.length) { docked = null; return; }
  const id = ids[ids.length - 1];
  docked = { section, id };
  const folded = dockElement.classList.contains("folded");
  fold(open ? false : folded || !docked.seen);
  chips();
  detail();
};

const MOST_CHIPS = 12;
const chips = () => {
  const { section, id } = docked;
  const ids = selected(section);
  const shown = ids.slice(-MOST_CHIPS);
  const items = shown.map((each) => {
    const trial = cards(section).trials[each];
    const chip = marked(element("button", `Trial ${trial.number}${trial.until === null ? "" : ` at ${trial.until.toLocaleString("en")}`}`), { type: "button", "data-action": "look", "data-id": each });
    if (String(each) === String(id)) chip.setAttribute("aria-current", "true");
    return element("li", null, chip);
  });
  if (ids.length > shown.length) items.unshift(element("li", `${ids.length} selected, the last ${shown.length}:`));
  document.getElementById("chosen").replaceChildren(...items);
};

const fold = (folded) => {
  dockElement.classList.toggle("folded", folded);
  const button = dockElement.querySelector('[data-action="fold"]');
  button.setAttribute("aria-expanded", !folded);
  button.textContent = folded ? "Details" : "Hide";
};

const table = (head, body) => {
  const row = (cells, tag) => element("tr", null, ...cells.map((cell) => element(tag, cell)));
  return element("table", null, element("thead", null, row(head, "th")), element("tbody", null, ...body.map((cells) => row(cells, "td"))));
};
const measures = (axes, splits, measured) => {
  const shown = splits.map((_, i) => i).filter((i) => measured.some((words) => words[i]));
  return table(["", ...shown.map((i) => splits[i])], measured.map((words, i) => [axes[i].label, ...shown.map((k) => words[k])]));
};
const scalar = (value) => (typeof value === "number" ? short(value) : value === null ? "none" : String(value));
const settings = (names, params) => {
  const list = element("dl", null, ...params.flatMap(([name, value]) => [element("dt", names[name]), element("dd", scalar(value))]));
  list.className = "settings";
  return list;
};

/* A value as `--set` reads it: text that would be read as something else is quoted, and so is the shell's. */
const assigned = (name, value) => {
  const plain = typeof value === "string" && /^[A-Za-z_][\w./-]*$/.test(value) && !["true", "false", "inf", "nan"].includes(value);
  const text = `${name}=${plain ? value : JSON.stringify(value)}`;
  return /^[\w.=/+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
};
const retrain = ({ train, names }, trial) => {
  const until = trial.until === null ? [] : [["training.until", trial.until]];
  const sets = [...trial.params.filter(([, value]) => value !== null).map(([name, value]) => [names[name], value]), ...until];
  return train && `${train}${sets.map(([name, value]) => ` --set ${assigned(name, value)}`).join("")}`;
};
const filled = (text, trial) => text.replaceAll("{trial}", trial.number);

const command = (title, text) => {
  if (!text) return [];
  const code = marked(element("pre", null, element("code", text)), { tabindex: 0 });
  const button = marked(element("button", "Copy"), { type: "button", "data-action": "copy" });
  const box = element("div", null, code, button);
  box.className = "command";
  return [element("h6", title), box];
};

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const diagnosisOf = (trial) => {
  const found = trial.diagnosis.map((sentence) => element("p", sentence));
  const last = trial.angles.filter((angle) => angle.samples === null);
  const pairs = [...new Set(trial.angles.map((angle) => angle.tasks))];
  if (last.length) {
    const entries = last.map(({ tasks, block, cosine, below }) => ({
      label: pairs.length > 1 ? `${tasks}: ${block}` : block, value: cosine, mark: pairs.indexOf(tasks),
      words: `${minus(cosine.toFixed(2))}, ${(100 * below).toFixed(0)}% < 0`,
    }));
    found.push(dots(pairs.length > 1 ? "Cosine of gradients" : `Cosine of gradients: ${pairs[0]}`, entries, [-1, 1], 0));
  }
  const rungs = [...new Set(trial.angles.map((angle) => angle.samples))];
  if (rungs.length > 1) {
    const series = pairs.map((name) => ({
      name,
      points: rungs.map((rung) => [rung ?? trial.samples, mean(trial.angles.filter((a) => a.tasks === name && a.samples === rung && a.block === "representation").map((a) => a.cosine))]),
    })).map((each) => ({ ...each, points: each.points.filter(([, value]) => Number.isFinite(value)) })).filter((each) => each.points.length > 1);
    if (series.length) found.push(lines("Cosine at the representation, through training", series));
  }
  if (trial.norms.length) {
    const tasks = [...new Set(trial.norms.map((each) => each.task))];
    const logs = trial.norms.map((each) => Math.log10(each.pull || each.norm));
    const range = [Math.floor(Math.min(...logs)), Math.ceil(Math.max(...logs))];
    const entries = trial.norms.map(({ task, block, norm, pull }) => ({
      label: `${task}: ${block}`, value: Math.log10(pull || norm), mark: tasks.indexOf(task), words: (pull || norm).toPrecision(2),
    }));
    found.push(dots("Weighted gradient norm, logarithmic", entries, range[0] === range[1] ? [range[0] - 1, range[1]] : range));
  }
  if (trial.gates.length) {
    const entries = trial.gates.map(({ name, task, shares: parts, collapsed }) => ({ label: `${name}: ${task}`, parts, note: collapsed ? ", collapsed" : "" }));
    found.push(shares("Shares of experts", entries));
  }
  return found;
};

const part = (title, ...children) => (children.length ? [element("section", null, element("h5", title), ...children)] : []);

const detail = () => {
  const { section, id } = docked;
  const page = cards(section);
  const trial = page.trials[id];
  const missing = !("curves" in trial);
  const replicates = trial.replicates ?? [];
  const heads = ["seed", ...page.axes.flatMap((axis) => [`${axis.label}`, "test"])];
  const body = replicates.map((run) => [String(run.seed), ...(run.failure ? [run.failure] : run.valid.flatMap((value, i) =>
    [value, run.test[i]].map((each) => (each === null ? "\u2013" : each.toFixed(5)))))]);
  const curves = trial.curves ?? [];
  const drawn = [false, true].flatMap((loss) => {
    const own = curves.filter((curve) => curve.loss === loss);
    if (loss) return own.length ? [lines("Training loss", own)] : [];
    return own.map((curve) => lines(curve.name, [curve]));
  });
  document.getElementById("shown").replaceChildren(
    element("h4", trial.title),
    ...part("Values", measures(page.axes, page.splits, trial.measured),
      ...(trial.sure === null ? [] : [element("p", `P(non-dominated) ${trial.sure.toFixed(2)}`)])),
    ...part("Commands", ...command("Train it again", retrain(page, trial)), ...command("Deploy it", trial.picked ? page.deploy : ""),
      ...command("Find its run in MLflow", filled(page.mlflow, trial))),
    ...part("Configuration", settings(page.names, trial.params)),
    ...(replicates.length ? part("Replicates", table(heads, body)) : []),
    ...part("Training", ...drawn),
    ...(missing ? part("Curves and diagnosis", element("p", "Left out for this trial, to keep the page small: it is far from the front."))
      : part("What its tasks did to each other", ...diagnosisOf(trial))),
  );
  docked.seen = true;
};

const look = (button) => {
  docked.id = button.dataset.id;
  chips();
  fold(false);
  detail();
  document.getElementById("shown").focus();
};
