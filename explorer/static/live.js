// Keeps the parts marked data-live fresh: the same page is fetched again every few seconds while it is in view.
"use strict";

(() => {
  const PERIOD_MS = 3000;
  const refresh = async () => {
    if (document.hidden) return;
    const notice = document.getElementById("stale");
    try {
      const response = await fetch(location.href, { headers: { accept: "text/html" } });
      if (!response.ok) throw new Error(String(response.status));
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      for (const part of document.querySelectorAll("[data-live]")) {
        const fresh = page.getElementById(part.id);
        if (fresh !== null && fresh.innerHTML !== part.innerHTML) part.replaceChildren(...fresh.childNodes);
      }
      if (notice !== null) notice.hidden = true;
    } catch {
      if (notice !== null) notice.hidden = false;
    }
  };
  const loop = async () => {
    await refresh();
    setTimeout(loop, PERIOD_MS);
  };
  setTimeout(loop, PERIOD_MS);
})();
