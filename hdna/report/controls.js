// Lets pointer and keyboard read and zoom the figures that figures.js draws, in place of the drawings without scripts.
"use strict";
// Index of the point at or before a place; the first one if there is none.
function before(xs, place) {
  let low = 0, high = xs.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (xs[middle] <= place) low = middle; else high = middle - 1;
  }
  return low;
}

function read(figure) {
  const {chart, overlay, output, top, bottom, height} = figure;
  overlay.replaceChildren();
  output.replaceChildren();
  if (state.cursor === null) return "";
  const parts = [], main = page.along[chart.series[0].along], at = before(main[state.unit], state.cursor);
  const shown = page.one ? page.units.map((unit) => [main[unit][at], unit]) : [[state.cursor, state.unit]];
  parts.push(shown.map(([value, unit]) => `${short(value)} ${unit}`).join(" \u00b7 "));
  element("span", {}, output, parts[0]);
  const place = figure.x(state.cursor);
  node("path", {d: `M${place} ${top}V${height - bottom}`, class: "cursor"}, overlay);
  for (const series of chart.series) {
    const xs = places(series);
    let k = before(xs, state.cursor);
    while (k > 0 && series.y[k] === null) k--;
    if (series.y[k] === null || xs[k] > state.cursor * (1 + 1e-9)) continue;
    const raw = series.raw && series.raw[k] !== null ? ` (here ${number(series.raw[k], chart)})` : "";
    const text = `${series.label} ${number(series.y[k], chart)}${raw}`;
    parts.push(text);
    element("span", {class: `t-${series.role}`}, output, text);
    const row = figure.y(series.y[k]), column = figure.x(xs[k]);
    if (row >= top && row <= height - bottom && column >= figure.left)
      node("circle", {cx: column, cy: row, r: 4.5, class: `ring c-${series.role}`}, overlay);
  }
  return parts.join(", ");
}

const redraw = () => { live.forEach(draw); tools.forEach((tool) => tool()); };
const point = (place) => { state.cursor = place; live.forEach(read); };

function zoom(low, high) {
  const end = page.end[state.unit] || 1, least = end / 1000;
  if (high - low < least) [low, high] = [(low + high - least) / 2, (low + high + least) / 2];
  if (low < 0) [low, high] = [0, high - low];
  if (high > end) [low, high] = [Math.max(0, low - high + end), end];
  state.view = low <= 0 && high >= end ? null : [low, high];
  redraw();
}

// Show a part of what is shown, or so many times as much, around the place that is read.
function closer(times) {
  const [first, last] = view(), half = (last - first) / 2 * times;
  const middle = state.cursor === null ? (first + last) / 2 : state.cursor;
  zoom(middle - half, middle + half);
}

// In another unit the same part of the run is shown, as the points of the first curve have it.
function change(unit) {
  const points = page.along[0], from = state.unit;
  const moved = (place) => points[unit][before(points[from], place)];
  if (state.view) state.view = state.view.map(moved);
  if (state.view && state.view[0] >= state.view[1]) state.view = null;
  if (state.cursor !== null) state.cursor = moved(state.cursor);
  state.unit = unit;
  redraw();
}

function listen(figure) {
  const {box, said} = figure;
  const place = (event) => {
    const [first, last] = view(), {x, width, left, right} = figure, frame = box.getBoundingClientRect();
    const share = ((event.clientX - frame.left) * width / frame.width - left) / (width - left - right);
    return clamp(first + share * (last - first), first, last);
  };
  let from = null;
  box.addEventListener("pointermove", (event) => {
    point(place(event));
    if (from === null) return;
    const a = figure.x(Math.min(from, state.cursor)), b = figure.x(Math.max(from, state.cursor));
    node("rect", {x: a, y: figure.top, width: b - a, height: figure.height - figure.top - figure.bottom, class: "shade"}, figure.overlay);
  });
  box.addEventListener("pointerleave", (event) => {
    if (from === null && event.pointerType === "mouse") point(null);
  });
  box.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch") point(place(event));
    if (event.button || event.pointerType === "touch") return;
    from = place(event);
    box.setPointerCapture(event.pointerId);
  });
  box.addEventListener("pointercancel", () => { from = null; });
  box.addEventListener("pointerup", (event) => {
    const to = place(event), begun = from;
    from = null;
    if (begun !== null && Math.abs(figure.x(to) - figure.x(begun)) > 8) zoom(Math.min(begun, to), Math.max(begun, to));
  });
  box.addEventListener("dblclick", () => zoom(0, Infinity));
  box.addEventListener("blur", () => point(null));
  box.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const [first, last] = view(), xs = page.along[figure.chart.series[0].along][state.unit];
    const now = state.cursor === null ? before(xs, last) : before(xs, state.cursor);
    const keys = {
      ArrowLeft: () => now - 1, ArrowRight: () => now + 1, PageUp: () => now - 25, PageDown: () => now + 25,
      Home: () => 0, End: () => xs.length - 1,
      "+": () => closer(0.5), "=": () => closer(0.5), "-": () => closer(2), "0": () => zoom(0, Infinity), Escape: () => zoom(0, Infinity),
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    const index = keys[event.key]();
    if (index !== undefined) {
      const to = xs[clamp(index, 0, xs.length - 1)];
      if (to < first) zoom(to, to + last - first); else if (to > last) zoom(to - last + first, to);
      point(to);
    }
    said.textContent = read(figure);
  });
}

// Where the page has room for them: the choice of the unit, and the way back to the whole run.
function furnish(place, number) {
  if (page.units.length > 1) {
    const set = element("fieldset", {}, place);
    element("legend", {}, set, "By");
    for (const unit of page.units) {
      const label = element("label", {}, set);
      const choice = element("input", {type: "radio", name: `unit-${number}`, value: unit}, label);
      label.append(unit);
      choice.addEventListener("change", () => change(unit));
    }
  }
  const button = (words, name, act) => {
    const made = element("button", {type: "button", "aria-label": name}, place, words);
    made.addEventListener("click", act);
    return made;
  };
  button("+", "Zoom in", () => closer(0.5));
  const out = button("\u2212", "Zoom out", () => closer(2));
  const whole = button("Whole run", "Whole run", () => zoom(0, Infinity));
  element("span", {class: "hint"}, place, "Drag to zoom in; arrow keys read.");
  place.hidden = false;
  return () => {
    out.disabled = whole.disabled = !state.view;
    for (const choice of place.querySelectorAll("input")) choice.checked = choice.value === state.unit;
  };
}

for (const chart of page.charts) {
  const figure = document.querySelector(`figure[data-chart="${chart.name}"]`);
  const fallback = figure.querySelector(".fallback"), words = fallback.querySelector("desc").textContent;
  const output = element("p", {class: "readout", "aria-hidden": "true"});
  const box = element("div", {
    class: "live", tabindex: "0", role: "img", "aria-roledescription": "chart",
    "aria-label": `${chart.title}. ${words} Arrow keys read values, plus and minus zoom.`,
  });
  const said = element("p", {class: "said", role: "status"});
  fallback.before(output, box, said);
  const longest = Math.max(0, ...chart.series.concat(chart.levels).map((entry) => entry.label.length));
  const entry = {chart, box, output, said, room: clamp(7 * (longest + 7) + 14, 60, 170)};
  live.push(entry);
  listen(entry);
}
const tools = [...document.querySelectorAll(".tools")].map(furnish);
document.documentElement.classList.add("scripted");
redraw();
new ResizeObserver(() => live.forEach((figure) => {
  if (Math.abs(figure.box.clientWidth - figure.width) > 1) draw(figure);
})).observe(document.querySelector("main"));
