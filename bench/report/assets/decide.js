/* What matters to you: the pick by what events are worth, allowed losses and limits, and how often it holds. As in
   `bench/frontier/stability.py`, under the rule `weights`: g(r, m) is the gain of row r over the current row in axis m,
   a fraction of the current value, or for a head in thousandths the difference over .1; its score is sum_m w_m g(r, m)
   with weights of sum 1: of what each outcome earns at the current row where events have a worth. A row may be picked if it keeps 1 - loss_m of every current value in a share `confidence` of the
   posterior's draws, and its costs keep their limits. A pick's model holds in a retraining if a row of it keeps its
   limits there, with SLACK forgiven, and its score is within SLACK of the best row that may be picked and keeps them. */

const SLACK = 0.005;
const ANY_LOSS = 31; // of the slider, in per cent or thousandths: no limit

class Decision {
  constructor(data) {
    Object.assign(this, data);
    const [rows, axes] = [this.rows.length, this.axes.length];
    const of = (drawn) => range(this.count).map((d) => this.compared((r, m) => drawn[(d * rows + r) * axes + m]));
    this.now = this.values[this.current];
    this.means = this.compared((r, m) => this.values[r][m] ?? NaN);
    this.draws = of(floats(this.draws));
    this.retrained = this.retrained ? of(floats(this.retrained)) : [];
  }
  /* Gains, and values as shares of the current one, of all rows: [r * axes + m]. */
  compared(value) {
    const [rows, axes] = [this.rows.length, this.axes.length];
    const [gains, shares] = [new Float64Array(rows * axes), new Float64Array(rows * axes)];
    for (let m = 0; m < axes; m += 1) {
      const now = value(this.current, m);
      const { sign, unit } = this.axes[m];
      for (let r = 0; r < rows; r += 1) {
        gains[r * axes + m] = (sign * (value(r, m) - now)) / (unit === "%" ? Math.abs(now) || 1 : 0.1);
        shares[r * axes + m] = value(r, m) / now;
      }
    }
    return { gains, shares };
  }
  /* A loss in the unit of gains as a fraction of the current value. */
  fraction(m, loss) { return this.axes[m].unit === "%" ? loss : (0.1 * loss) / Math.abs(this.now[m]); }
  /* Of each row whether it may be picked; by the means where nothing may be with confidence. */
  allowed(settings, means = !this.count) {
    const { loss, limit } = settings;
    const surely = (r) => this.draws.reduce((sum, draw) => sum + this.keeps(draw, r, loss, 1e-12), 0) >= this.confidence * this.count;
    const found = range(this.rows.length).map((r) => (means ? this.keeps(this.means, r, loss, 1e-12) : surely(r)) && Object.entries(limit).every(([cost, most]) => !known(this.costs[cost][r]) || this.costs[cost][r] <= most));
    return means || found.some(Boolean) ? found : this.allowed(settings, true);
  }
  keeps({ shares }, r, loss, slack) {
    const axes = this.axes.length;
    for (let m = 0; m < axes; m += 1) {
      if (loss[m] === null) continue;
      const { sign } = this.axes[m];
      if (!(sign * shares[r * axes + m] >= sign * (1 - sign * this.fraction(m, loss[m])) * (1 - sign * slack))) return false;
    }
    return true;
  }
  /* The gain of a row over another one in the axis where it is worst. */
  worst(r, against) {
    const { gains, shares } = this.means;
    const of = (m) => [r * this.axes.length + m, against * this.axes.length + m];
    return Math.min(...this.axes.map(({ sign, unit }, m) => {
      const [own, other] = of(m);
      return unit === "%" ? sign * (shares[own] / shares[other] - 1) : gains[own] - gains[other];
    }));
  }
  score({ gains }, r, share) {
    const axes = this.axes.length;
    let sum = 0;
    for (let m = 0; m < axes; m += 1) sum += share[m] && share[m] * gains[r * axes + m];
    return sum;
  }
  /* Rows that may be picked, best first: equal scores go to fewer parameters, then to the earlier row. */
  ranked(settings) {
    const allowed = this.allowed(settings);
    const size = (r) => this.rows[r].size ?? Infinity;
    return range(this.rows.length)
      .filter((r) => allowed[r])
      .map((r) => [Math.round(1e12 * this.score(this.means, r, settings.share)), r])
      .sort(([a, r], [b, s]) => b - a || (size(r) === size(s) ? 0 : size(r) - size(s)) || r - s)
      .map(([, r]) => r);
  }
  /* In what share of draws a pick's model holds, and which points come first in how many. */
  holds(settings, pick) {
    if (!this.retrained.length) return { share: null, winners: [] };
    const allowed = this.allowed(settings);
    const winners = new Map();
    let held = 0;
    for (const draw of this.retrained) {
      let [best, first, own] = [-Infinity, -1, -Infinity];
      for (let r = 0; r < this.rows.length; r += 1) {
        if (!allowed[r] && r !== pick) continue;
        const score = this.score(draw, r, settings.share);
        if (this.rows[r].point === this.rows[pick].point && this.keeps(draw, r, settings.loss, SLACK)) own = Math.max(own, score);
        if (score > best && allowed[r] && this.keeps(draw, r, settings.loss, 0)) [best, first] = [score, r];
      }
      held += own > -Infinity && own >= best - SLACK;
      if (first >= 0) winners.set(this.rows[first].point, (winners.get(this.rows[first].point) ?? 0) + 1);
    }
    const order = [...winners].sort(([, a], [, b]) => b - a).map(([point, times]) => [point, times / this.count]);
    return { share: held / this.count, winners: order };
  }
}

/* What each outcome earns at the current row where one event is worth 1; and two digits of a number. */
const earned = ({ rates, now }) => rates.map((rate, m) => rate * Math.max(now[m], 1e-9));
const round2 = (number) => +number.toPrecision(2);
const settingsOf = (section) => {
  const { decision, state } = section;
  /* Of each axis what an address says, where that is a number. */
  const given = (text, start) => decision.axes.map((_, m) => {
    const found = Number(text.split(",")[m] || NaN);
    return found >= 0 && found <= 1e6 ? found : start[m];
  });
  const value = given(state.value, decision.worth ?? decision.axes.map((_, m) => (decision.items?.[m] ? 0 : decision.rates ? round2(Math.max(...earned(decision)) / earned(decision)[m]) : 50)));
  const loss = given(state.loss.replaceAll("any", ANY_LOSS), decision.loss.map((most) => (known(most) ? clamp(Math.round(100 * most), 0, ANY_LOSS - 1) : ANY_LOSS))).map((each) => (each === ANY_LOSS || !decision.today ? null : each / 100));
  const parts = value.map((each, m) => each * (decision.rates ? earned(decision)[m] : 1));
  const sum = parts.reduce((a, b) => a + b, 0) || 1;
  const limit = Object.fromEntries(list(state.limit).map((each) => each.split(":")).filter(([cost, most]) => decision.costs[cost] && Number(most) >= 0).map(([cost, most]) => [cost, Number(most)]));
  return { value, loss, limit, share: parts.map((each) => each / sum) };
};
const touched = (section) => Boolean(section.state.value || section.state.loss || section.state.limit);
/* The pick shown: the run's until a slider is moved. Null where nothing may be picked. */
const chosen = (section) => {
  const { decision } = section;
  if (!touched(section) && decision.pick !== null) return { pick: decision.pick, share: section.data.holds, winners: [], after: decision.runnersUp.length ? decision.runnersUp : decision.ranked(settingsOf(section)) };
  const settings = settingsOf(section);
  const [pick, ...after] = decision.ranked(settings);
  return pick === undefined ? { pick: null, share: null, winners: [], after: [] } : { pick, after, ...decision.holds(settings, pick) };
};

const quoted = (name) => JSON.stringify(name);
const limitText = (most) => String(+most.toPrecision(12));
const kept = (fraction) => `${+(100 * (1 - fraction)).toPrecision(7)}% of current`;
const eventOf = ({ axes }, m) => axes[m].name.split(".")[0];
const policyOf = (section) => {
  const { decision } = section;
  if (!touched(section)) return section.data.policy;
  const { value, loss, limit } = settingsOf(section);
  const name = (m) => quoted(decision.axes[m].name);
  const lines = [`rule = "${decision.rates ? "value" : "weights"}"`, decision.rates ? "[values]" : "[weights]"];
  value.forEach((each, m) => { if (each > 0) lines.push(`${decision.rates ? quoted(eventOf(decision, m)) : name(m)} = ${each}`); });
  if (decision.today) lines.push("[guard.max_loss_vs_current]", ...loss.map((each, m) => `${name(m)} = ${each === null ? "inf" : +decision.fraction(m, each).toPrecision(6)}`));
  const limits = Object.entries(limit).map(([cost, most]) => `${quoted(cost)} = ${limitText(most)}`);
  if (limits.length) lines.push("[guard.at_most]", ...limits);
  return lines.join("\n");
};
const shellSafe = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`);
const commandOf = (section) => {
  const { decision, data } = section;
  const { value, share, loss, limit } = settingsOf(section);
  const wanted = range(share.length).filter((m) => share[m] > 0);
  if (!data.run) return touched(section) ? "seesaw decide --file decide.toml --policy policy.toml" : "seesaw decide --file decide.toml";
  const run = shellSafe(data.run);
  if (!touched(section) && !data.asked) return `seesaw pick ${run} --save`;
  if (!touched(section) || !wanted.length || (wanted.length !== 1 && !decision.rates) || decision.axes.some(({ sign }) => sign < 0)) return `seesaw pick ${run} --policy policy.toml --save`;
  const bounds = range(share.length).filter((m) => decision.today && (decision.rates || m !== wanted[0])).map((m) => `--at-least ${shellSafe(`${decision.axes[m].name}=${loss[m] === null ? 0 : kept(decision.fraction(m, loss[m]))}`)}`);
  const limits = Object.entries(limit).map(([cost, most]) => `--at-most ${shellSafe(`${cost}=${limitText(most)}`)}`);
  const aim = decision.rates ? wanted.map((m) => `--value ${shellSafe(`${eventOf(decision, m)}=${value[m]}`)}`) : [`--maximize ${shellSafe(decision.axes[wanted[0]].name)}`];
  return [`seesaw pick ${run}`, ...aim, ...bounds, ...limits, "--save"].join(" ");
};

const COSTS = { "cost/parameters": "parameters", "cost/latency_ms": "latency" };
const costName = (cost) => COSTS[cost] ?? cost.replace("cost/", "");
const costText = (cost, value) => (known(value) ? (cost.includes("latency") ? `${+value.toPrecision(3)} ms` : number(value)) : "\u2013");
const distinct = (decision, cost) => [...new Set(decision.costs[cost].filter(known))].sort((a, b) => a - b);

/* What the row that the answer is about is called. */
const ANSWERS = { model: "The answer", weights: "The answer", keep: "Keep", unknown: "Undecided" };
/* The form: made once, then only its numbers change, so that a slider keeps the focus. */
const makeForm = (section) => {
  const { decision } = section;
  const slider = (name, label, most, beside = "<output></output>") => `<input type="range" name="${name}" min="0" max="${most}" step="1" aria-label="${esc(label)}">${beside}`;
  const { metric, labels } = brief(decision.axes);
  const worth = (m, label) => (decision.rates ? slider(`value-${m}`, `worth of one ${eventOf(decision, m)}`, WORTHS, `<input type="number" name="worth-${m}" min="0" step="any" aria-label="worth of one ${esc(eventOf(decision, m))}">`) : slider(`value-${m}`, `value of ${label}`, 100));
  /* What is shown may be limited; it is worth nothing by itself. */
  const aimed = (m, label) => (decision.items?.[m] ? `<input type="hidden" name="value-${m}" value="0"><output hidden></output>` : worth(m, label));
  const first = decision.rates ? "one is worth" : "importance";
  const rows = decision.axes.map(({ label }, m) => `<tr><th scope="row">${esc(labels[m])}</th><td data-label="${first}">${aimed(m, label)}</td>${decision.today ? `<td data-label="may lose">${slider(`loss-${m}`, `allowed loss of ${label}`, ANY_LOSS)}</td>` : ""}</tr>`);
  const limits = Object.keys(decision.costs).map((cost) => `<tr><th scope="row">${esc(costName(cost))}</th><td colspan="${decision.today ? 2 : 1}" data-label="at most">${slider(`limit-${cost}`, `${costName(cost)} at most`, distinct(decision, cost).length - 1)}</td></tr>`);
  const sure = decision.today && `<p class="note">May lose: a pick keeps all limits that are set here at once${decision.confidence ? `, with a probability of ${Math.round(100 * decision.confidence)}% or more` : ", by its mean values"}; “any” sets none.</p>`;
  const form = section.part("matters");
  form.innerHTML = `<h3>What matters to you</h3>
    <table><thead><tr><th scope="col">${esc(metric)}</th><th scope="col">${first}</th>${decision.today ? '<th scope="col">may lose</th>' : ""}</tr></thead><tbody>${rows.join("")}${limits.join("")}</tbody></table>${sure || ""}
    <div class="result" aria-live="polite"></div>
    <p class="buttons"><button type="button" data-action="policy">Copy policy</button><button type="button" data-action="command">Copy command</button><button type="button" data-action="reset">Back to the answer</button></p>
    <details class="code"><summary>Policy and command</summary><pre tabindex="0"><code class="toml"></code></pre><pre tabindex="0"><code class="line"></code></pre></details>`;
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", ({ target }) => section.set(formState(section, target)));
};
/* Sliders of worth have steps of a logarithm: a twentieth of a decade, from .01; 0 is nothing. */
const WORTHS = 101;
const worthAt = (step) => (step ? round2(10 ** ((step - 1) / 20 - 2)) : 0);
const stepOf = (worth) => (worth > 0 ? clamp(Math.round(20 * (Math.log10(worth) + 2)) + 1, 1, WORTHS) : 0);
const formState = (section, moved) => {
  const { decision } = section;
  const { value } = settingsOf(section);
  const field = (name) => Number(section.part("matters").elements[name].value);
  const limit = Object.keys(decision.costs).map((cost) => [cost, distinct(decision, cost), field(`limit-${cost}`)]).filter(([, values, at]) => at < values.length - 1);
  return {
    value: value.map((each, m) => (!decision.rates ? field(`value-${m}`) : moved.name === `worth-${m}` ? Math.max(field(moved.name), 0) : moved.name === `value-${m}` ? worthAt(field(moved.name)) : each)).join(","),
    loss: decision.today ? range(decision.axes.length).map((m) => (field(`loss-${m}`) === ANY_LOSS ? "any" : field(`loss-${m}`))).join(",") : "",
    limit: listed(limit.map(([cost, values, at]) => `${cost}:${values[at]}`)),
  };
};
const matters = (section) => {
  const { decision } = section;
  const form = section.part("matters");
  if (form.hidden) makeForm(section);
  const { value, loss, limit, share } = settingsOf(section);
  const put = (name, at, words) => {
    const field = form.elements[name];
    if (Number(field.value) !== at) field.value = at;
    const beside = field.nextElementSibling;
    if (beside.matches("output")) beside.textContent = words;
    else if (Number(beside.value || NaN) !== Number(words)) beside.value = words;
    field.setAttribute("aria-valuetext", words);
  };
  decision.axes.forEach((_, m) => {
    put(`value-${m}`, decision.rates ? stepOf(value[m]) : value[m], decision.rates ? String(value[m]) : percent(share[m]));
    if (decision.today) put(`loss-${m}`, loss[m] === null ? ANY_LOSS : Math.round(100 * loss[m]), loss[m] === null ? "any" : decision.axes[m].unit ? percent(loss[m]) : `.0${String(Math.round(100 * loss[m])).padStart(2, "0")}`);
  });
  for (const cost of Object.keys(decision.costs)) {
    const values = distinct(decision, cost);
    const at = limit[cost] === undefined ? values.length - 1 : values.filter((each) => each <= limit[cost]).length - 1;
    put(`limit-${cost}`, at, at === values.length - 1 ? "any" : costText(cost, values[Math.max(at, 0)]));
  }
  section.found = chosen(section);
  form.querySelector(".result").innerHTML = resultOf(section);
  form.querySelector('[data-action="reset"]').hidden = !touched(section);
  section.part("whose").textContent = (section.data.run ? "By the run's policy." : "By the policy.") + (touched(section) ? " Your settings differ: your pick is under What matters to you." : "");
  form.querySelector(".toml").textContent = policyOf(section);
  form.querySelector(".line").textContent = commandOf(section);
};
const resultOf = (section) => {
  const { decision, found } = section;
  const own = touched(section) ? "Your pick" : ANSWERS[section.data.answer];
  if (found.pick === null) return `<p class="name">Nothing passes</p><p class="note">No choice keeps these limits: ${decision.today ? "keep what you have, allow a larger loss, or raise a limit" : "raise a limit"}.</p>`;
  const row = decision.rows[found.pick];
  const gains = outcomes(section, found.pick).map(([label, told]) => `<li><span>${esc(label)}</span> ${told}</li>`).join("");
  const worth = decision.score(decision.means, found.pick, settingsOf(section).share);
  const keep = touched(section) && worth <= 0 ? `<p>By these values it is worth no more than ${decision.today ? "what you have" : "the reference"}.</p>` : "";
  const others = found.winners.filter(([point]) => point !== row.point).slice(0, 3).map(([point, part]) => `${esc(decision.rows.find((each) => each.point === point).title)} ${percent(part)}`);
  const doubt = found.share !== null && found.share < 0.8 && others.length ? ` First in others: ${others.join(", ")}.` : "";
  const retrained = found.pick !== decision.current && !(section.data.answer === "keep" && !touched(section));
  const sure = found.share === null || !retrained ? (retrained ? '<p class="note">How often it holds is not known: each model is one training.</p>' : "") : `<p class="holds${found.share < 0.8 ? " weak" : ""}" style="--share:${percent(found.share)}"><span>Holds in <b>${percent(found.share)}</b> of retrainings.${doubt}</span></p>`;
  return `<p class="name">${mark(section.look(row))}${own}: <b>${esc(row.title)}</b></p>${row.formula ? `<p class="score">ranks by ${esc(row.formula)}</p>` : ""}<ul>${gains}</ul><p class="note">${isExpected(section, found.pick) ? "Expected gains, as in the answer." : "Gains as measured; the best of many looks too good."}</p>${keep}${sure}`;
};
/* [label, markup] of what a choice gains in each outcome, on the split that is told: as the verdict expects it of the
   row that it is about, of others as measured. */
const outcomes = (section, r) => {
  const { decision, data } = section;
  const plane = data.planes[section.planes[0]];
  const split = Object.keys(plane.at)[0];
  const { labels } = brief(decision.axes);
  return decision.axes.map((axis, m) => {
    const at = plane.axes.findIndex(({ name }) => name === axis.name);
    const measured = decision.row[r] >= 0 && at >= 0 ? plane.at[split][decision.row[r]][at] : null;
    const cell = measured && isExpected(section, r) ? [measured[VALUE], measured[LOW], measured[HIGH], ...data.expected.gains[at]] : measured;
    const unit = plane.axes[at]?.unit ?? "%";
    if (cell === null || !known(cell[GAIN])) return [labels[m], `<b>${signed(100 * decision.means.gains[r * decision.axes.length + m], axis.unit)}</b>`];
    return [labels[m], `<b class="${way(cell)}">${signed(cell[GAIN], unit)}</b>${between(cell)}`];
  });
};
/* Whether the verdict expects something of a choice. */
const isExpected = ({ decision, data }, r) => data.expected !== null && decision.row[r] === data.expected.row;
/* Whether a difference is told from none. */
const way = (cell) => (known(cell[GAIN_LOW]) && cell[GAIN_LOW] > 0 ? "up" : known(cell[GAIN_HIGH]) && cell[GAIN_HIGH] < 0 ? "down" : "");
const between = (cell) => (known(cell[GAIN_LOW]) && cell[GAIN_HIGH] > cell[GAIN_LOW] ? ` <small class="ci">${signed(cell[GAIN_LOW])} to ${signed(cell[GAIN_HIGH])}</small>` : "");
