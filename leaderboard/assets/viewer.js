/* Browses the slices of a finding on a plain canvas: a sheet of CT slices and a transparent sheet for each mask. */
(function () {
  "use strict";

  function element(name, attributes, text) {
    var made = document.createElement(name);
    Object.keys(attributes || {}).forEach(function (key) { made.setAttribute(key, attributes[key]); });
    if (text) made.textContent = text;
    return made;
  }

  function open(box, sheet) {
    var loaded = {}, state = { slice: sheet.key, window: Object.keys(sheet.images)[0], model: 1 };
    var known = !!sheet.layers[0].image; /* without a truth the place of the reference is empty */
    state.reference = known;
    var canvas = element("canvas", { width: sheet.width, height: sheet.height, "class": "slices", role: "img" });
    var stage = element("div", { "class": "stage" });
    var slider = element("input", { type: "range", min: 0, max: sheet.slices.length - 1, step: 1, "aria-label": "Slice" });
    var position = element("output", {});
    stage.appendChild(canvas);
    [["top", "A", "front"], ["bottom", "P", "back"], ["left", "R", "patient’s right"], ["right", "L", "patient’s left"]]
      .forEach(function (mark) {
        stage.appendChild(element("abbr", { "class": "mark " + mark[0], title: mark[2] }, mark[1]));
      });

    function image(path) {
      if (!loaded[path]) {
        loaded[path] = new Image();
        loaded[path].onload = draw;
        loaded[path].src = path;
      }
      return loaded[path];
    }

    function draw() {
      var context = canvas.getContext("2d");
      var left = state.slice % sheet.columns * sheet.width;
      var top = Math.floor(state.slice / sheet.columns) * sheet.height;
      var layers = [sheet.images[state.window]];
      if (state.model > 0 && sheet.layers[state.model]) layers.push(sheet.layers[state.model].image);
      if (state.reference) layers.push(sheet.layers[0].image);
      layers = layers.map(image);
      if (!layers.every(function (layer) { return layer.complete; })) return;
      context.clearRect(0, 0, sheet.width, sheet.height);
      layers.forEach(function (layer) {
        if (layer.naturalWidth) {
          context.drawImage(layer, left, top, sheet.width, sheet.height, 0, 0, sheet.width, sheet.height);
        }
      });
      slider.value = state.slice;
      position.textContent = "slice " + (state.slice + 1) + " of " + sheet.slices.length + ", " + sheet.slices[state.slice] + " mm";
      slider.setAttribute("aria-valuetext", position.textContent);
      canvas.setAttribute("aria-label", "Axial CT slice, " + state.window + " window, " + position.textContent);
      box.dataset.drawn = state.slice + " " + state.window;
      box.dispatchEvent(new CustomEvent("layers", { detail: { model: state.model, reference: state.reference } }));
    }

    function step(by) {
      state.slice = Math.max(0, Math.min(sheet.slices.length - 1, state.slice + by));
      draw();
    }

    function choice(title, options, chosen, act) {
      var label = element("label", {}, title + " "), select = element("select", {});
      options.forEach(function (option, index) {
        select.appendChild(element("option", { value: index }, option));
      });
      select.value = chosen;
      select.addEventListener("change", function () { act(Number(select.value)); draw(); });
      label.appendChild(select);
      return label;
    }

    var controls = element("div", { "class": "controls" });
    var windows = Object.keys(sheet.images);
    controls.appendChild(slider);
    controls.appendChild(position);
    controls.appendChild(choice("Window", windows, 0, function (index) { state.window = windows[index]; }));
    var models = ["none"].concat(sheet.layers.slice(1).map(function (layer) { return layer.name; }));
    state.model = models.length > 1 ? 1 : 0;
    controls.appendChild(choice("Model", models, state.model, function (index) { state.model = index; }));
    var toggle = element("label", {}), tick = element("input", { type: "checkbox" });
    tick.checked = true;
    tick.addEventListener("change", function () { state.reference = tick.checked; draw(); });
    toggle.appendChild(tick);
    toggle.appendChild(document.createTextNode(" Reference"));
    if (known) controls.appendChild(toggle);
    slider.addEventListener("input", function () { state.slice = Number(slider.value); draw(); });

    /* A drag sideways over the picture goes through the slices; up and down stays the page's own scrolling. */
    var start = null;
    canvas.addEventListener("pointerdown", function (event) { start = { x: event.clientX, slice: state.slice }; });
    canvas.addEventListener("pointermove", function (event) {
      if (start && event.buttons) step(start.slice + Math.round((event.clientX - start.x) / 20) - state.slice);
    });
    ["pointerup", "pointercancel"].forEach(function (name) { canvas.addEventListener(name, function () { start = null; }); });

    box.textContent = "";
    box.appendChild(stage);
    box.appendChild(controls);
    if (box.dataset.volume && window.groundbenchVolumeButton) box.appendChild(window.groundbenchVolumeButton(box, state));
    draw();
  }

  document.querySelectorAll(".viewer").forEach(function (box, number) {
    var sheet = JSON.parse(box.dataset.sheet);
    box.hidden = false;
    if (number === 0) { open(box, sheet); return; }
    var button = element("button", { type: "button" }, "Browse " + sheet.slices.length + " slices");
    button.addEventListener("click", function () { open(box, sheet); box.querySelector("input").focus(); });
    box.appendChild(button);
  });
})();
