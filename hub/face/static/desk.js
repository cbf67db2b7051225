// For operators and instructors: who holds what, groups, and what was used.

import { act, call, dialog, field } from "./ask.js";
import { isOver } from "./cards.js";
import { bar, button, make, set, show, table, trouble } from "./dom.js";
import { askEnd } from "./mine.js";
import { clock, number, operator, percent, prefix, say, span, word, xsrf } from "./speak.js";

const EVERY = 60_000; // ms between two looks at groups and usage

// ---- who holds what ----

/** All leases that one may see, as a table. */
export function drawLeases(leases) {
  const held = leases.filter((x) => x.stage !== "waiting");
  if (!held.length) return [make("p", "empty", say("Nobody holds a slice."))];
  return [table(say("Who holds what"), [
    say("Person"), say("Group"), say("Slice"), say("State"), say("Since"), say("Until"),
    say("Slice-hours"), "",
  ], held.map((x) => [
    x.user, x.group ?? "", `${x.profile}${x.kind === "run" ? ` · ${say("run")}` : ""}`, state(x),
    clock(x.granted_at ?? x.asked_at), until(x), number(x.slice_hours ?? 0), end(x),
  ]))];
}

function state(lease) {
  const found = lease.notice ? "ending"
    : { granted: "held", running: "held" }[lease.stage] ?? lease.stage;
  const idle = lease.idle_since
    ? make("small", "", say("idle since {time}", { time: clock(lease.idle_since) })) : null;
  return make("span", "", make("span", `state ${found}`, word(found)), " ", idle);
}

function until(lease) {
  if (lease.leave_by) return clock(lease.leave_by);
  if (lease.promised) {
    const promised = isOver(lease) ? say("promise over")
      : say("promised {time}", { time: clock(lease.promised) });
    return make("span", "", promised,
      lease.until ? make("small", "", ` · ${say("at the latest {time}", { time: clock(lease.until) })}`)
        : null);
  }
  return lease.until ? clock(lease.until) : "";
}

function end(lease) {
  if (!["granted", "running"].includes(lease.stage)) return "";
  const made = button(say("End …"), () => askEnd(lease), { key: `end-${lease.id}` });
  return set(made, { "aria-label": say("End the lease of {user}?", { user: lease.user }) });
}

// ---- groups ----

async function refreshGroups() {
  const answer = await call("GET", "groups");
  if (answer.ok) show("groups", answer.body, drawGroups);
  else trouble(answer.message);
}

function drawGroups(groups) {
  const rows = groups.map((x) => [
    x.name, number(x.weight, 2),
    bar(x.use, say("{use} used, {share} its share", {
      use: percent(x.use), share: percent(x.share),
    }), { mark: x.share, tone: x.use > x.share ? "over" : "" }),
    quota(x.week_used, x.quota), x.user_quota === null ? say("none") : number(x.user_quota),
    x.ends ?? "", String(x.members), operator ? edit(x) : "",
  ]);
  const shown = groups.length ? table(say("Groups"), [
    say("Group"), say("Weight"), say("Use and share"), say("Week"), say("Quota for each"),
    say("Ends"), say("Members"), "",
  ], rows) : make("p", "empty", say("There are no groups."));
  const add = operator ? make("div", "tools",
    button(say("Add a group …"), () => editGroup(null), { key: "group-add" })) : null;
  return [shown, add].filter(Boolean);
}

function quota(used, most) {
  return most === null ? say("{used} slice-hours", { used: number(used) })
    : say("{used} of {quota} slice-hours", { used: number(used), quota: number(most) });
}

function edit(group) {
  const made = button(say("Change …"), () => editGroup(group), { key: `group-${group.name}` });
  return set(made, { "aria-label": `${say("Change …")} ${group.name}` });
}

const input = (name, type, rest) => set(make("input", ""), { name, type, ...rest });

function editGroup(group) {
  const value = (x) => x ?? "";
  const hours = { min: 0.1, step: "any", placeholder: say("none") };
  const form = make("form", "",
    group ? null : field(say("Name"), input("name", "text", { required: true, maxlength: 100 })),
    field(say("Weight"), input("weight", "number", {
      min: 0, step: "any", required: true, value: group?.weight ?? 1,
    }), say("Its part of the whole, against the weights of the others.")),
    field(say("Quota, slice-hours a week"), input("quota", "number",
      { ...hours, value: value(group?.quota) }), say("For the whole group. Empty: none.")),
    field(say("Quota for each member"), input("user_quota", "number",
      { ...hours, value: value(group?.user_quota) })),
    field(say("Ends"), input("ends", "date", { value: value(group?.ends) }),
      say("The last day on which it may ask.")));
  const said = set(make("p", "checked not"), { role: "alert" });
  const made = dialog(group ? say("Change {name}", { name: group.name }) : say("Add a group …"), form);
  const reset = group ? button(say("Back to the default"), async () => {
    made.close();
    if (await act("DELETE", `groups/${encodeURIComponent(group.name)}`)) refreshGroups();
  }) : null;
  form.append(said, make("div", "buttons", button(say("Not now"), () => made.close()), reset ?? "",
    set(make("button", "strong", say("Save")), { type: "submit" })));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const name = group?.name ?? new FormData(form).get("name");
    const path = `groups/${encodeURIComponent(name)}${group ? "" : "?create=true"}`;
    const answer = await call("PUT", path, settings(form));
    said.textContent = answer.message;
    if (!answer.ok) return;
    made.close();
    refreshGroups();
  });
}

function settings(form) {
  const data = new FormData(form);
  const hours = (x) => (data.get(x) === "" ? null : Number(data.get(x)));
  return { weight: Number(data.get("weight")), quota: hours("quota"),
    user_quota: hours("user_quota"), ends: data.get("ends") || null };
}

// ---- usage ----

const wanted = { by: "user", since: "7d" };

async function refreshUsage() {
  const answer = await call("GET", `usage?by=${wanted.by}&since=${wanted.since}`);
  if (answer.ok) show("usage", answer.body, drawUse);
  else trouble(answer.message);
}

function drawUse(rows) {
  if (!rows.length) return [make("p", "empty", say("Nothing was used in this time."))];
  const people = wanted.by === "user";
  const names = people ? [say("Person"), say("Group")] : [say("Group")];
  return [table(say("Usage"), [
    ...names, say("Slice-hours"), say("Idle"), say("Leases"), say("Mean wait"),
    say("95 % waited at most"),
  ], rows.map((x) => [
    ...(people ? [x.user ?? say("the others"), x.group] : [x.group]), number(x.slice_hours),
    idle(x), String(x.leases), wait(x.wait_seconds_mean), wait(x.wait_seconds_p95),
  ]))];
}

// what nobody could measure is said so, and is no 0
const idle = (x) => (x.idle_hours === null ? say("not known") : number(x.idle_hours));
const wait = (seconds) => (seconds === null ? "–" : span(seconds * 1000));

function choice(name, label, values) {
  const made = make("select", "", ...values.map(([value, text]) => set(make("option", "", text),
    { value })));
  made.addEventListener("change", () => {
    wanted[name] = made.value;
    link();
    refreshUsage();
  });
  return make("label", "field inline", make("span", "", label), made);
}

function link() {
  const { by, since } = wanted;
  document.getElementById("csv").href =
    `${prefix}api/usage?by=${by}&since=${since}&format=csv&_xsrf=${xsrf}`;
}

/** Begins to look after groups and usage; nothing where the page has no such sections. */
export function openDesk() {
  const tools = document.getElementById("usage-tools");
  if (!tools) return;
  tools.prepend(
    choice("by", say("By"), [["user", say("Person")], ["group", say("Group")]]),
    choice("since", say("Last"), [["7d", say("{d} days", { d: 7 })],
      ["28d", say("{d} days", { d: 28 })], ["120d", say("{d} days", { d: 120 })]]),
  );
  link();
  const look = () => {
    if (document.hidden) return;
    refreshGroups();
    refreshUsage();
  };
  look();
  setInterval(look, EVERY);
}
