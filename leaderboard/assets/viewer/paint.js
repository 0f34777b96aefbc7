/* Paints one slice: the CT in its window, and masks that differ in colour, in pattern and in line. */
(function () {
  "use strict";

  const viewer = window.groundbenchViewer;

  /* Okabe and Ito's colours. Every kind of mask has a pattern and a line of its own as well. */
  const BLUE = [86, 180, 233], ORANGE = [230, 159, 0], PURPLE = [204, 121, 167], GREEN = [0, 158, 115], RED = [213, 94, 0];
  const PARTS = [ORANGE, BLUE, [240, 228, 66], PURPLE, [0, 180, 136], [255, 127, 80], [255, 255, 255], [127, 159, 255]];
  const DASHED = [7, 5], DOTTED = [2, 4];

  const REFERENCE = { colour: BLUE, pattern: "dots", dash: DASHED };
  const MODELS = [{ colour: ORANGE, pattern: "rising", dash: [] }, { colour: PURPLE, pattern: "falling", dash: DOTTED }];
  const RIGHT = { name: "right", colour: GREEN, pattern: "dots", dash: [] };
  const FALSE = { name: "false", colour: RED, pattern: "cross", dash: [] };
  const MISSED = { name: "missed", colour: BLUE, pattern: "lying", dash: DASHED };
  const BOTH = { name: "both", colour: GREEN, pattern: "dots", dash: [] };

  const LINES = {
    rising: [[-2, 2, 2, -2], [0, 8, 8, 0], [6, 10, 10, 6]], falling: [[-2, 6, 2, 10], [0, 0, 8, 8], [6, -2, 10, 2]],
    cross: [[0, 0, 8, 8], [0, 8, 8, 0]], lying: [[0, 4, 8, 4]], standing: [[4, 0, 4, 8]], dots: [[3, 4, 5, 4]]
  };

  const css = (colour, alpha) => "rgba(" + colour.join(",") + "," + alpha + ")";

  /* Returns a fill of lines for a picture with so many pixels to one of the page. */
  function hatch(context, kind, colour, alpha, ratio) {
    const tile = document.createElement("canvas"), brush = tile.getContext("2d");
    tile.width = tile.height = Math.round(8 * ratio);
    brush.scale(tile.width / 8, tile.width / 8);
    brush.strokeStyle = css(colour, alpha);
    brush.lineWidth = kind === "dots" ? 2 : 1.2;
    LINES[kind].forEach(([x, y, to, down]) => {
      brush.beginPath();
      brush.moveTo(x, y);
      brush.lineTo(to, down);
      brush.stroke();
    });
    return context.createPattern(tile, "repeat");
  }

  const where = (size, test) => {
    const found = new Uint8Array(size);
    for (let at = 0; at < size; at++) found[at] = test(at) ? 1 : 0;
    return found;
  };

  /* Returns the kinds of mask on the slice that is chosen: name, voxels, colour, pattern, line, whether it is filled. */
  viewer.shapes = (view) => {
    const state = view.state, size = view.sheet.grid[0] * view.sheet.grid[1];
    const nothing = new Uint8Array(size);
    const cells = (number) => view.layers[number] && view.layers[number].cells(state.slice) || nothing;
    const truth = view.known ? cells(0) : nothing, one = cells(state.a), two = cells(state.b);
    const shapes = [];
    const add = (kind, found, more) => shapes.push(Object.assign({ cells: found, filled: true }, kind, more));
    if (state.show === "errors" && view.known && state.a >= 0) {
      add(RIGHT, where(size, (at) => truth[at] && one[at]));
      add(FALSE, where(size, (at) => one[at] && !truth[at]));
      add(MISSED, where(size, (at) => truth[at] && !one[at]));
      return shapes;
    }
    if (state.show === "differ" && state.a >= 0 && state.b >= 0) {
      add(BOTH, where(size, (at) => one[at] && two[at]));
      add(MODELS[0], where(size, (at) => one[at] && !two[at]), { name: "only " + view.layers[state.a].name });
      add(MODELS[1], where(size, (at) => two[at] && !one[at]), { name: "only " + view.layers[state.b].name });
    } else if (state.show === "parts") {
      const whole = state.a >= 0 ? one : truth, patterns = Object.keys(LINES);
      Array.from(new Set(whole)).filter(Boolean).sort((a, b) => a - b).slice(0, 24).forEach((part) => {
        const place = part - 1;
        add({
          name: "part " + part, colour: PARTS[place % PARTS.length], dash: [],
          pattern: patterns[(place + Math.floor(place / PARTS.length)) % patterns.length]
        }, where(size, (at) => whole[at] === part));
      });
      if (state.a < 0) return shapes;
    } else {
      if (state.a >= 0) add(MODELS[0], one, { name: view.layers[state.a].name });
      if (state.b >= 0) add(MODELS[1], two, { name: view.layers[state.b].name });
    }
    const alone = state.a < 0 && state.b < 0;
    if (view.known && state.reference) add(REFERENCE, truth, { name: "Reference", filled: alone });
    return shapes;
  };

  function ground(view, slice) {
    const canvas = view.ground, low = view.state.low, width = Math.max(1, view.state.high - low);
    canvas.width = slice.width;
    canvas.height = slice.height;
    const context = canvas.getContext("2d"), image = context.createImageData(slice.width, slice.height);
    const grey = new Uint32Array(256);
    view.hounsfield.forEach((hu, level) => {
      const value = Math.max(0, Math.min(255, Math.round((hu - low) / width * 255)));
      grey[level] = (0xff000000 | value << 16 | value << 8 | value) >>> 0;
    });
    const pixels = new Uint32Array(image.data.buffer);
    for (let at = 0; at < pixels.length; at++) pixels[at] = grey[slice.levels[at]];
    context.putImageData(image, 0, 0);
  }

  /* Returns where the voxel corner (0, 0) lies on the canvas, and how many of its pixels a voxel has. */
  viewer.placed = (view) => {
    const [width, height] = view.sheet.grid, state = view.state;
    const across = view.canvas.width / width * state.zoom, down = view.canvas.height / height * state.zoom;
    return {
      across: across, down: down, left: view.canvas.width / 2 - state.x * across, top: view.canvas.height / 2 - state.y * down
    };
  };

  function stroke(context, path, shape, ratio) {
    context.setLineDash([]);
    context.lineWidth = 3.5 * ratio;
    context.strokeStyle = "rgba(0,0,0,0.6)";
    context.stroke(path);
    context.setLineDash(shape.dash.map((length) => length * ratio));
    context.lineWidth = 2 * ratio;
    context.strokeStyle = css(shape.colour, 1);
    context.stroke(path);
    context.setLineDash([]);
  }

  function masks(view, context, place, ratio) {
    const state = view.state, width = view.sheet.grid[0];
    const matrix = new DOMMatrix([place.across, 0, 0, place.down, place.left, place.top]);
    const moved = (path) => {
      const there = new Path2D();
      there.addPath(path, matrix);
      return there;
    };
    if (state.fill) view.shapes.filter((shape) => shape.filled).forEach((shape) => {
      shape.inside = shape.inside || viewer.inside(shape.cells, width);
      const path = moved(shape.inside);
      context.fillStyle = css(shape.colour, state.opacity * 0.4);
      context.fill(path);
      context.fillStyle = hatch(context, shape.pattern, shape.colour, state.opacity, ratio);
      context.fill(path);
    });
    view.shapes.filter((shape) => state.outline || !shape.filled).forEach((shape) => {
      shape.outline = shape.outline || viewer.outline(shape.cells, width);
      stroke(context, moved(shape.outline), shape, ratio);
    });
  }

  function bar(view, context, place, ratio) {
    if (!view.sheet.measured) return;
    const perMm = place.across / view.sheet.spacing[0], most = view.canvas.width / 4 / perMm;
    const mm = [100, 50, 20, 10, 5, 2, 1].find((length) => length <= most) || 1;
    const y = view.canvas.height - 12 * ratio, x = 12 * ratio;
    context.fillStyle = "#000";
    context.fillRect(x - 2, y - 3 * ratio, mm * perMm + 4, 6 * ratio);
    context.fillStyle = "#fff";
    context.fillRect(x, y - ratio, mm * perMm, 2 * ratio);
    context.font = 12 * ratio + "px sans-serif";
    context.lineWidth = 3 * ratio;
    context.strokeStyle = "#000";
    context.strokeText(mm + " mm", x, y - 6 * ratio);
    context.fillText(mm + " mm", x, y - 6 * ratio);
  }

  function marks(view, context, place, ratio) {
    const at = (x, y) => [place.left + x * place.across, place.top + y * place.down];
    context.lineWidth = 1.5 * ratio;
    context.strokeStyle = "#fff";
    if (view.mark && view.mark.slice === view.state.slice) {
      const [x, y] = at(view.mark.x + 0.5, view.mark.y + 0.5);
      context.beginPath();
      [[1, 0], [-1, 0], [0, 1], [0, -1]].forEach(([dx, dy]) => {
        context.moveTo(x + dx * 26 * ratio, y + dy * 26 * ratio);
        context.lineTo(x + dx * 40 * ratio, y + dy * 40 * ratio);
      });
      context.stroke();
    }
    if (view.ruler && view.ruler.slice === view.state.slice) {
      context.beginPath();
      context.moveTo(...at(view.ruler.from[0], view.ruler.from[1]));
      context.lineTo(...at(view.ruler.to[0], view.ruler.to[1]));
      context.stroke();
    }
  }

  /* Paints the slice that is chosen; `slice` is null without a CT. */
  viewer.paint = (view, slice) => {
    const canvas = view.canvas, context = canvas.getContext("2d"), ratio = window.devicePixelRatio || 1;
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
    canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio));
    const place = viewer.placed(view), [width, height] = view.sheet.grid;
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    if (slice) {
      ground(view, slice);
      context.imageSmoothingQuality = "high";
      context.drawImage(view.ground, place.left, place.top, width * place.across, height * place.down);
    }
    masks(view, context, place, ratio);
    bar(view, context, place, ratio);
    marks(view, context, place, ratio);
  };

  /* Returns a small picture of a kind of mask, for the legend. */
  viewer.swatch = (shape, state) => {
    const canvas = document.createElement("canvas"), context = canvas.getContext("2d"), ratio = 2;
    canvas.width = 64;
    canvas.height = 40;
    canvas.className = "swatch";
    context.fillStyle = "#333";
    context.fillRect(0, 0, 64, 40);
    const path = new Path2D();
    path.rect(6, 6, 52, 28);
    if (state.fill && shape.filled) {
      context.fillStyle = css(shape.colour, 0.35);
      context.fill(path);
      context.fillStyle = hatch(context, shape.pattern, shape.colour, 1, ratio);
      context.fill(path);
    }
    if (state.outline || !shape.filled) stroke(context, path, shape, ratio);
    return canvas;
  };
})();
