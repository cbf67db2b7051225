// A course's pages: what is pressed asks the API, after a question where something could be lost.

import { call, confirm, dialog } from "./ask.js";
import { announce, button, make, set, trouble } from "./dom.js";
import { prefix, say } from "./speak.js";

const EVERY = 2000; // ms between two looks at the runs of a check

// ---- buttons that say in the page what they ask for ----

/** "POST courses/x/update" and its body; null where the person does not want it after all. */
export async function asked(button) {
  const [method, path] = button.dataset.call.split(" ");
  const body = button.dataset.body ? JSON.parse(button.dataset.body) : undefined;
  if (!button.dataset.sure) return { method, path, body };
  const { sure: title, text = "", verb } = button.dataset;
  return (await confirm({ title, text, verb })) === null ? null : { method, path, body };
}

/** What an undo could not put in place, because it was changed since: read before it is gone. */
async function toldBeside(done) {
  const kept = done?.undone_at ? done.files.filter((x) => x.fate === "kept") : [];
  if (!kept.length) return;
  const rows = kept.map((x) => make("li", "",
    x.beside ? `${x.path} → ${x.beside}` : x.path, make("small", "", ` ${x.note}`)));
  const made = dialog(say("Changed since, and therefore kept"), make("ul", "rows", ...rows));
  const close = button(say("Close"), () => made.close());
  made.append(make("p", "buttons", close));
  close.focus();
  await new Promise((resolve) => made.addEventListener("close", resolve));
}

async function press(button) {
  const wanted = await asked(button);
  if (!wanted) return;
  button.disabled = true;
  const answer = await call(wanted.method, wanted.path, wanted.body);
  button.disabled = false;
  trouble(answer.message);
  if (!answer.ok) return;
  if (answer.body?.nothing) {
    announce(say("Nothing is new."));
    button.after(make("small", "", say("Nothing is new.")));
    return;
  }
  await toldBeside(answer.body);
  if (button.dataset.go) window.location.assign(prefix + button.dataset.go);
  else window.location.reload();
}

// ---- publishing ----

/** A form with `data-call`: its fields are the body; then to `data-go`, which has {id} in it. */
async function send(form) {
  const [method, path] = form.dataset.call.split(" ");
  const button = form.querySelector("button[type=submit]");
  button.disabled = true;
  announce(say("One moment …"));
  const fields = Object.fromEntries(new FormData(form));
  const answer = await call(method, path, { ...JSON.parse(form.dataset.body ?? "{}"), ...fields });
  button.disabled = false;
  trouble(answer.message);
  if (!answer.ok) return;
  const go = form.dataset.go.replace("{id}", answer.body.id ?? "");
  window.location.assign(prefix + go);
}

// ---- the runs of a check ----

const TONES = {
  succeeded: "free", cancelled: "draining", planned: "held", waiting: "held", starting: "held",
  running: "held", stopping: "held",
};

function checkRow(one) {
  const link = make("a", "", one.path);
  link.href = `${prefix}runs/${one.run}`;
  const cells = one.cells ? say("cell {done} of {total}", {
    done: one.cells_done, total: one.cells,
  }) : "";
  const failed = one.cell ? say("Failed in cell {cell}", { cell: one.cell }) : "";
  return make("li", "row", link,
    make("span", `state ${TONES[one.stage] ?? "blocked"}`, say(one.stage)),
    failed ? make("strong", "", failed) : make("small", "", cells),
    one.error ? make("small", "", one.error) : null,
    one.lines.length ? make("pre", "", one.lines.join("\n")) : null);
}

let read = "";

function told(found) {
  const done = found.checks.filter((x) => x.done).length;
  const text = found.done
    ? (found.ok ? say("Every notebook ran from top to bottom.")
      : say("Not every notebook ran to its end."))
    : say("{done} of {total} notebooks have run", { done, total: found.checks.length });
  if (text !== read) announce(text);
  read = text;
  return text;
}

async function follow(place) {
  const answer = await call("GET", place.dataset.checks);
  if (answer.ok && answer.body.checks.length) {
    trouble("");
    place.replaceChildren(make("p", answer.body.done ? "" : "soft", told(answer.body)),
      set(make("ul", "rows", ...answer.body.checks.map(checkRow)), { "aria-busy": !answer.body.done }));
    if (answer.body.done) return;
  } else if (!answer.ok) {
    trouble(answer.message);
    if (answer.status === 404) return;
  } else return;
  setTimeout(() => follow(place), EVERY);
}

// the section of handing in has its own script (coursehandin.js)
const BUTTONS = "button[data-call]:not(#handing-in *)";
for (const button of document.querySelectorAll(BUTTONS)) {
  button.addEventListener("click", () => press(button));
}
for (const form of document.querySelectorAll("form[data-call]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form);
  });
}
for (const place of document.querySelectorAll("[data-checks]")) follow(place);
// the page comes with them disabled: a press before this would be lost
for (const one of document.querySelectorAll(`${BUTTONS}, form[data-call] [type=submit]`)) {
  one.disabled = false;
}
