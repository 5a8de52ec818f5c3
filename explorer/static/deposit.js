// Takes the key from behind the # of the address, where no browser sends it from, and hands it over in the body of a request.
"use strict";

(() => {
  const form = document.getElementById("key-form");
  const field = document.getElementById("key");
  const opening = document.getElementById("opening");
  const sendFailed = document.getElementById("send-failed");
  const results = document.getElementById("results");
  if (form === null) return;

  const send = async (key) => {
    opening.hidden = false;
    sendFailed.hidden = true;
    try {
      const answer = await fetch(form.action, {
        method: "POST",
        body: key,
        headers: { accept: "text/html", "content-type": "text/plain" },
        cache: "no-store",
      });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const shown = page.getElementById("results");
      if (shown === null) throw new Error("no results");
      results.replaceChildren(...document.adoptNode(shown).childNodes);
      form.hidden = answer.ok;
    } catch {
      sendFailed.hidden = false;
    }
    opening.hidden = true;
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(field.value.trim());
  });
  const openByAddress = () => {
    const key = location.hash.slice(1);
    if (key === "") return;
    field.value = key;
    send(key);
  };
  window.addEventListener("hashchange", openByAddress);
  openByAddress();
})();
