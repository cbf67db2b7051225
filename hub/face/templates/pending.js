// The waiting page: shows the hub's events, survives a restart of the hub, cancels.
(() => {
  const words = JSON.parse(document.getElementById("pending").textContent);
  const part = (id) => document.getElementById(id);
  const RETRY = 2000; // ms between two tries while the hub is away
  const BEAT = 2000; // ms between two looks whether the hub is alive; cheap for it
  const BEATS = 5; // after so many, look what it knows of our request; not so cheap
  const PATIENCE = 30; // tries for which a hub that is back may not know of the request yet
  const spawner = window.jhdata.base_url + "api/users/" + encodeURIComponent(words.user);
  let source = null;
  let unknown = 0;
  let over = false;
  let said = "";
  let begun = null; // when the start that we listen to began
  let looking = false;
  let beats = 0;

  function show(content, isHtml) {
    if (content === said) return;
    said = content;
    const line = document.createElement("li");
    for (const place of [part("progress-message"), line]) {
      // html comes from the hub alone, which escapes what people and programs wrote
      if (isHtml) place.innerHTML = content;
      else place.textContent = content;
    }
    part("progress-log").append(line);
  }

  // the hub does not know where the browser is: times come as {2026-11-23T05:20:00Z}
  function timed(text) {
    return text.replace(/\{(\d{4}-[^}]*Z)\}/g, (_, iso) => {
      const at = new Date(iso);
      const sameDay = at.toDateString() === new Date().toDateString();
      const day = sameDay ? {} : { month: "short", day: "numeric" };
      const { lang } = document.documentElement;
      return at.toLocaleString(lang || undefined, { ...day, hour: "2-digit", minute: "2-digit" });
    });
  }

  function advance(percent) {
    part("progress-bar").setAttribute("aria-valuenow", percent);
    part("progress-bar").style.width = percent + "%";
  }

  const titles = {
    waiting: [words.in_line, words.in_line_hint],
    starting: [words.on_its_way, words.on_its_way_hint],
    failed: [words.failed, ""],
  };

  function entitle(stage) {
    const [title, hint] = titles[stage] ?? titles.starting;
    part("title").textContent = title;
    part("hint").textContent = hint;
  }

  function finish(isFailure) {
    if (isFailure) entitle("failed");
    over = true;
    if (source) source.close();
    part("cancel").hidden = true;
    part("again").hidden = false;
    if (isFailure) part("progress-bar").classList.add("bg-danger");
  }

  function listen() {
    if (over) return;
    looking = false;
    source = new EventSource(words.progress);
    source.onmessage = (message) => {
      if (over) return;
      unknown = 0;
      const event = JSON.parse(message.data);
      if (event.progress !== undefined) advance(event.progress);
      if (event.stage) entitle(event.stage);
      if (event.progress === 0 && !event.failed) show(words.requested, false); // JupyterHub's first
      else if (event.html_message !== undefined) show(event.html_message, true);
      else if (event.timed !== undefined) show(timed(event.timed), false);
      else if (event.message !== undefined) show(event.message, false);
      if (event.ready) {
        source.close();
        window.location.reload(); // the hub answers with a redirect to the server
      } else if (event.failed) {
        finish(true);
      }
    };
    source.onerror = () => {
      // an EventSource gives up for good on a 503: look for ourselves what there is
      source.close();
      if (!over) setTimeout(look, RETRY);
    };
  }

  async function get(address) {
    try {
      return await fetch(address, { cache: "no-store" });
    } catch {
      return null; // the machine or the network is away
    }
  }

  function ask() {
    return get(spawner + "?_xsrf=" + window.jhdata.xsrf_token);
  }

  // The proxy keeps our stream open when the hub behind it has died: silence proves nothing.
  async function watch() {
    if (over || looking) return;
    beats += 1;
    const health = await get(window.jhdata.base_url + "health");
    if (over || looking) return;
    if (!health || !health.ok) {
      source.close();
      look();
      return;
    }
    if (beats % BEATS) return;
    const answer = await ask();
    if (over || looking) return;
    const server = answer && answer.ok ? (await answer.json()).servers[words.server] : null;
    const same = server && server.pending === "spawn" && (begun === null || begun === server.started);
    if (same) {
      begun = server.started;
    } else {
      source.close();
      look();
    }
  }

  async function look() {
    if (over) return;
    looking = true;
    const answer = await ask();
    if (over) return;
    if (answer && (answer.status === 401 || answer.status === 403)) {
      window.location.reload(); // logged out: the hub asks for the login and comes back here
      return;
    }
    if (!answer || !answer.ok) {
      show(words.restart, false);
      setTimeout(look, RETRY);
      return;
    }
    decide((await answer.json()).servers[words.server]);
  }

  function decide(server) {
    if (server && server.ready) {
      window.location.reload();
    } else if (server && server.pending === "spawn") {
      if (said === words.restart) show(words.back, false);
      begun = server.started;
      listen();
    } else if (server && server.pending === "stop") {
      setTimeout(look, RETRY / 4); // what failed is cleared away; then the hub says why
    } else if (unknown < PATIENCE) {
      // back from a restart, and the request is not taken up again yet; or a start has just failed
      unknown += 1;
      if (unknown > 1) show(words.restart, false);
      source = new EventSource(words.progress);
      source.onmessage = (message) => { source.close(); settle(JSON.parse(message.data)); };
      source.onerror = () => { source.close(); setTimeout(look, RETRY); };
    } else {
      show(words.lost, false);
      finish(true);
    }
  }

  function settle(event) {
    if (!event.failed) {
      listen();
      return;
    }
    if (event.html_message !== undefined) show(event.html_message, true);
    else show(event.message, false);
    finish(true);
  }

  async function cancel() {
    const button = part("cancel");
    button.disabled = true;
    over = true; // what the hub tells about a start that we cancel is not news
    if (source) source.close();
    show(words.cancelling, false);
    let answer = null;
    try {
      const name = words.server ? "/servers/" + encodeURIComponent(words.server) : "/server";
      answer = await fetch(spawner + name + "?_xsrf=" + window.jhdata.xsrf_token, { method: "DELETE" });
    } catch {
      // told below
    }
    if (answer && answer.ok) {
      window.location.assign(part("again").href);
      return;
    }
    over = false;
    button.disabled = false;
    show(words.not_cancelled, false);
    listen();
  }

  part("cancel").addEventListener("click", cancel);
  listen();
  setInterval(watch, BEAT);
  window._jupyterhub_page_loaded = true;
})();
