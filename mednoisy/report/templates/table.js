"use strict";
// The table of all cases: sorts by its headings' buttons, filters by text; without JavaScript it is a plain table.
(() => {
  const MOST_ROWS = 300; // shown at once: browsers need seconds to lay out thousands
  const order = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

  // What a cell is sorted by: its data-value as a number, NaN if that is empty, its text where there is none.
  function keyOf(cell) {
    const value = cell.dataset.value;
    if (value === undefined) return cell.textContent;
    return value === "" ? NaN : Number(value);
  }

  function compare(one, other, direction) {
    const open = Number.isNaN(one) - Number.isNaN(other);
    if (open || Number.isNaN(one)) return open; // undefined values are last either way
    return direction * (typeof one === "number" ? one - other : order.compare(one, other));
  }

  class Table {
    constructor(root) {
      this.body = root.querySelector("tbody");
      this.headings = root.querySelectorAll("th[aria-sort]");
      this.controls = root.querySelector(".filter");
      this.text = this.controls.querySelector("input[type=search]");
      this.undefined = this.controls.querySelector("input[type=checkbox]");
      this.more = root.querySelector(".more");
      this.most = MOST_ROWS;
      this.rows = Array.from(this.body.rows, (row) => ({
        row,
        name: `${row.cells[0].textContent} ${row.cells[1].textContent}`.toLowerCase(),
        undefined: row.hasAttribute("data-undefined"),
      }));
      for (const heading of this.headings) {
        heading.querySelector("button").addEventListener("click", () => this.sort(heading));
      }
      for (const control of [this.text, this.undefined]) control?.addEventListener("input", () => this.show());
      this.more.addEventListener("click", () => this.showAll());
      addEventListener("beforeprint", () => this.showAll());
      this.controls.hidden = false;
      this.show();
    }

    sort(heading) {
      const direction = heading.ariaSort === "ascending" ? -1 : 1;
      const column = Number(heading.dataset.column);
      for (const entry of this.rows) entry.key = keyOf(entry.row.cells[column]);
      this.rows.sort((one, other) => compare(one.key, other.key, direction));
      for (const other of this.headings) other.ariaSort = "none";
      heading.ariaSort = direction > 0 ? "ascending" : "descending";
      this.show();
    }

    showAll() {
      this.most = Infinity;
      this.show();
    }

    show() {
      const wanted = this.text.value.trim().toLowerCase();
      const fits = (entry) => entry.name.includes(wanted) && (entry.undefined || !this.undefined?.checked);
      const found = this.rows.filter(fits);
      this.body.replaceChildren(...found.slice(0, this.most).map((entry) => entry.row));
      this.controls.querySelector("output").textContent = `${found.length} of ${this.rows.length} rows`;
      this.more.hidden = found.length <= this.most;
      this.more.textContent = `Show all ${found.length} rows`;
    }
  }

  for (const root of document.querySelectorAll(".cases-table")) new Table(root);

  // On paper nothing is folded; viewers are not printed.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not(.viewer):not([open])")];
    for (const part of folded) part.open = true;
  });
  addEventListener("afterprint", () => { for (const part of folded) part.open = false; });
})();
