"use strict";
const body = document.body, key = "audit-" + body.dataset.key;
const cards = [...document.querySelectorAll("article")];
const known = new Set([...document.querySelectorAll("#labels option")].map(option => option.value));
const count = document.getElementById("count"), download = document.getElementById("download");

const tick = card => card.querySelector(".tick input");
const right = card => card.querySelector(".right");

// The reason why a ticked product is no correction yet; "" if it is one.
function fault(card) {
  const label = right(card).value.trim();
  if (!label) return "choose a label";
  if (label === card.dataset.given) return "this is the label in the catalogue";
  return known.has(label) ? "" : "the model does not know this label: it would be a new class";
}

function refresh() {
  let good = 0;
  for (const card of cards) {
    const ticked = tick(card).checked, text = ticked ? fault(card) : "";
    card.classList.toggle("ticked", ticked);
    card.querySelector(".fault").textContent = text;
    if (ticked && right(card).value.trim() && right(card).value.trim() !== card.dataset.given) good += 1;
  }
  count.textContent = good ? `${good} to correct` : "nothing ticked";
  download.disabled = !good;
  return good;
}

// Ticks survive a reload if the browser has local storage for files.
function remember() {
  const state = cards.filter(card => tick(card).checked).map(card => [card.dataset.id, right(card).value]);
  try { localStorage.setItem(key, JSON.stringify(state)); } catch { count.title = "this browser does not save ticks"; }
}

function recall() {
  let state = [];
  try { state = JSON.parse(localStorage.getItem(key) || "[]"); } catch { return; }
  const byId = new Map(cards.map(card => [card.dataset.id, card]));
  for (const [id, label] of state) {
    const card = byId.get(id);
    if (card) { tick(card).checked = true; right(card).value = label; }
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
  tick(card).addEventListener("change", () => { refresh(); remember(); });
  right(card).addEventListener("input", () => { tick(card).checked = true; refresh(); remember(); });
  // The browser suggests only labels that match the box, so select its text for replacement.
  right(card).addEventListener("focus", event => event.target.select());
}
for (const chip of document.querySelectorAll(".chip")) {
  chip.addEventListener("click", () => {
    for (const each of document.querySelectorAll(".chip")) each.setAttribute("aria-pressed", String(each === chip));
    for (const card of cards) card.hidden = Boolean(chip.dataset.kind) && card.dataset.kind !== chip.dataset.kind;
  });
}
download.addEventListener("click", save);
recall();
refresh();
