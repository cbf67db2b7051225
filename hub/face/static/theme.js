"use strict";
// What runs before all else in a page: mending one that did not load whole, and light or dark, as
// JupyterHub's own pages keep it.

// a network that changes under way (another Wi-Fi; on the server's own desktop, each container that
// starts) lets one script fail, and with it all that import it: the page would stay empty for ever
const AGAIN_WHOLE = [3000, 6000, 12000]; // ms; what is still missing then is missing for good
let whole = true;
const tried = () => history.state?.tried ?? 0; // outlives a reload, and is this tab's alone

function remember(tries) {
  history.replaceState({ ...history.state, tried: tries }, "");
}

window.addEventListener("error", ({ target }) => {
  if (target instanceof HTMLScriptElement || target instanceof HTMLLinkElement) whole = false;
}, true);

// not before: the page below is there then, and all of its parts have come or failed
window.addEventListener("load", () => {
  const wait = AGAIN_WHOLE[tried()];
  if (whole) {
    if (tried()) remember(0);
  } else if (wait === undefined) {
    document.getElementById("not-whole")?.removeAttribute("hidden");
  } else {
    setTimeout(() => {
      remember(tried() + 1);
      window.location.reload();
    }, wait);
  }
});

const THEME = "jupyterhub-bs-theme";
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function stored() {
  try {
    return localStorage.getItem(THEME);
  } catch {
    return null; // a browser that keeps nothing for this site
  }
}

function theme() {
  const kept = stored();
  return kept === "light" || kept === "dark" ? kept : dark.matches ? "dark" : "light";
}

function paint() {
  document.documentElement.dataset.bsTheme = theme();
  document.getElementById("theme")?.setAttribute("aria-pressed", String(theme() === "dark"));
}

paint();
dark.addEventListener("change", paint);
window.addEventListener("storage", paint);
document.addEventListener("DOMContentLoaded", () => {
  paint();
  document.getElementById("theme")?.addEventListener("click", () => {
    try {
      localStorage.setItem(THEME, theme() === "dark" ? "light" : "dark");
    } finally {
      paint();
    }
  });
  for (const button of document.querySelectorAll("[data-speak]")) {
    button.addEventListener("click", () => {
      const path = button.dataset.path.replace(/\/$/, "");
      document.cookie = `madang-language=${button.dataset.speak}; Path=${path}; `
        + "Max-Age=31536000; SameSite=Lax";
      window.location.reload();
    });
  }
});
