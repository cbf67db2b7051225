// What is one's own: slices with the time left, the place in the line, use of the week.

import { act, call, confirm } from "./ask.js";
import { announce, bar, button, left, make, refusing, set } from "./dom.js";
import { clock, me, number, now, percent, range, say, span, why, word } from "./speak.js";

const MINUTE = 60_000;
// minutes before the end at which a countdown is read out
const TOLD = [15, 10, 5, 2, 1];

/** One's own leases and places in the line; `past`: what was ended by somebody or something. */
export function drawMine(leases, past, dismiss) {
  const told = past.map((x) => drawPast(x, dismiss));
  if (!leases.length) {
    const go = make("a", "", say("Start a server"));
    go.href = "/hub/spawn";
    return [...told, make("p", "empty", say("You hold no slice and wait for none."), " ", go)];
  }
  return [...told, ...leases.map((x) => (x.stage === "waiting" ? drawWaiting(x) : drawHeld(x)))];
}

function drawPast(lease, dismiss) {
  return make("article", "lease", head(lease), make("p", "notice", lease.reason),
    make("div", "buttons", button(say("Close"), () => dismiss(lease.id),
      { key: `past-${lease.id}` })));
}

function what(lease) {
  const name = lease.kind === "server" ? "JupyterLab" : say("run");
  return [name, lease.name].filter(Boolean).join(" ");
}

function head(lease) {
  const state = lease.notice ? "ending" : lease.stage === "waiting" ? "waiting"
    : { granted: "held", running: "held" }[lease.stage] ?? lease.stage;
  return make("h3", "", make("strong", "", lease.profile),
    make("span", `state ${state}`, word(state)), make("small", "", what(lease)));
}

// ---- in the line ----

function drawWaiting(lease) {
  const place = lease.position
    ? make("p", "place", say("Your place: {position}", { position: lease.position })) : null;
  const eta = lease.eta_earliest ? make("p", "", say("Probably {range}", {
    range: range(lease.eta_earliest, lease.eta_latest),
  })) : null;
  return make("article", "lease waiting", head(lease), place, eta,
    lease.reason ? make("p", "soft", lease.reason) : null,
    make("div", "buttons", button(say("Leave the line"), () => leave(lease),
      { key: `leave-${lease.id}` })));
}

async function leave(lease) {
  const sure = await confirm({
    title: say("Leave the line for {profile}?", { profile: lease.profile }),
    text: say("Your place is lost; asking again is asking anew."), verb: say("Leave the line"),
  });
  if (sure !== null) await act("DELETE", `leases/${lease.id}`);
}

// ---- a slice ----

function drawHeld(lease) {
  const live = ["granted", "running"].includes(lease.stage);
  return make("article", `lease${lease.notice ? " told" : ""}`, head(lease),
    live ? drawNotice(lease) : null, ...(live ? times(lease) : []),
    live ? make("div", "buttons", ...doings(lease)) : null);
}

function drawNotice(lease) {
  if (!lease.notice || !lease.leave_by) return null;
  return make("div", "notice",
    make("p", "", say("Please save your work and give back: {why}.", { why: why(lease.notice) })),
    make("p", "clock", left(lease.leave_by, true), " ",
      make("small", "", say("it ends at {time}", { time: clock(lease.leave_by) }))));
}

function times(lease) {
  const used = lease.slice_hours
    ? make("p", "soft", say("{hours} slice-hours used so far", {
      hours: number(lease.slice_hours),
    })) : null;
  const latest = lease.until && !lease.notice
    ? make("p", "soft", say("at the latest until {time}", { time: clock(lease.until) })) : null;
  if (lease.notice || !lease.promised) return [latest, used];
  if (Date.parse(lease.promised) > now()) {
    return [promise(lease), latest, used];
  }
  return [make("p", "", say("Yours for as long as nobody waits.")), latest, used];
}

function promise(lease) {
  const begun = Date.parse(lease.granted_at);
  const part = (Date.parse(lease.promised) - now()) / (Date.parse(lease.promised) - begun);
  const made = bar(part, say("Promised until {time}", { time: clock(lease.promised) }));
  const [before, after] = say("{left} left", { left: "\0" }).split("\0");
  made.firstChild.append(` · ${before}`, left(lease.promised), after);
  return made;
}

function doings(lease) {
  const key = `extend-${lease.id}`;
  const more = lease.kind !== "server" ? []
    : lease.can_extend ? [button(say("Extend"), () => extend(lease), { key })]
      : refusing(say("Extend"), lease.no_extend || say("It cannot be extended now."), { key });
  const open = make("a", "button", say("Open JupyterLab"));
  open.href = lease.name ? `/user/${encodeURIComponent(me)}/${encodeURIComponent(lease.name)}/lab`
    : "/hub/user-redirect/lab";
  return [lease.kind === "server" ? set(open, { "data-key": `open-${lease.id}` }) : null,
    ...more.slice(0, 1),
    button(say("Give back"), () => giveBack(lease), { key: `give-${lease.id}` }),
    ...more.slice(1)].filter(Boolean);
}

async function extend(lease) {
  if (await act("POST", `leases/${lease.id}/extend`)) announce(say("It was extended."));
}

/** Give back one's own slice, after asking. */
export async function giveBack(lease) {
  const sure = await confirm({
    title: say("Give back {profile}?", { profile: lease.profile }),
    text: say("What runs on it stops, and what is not saved is lost."), verb: say("Give back"),
  });
  if (sure !== null) await act("DELETE", `leases/${lease.id}`);
}

/** End somebody's lease, with a reason that its holder reads. */
export async function askEnd(lease) {
  const waits = lease.stage === "waiting";
  const reason = await confirm({
    title: say("End the lease of {user}?", { user: lease.user }),
    text: waits ? say("The place in the line is lost.")
      : say("What runs on it stops, and what is not saved is lost."),
    reason: say("Reason, for {user}", { user: lease.user }), needed: true,
    verb: say("End this lease"),
  });
  if (reason === null) return;
  await act("DELETE", `leases/${lease.id}?reason=${encodeURIComponent(reason)}`);
}

// ---- what is read out ----

const heardOf = new Map();

/** Say what has changed for the person, and how much of a countdown is left. */
export function tellMine(leases) {
  for (const lease of leases) {
    const before = heardOf.get(lease.id);
    const at = { stage: lease.stage, notice: lease.notice, position: lease.position };
    if (before && at.stage !== before.stage && at.stage === "granted") {
      announce(say("You have a slice: {profile}.", { profile: lease.profile }));
    } else if (before && at.stage === "waiting" && at.position !== before.position) {
      announce(say("Your place: {position}", { position: at.position }));
    } else if (before?.notice && !at.notice && at.stage === before.stage) {
      announce(say("You need not give back any more."));
    }
    heardOf.set(lease.id, { ...before, ...at });
  }
}

/** Those that have gone since: why, where somebody or something else ended them. */
export async function goneSince(leases) {
  const gone = [...heardOf.keys()].filter((id) => leases.every((x) => x.id !== id));
  gone.forEach((id) => heardOf.delete(id));
  const found = await Promise.all(gone.map((id) => call("GET", `leases/${id}`)));
  const past = found.filter((x) => x.ok && x.body.reason).map((x) => x.body);
  for (const lease of past) announce(lease.reason);
  return past;
}

/** Called every second: a countdown is read out at its start and at a few moments. */
export function tellCountdowns(leases) {
  for (const lease of leases.filter((x) => x.notice && x.leave_by)) {
    const ms = Date.parse(lease.leave_by) - now();
    const known = heardOf.get(lease.id) ?? {};
    const due = TOLD.findLast((x) => ms <= x * MINUTE) ?? Infinity;
    if (known.due !== undefined && due >= known.due) continue;
    heardOf.set(lease.id, { ...known, due });
    announce(say("{profile} is asked back: {why}. {left} left.", {
      profile: lease.profile, why: why(lease.notice), left: span(Math.max(ms, 0)),
    }));
  }
}

// ---- use of the week ----

/** Slice-hours of the week against the quota, and use against share, for each of one's groups. */
export function drawUsage(usage) {
  if (!usage) return [];
  return [...usage.groups.flatMap((x) => drawGroup(x, usage.groups.length > 1)),
    make("p", "soft", say("A new week begins {time}.", { time: clock(usage.week_ends) }))];
}

function drawWeek(own) {
  const used = { used: number(own.used), quota: number(own.quota ?? 0) };
  if (own.quota !== null) {
    return bar(own.used / own.quota, say("{used} of {quota} slice-hours this week", used),
      { tone: own.used >= own.quota ? "full" : "" });
  }
  // nobody's own, but the group may have one, which the others use up too
  return make("p", "", own.left === null
    ? say("{used} slice-hours used this week; there is no quota.", used)
    : say("{used} slice-hours used this week; your group's quota leaves {left}.", {
      ...used, left: number(Math.max(0, own.left)),
    }));
}

function drawGroup(own, several) {
  const week = drawWeek(own);
  if (!own.group) return [week];
  const names = { group: own.group, use: percent(own.use), share: percent(own.share) };
  const share = bar(own.use, say("{group}: {use} of all use, your share is {share}", names),
    { mark: own.share, tone: own.use > own.share ? "over" : "" });
  return [several ? make("h3", "", own.group) : null, week, share].filter(Boolean);
}
