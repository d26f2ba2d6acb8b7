/* How many were answered and how fast: the rate in each bucket of time, and every latency as a dot. */

const BUCKET_PIXELS = 7;
const BUCKET_MIN = 1e7;
const BUCKETS_KEPT_MAX = 4000;
const DOTS_FINE_MAX = 20000;
const OUTCOME_NAMES = ["ok", "fail", "info"];

/* The buckets of the span: their length, the first and how many. */
function buckets(view, plot) {
  const size = Math.max(BUCKET_MIN, nice((view.length / plot) * BUCKET_PIXELS));
  const first = Math.floor(view.from / size);
  return { size, first, count: Math.floor(view.to / size) - first + 1 };
}

class Rate extends Track {
  constructor(stage) {
    super(stage, "Rate", 120, "Completions per second, by outcome.");
    for (const name of OUTCOME_NAMES) this.key("", name, `var(--${name})`);
  }

  counted() {
    const { ops, view } = this.stage;
    const { size, first, count } = buckets(view, this.plot);
    const found = OUTCOME_NAMES.map(() => new Float64Array(count));
    const until = ops.firstFrom((first + count) * size);
    for (let i = ops.firstFrom(first * size - ops.longest); i < until; i++) {
      if (ops.took[i] === NONE || !ops.shown[i]) continue;
      const bucket = Math.floor(ops.end[i] / size) - first;
      if (bucket >= 0 && bucket < count) found[ops.outcome[i]][bucket]++;
    }
    return { size, first, count, found };
  }

  paint(p) {
    const { theme } = this.stage;
    const { size, first, count, found } = this.counted();
    this.ground(p);
    let most = 0;
    for (let b = 0; b < count; b++) most = Math.max(most, found[0][b] + found[1][b] + found[2][b]);
    const highest = Math.max(most / (size / 1e9), 1e-9);
    const step = nice(highest / 4);
    const peak = Math.ceil(highest / step) * step;
    const scale = (this.plotHeight - 8) / peak / (size / 1e9);
    p.fillStyle = theme.faint;
    p.textAlign = "right";
    p.fillText(`${peak.toLocaleString("en")}/s`, GUTTER - 8, 12);
    p.fillText("0", GUTTER - 8, this.plotHeight - 4);
    this.inside(p, () => {
      for (let b = 0; b < count; b++) {
        const left = this.x((first + b) * size);
        const width = Math.max(1, this.x((first + b + 1) * size) - left - 1);
        let y = this.plotHeight;
        for (let o = 0; o < found.length; o++) {
          const tall = found[o][b] * scale;
          p.fillStyle = theme[OUTCOME_NAMES[o]];
          p.fillRect(left, y - tall, width, tall);
          y -= tall;
        }
      }
    });
    this.selection(p);
  }

  at(x) {
    if (x < GUTTER) return null;
    const { size, first, found } = this.counted();
    const bucket = Math.floor(this.time(x) / size) - first;
    if (!(bucket >= 0 && bucket < found[0].length)) return null;
    const from = (first + bucket) * size;
    return {
      lines: [`${seconds(from, size)} to ${seconds(from + size, size)} s`,
        ...OUTCOME_NAMES.map((name, o) => `${name} ${figure(found[o][bucket] / (size / 1e9))}/s`)],
    };
  }
}

class Latency extends Track {
  constructor(stage) {
    super(stage, "Latency", 190, "Each operation is a dot; lines are the median and the 99th percentile of those that were ok.");
    for (const name of OUTCOME_NAMES) this.key("dot", name, `var(--${name})`);
    this.key("line", "p50 of ok", "var(--p50)");
    this.key("line dashed", "p99 of ok", "var(--p99)");
    let low = Infinity;
    let high = 0;
    for (const took of stage.ops.took) {
      if (took <= 0) continue;
      low = Math.min(low, took);
      high = Math.max(high, took);
    }
    this.low = Math.log10(low === Infinity ? 1e5 : low) - 0.05;
    this.high = Math.max(this.low + 0.5, Math.log10(high || 1e9) + 0.05);
    this.kept = new Map();
  }

  y(took) {
    const share = (Math.log10(Math.max(took, 10 ** this.low)) - this.low) / (this.high - this.low);
    return (this.plotHeight - 6) * (1 - share) + 3;
  }

  paint(p) {
    const { theme } = this.stage;
    this.ground(p);
    p.textAlign = "right";
    for (let power = Math.ceil(this.low); power <= this.high; power++) {
      const y = Math.round(this.y(10 ** power)) + 0.5;
      p.strokeStyle = theme.line;
      p.beginPath();
      p.moveTo(GUTTER, y);
      p.lineTo(GUTTER + this.plot, y);
      p.stroke();
      p.fillStyle = theme.faint;
      p.fillText(duration(10 ** power), GUTTER - 8, Math.max(8, Math.min(this.plotHeight - 6, y)));
    }
    const { ops, view } = this.stage;
    const many = ops.firstFrom(view.to) - ops.firstFrom(view.from) > DOTS_FINE_MAX;
    const fine = many ? 1 : this.ratio;
    const size = Math.round((many ? 2 : 2.5) * fine);
    this.pixels(p, (dots, width, height) => this.spots(dots, width, height, fine, size), fine, fine);
    this.inside(p, () => this.quantiles(p));
    this.selection(p);
  }

  spots(dots, width, height, fine, size) {
    const { ops, view, theme } = this.stage;
    const palette = OUTCOME_NAMES.map((name) => pixel(theme[name]));
    const rank = new Uint8Array(width * height);
    const scale = width / view.length;
    const until = ops.firstFrom(view.to);
    if (this.rowsFor !== height) {
      this.rows = Int32Array.from(ops.took, (took) => Math.round(this.y(took) * fine));
      this.rowsFor = height;
    }
    for (let i = ops.firstFrom(view.from); i < until; i++) {
      if (!ops.shown[i] || ops.took[i] === NONE) continue;
      const x = Math.floor((ops.start[i] - view.from) * scale);
      const own = ops.outcome[i] + 1;
      const bottom = Math.min(height, this.rows[i] + size);
      const right = Math.min(width, x + size);
      for (let row = this.rows[i]; row < bottom; row++) {
        for (let column = x; column < right; column++) {
          const place = row * width + column;
          if (rank[place] < own) {
            rank[place] = own;
            dots[place] = palette[own - 1];
          }
        }
      }
    }
  }

  /* p50 and p99 in each bucket of the whole run; of a short span, in that only. */
  figures() {
    const { ops, view } = this.stage;
    const { size, first, count } = buckets(view, this.plot / 2);
    const all = Math.floor(view.span / size) + 1;
    if (all > BUCKETS_KEPT_MAX) return this.measured(size, first, count);
    if (this.version !== ops.version) {
      this.kept.clear();
      this.version = ops.version;
    }
    if (!this.kept.has(size)) this.kept.set(size, this.measured(size, 0, all));
    return this.kept.get(size);
  }

  measured(size, first, count) {
    const { ops } = this.stage;
    const sizes = new Int32Array(count + 1);
    const begin = ops.firstFrom(first * size);
    const until = ops.firstFrom((first + count) * size);
    const counts = (i) => ops.shown[i] && ops.outcome[i] === 0 && ops.took[i] !== NONE;
    for (let i = begin; i < until; i++) if (counts(i)) sizes[Math.floor(ops.start[i] / size) - first + 1]++;
    for (let b = 0; b < count; b++) sizes[b + 1] += sizes[b];
    const sorted = new Float64Array(sizes[count]);
    const next = sizes.slice();
    for (let i = begin; i < until; i++) if (counts(i)) sorted[next[Math.floor(ops.start[i] / size) - first]++] = ops.took[i];
    const found = { size, first, count, p50: new Float64Array(count).fill(NaN), p99: new Float64Array(count).fill(NaN) };
    for (let b = 0; b < count; b++) {
      const own = sorted.subarray(sizes[b], sizes[b + 1]).sort();
      if (!own.length) continue;
      found.p50[b] = own[Math.ceil(own.length * 0.5) - 1];
      found.p99[b] = own[Math.ceil(own.length * 0.99) - 1];
    }
    return found;
  }

  quantiles(p) {
    const { theme, view } = this.stage;
    const found = this.figures();
    const begin = Math.max(0, Math.floor(view.from / found.size) - found.first - 1);
    const end = Math.min(found.count, Math.floor(view.to / found.size) - found.first + 2);
    const dashes = found.size < view.length ? [5, 3] : [];
    for (const name of ["p99", "p50"]) {
      p.strokeStyle = theme[name];
      p.lineWidth = 2;
      p.setLineDash(name === "p99" ? dashes : []);
      p.beginPath();
      let drawing = false;
      for (let b = begin; b < end; b++) {
        const value = found[name][b];
        const x = this.x((found.first + b + 0.5) * found.size);
        if (Number.isNaN(value)) drawing = false;
        else if (drawing) p.lineTo(x, this.y(value));
        else {
          p.moveTo(x - 2, this.y(value));
          p.lineTo(x, this.y(value));
          drawing = true;
        }
      }
      p.stroke();
    }
    p.setLineDash([]);
    p.lineWidth = 1;
  }

  at(x, y) {
    const { ops, view } = this.stage;
    if (x < GUTTER || y > this.plotHeight) return null;
    const near = (6 / this.plot) * view.length;
    const until = ops.firstFrom(this.time(x) + near);
    let best = null;
    let least = 64;
    for (let i = ops.firstFrom(this.time(x) - near); i < until; i++) {
      if (!ops.shown[i] || ops.took[i] === NONE) continue;
      const distance = (this.x(ops.start[i]) - x) ** 2 + (this.y(ops.took[i]) - y) ** 2;
      if (distance < least) [best, least] = [i, distance];
    }
    return best === null ? null : { operation: best, lines: this.stage.told(best) };
  }
}
