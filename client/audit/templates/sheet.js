"use strict";
const body = document.body, key = "audit-" + body.dataset.key;
const cards = [...document.querySelectorAll("article")];
const known = new Set([...document.querySelectorAll("#labels option")].map(option => option.value));
const count = document.getElementById("count"), download = document.getElementById("download");

const tick = card => card.querySelector(".tick input");
const right = card => card.querySelector(".right");
const keep = card => card.querySelector(".keep");
const kept = card => keep(card).getAttribute("aria-pressed") === "true";
const clear = document.getElementById("clear"), open = document.getElementById("open");

// The reason why a ticked product is no correction yet; "" if it is one.
function fault(card) {
  const label = right(card).value.trim();
  if (!label) return "choose a label";
  if (label === card.dataset.given) return "this is the label in the catalogue";
  return known.has(label) ? "" : "the model does not know this label: it would be a new class";
}

function refresh() {
  let good = 0, right_ones = 0;
  for (const card of cards) {
    card.classList.toggle("kept", kept(card));
    if (kept(card)) right_ones += 1;
    const ticked = tick(card).checked, text = ticked ? fault(card) : "";
    card.classList.toggle("ticked", ticked);
    card.querySelector(".fault").textContent = text;
    if (ticked && right(card).value.trim() && right(card).value.trim() !== card.dataset.given) good += 1;
  }
  const decided = right_ones ? `, ${right_ones} right` : "";
  count.textContent = good ? `${good} to correct${decided}` : right_ones ? `${right_ones} right` : "nothing ticked";
  download.disabled = !good;
  open.textContent = cards.filter(card => !tick(card).checked && !kept(card)).length;
  if (clear) clear.textContent = allClear() ? "Untick the clear cases" : `Tick all ${clearCases().length} clear cases`;
  return good;
}

// Clear cases that nobody has called right; a suggestion that is no correction is left to a person.
const clearCases = () => cards.filter(card => card.dataset.clear && !kept(card) && !fault(card));
const allClear = () => clearCases().length > 0 && clearCases().every(card => tick(card).checked);

function decide(card, {wrong, rightly}) {
  tick(card).checked = wrong;
  keep(card).setAttribute("aria-pressed", String(rightly));
}

function changed() { refresh(); remember(); }

// Ticks survive a reload if the browser has local storage for files.
function remember() {
  const state = cards.filter(card => tick(card).checked || kept(card))
    .map(card => [card.dataset.id, kept(card) ? null : right(card).value]);
  try { localStorage.setItem(key, JSON.stringify(state)); } catch { count.title = "this browser does not save ticks"; }
}

function recall() {
  let state = [];
  try { state = JSON.parse(localStorage.getItem(key) || "[]"); } catch { return; }
  const byId = new Map(cards.map(card => [card.dataset.id, card]));
  for (const [id, label] of state) {
    const card = byId.get(id);
    if (!card) continue;
    decide(card, {wrong: label !== null, rightly: label === null});
    if (label !== null) right(card).value = label;
  }
}

const cell = text => /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;

function corrections() {
  const rows = [["id", "column", "given", "label"]];
  for (const card of cards) {
    const label = right(card).value.trim();
    if (tick(card).checked && label && label !== card.dataset.given) {
      rows.push([card.dataset.id, body.dataset.column, card.dataset.given, label]);
    }
  }
  return rows.map(row => row.map(cell).join(",") + "\n").join("");
}

function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["\ufeff" + corrections()], {type: "text/csv;charset=utf-8"}));
  link.download = "corrections.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

for (const card of cards) {
  tick(card).addEventListener("change", () => { decide(card, {wrong: tick(card).checked, rightly: false}); changed(); });
  keep(card).addEventListener("click", () => { decide(card, {wrong: false, rightly: !kept(card)}); changed(); });
  right(card).addEventListener("input", () => { decide(card, {wrong: true, rightly: false}); changed(); });
  // The browser suggests only labels that match the box, so select its text for replacement.
  right(card).addEventListener("focus", event => event.target.select());
}
for (const chip of document.querySelectorAll(".chip")) {
  chip.addEventListener("click", () => {
    for (const each of document.querySelectorAll(".chip")) each.setAttribute("aria-pressed", String(each === chip));
    for (const card of cards) {
      const decided = tick(card).checked || kept(card);
      card.hidden = chip.dataset.open ? decided : Boolean(chip.dataset.kind) && card.dataset.kind !== chip.dataset.kind;
    }
  });
}

// The product that the keys are about: the one with the focus, else the first that is shown.
const shown = () => cards.filter(card => !card.hidden);
const current = () => document.activeElement.closest("article");

function move(step) {
  const list = shown(), place = list.indexOf(current());
  const next = list[place < 0 ? 0 : Math.min(Math.max(place + step, 0), list.length - 1)];
  if (next) { next.focus({preventScroll: true}); next.scrollIntoView({block: "center"}); }
}

const KEYS = {
  j: () => move(1),
  k: () => move(-1),
  w: card => { decide(card, {wrong: !tick(card).checked, rightly: false}); changed(); move(1); },
  r: card => { decide(card, {wrong: false, rightly: !kept(card)}); changed(); move(1); },
  e: card => right(card).focus(),
};

document.addEventListener("keydown", event => {
  const typing = event.target.matches('input[type="text"]');
  if (event.key === "Escape" && typing) { current().focus(); return; }
  const act = KEYS[event.key.toLowerCase()];
  if (!act || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (act.length && !current()) move(0);
  if (act.length && !current()) return;
  event.preventDefault();
  act(current());
});

if (clear) {
  clear.addEventListener("click", () => {
    const wrong = !allClear();
    for (const card of clearCases()) decide(card, {wrong, rightly: false});
    changed();
  });
}
if (cards.length) {
  download.addEventListener("click", save);
  recall();
  refresh();
}
