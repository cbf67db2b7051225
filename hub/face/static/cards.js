// Every node, every GPU as its eight memory slots with the slices in them.

import { act, confirm, dialog } from "./ask.js";
import { button, make, set } from "./dom.js";
import { clock, gib, me, now, operator, say, staff, word } from "./speak.js";
import { askEnd, giveBack } from "./mine.js";

const SLOTS = 8;
const LEGEND = ["free", "held", "ending", "reserved", "draining", "busy", "quarantined", "blocked",
  "missing", "uncut"];

/** All slices, by node and GPU. */
export function drawGpus(slices) {
  tip.hidden = true; // what it was about is made anew
  if (!slices.length) return [make("p", "empty", say("Madang sees no GPU."))];
  const cards = new Map();
  for (const slice of slices) {
    const key = `${slice.node}/${slice.gpu}`;
    cards.set(key, [...(cards.get(key) ?? []), slice]);
  }
  return [...cards.values()].map(drawGpu);
}

/** What the colours and patterns mean: those that are there, and those that come every day. */
export function drawLegend(slices) {
  const here = new Set(slices.map((x) => x.state));
  const daily = new Set(["free", "held", "ending", "reserved"]);
  return LEGEND.filter((x) => here.has(x) || daily.has(x)).map((state) => make("li", "",
    make("span", `swatch ${state}`), word(state)));
}

function drawGpu(slices) {
  const [{ gpu_index: index, gpu_name: model, node }] = slices;
  const free = slices.filter((x) => x.state === "free").length;
  const title = make("h3", "", say("GPU {index}", { index }),
    make("small", "", `${model} · ${node}`),
    make("small", "count", say("{free} of {total} free", { free, total: slices.length })));
  const slots = make("ul", "slots");
  const taken = new Set();
  for (const slice of slices) {
    for (let i = 0; i < slice.memory; i += 1) taken.add(slice.start + i);
    slots.append(place(make("li", "", drawSlice(slice)), slice.start, slice.memory));
  }
  for (let i = 0; i < SLOTS; i += 1) {
    const gap = make("li", "slice uncut", make("span", "state", word("uncut")));
    if (!taken.has(i)) slots.append(place(gap, i, 1));
  }
  return make("article", "gpu", title, slots);
}

function drawSlice(slice) {
  const own = slice.user === me && slice.lease;
  const whose = own ? say("yours") : slice.user;
  const made = button("", () => open(slice), { key: `slice-${slice.key}`,
    className: `slice ${slice.state}${own ? " mine" : ""}` });
  made.append(make("strong", "", slice.profile), make("span", "state", word(slice.state)),
    ...[whose ? make("span", "user", whose) : null, till(slice)].filter(Boolean));
  made.addEventListener("pointerenter", () => tell(made, slice));
  made.addEventListener("focus", () => tell(made, slice));
  for (const end of ["pointerleave", "blur"]) made.addEventListener(end, hush);
  return made;
}

/** Whether the promise is over: then the slice may be asked back. */
export const isOver = (slice) => Boolean(slice.promised) && Date.parse(slice.promised) <= now();

function till(slice) {
  const said = (text, time) => make("small", "", say(text, { time: time && clock(time) }));
  if (slice.state === "ending" && slice.until) return said("until {time}", slice.until);
  if (slice.state !== "held" || !slice.promised) return null;
  return isOver(slice) ? said("promise over") : said("promised {time}", slice.promised);
}

function place(made, start, size) {
  made.style.setProperty("--line", start + 1);
  made.style.setProperty("--size", size);
  return made;
}

// ---- more about one slice ----

function facts(slice) {
  const total = gib(slice.memory_mib);
  const used = slice.used_mib === null ? say("{total} GiB", { total })
    : say("{used} of {total} GiB", { used: gib(slice.used_mib), total });
  return [
    [say("State"), word(slice.state)],
    [say("Memory"), used],
    [say("Memory slots"), slice.memory === 1 ? String(slice.start + 1)
      : `${slice.start + 1}–${slice.start + slice.memory}`],
    [say("Held by"), slice.user === me ? say("you") : slice.user],
    [say("Promised until"), slice.promised && clock(slice.promised)],
    [say("At the latest until"), slice.until && clock(slice.until)],
    [say("Taken out because"), slice.blocked],
    ["UUID", slice.uuid],
  ].filter(([, value]) => value);
}

function list(slice) {
  return make("dl", "facts", ...facts(slice).flatMap(([name, value]) => [
    make("dt", "", name), make("dd", "", value),
  ]));
}

const tip = set(make("div", "tip"), { id: "tip", role: "tooltip", hidden: true });
document.body.append(tip);
tip.addEventListener("pointerenter", () => clearTimeout(going));
tip.addEventListener("pointerleave", hush);
document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
let going = null;

function tell(made, slice) {
  clearTimeout(going);
  tip.replaceChildren(make("strong", "", slice.profile), list(slice));
  tip.hidden = false;
  made.setAttribute("aria-describedby", "tip");
  const box = made.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = tip;
  const across = Math.min(box.left, document.documentElement.clientWidth - width - 8);
  const below = box.bottom + height + 12 < window.innerHeight;
  tip.style.left = `${Math.max(8, across) + window.scrollX}px`;
  tip.style.top = `${(below ? box.bottom + 6 : box.top - height - 6) + window.scrollY}px`;
}

function hush() {
  // time to move the pointer onto it
  going = setTimeout(() => { tip.hidden = true; }, 120);
}

function open(slice) {
  tip.hidden = true;
  const made = dialog(say("Slice {profile} on GPU {index}", {
    profile: slice.profile, index: slice.gpu_index,
  }), list(slice));
  const close = () => made.close();
  const then = (what) => () => { close(); what(); };
  made.append(make("div", "buttons", button(say("Close"), close),
    ...verbs(slice).map(([text, what]) => button(text, then(what), { className: "strong" }))));
}

function verbs(slice) {
  const held = slice.lease && ["held", "ending"].includes(slice.state);
  const lease = { id: slice.lease, profile: slice.profile, user: slice.user };
  const found = [];
  if (held && slice.user === me) found.push([say("Give back"), () => giveBack(lease)]);
  else if (held && staff) found.push([say("End this lease"), () => askEnd(lease)]);
  if (operator && slice.blocked) found.push([say("Put back into use"), () => unblock(slice)]);
  else if (operator) found.push([say("Take out of use"), () => block(slice)]);
  return found;
}

async function block(slice) {
  const reason = await confirm({
    title: say("Take {profile} out of use?", { profile: slice.profile }),
    text: say("Nobody is given it until it is put back. Who holds it now keeps it."),
    reason: say("Reason, for operators and instructors"), needed: true,
    verb: say("Take out of use"),
  });
  if (reason !== null) await act("POST", "slices/block", { slice: slice.key, reason });
}

async function unblock(slice) {
  await act("DELETE", "slices/block", { slice: slice.key });
}

