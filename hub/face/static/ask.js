// Asking: the server, with its own words when it declines; and the person, before something is lost.

import { button, make, set, trouble } from "./dom.js";
import { language, prefix, say, xsrf } from "./speak.js";

/** One request to the API: {ok, status, body, message}; never throws. */
export async function call(method, path, body) {
  const headers = { "X-Xsrftoken": xsrf, "Accept-Language": language };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(`${prefix}api/${path}`, {
    method, headers, body: body === undefined ? undefined : JSON.stringify(body),
  }).catch(() => null);
  const said = await answer?.json().catch(() => null);
  const ok = Boolean(answer?.ok);
  const message = ok ? "" : said?.error?.message ?? say("Madang does not answer. Try again.");
  return { ok, status: answer?.status ?? 0, body: said, message };
}

/** The same, and what did not work is shown; whether it worked. */
export async function act(method, path, body) {
  const answer = await call(method, path, body);
  trouble(answer.message);
  return answer.ok;
}

let dialogs = 0;

/** A dialog with a title; closes with Esc, and the focus goes back to where it was. */
export function dialog(title, ...children) {
  const heading = make("h2", "", title);
  dialogs += 1;
  heading.id = `dialog-${dialogs}`;
  const made = set(make("dialog", "", heading, ...children), { "aria-labelledby": heading.id });
  const key = document.activeElement?.dataset.key;
  made.addEventListener("close", () => {
    made.remove();
    // its section may have been drawn anew meanwhile
    if (key && document.activeElement === document.body) {
      document.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
    }
  });
  document.body.append(made);
  made.showModal();
  return made;
}

/** A labelled field; `hint` is read with it. */
export function field(label, input, hint = "") {
  const told = hint ? make("small", "", hint) : null;
  return make("label", "field", make("span", "", label), input, told);
}

/** Asks before something is done: what was typed ("" where nothing is asked for), or null.
 *  `reason` is the label of a field for it; `needed`: it cannot be empty. */
export function confirm({ title, text, verb, reason = "", needed = false }) {
  return new Promise((resolve) => {
    const typed = set(make("textarea", ""), { rows: 2, maxlength: 200, required: needed });
    let answer = null;
    const form = make("form", "", text ? make("p", "", text) : null,
      reason ? field(reason, typed) : null,
      make("div", "buttons", button(say("Not now"), () => form.closest("dialog").close()),
        set(make("button", "strong", verb), { type: "submit" })));
    const made = dialog(title, form);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      answer = typed.value.trim();
      made.close();
    });
    made.addEventListener("close", () => resolve(answer));
  });
}
