/* How far each model is ahead, by what counts more: the verdict's gains, each model at its best weights. */
const leadFigure = (section) => {
  const { leads } = section.data;
  const seen = new Set(leads.flatMap(([, gains]) => Object.keys(gains).filter((point) => gains[point].some((end) => end))));
  const models = notable(section).filter(({ point }, k, every) => seen.has(point) && every.findIndex((each) => each.point === point) === k);
  /* What is served may be so far behind that it would squeeze all others: it then stands at the lower edge. */
  const endsOf = (some) => leads.flatMap(([, gains]) => some.flatMap(({ point }) => gains[point] ?? []));
  const others = endsOf(models.filter(({ roles }) => !roles.includes("current")));
  const [least, most] = [Math.min(0, ...others), Math.max(0, ...others)];
  const ends = others.length ? [least, most, ...endsOf(models).filter((end) => end >= least - (most - least))] : endsOf(models);
  const bottomOf = Math.min(0, ...ends);
  const labelOf = ({ point, tag }) => (leads.at(-1)[1][point]?.[0] < bottomOf ? `${tag} ${signed(leads.at(-1)[1][point][0], "%")}` : tag);
  const struck = ({ point }) => (section.data.refused.includes(point) ? ' text-decoration="line-through"' : "");
  const named = ([title]) => section.plane.axes.reduce((text, { name }) => text.replace(name, name.split(".")[0]), title).replace(/ counts (\S+) times/, " \u00d7 $1");
  const draw = (width, tall) => {
    const room = Math.min(130, Math.max(...models.map((each) => wide(labelOf(each), 12, 600))) + 4);
    const [left, right, top, height] = [46, width - room - 16, 10, tall ?? roomFor(section, width)];
    const bottom = height - 46;
    const [low, high] = [Math.min(0, ...ends), Math.max(0, ...ends)];
    const y = (value) => Math.min(top + 6 + ((high - value) / (high - low)) * (bottom - top - 12), bottom - 2);
    const step = (right - left) / leads.length;
    const x = (k, m) => left + step * (k + (m + 1) / (models.length + 1));
    const tight = leads.some((lead) => wide(named(lead)) > step - 6); // then every other name is one line lower
    const font = 'font-size="12" fill="var(--muted)"';
    const [upwards, by] = ticks([low, high], (bottom - top) / 50);
    let svg = upwards.map((value) => path(`M${left} ${y(value).toFixed(1)}H${right}`, `stroke="var(--${value ? "grid" : "front"})"`) + words(left - 6, y(value) + 4, `${value > 0 ? "+" : ""}${tick(value, by)}%`, `text-anchor="end" class="tick" ${font}`)).join("");
    leads.forEach((lead, k) => {
      const text = cropped(named(lead), 2 * step - 8);
      const half = wide(text) / 2;
      svg += words(clamp(left + step * (k + 0.5), half, width - half), bottom + (tight && k % 2 ? 32 : 17), text, `text-anchor="middle" class="axis" ${font}`);
      if (k) svg += path(`M${(left + step * k).toFixed(1)} ${top}V${bottom}`, 'stroke="var(--grid)"');
    });
    models.forEach((each, m) => {
      const [role, shape] = section.look(each);
      const places = leads.map(([, gains], k) => gains[each.point] && [x(k, m), ...gains[each.point].map(y)]);
      if (section.plane.axes.length === 2) svg += path(`M${places.filter(Boolean).map(([a, b]) => `${a.toFixed(1)} ${b.toFixed(1)}`).join("L")}`, `fill="none" stroke="var(--${role})" opacity=".35"`);
      places.forEach((place, k) => {
        if (!place) return;
        const [, from, to] = leads[k][1][each.point];
        const sure = from > 0 || to < 0;
        svg += path(`M${place[0].toFixed(1)} ${place[2].toFixed(1)}V${place[3].toFixed(1)}`, `class="band" stroke="var(--${role})" stroke-width="${sure ? 4 : 1.5}"`);
        svg += `<g class="mark" data-row="${each.row}" data-lead="${k}" transform="translate(${place[0].toFixed(1)} ${place[1].toFixed(1)}) scale(.7)"><circle r="12" fill="transparent"/>${path(shape, fillOf(section, each))}${each.roles.includes("pick") ? RING : ""}</g>`;
      });
    });
    /* Names at the right end, below each other in the order of the last place. */
    const last = models.map((each, m) => [each, m, leads.at(-1)[1][each.point]?.[0]]).filter(([, , gain]) => known(gain)).sort(([, , a], [, , b]) => b - a);
    const tops = last.map(([, , gain], k) => [y(gain), k]).reduce((found, [place]) => [...found, Math.max(place, (found.at(-1) ?? -Infinity) + 16)], []);
    tops.reduceRight((below, place, k) => (tops[k] = Math.min(place, below - 16)), bottom + 12);
    last.forEach(([each, m, gain], k) => {
      svg += path(`M${(x(leads.length - 1, m) + 9).toFixed(1)} ${y(gain).toFixed(1)}L${right + 10} ${tops[k].toFixed(1)}`, 'stroke="var(--line)" fill="none"') + words(right + 14, tops[k] + 4, cropped(labelOf(each), room), `class="label" font-size="12" font-weight="600" fill="var(--text)"${struck(each)}`);
    });
    return [svg, height];
  };
  const { plane } = section;
  const today = plane.against === "current";
  const { kind, point: current } = plane.rows[plane.current] ?? {}; // a score has no kind; its model, if it has one, is what leads are over
  const than = !today ? plane.against : kind || current in leads[0][1] ? "today's model at its best weights" : "today's score";
  const note = `${section.data.overall}: expected gain over ${than}${leads.length > 1 ? " by what counts more" : ""}, each model at its best weights${today && section.data.limited ? " within the limits" : ""}, on ${section.data.splits[section.splits[0]]}; paired 90% intervals, thick where sure.`;
  const rows = leads.flatMap((lead) => models.filter(({ point }) => lead[1][point]).map(({ point, title }) => [lead[0], point, title, ...lead[1][point]]));
  return models.length ? { name: "lead", title: "How far each model is ahead", note, draw, key: namesOf(section), csv: () => csv([["where", "point", "name", "gain_%", "low", "high"], ...rows]) } : null;
};
