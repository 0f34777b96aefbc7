/* Sorts and filters tables. Everything that is chosen stands in the address (#sort=table:-column&q=words), so that it
   can be linked to and the back button undoes it. Without this script every page is complete. */
(function () {
  "use strict";

  var each = function (list, act) { Array.prototype.forEach.call(list, act); };
  var tables = document.querySelectorAll("table.sortable");
  var field = document.getElementById("filter");

  function compare(a, b, descending) {
    if (a === "" || b === "") return (a === "") - (b === "");
    var x = Number(a), y = Number(b);
    var order = isNaN(x) || isNaN(y) ? a.localeCompare(b) : x - y;
    return descending ? -order : order;
  }

  /* Rows stay inside their group (tbody), a group's own heading stays first, and cells without a number stay last
     whatever the direction. The order of the page itself is kept in `place`. */
  function sort(table, column, descending) {
    each(table.tBodies, function (body) {
      Array.prototype.filter.call(body.rows, function (row) { return row.cells.length > 1; })
        .map(function (row) {
          return { row: row, key: column < 0 ? "" : row.cells[column].dataset.sort || "" };
        })
        .sort(function (a, b) { return compare(a.key, b.key, descending) || a.row.place - b.row.place; })
        .forEach(function (item) { body.appendChild(item.row); });
    });
    each(table.tHead.rows[0].cells, function (head, index) {
      if (index === column) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
  }

  function filter(words) {
    var shown = 0, all = 0;
    each(document.querySelectorAll("table.filtered"), function (table) {
      each(table.tBodies, function (body) {
        each(body.rows, function (row) {
          if (row.cells.length === 1) return;
          row.text = row.text || row.textContent.toLowerCase();
          var hit = words.every(function (word) { return row.text.indexOf(word) >= 0; });
          row.hidden = !hit;
          all += 1;
          shown += hit;
        });
      });
    });
    if (field) document.querySelector("output").textContent = words.length ? shown + " of " + all + " rows" : "";
  }

  function state() {
    var found = {};
    location.hash.slice(1).split("&").forEach(function (part) {
      var cut = part.indexOf("=");
      if (cut > 0) try { found[part.slice(0, cut)] = decodeURIComponent(part.slice(cut + 1)); } catch (error) { return; }
    });
    return found;
  }

  function apply() {
    var now = state(), asked = /^([\w-]+):(-?)([\w-]+)$/.exec(now.sort || "");
    each(tables, function (table) {
      var column = -1;
      if (asked && asked[1] === table.id) each(table.tHead.rows[0].cells, function (head, index) {
        if (head.dataset.key === asked[3]) column = index;
      });
      if (column >= 0 || table.querySelector("[aria-sort]")) sort(table, column, asked !== null && asked[2] === "-");
    });
    var q = now.q || "";
    if (field && field.value.trim() !== q) field.value = q;
    if (field) filter(q.toLowerCase().split(/\s+/).filter(Boolean));
  }

  function go(changes, replace) {
    var now = state();
    Object.keys(changes).forEach(function (key) { now[key] = changes[key]; });
    var parts = Object.keys(now).filter(function (key) { return now[key]; }).map(function (key) {
      return key + "=" + (key === "sort" ? now[key] : encodeURIComponent(now[key]));
    });
    var address = "#" + parts.join("&");
    if (replace) location.replace(address); else location.hash = address;
    apply();
  }

  each(tables, function (table, number) {
    if (!table.id) table.id = "table-" + number;
    each(table.tBodies, function (body) { each(body.rows, function (row, place) { row.place = place; }); });
    each(table.tHead.rows[0].cells, function (head) {
      var button = document.createElement("button");
      button.type = "button";
      while (head.firstChild) button.appendChild(head.firstChild);
      head.appendChild(button);
      button.addEventListener("click", function () {
        var before = head.getAttribute("aria-sort");
        var descending = before ? before === "ascending" : head.classList.contains("number");
        go({ sort: table.id + ":" + (descending ? "-" : "") + head.dataset.key });
      });
    });
  });

  /* A link to an order also goes to the table that it orders. */
  each(document.querySelectorAll("a.order"), function (link) {
    link.hidden = false;
    link.addEventListener("click", function () {
      var table = document.getElementById(link.hash.replace(/^#sort=([\w-]+):.*$/, "$1"));
      if (table) table.scrollIntoView();
    });
  });

  if (field) {
    field.closest(".filter").hidden = false;
    field.addEventListener("input", function () { go({ q: field.value.trim() }, true); });
  }
  window.addEventListener("hashchange", apply);
  apply();
})();
