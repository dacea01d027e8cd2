// Filters, the choice of the charts' axes, and sortable tables.
const off = new Set();
const every = (selector, act, inside = document) => inside.querySelectorAll(selector).forEach(act);
const settingOf = Object.fromEntries(data.settings.map((s) => [s.name, s]));

function chosen(name) {
  const setting = settingOf[name];
  return !setting || [...document.querySelectorAll("select[data-facet]")].every((s) => !s.value || setting.facets[s.dataset.facet] === s.value);
}

function refresh() {
  every("[data-setting], [data-labels]", (item) => {
    const isOff = (item.dataset.labels || "").split("\n").some((l) => off.has(l));
    item.hidden = isOff || (item.dataset.setting !== undefined && !chosen(item.dataset.setting));
  });
  every(".chip[data-label]", (chip) => chip.setAttribute("aria-pressed", String(!off.has(chip.dataset.label))));
  const labels = Object.keys(data.looks).filter((l) => !off.has(l));
  const seeds = document.getElementById("seeds").checked, same = document.getElementById("same").checked;
  const measure = document.querySelector("input[name=measure]:checked").value;
  const ranges = {};
  const rangeFor = (setting, m) => {
    const key = `${m} ${setting.facets.data}`;
    if (!(key in ranges))
      ranges[key] = span(data.settings.filter((s) => s.facets.data === setting.facets.data && chosen(s.name)).flatMap((s) => heights(s, m, labels, seeds)));
    return ranges[key];
  };
  every(".chart", (place) => {
    const setting = data.settings[place.dataset.index], m = place.dataset.measure || measure;
    if (chosen(setting.name)) draw(place, setting, m, labels, seeds, same ? rangeFor(setting, m) : null);
  });
  mark();
}

function sort(table, head, column) {
  const down = head.getAttribute("aria-sort") !== "descending";
  for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const value = (row) => row.children[column].dataset.value ?? row.children[column].textContent;
  const rows = [...table.tBodies[0].rows].sort((a, b) => {
    const [p, q] = [value(a), value(b)];
    if (p === "" || q === "") return (p === "") - (q === "");
    const order = isNaN(p) || isNaN(q) ? p.localeCompare(q, "en", { numeric: true }) : p - q;
    return down ? -order : order;
  });
  table.tBodies[0].append(...rows);
}

every(".chip[data-label]", (chip) => chip.addEventListener("click", () => {
  const label = chip.dataset.label;
  if (!off.delete(label)) off.add(label);
  refresh();
}));
document.getElementById("all").addEventListener("click", () => { off.clear(); refresh(); });
document.getElementById("none").addEventListener("click", () => { Object.keys(data.looks).forEach((l) => off.add(l)); refresh(); });
every("select[data-facet], .options input", (input) => input.addEventListener("change", refresh));
every("table.sortable", (table) => every("thead th", (head) => {
  head.firstChild.addEventListener("click", () => sort(table, head, head.cellIndex));
}, table));

// Mark tables that go on beyond the right edge.
function mark() {
  every(".scroll", (box) => box.classList.toggle("more", box.scrollLeft + box.clientWidth < box.scrollWidth - 2));
}
every(".scroll", (box) => { box.tabIndex = 0; box.addEventListener("scroll", mark, { passive: true }); });
every("details", (part) => part.addEventListener("toggle", mark));

let width = innerWidth, waiting;
addEventListener("resize", () => {
  if (innerWidth === width) return;
  width = innerWidth;
  clearTimeout(waiting);
  waiting = setTimeout(refresh, 100);
});
// Open everything for printing.
let closed = [];
addEventListener("beforeprint", () => { closed = [...document.querySelectorAll("details:not([open])")]; closed.forEach((d) => { d.open = true; }); });
addEventListener("afterprint", () => closed.forEach((d) => { d.open = false; }));
refresh();
