// Draws the figures of a page from its data, over a horizontal axis that they share: its unit, the part that is shown,
// and the place that is read. controls.js changes that state.
"use strict";
const page = JSON.parse(document.getElementById("charts").textContent);
const AXES = {tokens: "tokens seen", steps: "steps", hours: "hours of training"};
const state = {unit: page.units[0], view: null, cursor: null};
const live = [];

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const minus = (text) => text.replace(/-/g, "\u2212");
const number = (value, chart) => minus(chart.decimals !== null ? value.toFixed(chart.decimals) : Math.abs(value) >= 1000 && Math.abs(value) < 1e9
  ? Math.round(value).toLocaleString("en-US") : String(Number(value.toPrecision(4))));
const short = (value) => {
  for (const [size, letter] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]])
    if (Math.abs(value) >= size) return minus(Number((value / size).toPrecision(4)) + letter);
  return minus(String(Number(value.toPrecision(4))));
};
const node = (name, attributes, parent, text) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  if (text !== undefined) made.textContent = text;
  return parent ? parent.appendChild(made) : made;
};
const element = (name, attributes, parent, text) => {
  const made = document.createElement(name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  if (text !== undefined) made.textContent = text;
  return parent ? parent.appendChild(made) : made;
};
const places = (series) => page.along[series.along][state.unit];
const view = () => state.view || [0, page.end[state.unit] || 1];

function ticks(low, high, most) {
  const raw = (high - low) / most, power = 10 ** Math.floor(Math.log10(raw));
  const size = [1, 2, 5, 10].map((k) => k * power).find((candidate) => candidate >= raw);
  const found = [];
  for (let k = Math.ceil(low / size - 1e-9); k * size <= high + size * 1e-9; k++) found.push(k * size);
  return found;
}

// The vertical range: the page's own for the whole run, else that of the curves in view.
function span(chart) {
  if (!state.view) return chart.span;
  const [first, last] = view(), seen = [];
  for (const series of chart.series) places(series).forEach((x, k) => {
    if (x >= first && x <= last && series.y[k] !== null && !(chart.log && series.y[k] <= 0)) seen.push(series.y[k]);
  });
  if (!seen.length) return chart.span;
  const low = Math.min(...seen), high = Math.max(...seen);
  if (chart.log) return [low / 1.1, high * 1.1];
  const margin = 0.1 * (high - low) || 0.05 * Math.abs(high) || 1;
  return [low - margin, high + margin];
}

// Labels at least `gap` apart, each near its own place.
function apart(labels, gap, low, high) {
  labels.sort((a, b) => a.own - b.own);
  labels.forEach((label, k) => {
    label.at = clamp(label.own, low, high);
    if (k) label.at = Math.max(label.at, labels[k - 1].at + gap);
  });
  for (let k = labels.length - 1, over = high; k >= 0; k--) {
    labels[k].at = Math.min(labels[k].at, over);
    over = labels[k].at - gap;
  }
}

function path(xs, ys, x, y) {
  let text = "", pen = false;
  ys.forEach((value, k) => {
    const place = value === null ? NaN : y(value);
    if (!Number.isFinite(place)) { pen = false; return; }
    text += (pen ? "L" : "M") + x(xs[k]).toFixed(1) + " " + place.toFixed(1);
    if (!pen && (k + 1 === ys.length || ys[k + 1] === null)) text += "h.1";
    pen = true;
  });
  return text;
}

function draw(figure) {
  const {chart, box} = figure, width = Math.max(box.clientWidth, 240);
  const height = chart.large ? clamp(width * 0.5, 300, 440) : 230;
  const labelled = chart.large || chart.levels.length > 0;
  const left = 50, right = labelled ? (chart.large ? figure.room : 58) : 12, top = chart.unit && page.stages.length ? 36 : 22, bottom = 42;
  const [first, last] = view(), [low, high] = span(chart), scale = chart.log ? Math.log10 : (value) => value;
  const x = (value) => left + (value - first) / (last - first) * (width - left - right);
  const y = (value) => height - bottom - (scale(value) - scale(low)) / (scale(high) - scale(low)) * (height - top - bottom);
  const svg = node("svg", {viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true"});
  const clip = `clip-${chart.name}`;
  node("rect", {x: left, y: top, width: width - left - right, height: height - top - bottom},
    node("clipPath", {id: clip}, node("defs", {}, svg)));
  const inside = node("g", {"clip-path": `url(#${clip})`});
  for (const stage of page.stages) {
    const begin = stage.begin[state.unit], end = stage.end[state.unit];
    if (begin === undefined || end === undefined || end < first || begin > last) continue;
    const from = x(Math.max(begin, first)), to = x(Math.min(end, last));
    if (stage.index % 2) node("rect", {x: from, y: top, width: to - from, height: height - top - bottom, class: "shade"}, svg);
    const text = (chart.large && to - from > 110 ? "context " : "") + stage.label;
    if (to - from > 8 * text.length) node("text", {x: (from + to) / 2, y: top - 7, class: "mid faint"}, svg, text);
  }
  const rows = chart.log ? [] : ticks(low, high, height / 60);
  if (chart.log) for (let k = Math.floor(Math.log10(low)); 10 ** k <= high; k++) for (const m of [1, 2, 5])
    if (m * 10 ** k >= low && m * 10 ** k <= high && (m === 1 || high / low < 60)) rows.push(m * 10 ** k);
  for (const value of rows) {
    node("path", {d: `M${left} ${y(value)}H${width - right}`, class: "grid"}, svg);
    node("text", {x: left - 7, y: y(value) + 4, class: "end"}, svg, short(value));
  }
  for (const value of ticks(first, last, (width - left - right) / 80)) {
    node("path", {d: `M${x(value)} ${top}V${height - bottom}`, class: "grid"}, svg);
    node("text", {x: x(value), y: height - bottom + 16, class: "mid"}, svg, short(value));
  }
  node("path", {d: `M${left} ${top}V${height - bottom}H${width - right}`, class: "axis"}, svg);
  node("text", {x: (left + width - right) / 2, y: height - 6, class: "mid"}, svg, AXES[state.unit]);
  if (chart.unit) node("text", {x: 0, y: 11, class: "faint"}, svg, chart.unit);
  svg.appendChild(inside);
  const labels = [];
  for (const level of chart.levels) {
    if (!(y(level.value) >= top - 1 && y(level.value) <= height - bottom + 1)) continue;
    node("path", {d: `M${left} ${y(level.value)}H${width - right}`, class: `level c-${level.role}`}, inside);
    labels.push({...level, own: y(level.value)});
  }
  for (const series of chart.series) {
    const xs = places(series);
    if (series.raw) node("path", {d: path(xs, series.raw, x, y), class: `raw c-${series.role}`}, inside);
    node("path", {d: path(xs, series.y, x, y), class: `line c-${series.role}`}, inside);
    let end = null;
    series.y.forEach((value, k) => {
      if (value === null || xs[k] < first || xs[k] > last) return;
      end = value;
      if (series.dots) node("circle", {cx: x(xs[k]), cy: y(value), r: chart.large ? 3.5 : 2.5, class: `f-${series.role}`}, inside);
    });
    if (chart.large && end !== null) labels.push({...series, value: end, own: clamp(y(end), top, height - bottom)});
  }
  if (chart.crossed) chart.crossed[state.unit].forEach((value) =>
    node("path", {d: `M${x(value) - 3} ${height - bottom - 9}l6 6m0 -6l-6 6`, class: "line c-valid"}, inside));
  apart(labels, 14, top, height - bottom);
  for (const label of labels) {
    const edge = width - right;
    node("path", {d: `M${edge} ${label.own}L${edge + 8} ${label.at}`, class: `lead c-${label.role}`}, svg);
    const text = node("text", {x: edge + 11, y: label.at + 4, class: `f-${label.role}`}, svg);
    text.textContent = `${label.label} ${number(label.value, chart)}`;
  }
  const overlay = node("g", {}, svg);
  Object.assign(figure, {x, y, left, right, top, bottom, width, height, overlay});
  box.replaceChildren(svg);
  read(figure);
}
