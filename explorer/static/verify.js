// Hashes the chosen file in this browser; sends it only where its content is what is verified, and says so before.
"use strict";

(() => {
  const CHUNK_BYTES = 4 * 1024 * 1024;
  const HEAD_BYTES = 4096;
  const form = document.getElementById("verify-form");
  const picker = document.getElementById("document");
  const zone = document.getElementById("drop-zone");
  const digestField = document.getElementById("document_digest");
  const identifierField = document.getElementById("identifier");
  const dayField = document.getElementById("day");
  const recipientField = document.getElementById("recipient");
  const unnamed = [...document.getElementById("file-name").childNodes];
  const progress = document.getElementById("progress");
  const fileName = document.getElementById("file-name");
  const sending = document.getElementById("sending");
  const sendFile = document.getElementById("send-file");
  const sendDigest = document.getElementById("send-digest");
  const camera = document.getElementById("camera");
  const why = document.getElementById("why-file");
  const whyPhoto = document.getElementById("why-photo");
  const hashFailed = document.getElementById("hash-failed");
  const sendFailed = document.getElementById("send-failed");
  const bothGiven = document.getElementById("both-given");
  const submit = document.getElementById("submit");
  const results = document.getElementById("results");
  let run = 0;
  let chosen = null;

  // The files whose content is verified begin with this; where white space or other members come first, the user can still choose.
  const isOurs = async (file) => {
    const head = await file.slice(0, HEAD_BYTES).text();
    return /^\s*\{/.test(head) && /"format"\s*:\s*"govnode-/.test(head);
  };

  const showChoice = () => {
    document.getElementById("recipient-part").hidden = !sendFile.checked;
    digestField.readOnly = sendFile.checked;
  };

  const chooseNone = () => {
    run++;
    chosen = null;
    fileName.replaceChildren(...unnamed);
    for (const part of [hashFailed, sendFailed, bothGiven, sending, progress]) part.hidden = true;
    digestField.value = "";
    digestField.readOnly = submit.disabled = false;
    results.replaceChildren();
  };

  const choose = async (file) => {
    const current = ++run;
    chosen = file;
    // What is shown is not about this file.
    results.replaceChildren();
    fileName.textContent = file.name;
    hashFailed.hidden = sendFailed.hidden = bothGiven.hidden = true;
    progress.hidden = false;
    progress.value = 0;
    digestField.value = "";
    submit.disabled = true;
    const sm3 = new Sm3();
    try {
      const ours = await isOurs(file);
      if (current !== run) return;
      sending.hidden = false;
      sendFile.disabled = file.size > Number(sending.dataset.maxUploadBytes);
      const isPicture = /^image\/(png|jpeg|webp)$/.test(file.type);
      (ours || isPicture ? sendFile : sendDigest).checked = true;
      why.hidden = !ours;
      whyPhoto.hidden = !isPicture;
      showChoice();
      for (let at = 0; at < file.size; at += CHUNK_BYTES) {
        sm3.update(new Uint8Array(await file.slice(at, at + CHUNK_BYTES).arrayBuffer()));
        if (current !== run) return;
        progress.value = Math.min(1, (at + CHUNK_BYTES) / file.size);
      }
    } catch {
      if (current !== run) return;
      hashFailed.hidden = false;
      progress.hidden = true;
      submit.disabled = false;
      return;
    }
    if (current !== run) return;
    progress.value = 1;
    digestField.value = sm3.digestHex();
    submit.disabled = false;
    submit.focus();
  };

  const typed = () => identifierField.value.trim();
  // A whole presentation that a scanner typed, or the link to a deposit: values and keys have no place in an address.
  const isScanned = () => /^GN1:|\/P\/[A-Z2-7]{16}#/.test(typed());

  const sendChosen = (file) => {
    bothGiven.hidden = !isScanned();
    if (bothGiven.hidden) send(file, typed());
  };

  const send = async (content, identifier) => {
    const current = ++run;
    const query = new URLSearchParams();
    if (identifier) query.set("identifier", identifier);
    if (dayField.value) query.set("day", dayField.value);
    if (recipientField.value.trim()) query.set("recipient", recipientField.value.trim());
    submit.disabled = true;
    sendFailed.hidden = true;
    results.replaceChildren();
    try {
      const answer = await fetch(`/verify?${query}`, {
        method: "POST",
        body: content,
        headers: { accept: "text/html", "content-type": "application/octet-stream" },
        cache: "no-store",
      });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const shown = page.getElementById("results");
      if (current !== run) return;
      if (shown === null) throw new Error("no results");
      results.replaceChildren(...document.adoptNode(shown).childNodes);
      document.getElementById("verdict")?.scrollIntoView({ block: "start" });
    } catch {
      if (current === run) sendFailed.hidden = false;
    }
    if (current === run) submit.disabled = false;
  };

  picker.addEventListener("change", () => {
    if (picker.files.length === 1) choose(picker.files[0]);
    else chooseNone();
  });
  camera.addEventListener("change", () => {
    // Its button says that the photo is sent: nothing is left to decide.
    if (camera.files.length === 1) sendChosen(camera.files[0]);
    camera.value = "";
  });
  for (const event of ["dragenter", "dragover"]) {
    zone.addEventListener(event, (drag) => {
      drag.preventDefault();
      zone.classList.add("over");
    });
  }
  for (const event of ["dragleave", "drop"]) zone.addEventListener(event, () => zone.classList.remove("over"));
  zone.addEventListener("drop", (drop) => {
    drop.preventDefault();
    if (drop.dataTransfer.files.length === 1) choose(drop.dataTransfer.files[0]);
  });
  for (const radio of [sendFile, sendDigest]) radio.addEventListener("change", showChoice);
  form.addEventListener("submit", (event) => {
    if (chosen !== null && sendFile.checked) {
      event.preventDefault();
      sendChosen(chosen);
      return;
    }
    if (isScanned()) {
      event.preventDefault();
      bothGiven.hidden = chosen === null;
      if (chosen === null) send(typed(), "");
      return;
    }
    if (chosen !== null && digestField.value === "") {
      event.preventDefault();
      hashFailed.hidden = false;
      return;
    }
    // Empty fields stay out of the address, so that it can be shared.
    for (const field of [identifierField, digestField, dayField]) field.disabled = field.value.trim() === "";
    sendFile.disabled = sendDigest.disabled = true;
  });
  window.addEventListener("pageshow", () => {
    for (const field of [identifierField, digestField, dayField, sendFile, sendDigest]) field.disabled = false;
  });
})();
