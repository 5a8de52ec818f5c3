// What a proof of a record of data sharing says in words: the clauses, their conditions and the words for values come along in WORDS.
"use strict";

const RECORD_FORMS = {
  time: showTime,
  day: (timeMs) => showTime(timeMs).split(" ")[0],
  yuan: (amountFen) => `${amountFen / 100n}.${String(amountFen % 100n).padStart(2, "0")}`,
};

/** Returns a record's value at a path with dots into what is nested. */
const valueAt = (record, path) => path.split(".").reduce((value, name) => value.get(name), record);

function isClauseSaid([, , field, values], record) {
  if (field === "") return true;
  const value = String(valueAt(record, field));
  return values.length > 0 ? values.includes(value) : !/^0*$/.test(value);
}

/** Returns a clause in one language with the record's values in it. */
function filledClause(kind, record, text, language) {
  return text.replace(/\{([a-z_.]+)(?::([a-z]+))?\}/g, (_, path, form) => {
    const value = valueAt(record, path);
    if (form !== undefined) return RECORD_FORMS[form](value);
    const words = WORDS.record_choices[kind][path] ?? {};
    const shown = [value].flat().map((one) => (Object.hasOwn(words, String(one)) ? words[String(one)][language] : String(one)));
    return shown.join(language === 0 ? "、" : ", ");
  });
}

/** Returns what a proof says of a record that is no certificate, in Chinese and English. */
function recordWords(kind, record) {
  const clauses = WORDS.record_clauses[kind];
  if (clauses !== undefined) {
    const said = clauses.filter((clause) => isClauseSaid(clause, record));
    return [0, 1].map((language) => said.map((clause) => filledClause(kind, record, clause[language], language)).join(""));
  }
  if (kind === "other") return ["账本上有此记录", "the ledger holds this record"];
  return [`账本上有此记录：${WORDS.kinds[kind].name}`, `the ledger holds this record: ${kind}`];
}
