/* The run at a glance, and what is not an operation: faults, clocks, and whom each node holds for alive. */

const STRIP = 18;
const MEMBERS_DRAWN_MAX = 12;

/* Heights are by the square root, so that a burst does not hide the rest. */
class Overview extends Track {
  constructor(stage) {
    super(stage, "The whole run", 46, "Drag to move the span that is shown below.");
    this.element.classList.add("overview");
  }

  get plotHeight() { return this.height; }
  x(time) { return GUTTER + (time / this.stage.view.span) * this.plot; }
  time(x) { return ((x - GUTTER) / this.plot) * this.stage.view.span; }

  /* Completions for each pixel, counted once for each filter. */
  counts() {
    const { ops, view } = this.stage;
    const columns = Math.ceil(this.plot / 2);
    if (this.countedFor !== `${ops.version} ${columns}`) {
      this.countedFor = `${ops.version} ${columns}`;
      this.counted = OUTCOME_NAMES.map(() => new Float64Array(columns + 1));
      for (let i = 0; i < ops.n; i++) {
        if (ops.took[i] !== NONE && ops.shown[i]) this.counted[ops.outcome[i]][Math.floor((ops.end[i] / view.span) * columns)]++;
      }
    }
    return this.counted;
  }

  paint(p) {
    const { view, theme } = this.stage;
    const found = this.counts();
    let most = 1;
    for (let c = 0; c < found[0].length; c++) most = Math.max(most, found[0][c] + found[1][c] + found[2][c]);
    this.shades(p, this.height);
    for (let c = 0; c < found[0].length; c++) {
      const all = found[0][c] + found[1][c] + found[2][c];
      const each = all ? (Math.sqrt(all / most) * (this.height - 4)) / all : 0;
      let y = this.height;
      for (let o = 0; o < found.length; o++) {
        const tall = found[o][c] * each;
        p.fillStyle = theme[OUTCOME_NAMES[o]];
        p.fillRect(GUTTER + c * 2, y - tall, 2, tall);
        y -= tall;
      }
    }
    const left = this.x(view.from);
    const right = this.x(view.to);
    p.fillStyle = theme.ground;
    p.globalAlpha = 0.6;
    p.fillRect(GUTTER, 0, left - GUTTER, this.height);
    p.fillRect(right, 0, GUTTER + this.plot - right, this.height);
    p.globalAlpha = 1;
    p.strokeStyle = theme.ink;
    p.lineWidth = 1.5;
    p.strokeRect(left, 0.75, Math.max(2, right - left), this.height - 1.5);
    p.lineWidth = 1;
    p.fillStyle = theme.faint;
    p.textAlign = "right";
    p.fillText(duration(view.span), GUTTER - 8, this.height / 2);
  }
}

class Faults extends Track {
  constructor(stage) {
    const rows = rowsOf(stage.faults);
    super(stage, "Faults", rows.length * STRIP + AXIS, "They are all in the fault ledger below.");
    this.rows = rows;
    this.key("", "bit", "var(--shade)");
    this.key("hatched", "not seen to bite", "var(--ground)");
  }

  paint(p) {
    const { theme } = this.stage;
    this.ground(p);
    p.fillStyle = theme.ink;
    p.textAlign = "right";
    this.rows.forEach(([{ fault }], row) => {
      const named = row > 0 && this.rows[row - 1][0].fault === fault;
      if (!named) p.fillText(clipped(p, fault, GUTTER - 16), GUTTER - 8, (row + 0.5) * STRIP);
    });
    p.textAlign = "left";
    this.inside(p, () => this.rows.forEach((row, number) => {
      for (const fault of row) this.bar(p, fault, number * STRIP + 2);
    }));
    this.selection(p);
  }

  bar(p, fault, top) {
    const { theme, view } = this.stage;
    if (fault.to < view.from || fault.from > view.to) return;
    const left = Math.max(GUTTER - 4, this.x(fault.from));
    const width = Math.max(3, Math.min(this.width, this.x(fault.to)) - left);
    p.fillStyle = p.strokeStyle = theme.shade;
    if (fault.observed) p.fillRect(left, top, width, STRIP - 4);
    else {
      p.setLineDash([3, 3]);
      p.strokeRect(left + 0.5, top + 0.5, width - 1, STRIP - 5);
      p.setLineDash([]);
    }
    p.fillStyle = fault.observed ? theme.ground : theme.ink;
    const begin = Math.max(GUTTER, left) + 4;
    const room = left + width - begin - 4;
    if (room > 30) p.fillText(clipped(p, fault.what || fault.f, room), begin, top + STRIP / 2 - 1.5);
  }

  at(x, y) {
    const near = (3 / this.plot) * this.stage.view.length;
    const time = this.time(x);
    const row = this.rows[Math.floor(y / STRIP)] ?? [];
    const fault = row.find((each) => each.from <= time + near && each.to >= time - near);
    if (x < GUTTER || !fault) return null;
    const bit = !fault.applied ? "could not be applied" : fault.observed ? "bit" : fault.observed === null ? "not known whether it bit" : "was not seen to bite";
    const until = fault.to_s === null ? "never healed" : `healed at ${fault.to_s.toFixed(3)} s`;
    return { fault, lines: [`${fault.fault}: ${fault.what}`, `from ${fault.from_s.toFixed(3)} s, ${until}; ${bit}`, fault.evidence] };
  }
}

/* Faults of one name beside each other, but those that were there at the same time below each other. */
function rowsOf(faults) {
  const rows = new Map();
  for (const fault of faults) {
    if (!rows.has(fault.fault)) rows.set(fault.fault, []);
    const own = rows.get(fault.fault);
    const free = own.find((row) => row[row.length - 1].to <= fault.from);
    if (free) free.push(fault);
    else own.push([fault]);
  }
  return [...rows.values()].flat();
}

/* What each node told, by node and in order; `until` is when it told the next time. */
function byNode(run) {
  const told = new Set(run.sightings.map((seen) => seen.node));
  const nodes = [...run.nodes.filter((node) => told.has(node)), ...told];
  const found = new Map(nodes.map((node) => [node, []]));
  for (const seen of run.sightings) {
    const own = found.get(seen.node);
    if (own.length) own[own.length - 1].until = seen.time_s * 1e9;
    own.push({ ...seen, at: seen.time_s * 1e9, until: run.span_s * 1e9 });
  }
  return found;
}

function sightingAt(own, time) {
  return own.findLast((seen) => seen.at <= time) ?? null;
}

class Clocks extends Track {
  constructor(stage, seen) {
    super(stage, "Clocks", 150, "How far each node's clock was ahead, as it told itself.");
    this.seen = [...seen].filter(([, own]) => own.some((each) => each.clock_ms !== undefined));
    let most = 1;
    for (const [, own] of this.seen) for (const each of own) most = Math.max(most, Math.abs(each.clock_ms ?? 0));
    this.most = Math.log10(1 + most) * 1.05;
    this.seen.forEach(([node], number) => this.key("line", node, `var(--s${number % SERIES})`));
  }

  y(ms) { return (this.plotHeight / 2) * (1 - (Math.sign(ms) * Math.log10(1 + Math.abs(ms))) / this.most); }

  paint(p) {
    const { theme } = this.stage;
    this.ground(p);
    p.textAlign = "right";
    p.fillStyle = theme.faint;
    const powers = [];
    for (let power = 0; Math.log10(1 + 10 ** power) < this.most; power += this.most > 4 ? 2 : 1) if (this.y(0) - this.y(10 ** power) > 14) powers.push(10 ** power);
    for (const ms of [0, ...powers, ...powers.map((each) => -each)]) {
      const y = Math.max(8, Math.min(this.plotHeight - 8, this.y(ms)));
      p.fillText(ms === 0 ? "0" : `${ms > 0 ? "+" : "−"}${duration(Math.abs(ms) * 1e6)}`, GUTTER - 8, y);
    }
    this.inside(p, () => this.seen.forEach(([, own], number) => {
      p.strokeStyle = theme.series[number % SERIES];
      p.lineWidth = 2;
      p.setLineDash(number >= SERIES ? [4, 3] : []);
      p.beginPath();
      let drawing = false;
      for (const each of own) {
        if (each.clock_ms !== undefined) {
          const [x, y] = [this.x(each.at), this.y(each.clock_ms)];
          if (drawing) p.lineTo(x, y);
          else p.moveTo(x, y);
          p.lineTo(this.x(each.until), y);
        }
        drawing = each.clock_ms !== undefined;
      }
      p.stroke();
    }));
    p.setLineDash([]);
    p.lineWidth = 1;
    this.selection(p);
  }

  at(x) {
    if (x < GUTTER) return null;
    const time = this.time(x);
    const lines = this.seen.map(([node, own]) => {
      const seen = sightingAt(own, time);
      if (seen === null || seen.clock_ms === undefined) return `${node}: ${seen ? seen.state : "not asked yet"}`;
      const within = seen.within_ms ? ` ± ${seen.within_ms.toPrecision(2)}` : "";
      return `${node}: ${seen.clock_ms >= 0 ? "+" : "−"}${Math.abs(seen.clock_ms).toLocaleString("en", { maximumFractionDigits: 1 })}${within} ms`;
    });
    return { lines: [`at ${seconds(time)} s`, ...lines] };
  }
}

class Members extends Track {
  constructor(stage, seen) {
    const names = [...new Set([...seen.keys(), ...[...seen.values()].flat().flatMap((each) => Object.keys(each.members ?? {}))])];
    const drawn = names.length <= MEMBERS_DRAWN_MAX;
    const tall = drawn ? 10 + names.length * 5 + 5 : 20;
    super(stage, "Membership", seen.size * tall + AXIS, "What each node told of itself and of the others.");
    if (drawn) this.legend.append(`for each node itself, and below whom it held for what: ${names.join(" ")}`);
    this.names = names;
    this.drawn = drawn;
    this.tall = tall;
    this.seen = [...seen];
    for (const kind of ["alive", "suspect", "dead", "away"]) {
      this.key("", { away: "itself down, paused or silent" }[kind] ?? kind, `var(--${kind})`);
    }
  }

  held(state) {
    const { theme } = this.stage;
    return { alive: theme.alive, suspect: theme.suspect, dead: theme.dead }[state] ?? theme.ghost;
  }

  paint(p) {
    const { theme, view } = this.stage;
    this.ground(p);
    this.seen.forEach(([node, own], row) => {
      const top = row * this.tall;
      p.fillStyle = theme.ink;
      p.textAlign = "right";
      p.fillText(clipped(p, `${node} sees`, GUTTER - 16), GUTTER - 8, top + this.tall / 2);
      for (const each of own) {
        if (each.until < view.from || each.at > view.to) continue;
        const left = Math.max(GUTTER, this.x(each.at));
        const width = Math.min(GUTTER + this.plot, this.x(each.until)) - left + 0.5;
        p.fillStyle = each.state === "up" ? theme.alive : theme.away;
        p.fillRect(left, top + 2, width, 7);
        this.others(p, each, left, top + 10, width);
      }
    });
    this.selection(p);
  }

  others(p, seen, left, top, width) {
    const members = seen.members ?? {};
    if (this.drawn) {
      this.names.forEach((name, number) => {
        if (members[name] === undefined) return;
        p.fillStyle = this.held(members[name]);
        p.fillRect(left, top + number * 5, width, 4);
      });
      return;
    }
    const all = Object.values(members);
    const missing = all.filter((state) => state !== "alive").length;
    p.fillStyle = this.stage.theme.dead;
    p.fillRect(left, top, width, all.length ? (8 * missing) / all.length : 0);
  }

  at(x, y) {
    if (x < GUTTER || y >= this.plotHeight) return null;
    const [node, own] = this.seen[Math.min(this.seen.length - 1, Math.floor(y / this.tall))];
    const seen = sightingAt(own, this.time(x));
    if (seen === null) return null;
    const groups = new Map();
    for (const [name, state] of Object.entries(seen.members ?? {})) groups.set(state, [...(groups.get(state) ?? []), name]);
    const held = [...groups].map(([state, names]) => `${state}: ${names.join(" ")}`);
    const epoch = seen.epoch === undefined ? [] : [`layout ${seen.epoch}`];
    return { lines: [`${node} at ${seen.time_s.toFixed(3)} s: ${seen.state}`, ...held, ...epoch] };
  }
}
