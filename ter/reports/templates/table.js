(function () {
  "use strict";
  var table = document.getElementById("table"), body = table.tBodies[0], first = Number(table.dataset.first);
  var search = document.getElementById("search"), found = document.getElementById("found"), more = document.getElementById("more");
  var chosen = ["status", "service"].map(function (id) { return document.getElementById(id); }).filter(Boolean);
  // Rows stay in the table: what does not match is hidden, and what is too far down waits for the button.
  var lines = Array.prototype.map.call(body.rows, function (row, i) { return { row: row, place: i }; }), limit = first;
  function text(line, column) { return line.row.cells[column].textContent.trim(); }
  function facts(line) {
    if (line.all === undefined) {
      line.all = line.row.textContent.toLowerCase();
      line.status = line.row.querySelector(".status").className;
      line.service = chosen.length > 1 || chosen[0] && chosen[0].id === "service" ? text(line, 1) : "";
    }
    return line;
  }
  function count(n) { return n.toLocaleString("en-GB"); }
  function update() {
    var wanted = search.value.trim().toLowerCase(), n = 0;
    var all = !wanted && chosen.every(function (list) { return !list.value; });
    lines.forEach(function (line) {
      var match = all || facts(line).all.indexOf(wanted) >= 0 && chosen.every(function (list) {
        return !list.value || (list.id === "status" ? line.status === "status " + list.value : line.service === list.value);
      });
      line.row.hidden = !match;
      line.row.classList.toggle("later", match && n >= limit);
      n += match;
    });
    found.textContent = n ? count(Math.min(n, limit)) + " of " + count(n) + (all ? " shown" : " that match shown") : "Nothing matches.";
    more.hidden = n <= limit;
    more.textContent = "Show " + count(Math.min(5 * first, n - limit)) + " more";
  }
  function afresh() { limit = first; update(); }
  function key(line, column, isText) {
    var value = text(line, column);
    if (value === "\u2013" || value === "") { return null; }
    return isText ? value.toLowerCase() : parseFloat(value.replace(/,/g, "").replace("\u2212", "-"));
  }
  function order(a, b) { return a < b ? -1 : a > b ? 1 : 0; }
  function sort(cell, column) {
    var down = cell.getAttribute("aria-sort") === "ascending", isText = cell.classList.contains("text");
    Array.prototype.forEach.call(table.tHead.rows[0].cells, function (other) { other.removeAttribute("aria-sort"); });
    cell.setAttribute("aria-sort", down ? "descending" : "ascending");
    lines.forEach(function (line) { line.key = key(line, column, isText); });
    lines.sort(function (a, b) {
      if (a.key === null || b.key === null) { return a.key === b.key ? a.place - b.place : a.key === null ? 1 : -1; }
      return (down ? order(b.key, a.key) : order(a.key, b.key)) || a.place - b.place;
    });
    // Out of sight while they change places, so that they are laid out once.
    body.remove();
    lines.forEach(function (line) { body.appendChild(line.row); });
    afresh();
    table.appendChild(body);
  }
  Array.prototype.forEach.call(table.tHead.rows[0].cells, function (cell, column) {
    if (cell.tagName !== "TH") { return; }
    var button = document.createElement("button");
    button.type = "button";
    while (cell.firstChild) { button.appendChild(cell.firstChild); }
    cell.appendChild(button);
    button.addEventListener("click", function () { sort(cell, column); });
  });
  search.addEventListener("input", afresh);
  chosen.forEach(function (list) { list.addEventListener("change", afresh); });
  more.addEventListener("click", function () { limit += 5 * first; update(); });
  document.getElementById("find").hidden = false;
  if (lines.length > first) { update(); }
})();
