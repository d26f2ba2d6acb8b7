"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const chart = document.querySelector("svg.lanes");
  const path = document.getElementById("path");
  const badges = document.getElementById("badges");
  const links = [...chart.querySelectorAll("a")];
  const overview = document.getElementById("overview");
  const sectionOf = (link) => document.querySelector(link.getAttribute("href"));
  const start = overview ?? sectionOf(links[+chart.dataset.first]);
  let pinned = start;
  document.body.classList.add("js");

  const make = (name, attributes, parent) => {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    parent.append(element);
    return element;
  };

  /* An order's points are "operation,x,y" each; those after data-reached are where it got stuck. */
  const draw = (order) => {
    for (const each of document.querySelectorAll(".order.drawn")) each.classList.remove("drawn");
    path.replaceChildren();
    badges.replaceChildren();
    chart.classList.toggle("ordered", order !== null);
    if (order === null) return;
    order.classList.add("drawn");
    const points = order.dataset.points.split(" ").filter(Boolean).map((each) => each.split(","));
    const reached = +order.dataset.reached;
    const placed = new Set(points.map(([number]) => +number));
    links.forEach((link, number) => link.classList.toggle("aside", !placed.has(number)));
    make("polyline", { class: "path", points: points.slice(0, reached).map(([, x, y]) => `${x},${y}`).join(" ") }, path);
    points.forEach(([, x, y], place) => {
      const stuck = place >= reached;
      const badge = make("g", { class: stuck ? "badge stuck" : "badge", transform: `translate(${x} ${y})` }, badges);
      make("circle", { r: 10 }, badge);
      if (stuck) make("path", { d: "M-3.5 -3.5L3.5 3.5M3.5 -3.5L-3.5 3.5" }, badge);
      else make("text", { y: 3.8, class: place >= 99 ? "small" : "" }, badge).textContent = place + 1;
    });
  };

  const show = (section) => {
    if (section === null || section.classList.contains("shown")) return;
    for (const each of document.querySelectorAll("section.shown")) each.classList.remove("shown");
    section.classList.add("shown");
    for (const link of links) link.classList.toggle("chosen", sectionOf(link) === section);
    draw(section.querySelector(".order"));
  };

  links.forEach((link, number) => {
    link.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && show(sectionOf(link)));
    link.addEventListener("pointerleave", () => show(pinned));
    link.addEventListener("focus", () => show(sectionOf(link)));
    link.addEventListener("click", (event) => {
      event.preventDefault();
      pinned = sectionOf(link);
      show(pinned);
      if (event.detail === 0) pinned.focus();
      else pinned.scrollIntoView({ block: "nearest" });
    });
    link.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      links[number + step]?.focus();
    });
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    pinned = start;
    show(pinned);
  });
  for (const order of document.querySelectorAll(".order")) {
    order.tabIndex = 0;
    for (const kind of ["pointerenter", "focus", "click"]) order.addEventListener(kind, () => draw(order));
  }
  const asked = location.hash ? document.getElementById(location.hash.slice(1)) : null;
  if (asked?.matches("section")) pinned = asked;
  show(pinned);
  const accused = chart.querySelector(".accused .hit");
  if (accused) {
    const scroll = chart.parentElement;
    const box = accused.getBoundingClientRect();
    const view = scroll.getBoundingClientRect();
    const names = scroll.firstElementChild.getBoundingClientRect();
    scroll.scrollLeft = Math.max(0, Math.min(box.right - view.right + 12, box.left - names.right - 12));
    scroll.scrollTop = Math.max(0, box.bottom - view.bottom + 60);
  }
})();
