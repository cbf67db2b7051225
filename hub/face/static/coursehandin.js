// Handing in, on a course's page. A page cannot be fetched (hub/face/login.py), so it is loaded anew
// after each change: what was typed, opened and focused in it comes back.

import { call, confirm } from "./ask.js";
import { asked } from "./course.js";
import { announce, make, set } from "./dom.js";
import { say } from "./speak.js";

const section = document.getElementById("handing-in");
const KEPT = `madang-handing-in ${window.location.pathname}`;
let busy = false;

// ---- what did not work stands beside what was pressed ----

function told(near, text) {
  near.parentElement.querySelector(":scope > .refused")?.remove();
  if (text) near.after(set(make("p", "trouble refused", text), { role: "alert" }));
}

/** One request at a time, of a button that keeps the focus meanwhile; null where it was declined. */
async function once(button, method, path, body) {
  busy = true;
  button.setAttribute("aria-disabled", "true");
  announce(say("One moment …"));
  told(button, "");
  const answer = await call(method, path, body);
  busy = false;
  button.removeAttribute("aria-disabled");
  announce("");
  told(button, answer.message);
  return answer.ok ? answer : null;
}

// ---- what stays over a reload ----

/** Every text field that can be found again. */
function fields() {
  const found = [...document.forms].flatMap((form) => (
    [...form.querySelectorAll("input:not([type=file], [type=hidden]), textarea")].map((x) => [
      `${form.dataset.collect ?? form.dataset.call} ${x.name}`, x,
    ])));
  return new Map(found);
}

/** Load the page anew; `said` is shown then, `problems` with it, and `focus` is a selector. */
function renew(said, { focus = "#handing-in-title", at = "", problems = [] } = {}) {
  const open = [...section.querySelectorAll("details[open]")].map((x) => x.id);
  const typed = [...fields()].map(([key, x]) => [key, x.value]).filter(([, x]) => x);
  sessionStorage.setItem(KEPT, JSON.stringify({ said, problems, at, focus, open, typed }));
  window.location.reload();
}

function restore() {
  const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  sessionStorage.removeItem(KEPT);
  if (!kept) return;
  const there = fields();
  for (const [key, value] of kept.typed) if (there.has(key)) there.get(key).value = value;
  for (const id of kept.open) document.getElementById(id)?.setAttribute("open", "");
  document.querySelector(kept.focus)?.focus();
  const place = (kept.at && section.querySelector(kept.at)) || section.querySelector(".told");
  place.append(set(make("p", "checked fits", kept.said), { role: "status" }));
  if (kept.problems.length) {
    place.append(make("ul", "trouble", ...kept.problems.map((x) => make("li", "", x))));
  }
}

async function press(button) {
  const wanted = busy ? null : await asked(button);
  if (!wanted) return;
  const answer = await once(button, wanted.method, wanted.path, wanted.body);
  if (!answer) return;
  const { user, name, files } = answer.body;
  if (!user) renew(say("{name} was dropped.", { name }));
  else {
    renew(say("Collected of {user}, files: {files}", { user, files }), {
      focus: `[aria-label="${CSS.escape(button.getAttribute("aria-label"))}"]`,
    });
  }
}

// ---- a new collection ----

/** A name that the server takes, made of a folder's. */
const named = (path) => path.toLowerCase().replace(/[/_.\s]+/g, "-").replace(/^-+|-+$/g, "");

/** Whether the person wants what this does: now is for once, and another one is changed by it. */
async function sure({ name, due }) {
  if (!due) {
    return confirm({
      title: say("Collect {name} now?", { name }), verb: say("Collect"),
      text: say(
        "What each student has saved by now is copied, once. Afterwards only one student's at a time.",
      ),
    });
  }
  const there = section.querySelector(`[data-collection="${CSS.escape(name)}"]`);
  if (there?.dataset.stage !== "planned") return "";
  return confirm({
    title: say("Change {name}?", { name }), verb: say("Change"),
    text: say("Its folder and its deadline become as you have written them here."),
  });
}

async function collect(form) {
  const { path, name, due } = Object.fromEntries(new FormData(form));
  const wanted = { name: name.trim() || named(path.trim()), path: path.trim(), due };
  if (busy || await sure(wanted) === null) return;
  const button = form.querySelector("[type=submit]");
  const answer = await once(button, "POST", form.dataset.collect, wanted);
  if (!answer) return;
  form.reset();
  renew(answer.body.taken_at ? say("{name} is collected.", wanted)
    : say("{name} is planned.", wanted));
}

// ---- feedback ----

/** A file in base64; null where it cannot be read. */
function encoded(file) {
  return new Promise((resolve) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result.split(",")[1] ?? ""));
    reader.addEventListener("error", () => resolve(null));
    reader.readAsDataURL(file);
  });
}

async function giveBack(form) {
  if (busy) return;
  const button = form.querySelector("[type=submit]");
  const files = await encoded(form.elements.files.files[0]);
  if (files === null) {
    told(button, say("The file cannot be read."));
    return;
  }
  const answer = await once(button, "POST", form.dataset.feedback, { files });
  if (!answer) return;
  const laid = answer.body.filter((x) => !x.problem).length;
  renew(say("Students who were given feedback: {count}", { count: laid }), {
    at: `[data-feedback="${CSS.escape(form.dataset.feedback)}"] .told`,
    focus: `#${CSS.escape(form.closest("details").id)} > summary`,
    problems: answer.body.filter((x) => x.problem).map((x) => `${x.user}: ${x.problem}`),
  });
}

// ---- the page comes with them disabled: a press before this would be lost ----

function bind() {
  for (const button of section.querySelectorAll("button[data-call]")) {
    button.addEventListener("click", () => press(button));
    button.disabled = false;
  }
  for (const form of section.querySelectorAll("form")) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      (form.dataset.feedback ? giveBack : collect)(form);
    });
    form.querySelector("[type=submit]").disabled = false;
  }
}

if (section) {
  bind();
  restore(); // after it: a disabled button takes no focus
}
