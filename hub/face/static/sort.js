// Tables whose columns can be sorted: numbers by value, all else as text; what is missing is last.

const language = document.documentElement.lang;

/** Compare two cells' values; ends of the alphabet and of the numbers alike. */
export function order(a, b, down) {
  if (a === "" || b === "") return (a === "") - (b === "");
  const [x, y] = [Number(a), Number(b)];
  const found = Number.isNaN(x) || Number.isNaN(y)
    ? a.localeCompare(b, language, { numeric: true }) : x - y;
  return down ? -found : found;
}

function sort(table, column, heading) {
  const down = heading.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  const body = table.tBodies[0];
  const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
  const rows = [...body.rows].map((row, i) => ({ row, i, value: value(row) }));
  rows.sort((a, b) => order(a.value, b.value, down) || a.i - b.i);
  body.append(...rows.map((x) => x.row));
}

for (const table of document.querySelectorAll("table[data-sortable]")) {
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const name = heading.textContent.trim();
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.title = table.dataset.sortable.replace("{column}", name);
    button.addEventListener("click", () => sort(table, column, heading));
    heading.replaceChildren(button);
  });
}
