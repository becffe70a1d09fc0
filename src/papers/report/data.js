// The data of a report: what is in the page, its rows, and the columns of its tables. `report.js` shows them.
"use strict";
const Data = (() => {
  const CLASSES = ["Standard", "StandardIa", "IntelligentTiering", "GlacierIr", "Glacier", "DeepArchive"];
  const ARCHIVES = CLASSES.slice(4);
  const META = ["Sample ID", "External Sample ID", "Subject ID", "Individual ID", "Project ID", "Phenotype", "Assay", "Type"];

  // What cannot be seen, or turns what follows around, is named; as in the Rust part.
  const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
  const shown = (text) => text.replace(UNSEEN, (c) => `⟨${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
  const grouped = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  function human(bytes) {
    if (bytes < 1024) return `${bytes} B`;
    let unit = 0;
    for (bytes /= 1024; Math.round(bytes * 10) >= 10240 && unit < 5; bytes /= 1024) unit += 1;
    return `${(Math.round(bytes * 10) / 10).toFixed(1)} ${["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"][unit]}`;
  }

  // ---- the data ----

  const blocks = (kind) => [...document.querySelectorAll(`script[data-rows="${kind}"]`)].map((block) => JSON.parse(block.textContent));
  const differs = document.querySelector("main").hasAttribute("data-previous");
  const libraries = new Map();
  const owners = new Map();

  // What the libraries of a row, "L1__L2", have in common with those of others: tabs, columns, and their search text.
  function owner(text) {
    let known = owners.get(text);
    if (known) return known;
    const ids = text.split("__");
    const found = ids.map((id) => libraries.get(id)).filter(Boolean);
    const join = (get) => [...new Set(found.flatMap(get))].filter(Boolean).join(", ");
    const meta = [1, 2, 3, 4].map((at) => join((of) => of[at]));
    meta.push(join((of) => of[8]), ...[5, 6, 7].map((at) => join((of) => of[at])));
    const tabs = new Map();
    for (const of of found) {
      for (const project of of[8]) tabs.set(`p${project}`, project);
      const kind = [of[6], of[7]].filter(Boolean).join(", ");
      if (kind) tabs.set(`k${kind}`, kind);
    }
    known = { text, meta, tabs, lost: found.length < ids.length, words: [text, ...meta].join("\n").toLowerCase() };
    owners.set(text, known);
    return known;
  }

  function row(of, more) {
    return { owner: of, tone: "", marks: [], hay: null, ...more };
  }

  function fileRow(of, path, size, flags, lost, more) {
    const kind = CLASSES[flags & 7];
    const archived = (flags & 8) > 0;
    const change = flags & 16 ? "new" : flags & 32 ? "changed" : "";
    const marks = [];
    if (archived) marks.push(`archived (${kind})`);
    else if (ARCHIVES.includes(kind)) marks.push(`restored (${kind})`);
    else if (kind === "GlacierIr") marks.push(kind);
    if (lost) marks.push("library not found");
    if (change) marks.push(change);
    const tone = archived ? "archived" : lost ? "lost" : kind === "GlacierIr" ? "instant" : "";
    return { owner: of, tone, marks, hay: null, path, name: path.slice(path.lastIndexOf("/") + 1), size, kind, change, ...more };
  }

  function each(kind, take) {
    const rows = [];
    for (const { t: texts, r } of blocks(kind)) {
      let path = "";
      for (const cells of r) {
        path = path.slice(0, cells[0]) + cells[1];
        rows.push(take(path, cells, texts));
      }
    }
    return rows;
  }

  let runs = [];
  function load() {
    for (const of of blocks("libraries").flat()) libraries.set(of[0], of);
    runs = blocks("runs").flat().map(([workflow, version, run, ids, path, files, size, archived]) => {
      const of = owner(ids);
      const lost = of.lost ? { tone: "lost", marks: ["library not found"] } : {};
      return row(of, { workflow, version, run, path, files, size, archived, ...lost });
    });
  }

  // ---- the columns ----

  const column = (title, get, more) => ({ title, get, ...more });
  const size = column("File Size", (of) => of.size, { show: (of) => human(of.size), number: true, csv: "File Size (bytes)" });
  const path = column("Relative Output Path", (of) => of.path, { kind: "path" });
  const name = column("File Name", (of) => of.name, { head: true });
  const meta = META.map((title, at) => column(title, (of) => of.owner.meta[at], { hidden: true }));
  const storage = column("Storage Class", (of) => of.kind, { hidden: true });
  const change = differs ? [column("Change", (of) => of.change, { hidden: true })] : [];
  const library = (title, more) => column(title, (of) => of.owner.text, more);
  const format = (of) => (of.name.endsWith(".ora") ? "ORA" : of.name.endsWith(".gz") ? "GZIP" : "");

  const TABLES = {
    metadata: {
      rows: () => [...libraries.keys()].map((id) => row(owner(id))),
      columns: [library("Library ID", { head: true }), ...meta.map((of) => ({ ...of, hidden: false }))],
    },
    fastq: {
      rows: () => each("fastq", (path, [, , size, ids, run, lane, flags = 0], texts) => {
        const of = owner(texts[ids]);
        return fileRow(of, path, size, flags, of.lost, { run: texts[run], lane });
      }),
      columns: [
        library("Library ID"), name, column("Instrument Run ID", (of) => of.run),
        column("Lane", (of) => (of.lane < 0 ? "" : of.lane), { number: true }), column("Compression Format", format), size, path,
        ...meta, storage, ...change,
      ],
    },
    analyses: {
      rows: () => runs,
      columns: [
        column("Workflow Name", (of) => of.workflow), column("Workflow Version", (of) => of.version),
        column("Portal Run ID", (of) => of.run, { head: true }), library("Library IDs"), path, ...meta,
        column("Files", (of) => of.files, { number: true, hidden: true }), { ...size, hidden: true },
        column("Archived Files", (of) => of.archived, { number: true, hidden: true }),
      ],
    },
    files: {
      rows: () => each("files", (path, [, , size, at, flags = 0]) => {
        const { owner, workflow, version, run } = runs[at];
        return fileRow(owner, path, size, flags, false, { workflow, version, run });
      }),
      columns: [
        name, size, path, column("Workflow Name", (of) => of.workflow), column("Portal Run ID", (of) => of.run), storage,
        column("Workflow Version", (of) => of.version, { hidden: true }), library("Library IDs", { hidden: true }), ...meta, ...change,
      ],
    },
  };

  const text = (column, of) => shown(column.show ? column.show(of) : String(column.get(of)));
  function hay(of, columns) {
    of.hay ??= [...columns.map((column) => (column.show ?? column.get)(of)), ...of.marks].join("\n").toLowerCase();
    return of.hay;
  }

  return { META, TABLES, owners, load, text, hay, shown, grouped };
})();
