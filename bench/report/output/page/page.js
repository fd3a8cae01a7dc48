(() => {
  "use strict";
  const documents = JSON.parse(document.getElementById("documents").textContent);
  const FIRST = 60; // rows shown before one asks for more

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value !== null && value !== false) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  // Recipes may be broken before their links and settings, nowhere else.
  function breakable(text) {
    return text.split(/(?=[+:/])/).flatMap((piece, i) => (i ? [document.createElement("wbr"), piece] : [piece]));
  }

  // ---- tables -------------------------------------------------------------------------------

  // What a cell is sorted by: the number it begins with, else its text; what says nothing is last.
  function weight(cell, numeric) {
    if (typeof cell === "number") return cell;
    if (cell === null || cell === undefined || cell === "" || cell === "–") return null;
    if (typeof cell === "boolean") return Number(cell);
    if (!numeric) return String(cell).toLowerCase();
    const found = String(cell).replace("−", "-").replaceAll(",", "").match(/^[-+]?\d+(\.\d+)?([eE][-+]?\d+)?/);
    return found ? Number(found[0]) : null;
  }

  function order(a, b) {
    if (a === null || b === null) return (a === null) - (b === null);
    return a < b ? -1 : a > b ? 1 : 0;
  }

  function spell(cell) {
    if (cell === null || cell === undefined) return "–";
    if (typeof cell === "boolean") return cell ? "yes" : "no";
    return typeof cell === "number" && !Number.isInteger(cell) ? String(Number(cell.toPrecision(5))) : String(cell);
  }

  // A table of `n` rows; cell(row, column) says what stands there.
  function tabulate(place, { columns, n, cell, numeric, faint = new Set(), facets = [], details = {} }) {
    const chosen = new Map();
    let sorted = null, descending = false, sought = "", shown = FIRST;
    const body = make("tbody");
    const count = make("span", { class: "count", role: "status" });
    const more = make("button", { type: "button", onclick: () => { shown = Infinity; draw(); } }, "show all rows");
    const heads = columns.map((name, column) =>
      make("th", { scope: "col", class: numeric[column] ? "n" : null },
        make("button", { type: "button", onclick: () => {
          descending = sorted === column ? !descending : false;
          sorted = column;
          draw();
        } }, name)));
    const texts = Array.from({ length: n }, () => null);
    const text = (row) => texts[row] ??= columns.map((_, column) => spell(cell(row, column))).join("\u0000").toLowerCase();

    function rows() {
      const words = sought.toLowerCase().split(/\s+/).filter(Boolean);
      let found = Array.from({ length: n }, (_, row) => row);
      for (const [column, value] of chosen) found = found.filter((row) => spell(cell(row, column)) === value);
      if (words.length) found = found.filter((row) => words.every((word) => text(row).includes(word)));
      if (sorted !== null) {
        const weights = new Map(found.map((row) => [row, weight(cell(row, sorted), numeric[sorted])]));
        const sign = descending ? -1 : 1;
        found.sort((a, b) => {
          const x = weights.get(a), y = weights.get(b);
          return x === null || y === null ? order(x, y) : sign * order(x, y);
        });
      }
      return found;
    }

    // A recipe's short name opens to the whole.
    function content(row, column) {
      const said = spell(cell(row, column));
      if (numeric[column]) return [said];
      if (columns[column] !== "recipe" || details[row] === undefined) return breakable(said);
      return [make("details", {}, make("summary", {}, said), ...breakable(details[row]))];
    }

    function draw() {
      const found = rows();
      body.replaceChildren(...found.slice(0, shown).map((row) =>
        make("tr", { class: faint.has(row) ? "faint" : null },
          ...columns.map((_, column) => make("td", { class: numeric[column] ? "n" : null }, ...content(row, column))))));
      heads.forEach((head, column) => {
        if (column === sorted) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      });
      count.textContent = found.length === n ? `${n} rows` : `${found.length} of ${n} rows`;
      more.hidden = found.length <= shown;
    }

    const controls = make("div", { class: "controls" });
    const name = place.querySelector("strong")?.textContent ?? place.closest("section").querySelector("h2").textContent;
    for (const column of facets) {
      const values = [...new Set(Array.from({ length: n }, (_, row) => spell(cell(row, column))))].sort();
      controls.append(make("label", {}, columns[column],
        make("select", { onchange: (event) => {
          if (event.target.value === "") chosen.delete(column);
          else chosen.set(column, event.target.value);
          draw();
        } }, make("option", { value: "" }, "all"), ...values.map((value) => make("option", { value }, value)))));
    }
    if (n > 6) {
      controls.append(make("label", {}, "filter", make("input", { type: "search", oninput: (event) => {
        sought = event.target.value;
        draw();
      } })));
      controls.append(count, more);
    }
    place.append(controls, make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": name },
      make("table", {}, make("thead", {}, make("tr", {}, ...heads)), body)));
    draw();
  }

  for (const place of document.querySelectorAll("[data-table]")) {
    const table = documents[place.dataset.table];
    tabulate(place, { ...table, n: table.rows.length, faint: new Set(table.faint), cell: (row, column) => table.rows[row][column] });
  }

  // Column `words` are numbered; -1 is nothing.
  function reader(columns) {
    return (row, column) => {
      const { values, words } = columns[column];
      return words ? (values[row] < 0 ? null : words[values[row]]) : values[row];
    };
  }

  for (const place of document.querySelectorAll("[data-cells]")) {
    const { columns, shown, facets, n } = documents[place.dataset.cells];
    const kept = shown.map((column) => columns[column]);
    tabulate(place, {
      columns: kept.map((column) => column.name), n, cell: reader(kept),
      numeric: kept.map((column) => !column.words), facets,
    });
  }

  // ---- pictures: a tooltip for the pointer, a finger and the keyboard --------------------------

  for (const picture of document.querySelectorAll(".picture")) {
    const dots = [...picture.querySelectorAll(".dot")];
    const canvas = picture.querySelector(".canvas");
    const tip = picture.querySelector(".tip");
    const buttons = [...picture.querySelectorAll(".families button")];

    function show(dot) {
      tip.replaceChildren(...dot.querySelector("desc").textContent.split("\n").map((line) => make("div", {}, line)));
      tip.hidden = false;
      const at = dot.querySelector(".mark").getBoundingClientRect(), frame = canvas.getBoundingClientRect();
      const left = at.left + at.width / 2 - frame.left - tip.offsetWidth / 2;
      const above = at.top - frame.top - tip.offsetHeight - 10;
      tip.style.left = `${Math.max(0, Math.min(left, frame.width - tip.offsetWidth))}px`;
      tip.style.top = `${above >= 0 ? above : at.bottom - frame.top + 10}px`;
    }
    const hide = () => { tip.hidden = true; };

    function go(dot) {
      for (const other of dots) other.setAttribute("tabindex", other === dot ? "0" : "-1");
      dot.focus();
    }

    for (const dot of dots) {
      dot.addEventListener("pointerenter", () => show(dot));
      dot.addEventListener("pointerleave", () => { if (document.activeElement !== dot) hide(); });
      dot.addEventListener("click", () => go(dot));
      dot.addEventListener("focus", () => show(dot));
      dot.addEventListener("blur", hide);
      dot.addEventListener("keydown", (event) => {
        const seen = dots.filter((other) => !other.classList.contains("faded"));
        const at = seen.indexOf(dot);
        const next = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1,
                       Home: 0, End: seen.length - 1 }[event.key];
        if (event.key === "Escape") hide();
        if (next === undefined) return;
        event.preventDefault();
        if (seen[next]) go(seen[next]);
      });
    }
    for (const button of buttons) {
      button.addEventListener("click", () => {
        const alone = button.getAttribute("aria-pressed") !== "true";
        for (const other of buttons) other.setAttribute("aria-pressed", String(alone && other === button));
        for (const drawn of picture.querySelectorAll(".dot, .curve"))
          drawn.classList.toggle("faded", alone && drawn.dataset.family !== button.dataset.family);
        const seen = dots.filter((other) => !other.classList.contains("faded"));
        for (const other of dots) other.setAttribute("tabindex", other === seen[0] ? "0" : "-1");
      });
    }
  }

  // ---- data to take away ----------------------------------------------------------------------

  function save(name, type, text) {
    const url = URL.createObjectURL(new Blob([text], { type }));
    make("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }

  for (const button of document.querySelectorAll("[data-save]")) {
    button.addEventListener("click", () => {
      const { columns, n } = documents[button.dataset.of];
      const cell = reader(columns);
      if (button.dataset.save === "json") {
        const rows = Array.from({ length: n }, (_, row) =>
          Object.fromEntries(columns.map((column, i) => [column.name, cell(row, i) ?? null])));
        save("cells.json", "application/json", JSON.stringify(rows, null, 1));
      } else {
        const quote = (value) => value === null || value === undefined ? ""
          : /[",\r\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value);
        const lines = Array.from({ length: n }, (_, row) => columns.map((_, i) => quote(cell(row, i))).join(","));
        save("cells.csv", "text/csv", [columns.map((c) => c.name).join(","), ...lines].join("\n") + "\n");
      }
    });
  }

  // ---- light and dark -------------------------------------------------------------------------

  const root = document.documentElement;
  const wish = window.matchMedia("(prefers-color-scheme: dark)");
  root.classList.toggle("dark", wish.matches);
  const redraw = () => { for (const plot of drawn.keys()) draw(plot); };
  wish.addEventListener("change", () => { root.classList.toggle("dark", wish.matches); redraw(); });
  document.getElementById("theme").addEventListener("click", () => { root.classList.toggle("dark"); redraw(); });

  // ---- charts: drawn when they come into view -------------------------------------------------

  const drawn = new Map(); // plot -> what vegaEmbed made of it

  function colours() {
    const style = getComputedStyle(root);
    const [ink, soft, line] = ["--ink", "--soft", "--line"].map((name) => style.getPropertyValue(name).trim());
    return {
      background: "transparent", font: "system-ui, sans-serif",
      axis: { labelColor: soft, titleColor: ink, gridColor: line, domainColor: soft, tickColor: soft, gridOpacity: .6 },
      legend: { labelColor: soft, titleColor: ink, labelLimit: 320 },
      title: { color: ink }, header: { labelColor: ink, titleColor: ink }, view: { stroke: null },
      text: { color: ink }, rule: { color: soft },
    };
  }

  // Draw, or draw again in other colours: what was chosen from its lists stays chosen.
  async function draw(plot) {
    const chosen = [...plot.querySelectorAll("select")].map((list) => list.selectedIndex);
    const before = drawn.get(plot);
    drawn.set(plot, null);
    library();
    if (before) before.finalize();
    const made = await window.vegaEmbed(plot, documents[plot.dataset.chart], {
      actions: { export: true, source: false, compiled: false, editor: false }, renderer: "svg",
      config: colours(), tooltip: { theme: root.classList.contains("dark") ? "dark" : "light" },
    });
    drawn.set(plot, made);
    plot.querySelectorAll("select").forEach((list, i) => {
      if (chosen[i] === undefined || chosen[i] === list.selectedIndex) return;
      list.selectedIndex = chosen[i];
      list.dispatchEvent(new Event("input", { bubbles: true }));
      list.dispatchEvent(new Event("change", { bubbles: true }));
    });
  }

  // The chart library is most of the page: it runs when the first chart comes into view.
  function library() {
    if (window.vegaEmbed) return;
    document.head.append(make("script", {}, document.getElementById("charts").textContent));
  }

  window.drawCharts = () => {
    const watcher = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) { watcher.unobserve(entry.target); draw(entry.target); }
      }
    }, { rootMargin: "300px" });
    document.querySelectorAll("[data-chart]").forEach((plot) => watcher.observe(plot));
    window.addEventListener("beforeprint", () =>
      document.querySelectorAll("[data-chart]").forEach((plot) => drawn.has(plot) || draw(plot)));
  };
})();
