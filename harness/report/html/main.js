/* The stage: all tracks on one span of time, and what the pointer, the wheel and the keys do to it. */

class Stage {
  constructor(run) {
    this.ops = new Operations(run);
    this.theme = readTheme();
    this.view = new View(this.ops.span);
    this.faults = run.faults.map((fault) => ({
      ...fault, from: fault.from_s * 1e9, to: (fault.to_s ?? (fault.applied ? run.span_s : fault.from_s)) * 1e9,
    }));
    this.shades = shadesOf(this.faults);
    this.chosen = null;
    this.pointedFault = null;
    this.drag = null;
    this.lanes = new Lanes(this);
    const seen = byNode(run);
    this.tracks = [new Overview(this), ...(this.faults.length ? [new Faults(this)] : []), this.lanes, new Rate(this), new Latency(this)];
    if ([...seen.values()].flat().some((each) => each.clock_ms !== undefined)) this.tracks.push(new Clocks(this, seen));
    if (seen.size) this.tracks.push(new Members(this, seen));
    for (const track of this.tracks) {
      byId("tracks").append(track.element);
      this.bind(track);
    }
    if (!seen.size) element("p", "Clocks and membership were not recorded in this run.", byId("tracks"), "faint");
    this.view.changed = () => {
      this.redraw();
      this.tools.span();
    };
  }

  /* All tracks at once, also those that are out of sight, and in the colours of paper. */
  print() {
    document.documentElement.classList.add("light");
    this.theme = readTheme();
    for (const track of this.tracks) {
      track.resize();
      track.draw();
    }
  }

  recolour() {
    this.theme = readTheme();
    this.redraw();
  }

  redraw() {
    for (const track of this.tracks) track.stale = true;
    this.drawSoon();
  }

  /* Draw what is stale and in sight. */
  drawSoon() {
    this.asked ??= requestAnimationFrame(() => {
      this.asked = null;
      for (const track of this.tracks) track.resize();
      for (const track of this.tracks) if (track.stale && track.visible) track.draw();
    });
  }

  regroup(kind) {
    this.lanes.group(kind);
    this.redraw();
  }

  /* An operation in a few lines. */
  told(i) {
    const { ops } = this;
    const key = ops.keyText(i) === null ? "" : ` on ${ops.keyText(i)}`;
    const took = ops.took[i] === NONE ? "never ended" : `took ${duration(ops.took[i])}`;
    const lines = [`${ops.label(i)}${key}`, `process ${ops.process(i)}: ${ops.outcomeText(i)}, at ${seconds(ops.start[i], 1e5)} s, ${took}`];
    return ops.errorText(i) === null ? lines : [...lines, ops.errorText(i)];
  }

  choose(i, reveal = false) {
    this.chosen = i;
    if (reveal && i !== null && (this.ops.start[i] < this.view.from || this.ops.end[i] > this.view.to)) {
      const middle = (this.ops.start[i] + this.ops.end[i]) / 2;
      this.view.set(middle - this.view.length / 2, middle + this.view.length / 2);
    }
    this.tools.details();
    this.tools.listSoon();
    this.redraw();
  }

  /* Zoom so that these operations are seen, with something around them. */
  show(numbers) {
    const from = Math.min(...numbers.map((i) => this.ops.start[i]));
    const to = Math.max(...numbers.map((i) => this.ops.end[i]));
    const around = Math.max((to - from) * 0.3, 2e5);
    this.view.set(from - around, to + around);
  }

  showFault(fault) {
    const around = Math.max((fault.to - fault.from) * 0.15, 1e7);
    this.view.set(fault.from - around, fault.to + around);
  }

  tip(found, event) {
    const tip = byId("tip");
    tip.hidden = !found;
    if (!found) return;
    tip.replaceChildren();
    for (const line of found.lines) if (line) element("div", line, tip);
    const box = tip.getBoundingClientRect();
    const left = event.clientX + 14 + box.width > window.innerWidth ? event.clientX - 14 - box.width : event.clientX + 14;
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${Math.max(4, Math.min(window.innerHeight - box.height - 4, event.clientY + 14))}px`;
  }

  bind(track) {
    const { canvas } = track;
    const fingers = new Map();
    const whole = track instanceof Overview;
    const place = (event) => {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, place(event));
      track.moved = false;
      this.tip(null);
    });
    canvas.addEventListener("pointermove", (event) => {
      const [x, y] = place(event);
      if (!fingers.has(event.pointerId)) return this.point(track, x, y, event);
      const [lastX] = fingers.get(event.pointerId);
      if (!track.moved && Math.abs(x - lastX) < 4) return undefined;
      if (whole) this.slide(track, x, lastX);
      else if (event.pointerType === "touch") this.touch(track, fingers, event.pointerId, x);
      else {
        this.drag ??= { from: track.time(lastX) };
        this.drag.to = Math.max(this.view.from, Math.min(this.view.to, track.time(x)));
        this.redraw();
      }
      track.moved = true;
      if (whole || event.pointerType === "touch") fingers.set(event.pointerId, [x, y]);
      return undefined;
    });
    const released = (event) => {
      if (!fingers.delete(event.pointerId)) return;
      const { drag } = this;
      this.drag = null;
      if (drag && event.type === "pointerup") {
        const [from, to] = [Math.min(drag.from, drag.to), Math.max(drag.from, drag.to)];
        this.view.set(Math.max(from, this.view.from), to);
      } else if (!track.moved && event.type === "pointerup") this.click(track, ...place(event));
      this.redraw();
    };
    canvas.addEventListener("pointerup", released);
    canvas.addEventListener("pointercancel", released);
    canvas.addEventListener("pointerleave", () => this.point(track, -1, -1));
    canvas.addEventListener("dblclick", () => this.view.all());
    canvas.addEventListener("wheel", (event) => this.wheel(track, event, place(event)[0]), { passive: false });
    canvas.addEventListener("keydown", (event) => this.pressed(event));
  }

  point(track, x, y, event) {
    const found = x < 0 ? null : track.at(x, y);
    const fault = found?.fault ?? null;
    if (fault !== this.pointedFault) {
      this.pointedFault = fault;
      this.redraw();
    }
    track.canvas.style.cursor = found && (found.operation !== undefined || fault) ? "pointer" : "";
    this.tip(found, event);
  }

  click(track, x, y) {
    track.canvas.focus({ preventScroll: true });
    if (track instanceof Overview) {
      const middle = track.time(x);
      this.view.set(middle - this.view.length / 2, middle + this.view.length / 2);
      return;
    }
    const found = track.at(x, y);
    if (found?.fault) this.showFault(found.fault);
    else if (found?.operation !== undefined) this.choose(found.operation);
  }

  slide(track, x, lastX) { this.view.move(track.time(x) - track.time(lastX)); }

  /* One finger moves the span, two spread it. */
  touch(track, fingers, id, x) {
    const [lastX] = fingers.get(id);
    const other = [...fingers].find(([each]) => each !== id);
    if (!other) {
      this.view.move(track.time(lastX) - track.time(x));
      return;
    }
    const [, [otherX]] = other;
    const [before, after] = [Math.abs(lastX - otherX), Math.abs(x - otherX)];
    if (before > 8 && after > 8) this.view.zoom(before / after, track.time((x + otherX) / 2));
  }

  /* The wheel scrolls the page until somebody has clicked here, as it does everywhere else. */
  wheel(track, event, x) {
    const sideways = event.shiftKey ? event.deltaY : event.deltaX;
    const unit = event.deltaMode === 1 ? 16 : 1;
    if (Math.abs(sideways) > Math.abs(event.shiftKey ? 0 : event.deltaY)) {
      event.preventDefault();
      this.view.move((sideways * unit * this.view.length) / track.plot);
    } else if (event.ctrlKey || event.metaKey || document.activeElement === track.canvas) {
      event.preventDefault();
      this.view.zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY * unit)) * 0.004), Math.max(this.view.from, Math.min(this.view.to, track.time(x))));
    }
  }

  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { view } = this;
    const acts = {
      "+": () => view.zoom(0.5), "=": () => view.zoom(0.5), "-": () => view.zoom(2), 0: () => view.all(), Home: () => view.all(),
      ArrowLeft: () => view.move(-view.length * 0.2), ArrowRight: () => view.move(view.length * 0.2),
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  }
}

function bindPage(stage) {
  for (const button of document.querySelectorAll("[data-fault]")) {
    button.addEventListener("click", () => {
      stage.showFault(stage.faults[Number(button.dataset.fault)]);
      byId("time").scrollIntoView();
    });
  }
  const numbers = new Map([...stage.ops.event].map((event, i) => [event, i]));
  for (const button of document.querySelectorAll("[data-events]")) {
    const named = button.dataset.events.split(",").map((event) => numbers.get(Number(event))).filter((i) => i !== undefined);
    button.hidden = !named.length;
    button.addEventListener("click", () => {
      stage.show(named);
      stage.choose(named[named.length - 1]);
      byId("time").scrollIntoView();
    });
  }
  for (const button of document.querySelectorAll(".copy")) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.previousElementSibling.textContent);
      button.textContent = "copied";
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    stage.choose(null);
    stage.tip(null);
    document.activeElement.blur();
  });
  for (const kind of ["resize", "scroll"]) window.addEventListener(kind, () => stage.drawSoon(), { passive: true });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => stage.recolour());
  window.addEventListener("beforeprint", () => stage.print());
  window.addEventListener("afterprint", () => {
    document.documentElement.classList.remove("light");
    stage.recolour();
  });
}

async function begin() {
  const run = await unpacked();
  for (const id of ["tools", "tracks", "hint", "below"]) byId(id).hidden = false;
  const stage = new Stage(run);
  stage.tools = new Tools(stage);
  bindPage(stage);
  stage.view.changed();
  document.documentElement.dataset.drawn = "yes";
}

begin().catch((error) => {
  byId("trouble").textContent = `The timeline could not be drawn in this browser: ${error.message}`;
  byId("trouble").hidden = false;
  throw error;
});
