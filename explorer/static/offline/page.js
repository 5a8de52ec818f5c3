// The page: files in, a verdict with its steps out. Texts of files are put in as text, never as markup.
"use strict";

(() => {
  const MAX_FILE_BYTES = 256 * 1024 * 1024;
  const byId = (id) => document.getElementById(id);
  // Null: none was chosen. There is no verdict while one is being read, and none where one was chosen that cannot be used.
  const READING = Symbol("reading");
  const UNUSABLE = Symbol("unusable");
  const given = { trust: null, proof: null, document: null, list: null };
  const runs = { trust: 0, proof: 0, document: 0, list: 0 };
  const result = byId("result");

  /** Returns an element with texts or other elements in it. */
  const element = (name, attributes, ...inner) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...inner);
    return made;
  };
  const both = (zh, en) => [zh, " ", element("span", { lang: "en" }, en)];

  const NOT_CHECKED = { "not-reached": ["未核对到这一步：", "not reached: "], "not-asked": ["未核对：", "not checked: "] };
  /** Returns steps; those in states of `claims`, whose words are of a step that holds, say that they were not checked. */
  const stepList = (steps, claims) => {
    const words = (step) => {
      const [zh, en] = claims.includes(step.state) ? NOT_CHECKED[step.state] : ["", ""];
      return both(`${zh}${step.zh}`, `${en}${step.en}`);
    };
    return element("ol", {}, ...steps.map((step) => element("li", { class: step.state, "data-step": step.code }, element("code", {}, step.finding || step.code), " ", ...words(step))));
  };
  const fieldLabel = (name) => (Object.hasOwn(WORDS.field_names, name) ? WORDS.field_names[name].join(" / ") : name);
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
    grant: "授权 / grant",
    number: "序号 / number",
    provider: "提供方 / provider",
    consumer: "使用方 / consumer",
    payload: "载荷摘要 / payload digest",
    sealed: "封装文件摘要 / digest of the sealed file",
    product: "产品代码 / product",
    code: "代码 / code",
    name: "名称 / name",
    department: "部门 / department",
    proposer: "提出方 / proposer",
    counterparty: "对方 / counterparty",
    evidence: "证据摘要 / digest of the evidence",
    document: "文书摘要 / digest of the paper",
    replaces: "取代 / replaces",
    note: "说明 / note",
    reason: "原因 / reason",
  };
  const LEFT_OUT = ["page_count"];
  /** Returns whether a time or digest stands for none. */
  const isUnset = (name, value) => (name.endsWith("_ms") && value === 0n) || (typeof value === "string" && /^0{20,}$/.test(value));

  function recordFacts(found) {
    const record = found.record;
    if (record === null) return [];
    const show = (name, value) => (name.endsWith("_ms") && typeof value === "bigint" ? (value >= MAX_TIME_MS ? "长期 / without end" : showTime(value)) : String(value));
    // What is nested one level down is shown beside the rest: a delivery's parcel, the terms of a fact.
    const fields = [...record].flatMap(([name, value]) => (value instanceof Map ? [...value] : [[name, value]]));
    const pairs = fields.filter(([name, value]) => value !== "" && value !== null && typeof value !== "object" && !isUnset(name, value) && !LEFT_OUT.includes(name));
    return [card("账本记录", "Record on the ledger", facts(pairs.map(([name, value]) => [RECORD_NAMES[name] ?? name, show(name, value)])))];
  }

  function fileFacts(file) {
    if (file === null) return [];
    const cards = [card("证照文件的步骤", "Steps of the certificate file", stepList(file.steps, ["not-reached", "not-asked"]))];
    if (file.values !== null && file.values.length > 0) cards.unshift(card("出示的内容", "What it shows", facts(file.values.map(([name, value]) => [fieldLabel(name), value]))));
    if (file.hidden.length > 0) cards.unshift(card("未出示", "Not shown", element("p", {}, file.hidden.map(fieldLabel).join("、"))));
    if (file.about.length > 0) cards.unshift(card("证照", "Certificate", facts(file.about)));
    return cards;
  }

  function show(found) {
    const mood = found.isAccepted ? "good" : ["EXPIRED", "NOT_YET_VALID", "SUSPENDED", "TRUST_MISSING", "ASK_ONLINE"].includes(found.code) ? "warn" : "bad";
    const heading = found.isAccepted ? both("✓ 通过", "accepted") : both("✕ 不通过", "refused");
    result.replaceChildren(
      banner(mood, found.code, heading, [found.zh], [element("span", { lang: "en" }, found.en)]),
      ...fileFacts(found.file),
      ...recordFacts(found),
      card("核验步骤", "Steps of the verification", stepList(found.steps, ["not-reached"])),
    );
  }

  function verifyNow() {
    result.replaceChildren();
    const all = Object.values(given);
    if (all.includes(UNUSABLE)) {
      const texts = [["所选文件中有无法使用的：请重新选择，或清除后重试"], [element("span", { lang: "en" }, "a file that was chosen cannot be used: choose it again, or clear it")]];
      result.replaceChildren(banner("bad", "FILE_UNUSABLE", both("没有结论", "no verdict"), ...texts));
      return;
    }
    if (given.trust === null || given.proof === null || all.includes(READING)) return;
    try {
      const nowMs = Date.now();
      const verdict = verifyProof(given.proof, given.document, given.trust, nowMs, byId("recipient").value.trim() || null);
      show(given.list === null ? verdict : withStatusList(verdict, given.list, given.trust, nowMs));
    } catch (error) {
      result.replaceChildren(banner("bad", "FAULT", both("本页出错，结论无效", "this page failed: there is no verdict"), [String(error)]));
    }
  }

  /** Returns what the bytes of a file are to the verifier, and what is said of them beneath the picker. */
  async function readGiven(name, bytes, fileName) {
    if (name === "trust") {
      const trust = readTrust(bytes);
      return [trust, `${trust.networkName} · 创世哈希 / genesis ${toHex(trust.genesisHash)} · 检查点 / checkpoint ${trust.height}`];
    }
    return [name === "list" ? await readStatusList(bytes) : bytes, `${fileName} · SM3 ${toHex(sm3(bytes))}`];
  }

  /** Takes what `read` gives for one of the files; what was shown of another goes at once, and a later choice outruns this one. */
  async function take(name, fileName, read) {
    const label = byId(`${name}-facts`);
    const run = ++runs[name];
    given[name] = READING;
    label.textContent = fileName;
    byId(`${name}-clear`).hidden = false;
    verifyNow();
    let found;
    try {
      found = await readGiven(name, await read(), fileName);
    } catch (error) {
      found = [UNUSABLE, `✕ ${fileName} ${error.message || error.name}`];
    }
    if (run !== runs[name]) return;
    [given[name], label.textContent] = found;
    verifyNow();
  }

  /** Takes none for one of the files. */
  function clear(name) {
    runs[name]++;
    given[name] = null;
    byId(`${name}-facts`).textContent = byId(name).value = "";
    if (name === "trust") byId("trust-text").value = "";
    byId(`${name}-clear`).hidden = true;
    verifyNow();
  }

  function takeFiles(name, files) {
    if (files.length === 0) {
      clear(name);
      return;
    }
    const [file] = files;
    take(name, file.name, async () => {
      if (files.length > 1) throw new Error("一次只能给一个文件 / one file at a time");
      if (file.size > MAX_FILE_BYTES) throw new Error("文件过大 / the file is too large");
      try {
        return new Uint8Array(await file.arrayBuffer());
      } catch (error) {
        throw new Error(`无法读取 / it cannot be read (${error.name})`);
      }
    });
  }

  for (const name of Object.keys(given)) {
    const [picker, zone] = [byId(name), byId(`${name}-zone`)];
    byId(`${name}-clear`).addEventListener("click", () => clear(name));
    picker.addEventListener("change", () => takeFiles(name, [...picker.files]));
    zone.addEventListener("dragover", (drag) => {
      drag.preventDefault();
      zone.classList.add("over");
    });
    for (const event of ["dragleave", "drop"]) zone.addEventListener(event, () => zone.classList.remove("over"));
    zone.addEventListener("drop", (drop) => {
      drop.preventDefault();
      // What is dropped as text is no file: nothing was chosen.
      if (drop.dataTransfer.files.length === 0) return;
      picker.value = "";
      takeFiles(name, [...drop.dataTransfer.files]);
    });
  }
  byId("trust-text").addEventListener("input", () => {
    const text = byId("trust-text").value;
    if (text.trim() === "") clear("trust");
    else take("trust", "", async () => utf8(text));
  });
  byId("recipient").addEventListener("input", verifyNow);
})();
