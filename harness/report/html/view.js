/* The span of time that all tracks show, and what a track is: a canvas with a gutter for names on its left. */

const GUTTER = 92;
const MARGIN = 10;
const AXIS = 18;
const SHORTEST = 1e3;
const SERIES = 8;
const SHADE = 0.08;
const SHADES_MAX = 4;

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
  theme.series = Array.from({ length: SERIES }, (_, number) => read(`s${number}`));
  return theme;
}

/* A colour as a pixel of ImageData. */
function pixel(colour) {
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
  return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

/* The spans in which the same number of faults was there, and how many; nothing where there was none. */
function shadesOf(faults) {
  const there = faults.filter((fault) => fault.applied);
  const edges = [...there.map(({ from }) => [from, 1]), ...there.map(({ to }) => [to, -1])].sort((a, b) => a[0] - b[0]);
  const found = [];
  let open = 0;
  edges.forEach(([at, by], i) => {
    open += by;
    if (open) found.push({ from: at, to: edges[i + 1][0], faults: open });
  });
  return found;
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
    this.stale = true;
  }

  /* Others are drawn when the page is scrolled to them. */
  get visible() {
    const box = this.canvas.getBoundingClientRect();
    return box.bottom > -100 && box.top < window.innerHeight + 100;
  }

  x(time) { return GUTTER + ((time - this.stage.view.from) / this.stage.view.length) * this.plot; }
  time(x) { return this.stage.view.from + ((x - GUTTER) / this.plot) * this.stage.view.length; }

  draw() {
    this.stale = false;
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
    this.shades(p, bottom);
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

  /* The darker the more faults there were, up to so many that what is drawn over them can be told. */
  shades(p, bottom) {
    const { theme, shades, pointedFault } = this.stage;
    const most = new Uint8Array(Math.ceil(this.plot) + 1);
    const columns = (from, to) => {
      const left = Math.max(0, Math.floor(this.x(from) - GUTTER));
      return [left, Math.min(most.length - 1, Math.max(left + 1, Math.round(this.x(to) - GUTTER)))];
    };
    for (const { from, to, faults } of shades) {
      const [left, right] = columns(from, to);
      for (let x = left; x < right; x++) most[x] = Math.max(most[x], Math.min(SHADES_MAX, faults));
    }
    p.fillStyle = theme.shade;
    for (let x = 0, end; x < most.length; x = end) {
      for (end = x + 1; most[end] === most[x];) end++;
      p.globalAlpha = SHADE * most[x];
      if (most[x]) p.fillRect(GUTTER + x, 0, end - x, bottom);
    }
    p.globalAlpha = 0.3;
    if (pointedFault) {
      const [left, right] = columns(pointedFault.from, pointedFault.to);
      p.fillRect(GUTTER + left, 0, right - left, bottom);
    }
    p.globalAlpha = 1;
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

  /* A picture of pixels over the plot, made by `fill(pixels, width, height)`; so many for each of the page's. */
  pixels(p, fill, across, down) {
    const width = Math.max(1, Math.round(this.plot * across));
    const height = Math.max(1, Math.round(this.plotHeight * down));
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
    p.drawImage(this.scratch, GUTTER, 0, width / across, height / down);
  }

  paint() {}
  /* What is at a place: { lines, operation?, fault? }, or null. */
  at() { return null; }
}
