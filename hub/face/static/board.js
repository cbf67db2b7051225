// The board, live: what the stream says is handed to the sections that show it.

import { calendar, drawCalendar, drawReservations, moveNow } from "./calendar.js";
import { drawGpus, drawLegend, isOver } from "./cards.js";
import { drawLeases, openDesk } from "./desk.js";
import { show, tickAll } from "./dom.js";
import { drawLine, drawRuns } from "./line.js";
import { drawMine, drawUsage, goneSince, tellCountdowns, tellMine } from "./mine.js";
import { heard, me, prefix, say, xsrf } from "./speak.js";

const SILENT = 40_000; // ms; the server says something at least every 15 s
const BEHIND = 3000; // ms that news may be under way
const AGAIN = 2000;

let mine = []; // one's own leases, as last heard
let past = []; // those of them that were ended by somebody or something else, until dismissed
let slices = [];

function shown(state) {
  mine = state.leases.filter((x) => x.user === me);
  show("legend", state.slices.map((x) => x.state), () => drawLegend(state.slices));
  slices = state.slices;
  showPromised();
  show("week", state.usage, drawUsage);
  show("line", state.line, drawLine);
  show("leases", state.leases, drawLeases);
  show("runs", state.runs, drawRuns);
  show("calendar", calendar(state), drawCalendar);
  show("reservations", state.reservations, drawReservations);
  tellMine(mine);
  goneSince(mine).then((found) => {
    past = [...past, ...found];
    showPromised();
  });
}

function dismiss(id) {
  past = past.filter((x) => x.id !== id);
  showPromised();
}

// a promise that is over is said in other words, without any news
function showPromised() {
  show("mine", { mine, past, over: mine.map(isOver) }, () => drawMine(mine, past, dismiss));
  show("gpus", { slices, over: slices.map(isOver) }, () => drawGpus(slices));
}

// ---- the connection ----

let source = null;
let again = null;
let last = 0; // when something was heard, by the browser's own clock that only goes on

function connection(text, bad) {
  const place = document.getElementById("connection");
  if (place.textContent !== text) place.textContent = text;
  place.classList.toggle("lost", bad);
}

const LOST = () => connection(say("The connection is lost; trying again …"), true);

function listened(iso) {
  last = performance.now();
  const behind = heard(iso);
  if (behind < BEHIND) connection(say("Live"), false);
  else connection(say("Live, {s} s behind", { s: Math.round(behind / 1000) }), true);
}

function open() {
  close();
  last = performance.now();
  source = new EventSource(`${prefix}api/events?_xsrf=${xsrf}`);
  source.addEventListener("state", (event) => {
    const state = JSON.parse(event.data);
    listened(state.now);
    shown(state);
  });
  source.addEventListener("now", (event) => listened(JSON.parse(event.data)));
  source.addEventListener("error", () => {
    LOST();
    // a refused connection is not tried again by the browser
    if (source?.readyState === EventSource.CLOSED) later();
  });
}

function later() {
  clearTimeout(again);
  again = setTimeout(retry, AGAIN);
}

async function retry() {
  const answer = await fetch(`${prefix}api/me`, { headers: { "X-Xsrftoken": xsrf } })
    .catch(() => null);
  if (answer?.status === 401 || answer?.status === 403) {
    window.location.reload();
    return;
  }
  if (answer) open();
  else later();
}

function close() {
  clearTimeout(again);
  source?.close();
  source = null;
}

// a connection that says nothing may be dead without the browser knowing
function watch() {
  if (!source || performance.now() - last < SILENT) return;
  LOST();
  close();
  later();
}

// a browser has few connections to one host: a tab that nobody sees gives its own back
document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
window.addEventListener("pagehide", close);
window.addEventListener("pageshow", () => { if (!source && !document.hidden) open(); });
if (!document.hidden) open();
openDesk();

setInterval(() => {
  tickAll();
  showPromised();
  moveNow();
  tellCountdowns(mine);
  watch();
}, 1000);
