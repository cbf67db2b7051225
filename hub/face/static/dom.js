// Making and changing what is on the page. Text from outside is set as text, never as HTML.

import { countdown, now, span } from "./speak.js";

/** An element with a class and children; null children are left out. */
export function make(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children.filter((x) => x !== null && x !== undefined && x !== ""));
  return made;
}

/** The same with attributes; a false value leaves one out. */
export function set(made, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  return made;
}

/** A button that does something; `key` finds it again after its section was drawn anew. */
export function button(text, act, { key = "", className = "" } = {}) {
  const made = set(make("button", className, text), { type: "button", "data-key": key || false });
  made.addEventListener("click", act);
  return made;
}

/** A button that says why it does nothing now: it can be reached, so that the reason is read. */
export function refusing(text, reason, { key }) {
  const made = button(text, () => announce(reason), { key });
  const told = make("small", "reason", reason);
  told.id = `why-${key}`;
  return [set(made, { "aria-disabled": "true", "aria-describedby": told.id }), told];
}

// ---- sections ----

// a section is made anew only when its own data changed: focus and selection stay where they are
const shown = {};

/** Draw a section if its data changed; the focus stays on what has the same key. */
export function show(id, data, draw) {
  const text = JSON.stringify(data);
  if (shown[id] === text) return;
  shown[id] = text;
  const place = document.getElementById(id);
  if (!place) return;
  const focus = document.activeElement;
  const key = place.contains(focus) ? focus.dataset.key : null;
  place.replaceChildren(...draw(data));
  if (key) place.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}

// ---- a table that becomes a list of cards on a phone ----

/** rows: [[cell, …], …]; a cell is text or a node. The first column names its row. */
export function table(caption, columns, rows) {
  // the column of buttons has no name
  const head = make("tr", "", ...columns.map((x) => (
    x ? set(make("th", "", x), { scope: "col" }) : make("td", ""))));
  const body = rows.map((cells) => make("tr", "", ...cells.map((cell, i) => {
    const made = make(i ? "td" : "th", "", cell);
    return set(made, i ? { "data-label": columns[i] } : { scope: "row" });
  })));
  return make("table", "", make("caption", "hidden", caption), make("thead", "", head),
    make("tbody", "", ...body));
}

/** A bar from 0 to 1, with what it means in words beside it; `mark` is a line on it. */
export function bar(part, text, { mark = null, tone = "" } = {}) {
  const fill = make("span", "fill");
  fill.style.setProperty("--part", Math.min(1, Math.max(0, part)));
  const line = mark === null ? null : make("span", "mark");
  line?.style.setProperty("--part", Math.min(1, Math.max(0, mark)));
  const drawn = set(make("span", "track", fill, line), { "aria-hidden": "true" });
  return make("p", `bar ${tone}`, make("span", "", text), drawn);
}

/** Puts something on a day's lane; minutes. */
export function at(made, from, length) {
  made.style.setProperty("--from", from / 60);
  made.style.setProperty("--length", length / 60);
  return made;
}

// ---- what is told ----

/** Read out by a screen reader. */
export function announce(text) {
  document.getElementById("said").textContent = text;
}

/** What did not work; "" takes it back. */
export function trouble(text) {
  const place = document.getElementById("trouble");
  place.textContent = text;
  place.hidden = !text;
}

// ---- what ticks ----

/** The time left until then; kept up to date. `exact`: with seconds. */
export function left(iso, exact = false) {
  const made = set(make("time", "left"), { datetime: iso, "data-exact": exact });
  tick(made);
  return made;
}

function tick(made) {
  const ms = Date.parse(made.dateTime) - now();
  const text = made.hasAttribute("data-exact") ? countdown(ms) : span(ms);
  if (made.textContent !== text) made.textContent = text;
}

/** Bring every time left up to date. */
export function tickAll() {
  document.querySelectorAll("time.left").forEach(tick);
}
