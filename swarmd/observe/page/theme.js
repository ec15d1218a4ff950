"use strict";
// Runs before anything is drawn, so that a chosen theme does not flash.
(() => {
  const KEY = "swarmd-theme";
  const stored = () => { try { return localStorage.getItem(KEY); } catch { return null; } };  // storage may be off
  const apply = (choice) => {
    if (choice === "light" || choice === "dark") document.documentElement.dataset.theme = choice;
    else delete document.documentElement.dataset.theme;
  };
  apply(stored());
  document.addEventListener("DOMContentLoaded", () => {
    const select = document.getElementById("theme");
    select.value = document.documentElement.dataset.theme ?? "auto";
    const announce = () => document.dispatchEvent(new Event("themechange"));
    select.addEventListener("change", () => {
      apply(select.value);
      try { localStorage.setItem(KEY, select.value); } catch { /* the choice lasts as long as the page */ }
      announce();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", announce);
  });
})();
