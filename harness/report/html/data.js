/* The columns of the page, unpacked: everything that is drawn, and nothing that is drawn with. */

const NONE = -1;

async function unpacked() {
  const packed = atob(document.getElementById("data").textContent);
  const bytes = new Uint8Array(packed.length);
  for (let i = 0; i < packed.length; i++) bytes[i] = packed.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).json();
}

class Operations {
  constructor(run) {
    const ops = run.ops;
    const n = ops.start.length;
    this.n = n;
    this.run = run;
    this.start = new Float64Array(n);
    this.end = new Float64Array(n);
    this.took = Float64Array.from(ops.took);
    this.processNumber = Int32Array.from(ops.process);
    this.f = Int32Array.from(ops.f);
    this.outcome = Uint8Array.from(ops.outcome);
    this.key = Int32Array.from(ops.key);
    this.asked = Int32Array.from(ops.asked);
    this.answered = Int32Array.from(ops.answered);
    this.error = Int32Array.from(ops.error);
    this.event = Int32Array.from(ops.event);
    this.marked = new Set(ops.marked);
    this.tables = ops;
    this.span = run.span_s * 1e9;
    let at = 0;
    let longest = 0;
    for (let i = 0; i < n; i++) {
      at += ops.start[i];
      this.start[i] = at;
      this.end[i] = ops.took[i] === NONE ? this.span : at + ops.took[i];
      longest = Math.max(longest, this.end[i] - at);
    }
    this.longest = longest;
    this.client = Int32Array.from(this.processNumber, (p) => {
      const name = ops.processes[p];
      return /^\d+$/.test(name) ? Number(name) % run.concurrency : NONE;
    });
    this.node = Int32Array.from(this.client, (c) => (c === NONE || !run.nodes.length ? NONE : c % run.nodes.length));
    this.shown = new Uint8Array(n).fill(1);
    this.version = 0;
  }

  /* The first operation that begins at `time` or later. */
  firstFrom(time) {
    let low = 0;
    let high = this.n;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.start[middle] < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  process(i) { return this.tables.processes[this.processNumber[i]]; }
  name(i) { return this.tables.fs[this.f[i]]; }
  keyText(i) { return this.key[i] === NONE ? null : this.tables.keys[this.key[i]]; }
  askedText(i) { return this.asked[i] === NONE ? null : this.tables.values[this.asked[i]]; }
  answeredText(i) { return this.answered[i] === NONE ? null : this.tables.values[this.answered[i]]; }
  errorText(i) { return this.error[i] === NONE ? null : this.tables.errors[this.error[i]]; }
  outcomeText(i) { return this.run.outcomes[this.outcome[i]]; }
  nodeText(i) { return this.node[i] === NONE ? null : this.run.nodes[this.node[i]]; }

  /* `write 3`, `read = 3`: what was asked, and what was answered if that is something else. */
  label(i) {
    const asked = this.askedText(i);
    const answered = this.answeredText(i);
    const begin = asked === null ? this.name(i) : `${this.name(i)} ${asked}`;
    return answered === null || answered === asked ? begin : `${begin} = ${answered}`;
  }

  /* Keep those that `wanted` = { text, process, f, node, outcomes: [bool] } asks for; how many they are. */
  filter(wanted) {
    const text = wanted.text.trim().toLowerCase();
    const holds = (texts) => Uint8Array.from(texts, (each) => (each.toLowerCase().includes(text) ? 1 : 0));
    const keys = text && holds(this.tables.keys);
    const values = text && holds(this.tables.values);
    const errors = text && holds(this.tables.errors);
    const processes = wanted.process.split(/[\s,]+/).filter(Boolean);
    const process = processes.length && Uint8Array.from(this.tables.processes, (p) => (processes.includes(p) ? 1 : 0));
    let count = 0;
    for (let i = 0; i < this.n; i++) {
      let keep = wanted.outcomes[this.outcome[i]]
        && (wanted.f === NONE || this.f[i] === wanted.f)
        && (wanted.node === NONE || this.node[i] === wanted.node)
        && (!process || process[this.processNumber[i]] === 1);
      if (keep && text) {
        keep = (this.key[i] !== NONE && keys[this.key[i]])
          || (this.asked[i] !== NONE && values[this.asked[i]])
          || (this.answered[i] !== NONE && values[this.answered[i]])
          || (this.error[i] !== NONE && errors[this.error[i]]);
      }
      this.shown[i] = keep ? 1 : 0;
      if (keep) count++;
    }
    this.version++;
    return count;
  }
}
