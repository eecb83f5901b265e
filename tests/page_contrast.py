"""The contrast of all text on an open page, as WCAG 2 measures it."""

from typing import Any

LEAST = 4.5
_SCRIPT = """
least => {
  const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = rgb => rgb.slice(0, 3).map(v => v / 255)
    .map(v => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, place) => sum + v * [0.2126, 0.7152, 0.0722][place], 0);
  const over = (top, below) => {
    const alpha = top[3] === undefined ? 1 : top[3];
    return [0, 1, 2].map(place => top[place] * alpha + below[place] * (1 - alpha));
  };
  const behind = element => {
    const layers = [];
    for (let each = element; each; each = each.parentElement) {
      layers.push(parse(getComputedStyle(each).backgroundColor));
    }
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const opacity = element => {
    let all = 1;
    for (let each = element; each; each = each.parentElement) all *= Number(getComputedStyle(each).opacity);
    return all;
  };
  const faint = new Set(), walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
    if (!text || element.closest("script, style, noscript, :disabled") || !element.getClientRects().length) continue;
    const below = behind(element), ink = parse(getComputedStyle(element).color);
    ink[3] = (ink[3] === undefined ? 1 : ink[3]) * opacity(element);
    const [high, low] = [light(over(ink, below)), light(below)].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < least) faint.add(`${ratio.toFixed(2)} ${element.tagName}.${element.className}: ${text.slice(0, 30)}`);
  }
  return [...faint];
}
"""


def faint_texts(view: Any) -> list[str]:
    """Texts with a contrast below ``LEAST``, each with its ratio and its element.

    Args:
        view: Playwright's page.
    """
    return list(view.evaluate(_SCRIPT, LEAST))
