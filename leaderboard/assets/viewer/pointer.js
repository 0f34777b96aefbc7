/* Wheel, keys, mouse and fingers on the canvas. */
(function () {
  "use strict";

  const viewer = window.groundbenchViewer;
  const PER_SLICE = 20; /* pixels of a drag */

  /* Zooms by a factor and keeps what lies at a place of the canvas (shares of its width and height) where it is. */
  viewer.zoom = (view, factor, across, down) => {
    const state = view.state, [width, height] = view.sheet.grid;
    const zoom = Math.max(1, Math.min(32, state.zoom * factor));
    const dx = ((across === undefined ? 0.5 : across) - 0.5) * width, dy = ((down === undefined ? 0.5 : down) - 0.5) * height;
    view.set({
      zoom: zoom, x: state.x + dx / state.zoom - dx / zoom, y: state.y + dy / state.zoom - dy / zoom
    });
  };

  viewer.step = (view, by) => view.set({ slice: view.state.slice + by });

  const share = (view, event) => {
    const box = view.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };

  /* Returns the voxel at a place on the screen, with fractions. */
  function voxel(view, event) {
    const [across, down] = share(view, event), place = viewer.placed(view);
    return [(across * view.canvas.width - place.left) / place.across, (down * view.canvas.height - place.top) / place.down];
  }

  function wheel(view, event) {
    const by = Math.sign(event.deltaY);
    if (event.ctrlKey) {
      event.preventDefault();
      viewer.zoom(view, by > 0 ? 1 / 1.15 : 1.15, ...share(view, event));
      return;
    }
    const next = view.state.slice + by;
    if (!by || next < 0 || next >= view.sheet.depths.length) return; /* at an end the page scrolls on */
    event.preventDefault();
    viewer.step(view, by);
  }

  function keys(view, event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const state = view.state, pan = 20 * view.sheet.grid[0] / view.canvas.clientWidth / state.zoom;
    const last = view.sheet.depths.length - 1, windows = view.sheet.windows;
    const acts = event.shiftKey ? {
      ArrowUp: () => view.set({ y: state.y - pan }), ArrowDown: () => view.set({ y: state.y + pan }),
      ArrowLeft: () => view.set({ x: state.x - pan }), ArrowRight: () => view.set({ x: state.x + pan }),
      L: () => viewer.jump(view, "lesion", true), F: () => viewer.jump(view, "false", true),
      M: () => viewer.jump(view, "missed", true), "+": () => viewer.zoom(view, 1.25)
    } : {
      ArrowUp: () => viewer.step(view, -1), ArrowLeft: () => viewer.step(view, -1),
      ArrowDown: () => viewer.step(view, 1), ArrowRight: () => viewer.step(view, 1),
      PageUp: () => viewer.step(view, -5), PageDown: () => viewer.step(view, 5),
      Home: () => view.set({ slice: 0 }), End: () => view.set({ slice: last }),
      "+": () => viewer.zoom(view, 1.25), "=": () => viewer.zoom(view, 1.25), "-": () => viewer.zoom(view, 0.8),
      "0": () => view.reset(), r: () => view.set({ reference: !state.reference }),
      l: () => viewer.jump(view, "lesion", false), f: () => viewer.jump(view, "false", false),
      m: () => viewer.jump(view, "missed", false)
    };
    const limits = windows[Number(event.key) - 1]; /* name, lowest, highest HU */
    if (!event.shiftKey && limits) acts[event.key] = () => view.set({ low: limits[1], high: limits[2] });
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  }

  function measure(view, from, to) {
    const [across, down] = view.sheet.spacing;
    view.ruler = { from: from, to: to, slice: view.state.slice };
    const length = Math.hypot((to[0] - from[0]) * across, (to[1] - from[1]) * down);
    view.say(view.sheet.measured ? "Distance: " + length.toFixed(1) + " mm" : "The size of a voxel is not known.");
    view.set({});
  }

  function drag(view, start, event) {
    const dx = event.clientX - start.x, dy = event.clientY - start.y, state = start.state;
    const tool = event.shiftKey || start.button === 1 ? "move" : view.tool;
    const scale = view.sheet.grid[0] / view.canvas.clientWidth / state.zoom;
    if (tool === "move") {
      const ratio = view.sheet.spacing[0] / view.sheet.spacing[1];
      view.set({ x: state.x - dx * scale, y: state.y - dy * scale * ratio });
    } else if (tool === "window") {
      const width = Math.max(10, state.high - state.low + dx * 4), level = (state.low + state.high) / 2 - dy * 2;
      view.set({ low: Math.round(level - width / 2), high: Math.round(level + width / 2) });
    } else if (tool === "measure") {
      measure(view, start.voxel, voxel(view, event));
    } else {
      view.set({ slice: state.slice + Math.round(dx / PER_SLICE) });
    }
  }

  /* Two fingers zoom and move. */
  function pinch(view, fingers) {
    const [one, two] = Array.from(fingers.values());
    const now = Math.hypot(one.x - two.x, one.y - two.y), middle = [(one.x + two.x) / 2, (one.y + two.y) / 2];
    const before = view.pinch, box = view.canvas.getBoundingClientRect();
    view.pinch = { length: now, middle: middle };
    if (!before || !before.length) return;
    viewer.zoom(view, now / before.length, (middle[0] - box.left) / box.width, (middle[1] - box.top) / box.height);
    const scale = view.sheet.grid[0] / box.width / view.state.zoom;
    const ratio = view.sheet.spacing[0] / view.sheet.spacing[1];
    view.set({
      x: view.state.x - (middle[0] - before.middle[0]) * scale,
      y: view.state.y - (middle[1] - before.middle[1]) * scale * ratio
    });
  }

  viewer.listen = (view) => {
    const canvas = view.canvas, fingers = new Map();
    let start = null;
    canvas.addEventListener("wheel", (event) => wheel(view, event), { passive: false });
    canvas.addEventListener("keydown", (event) => keys(view, event));
    canvas.addEventListener("pointerdown", (event) => {
      fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      view.pinch = null;
      start = {
        x: event.clientX, y: event.clientY, button: event.button, state: Object.assign({}, view.state), voxel: voxel(view, event)
      };
      if (event.button === 1) event.preventDefault();
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!fingers.has(event.pointerId)) return;
      fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      if (fingers.size === 2) pinch(view, fingers);
      else if (start && event.buttons && fingers.size === 1 && !view.pinch) drag(view, start, event);
    });
    ["pointerup", "pointercancel"].forEach((name) => canvas.addEventListener(name, (event) => {
      fingers.delete(event.pointerId);
      if (!fingers.size) view.pinch = null;
    }));
  };
})();
