/* The parts of the masks: lists with sizes, and buttons that lead to lesions, to what is false and to what is missed. */
(function () {
  "use strict";

  const viewer = window.groundbenchViewer;

  const KINDS = [
    { key: "lesion", one: "lesion", first: "Lesion", next: "Next lesion", list: "Reference" },
    { key: "false", one: "false part", first: "Largest false", next: "Next false", list: "False" },
    { key: "missed", one: "missed part", first: "Largest missed", next: "Next missed", list: "Missed" },
    { key: "model", one: "part", first: "", next: "", list: "Parts of the model" }
  ];

  /* Returns the parts of a kind: {number, voxels, listed}, or null where there are none of it. */
  function parts(view, kind) {
    const model = view.layers[view.state.a];
    if (kind === "lesion") return view.known ? view.layers[0].about.parts : null;
    if (kind === "model") return model ? model.about.parts : null;
    return model ? model.about[kind] : null;
  }

  const mm = (value) => value < 10 ? value.toFixed(1) : value.toFixed(0);

  /* Says how large a part is: longest diameter, the one across it, height, volume. */
  function size(view, part) {
    const [voxels, long, short, height] = part;
    const count = voxels + (voxels === 1 ? " voxel" : " voxels");
    if (!view.sheet.measured) return count;
    const ml = voxels * view.sheet.spacing.reduce((a, b) => a * b, 1) / 1000;
    return mm(long) + " x " + mm(short) + " x " + mm(height) + " mm, " + (ml < 0.01 ? "< 0.01" : ml.toFixed(2)) + " ml, " + count;
  }

  /* Shows a part: its slice, in the middle, as large as can be judged. */
  function show(view, kind, place) {
    const found = parts(view, kind.key);
    if (!found || !found.listed.length) {
      view.say("There is no " + kind.one + ".");
      return;
    }
    const part = found.listed[place], [x, y, z] = part.slice(4);
    view.turn[kind.key] = place;
    const words = kind.one + " " + (place + 1) + " of " + found.number + ": " + size(view, part);
    if (z < 0) {
      view.say(words + ". It lies on slices that are not shown.");
      return;
    }
    const [width, height] = view.sheet.grid, [across, down] = view.sheet.spacing;
    const wanted = Math.min(width * across, height * down) / (4 * Math.max(part[1], 10 * across));
    const slice = view.sheet.depths.indexOf(z);
    view.mark = { x: x, y: y, slice: slice };
    view.set({ slice: slice, x: x + 0.5, y: y + 0.5, zoom: Math.max(1, Math.min(16, wanted)) });
    view.say(words);
  }

  viewer.jump = (view, key, further) => {
    const kind = KINDS.find((one) => one.key === key), found = parts(view, key);
    const before = view.turn[key], last = found ? found.listed.length : 0;
    show(view, kind, further && before !== undefined && last ? (before + 1) % last : 0);
  };

  viewer.jumps = (view) => {
    const box = viewer.element("div", { "class": "jumps", role: "group", "aria-label": "Go to" });
    KINDS.filter((kind) => kind.first).forEach((kind) => {
      [[kind.first, false], [kind.next, true]].forEach(([name, further]) => {
        const button = viewer.element("button", { type: "button", "data-kind": kind.key }, name);
        button.addEventListener("click", () => viewer.jump(view, kind.key, further));
        box.appendChild(button);
      });
    });
    return box;
  };

  /* Some is never none and never all. */
  function percent(part, whole) {
    const share = 100 * part / whole;
    return share > 0 && share < 1 ? "less than 1 %" : Math.round(Math.min(share, part < whole ? 99 : 100)) + " %";
  }

  function summary(view, kind, found) {
    const voxels = found.voxels + (found.voxels === 1 ? " voxel" : " voxels");
    const share = (kind.key === "false" || kind.key === "missed") && view.layers[view.state.a].about.voxels;
    const of = kind.key === "missed" ? view.layers[0].about.voxels : share;
    return kind.list + ": " + found.number + (found.number === 1 ? " part, " : " parts, ") + voxels + (of ? " (" + percent(found.voxels, of) + ")" : "");
  }

  /* Fills the lists for the model that is chosen. */
  viewer.listParts = (view, box) => {
    if (view.listed === view.state.a) return;
    view.listed = view.state.a;
    const open = Array.from(box.querySelectorAll("details[open]"), (details) => details.dataset.kind);
    box.textContent = "";
    KINDS.forEach((kind) => {
      const found = parts(view, kind.key);
      if (!found) return;
      const details = viewer.element("details", { "data-kind": kind.key }), list = viewer.element("ol", {});
      details.open = open.includes(kind.key);
      details.appendChild(viewer.element("summary", {}, summary(view, kind, found)));
      found.listed.forEach((part, place) => {
        const item = viewer.element("li", {}), text = size(view, part);
        if (part[6] < 0) {
          item.textContent = text + ", not on a slice that is shown";
        } else {
          const button = viewer.element("button", { type: "button" }, text);
          button.addEventListener("click", () => show(view, kind, place));
          item.appendChild(button);
        }
        list.appendChild(item);
      });
      details.appendChild(list);
      if (found.number > found.listed.length) {
        const rest = found.number - found.listed.length;
        details.appendChild(viewer.element("p", {}, "and " + rest + " smaller " + (rest === 1 ? "one" : "ones")));
      }
      box.appendChild(details);
    });
    box.parentNode.querySelectorAll("button[data-kind]").forEach((button) => {
      const found = parts(view, button.dataset.kind);
      button.disabled = !found || !found.listed.length;
    });
  };
})();
