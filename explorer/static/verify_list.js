// Takes identifiers and digests out of a chosen file: no other column of it leaves this machine.
"use strict";

(() => {
  const MAX_FILE_BYTES = 32 * 1024 * 1024;
  const MAX_LINES_NAMED = 10;
  const IDENTIFIER = /(?<![0-9A-Za-z.])(?:1\.2\.156\.3005\.2\.)?[0-9A-Z]{21}\.[0-9A-Z]{6,18}\.[0-9A-Z]{1,64}\.[0-9]{3}\.[0-9A-Z](?![0-9A-Za-z.])/;
  const DIGEST = /(?:^|[^0-9a-zA-Z])(?:0x)?([0-9a-fA-F]{64})(?![0-9a-zA-Z])/;
  const picker = document.getElementById("file");
  const list = document.getElementById("list");
  const name = document.getElementById("file-name");
  const leftOut = document.getElementById("left-out");
  const leftOutLines = document.getElementById("left-out-lines");
  const failure = document.getElementById("file-failed");

  const take = (text) => {
    const taken = [];
    const missing = [];
    text.split(/\r\n|\r|\n/).forEach((line, place) => {
      const identifier = IDENTIFIER.exec(line);
      if (identifier !== null) {
        const digest = DIGEST.exec(line.replace(identifier[0], ""));
        taken.push(digest === null ? identifier[0] : `${identifier[0]},${digest[1].toLowerCase()}`);
      } else {
        // An empty line in its place, so that the report counts lines as the file does.
        taken.push("");
        if (line.trim() !== "") missing.push(place + 1);
      }
    });
    list.value = taken.join("\n").trimEnd();
    leftOut.hidden = missing.length === 0;
    leftOutLines.textContent = missing.slice(0, MAX_LINES_NAMED).join(", ") + (missing.length > MAX_LINES_NAMED ? ` … (${missing.length})` : "");
  };

  picker.addEventListener("change", async () => {
    const file = picker.files[0];
    if (file === undefined) return;
    name.textContent = file.name;
    failure.hidden = true;
    try {
      if (file.size > MAX_FILE_BYTES) throw new RangeError("too large");
      take(new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer()));
    } catch {
      failure.hidden = false;
    }
  });
})();
