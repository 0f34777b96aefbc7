/* Turns the voxels of a slice into paths: their inside, and the closed lines round it, which can be dashed. */
(function () {
  "use strict";

  const viewer = window.groundbenchViewer;

  /* Returns the inside as rectangles, one for each run of voxels. */
  viewer.inside = (cells, width) => {
    const path = new Path2D();
    for (let at = 0; at < cells.length; at++) {
      if (!cells[at]) continue;
      const begin = at, end = at - at % width + width;
      while (at < end && cells[at]) at++;
      path.rect(begin % width, Math.floor(begin / width), at - begin, 1);
      at--;
    }
    return path;
  };

  /* Collects the edges between voxels inside and outside, each with the inside on its right, by where it begins. */
  function edges(cells, width) {
    const next = new Map(), wide = width + 1;
    const add = (from, to) => next.has(from) ? next.get(from).push(to) : next.set(from, [to]);
    for (let at = 0; at < cells.length; at++) {
      if (!cells[at]) continue;
      const x = at % width, corner = (at - x) / width * wide + x;
      if (!cells[at - width]) add(corner, corner + 1);
      if (x === width - 1 || !cells[at + 1]) add(corner + 1, corner + 1 + wide);
      if (!cells[at + width]) add(corner + 1 + wide, corner + wide);
      if (x === 0 || !cells[at - 1]) add(corner + wide, corner);
    }
    return next;
  }

  /* Returns the closed lines round the inside. */
  viewer.outline = (cells, width) => {
    const path = new Path2D(), next = edges(cells, width), wide = width + 1;
    for (const [start, ways] of next) {
      while (ways.length) {
        let at = start, before = 0;
        path.moveTo(at % wide, Math.floor(at / wide));
        do {
          const to = next.get(at).pop(), step = to - at;
          if (before && step !== before) path.lineTo(at % wide, Math.floor(at / wide));
          before = step;
          at = to;
        } while (at !== start);
        path.closePath();
      }
    }
    return path;
  };

  /* Returns how many voxels there are, and their middle; null for none. */
  viewer.extent = (cells, width) => {
    let number = 0, x = 0, y = 0;
    for (let at = 0; at < cells.length; at++) {
      if (!cells[at]) continue;
      number++;
      x += at % width;
      y += Math.floor(at / width);
    }
    return number ? { number: number, x: x / number + 0.5, y: y / number + 0.5 } : null;
  };
})();
