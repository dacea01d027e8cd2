"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const off = new Set();
const NS = "http://www.w3.org/2000/svg";
const W = 400, H = 240, PAD = { l: 42, r: 10, t: 10, b: 36 };
const DASH = { "-": "", "--": "6 4", "-.": "7 3 2 3", ":": "2 3" };

function node(parent, name, attributes, text) {
  const made = document.createElementNS(NS, name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

function ticks(low, high, n) {
  const rough = (high - low) / n || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((k) => k * power).find((k) => k >= rough);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) found.push(+at.toPrecision(12));
  return found;
}

const short = (v) => (Math.abs(v) >= 10000 ? `${+(v / 1000).toPrecision(3)}k` : `${+v.toPrecision(4)}`);

function draw(place, setting, measure) {
  place.textContent = "";
  const about = data.measures[measure], series = setting.series[measure];
  const shown = data.order.filter((label) => series[label] && !off.has(label) && series[label].x.length);
  if (!shown.length) return;
  const withSeeds = document.getElementById("seeds").checked && measure === "accuracy";
  const xs = shown.flatMap((l) => series[l].x), ys = [];
  for (const l of shown) {
    const s = series[l];
    s.mean.forEach((v, i) => ys.push(v, s.low[i] ?? v, s.high[i] ?? v));
    if (withSeeds) s.seeds.forEach((line) => line.forEach((p) => ys.push(p[1])));
  }
  if (about.base_rate && setting.base_rate !== null) ys.push(setting.base_rate, 0);
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)];
  const low = Math.max(0, Math.min(...ys)), high = Math.min(1, Math.max(...ys)), room = (high - low) * 0.05 || 0.05;
  const y0 = Math.max(0, low - room), y1 = Math.min(1, high + room);
  const px = (v) => PAD.l + ((v - x0) / (x1 - x0 || 1)) * (W - PAD.l - PAD.r);
  const py = (v) => H - PAD.b - ((v - y0) / (y1 - y0)) * (H - PAD.t - PAD.b);
  const svg = node(place, "svg", { viewBox: `0 0 ${W} ${H}`, role: "img", tabindex: 0,
    "aria-label": `${about.title}, ${setting.name}: ` + shown.map((l) => `${l} ends at ${(100 * series[l].mean.at(-1)).toFixed(1)}%`).join(", ") });
  for (const t of ticks(100 * y0, 100 * y1, 5)) {
    node(svg, "line", { class: "grid", x1: PAD.l, x2: W - PAD.r, y1: py(t / 100), y2: py(t / 100) });
    node(svg, "text", { x: PAD.l - 6, y: py(t / 100) + 4, "text-anchor": "end" }, short(t));
  }
  for (const t of ticks(x0, x1, 6)) node(svg, "text", { x: px(t), y: H - PAD.b + 15, "text-anchor": "middle" }, short(t));
  node(svg, "text", { x: (W + PAD.l) / 2, y: H - 4, "text-anchor": "middle" }, about.x);
  node(svg, "text", { x: 11, y: (H - PAD.b) / 2, "text-anchor": "middle", transform: `rotate(-90 11 ${(H - PAD.b) / 2})` }, about.y);
  if (about.base_rate && setting.base_rate !== null)
    node(svg, "line", { class: "base", x1: PAD.l, x2: W - PAD.r, y1: py(setting.base_rate), y2: py(setting.base_rate) });
  const path = (x, y) => x.map((v, i) => `${i ? "L" : "M"}${px(v).toFixed(1)} ${py(y[i]).toFixed(1)}`).join("");
  for (const l of shown) {
    const s = series[l], colour = data.looks[l][0];
    if (withSeeds) for (const line of s.seeds)
      node(svg, "path", { d: path(line.map((p) => p[0]), line.map((p) => p[1])), fill: "none", stroke: colour, "stroke-width": 0.7, opacity: 0.5 });
    else if (s.low.every((v) => v !== null)) {
      const back = [...s.x].reverse(), below = [...s.low].reverse();
      node(svg, "path", { d: path(s.x, s.high) + path(back, below).replace("M", "L") + "Z", fill: colour, opacity: 0.14 });
    }
  }
  for (const l of shown) {
    const s = series[l];
    node(svg, "path", { d: path(s.x, s.mean), fill: "none", stroke: data.looks[l][0], "stroke-width": 2, "stroke-dasharray": DASH[data.looks[l][1]] });
  }
  const cursor = node(svg, "line", { class: "grid", y1: PAD.t, y2: H - PAD.b, visibility: "hidden" });
  const tip = document.createElement("div");
  tip.className = "tip"; tip.hidden = true; place.append(tip);
  const longest = shown.map((l) => series[l].x).reduce((a, b) => (b.length > a.length ? b : a));
  let at = longest.length - 1;
  const show = (i) => {
    at = Math.max(0, Math.min(longest.length - 1, i));
    const rows = shown.filter((l) => series[l].x.length > at).sort((a, b) => series[b].mean[at] - series[a].mean[at]);
    tip.innerHTML = "";
    const title = document.createElement("b");
    title.textContent = `${short(longest[at])} ${about.x}`; tip.append(title);
    for (const l of rows) {
      const s = series[l], line = document.createElement("div"), dot = document.createElement("span");
      dot.style.color = data.looks[l][0]; dot.textContent = "\u25cf ";
      const band = s.low[at] === null ? "" : ` [${(100 * s.low[at]).toFixed(1)}, ${(100 * s.high[at]).toFixed(1)}]`;
      line.append(dot, `${l} ${(100 * s.mean[at]).toFixed(1)}${band}, n = ${s.n[at]}`); tip.append(line);
    }
    tip.hidden = false;
    const x = px(longest[at]);
    cursor.setAttribute("x1", x); cursor.setAttribute("x2", x); cursor.setAttribute("visibility", "visible");
    const left = (x / W) * place.clientWidth;
    tip.style.top = "4px";
    tip.style.left = left < place.clientWidth / 2 ? `${left + 10}px` : `${Math.max(0, left - tip.offsetWidth - 10)}px`;
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
  });
}

function refresh() {
  const setting = document.getElementById("setting").value, measure = document.getElementById("measure").value;
  for (const item of document.querySelectorAll("[data-setting]"))
    item.hidden = Boolean((setting && item.dataset.setting && item.dataset.setting !== setting) ||
      (item.dataset.labels && item.dataset.labels.split("|").some((l) => off.has(l))));
  for (const place of document.querySelectorAll(".chart")) {
    const clean = place.classList.contains("clean");
    if (place.closest("figure").hidden) continue;
    draw(place, data.settings[place.dataset.index], clean ? "cumulative" : measure);
    place.hidden = clean && measure !== "accuracy";
  }
}

for (const chip of document.querySelectorAll(".chip"))
  chip.addEventListener("click", () => {
    const label = chip.dataset.label;
    off.has(label) ? off.delete(label) : off.add(label);
    chip.setAttribute("aria-pressed", String(!off.has(label)));
    refresh();
  });
for (const id of ["setting", "measure", "seeds"]) document.getElementById(id).addEventListener("change", refresh);
for (const table of document.querySelectorAll("table.sortable")) {
  table.querySelectorAll("thead th").forEach((head, column) => head.firstChild.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") !== "descending";
    for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = (row) => row.children[column].dataset.value ?? row.children[column].textContent;
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const [p, q] = [value(a), value(b)], [m, n] = [parseFloat(p), parseFloat(q)];
      if (p === "" || q === "") return (p === "") - (q === "");
      const order = Number.isNaN(m) || Number.isNaN(n) ? p.localeCompare(q) : m - n;
      return down ? -order : order;
    });
    table.tBodies[0].append(...rows);
  }));
}
refresh();
