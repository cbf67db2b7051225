"use strict";
// Light or dark, as JupyterHub's own pages keep it; runs before the page is painted.
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
