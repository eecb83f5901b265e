// The keys of the review: 1 to 9 choose a class, / types another one, S skips, U undoes.
const LONGEST = 4000, SHOWN = 8;
let busyUntil = 0, confirmed = "";
const desk = () => element.querySelector(".desk");
const other = () => element.querySelector("#other-class");
const options = () => [...element.querySelectorAll("#other-list [role=option]")];

// A step names the product that is on the screen, so a late key decides nothing that was not seen.
function step(action, label = "") {
  if (!desk() || (desk().hasAttribute("aria-busy") && performance.now() < busyUntil)) return;
  busyUntil = performance.now() + LONGEST;
  desk().setAttribute("aria-busy", "true");
  if (other()) { other().value = ""; other().blur(); }
  trigger("click", {action, place: Number(desk().dataset.place), label});
}

watch("value", () => {
  confirmed = "";
  const place = document.getElementById("said");
  if (!desk() || !element.offsetParent) return;
  if (place) place.textContent = desk().dataset.said;
  const focused = document.activeElement;
  const isTyping = focused === other();
  if (!isTyping && (focused === document.body || element.contains(focused))) desk().querySelector("h2")?.focus({preventScroll: true});
});

function matching(text) {
  const wanted = text.trim().toLowerCase();
  const labels = JSON.parse(desk().dataset.labels).filter(label => label.toLowerCase().includes(wanted));
  const starts = label => !label.toLowerCase().startsWith(wanted);
  return wanted ? labels.sort((one, two) => starts(one) - starts(two)).slice(0, SHOWN) : [];
}

function activate(option) {
  for (const each of options()) each.setAttribute("aria-selected", String(each === option));
  if (option) other().setAttribute("aria-activedescendant", option.id);
  else other().removeAttribute("aria-activedescendant");
}

function suggest() {
  const list = element.querySelector("#other-list");
  const found = matching(other().value);
  list.replaceChildren(...found.map((label, number) => {
    const option = document.createElement("li");
    option.role = "option";
    option.id = `other-${number}`;
    option.dataset.label = option.textContent = label;
    return option;
  }));
  list.hidden = !found.length;
  other().setAttribute("aria-expanded", String(Boolean(found.length)));
  activate(options()[0]);
  advise(other().value.trim() && !found.length ? "No class is called so. Enter twice adds it as a new one." : "");
}

const advise = text => { element.querySelector("#other-advice").textContent = text; };

function chooseTyped() {
  const active = options().find(each => each.getAttribute("aria-selected") === "true");
  const text = other().value.trim();
  if (active) step("decide", active.dataset.label);
  else if (text && confirmed === text) step("decide", text);
  else if (text) { confirmed = text; advise(`Enter once more makes “${text}” a new class.`); }
}

function typeKey(event) {
  const all = options(), at = all.findIndex(each => each.getAttribute("aria-selected") === "true");
  if (event.key === "Enter") chooseTyped();
  else if (event.key === "ArrowDown" && all.length) activate(all[(at + 1) % all.length]);
  else if (event.key === "ArrowUp" && all.length) activate(all[(at + all.length - 1) % all.length]);
  else if (event.key === "Escape") { other().value = ""; suggest(); desk().querySelector("h2").focus(); }
  else return;
  event.preventDefault();
}

function press(event) {
  if (!desk() || !element.offsetParent || event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
  if (event.target === other()) { if (!event.isComposing) typeKey(event); return; }
  if (event.target.closest("input, textarea, select, [contenteditable], [role=combobox]")) return;
  const key = event.key.toLowerCase();
  const classes = element.querySelectorAll(".classes button");
  const action = {s: "skip", u: "undo", a: "again"}[key];
  if (/^[1-9]$/.test(key) && classes[key - 1]) step("decide", classes[key - 1].dataset.label);
  else if (key === "/" && other()) other().focus();
  else if (action && element.querySelector(`[data-action=${action}]:not(:disabled)`)) step(action);
  else return;
  event.preventDefault();
}

element.addEventListener("input", event => { if (event.target === other()) { confirmed = ""; suggest(); } });
element.addEventListener("click", event => {
  const button = event.target.closest("button[data-action]");
  const option = event.target.closest("[role=option]");
  if (button) step(button.dataset.action, button.dataset.label);
  else if (option) step("decide", option.dataset.label);
});
// One listener, also if the page builds this part again.
window.reviewKeys?.abort();
window.reviewKeys = new AbortController();
document.addEventListener("keydown", press, {signal: window.reviewKeys.signal});
