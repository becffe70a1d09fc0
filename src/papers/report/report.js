// The tables of a report: tabs, search, sorting, pages, columns, copy, CSV and print.
// Whatever comes from the data becomes text nodes only.
"use strict";
(() => {
  const { META, TABLES, owners, load, text, hay, shown, grouped } = Data;
  const SIZES = [5, 10, 15, 20, Infinity];
  const MOST_PRINTED = 100000;
  const MANY = 5000;
  const WAIT = 80; // ms after the last key before a search begins, where one takes longer than a frame
  const AT_ONCE = 300; // rows that are put in before the browser may paint

  function el(name, attributes, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes ?? {})) {
      if (typeof value === "function") node.addEventListener(key, value);
      else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
    }
    node.append(...children);
    return node;
  }

  // ---- a table ----

  class Table {
    constructor(root) {
      this.root = root;
      this.section = root.closest("section");
      this.key = root.dataset.table;
      const { rows, columns } = TABLES[this.key];
      this.rows = rows();
      this.columns = columns.map((of) => ({ ...of }));
      // The texts of libraries are searched once for all their rows.
      this.own = columns.filter((of) => !META.includes(of.title) && !of.title.startsWith("Library ID"));
      Object.assign(this, { tab: "all", query: "", sort: null, down: false, page: 0, size: SIZES[0], order: this.rows, filled: 0, took: this.rows.length / 1000 });
      this.build();
      this.find();
    }

    title() {
      const number = `Table ${this.root.dataset.number}`;
      const what = this.root.dataset.what;
      if (this.tab === "all") return `${number}: All ${what} in the data package`;
      const at = this.tabs.findIndex((tab) => tab.key === this.tab);
      const { key, label } = this.tabs[at];
      const of = key.startsWith("p") ? `of project ${shown(label)}` : `of assay and type ${shown(label)}`;
      return `${number}.${at}: ${what[0].toUpperCase()}${what.slice(1)} ${of} in the data package`;
    }

    build() {
      const id = this.key;
      this.status = el("p", { role: "status" });
      this.caption = el("caption", { id: `${id}-caption` });
      this.headRow = el("tr");
      this.body = el("tbody");
      this.table = el("table", {}, this.caption, el("thead", {}, this.headRow), this.body);
      const search = el("input", { type: "search", id: `${id}-search`, autocomplete: "off", spellcheck: "false", input: () => {
        clearTimeout(this.timer);
        const look = () => {
          const began = performance.now();
          [this.query, this.page] = [search.value, 0];
          this.find();
          this.took = performance.now() - began;
        };
        if (this.took > 16) this.timer = setTimeout(look, WAIT);
        else look();
      } });
      const sizes = el("select", { id: `${id}-size`, change: () => { this.size = SIZES[sizes.selectedIndex]; this.page = 0; this.show(); } },
        ...SIZES.map((size) => el("option", {}, size === Infinity ? "all" : String(size))));
      const choice = el("details", { class: "choice", focusout: (event) => {
        if (!choice.contains(event.relatedTarget)) choice.open = false;
      }, keydown: (event) => {
        if (event.key !== "Escape" || !choice.open) return;
        choice.firstChild.focus();
        choice.open = false;
      } }, el("summary", {}, "Columns"), el("fieldset", { tabindex: "-1" }, el("legend", {}, "Columns shown"), ...this.columns.map((column) => {
        const box = el("input", { type: "checkbox", checked: !column.hidden, change: () => {
          column.hidden = !box.checked;
          this.head();
          this.show();
        } });
        return el("label", {}, box, column.title);
      })));
      const button = (name, act, what) => el("button", { type: "button", click: act, "aria-label": `${name} ${what}` }, name);
      const what = this.root.dataset.what;
      this.pageText = el("span");
      this.turns = [["First", () => 0], ["Previous", () => this.page - 1], ["Next", () => this.page + 1], ["Last", () => this.pages() - 1]]
        .map(([name, to]) => button(name, (event) => {
          if (event.currentTarget.getAttribute("aria-disabled") === "true") return;
          this.page = to();
          this.show();
        }, `page of ${what}`));
      this.panel = el("div", { role: "tabpanel", id: `${id}-panel` },
        el("div", { class: "tools" },
          el("div", { class: "field" }, el("label", { for: search.id }, "Search"), search),
          el("div", { class: "field" }, el("label", { for: sizes.id }, "Rows a page"), sizes),
          choice,
          el("div", { class: "buttons" }, button("Copy", () => this.copy(), what), button("CSV", () => this.save(), what), button("Print", () => this.print(), what))),
        el("div", { class: "scroll", role: "region", tabindex: "0", "aria-labelledby": this.caption.id },
          this.table),
        el("div", { class: "foot" }, this.status,
          el("nav", { class: "turn", "aria-label": `Pages of ${what}` }, this.turns[0], this.turns[1], this.pageText, this.turns[2], this.turns[3])));
      new IntersectionObserver((seen) => seen.some((of) => of.isIntersecting) && this.more?.(), { rootMargin: "1500px" }).observe(this.panel.lastChild);
      this.root.append(this.tablist(), this.panel);
      this.head();
    }

    tablist() {
      const counts = new Map();
      for (const of of this.rows) counts.set(of.owner, (counts.get(of.owner) ?? 0) + 1);
      const tabs = new Map();
      for (const [of, count] of counts) {
        for (const [key, label] of of.tabs) tabs.set(key, { key, label, count: (tabs.get(key)?.count ?? 0) + count });
      }
      const of = (kind) => [...tabs.values()].filter(({ key }) => key.startsWith(kind)).sort((a, b) => (a.label < b.label ? -1 : 1));
      const groups = [[{ key: "all", label: "All", count: this.rows.length }], of("p"), of("k")];
      this.tabs = groups.flat();
      const make = (tab) => {
        tab.node = el("button", { type: "button", role: "tab", id: `${this.key}-tab-${this.tabs.indexOf(tab)}`, "aria-controls": `${this.key}-panel`,
          click: () => this.choose(tab) }, shown(tab.label), " ", el("span", { class: "quiet" }, grouped(tab.count)));
        return tab.node;
      };
      const names = ["", "By project", "By assay and type"];
      const list = el("div", { role: "tablist", "aria-label": `Which ${this.root.dataset.what}`, keydown: (event) => {
        const at = this.tabs.findIndex((tab) => tab.node === document.activeElement);
        const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: this.tabs.length - 1 }[event.key];
        if (at < 0 || to === undefined) return;
        event.preventDefault();
        const tab = this.tabs.at(to % this.tabs.length);
        tab.node.focus();
        this.choose(tab);
      } }, ...groups.map((group, at) => el("span", { class: "group", role: "presentation", "data-name": names[at], hidden: group.length === 0 }, ...group.map(make))));
      this.choose(this.tabs[0], true);
      return list;
    }

    choose(tab, quietly) {
      this.tab = tab.key;
      for (const { node, key } of this.tabs) {
        node.setAttribute("aria-selected", String(key === tab.key));
        node.tabIndex = key === tab.key ? 0 : -1;
      }
      this.panel.setAttribute("aria-labelledby", tab.node.id);
      if (quietly) return;
      this.page = 0;
      this.find();
    }

    head() {
      this.visible = this.columns.filter((column) => !column.hidden);
      this.headRow.replaceChildren(...this.visible.map((column) => {
        column.cell = el("th", { scope: "col", class: column.number ? "number" : column.kind ?? (column.head ? "head" : null) },
          el("button", { type: "button", class: "sort", click: () => this.sortBy(column) }, column.title, el("span", { class: "arrow", "aria-hidden": "true" })));
        return column.cell;
      }));
      this.arrows();
    }

    arrows() {
      for (const column of this.visible) {
        if (column === this.sort) column.cell.setAttribute("aria-sort", this.down ? "descending" : "ascending");
        else column.cell.removeAttribute("aria-sort");
      }
    }

    // Up, down, and then as in the package again.
    sortBy(column) {
      if (this.sort !== column) [this.sort, this.down] = [column, false];
      else if (!this.down) this.down = true;
      else this.sort = null;
      this.order = this.rows;
      if (this.sort) {
        const keys = this.rows.map((of) => column.get(of));
        if (!column.number) keys.forEach((key, at) => { keys[at] = key.toLowerCase(); });
        const way = this.down ? -1 : 1;
        const order = Array.from(keys, (_, at) => at);
        order.sort((a, b) => (keys[a] < keys[b] ? -way : keys[a] > keys[b] ? way : a - b));
        this.order = order.map((at) => this.rows[at]);
      }
      this.page = 0;
      this.arrows();
      this.find();
    }

    // All words must be found, each of them anywhere.
    find() {
      const words = this.query.toLowerCase().split(/\s+/).filter(Boolean);
      let found = this.order;
      if (this.tab !== "all") found = found.filter((of) => of.owner.tabs.has(this.tab));
      for (const word of words) {
        const owning = new Set([...owners.values()].filter((of) => of.words.includes(word)));
        found = found.filter((of) => owning.has(of.owner) || hay(of, this.own).includes(word));
      }
      this.found = found;
      this.show();
    }

    pages() {
      return this.size === Infinity ? 1 : Math.max(1, Math.ceil(this.found.length / this.size));
    }

    show() {
      const from = this.size === Infinity ? 0 : this.page * this.size;
      const rows = this.found.slice(from, from + this.size);
      this.caption.textContent = this.title();
      this.fill(rows, false);
      const of = this.tabs.find((tab) => tab.key === this.tab).count;
      const among = this.query.trim() ? `, found among ${grouped(of)}` : "";
      this.say(rows.length === 0 ? `No rows${among}` : `Rows ${grouped(from + 1)} to ${grouped(from + rows.length)} of ${grouped(this.found.length)}${among}`);
      this.pageText.textContent = `Page ${grouped(this.page + 1)} of ${grouped(this.pages())}`;
      const [first, last] = [this.page === 0, this.page === this.pages() - 1];
      this.turns.forEach((button, at) => button.setAttribute("aria-disabled", String(at < 2 ? first : last)));
    }

    say(what) {
      this.status.textContent = what;
    }

    // Rows are put in a few at a time, and where there are very many only when somebody scrolls to them: laying out
    // 50,000 takes a browser many seconds. What is about to be printed is put in at once.
    fill(rows, atOnce) {
      const turn = ++this.filled;
      const many = rows.length > MANY;
      this.table.classList.toggle("many", many);
      if (many) this.table.setAttribute("aria-rowcount", rows.length + 1);
      else this.table.removeAttribute("aria-rowcount");
      this.plain = many;
      this.more = null;
      this.body.replaceChildren();
      let from = 0;
      const some = (count) => {
        if (turn !== this.filled) return;
        this.body.append(...rows.slice(from, from + count).map((of) => this.line(of)));
        from += count;
        this.more = null;
        if (from >= rows.length) return;
        if (atOnce) some(5000);
        else if (many) this.more = () => some(1000);
        else requestAnimationFrame(() => some(1000));
      };
      some(AT_ONCE);
    }

    line(of) {
      const line = document.createElement("tr");
      if (of.tone) line.className = of.tone;
      for (const column of this.visible) {
        const cell = document.createElement(column.head ? "th" : "td");
        if (column.head) cell.scope = "row";
        if (column.number) cell.className = "number";
        if (column.kind) cell.className = column.kind;
        const written = text(column, of);
        // A long one may be broken after each of its parts.
        if (this.plain || written.length < 16) cell.textContent = written;
        else cell.append(...written.split(/(?<=[/_.])/).flatMap((part) => [part, document.createElement("wbr")]));
        if (column.head) for (const mark of of.marks) cell.append(" ", el("span", { class: mark === of.change ? "badge change" : "badge" }, mark));
        line.append(cell);
      }
      return line;
    }

    // ---- out of the page: the rows that were found, in their order, with the columns that are shown ----

    lines() {
      const harmless = (cell) => (/^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell);
      return [this.visible.map((column) => column.csv ?? column.title), ...this.found.map((of) => this.visible.map((column) => harmless(String(column.get(of)))))];
    }

    save() {
      const quoted = (cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
      const csv = this.lines().map((cells) => `${cells.map(quoted).join(",")}\r\n`).join("");
      const url = URL.createObjectURL(new Blob([csv], { type: "text/csv" }));
      const file = `${document.title}.${this.key}.csv`.replace(/[^\w.+-]/g, "_");
      el("a", { href: url, download: file }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60000);
      this.say(`${grouped(this.found.length)} rows saved as ${file}`);
    }

    async copy() {
      const lines = this.lines().map((cells) => cells.map((cell) => cell.replace(/[\t\r\n]/g, " ")).join("\t")).join("\n");
      try {
        await navigator.clipboard.writeText(lines);
      } catch {
        const area = el("textarea", { "aria-hidden": "true" });
        area.value = lines;
        const focused = document.activeElement;
        this.root.append(area);
        area.select();
        document.execCommand("copy");
        area.remove();
        focused?.focus();
      }
      this.say(`${grouped(this.found.length)} rows copied`);
    }

    print() {
      document.body.classList.add("one");
      this.section.classList.add("printed");
      window.print();
      document.body.classList.remove("one");
      this.section.classList.remove("printed");
    }

    onPaper() {
      const rows = this.found.slice(0, MOST_PRINTED);
      const found = this.query.trim() ? `, those found for “${shown(this.query)}”` : "";
      const most = rows.length < this.found.length ? `, the first ${grouped(rows.length)} of ${grouped(this.found.length)} rows; the CSV beside this report has all` : "";
      this.caption.textContent = this.title() + found + most;
      this.fill(rows, true);
    }
  }

  // ---- paper: all rows ----

  let tables = null;
  let printing = false;
  const closed = new Set();
  function paper(begins) {
    start();
    if (begins === printing) return;
    printing = begins;
    const only = document.querySelector("section.printed");
    for (const table of tables) {
      if (!begins) table.show();
      else if (!only || only === table.section) table.onPaper();
    }
    for (const details of document.querySelectorAll("#summary details")) {
      if (begins && !details.open) closed.add(details);
      details.open = begins || !closed.has(details);
    }
    if (!begins) closed.clear();
  }
  addEventListener("beforeprint", () => paper(true));
  addEventListener("afterprint", () => paper(false));
  matchMedia("print").addEventListener("change", (event) => paper(event.matches));

  // ---- the beginning: the summary is painted first, and the texts for the search are made while nobody waits ----

  const later = window.requestIdleCallback ?? ((act) => setTimeout(act, 50));
  function prepare(table, from) {
    if (!table) return;
    const to = Math.min(from + 2000, table.rows.length);
    for (let at = from; at < to; at += 1) hay(table.rows[at], table.own);
    const next = to < table.rows.length ? [table, to] : [tables[tables.indexOf(table) + 1], 0];
    later(() => prepare(...next));
  }
  function start() {
    if (tables) return;
    load();
    tables = [...document.querySelectorAll("[data-table]")].map((root) => new Table(root));
    performance.mark("ready");
    later(() => prepare(tables[0], 0));
  }
  if (matchMedia("print").matches) paper(true);
  else if (document.hidden) start();
  else requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(start)));
})();
