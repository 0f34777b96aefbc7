/* The controls beside the picture, and the words that say what it shows. */
(function () {
  "use strict";

  const viewer = window.groundbenchViewer;

  viewer.element = (name, attributes, text) => {
    const made = document.createElement(name);
    Object.keys(attributes || {}).forEach((key) => made.setAttribute(key, attributes[key]));
    if (text) made.textContent = text;
    return made;
  };

  const element = viewer.element;

  /* Returns a labelled control; `refresh` puts it to what is the state. */
  function labelled(view, title, control, refresh) {
    const label = element("label", { "class": "control" });
    label.appendChild(element("span", {}, title));
    label.appendChild(control);
    view.refreshers.push(refresh);
    return label;
  }

  function choice(view, title, options, value, act) {
    const select = element("select", {});
    options.forEach(([key, name]) => select.appendChild(element("option", { value: key }, name)));
    select.addEventListener("change", () => act(select.value));
    return labelled(view, title, select, () => { select.value = value(); });
  }

  function number(view, title, value, act) {
    const input = element("input", { type: "number", step: 10 });
    input.addEventListener("change", () => { if (input.value !== "" && isFinite(input.value)) act(Number(input.value)); });
    return labelled(view, title, input, () => { if (document.activeElement !== input) input.value = Math.round(value()); });
  }

  function tick(view, title, key) {
    const label = element("label", { "class": "tick" }), input = element("input", { type: "checkbox" });
    input.addEventListener("change", () => view.set({ [key]: input.checked }));
    label.appendChild(input);
    label.appendChild(document.createTextNode(" " + title));
    view.refreshers.push(() => { input.checked = view.state[key]; });
    return label;
  }

  function buttons(view) {
    const box = element("div", { "class": "jumps", role: "group", "aria-label": "Size" });
    [["Larger", () => viewer.zoom(view, 1.5)], ["Smaller", () => viewer.zoom(view, 1 / 1.5)], ["Whole slice", () => view.reset()]]
      .forEach(([name, act]) => {
        const button = element("button", { type: "button" }, name);
        button.addEventListener("click", act);
        box.appendChild(button);
      });
    return box;
  }

  const HELP = [
    ["Wheel, arrows, drag sideways", "slices; Page up and down: five, Home and End: the first and the last"],
    ["Ctrl + wheel, two fingers, + and −", "larger and smaller; 0: whole slice"],
    ["Shift + drag, Shift + arrows, two fingers", "move"],
    ["1 to 4", "windows; Drag: window, for any other"],
    ["L, F, M", "lesion, largest false part, largest missed part; with Shift the next one"],
    ["R", "reference on and off"]
  ];

  function help() {
    const details = element("details", {}), list = element("dl", {});
    details.appendChild(element("summary", {}, "Keys, wheel and fingers"));
    HELP.forEach(([key, meaning]) => {
      list.appendChild(element("dt", {}, key));
      list.appendChild(element("dd", {}, meaning));
    });
    details.appendChild(list);
    return details;
  }

  function windowName(view) {
    const found = view.sheet.windows.find(([, low, high]) => low === view.state.low && high === view.state.high);
    return found ? found[0] : "Own";
  }

  viewer.windowName = windowName;

  /* Returns the panel of controls. */
  viewer.controls = (view) => {
    const panel = element("div", { "class": "controls" }), sheet = view.sheet, state = () => view.state;
    const slider = element("input", { type: "range", min: 0, max: sheet.depths.length - 1, step: 1, "aria-label": "Slice" });
    slider.addEventListener("input", () => view.set({ slice: Number(slider.value) }));
    view.refreshers.push(() => {
      slider.value = state().slice;
      slider.setAttribute("aria-valuetext", view.position());
    });
    panel.appendChild(slider);
    panel.appendChild(view.output);
    const models = sheet.layers.map((layer, place) => [String(place), layer.name]).filter(([place]) => sheet.layers[place].id);
    const none = [["-1", "none"]];
    if (sheet.ct) {
      const windows = sheet.windows.map(([name]) => [name, name]).concat([["Own", "own"]]);
      panel.appendChild(choice(view, "Window", windows, () => windowName(view), (name) => {
        const limits = sheet.windows.find(([known]) => known === name);
        if (limits) view.set({ low: limits[1], high: limits[2] });
      }));
      const level = () => (state().low + state().high) / 2, width = () => state().high - state().low;
      panel.appendChild(number(view, "Level (HU)", level, (value) => view.set({ low: value - width() / 2, high: value + width() / 2 })));
      panel.appendChild(number(view, "Width (HU)", width, (value) => {
        const middle = level(), half = Math.max(1, value) / 2;
        view.set({ low: middle - half, high: middle + half });
      }));
    }
    panel.appendChild(choice(view, "Model", none.concat(models), () => String(state().a), (place) => view.set({ a: Number(place) })));
    if (models.length > 1) {
      panel.appendChild(choice(view, "Second model", none.concat(models), () => String(state().b), (place) => view.set({ b: Number(place) })));
    }
    const shows = [["models", "masks"]];
    if (view.known) shows.push(["errors", "right, false and missed"]);
    if (models.length > 1) shows.push(["differ", "where two models differ"]);
    shows.push(["parts", "each part by itself"]);
    panel.appendChild(choice(view, "Colours", shows, () => state().show, (show) => {
      const change = { show: show }, other = models.map(([place]) => Number(place)).find((place) => place !== state().a);
      if (show === "differ" && state().b < 0 && other !== undefined) change.b = other;
      view.set(change);
    }));
    panel.appendChild(choice(view, "Drawn as", [["both", "outline and fill"], ["outline", "outline"], ["fill", "fill"]],
      () => state().fill && state().outline ? "both" : state().fill ? "fill" : "outline",
      (how) => view.set({ fill: how !== "outline", outline: how !== "fill" })));
    const opacity = element("input", { type: "range", min: 0, max: 100, step: 5 });
    opacity.addEventListener("input", () => view.set({ opacity: Number(opacity.value) / 100 }));
    panel.appendChild(labelled(view, "Opacity", opacity, () => { opacity.value = state().opacity * 100; }));
    panel.appendChild(choice(view, "Drag", [["slices", "slices"], ["move", "move"], ["window", "window"], ["measure", "measure"]],
      () => view.tool, (tool) => { view.tool = tool; view.set({}); }));
    if (view.known) panel.appendChild(tick(view, "Reference", "reference"));
    panel.appendChild(buttons(view));
    panel.appendChild(viewer.jumps(view));
    panel.appendChild(view.status);
    panel.appendChild(view.legend);
    panel.appendChild(view.lists);
    panel.appendChild(help());
    return panel;
  };

  /* Says where a middle lies in the picture. */
  function side(view, middle) {
    const [width, height] = view.sheet.grid;
    if (!view.sheet.sided) return "";
    return ", " + (middle.x > width / 2 ? "patient’s left" : "patient’s right") + ", " + (middle.y < height / 2 ? "front" : "back");
  }

  /* Fills the legend, and says for those who do not see it what the slice shows. */
  viewer.explain = (view) => {
    const [width] = view.sheet.grid, [across, down] = view.sheet.spacing, words = [];
    view.legend.textContent = "";
    view.shapes.forEach((shape) => {
      const item = element("li", {}), found = viewer.extent(shape.cells, width);
      const area = !found ? "none here" : view.sheet.measured ? Math.round(found.number * across * down) + " mm² here" : found.number + " voxels here";
      item.appendChild(viewer.swatch(shape, view.state));
      item.appendChild(element("bdi", {}, shape.name));
      item.appendChild(document.createTextNode(": " + area));
      view.legend.appendChild(item);
      words.push(shape.name + " " + area + (found ? side(view, found) : ""));
    });
    const name = view.sheet.ct ? windowName(view) + " window" : "no CT";
    view.canvas.setAttribute("aria-valuenow", view.state.slice + 1);
    view.canvas.setAttribute("aria-valuetext", [view.position(), name].concat(words).join("; "));
  };
})();
