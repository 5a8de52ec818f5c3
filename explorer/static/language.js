// The language switch: Chinese, English, or both; the choice stays in this browser.
"use strict";

(() => {
  const root = document.documentElement;
  const buttons = document.querySelectorAll("[data-choose-language]");
  const show = (language) => {
    root.dataset.language = language;
    root.lang = language === "en" ? "en" : "zh-CN";
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.chooseLanguage === language));
  };
  const stored = () => {
    try {
      return localStorage.getItem("language");
    } catch {
      return null; // storage is switched off: the choice lasts for this page
    }
  };
  show(["zh", "en", "both"].includes(stored()) ? stored() : "both");
  for (const button of buttons) {
    button.addEventListener("click", () => {
      show(button.dataset.chooseLanguage);
      try {
        localStorage.setItem("language", button.dataset.chooseLanguage);
      } catch {
        return;
      }
    });
  }
})();
