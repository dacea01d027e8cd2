"use strict";
// Line charts: mean and interval of every strategy, with a tooltip for the pointer and the arrow keys.
const data = JSON.parse(document.getElementById("data").textContent);
const DASH = { "-": "", "--": "6 4", "-.": "7 3 2 3", ":": "2 3" };
const PAD = { left: 40, right: 12, top: 24, bottom: 36 };
// Names at the ends of lines: pixels between two, of a letter, and letters at most.
const NAME = { line: 12, letter: 6.7, most: 18 };

function element(parent, name, attributes, text) {
  const created = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const key in attributes) created.setAttribute(key, attributes[key]);
  if (text !== undefined) created.textContent = text;
  parent.append(created);
  return created;
}

function ticks(low, high, n) {
  const rough = (high - low) / n || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((k) => k * power).find((k) => k >= rough * 0.999);
  const values = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-9; at += step) values.push(+at.toPrecision(12));
  return values;
}

const short = (v) => (Math.abs(v) >= 10000 ? `${+(v / 1000).toPrecision(3)}k` : `${+v.toPrecision(4)}`);
const written = (chart, v) => (chart.scale * v).toFixed(chart.digits);
const span = (values) => values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);

// The x of a seed's line, where they are not those of the mean.
const widths = (line) => (Array.isArray(line[0]) ? line.map((p) => p[0]) : []);

// The values that must fit into a chart of `setting`.
function heights(setting, measure, labels, withSeeds) {
  const chart = data.measures[measure], values = [];
  for (const l of labels) {
    const s = setting.series[measure][l];
    if (!s) continue;
    if (withSeeds && s.seeds.length) s.seeds.flat().forEach((p) => values.push(Array.isArray(p) ? p[1] : p));
    // An interval of two seeds may be huge; it is drawn, but need not fit.
    else s.mean.forEach((v, i) => values.push(v, ...(s.n[i] > 2 ? [s.low[i], s.high[i]] : [])));
  }
  if (chart.ceiling && setting.ceiling && values.length) values.push(setting.ceiling.value[0]);
  return values;
}

// Draw one chart. `range` is its lowest and highest value; null to fit what it shows.
function draw(place, setting, measure, labels, withSeeds, range) {
  place.textContent = "";
  const chart = data.measures[measure], series = setting.series[measure];
  const shown = labels.filter((l) => series[l] && series[l].x.length);
  if (!shown.length) { place.append(Object.assign(document.createElement("p"), { className: "nothing", textContent: "nothing to show" })); return; }
  const W = Math.max(250, Math.min(680, place.clientWidth || 400)), H = Math.round(Math.min(300, Math.max(190, W * 0.62)));
  const [x0, x1] = span(shown.flatMap((l) => (withSeeds ? [...series[l].x, ...series[l].seeds.flatMap(widths)] : series[l].x)));
  let [y0, y1] = range || span(heights(setting, measure, shown, withSeeds));
  if (chart.whole) [y0, y1] = [0, 1];
  else { const room = (y1 - y0) * 0.06 || 0.05 * Math.max(1, Math.abs(y1)); [y0, y1] = [y0 < 0 ? y0 - room : Math.max(0, y0 - room), chart.unit === "%" ? Math.min(1, y1 + room) : y1 + room]; }
  const names = place.classList.contains("main") ? named(shown, series) : [];
  const right = names.length ? 10 + NAME.letter * Math.max(...names.map((n) => n.text.length)) : PAD.right;
  const px = (v) => PAD.left + ((v - x0) / (x1 - x0 || 1)) * (W - PAD.left - right);
  const py = (v) => H - PAD.bottom - ((Math.min(y1, Math.max(y0, v)) - y0) / (y1 - y0)) * (H - PAD.top - PAD.bottom);
  const svg = element(place, "svg", { viewBox: `0 0 ${W} ${H}`, role: "img", tabindex: 0,
    "aria-label": `${chart.title}, ${setting.name}. ` + shown.map((l) => `${l} ends at ${written(chart, series[l].mean.at(-1))}${chart.unit}`).join(", ") });
  for (const t of ticks(chart.scale * y0, chart.scale * y1, 5)) {
    element(svg, "line", { class: "grid", x1: PAD.left, x2: W - right, y1: py(t / chart.scale), y2: py(t / chart.scale) });
    element(svg, "text", { x: PAD.left - 6, y: py(t / chart.scale) + 4, "text-anchor": "end" }, short(t));
  }
  for (const t of ticks(x0, x1, W < 330 ? 4 : 6)) {
    element(svg, "line", { class: "grid", x1: px(t), x2: px(t), y1: H - PAD.bottom, y2: H - PAD.bottom + 4 });
    element(svg, "text", { x: px(t), y: H - PAD.bottom + 16, "text-anchor": "middle" }, short(t));
  }
  element(svg, "text", { x: (W + PAD.left - right) / 2, y: H - 4, "text-anchor": "middle" }, chart.x);
  element(svg, "text", { x: 0, y: 11, class: "title" }, chart.y);
  const [least, most] = span(shown.flatMap((l) => series[l].n));
  element(svg, "text", { x: W - PAD.right, y: 11, "text-anchor": "end" }, `n = ${least === most ? most : `${least} to ${most}`}`);
  const reference = (v, kind, text, end, dy) => {
    if (v < y0 || v > y1) return;
    element(svg, "line", { class: kind, x1: PAD.left, x2: W - right, y1: py(v), y2: py(v) });
    const at = end ? { x: W - right - 2, "text-anchor": "end" } : { x: PAD.left + 3 };
    return () => element(svg, "text", { class: "reference", y: py(v) + dy, ...at }, text);
  };
  const rate = chart.base ? setting.base_rates[chart.base] : null;
  const base = rate !== null && reference(rate, "base", `pool ${written(chart, rate)}`, true, 11);
  const top = chart.ceiling && setting.ceiling;
  const all = top && reference(top.value[0], "ceiling", `all ${top.n_labelled.toLocaleString("en")} clean labels: ${written(chart, top.value[0])}`, false, -4);
  lines(svg, shown, series, px, py, withSeeds);
  for (const n of spread(names, chart.sign, py, PAD.top + 4, H - PAD.bottom)) {
    element(svg, "path", { class: "lead", stroke: data.looks[n.label][0], d: `M${px(n.x).toFixed(1)} ${py(n.value).toFixed(1)}L${W - right + 4} ${n.y.toFixed(1)}` });
    element(svg, "text", { class: "end", x: W - right + 6, y: n.y + 4, style: `fill: ${data.looks[n.label][0]}` }, n.text);
  }
  for (const label of [base, all]) if (label) label();
  tooltip(place, svg, { chart, series, shown, px, W, H });
}

// The names of strategies for the ends of their lines.
function named(shown, series) {
  return shown.map((l) => ({
    label: l, text: l.length > NAME.most ? `${l.slice(0, NAME.most - 1)}\u2026` : l, x: series[l].x.at(-1), value: series[l].mean.at(-1),
  }));
}

// Places for names between `top` and `bottom`, none over another; where there is no room for all, for those of the best
// values and of the last strategy, against which the others are measured.
function spread(names, sign, py, top, bottom) {
  const room = Math.floor((bottom - top) / NAME.line), last = names.at(-1);
  let placed = [...names].sort((a, b) => b.value - a.value);
  if (placed.length > room) placed = [...placed.filter((n) => n !== last).sort((a, b) => sign * (b.value - a.value)).slice(0, room - 1), last].sort((a, b) => b.value - a.value);
  placed.forEach((n, i) => { n.y = Math.max(py(n.value), i ? placed[i - 1].y + NAME.line : top); });
  for (let i = placed.length - 1, below = bottom; i >= 0; i--) { placed[i].y = Math.min(placed[i].y, below); below = placed[i].y - NAME.line; }
  return placed;
}

function lines(svg, shown, series, px, py, withSeeds) {
  const path = (x, y) => x.map((v, i) => `${i ? "L" : "M"}${px(v).toFixed(1)} ${py(y[i]).toFixed(1)}`).join("");
  for (const l of shown) {
    const s = series[l], colour = data.looks[l][0];
    if (withSeeds && s.seeds.length)
      for (const line of s.seeds)
        element(svg, "path", { class: "seed", stroke: colour, d: Array.isArray(line[0])
          ? path(line.map((p) => p[0]), line.map((p) => p[1])) : path(s.x.slice(0, line.length), line) });
    const known = s.x.map((_, i) => i).filter((i) => s.low[i] !== null), pick = (from) => known.map((i) => from[i]);
    if (!withSeeds && known.length > 1)
      element(svg, "path", { class: "band", fill: colour,
        d: `${path(pick(s.x), pick(s.high))}${path(pick(s.x).reverse(), pick(s.low).reverse()).replace("M", "L")}Z` });
  }
  // The last strategy, random, lies under the others.
  for (const l of [...shown].reverse()) {
    const s = series[l], [colour, dash, mark] = data.looks[l], every = Math.ceil(s.x.length / 12);
    element(svg, "path", { class: "mean", d: path(s.x, s.mean), stroke: colour, "stroke-dasharray": DASH[dash] });
    if (mark) s.x.forEach((v, i) => {
      if (i % every === 0) element(svg, "path", { d: data.markers[mark], fill: colour, transform: `translate(${px(v).toFixed(1)} ${py(s.mean[i]).toFixed(1)}) scale(.8)` });
    });
  }
}

// Show the values of one round beside the pointer; arrow keys move along the rounds.
function tooltip(place, svg, { chart, series, shown, px, W, H }) {
  const cursor = element(svg, "line", { class: "cursor", y1: PAD.top, y2: H - PAD.bottom, visibility: "hidden" });
  const tip = document.createElement("div");
  tip.className = "tip"; tip.hidden = true; tip.setAttribute("role", "status"); place.append(tip);
  const longest = shown.map((l) => series[l].x).reduce((a, b) => (b.length > a.length ? b : a));
  let at = longest.length - 1;
  const add = (parent, text, name) => parent.append(Object.assign(document.createElement(name), { textContent: text }));
  const show = (i) => {
    at = Math.max(0, Math.min(longest.length - 1, i));
    const present = shown.filter((l) => series[l].x.length > at).sort((a, b) => chart.sign * (series[b].mean[at] - series[a].mean[at]));
    const sameX = present.every((l) => series[l].x[at] === longest[at]);
    tip.textContent = "";
    add(tip, sameX ? `${longest[at].toLocaleString("en")} ${chart.x}` : `round ${at}`, "b");
    for (const l of present) {
      const s = series[l], line = document.createElement("div"), dot = document.createElement("i");
      dot.style.background = data.looks[l][0];
      const band = s.low[at] === null ? "" : ` [${written(chart, s.low[at])}, ${written(chart, s.high[at])}]`;
      const where = sameX ? "" : ` at ${short(s.x[at])}`;
      line.append(dot); add(line, l, "span"); add(line, written(chart, s.mean[at]), "b"); add(line, `${band}${where} n\u2009=\u2009${s.n[at]}`, "small");
      tip.append(line);
    }
    tip.hidden = false;
    const x = px(longest[at]), left = (x / W) * place.clientWidth;
    cursor.setAttribute("x1", x); cursor.setAttribute("x2", x);
    cursor.setAttribute("visibility", sameX ? "visible" : "hidden");
    const room = left < place.clientWidth / 2 ? left + 12 : left - tip.offsetWidth - 12;
    tip.style.left = `${Math.max(-4, Math.min(room, place.clientWidth - tip.offsetWidth + 4))}px`;
  };
  const hide = () => { tip.hidden = true; cursor.setAttribute("visibility", "hidden"); };
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect(), x = ((event.clientX - box.left) / box.width) * W;
    show(longest.reduce((best, v, i) => (Math.abs(px(v) - x) < Math.abs(px(longest[best]) - x) ? i : best), 0));
  });
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("focus", () => show(at));
  svg.addEventListener("blur", hide);
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) { show(at + step); event.preventDefault(); }
    if (event.key === "Escape") hide();
  });
}
