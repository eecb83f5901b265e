
// The product finder: filters over all test answers. Numbers elsewhere link here by "#products?model=late&truth=...".
const finder = document.getElementById("finder");
if (finder) {
  const content = JSON.parse(document.getElementById("finder-content").textContent);
  const sheets = [...document.querySelectorAll("script.sheet")], decoded = new Map();
  const field = Object.fromEntries([...finder.querySelectorAll("[name]")].map((each) => [each.name, each]));
  const found = document.getElementById("found"), list = document.getElementById("found-products");
  const more = document.getElementById("more"), PAGE = 48, prefix = "#products?";
  const models = new Map(content.models.map((each) => [each.key, each]));
  let rows = [], shown = 0;

  const element = (tag, text, kind) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };
  const addOption = (select, value, text) => {
    const option = element("option", text);
    option.value = value;
    select.append(option);
  };
  for (const each of content.models) addOption(field.model, each.key, each.name);
  const inOrder = content.labels.map((label, place) => [label, place]).sort((a, b) => a[0].localeCompare(b[0]));
  for (const [label, place] of inOrder) {
    addOption(field.truth, place, label);
    addOption(field.predicted, place, label);
  }

  // A sheet is decoded when one of its products is shown for the first time.
  function sheet(number) {
    if (!decoded.has(number)) {
      const image = new Image();
      image.src = "data:image/webp;base64," + sheets[number].textContent;
      decoded.set(number, image.decode().then(() => image));
    }
    return decoded.get(number);
  }

  function thumbnail(row) {
    const tile = content.tiles[row], side = content.side, box = element("div", undefined, "picture");
    if (tile < 0) {
      box.classList.add("none");
      box.textContent = "no picture";
      return box;
    }
    const canvas = element("canvas"), inSheet = tile % (content.across * content.across);
    canvas.width = canvas.height = side;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", content.titles[row] || content.ids[row]);
    const left = (inSheet % content.across) * side, top = Math.floor(inSheet / content.across) * side;
    sheet(Math.floor(tile / (content.across * content.across))).then((image) =>
      canvas.getContext("2d").drawImage(image, left, top, side, side, 0, 0, side, side));
    box.append(canvas);
    return box;
  }

  const isolated = (text) => element("bdi", text);
  const percent = (score) => {
    const share = (100 * score) / content.steps;
    return share >= 99.5 ? ">99 %" : share < 0.5 ? "<1 %" : share.toFixed(0) + " %";
  };

  function answer(row, model) {
    const line = element("div"), right = model.chosen[row] === content.truth[row];
    const label = element("dd", undefined, right ? "good" : "bad");
    label.append((right ? "\u2713 " : "\u2717 "), isolated(content.labels[model.chosen[row]]));
    line.append(element("dt", model.name), label,
      element("dd", model.scores ? percent(model.scores[row]) : "", "score"));
    if (model.key === field.model.value) line.className = "asked";
    return line;
  }

  function card(row) {
    const item = element("li"), details = element("div", undefined, "details"), list = element("dl");
    const title = element("p", undefined, "title"), truth = element("p", undefined, "truth");
    const right = models.get(field.model.value).chosen[row] === content.truth[row];
    item.className = right ? "is-right" : "is-wrong";
    title.append(isolated(content.titles[row] || "no title"));
    const run = content.run.length ? ", " + content.runs[content.run[row]] : "";
    truth.append(element("span", "true "), isolated(content.labels[content.truth[row]]));
    list.append(...content.models.map((model) => answer(row, model)));
    details.append(title, element("p", content.ids[row] + run, "id"), truth, list);
    item.append(thumbnail(row), details);
    return item;
  }

  function filtered() {
    const model = models.get(field.model.value), words = field.words.value.trim().toLowerCase();
    const limit = (each, none) => (each.value === "" ? none : (Number(each.value) * content.steps) / 100);
    const above = limit(field.above, -1), upto = limit(field.upto, Infinity);
    const truth = field.truth.value, predicted = field.predicted.value, result = field.result.value;
    const others = predicted.startsWith("~") ? new Set(predicted.slice(1).split("~").map(Number)) : null;
    const kept = [];
    for (let row = 0; row < content.ids.length; row += 1) {
      const chosen = model.chosen[row], right = chosen === content.truth[row];
      if (result !== "all" && right !== (result === "right")) continue;
      if (truth !== "" && content.truth[row] !== Number(truth)) continue;
      if (others ? others.has(chosen) : predicted !== "" && chosen !== Number(predicted)) continue;
      if (model.scores ? !(above < model.scores[row] && model.scores[row] <= upto) : above > 0 || upto < content.steps) continue;
      if (field.modalities.value && content.modalities[row] !== Number(field.modalities.value)) continue;
      if (words && !(content.titles[row] + " " + content.ids[row]).toLowerCase().includes(words)) continue;
      kept.push(row);
    }
    const sign = field.order.value === "certain" ? -1 : 1;
    return model.scores ? kept.sort((a, b) => sign * (model.scores[a] - model.scores[b])) : kept;
  }

  function showMore() {
    list.append(...rows.slice(shown, shown + PAGE).map(card));
    shown = Math.min(shown + PAGE, rows.length);
    more.hidden = shown === rows.length;
  }

  function show() {
    rows = filtered();
    shown = 0;
    list.replaceChildren();
    const of = content.ids.length.toLocaleString("en");
    found.textContent = rows.length ? `${rows.length.toLocaleString("en")} of ${of} answers` : `none of ${of} answers: clear a filter`;
    showMore();
  }

  const place = (label) => (label ? String(content.labels.indexOf(label)) : "");

  // The filters that an address names; the others are cleared.
  function apply(query) {
    const asked = new URLSearchParams(query), predicted = asked.get("predicted") || "";
    for (const each of field.predicted.querySelectorAll("option.others")) each.remove();
    if (predicted.startsWith("~")) {
      addOption(field.predicted, predicted, "any that is not in the matrix");
      field.predicted.lastChild.className = "others";
    }
    field.model.value = models.has(asked.get("model")) ? asked.get("model") : content.featured;
    field.result.value = asked.get("result") || "all";
    field.truth.value = place(asked.get("truth"));
    field.predicted.value = predicted.startsWith("~") ? predicted : place(predicted);
    for (const name of ["above", "upto", "modalities", "words"]) field[name].value = asked.get(name) || "";
    field.order.value = asked.get("order") || "certain";
    show();
  }

  function follow() {
    if (!location.hash.startsWith(prefix)) return false;
    apply(location.hash.slice(prefix.length));
    const heading = finder.closest("section").querySelector("h2");
    heading.scrollIntoView({behavior: "instant"});
    heading.focus({preventScroll: true});
    return true;
  }

  for (const each of Object.values(field)) each.addEventListener(each.tagName === "INPUT" ? "input" : "change", show);
  more.addEventListener("click", () => {
    const next = shown;
    showMore();
    const first = list.children[next];
    if (first) { first.tabIndex = -1; first.focus(); }
  });
  document.getElementById("clear").addEventListener("click", () => apply(""));
  // A click on the link that is open already changes no address.
  document.addEventListener("click", (event) => {
    const link = event.target.closest(`a[href^="${prefix}"]`);
    if (link && link.hash === location.hash) { event.preventDefault(); follow(); }
  });
  addEventListener("hashchange", follow);
  finder.hidden = false;
  if (!follow()) apply("result=wrong");
}

// The contents are closed on a phone, where they would push the text down.
if (matchMedia("(max-width: 40rem)").matches) document.querySelector("nav details")?.removeAttribute("open");
