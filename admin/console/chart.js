// Line charts of the last minutes.

import { element, setText } from "./dom.js";

const width = 300;
const height = 100;
const svg = "http://www.w3.org/2000/svg";

function shape(name, attributes) {
  const e = document.createElementNS(svg, name);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  return e;
}

// niceCeiling is the smallest number not below top that is 1, 2 or 5 times a power of ten.
function niceCeiling(top) {
  if (!(top > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(top));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= top * 0.999);
}

// Chart shows up to three series of numbers; NaN and undefined are gaps. For screen readers
// the caption has the newest values.
export class Chart {
  constructor(title, names, format, length, period) {
    this.format = format;
    this.length = length;
    this.series = names.map(() => []);
    this.values = names.map((_, i) => element("span", { className: `s${i + 1}` }));
    this.names = names;
    this.paths = names.map((_, i) => shape("path", { class: `s${i + 1}` }));
    const plot = shape("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    for (const y of [0, 50, 100]) plot.append(shape("line", { x1: 0, x2: width, y1: y, y2: y }));
    plot.append(...this.paths);
    this.top = element("span");
    this.element = element("figure", { className: "card" },
      element("figcaption", {}, element("strong", { textContent: title }), ...this.values),
      element("div", { className: "scale", "aria-hidden": "true" }, this.top),
      plot,
      element("div", { className: "scale", "aria-hidden": "true" }, element("span", { textContent: `${Math.round(length * period / 60)} min ago` }), element("span", { textContent: "now" })));
  }

  // add appends a value to each series.
  add(...values) {
    values.forEach((value, i) => {
      this.series[i].push(value);
      if (this.series[i].length > this.length) this.series[i].shift();
    });
  }

  draw() {
    const known = this.series.flat().filter(Number.isFinite);
    const top = niceCeiling(Math.max(0, ...known));
    setText(this.top, this.format(top));
    this.series.forEach((points, i) => {
      setText(this.values[i], `${this.names[i]} ${this.format(points.at(-1))}`);
      this.paths[i].setAttribute("d", this.line(points, top));
    });
  }

  line(points, top) {
    const offset = this.length - points.length;
    let pen = "M";
    let d = "";
    points.forEach((value, i) => {
      if (!Number.isFinite(value)) {
        pen = "M";
        return;
      }
      const x = ((offset + i) / (this.length - 1)) * width;
      d += `${pen}${x.toFixed(1)} ${(height - (value / top) * height).toFixed(1)}`;
      pen = "L";
    });
    return d;
  }
}
