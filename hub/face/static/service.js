"use strict";
// The room, live. Every text from outside is set as text, never as HTML.

const room = document.getElementById("room");
const { prefix, xsrf, language, name: me } = room.dataset;
const operator = room.dataset.operator === "yes";
const texts = JSON.parse(room.dataset.texts);
const SLOTS = 8;
const DONE = new Set(["succeeded", "failed", "cancelled", "interrupted", "timed-out",
  "out-of-memory", "kernel-died", "lost"]);
// one word for one thing, whether it is a slice's state or a lease's stage
const WORDS = { held: "in use", draining: "ending", quarantined: "out of order" };

function say(text, values = {}) {
  return (texts[text] ?? text).replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
}

function make(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children.filter((x) => x !== null));
  return made;
}

function gib(mib) {
  return (mib / 1024).toLocaleString(language, { maximumFractionDigits: 1 });
}

function clock(iso) {
  const at = new Date(iso);
  const sameDay = at.toDateString() === new Date().toDateString();
  const day = sameDay ? {} : { month: "short", day: "numeric" };
  return at.toLocaleString(language, { ...day, hour: "2-digit", minute: "2-digit" });
}

// ---- what is shown ----

// a section is made anew only when its own data changed: focus and selection stay where they are
const shown = {};
function show(id, data, draw) {
  const text = JSON.stringify(data);
  if (shown[id] === text) return;
  shown[id] = text;
  document.getElementById(id).replaceChildren(...draw(data));
}

function drawGpus(slices) {
  if (!slices.length) return [make("p", "empty", say("Madang sees no GPU."))];
  const cards = new Map();
  for (const slice of slices) {
    const key = `${slice.node}/${slice.gpu}`;
    cards.set(key, [...(cards.get(key) ?? []), slice]);
  }
  return [...cards.values()].map(drawGpu);
}

function drawGpu(slices) {
  const [{ gpu_index: index, gpu_name: model, node }] = slices;
  const title = make("h3", "", say("GPU {index}", { index }),
    make("small", "", ` ${model} · ${node}`));
  const slots = make("ul", "slots");
  const taken = new Set();
  for (const slice of slices) {
    for (let i = 0; i < slice.memory; i += 1) taken.add(slice.start + i);
    slots.append(drawSlice(slice));
  }
  for (let i = 0; i < SLOTS; i += 1) {
    if (!taken.has(i)) slots.append(place(make("li", "slice uncut", say("not cut")), i, 1));
  }
  return make("article", "gpu", title, slots);
}

function drawSlice(slice) {
  const state = say(WORDS[slice.state] ?? slice.state);
  const whose = slice.user === me ? say("yours") : slice.user;
  const total = gib(slice.memory_mib);
  const memory = slice.used_mib === null ? say("{total} GiB", { total })
    : say("{used} of {total} GiB", { used: gib(slice.used_mib), total });
  const made = make("li", `slice ${slice.state}`, make("strong", "", slice.profile),
    make("span", "state", state), whose ? make("span", "user", whose) : null,
    make("small", "", memory));
  if (slice.user === me) made.classList.add("mine");
  return place(made, slice.start, slice.memory);
}

function place(made, start, size) {
  made.style.setProperty("--line", start + 1);
  made.style.setProperty("--size", size);
  return made;
}

function drawLine(line) {
  if (!line.length) return [make("li", "empty", say("Nobody waits."))];
  return line.map(({ position, profile, user, asked_at: at }) => {
    const who = user === me ? say("you") : user ?? say("somebody");
    return make("li", user === me ? "row mine" : "row",
      make("strong", "", say("{position}. {profile}", { position, profile })),
      make("span", "user", who), make("small", "", say("since {time}", { time: clock(at) })));
  });
}

function drawLeases(leases) {
  if (!leases.length) {
    const text = operator ? "Nobody holds or waits for a slice."
      : "You hold no slice and wait for none.";
    return [make("li", "empty", say(text))];
  }
  return leases.map((lease) => {
    const what = lease.kind === "server" ? ["JupyterLab", lease.name] : ["run", lease.name];
    const open = ["waiting", "granted", "running"].includes(lease.stage);
    const verb = lease.stage === "waiting" ? "Leave the line" : "Give back";
    const since = lease.granted_at ?? lease.asked_at;
    return make("li", "row", make("strong", "", lease.profile),
      make("span", "state", say(WORDS[lease.stage] ?? lease.stage)),
      make("span", "", [say(what[0]), what[1]].filter(Boolean).join(" ")),
      operator ? make("span", "user", lease.user) : null,
      make("small", "", say("since {time}", { time: clock(since) })),
      open ? button(verb, `api/leases/${lease.id}`, lease.stage !== "waiting" && lease.profile)
        : null);
  });
}

function drawRuns(runs) {
  if (!runs.length) return [make("li", "empty", say("No runs yet."))];
  return runs.slice(0, 50).map((run) => {
    const cells = run.cells && !DONE.has(run.stage)
      ? make("span", "", say("cell {done} of {total}", { done: run.cells_done, total: run.cells }))
      : null;
    const log = make("a", "", say("Log"));
    log.href = `${prefix}api/runs/${run.id}/logs`;
    return make("li", `row ${run.stage}`, make("strong", "", run.notebook),
      make("span", "state", say(run.stage)), make("span", "", run.profile),
      operator ? make("span", "user", run.user) : null, cells,
      make("small", "", clock(run.asked_at)), run.message ? make("small", "", run.message) : null,
      log, DONE.has(run.stage) ? null : button("Cancel", `api/runs/${run.id}`, run.notebook));
  });
}

// ---- what can be done ----

// `asked`: what is lost by it; nothing is asked where nothing is lost
function button(text, path, asked) {
  const made = make("button", "", say(text));
  made.type = "button";
  made.addEventListener("click", async () => {
    const question = say("End {name}? It stops, and what is not saved is lost.", { name: asked });
    if (asked && !window.confirm(question)) return;
    made.disabled = true;
    const answer = await fetch(prefix + path, {
      method: "DELETE", headers: { "X-Xsrftoken": xsrf, "Accept-Language": language },
    }).catch(() => null);
    const body = answer?.ok ? null : await answer?.json().catch(() => null);
    trouble(answer?.ok ? "" : body?.error?.message
      ?? say("The connection is lost; trying again …"));
    made.disabled = Boolean(answer?.ok);
  });
  return made;
}

function trouble(text) {
  const place = document.getElementById("trouble");
  place.textContent = text;
  place.hidden = !text;
}

// ---- live ----

let source = null;
let again = null;

function connected(yes) {
  const place = document.getElementById("connection");
  place.textContent = say(yes ? "Live" : "The connection is lost; trying again …");
  place.classList.toggle("lost", !yes);
}

function open() {
  close();
  source = new EventSource(`${prefix}api/events?_xsrf=${xsrf}`);
  source.addEventListener("open", () => connected(true));
  source.addEventListener("state", (event) => {
    const state = JSON.parse(event.data);
    show("gpus", state.slices, drawGpus);
    show("leases", state.leases, drawLeases);
    show("runs", state.runs, drawRuns);
    show("line", state.line, drawLine);
  });
  source.addEventListener("error", () => {
    connected(false);
    // a refused connection is not tried again by the browser
    if (source?.readyState === EventSource.CLOSED) again = setTimeout(retry, 2000);
  });
}

async function retry() {
  const answer = await fetch(`${prefix}api/me`, { headers: { "X-Xsrftoken": xsrf } })
    .catch(() => null);
  if (answer?.status === 401 || answer?.status === 403) {
    window.location.reload();
    return;
  }
  open();
}

function close() {
  clearTimeout(again);
  source?.close();
  source = null;
}

// a browser has few connections to one host: a tab that nobody sees gives its own back
document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
window.addEventListener("pagehide", close);
window.addEventListener("pageshow", () => { if (!source && !document.hidden) open(); });
if (!document.hidden) open();
