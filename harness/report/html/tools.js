/* Search, filter, the list of what is in the span, and the details of the operation that is chosen. */

const LISTED_MAX = 100;
const byId = (id) => document.getElementById(id);

function element(name, text, parent, kind) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = text;
  if (kind) made.className = kind;
  if (parent) parent.append(made);
  return made;
}

class Tools {
  constructor(stage) {
    this.stage = stage;
    const { ops } = stage;
    ops.tables.fs.forEach((name, number) => { element("option", name, byId("f")).value = number; });
    ops.run.nodes.forEach((name, number) => { element("option", name, byId("node")).value = number; });
    for (const kind of Object.keys(GROUPINGS)) element("option", kind, byId("lanes-by")).value = kind;
    this.outcomes = OUTCOME_NAMES.map((name) => {
      const label = element("label", null, document.querySelector(".outcomes"), `chip ${name}`);
      const box = element("input", null, label);
      box.type = "checkbox";
      box.checked = true;
      box.value = name;
      element("span", name, label);
      box.addEventListener("change", () => this.filter());
      return box;
    });
    for (const id of ["text", "process", "f", "node"]) byId(id).addEventListener("input", () => this.filterSoon());
    byId("lanes-by").addEventListener("change", (event) => stage.regroup(event.target.value));
    byId("in").addEventListener("click", () => stage.view.zoom(0.5));
    byId("out").addEventListener("click", () => stage.view.zoom(2));
    byId("all").addEventListener("click", () => stage.view.all());
    this.filter();
  }

  filterSoon() {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.filter(), 80);
  }

  filter() {
    const { ops } = this.stage;
    const number = (id) => (byId(id).value === "" ? NONE : Number(byId(id).value));
    const count = ops.filter({
      text: byId("text").value,
      process: byId("process").value,
      f: number("f"),
      node: number("node"),
      outcomes: this.outcomes.map((box) => box.checked),
    });
    byId("count").textContent = count === ops.n
      ? `${figure(ops.n)} operations`
      : `${figure(count)} of ${figure(ops.n)} operations`;
    this.stage.redraw();
    this.listSoon();
  }

  only(wanted) {
    for (const id of ["text", "process", "f", "node"]) byId(id).value = wanted[id] ?? "";
    for (const box of this.outcomes) box.checked = true;
    this.filter();
  }

  listSoon() {
    clearTimeout(this.listing);
    this.listing = setTimeout(() => this.list(), 120);
  }

  list() {
    const { ops, view } = this.stage;
    const body = byId("list").tBodies[0];
    body.replaceChildren();
    let listed = 0;
    let more = 0;
    const until = ops.firstFrom(view.to);
    for (let i = ops.firstFrom(view.from - ops.longest); i < until; i++) {
      if (!ops.shown[i] || ops.end[i] < view.from) continue;
      if (listed === LISTED_MAX) {
        more++;
        continue;
      }
      listed++;
      const row = element("tr", null, body, i === this.stage.chosen ? "chosen" : "");
      element("td", seconds(ops.start[i]), row);
      element("td", ops.process(i), row);
      const button = element("button", ops.label(i), element("td", null, row), "link");
      button.type = "button";
      button.addEventListener("click", () => this.stage.choose(i));
      element("td", ops.keyText(i) ?? "", row);
      element("td", ops.outcomeText(i), row, ops.outcomeText(i));
      element("td", ops.took[i] === NONE ? "never" : (ops.took[i] / 1e6).toFixed(3), row);
    }
    const all = figure(listed + more);
    byId("list-title").textContent = more ? `The first ${listed} of ${all} in this span` : `${all} in this span`;
  }

  span() {
    const { view } = this.stage;
    const step = view.length / 1000;
    byId("span").textContent = `${seconds(view.from, step)} to ${seconds(view.to, step)} s, ${duration(view.length)}`;
    this.listSoon();
  }

  details() {
    const { stage } = this;
    const { ops, chosen } = stage;
    const panel = byId("chosen");
    panel.replaceChildren();
    if (chosen === null) {
      element("p", "Click an operation for its details.", panel, "faint");
      return;
    }
    element("h3", ops.label(chosen), panel);
    if (ops.marked.has(chosen)) element("p", "It is part of a counterexample.", panel, "bad");
    const facts = element("dl", null, panel);
    const fact = (name, value) => {
      if (value === null || value === undefined) return;
      element("dt", name, facts);
      element("dd", value, facts);
    };
    const never = ops.took[chosen] === NONE;
    fact("process", ops.process(chosen));
    fact("node", ops.nodeText(chosen));
    fact("key", ops.keyText(chosen));
    fact("asked", ops.askedText(chosen));
    fact("answered", ops.answeredText(chosen));
    fact("outcome", { ok: "ok: it happened", fail: "fail: it certainly did not happen", info: "info: it may have happened, or happen yet" }[ops.outcomeText(chosen)]);
    fact("error", ops.errorText(chosen));
    fact("began", `${seconds(ops.start[chosen], 1e3)} s, event ${ops.event[chosen]}`);
    fact("ended", never ? "never" : `${seconds(ops.end[chosen], 1e3)} s, ${duration(ops.took[chosen])} later`);
    const during = stage.faults.filter((fault) => fault.from <= ops.end[chosen] && fault.to >= ops.start[chosen]);
    fact("faults then", during.map((fault) => `${fault.fault} (${fault.what})`).join("; ") || "none");
    this.ways(panel);
  }

  ways(panel) {
    const { stage } = this;
    const { ops, chosen } = stage;
    const row = element("p", null, panel, "buttons");
    const way = (text, act) => {
      const button = element("button", text, row);
      button.type = "button";
      button.addEventListener("click", act);
    };
    way("zoom to it", () => stage.show([chosen]));
    way("its process", () => this.only({ process: ops.process(chosen) }));
    if (ops.keyText(chosen) !== null) way("its key", () => this.only({ text: ops.keyText(chosen) }));
    const step = (by) => {
      for (let i = chosen + by; i >= 0 && i < ops.n; i += by) {
        if (ops.processNumber[i] === ops.processNumber[chosen]) return stage.choose(i, true);
      }
      return null;
    };
    way("← before", () => step(-1));
    way("next →", () => step(1));
  }
}
