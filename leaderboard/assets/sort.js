/* Sorts a table's rows by the column whose heading is pressed. Rows stay inside their group (tbody), a group's own
   heading stays first, and cells without a number stay last whatever the direction. Without it the page is complete. */
(function () {
  "use strict";

  function compare(a, b, descending) {
    if (a === "" || b === "") return (a === "") - (b === "");
    var x = Number(a), y = Number(b);
    var order = isNaN(x) || isNaN(y) ? a.localeCompare(b) : x - y;
    return descending ? -order : order;
  }

  function sort(table, column, descending) {
    Array.prototype.forEach.call(table.tBodies, function (body) {
      var rows = Array.prototype.filter.call(body.rows, function (row) { return row.cells.length > 1; });
      rows
        .map(function (row, index) { return { row: row, index: index, key: row.cells[column].dataset.sort }; })
        .sort(function (a, b) { return compare(a.key, b.key, descending) || a.index - b.index; })
        .forEach(function (item) { body.appendChild(item.row); });
    });
  }

  document.querySelectorAll("table.sortable").forEach(function (table) {
    var heads = Array.prototype.slice.call(table.tHead.rows[0].cells);
    heads.forEach(function (head, column) {
      var button = document.createElement("button");
      button.type = "button";
      while (head.firstChild) button.appendChild(head.firstChild);
      head.appendChild(button);
      button.addEventListener("click", function () {
        var before = head.getAttribute("aria-sort");
        var descending = before ? before === "ascending" : head.classList.contains("number");
        heads.forEach(function (other) { other.removeAttribute("aria-sort"); });
        head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        sort(table, column, descending);
      });
    });
  });
})();
