// Hashes the chosen file in this browser: the file itself never leaves the machine.
"use strict";

(() => {
  const CHUNK_BYTES = 4 * 1024 * 1024;
  const form = document.getElementById("verify-form");
  const picker = document.getElementById("document");
  const zone = document.getElementById("drop-zone");
  const digestField = document.getElementById("document_digest");
  const identifierField = document.getElementById("identifier");
  const progress = document.getElementById("progress");
  const fileName = document.getElementById("file-name");
  const failure = document.getElementById("hash-failed");
  const submit = document.getElementById("submit");
  let run = 0;

  const hash = async (file) => {
    const current = ++run;
    fileName.textContent = file.name;
    failure.hidden = true;
    progress.hidden = false;
    progress.value = 0;
    digestField.value = "";
    submit.disabled = true;
    const sm3 = new Sm3();
    try {
      for (let at = 0; at < file.size; at += CHUNK_BYTES) {
        sm3.update(new Uint8Array(await file.slice(at, at + CHUNK_BYTES).arrayBuffer()));
        if (current !== run) return;
        progress.value = Math.min(1, (at + CHUNK_BYTES) / file.size);
      }
    } catch {
      failure.hidden = false;
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

  picker.addEventListener("change", () => {
    if (picker.files.length === 1) hash(picker.files[0]);
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
    if (drop.dataTransfer.files.length === 1) hash(drop.dataTransfer.files[0]);
  });
  form.addEventListener("submit", () => {
    // Empty fields stay out of the address, so that it can be shared.
    for (const field of [identifierField, digestField]) field.disabled = field.value.trim() === "";
  });
  window.addEventListener("pageshow", () => {
    for (const field of [identifierField, digestField]) field.disabled = false;
  });
})();
