/* The volume viewer, loaded only when it is asked for. This file is all that knows of NiiVue. */
(function () {
  "use strict";

  const COLOURS = [[86, 180, 233], [230, 159, 0], [204, 121, 167]]; /* reference, model, second model */

  function hasWebGL() {
    try { return !!document.createElement("canvas").getContext("webgl2"); } catch (error) { return false; }
  }

  const image = (volume) => window.niivue.NVImage.loadFromBase64({ base64: volume.data, name: volume.name });

  /* Returns the masks that the slices show, and the colour of each. */
  function chosen(view) {
    const state = view.state, found = new Map();
    if (view.known && state.reference) found.set(0, 0);
    if (state.a >= 0) found.set(state.a, 1);
    if (state.b >= 0 && state.b !== state.a) found.set(state.b, 2);
    return found;
  }

  /* Returns the voxels of a mask that lie beside one outside it: its outline in every plane. */
  function shell(whole, [width, height, depth]) {
    const found = whole.slice(), across = width * height;
    for (let at = 0; at < whole.length; at++) {
      if (!whole[at]) continue;
      const x = at % width, y = Math.floor(at / width) % height, z = Math.floor(at / across);
      const inside = x && x < width - 1 && y && y < height - 1 && z && z < depth - 1;
      const beside = [1, -1, width, -width, across, -across];
      if (inside && beside.every((step) => whole[at + step])) found[at] = 0;
    }
    return found;
  }

  /* Shows what the slices show: masks, window, opacity, and the place at which they are. */
  function follow(shown, view) {
    const gl = shown.gl, state = view.state, wanted = chosen(view), lines = state.outline && !state.fill;
    return Promise.all(Array.from(wanted.keys(), (number) => {
      if (shown.masks[number]) return null;
      shown.masks[number] = image(shown.volumes[number + 1]).then((mask) => {
        mask.opacity = 0;
        mask.whole = mask.img.slice();
        mask.shell = shell(mask.whole, mask.hdr.dims.slice(1, 4));
        mask.cal_min = 0.5;
        mask.cal_max = 1;
        gl.addVolume(mask);
        return mask;
      });
      return shown.masks[number];
    })).then(() => Promise.all(Object.keys(shown.masks).map((number) => shown.masks[number].then((mask) => {
      const colour = wanted.get(Number(number)), place = gl.volumes.indexOf(mask);
      if (colour !== undefined) mask.colormap = "mask" + colour;
      mask.opacity = colour === undefined ? 0 : lines ? 1 : state.opacity;
      mask.img.set(lines ? mask.shell : mask.whole);
      gl.setOpacity(place, mask.opacity);
    })))).then(() => {
      gl.volumes[0].cal_min = state.low;
      gl.volumes[0].cal_max = state.high;
      gl.updateGLVolume();
      const z = view.sheet.depths[state.slice], at = state.zoom > 1 ? [state.x, state.y] : shown.at;
      const mm = view.sheet.affine.map((row) => row[0] * at[0] + row[1] * at[1] + row[2] * z + row[3]);
      gl.scene.crosshairPos = gl.mm2frac(mm);
      gl.drawScene();
      view.box.dataset.volumeAt = mm.map((value) => value.toFixed(1)).join(" ");
    });
  }

  function show(view, canvas) {
    const viewer = window.groundbenchViewer, box = view.box;
    return viewer.script(box.dataset.root + "assets/vendor/niivue/niivue.umd.js")
      .then(() => viewer.load(box.dataset.volume))
      .then((content) => {
        const gl = new window.niivue.Niivue({
          isRadiologicalConvention: true, backColor: [0, 0, 0, 1], show3Dcrosshair: true, isNearestInterpolation: true, crosshairWidth: 0.5
        });
        COLOURS.forEach((rgb, number) => gl.addColormap("mask" + number, {
          R: [0, rgb[0]], G: [0, rgb[1]], B: [0, rgb[2]], A: [0, 255], I: [0, 255]
        }));
        gl.setSliceType(gl.sliceTypeMultiplanar);
        const first = view.layers.find((layer) => layer.about.parts.listed.length);
        const shown = { gl: gl, volumes: content.volumes, masks: {}, at: first.about.parts.listed[0].slice(4, 6) };
        return gl.attachToCanvas(canvas).then(() => image(content.volumes[0])).then((ct) => {
          gl.addVolume(ct);
          return follow(shown, view);
        }).then(() => {
          box.addEventListener("drawn", () => follow(shown, view));
          return content.step;
        });
      });
  }

  function words(step) {
    const thinned = step.some((by) => by > 1) ? " Every " + step.join(", ") + " voxels of the scan (left, back, up) are shown." : "";
    return "Window, masks and place are those of the slices above. Click into a plane, then drag or use the wheel. " +
      "The patient’s right is on the left." + thinned;
  }

  window.groundbenchOpenVolume = (view) => {
    const element = window.groundbenchViewer.element, holder = element("div", { "class": "whole" });
    const button = element("button", { type: "button" }, "Open the volume viewer (" + view.box.dataset.volumeSize + ")");
    const message = element("p", { role: "status" });
    holder.appendChild(button);
    holder.appendChild(message);
    button.addEventListener("click", () => {
      if (!hasWebGL()) {
        button.hidden = true;
        message.textContent = "This browser offers no WebGL 2, which the volume viewer needs. The slices above show the same masks.";
        return;
      }
      button.hidden = true;
      message.textContent = "Loading …";
      const stage = element("div", { "class": "volume" });
      const canvas = element("canvas", { role: "img", tabindex: 0, "aria-label": "The finding in three planes; drag to move the crosshair" });
      const large = element("button", { type: "button" }, "Full screen");
      stage.appendChild(canvas);
      holder.insertBefore(stage, message);
      large.addEventListener("click", () => stage.requestFullscreen());
      /* Until it is clicked, the wheel over it scrolls the page. */
      stage.addEventListener("wheel", (event) => {
        if (document.activeElement !== canvas) event.stopImmediatePropagation();
      }, true);
      canvas.addEventListener("pointerdown", () => canvas.focus());
      show(view, canvas).then((step) => {
        message.textContent = words(step);
        if (stage.requestFullscreen) holder.appendChild(large);
        view.box.dataset.volumeShown = "yes";
      }, (error) => {
        stage.remove();
        message.textContent = "The volume viewer failed (" + error.message + "). The slices above show the same masks.";
      });
    });
    return holder;
  };
})();
