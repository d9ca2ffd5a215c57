"use strict";
// A click on a header sorts by its column, another one the other way round; what is empty stays last.
for (const header of document.querySelectorAll("th")) {
  header.firstElementChild.addEventListener("click", () => {
    const descending = header.getAttribute("aria-sort") === "ascending";
    const numeric = header.classList.contains("number");
    const key = (row) => row.cells[header.cellIndex].dataset.key;
    const compare = (a, b) => (numeric ? a - b : a.localeCompare(b)) * (descending ? -1 : 1);
    const body = header.closest("table").tBodies[0];
    const rows = [...body.rows].sort((a, b) =>
      key(a) === "" || key(b) === "" ? (key(a) === "") - (key(b) === "") : compare(key(a), key(b)));
    for (const other of header.parentElement.cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", descending ? "descending" : "ascending");
    body.append(...rows);
  });
}
