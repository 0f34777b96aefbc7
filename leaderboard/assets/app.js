/* Sorts and filters tables. Everything that is chosen stands in the address (#sort=table:-column&q=words&level=measured&use=yes&sees=3-D&pair=table:row:row), so that it
   can be linked to and the back button undoes it. Without this script every page is complete. */
(function () {
  "use strict";

  var each = function (list, act) { Array.prototype.forEach.call(list, act); };
  var tables = document.querySelectorAll("table.sortable");
  var field = document.getElementById("filter");
  var choices = ["level", "use", "sees"].map(function (key) { return document.getElementById(key); }).filter(Boolean);
  var choosers = document.querySelectorAll(".choose");

  function picked(box) {
    return Array.prototype.map.call(box.querySelectorAll("select"), function (select) { return select.value; });
  }

  /* A row of pairs is shown where it has every row that was picked. */
  function fits(row, picks) {
    var ends = (row.dataset.pair || "").split(" ");
    return picks.every(function (pick) { return !pick || ends.indexOf(pick) >= 0; });
  }

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
      var box = document.querySelector(".choose[data-table='" + table.id + "']"), picks = box ? picked(box) : [];
      each(table.tBodies, function (body) {
        each(body.rows, function (row) {
          if (row.cells.length === 1) return;
          row.text = row.text || row.textContent.toLowerCase();
          var allowed = choices.every(function (choice) { return !choice.value || row.dataset[choice.id] === choice.value; });
          var hit = allowed && fits(row, picks) && words.every(function (word) { return row.text.indexOf(word) >= 0; });
          row.hidden = !hit;
          all += 1;
          shown += hit;
        });
      });
    });
    each(choosers, explain);
    if (field) document.querySelector("output").textContent = words.length || choices.some(function (choice) { return choice.value; }) ? shown + " of " + all + " rows" : "";
  }

  /* Says why no row is left where two were picked: the page of a run has those pairs that are not in the table. */
  function explain(box) {
    var picks = picked(box), output = box.querySelector("output"), link;
    var rows = document.getElementById(box.dataset.table).tBodies[0].rows;
    output.textContent = "";
    if (!picks[0] || !picks[1]) return;
    if (picks[0] === picks[1]) output.textContent = "These are one and the same row.";
    else if (!Array.prototype.some.call(rows, function (row) { return fits(row, picks); })) {
      link = document.createElement("a");
      link.href = "runs/" + picks[0] + ".html#against";
      link.textContent = "This pair is beyond the best rows; the page of the run has it.";
      output.appendChild(link);
    }
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
    var pair = (now.pair || "").split(":");
    each(choosers, function (box) {
      each(box.querySelectorAll("select"), function (select, place) {
        select.value = pair[0] === box.dataset.table && pair[place + 1] || "";
        if (select.selectedIndex < 0) select.value = "";
      });
    });
    choices.forEach(function (choice) {
      choice.value = now[choice.id] || "";
      if (choice.selectedIndex < 0) choice.value = "";
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

  each(choosers, function (box) {
    box.hidden = false;
    box.addEventListener("change", function () {
      var picks = picked(box);
      go({ pair: picks[0] || picks[1] ? [box.dataset.table].concat(picks).join(":") : "" });
    });
  });

  if (field) {
    field.closest(".filter").hidden = false;
    field.addEventListener("input", function () { go({ q: field.value.trim() }, true); });
  }
  choices.forEach(function (choice) {
    choice.addEventListener("change", function () {
      var change = {};
      change[choice.id] = choice.value;
      go(change);
    });
  });
  window.addEventListener("hashchange", apply);
  apply();
})();
