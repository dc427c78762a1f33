"use strict";

const reading = document.querySelector("#reading");
const openers = [...document.querySelectorAll(".candidates [data-rank]")];
const opened = new Map(); // cards, by rank

const stored = (name) => JSON.parse(document.getElementById(name).textContent); // HTML, escaped when the page was written

function open(rank) {
  const card = document.createElement("article");
  card.className = "card";
  card.id = `card-${rank}`;
  card.dataset.rank = rank;
  card.tabIndex = -1;
  card.innerHTML = stored(`candidate-${rank}`);
  opened.set(rank, card);
  const next = [...reading.querySelectorAll(".card")].find((other) => Number(other.dataset.rank) > rank);
  reading.insertBefore(card, next ?? null);
  mark(rank);
  return card;
}

function close(rank) {
  opened.get(rank).remove();
  opened.delete(rank);
  mark(rank);
}

function mark(rank) {
  openers[rank - 1].setAttribute("aria-expanded", String(opened.has(rank)));
  reading.classList.toggle("some", opened.size > 0);
}

function choose(tab) {
  const card = tab.closest(".card");
  for (const other of card.querySelectorAll("[role=tab]")) {
    const chosen = other === tab, panel = card.querySelector(`#${other.getAttribute("aria-controls")}`);
    other.setAttribute("aria-selected", String(chosen));
    other.tabIndex = chosen ? 0 : -1;
    panel.hidden = !chosen;
    if (chosen && panel.dataset.stored) draw(panel);
  }
}

// A graph is drawn when it is looked at for the first time.
function draw(panel) {
  panel.innerHTML = stored(panel.dataset.stored);
  delete panel.dataset.stored;
  const figure = panel.querySelector(".dag");
  if (figure) showDag(figure);
}

// Formulas as they were written, or set.
function showSource(button) {
  const pressed = button.getAttribute("aria-pressed") !== "true";
  const panel = button.closest(".card").querySelector(".text");
  button.setAttribute("aria-pressed", String(pressed));
  if (pressed) {
    for (const formula of panel.querySelectorAll(".tex")) formula.replaceWith(formula.dataset.tex);
  } else {
    const card = document.createElement("article");
    card.innerHTML = stored(`candidate-${button.closest(".card").dataset.rank}`);
    panel.replaceChildren(...card.querySelector(".text").childNodes);
  }
}

function goTo(rank) {
  const card = opened.get(rank) ?? open(rank);
  card.scrollIntoView({ block: "nearest", inline: "nearest" });
  card.focus({ preventScroll: true });
}

document.addEventListener("click", (event) => {
  const at = (selector) => event.target.closest(selector);
  if (at(".candidates [data-rank]")) {
    const rank = Number(at("[data-rank]").dataset.rank);
    if (opened.has(rank)) close(rank);
    else open(rank).scrollIntoView({ block: "nearest", inline: "nearest" });
  } else if (at("[data-read]")) {
    goTo(Number(at("[data-read]").dataset.read));
  } else if (at(".card .close")) {
    leave(at(".card"));
  } else if (at("[role=tab]")) {
    choose(at("[role=tab]"));
  } else if (at(".source")) {
    showSource(at(".source"));
  }
});

function leave(card) {
  const rank = Number(card.dataset.rank);
  close(rank);
  openers[rank - 1].focus();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const card = event.target.closest(".card"), tab = event.target.closest("[role=tab]");
  const opener = event.target.closest(".candidates [data-rank]");
  if (event.key === "Escape" && card) {
    leave(card);
  } else if (opener) {
    const place = openers.indexOf(opener), last = openers.length - 1;
    const to = { ArrowUp: place - 1, ArrowDown: place + 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    openers[Math.min(last, Math.max(0, to))].focus();
  } else if (tab) {
    const tabs = [...tab.parentElement.querySelectorAll("[role=tab]")], place = tabs.indexOf(tab);
    const to = { ArrowLeft: place - 1, ArrowRight: place + 1 }[event.key];
    if (to === undefined) return;
    const next = tabs[(to + tabs.length) % tabs.length];
    choose(next);
    next.focus();
  } else {
    return;
  }
  event.preventDefault();
});

if (openers.length) open(1);
