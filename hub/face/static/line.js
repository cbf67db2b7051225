// The line by size, with one's own place; and runs.

import { act, confirm } from "./ask.js";
import { button, make, set } from "./dom.js";
import { askEnd } from "./mine.js";
import { clock, me, operator, prefix, range, say, staff, word } from "./speak.js";

const DONE = new Set(["succeeded", "failed", "cancelled", "interrupted", "timed-out",
  "out-of-memory", "kernel-died", "lost"]);
const SHOWN_RUNS = 30;

/** Everybody who waits, by size, in the order in which they will be served. */
export function drawLine(line) {
  if (!line.length) return [make("p", "empty", say("Nobody waits."))];
  const sizes = new Map();
  for (const one of line) sizes.set(one.profile, [...(sizes.get(one.profile) ?? []), one]);
  return [...sizes].map(([profile, waiting]) => {
    const rows = [...waiting].sort((a, b) => a.position - b.position);
    const title = make("h3", "", profile,
      make("small", "", say("{count} in the line", { count: rows.length })));
    const known = staff && rows.some((x) => x.user);
    return make("section", "size", title, known ? named(rows) : places(rows),
      ...rows.filter((x) => !known && isMine(x)).map(told));
  });
}

const isMine = (one) => one.mine ?? one.user === me;

// others are a number and no more, so that a long line stays short
function places(rows) {
  return make("ol", "places", ...rows.map((one) => {
    const own = isMine(one);
    const about = [own ? say("you") : say("somebody"),
      one.kind === "run" ? say("run") : null,
      say("since {time}", { time: clock(one.asked_at) })].filter(Boolean).join(", ");
    const made = make("li", `${own ? "mine" : ""} ${one.kind}`, String(one.position),
      own ? make("span", "", ` ${say("you")}`) : make("span", "hidden", ` ${about}`));
    return set(made, { title: about });
  }));
}

function told(one) {
  const eta = one.eta_earliest ? say("Probably {range}", {
    range: range(one.eta_earliest, one.eta_latest),
  }) : "";
  const place = make("strong", "", say("Your place: {position}", { position: one.position }));
  return make("p", "", place, eta && ` · ${eta}`,
    one.reason ? make("span", "soft why", one.reason) : null);
}

function named(rows) {
  return make("ol", "rows named", ...rows.map((one) => {
    const own = isMine(one);
    const who = own ? say("you") : one.user ?? say("somebody");
    const eta = one.eta_earliest ? range(one.eta_earliest, one.eta_latest) : null;
    const end = one.id && !own
      ? button(say("End …"), () => askEnd({ ...one, stage: "waiting" }), { key: `out-${one.id}` })
      : null;
    if (end) end.setAttribute("aria-label", say("End the lease of {user}?", { user: one.user }));
    const about = [one.group, one.kind === "run" ? say("run") : null,
      say("since {time}", { time: clock(one.asked_at) }), eta].filter(Boolean);
    return make("li", own ? "row mine" : "row", make("strong", "", String(one.position)),
      make("div", "", make("span", "user", who), ...about.map((x) => make("small", "", x))), end);
  }));
}

// ---- runs ----

/** The newest runs. */
export function drawRuns(runs) {
  if (!runs.length) return [make("li", "empty", say("No runs yet."))];
  return runs.slice(0, SHOWN_RUNS).map((run) => {
    const done = DONE.has(run.stage);
    const cells = run.cells && !done
      ? make("span", "", say("cell {done} of {total}", { done: run.cells_done, total: run.cells }))
      : null;
    const steps = run.steps && !done
      ? make("span", "", say("step {done} of {total}", { done: run.steps_done, total: run.steps }))
      : null;
    const later = run.stage === "planned" && run.not_before
      ? make("small", "", say("not before {time}", { time: clock(run.not_before) })) : null;
    const log = set(make("a", "", say("Log")), { "data-key": `log-${run.id}` });
    log.href = `${prefix}api/runs/${run.id}/logs`;
    const name = set(make("a", "", run.notebook), { "data-key": `run-${run.id}` });
    name.href = `${prefix}runs/${run.id}`;
    return make("li", `row ${run.stage}`, make("strong", "", name),
      make("span", "state", word(run.stage)), make("span", "", run.profile),
      operator ? make("span", "user", run.user) : null, cells, steps, later,
      make("small", "", clock(run.asked_at)), run.message ? make("small", "", run.message) : null,
      log, done ? null : button(say("Cancel"), () => cancel(run), { key: `cancel-${run.id}` }));
  });
}

async function cancel(run) {
  const sure = await confirm({
    title: say("Cancel {name}?", { name: run.notebook }),
    text: say("It saves what it has, and stops."), verb: say("Cancel the run"),
  });
  if (sure !== null) await act("DELETE", `runs/${run.id}`);
}
