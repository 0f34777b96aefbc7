/* Browses a finding: slices of the CT, masks, what is right, false and missed. Without this script the stills remain. */
(function () {
  "use strict";

  const viewer = window.groundbenchViewer, element = viewer.element;

  function limited(view, state) {
    const [width, height] = view.sheet.grid;
    const keep = (value, size) => Math.max(size / 2 / state.zoom, Math.min(size - size / 2 / state.zoom, value));
    state.slice = Math.max(0, Math.min(view.sheet.depths.length - 1, state.slice));
    state.x = keep(state.x, width);
    state.y = keep(state.y, height);
    return state;
  }

  function marks(stage, sheet) {
    if (!sheet.sided) return;
    [["top", "A", "front"], ["bottom", "P", "back"], ["left", "R", "patient’s right"], ["right", "L", "patient’s left"]]
      .forEach(([side, letter, meaning]) => {
        stage.appendChild(element("abbr", { "class": "mark " + side, title: meaning }, letter));
      });
  }

  function make(box, sheet, number) {
    const [, low, high] = sheet.windows[0], known = sheet.layers.length > 0 && !sheet.layers[0].id;
    const canvas = element("canvas", {
      "class": "slices", tabindex: 0, role: "slider", "aria-orientation": "vertical", "aria-valuemin": 1,
      "aria-valuemax": sheet.depths.length, "aria-valuenow": sheet.key + 1,
      "aria-label": "Axial slices of finding " + box.dataset.finding
    });
    const view = {
      box: box, sheet: sheet, number: number, known: known, canvas: canvas, layers: [], shapes: [], turn: {}, refreshers: [],
      tool: "slices", ground: document.createElement("canvas"), hounsfield: viewer.hounsfield(sheet.levels),
      output: element("p", { "class": "position" }), status: element("p", { role: "status" }), legend: element("ul", { "class": "legend" }),
      lists: element("div", { "class": "parts" }),
      state: {
        slice: sheet.key, low: low, high: high, a: sheet.layers.findIndex((layer) => layer.id), b: -1,
        reference: known, show: "models", fill: true, outline: true, opacity: 0.6, zoom: 1,
        x: sheet.grid[0] / 2, y: sheet.grid[1] / 2
      },
      say(words) { view.status.textContent = words; },
      position() {
        const z = sheet.depths[view.state.slice], height = sheet.affine[2];
        const mm = height[0] * sheet.grid[0] / 2 + height[1] * sheet.grid[1] / 2 + height[2] * z + height[3];
        const place = "slice " + (view.state.slice + 1) + " of " + sheet.depths.length;
        return place + (sheet.measured ? ", " + mm.toFixed(1) + " mm" : "") +
          (sheet.depths.length < sheet.grid[2] ? ", number " + (z + 1) + " of the scan's " + sheet.grid[2] : "");
      },
      set(changes, quiet) {
        view.state = limited(view, Object.assign({}, view.state, changes));
        draw(view);
        if (!quiet) viewer.toAddress(view);
      },
      reset() {
        view.mark = view.ruler = null;
        view.set({ zoom: 1 });
      }
    };
    return view;
  }

  const path = (view, slice) => view.sheet.ct + "-" + view.sheet.depths[slice] + ".js";

  /* Draws at once what has been loaded; what has not follows when it is there, unless something else is wanted then. */
  function draw(view) {
    const wanted = view.wanted = {}, slice = view.state.slice;
    const ct = view.sheet.ct ? viewer.slice(path(view, slice)) : Promise.resolve(null);
    view.output.textContent = view.position();
    view.refreshers.forEach((refresh) => refresh());
    view.canvas.style.touchAction = view.tool === "slices" && view.state.zoom === 1 ? "pan-y" : "none";
    ct.then((pixels) => {
      if (view.wanted !== wanted) return;
      const now = view.state;
      const key = [now.slice, now.a, now.b, now.show, now.reference].join(" ");
      if (view.shapesOf !== key) view.shapes = viewer.shapes(view);
      view.shapesOf = key;
      viewer.paint(view, pixels);
      viewer.listParts(view, view.lists);
      viewer.explain(view);
      view.box.dataset.drawn = slice + " " + viewer.windowName(view);
      view.box.dispatchEvent(new CustomEvent("drawn"));
      if (view.sheet.ct) [1, -1, 2, -2].forEach((by) => {
        if (view.sheet.depths[slice + by] !== undefined) viewer.slice(path(view, slice + by)).catch(() => 0);
      });
    }).catch((error) => view.say("The slice is not shown: " + error.message + "."));
  }

  function open(box, sheet, number) {
    const view = make(box, sheet, number), stage = element("div", { "class": "stage" });
    const aspect = sheet.grid[0] * sheet.spacing[0] / (sheet.grid[1] * sheet.spacing[1]);
    view.canvas.style.aspectRatio = String(aspect);
    stage.appendChild(view.canvas);
    marks(stage, sheet);
    box.textContent = "";
    const picture = element("div", { "class": "picture" });
    picture.style.maxWidth = "calc(80vh * " + aspect + ")";
    picture.appendChild(stage);
    box.appendChild(picture);
    box.appendChild(viewer.controls(view));
    if (box.dataset.volume && window.groundbenchOpenVolume) box.appendChild(window.groundbenchOpenVolume(view));
    viewer.masks(sheet).then((layers) => {
      view.layers = layers;
      viewer.listen(view);
      new ResizeObserver(() => draw(view)).observe(view.canvas);
      view.set(asked() === number ? viewer.fromAddress(view) : {}, true);
    }).catch((error) => view.say("The masks are not shown: " + error.message + ". The pictures above show them."));
    return view;
  }

  const boxes = Array.from(document.querySelectorAll(".viewer")), sheets = boxes.map((box) => JSON.parse(box.dataset.sheet));
  const views = [];

  /* Opens a viewer, or goes to it where it is open; numbers are from 1. */
  function visit(number) {
    views[number] = views[number] || open(boxes[number - 1], sheets[number - 1], number);
    return views[number];
  }

  /* Returns the number of the viewer that the address names, or of the finding that it leads to; 0 for none. */
  function asked() {
    const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    return boxes.findIndex((box, place) => String(place + 1) === viewer.asked().view || target && target.contains(box)) + 1;
  }

  boxes.forEach((box, place) => {
    box.hidden = false;
    const button = element("button", { type: "button" }, "Browse " + sheets[place].depths.length + " slices");
    button.addEventListener("click", () => visit(place + 1).canvas.focus());
    box.appendChild(button);
  });
  if (boxes.length) visit(asked() || 1);
  if (viewer.asked().view && asked()) boxes[asked() - 1].scrollIntoView();
  document.querySelectorAll("a.show").forEach((link) => { link.hidden = false; });
  window.addEventListener("hashchange", () => {
    const number = asked();
    if (!number) return;
    const view = visit(number);
    if (view.layers.length) view.set(viewer.fromAddress(view), true);
    if (viewer.asked().view) view.box.scrollIntoView();
  });
})();
