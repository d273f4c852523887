(function () {
  "use strict";
  var table = document.getElementById("table"), body = table.tBodies[0];
  var rows = Array.prototype.slice.call(body.rows), find = document.getElementById("find");
  var search = document.getElementById("search"), found = document.getElementById("found");
  var texts = rows.map(function (row) { return row.textContent.toLowerCase(); });
  find.hidden = false;
  search.addEventListener("input", function () {
    var wanted = search.value.trim().toLowerCase(), shown = 0;
    rows.forEach(function (row, i) { row.hidden = texts[i].indexOf(wanted) < 0; shown += row.hidden ? 0 : 1; });
    found.textContent = wanted ? shown + " of " + rows.length + " shown" : "";
  });
  function key(row, column, isText) {
    var text = row.cells[column].textContent.trim();
    if (text === "\u2013" || text === "") { return null; }
    return isText ? text.toLowerCase() : parseFloat(text.replace(/,/g, ""));
  }
  function order(a, b) { return a < b ? -1 : a > b ? 1 : 0; }
  Array.prototype.forEach.call(table.tHead.rows[0].cells, function (cell, column) {
    if (cell.tagName !== "TH") { return; }
    var button = document.createElement("button");
    button.type = "button";
    while (cell.firstChild) { button.appendChild(cell.firstChild); }
    cell.appendChild(button);
    button.addEventListener("click", function () {
      var down = cell.getAttribute("aria-sort") === "ascending";
      Array.prototype.forEach.call(table.tHead.rows[0].cells, function (other) { other.removeAttribute("aria-sort"); });
      cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      var sorted = document.createDocumentFragment();
      rows.map(function (row, i) { return [key(row, column, cell.classList.contains("text")), i, row]; }).sort(function (a, b) {
        if (a[0] === null || b[0] === null) { return a[0] === b[0] ? a[1] - b[1] : a[0] === null ? 1 : -1; }
        return (down ? order(b[0], a[0]) : order(a[0], b[0])) || a[1] - b[1];
      }).forEach(function (entry) { sorted.appendChild(entry[2]); });
      body.appendChild(sorted);
    });
  });
})();
