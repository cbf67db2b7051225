// What is said: texts from the page, times and sizes in the person's language.

const page = document.getElementById("board");
export const { prefix, xsrf, language, name: me, zone } = page.dataset;
export const operator = page.dataset.operator === "yes";
export const instructs = JSON.parse(page.dataset.instructs);
export const staff = operator || instructs.length > 0;
const texts = JSON.parse(page.dataset.texts);

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

// one word for one thing, whether it is a slice's state, a lease's stage or a run's
const WORDS = {
  free: "free", held: "in use", ending: "asked back", reserved: "reserved",
  draining: "coming free", quarantined: "out of order", blocked: "taken out",
  missing: "missing", busy: "busy", uncut: "not cut",
  planned: "planned", waiting: "waiting", granted: "granted", running: "running", released: "ended",
  withdrawn: "left the line", starting: "starting", stopping: "stopping",
  succeeded: "succeeded", failed: "failed", cancelled: "cancelled",
  interrupted: "interrupted", "timed-out": "timed-out", "out-of-memory": "out-of-memory",
  "kernel-died": "kernel-died", lost: "lost",
};
// why somebody is asked to give back
const WHYS = {
  waiting: "somebody waits, and the promised time is over",
  idle: "somebody waits, and nothing happens on it",
  reserved: "reserved hours begin",
  limit: "nobody may hold a slice any longer",
  quota: "the week's quota is used up, and somebody waits",
  preempted: "somebody waits in front of a screen",
  hand: "a person decided it",
};

/** The text in the person's language, its `{name}` places filled. */
export function say(text, values = {}) {
  return (texts[text] ?? text).replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
}

export const word = (state) => say(WORDS[state] ?? state);
export const why = (reason) => say(WHYS[reason] ?? reason);

// ---- the server's clock: the browser's own may be wrong ----

let ahead = 0;
let nearest = -Infinity;

/** Learn the server's time from something it has just sent; how long that was under way, in ms. */
export function heard(iso) {
  const difference = Date.parse(iso) - Date.now();
  // what came fastest is nearest to the truth; it fades, because clocks drift
  nearest = Math.max(difference, nearest - 1);
  ahead = nearest;
  return nearest - difference;
}

export const now = () => Date.now() + ahead;

// ---- times ----

const formats = new Map();

function format(options) {
  const key = JSON.stringify(options);
  if (!formats.has(key)) {
    formats.set(key, new Intl.DateTimeFormat(language, { timeZone: zone, ...options }));
  }
  return formats.get(key);
}

const TIME = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };

/** What the clock on the wall shows: the time, with the date where it is not today. */
export function clock(iso) {
  const at = new Date(iso);
  const day = format({ year: "numeric", month: "numeric", day: "numeric" });
  const today = day.format(at) === day.format(now());
  return format(today ? TIME : { month: "short", day: "numeric", ...TIME }).format(at);
}

/** From one time to another; one that has begun has its end only. */
export function range(from, to) {
  if (Date.parse(from) <= now()) return say("before {time}", { time: clock(to) });
  const [first, last] = [clock(from), clock(to)];
  return first === last ? say("about {time}", { time: first })
    : say("between {from} and {to}", { from: first, to: last });
}

/** A local date and time in the house's zone: {year, month, day, hour, minute} of numbers. */
export function wall(at) {
  const parts = new Intl.DateTimeFormat("en", {
    timeZone: zone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric",
    hour: "numeric", minute: "numeric",
  }).formatToParts(at);
  return Object.fromEntries(parts.map((x) => [x.type, Number(x.value)]));
}

/** A date without a time (its UTC midnight) in words. */
export function date(day, options) {
  return new Intl.DateTimeFormat(language, { timeZone: "UTC", ...options }).format(day);
}

/** How long, in words, whole minutes. */
export function span(ms) {
  const minutes = Math.max(0, Math.floor(ms / MINUTE));
  const values = {
    d: Math.floor(minutes / 1440), h: Math.floor(minutes / 60) % 24, m: minutes % 60,
  };
  if (ms >= DAY) return say("{d} d {h} h", values);
  return ms >= HOUR ? say("{h} h {m} min", values) : say("{m} min", values);
}

/** Minutes and seconds that are left. */
export function countdown(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  if (seconds >= 3600) return span(ms);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** Minutes of a day as a clock shows them. */
export const hhmm = (minutes) => `${String(Math.floor(minutes / 60) % 24).padStart(2, "0")}:`
  + `${String(minutes % 60).padStart(2, "0")}`;

// ---- sizes ----

export const number = (x, digits = 1) =>
  x.toLocaleString(language, { maximumFractionDigits: digits });
export const gib = (mib) => number(mib / 1024);
export const percent = (x) => x.toLocaleString(language, { style: "percent" });
