// Drawing hours on the week's grid with a mouse, a pen or a finger.

import { announce, at, button, make, set } from "./dom.js";
import { hhmm, say } from "./speak.js";

const STEP = 30; // minutes
const WHOLE = 24 * 60;
const CLICKED = 60; // minutes that a click without drawing stands for

/** Lets hours be drawn; `done` is told {days, from, to}. The buttons that this needs. */
export function drawable(grid, lanes, done) {
  let begun = null; // {day, minute, lane} where the pointer went down
  let drawn = null; // what is drawn; null until the pointer has moved

  function where(event) {
    const boxes = lanes.map((x) => x.getBoundingClientRect());
    const after = boxes.findIndex((x) => event.clientX < x.right);
    const day = after < 0 ? lanes.length - 1 : after;
    const part = (event.clientY - boxes[day].top) / boxes[day].height;
    return { day, minute: Math.min(WHOLE, Math.max(0, part * WHOLE)) };
  }

  const moved = (end) => end.day !== begun.day || Math.abs(end.minute - begun.minute) >= STEP / 2;

  function chosen(end) {
    const days = [Math.min(begun.day, end.day), Math.max(begun.day, end.day)];
    const [low, high] = [Math.min(begun.minute, end.minute), Math.max(begun.minute, end.minute)];
    const from = Math.min(WHOLE - STEP, Math.floor(low / STEP) * STEP);
    const to = moved(end) ? Math.max(from + STEP, Math.ceil(high / STEP) * STEP) : from + CLICKED;
    return { days: [0, 1, 2, 3, 4, 5, 6].filter((i) => i >= days[0] && i <= days[1]), from,
      to: Math.min(WHOLE, to) };
  }

  function clear() {
    grid.querySelectorAll(".drawn").forEach((x) => x.remove());
    begun = null;
    drawn = null;
  }

  function paint() {
    grid.querySelectorAll(".drawn").forEach((x) => x.remove());
    for (const i of drawn.days) {
      const text = `${hhmm(drawn.from)}–${hhmm(drawn.to)}`;
      lanes[i].append(at(make("span", "drawn", text), drawn.from, drawn.to - drawn.from));
    }
  }

  grid.addEventListener("pointerdown", (event) => {
    const finger = event.pointerType === "touch" && !grid.classList.contains("drawing");
    if (event.button !== 0 || finger || !event.target.closest(".lane")) return;
    const lane = event.target.classList.contains("lane");
    if (lane) event.preventDefault();
    begun = { ...where(event), lane };
  });
  grid.addEventListener("pointermove", (event) => {
    if (!begun || (!drawn && !moved(where(event)))) return;
    // not before: a click on reserved hours is theirs
    if (!drawn) grid.setPointerCapture(event.pointerId);
    drawn = chosen(where(event));
    paint();
  });
  grid.addEventListener("pointerup", (event) => {
    if (!begun) return;
    const found = drawn || begun.lane ? chosen(where(event)) : null;
    clear();
    if (found) done(found);
  });
  grid.addEventListener("pointercancel", clear);
  grid.addEventListener("pointerleave", () => { if (begun && !drawn) clear(); });
  // a finger is caught by what it touched first, which loses it to the grid
  grid.addEventListener("lostpointercapture", (event) => { if (event.target === grid) clear(); });

  // a finger scrolls the page over the grid, until it is told to draw
  grid.classList.add("draws");
  const touch = button(say("Draw"), () => {
    const on = grid.classList.toggle("drawing");
    touch.setAttribute("aria-pressed", String(on));
    if (on) announce(say("Draw the hours on the grid."));
  }, { key: "draw", className: "touch" });
  return [set(touch, { "aria-pressed": "false" })];
}
