"use strict";

const LEAST = 0.003, MOST = 3, READABLE = 0.75, EDGE = 60;

for (const figure of document.querySelectorAll(".dag")) {
  if (figure.querySelector("svg")) showDag(figure);
}

// Makes the drawing of a DAG one that readers can move and walk through, once it is visible.
function showDag(figure) {
  const svg = figure.querySelector(".canvas"), scene = svg.querySelector(".scene");
  const panel = figure.querySelector(".panel"), scrub = figure.querySelector(".scrub");
  const facts = JSON.parse(figure.querySelector("script").textContent);
  const cards = [...svg.querySelectorAll(".node")];
  const size = { width: Number(svg.dataset.width), height: Number(svg.dataset.height) };
  const centres = cards.map((card) => card.transform.baseVal.consolidate().matrix);
  const view = { x: 0, y: 0, scale: 1 };
  let chosen = 0;

  const room = () => ({ width: svg.clientWidth, height: svg.clientHeight });

  // Moves the scene, but never out of sight. Tells whether anything moved.
  function place(x, y, scale = view.scale) {
    const { width, height } = room(), before = { ...view };
    view.scale = Math.min(MOST, Math.max(LEAST, scale));
    view.x = Math.min(width - EDGE, Math.max(EDGE - size.width * view.scale, x));
    view.y = Math.min(height - EDGE, Math.max(EDGE - size.height * view.scale, y));
    scene.setAttribute("transform", `translate(${view.x} ${view.y}) scale(${view.scale})`);
    svg.classList.toggle("far", view.scale < 0.4);
    return view.x !== before.x || view.y !== before.y || view.scale !== before.scale;
  }

  // Zooms and keeps the point (x, y) of the window where it is.
  function zoom(factor, x = room().width / 2, y = room().height / 2) {
    const scale = Math.min(MOST, Math.max(LEAST, view.scale * factor)), ratio = scale / view.scale;
    place(x - (x - view.x) * ratio, y - (y - view.y) * ratio, scale);
  }

  function fit(least = 0) {
    const { width, height } = room();
    const scale = Math.max(least, Math.min(1, width / size.width, height / size.height));
    if (scale * size.width <= width && scale * size.height <= height) {
      place((width - scale * size.width) / 2, (height - scale * size.height) / 2, scale);
    } else {
      centre(chosen, scale);
      if (chosen === 0) place(view.x, 0);
    }
  }

  function centre(node, scale = view.scale) {
    const { width, height } = room();
    place(width / 2 - centres[node].e * scale, height / 2 - centres[node].f * scale, scale);
  }

  function reveal(node) {
    const { width, height } = room(), side = 110 * view.scale, half = 40 * view.scale;
    const x = view.x + centres[node].e * view.scale, y = view.y + centres[node].f * view.scale;
    if (x < side || x > width - side || y < half || y > height - half) centre(node);
  }

  function choose(node, focus = false) {
    cards[chosen].setAttribute("aria-selected", "false");
    cards[chosen].tabIndex = -1;
    chosen = node;
    cards[node].setAttribute("aria-selected", "true");
    cards[node].tabIndex = 0;
    scrub.value = node;
    if (focus) cards[node].focus({ preventScroll: true });
    describe(facts[node]);
  }

  function add(parent, tag, text = "", kind = "") {
    const element = parent.appendChild(document.createElement(tag));
    element.textContent = text;
    if (kind) element.className = kind;
    return element;
  }

  function describe(fact) {
    panel.replaceChildren();
    panel.scrollTop = 0;
    add(panel, "h3", `${chosen} · ${fact.kind}`);
    add(panel, "p", fact.on ? "On the dominant path" : "Leads nowhere: off the dominant path");
    for (const [label, nodes] of [["Attached to", fact.parents], ["Followed by", fact.children]]) {
      if (!nodes.length) continue;
      const line = add(panel, "p", `${label} `);
      for (const node of nodes) {
        add(line, "button", String(node)).addEventListener("click", () => { choose(node, true); reveal(node); });
      }
    }
    if (fact.error) add(panel, "p", `Not annotated, taken as a continuation: ${fact.error}`, "error");
    if (fact.why) add(panel, "p", fact.why, "why");
    const text = add(panel, "pre");
    text.dir = "auto";
    text.innerHTML = fact.html; // escaped when the page was written
  }

  svg.addEventListener("click", (event) => {
    const card = event.target.closest(".node");
    if (card && !dragged) choose(Number(card.dataset.node), true);
  });

  svg.addEventListener("dblclick", (event) => {
    const box = svg.getBoundingClientRect();
    if (view.scale < 1) zoom(1 / view.scale, event.clientX - box.x, event.clientY - box.y);
  });

  const pointers = new Map();
  let dragged = false;
  svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    if (!pointers.size) dragged = false;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY, startX: event.clientX, startY: event.clientY });
  });
  svg.addEventListener("pointermove", (event) => {
    const last = pointers.get(event.pointerId);
    if (!last) return;
    const { clientX: x, clientY: y } = event;
    if (pointers.size === 2) {
      const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
      const box = svg.getBoundingClientRect();
      const ratio = Math.hypot(x - other.x, y - other.y) / (Math.hypot(last.x - other.x, last.y - other.y) || 1);
      zoom(ratio, (x + other.x) / 2 - box.x, (y + other.y) / 2 - box.y);
      dragged = true;
    } else if (dragged || Math.hypot(x - last.startX, y - last.startY) > 4) {
      if (!dragged) svg.setPointerCapture(event.pointerId); // only now: a captured pointer would take clicks from cards
      dragged = true;
      svg.classList.add("moving");
      place(view.x + x - last.x, view.y + y - last.y);
    } else {
      return;
    }
    last.x = x;
    last.y = y;
  });
  for (const end of ["pointerup", "pointercancel", "pointerleave"]) {
    svg.addEventListener(end, (event) => {
      if (end === "pointerleave" && svg.hasPointerCapture(event.pointerId)) return;
      pointers.delete(event.pointerId);
      svg.classList.remove("moving");
    });
  }
  svg.addEventListener("wheel", (event) => {
    const box = svg.getBoundingClientRect(), unit = event.deltaMode ? 16 : 1;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      zoom(Math.exp(-event.deltaY * unit * 0.0025), event.clientX - box.x, event.clientY - box.y);
    } else {
      const [dx, dy] = event.shiftKey ? [event.deltaX + event.deltaY, 0] : [event.deltaX, event.deltaY];
      // At the end of the drawing the page scrolls on.
      if (place(view.x - dx * unit, view.y - dy * unit)) event.preventDefault();
    }
  }, { passive: false });

  svg.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const fact = facts[chosen], last = facts.length - 1;
    const steps = {
      ArrowUp: fact.parents.at(-1), ArrowDown: fact.children.find((node) => facts[node].on) ?? fact.children[0],
      ArrowLeft: chosen - 1, ArrowRight: chosen + 1, Home: 0, End: last,
    };
    const acts = { "+": () => zoom(1.3), "=": () => zoom(1.3), "-": () => zoom(1 / 1.3), 0: () => fit(), 1: () => centre(chosen, 1) };
    if (event.key in steps) {
      const node = steps[event.key];
      if (node >= 0 && node <= last) { choose(node, true); reveal(node); }
    } else if (event.key in acts) {
      acts[event.key]();
    } else {
      return;
    }
    event.preventDefault();
  });

  scrub.addEventListener("input", () => { choose(Number(scrub.value)); reveal(chosen); });
  const tools = { in: () => zoom(1.3), out: () => zoom(1 / 1.3), fit: () => fit(), read: () => centre(chosen, 1) };
  for (const button of figure.querySelectorAll("[data-do]")) button.addEventListener("click", tools[button.dataset.do]);

  choose(0);
  fit(READABLE);
  // What stands in the middle stays there when the window, or a neighbour, takes room.
  let { width, height } = room();
  new ResizeObserver(() => {
    const now = room();
    if (!now.width) return;
    place(view.x + (now.width - width) / 2, view.y + (now.height - height) / 2);
    ({ width, height } = now);
  }).observe(svg);
}
