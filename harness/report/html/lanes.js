/* The timeline: a lane for each client, process, node, key or kind of operation, and in it its operations.
   However many they are, a frame costs one pass over those in the span and one copy for each row of pixels. */

const LANES_HEIGHT_MAX = 460;
const LABEL_PIXELS_MIN = 32;
const GHOST = 1;
const WORST = { ok: 2, fail: 3, info: 4, marked: 5 };

const GROUPINGS = {
  client: (ops) => ({ of: ops.client, name: (n) => clientName(ops, n) }),
  process: (ops) => ({ of: ops.processNumber, name: (n) => ops.tables.processes[n] }),
  node: (ops) => ({ of: ops.node, name: (n) => ops.run.nodes[n] }),
  key: (ops) => ({ of: ops.key, name: (n) => ops.tables.keys[n] }),
  operation: (ops) => ({ of: ops.f, name: (n) => ops.tables.fs[n] }),
};

function clientName(ops, client) {
  const { nodes } = ops.run;
  return nodes.length ? `${client} → ${nodes[client % nodes.length]}` : `${client}`;
}

class Lanes extends Track {
  constructor(stage) {
    super(stage, "Operations", 120, "The same operations are in the list below.");
    this.element.classList.add("lanes");
    for (const name of ["ok", "fail", "info"]) this.key(name, name, `var(--${name})`);
    if (stage.ops.marked.size) this.key("", "in a counterexample", "var(--mark)");
    this.group("client");
  }

  group(kind) {
    const { ops } = this.stage;
    const { of, name } = GROUPINGS[kind](ops);
    const present = [...new Set(of)].sort((a, b) => (a === NONE) - (b === NONE) || a - b);
    const place = new Map(present.map((number, lane) => [number, lane]));
    this.lane = Int32Array.from(of, (number) => place.get(number));
    this.names = present.map((number) => (number === NONE ? "(none)" : name(number)));
    const room = Math.floor((LANES_HEIGHT_MAX - AXIS) / Math.max(1, present.length));
    this.laneHeight = Math.max(9, Math.min(24, room));
    this.whole = present.length * this.laneHeight;
    this.height = Math.min(LANES_HEIGHT_MAX, this.whole + AXIS);
    this.holder.style.height = `${this.height}px`;
    this.scrolls = this.whole + AXIS > this.height;
    this.holder.classList.toggle("scrolls", this.scrolls);
    if (!this.spacer) {
      this.spacer = document.createElement("div");
      this.holder.append(this.spacer);
      this.holder.addEventListener("scroll", () => {
        this.stale = true;
        this.stage.drawSoon();
      });
    }
    this.spacer.style.height = `${Math.max(0, this.whole + AXIS - this.height)}px`;
    this.holder.scrollTop = 0;
  }

  get offset() { return this.scrolls ? this.holder.scrollTop : 0; }

  paint(p) {
    const { theme } = this.stage;
    const first = Math.floor(this.offset / this.laneHeight);
    const last = Math.min(this.names.length, Math.ceil((this.offset + this.plotHeight) / this.laneHeight));
    p.fillStyle = theme.lane;
    for (let lane = first + (first % 2); lane < last; lane += 2) {
      p.fillRect(0, this.laneTop(lane), this.width, this.laneHeight);
    }
    p.save();
    p.beginPath();
    p.rect(0, 0, this.width, this.plotHeight);
    p.clip();
    p.fillStyle = theme.ink;
    p.textAlign = "right";
    for (let lane = first; lane < last; lane++) {
      p.fillText(clipped(p, this.names[lane], GUTTER - 16), GUTTER - 8, this.laneTop(lane) + this.laneHeight / 2);
    }
    p.restore();
    this.ground(p);
    this.pixels(p, (dots, width, height) => this.bars(dots, width, height, first, last), this.ratio, 1);
    this.inside(p, () => this.words(p, first, last));
    this.selection(p);
  }

  laneTop(lane) { return lane * this.laneHeight - this.offset; }

  bars(dots, width, height, first, last) {
    const { ops, view, theme } = this.stage;
    const { start, end, outcome, shown, marked } = ops;
    const { lane } = this;
    const rows = last - first;
    const rank = new Uint8Array(rows * width);
    const scale = width / view.length;
    const until = ops.firstFrom(view.to);
    for (let i = ops.firstFrom(view.from - ops.longest); i < until; i++) {
      const row = lane[i] - first;
      if (row < 0 || row >= rows || end[i] < view.from) continue;
      const left = Math.max(0, Math.floor((start[i] - view.from) * scale));
      let right = Math.min(width, Math.ceil((end[i] - view.from) * scale));
      if (right - left > 4) right -= 1;
      const own = shown[i] ? 2 + outcome[i] : GHOST;
      const base = row * width;
      if (rank[base + left] < own && left < width) rank[base + left] = own;
      for (let x = left + 1; x < right; x++) if (rank[base + x] < own) rank[base + x] = own;
    }
    for (const i of marked) {
      const row = lane[i] - first;
      if (row < 0 || row >= rows || end[i] < view.from || start[i] > view.to) continue;
      const left = Math.max(0, Math.floor((start[i] - view.from) * scale) - 1);
      const right = Math.min(width, Math.max(left + 3, Math.ceil((end[i] - view.from) * scale)));
      rank.fill(WORST.marked, row * width + left, row * width + right);
    }
    const inner = Uint32Array.of(0, pixel(theme.ghost), pixel(theme.ok), pixel(theme.fail), pixel(theme.info), pixel(theme.mark));
    const outer = inner.slice();
    outer[GHOST] = outer[WORST.fail] = 0;
    const middle = new Uint32Array(width);
    const edge = new Uint32Array(width);
    for (let row = 0; row < rows; row++) {
      for (let x = 0; x < width; x++) {
        const own = rank[row * width + x];
        middle[x] = inner[own];
        edge[x] = outer[own];
      }
      const top = Math.round(this.laneTop(first + row));
      const tall = this.laneHeight;
      const pad = Math.max(1, Math.round(tall * 0.12));
      const thin = Math.round(tall * 0.32);
      for (let y = Math.max(0, top + pad); y < Math.min(height, top + tall - pad); y++) {
        dots.set(y < top + thin || y >= top + tall - thin ? edge : middle, y * width);
      }
    }
  }

  /* The labels of bars that are wide enough, and a frame around the one that is chosen. */
  words(p, first, last) {
    const { ops, view, theme, chosen } = this.stage;
    if (chosen !== null && this.lane[chosen] >= first && this.lane[chosen] < last) {
      const left = this.x(ops.start[chosen]);
      p.strokeStyle = theme.ink;
      p.lineWidth = 2;
      p.strokeRect(left - 2, this.laneTop(this.lane[chosen]) + 1, Math.max(5, this.x(ops.end[chosen]) - left + 3), this.laneHeight - 2);
      p.lineWidth = 1;
    }
    if (this.laneHeight < 12) return;
    const shortest = (LABEL_PIXELS_MIN / this.plot) * view.length;
    const until = ops.firstFrom(view.to);
    p.textAlign = "left";
    p.font = "11px ui-monospace, Menlo, Consolas, monospace";
    for (let i = ops.firstFrom(view.from - ops.longest); i < until; i++) {
      if (ops.end[i] - ops.start[i] < shortest || ops.end[i] < view.from) continue;
      const lane = this.lane[i];
      if (lane < first || lane >= last || !ops.shown[i]) continue;
      const left = Math.max(GUTTER, this.x(ops.start[i]));
      const room = Math.min(GUTTER + this.plot, this.x(ops.end[i])) - left - 8;
      if (room < LABEL_PIXELS_MIN - 8) continue;
      p.fillStyle = ops.marked.has(i) ? theme.ground : theme[`on-${ops.outcomeText(i)}`];
      p.fillText(clipped(p, ops.label(i), room), left + 4, this.laneTop(lane) + this.laneHeight / 2 + 0.5);
    }
    p.font = "12px system-ui, sans-serif";
  }

  at(x, y) {
    const { ops } = this.stage;
    if (x < GUTTER || y > this.plotHeight) return null;
    const lane = Math.floor((y + this.offset) / this.laneHeight);
    const near = (2.5 / this.plot) * this.stage.view.length;
    const time = this.time(x);
    const until = ops.firstFrom(time + near);
    let best = null;
    let bestScore = Infinity;
    for (let i = ops.firstFrom(time - near - ops.longest); i < until; i++) {
      if (this.lane[i] !== lane || ops.end[i] < time - near || !ops.shown[i]) continue;
      const distance = Math.max(0, ops.start[i] - time, time - ops.end[i]) / near;
      const score = distance - ops.outcome[i] - (ops.marked.has(i) ? 9 : 0);
      if (score <= bestScore) [best, bestScore] = [i, score];
    }
    return best === null ? null : { operation: best, lines: this.stage.told(best) };
  }
}

/* As much of a text as has room. */
function clipped(p, text, room) {
  if (p.measureText(text).width <= room) return text;
  let length = Math.min(text.length, Math.max(1, Math.floor(room / 6)));
  while (length > 1 && p.measureText(`${text.slice(0, length)}…`).width > room) length--;
  return `${text.slice(0, length)}…`;
}
