// Announces an answer, brings it into sight on a small screen, and copies the API's examples.
const announce = text => { const place = document.getElementById("said"); if (place) place.textContent = text; };

watch("value", () => {
  const cards = [...element.querySelectorAll("[data-said]")];
  if (cards.length) announce(cards.map(card => card.dataset.said).join("; "));
  const found = element.querySelector("[data-said], .problem");
  if (!found) return;
  const {top} = found.getBoundingClientRect();
  if (top < 0 || top > 0.6 * innerHeight) element.scrollIntoView({block: "start"});
});

element.addEventListener("click", async event => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const code = button.closest(".call").querySelector("code");
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
    announce("Copied");
  } catch {
    getSelection().selectAllChildren(code);  // this browser does not let a page copy
    button.textContent = "Press Ctrl+C";
  }
});
