/* The volume viewer, loaded only when it is asked for. This file is all that knows of NiiVue. */
(function () {
  "use strict";

  var waiting = {};

  /* The file of a volume calls this; it works without a server, where reading a file would not. */
  window.groundbenchVolume = function (content) { waiting[content.key](content.volumes); };

  function load(path) {
    return new Promise(function (done, failed) {
      var script = document.createElement("script");
      script.src = path;
      script.onload = done;
      script.onerror = function () { failed(new Error(path + " cannot be loaded")); };
      document.head.appendChild(script);
    });
  }

  function hasWebGL() {
    try { return !!document.createElement("canvas").getContext("webgl2"); } catch (error) { return false; }
  }

  function colour(view, number, rgb) {
    var name = "mask" + number;
    view.addColormap(name, { R: [0, rgb[0]], G: [0, rgb[1]], B: [0, rgb[2]], A: [0, 255], I: [0, 255] });
    return name;
  }

  /* Shows what the slices above show: the reference or not, and one model or none. */
  function choose(view, state) {
    view.volumes.forEach(function (volume, number) {
      var opacity = (number === 1 ? state.reference : number - 1 === state.model) ? 0.5 : 0;
      if (number && volume.opacity !== opacity) view.setOpacity(number, opacity);
    });
  }

  function show(box, canvas, state) {
    var path = box.dataset.volume, root = box.dataset.root;
    var volumes = new Promise(function (done) { waiting[path] = done; });
    return load(root + "assets/vendor/niivue/niivue.umd.js")
      .then(function () { return load(path); })
      .then(function () { return volumes; })
      .then(function (found) {
        var view = new window.niivue.Niivue({
          isRadiologicalConvention: true, backColor: [0, 0, 0, 1], show3Dcrosshair: true, isNearestInterpolation: false
        });
        view.setSliceType(view.sliceTypeMultiplanar);
        return view.attachToCanvas(canvas).then(function () {
          return found.reduce(function (before, volume, number) {
            return before.then(function () {
              return window.niivue.NVImage.loadFromBase64({ base64: volume.data, name: volume.name });
            }).then(function (image) {
              if (number) {
                image.colormap = colour(view, number, volume.colour);
                image.opacity = 0.5;
                image.cal_min = 0.5;
                image.cal_max = 1;
              } else {
                image.cal_min = 0;
                image.cal_max = 255;
              }
              view.addVolume(image);
            });
          }, Promise.resolve());
        }).then(function () {
          choose(view, state);
          box.addEventListener("layers", function (event) { choose(view, event.detail); });
        });
      });
  }

  window.groundbenchVolumeButton = function (box, state) {
    var holder = document.createElement("div"), button = document.createElement("button");
    var message = document.createElement("p");
    button.type = "button";
    button.textContent = "Open the volume viewer (3 MB)";
    message.setAttribute("role", "status");
    holder.appendChild(button);
    holder.appendChild(message);
    button.addEventListener("click", function () {
      button.disabled = true;
      if (!hasWebGL()) {
        message.textContent = "This browser offers no WebGL 2, which the volume viewer needs. The slices above show the same masks.";
        return;
      }
      message.textContent = "Loading …";
      var canvas = document.createElement("canvas"), stage = document.createElement("div");
      stage.className = "volume";
      stage.appendChild(canvas);
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", "The finding in three planes; drag to move the crosshair");
      holder.insertBefore(stage, message);
      show(box, canvas, state).then(function () {
        message.textContent = "Lung window; blue: reference, orange: the model chosen above. The patient’s right is on the left.";
        box.dataset.volumeShown = "yes";
      }, function (error) {
        stage.remove();
        message.textContent = "The volume viewer failed (" + error.message + "). The slices above show the same masks.";
      });
    });
    return holder;
  };
})();
