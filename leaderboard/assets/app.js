/* Sorts and filters tables, and chooses their columns. Everything that is chosen stands in the address
   (#sort=table:-column&q=words&prompt=text,box&cols=average,hit5&pair=table:row:row), so that it can be linked to and the
   back button undoes it. Without this script every page is complete. */
(function () {
  "use strict";

  var each = function (list, act) { Array.prototype.forEach.call(list, act); };
  var tables = document.querySelectorAll("table.sortable");
  var field = document.getElementById("filter");
  var chips = document.querySelectorAll(".chips");
  var since = document.getElementById("since");
  var clear = document.querySelector(".filter .clear");
  var choosers = document.querySelectorAll(".choose");
  var chooser = document.querySelector(".columns-of");

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

  /* What a row is found by: its name where it has one, else every cell but numbers. */
  function words_of(row) {
    if (!row.words) {
      var text = row.dataset.name || Array.prototype.filter.call(row.cells, function (cell) {
        return !cell.classList.contains("number");
      }).map(function (cell) { return cell.textContent; }).join(" ");
      row.words = " " + text.toLowerCase().replace(/[^\p{L}\p{N}.]+/gu, " ") + " ";
    }
    return row.words;
  }

  /* Every word that is searched for begins a word of the row; one with marks in it, as "a-1", stands as it is. */
  function named(row, q) {
    var text = words_of(row);
    return q.toLowerCase().split(/\s+/).every(function (word) {
      return text.indexOf(" " + word.replace(/[^\p{L}\p{N}.]+/gu, " ").trim()) >= 0;
    });
  }

  function pressed(box) {
    return Array.prototype.filter.call(box.querySelectorAll("button"), function (chip) {
      return chip.getAttribute("aria-pressed") === "true";
    }).map(function (chip) { return chip.value; });
  }

  function filter(q) {
    var shown = 0, all = 0, more = [];
    var asked = Array.prototype.map.call(chips, function (box) { return { key: box.dataset.key, values: pressed(box) }; })
      .filter(function (choice) { return choice.values.length; });
    each(document.querySelectorAll("table.filtered"), function (table) {
      var box = document.querySelector(".choose[data-table='" + table.id + "']"), picks = box ? picked(box) : [];
      if (table.dataset.more) more.push(table.dataset.more);
      each(table.tBodies, function (body) {
        var left = 0, heading = null;
        each(body.rows, function (row) {
          if (row.cells.length === 1) { heading = row; return; }
          var allowed = asked.every(function (choice) { return choice.values.indexOf(row.dataset[choice.key]) >= 0; });
          if (since && since.value && row.dataset.date < since.value) allowed = false;
          var hit = allowed && fits(row, picks) && (!q || named(row, q));
          row.hidden = !hit;
          all += 1;
          left += hit;
        });
        if (heading) heading.hidden = !left;
        shown += left;
      });
    });
    each(choosers, explain);
    var chosen = q || asked.length || since && since.value;
    if (clear) clear.hidden = !chosen;
    if (field) document.querySelector(".filter output").textContent = chosen
      ? shown + " of " + all + " rows" + (more.length ? "; " + more.join("; ") : "") : "";
  }

  /* Columns that are not chosen are hidden; those that are no score at first until they are asked for. */
  function choose_columns(asked) {
    var table = document.getElementById(chooser.dataset.table), wanted = asked === undefined ? null : asked.split(",");
    each(table.tHead.rows[0].cells, function (head, place) {
      var fixed = head.dataset.key === "model" || head.dataset.key === "rank";
      var on = fixed || (wanted ? wanted.indexOf(head.dataset.key) >= 0 : !head.classList.contains("extra"));
      if (head.box) head.box.checked = on;
      if (head.hidden === !on) return;
      head.hidden = !on;
      each(table.tBodies, function (body) {
        each(body.rows, function (row) { if (row.cells.length > 1) row.cells[place].hidden = !on; });
      });
    });
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
    each(chips, function (box) {
      var values = (now[box.dataset.key] || "").split(",");
      each(box.querySelectorAll("button"), function (chip) {
        chip.setAttribute("aria-pressed", values.indexOf(chip.value) >= 0 ? "true" : "false");
      });
    });
    if (chooser) choose_columns(now.cols);
    if (since) since.value = now.since || "";
    var q = now.q || "";
    if (field && field.value.trim() !== q) field.value = q;
    if (field) filter(q);
  }

  function go(changes, replace) {
    var now = state();
    Object.keys(changes).forEach(function (key) { now[key] = changes[key]; });
    var parts = Object.keys(now).filter(function (key) { return now[key]; }).map(function (key) {
      return key + "=" + (key === "sort" || key === "cols" ? now[key] : encodeURIComponent(now[key]));
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
    field.closest(".filter").addEventListener("submit", function (event) { event.preventDefault(); });
    field.addEventListener("input", function () { go({ q: field.value.trim() }, true); });
  }
  each(chips, function (box) {
    box.addEventListener("click", function (event) {
      var chip = event.target.closest("button"), change = {};
      if (!chip) return;
      chip.setAttribute("aria-pressed", chip.getAttribute("aria-pressed") === "true" ? "false" : "true");
      change[box.dataset.key] = pressed(box).join(",");
      go(change);
    });
  });
  if (since) since.addEventListener("change", function () { go({ since: since.value }); });
  if (clear) clear.addEventListener("click", function () {
    var change = { q: "", since: "" };
    each(chips, function (box) { change[box.dataset.key] = ""; });
    go(change);
    field.focus();
  });
  if (chooser) {
    each(document.getElementById(chooser.dataset.table).tHead.rows[0].cells, function (head) {
      if (head.dataset.key === "model" || head.dataset.key === "rank") return;
      var label = document.createElement("label");
      head.box = document.createElement("input");
      head.box.type = "checkbox";
      head.box.value = head.dataset.key;
      label.appendChild(head.box);
      label.appendChild(document.createTextNode(" " + (head.title || head.textContent.replace(/[↑↓]/g, "").trim())));
      chooser.querySelector("fieldset").appendChild(label);
    });
    chooser.addEventListener("change", function () {
      var on = Array.prototype.filter.call(chooser.querySelectorAll("input"), function (box) { return box.checked; });
      go({ cols: on.map(function (box) { return box.value; }).join(",") || "none" });
    });
  }
  window.addEventListener("hashchange", apply);
  apply();
  /* On a wide screen the filters are open; elsewhere they are where something is chosen by one. */
  each(document.querySelectorAll(".facets"), function (box) {
    box.open = window.innerWidth > 700 || box.querySelector("[aria-pressed='true']") !== null;
  });
})();
