// The form of a reservation: all that drawing gives can be typed, and it is checked while typing.

import { call, dialog, field } from "./ask.js";
import { announce, button, make, set } from "./dom.js";
import { date, instructs, operator, say, zone } from "./speak.js";

const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const ORDER = [1, 2, 3, 4, 5, 6, 0];
const PAUSE = 350; // ms after the last change until it is checked

async function groups() {
  if (!operator) return instructs;
  const answer = await call("GET", "groups");
  return answer.ok ? answer.body.map((x) => x.name) : instructs;
}

function choice(name, values) {
  return set(make("select", "", ...values.map((x) => set(make("option", "", x), { value: x }))),
    { name, required: true });
}

const input = (name, type, rest = {}) => set(make("input", ""), { name, type, ...rest });

function zones() {
  const made = set(make("datalist", ""), { id: "zones" });
  const all = new Set([zone, "UTC", ...Intl.supportedValuesOf("timeZone")]);
  made.append(...[...all].map((x) => set(make("option", ""), { value: x })));
  return made;
}

function weekdays(picked) {
  const boxes = ORDER.map((i) => make("label", "check",
    input("days", "checkbox", { value: DAYS[i], checked: picked.includes(i) }),
    date(Date.UTC(1970, 0, 4 + i), { weekday: "short" })));
  return make("fieldset", "days", make("legend", "", say("Days")), ...boxes);
}

function kinds() {
  const kind = (value, text, checked) => make("label", "check",
    input("kind", "radio", { value, checked }), text);
  return make("fieldset", "", make("legend", "", say("How often")),
    kind("weekly", say("Every week"), true), kind("span", say("Once"), false));
}

function parts(given) {
  const from = { value: given.start, step: 300 };
  const weekly = make("div", "pair weekly", weekdays(given.days),
    field(say("From"), input("start", "time", from)),
    field(say("To"), input("end", "time", { ...from, value: given.end })),
    field(say("First day"), input("first", "date", { value: given.date })),
    field(say("Last day"), input("last", "date"), say("Empty: for ever.")));
  const moment = (time) => (given.once && time ? `${given.once}T${time}` : "");
  // an end of 00:00 is the next day's beginning
  const next = given.once && given.end === "00:00"
    ? `${new Date(Date.parse(given.once) + 86_400_000).toISOString().slice(0, 10)}T00:00`
    : moment(given.end);
  const once = make("div", "pair once",
    field(say("Begins"), input("begins", "datetime-local", { value: moment(given.start) })),
    field(say("Ends"), input("ends", "datetime-local", { value: next })));
  return [weekly, once];
}

/** The body of the request, out of the form. */
function body(form) {
  const data = new FormData(form);
  const text = (...names) => Object.fromEntries(
    names.map((x) => [x, data.get(x) ?? ""]).filter(([, value]) => value),
  );
  const when = data.get("kind") === "weekly"
    ? { days: data.getAll("days"), ...text("start", "end", "first", "last") }
    : text("begins", "ends");
  return { ...text("group", "profile", "zone", "note"), count: Number(data.get("count")), ...when };
}

/** Whether enough is filled in to be worth asking the server. */
function ready(x) {
  return x.group && x.profile && x.zone && Number.isInteger(x.count)
    && ((x.days?.length && x.start && x.end) || (x.begins && x.ends));
}

/** Opens the form; `given` is what was drawn, `given.saved` is called after it was saved. */
export async function reserve(given) {
  const form = make("form", "reserve");
  const said = set(make("p", "checked"), { role: "status" });
  const names = await groups();
  if (!names.length) names.push("");
  form.append(
    make("div", "pair", field(say("Group"), choice("group", names)),
      field(say("Size"), choice("profile", given.profiles)),
      field(say("How many"), input("count", "number", { min: 1, value: 1, required: true }))),
    kinds(), ...parts(given),
    make("div", "pair", field(say("Time zone"),
      input("zone", "text", { value: zone, list: "zones", required: true })),
    field(say("Note"), input("note", "text", { maxlength: 200 }))), zones(), said,
  );
  const save = set(make("button", "strong", say("Save")), { type: "submit" });
  const made = dialog(say("Reserve slices"), form);
  form.append(make("div", "buttons", button(say("Not now"), () => made.close()), save));
  listen(form, said, save, { made, saved: given.saved });
}

function listen(form, said, save, { made, saved }) {
  let due = null;
  let asked = 0;

  const tell = (text, fits) => {
    said.textContent = text;
    said.className = `checked ${fits ? "fits" : text ? "not" : ""}`;
  };
  async function check() {
    const wanted = body(form);
    asked += 1;
    const mine = asked;
    // what the server cannot be asked yet, the browser may know
    if (!ready(wanted)) return tell(form.elements.count.validationMessage, false);
    const answer = await call("POST", "reservations?dry_run=1", wanted);
    if (mine !== asked) return null; // something was changed since
    return tell(answer.ok ? say("This fits.") : answer.message, answer.ok);
  }
  const changed = () => {
    form.dataset.kind = new FormData(form).get("kind");
    clearTimeout(due);
    due = setTimeout(check, PAUSE);
  };
  form.addEventListener("input", changed);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    clearTimeout(due);
    asked += 1;
    save.disabled = true;
    const answer = await call("POST", "reservations", body(form));
    save.disabled = false;
    if (!answer.ok) return tell(answer.message, false);
    made.close();
    saved();
    return announce(say("It is reserved."));
  });
  changed();
}
