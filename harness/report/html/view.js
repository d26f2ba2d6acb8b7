/* The span of time that all tracks show, and what a track is: a canvas with a gutter for names on its left. */

const GUTTER = 92;
const MARGIN = 10;
const AXIS = 18;
const SHORTEST = 1e3;

class View {
  constructor(span) {
    this.span = Math.max(span, 1);
    this.from = 0;
    this.to = this.span;
    this.changed = () => {};
  }

  set(from, to) {
    const length = Math.min(this.span, Math.max(SHORTEST, to - from));
    this.from = Math.max(0, Math.min(this.span - length, from));
    this.to = this.from + length;
    this.changed();
  }

  get length() { return this.to - this.from; }
  get whole() { return this.length >= this.span; }

  /* `at` stays where it is. */
  zoom(factor, at = (this.from + this.to) / 2) {
    const length = Math.min(this.span, Math.max(SHORTEST, this.length * factor));
    const from = at - (at - this.from) * (length / this.length);
    this.set(from, from + length);
  }

  move(by) { this.set(this.from + by, this.from + by + this.length); }
  all() { this.set(0, this.span); }
}

/* The colours of the page, read from its style, so that there is one place for them. */
function readTheme() {
  const style = getComputedStyle(document.body);
  const read = (name) => style.getPropertyValue(`--${name}`).trim();
  const names = ["ground", "ink", "faint", "line", "lane", "ok", "fail", "info", "ghost", "mark", "shade", "accent",
    "alive", "suspect", "dead", "away", "p50", "p99", "on-ok", "on-fail", "on-info"];
  const theme = Object.fromEntries(names.map((name) => [name, read(name)]));
  theme.series = read("series").split(/\s+/);
  return theme;
}

/* A colour as a pixel of ImageData. */
function pixel(colour) {
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
  return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

const PLAIN = [1, 2, 5];

/* The smallest of 1, 2, 5, 10, 20, ... that is at least `least`. */
function nice(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return (PLAIN.find((factor) => factor * power >= least) ?? 10) * power;
}

/* Nanoseconds as seconds, with as many decimals as tell points `step` apart. */
function seconds(time, step = 1e6) {
  const decimals = Math.max(0, Math.min(9, Math.ceil(-Math.log10(step / 1e9) - 1e-9)));
  return (time / 1e9).toFixed(decimals);
}

function duration(span) {
  for (const [unit, size] of [["s", 1e9], ["ms", 1e6], ["µs", 1e3]]) {
    if (span >= size) return `${+(span / size).toPrecision(3)} ${unit}`;
  }
  return `${Math.round(span)} ns`;
}

function figure(value) { return Math.round(value).toLocaleString("en"); }

class Track {
  constructor(stage, title, height, about) {
    this.stage = stage;
    this.height = height;
    this.element = document.createElement("div");
    this.element.className = "track";
    const heading = document.createElement("h3");
    heading.textContent = title;
    this.legend = document.createElement("span");
    this.legend.className = "legend";
    heading.append(this.legend);
    this.canvas = document.createElement("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", `${title}. ${about}`);
    this.holder = document.createElement("div");
    this.holder.className = "holder";
    this.holder.append(this.canvas);
    this.element.append(heading, this.holder);
    this.painter = this.canvas.getContext("2d");
    this.scratch = document.createElement("canvas");
  }

  key(kind, text, colour) {
    const item = document.createElement("span");
    item.className = `key ${kind}`;
    const swatch = document.createElement("i");
    swatch.style.background = colour;
    item.append(swatch, text);
    this.legend.append(item);
  }

  get top() { return 0; }
  get plotHeight() { return this.height - AXIS; }

  resize() {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const width = this.holder.clientWidth;
    if (this.width === width && this.ratio === ratio && this.drawnHeight === this.height) return;
    this.width = width;
    this.ratio = ratio;
    this.drawnHeight = this.height;
    this.plot = Math.max(10, width - GUTTER - MARGIN);
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${this.height}px`;
    this.image = null;
  }

  /* Others are drawn when the page is scrolled to them. */
  get visible() {
    const box = this.canvas.getBoundingClientRect();
    return box.bottom > -100 && box.top < window.innerHeight + 100;
  }

  x(time) { return GUTTER + ((time - this.stage.view.from) / this.stage.view.length) * this.plot; }
  time(x) { return this.stage.view.from + ((x - GUTTER) / this.plot) * this.stage.view.length; }

  draw() {
    const p = this.painter;
    p.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    p.fillStyle = this.stage.theme.ground;
    p.fillRect(0, 0, this.width, this.height);
    p.font = "12px system-ui, sans-serif";
    p.textBaseline = "middle";
    this.paint(p);
  }

  /* Grid, the times at the bottom, and the faults as shades. */
  ground(p, labelled = true) {
    const { view, theme } = this.stage;
    const bottom = this.plotHeight;
    p.fillStyle = theme.shade;
    for (const fault of this.stage.faults) {
      if (fault.to < view.from || fault.from > view.to) continue;
      const left = Math.max(GUTTER, this.x(fault.from));
      const right = Math.min(GUTTER + this.plot, this.x(fault.to));
      p.globalAlpha = fault === this.stage.pointedFault ? 0.35 : 0.09;
      p.fillRect(left, 0, Math.max(1, right - left), bottom);
    }
    p.globalAlpha = 1;
    const step = nice((view.length / this.plot) * 90);
    p.strokeStyle = theme.line;
    p.fillStyle = theme.faint;
    p.textAlign = "center";
    p.beginPath();
    for (let t = Math.ceil(view.from / step) * step; t <= view.to; t += step) {
      const x = Math.round(this.x(t)) + 0.5;
      p.moveTo(x, 0);
      p.lineTo(x, bottom);
      if (labelled && x < this.width - 24) p.fillText(`${seconds(t, step)} s`, x, bottom + AXIS / 2 + 1);
    }
    p.moveTo(GUTTER, bottom + 0.5);
    p.lineTo(GUTTER + this.plot, bottom + 0.5);
    p.stroke();
  }

  selection(p) {
    const drag = this.stage.drag;
    if (!drag) return;
    const left = this.x(Math.min(drag.from, drag.to));
    const right = this.x(Math.max(drag.from, drag.to));
    p.fillStyle = this.stage.theme.accent;
    p.globalAlpha = 0.2;
    p.fillRect(left, 0, right - left, this.plotHeight);
    p.globalAlpha = 1;
  }

  /* Clip what is drawn to the plot. */
  inside(p, act) {
    p.save();
    p.beginPath();
    p.rect(GUTTER, 0, this.plot, this.plotHeight);
    p.clip();
    act();
    p.restore();
  }

  /* A picture of pixels over the plot, made by `fill(pixels, width, height)`. */
  pixels(p, fill) {
    const width = Math.max(1, Math.round(this.plot * this.ratio));
    const height = Math.max(1, Math.round(this.plotHeight * this.ratio));
    if (!this.image || this.image.width !== width || this.image.height !== height) {
      this.scratch.width = width;
      this.scratch.height = height;
      this.image = this.scratch.getContext("2d").createImageData(width, height);
      this.dots = new Uint32Array(this.image.data.buffer);
    }
    this.dots.fill(0);
    fill(this.dots, width, height);
    this.scratch.getContext("2d").putImageData(this.image, 0, 0);
    p.imageSmoothingEnabled = false;
    p.drawImage(this.scratch, GUTTER, 0, width / this.ratio, height / this.ratio);
  }

  paint() {}
  /* What is at a place: { lines, operation?, fault? }, or null. */
  at() { return null; }
}
