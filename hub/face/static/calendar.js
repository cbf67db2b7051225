// The reservations of a week on a grid: days by hours, in the house's time zone.

import { act, call, confirm, dialog } from "./ask.js";
import { at, button, make, set, trouble } from "./dom.js";
import { drawable } from "./drawing.js";
import { reserve } from "./reserve.js";
import { date, hhmm, instructs, now, operator, say, staff, wall, zone } from "./speak.js";

const DAY = 86_400_000;
const LIVE_WEEKS = 2; // as many come with the stream
const TONES = 6;

let live = null; // what the stream said last
let offset = 0; // the week shown, counted from this one
let fetched = null; // {offset, windows} of a week that the stream does not have

const mayReserve = (group) => operator || instructs.includes(group);

/** The local date, as its UTC midnight. */
function day(at) {
  const w = wall(at);
  return Date.UTC(w.year, w.month - 1, w.day);
}

const first = () => day(Date.parse(live.week.begins)) + 7 * offset * DAY;

/** What the stream says about reservations. */
export function calendar(state) {
  live = state;
  if (offset >= LIVE_WEEKS || offset < 0) load();
  return { windows: state.windows, reservations: state.reservations, week: state.week, offset,
    today: day(now()) };
}

async function load() {
  const wanted = offset;
  // a day more on either side: what is not of this week is left out when it is drawn
  const begin = new Date(first() - DAY).toISOString();
  const answer = await call("GET", `reservations?weeks=2&begin=${begin}`);
  trouble(answer.message);
  if (!answer.ok || wanted !== offset) return;
  const text = JSON.stringify(answer.body.windows);
  if (fetched?.offset === wanted && fetched.text === text) return;
  fetched = { offset: wanted, windows: answer.body.windows, text };
  redraw();
}

function windows() {
  if (offset >= 0 && offset < LIVE_WEEKS) return live.windows;
  return fetched?.offset === offset ? fetched.windows : [];
}

function redraw() {
  const place = document.getElementById("calendar");
  const key = place.contains(document.activeElement) && document.activeElement.dataset.key;
  place.replaceChildren(...drawCalendar());
  if (key) place.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}

function go(to) {
  offset = to;
  if (offset < 0 || offset >= LIVE_WEEKS) load();
  redraw();
}

// ---- the grid ----

/** The week with its windows, and the ways to other weeks. */
export function drawCalendar() {
  const days = [0, 1, 2, 3, 4, 5, 6].map((i) => first() + i * DAY);
  const text = say("{from} to {to}", {
    from: date(days[0], { month: "long", day: "numeric" }),
    to: date(days[6], { month: "long", day: "numeric", year: "numeric" }),
  });
  const title = set(make("h3", "", text), { "aria-live": "polite" });
  const grid = set(make("div", "week"), { role: "group", "aria-label": text });
  const hours = set(make("div", "hours"), { "aria-hidden": "true" });
  for (let h = 0; h < 24; h += 2) hours.append(at(make("span", "", `${h}:00`), h * 60, 0));
  const lanes = days.map((x, i) => drawDay(x, pieces(i)));
  grid.append(hours, ...lanes);
  const tools = [
    button("‹", () => go(offset - 1), { key: "week-before" }),
    button(say("This week"), () => go(0), { key: "week-now" }),
    button("›", () => go(offset + 1), { key: "week-after" }),
  ];
  tools[0].setAttribute("aria-label", say("The week before"));
  tools[2].setAttribute("aria-label", say("The week after"));
  if (staff) {
    tools.push(...drawable(grid, lanes.map((x) => x.lastChild), (drawn) => wanted(days, drawn)),
      button(say("Reserve …"), () => wanted(days, null),
        { key: "reserve", className: "strong" }));
  }
  return [make("div", "tools", title, ...tools), grid];
}

function drawDay(at_, found) {
  const today = at_ === day(now());
  const name = make("h4", "", date(at_, { weekday: "short" }),
    " ", make("span", "", String(new Date(at_).getUTCDate())));
  const lane = make("div", "lane");
  const clusters = sideBySide(found);
  lane.append(...found.map((x) => drawPiece(x, clusters.get(x))));
  if (today) lane.append(moveNow(set(make("span", "now"), { "aria-hidden": "true" })));
  return make("div", `day${today ? " today" : ""}`, name, lane);
}

/** Puts the line of now where it belongs. */
export function moveNow(made = document.querySelector(".week .now")) {
  const w = wall(now());
  return made && at(made, w.hour * 60 + w.minute, 0);
}

/** The parts of windows that lie on a day: {window, from, to} in minutes of its clock. */
function pieces(i) {
  const found = [];
  for (const window of windows()) {
    const [a, b] = [wall(Date.parse(window.begins)), wall(Date.parse(window.ends))];
    const at_ = first() + i * DAY;
    const [begins, ends] = [Date.UTC(a.year, a.month - 1, a.day), Date.UTC(b.year, b.month - 1, b.day)];
    if (at_ < begins || at_ > ends) continue;
    const from = at_ === begins ? a.hour * 60 + a.minute : 0;
    const to = at_ === ends ? b.hour * 60 + b.minute : 24 * 60;
    if (to > from) found.push({ window, from, to });
  }
  return found.sort((x, y) => x.from - y.from || y.to - x.to);
}

/** piece → [its column, how many columns], so that what is at one time lies side by side. */
function sideBySide(found) {
  const placed = new Map();
  let cluster = [];
  let end = -1;
  const close = () => {
    const most = Math.max(0, ...cluster.map((x) => placed.get(x)[0])) + 1;
    for (const x of cluster) placed.get(x)[1] = most;
    cluster = [];
  };
  for (const piece of found) {
    if (piece.from >= end) close();
    const taken = new Set(cluster.filter((x) => x.to > piece.from).map((x) => placed.get(x)[0]));
    let column = 0;
    while (taken.has(column)) column += 1;
    placed.set(piece, [column, 1]);
    cluster.push(piece);
    end = Math.max(end, piece.to);
  }
  close();
  return placed;
}

function drawPiece({ window, from, to }, [column, columns]) {
  const what = `${window.count} × ${window.profile}`;
  const made = button("", () => open(window.id), {
    key: `window-${window.id}-${window.begins}-${from}`, className: `window tone-${tone(window.group)}`,
  });
  made.append(make("strong", "", window.group), make("span", "", ` ${what}`),
    make("span", "times", ` ${hhmm(from)}–${hhmm(to)}`));
  made.title = `${window.group}: ${what}, ${hhmm(from)}–${hhmm(to)}`;
  made.style.setProperty("--column", column);
  made.style.setProperty("--columns", columns);
  return at(made, from, to - from);
}

function tone(name) {
  let sum = 0;
  for (const letter of name) sum = (sum * 31 + letter.codePointAt(0)) % 997;
  return sum % TONES;
}

// ---- one reservation ----

/** When it is, in words. */
function when(x) {
  if (x.kind === "span") {
    return say("{from} to {to}", { from: x.begins.replace("T", " "), to: x.ends.replace("T", " ") });
  }
  const names = { mon: 5, tue: 6, wed: 7, thu: 8, fri: 9, sat: 10, sun: 11 }; // 5 January 1970
  const days = x.days.map((d) => date(Date.UTC(1970, 0, names[d]), { weekday: "short" })).join(", ");
  const dates = x.last ? say("{from} to {to}", { from: x.first, to: x.last })
    : say("from {date} on", { date: x.first });
  return `${days} ${x.start}–${x.end} · ${dates}`;
}

function about(x) {
  return [
    [say("Group"), x.group], [say("Slices"), `${x.count} × ${x.profile}`],
    [say("When"), when(x)], [say("Time zone"), x.zone], [say("Note"), x.note],
    [say("Made by"), x.made_by],
  ].filter(([, value]) => value);
}

function open(id) {
  const found = live.reservations.find((x) => x.id === id);
  if (!found) return;
  const made = dialog(say("Reservation"), make("dl", "facts", ...about(found).flatMap(
    ([name, value]) => [make("dt", "", name), make("dd", "", value)],
  )));
  const close = button(say("Close"), () => made.close());
  const verbs = mayReserve(found.group)
    ? [button(say("Remove …"), () => { made.close(); remove(found); }, { className: "strong" })] : [];
  made.append(make("div", "buttons", close, ...verbs));
}

async function remove(x) {
  const sure = await confirm({
    title: say("Remove this reservation?"), text: `${x.group} · ${x.count} × ${x.profile} · ${when(x)}`,
    verb: say("Remove"),
  });
  if (sure !== null && await act("DELETE", `reservations/${x.id}`)) fetched = null;
}

/** All reservations as a list: the same as the grid, to be read from top to bottom. */
export function drawReservations(reservations) {
  if (!reservations.length) return [make("li", "empty", say("Nothing is reserved."))];
  return reservations.map((x) => {
    const end = mayReserve(x.group)
      ? button(say("Remove …"), () => remove(x), { key: `remove-${x.id}` }) : null;
    end?.setAttribute("aria-label", `${say("Remove …")} ${x.group} ${when(x)}`);
    return make("li", "row", make("span", `swatch tone-${tone(x.group)}`), make("strong", "", x.group),
      make("span", "", `${x.count} × ${x.profile}`), make("span", "", when(x)),
      x.zone === zone ? null : make("small", "", x.zone), x.note ? make("small", "", x.note) : null,
      end);
  });
}

// ---- a new one ----

function wanted(days, drawn) {
  const today = day(now());
  const picked = drawn ? drawn.days.map((i) => days[i]) : [];
  const start = Math.max(today, picked[0] ?? days[0]);
  reserve({
    profiles: live.offers.map((x) => x.profile), date: new Date(start).toISOString().slice(0, 10),
    once: drawn ? new Date(picked[0]).toISOString().slice(0, 10) : null,
    days: picked.map((x) => new Date(x).getUTCDay()),
    start: drawn ? hhmm(drawn.from) : "", end: drawn ? hhmm(drawn.to) : "",
    saved: () => { fetched = null; },
  });
}
