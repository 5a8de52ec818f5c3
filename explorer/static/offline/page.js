// The page: files in, a verdict with its steps out. Texts of files are put in as text, never as markup.
"use strict";

(() => {
  const MAX_FILE_BYTES = 256 * 1024 * 1024;
  const byId = (id) => document.getElementById(id);
  const given = { trust: null, proof: null, document: null, list: null };
  const result = byId("result");

  /** Returns an element with texts or other elements in it. */
  const element = (name, attributes, ...inner) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...inner);
    return made;
  };
  const both = (zh, en) => [zh, " ", element("span", { lang: "en" }, en)];

  const stepList = (steps) =>
    element("ol", {}, ...steps.map((step) => element("li", { class: step.state, "data-step": step.code }, element("code", {}, step.finding || step.code), " ", ...both(step.zh, step.en))));
  const facts = (pairs) => element("dl", {}, ...pairs.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  const card = (zh, en, ...inner) => element("section", { class: "card" }, element("h2", {}, ...both(zh, en)), ...inner);

  const banner = (mood, code, heading, ...texts) =>
    element("div", { class: `verdict ${mood}`, id: "verdict", "data-code": code }, element("h2", {}, ...heading), ...texts.map((text) => element("p", {}, ...text)), element("p", {}, element("code", {}, code)));

  const RECORD_NAMES = {
    identifier: "证照标识 / identifier",
    type_code: "类型代码 / type",
    issuer: "颁发机构代码 / issuer",
    document_digest: "文件摘要 / document digest",
    holder_commitment: "持证主体承诺 / holder's commitment",
    valid_from_ms: "有效期起 / valid from",
    valid_to_ms: "有效期止 / valid to",
    issued_ms: "颁发时间 / issued",
    predecessor: "前一份 / predecessor",
    successor: "接替者 / successor",
    recipient: "转往 / transferred to",
  };
  const LEFT_OUT = ["page_count"];

  function recordFacts(found) {
    const record = found.record;
    if (record === null) return [];
    const show = (name, value) => (name.endsWith("_ms") && typeof value === "bigint" ? (value >= MAX_TIME_MS ? "长期 / without end" : showTime(value)) : String(value));
    const pairs = [...record].filter(([name, value]) => value !== "" && value !== null && typeof value !== "object" && !LEFT_OUT.includes(name));
    return [card("账本记录", "Record on the ledger", facts(pairs.map(([name, value]) => [RECORD_NAMES[name] ?? name, show(name, value)])))];
  }

  function fileFacts(file) {
    if (file === null) return [];
    const cards = [card("证照文件的步骤", "Steps of the certificate file", stepList(file.steps))];
    if (file.values !== null && file.values.length > 0) cards.unshift(card("出示的内容", "What it shows", facts(file.values)));
    if (file.hidden.length > 0) cards.unshift(card("未出示", "Not shown", element("p", {}, file.hidden.join("、"))));
    return cards;
  }

  function show(found) {
    const mood = found.isAccepted ? "good" : ["EXPIRED", "NOT_YET_VALID", "SUSPENDED", "TRUST_MISSING", "ASK_ONLINE"].includes(found.code) ? "warn" : "bad";
    const heading = found.isAccepted ? both("✓ 通过", "accepted") : both("✕ 不通过", "refused");
    result.replaceChildren(
      banner(mood, found.code, heading, [found.zh], [element("span", { lang: "en" }, found.en)]),
      ...fileFacts(found.file),
      ...recordFacts(found),
      card("核验步骤", "Steps of the verification", stepList(found.steps)),
    );
  }

  function verifyNow() {
    if (given.trust === null || given.proof === null) {
      result.replaceChildren();
      return;
    }
    try {
      const nowMs = Date.now();
      const verdict = verifyProof(given.proof, given.document, given.trust, nowMs, byId("recipient").value.trim() || null);
      show(given.list === null ? verdict : withStatusList(verdict, given.list, given.trust, nowMs));
    } catch (error) {
      result.replaceChildren(banner("bad", "FAULT", both("本页出错，结论无效", "this page failed: there is no verdict"), [String(error)]));
    }
  }

  function takeTrust(bytes, label) {
    given.trust = null;
    try {
      given.trust = readTrust(bytes);
      const { networkName, genesisHash, height } = given.trust;
      label.textContent = `${networkName} · 创世哈希 / genesis ${toHex(genesisHash)} · 检查点 / checkpoint ${height}`;
    } catch (error) {
      label.textContent = `✕ ${error.message}`;
    }
  }

  async function take(name, file) {
    const label = byId(`${name}-facts`);
    given[name] = null;
    if (file === undefined || file.size > MAX_FILE_BYTES) {
      label.textContent = file === undefined ? "" : "✕ 文件过大 / the file is too large";
    } else {
      const bytes = new Uint8Array(await file.arrayBuffer());
      label.textContent = `${file.name} · SM3 ${toHex(sm3(bytes))}`;
      if (name === "trust") takeTrust(bytes, label);
      else if (name === "list") given.list = await readStatusList(bytes);
      else given[name] = bytes;
    }
    verifyNow();
  }

  for (const name of Object.keys(given)) {
    const [picker, zone] = [byId(name), byId(`${name}-zone`)];
    picker.addEventListener("change", () => take(name, picker.files[0]));
    zone.addEventListener("dragover", (drag) => {
      drag.preventDefault();
      zone.classList.add("over");
    });
    for (const event of ["dragleave", "drop"]) zone.addEventListener(event, () => zone.classList.remove("over"));
    zone.addEventListener("drop", (drop) => {
      drop.preventDefault();
      take(name, drop.dataTransfer.files[0]);
    });
  }
  byId("trust-text").addEventListener("input", () => {
    takeTrust(utf8(byId("trust-text").value), byId("trust-facts"));
    verifyNow();
  });
  byId("recipient").addEventListener("input", verifyNow);
})();
