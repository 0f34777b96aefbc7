/* Loads slices and masks. Each is a script that hands over what it holds, so that a page needs no server. */
(function () {
  "use strict";

  const viewer = window.groundbenchViewer = {};
  const waiting = {}, asked = {};

  const receive = (content) => waiting[content.key](content);
  window.groundbenchSlice = window.groundbenchMasks = window.groundbenchVolume = receive;

  /* Loads a script once. */
  viewer.script = (path) => new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = path;
    script.onload = done;
    script.onerror = () => failed(new Error(path + " cannot be loaded"));
    document.head.appendChild(script);
  });

  /* Returns what the script at a path, which is its key as well, hands over. */
  viewer.load = (path) => {
    if (!asked[path]) asked[path] = new Promise((done, failed) => {
      waiting[path] = done;
      viewer.script(path).catch(failed);
    });
    return asked[path];
  };

  function pixels(image) {
    return new Promise((done, failed) => {
      const picture = new Image();
      picture.onload = () => {
        const canvas = document.createElement("canvas");
        canvas.width = picture.naturalWidth;
        canvas.height = picture.naturalHeight;
        const context = canvas.getContext("2d", { willReadFrequently: true });
        context.drawImage(picture, 0, 0);
        const rgba = context.getImageData(0, 0, canvas.width, canvas.height).data;
        const levels = new Uint8Array(rgba.length / 4);
        for (let i = 0; i < levels.length; i++) levels[i] = rgba[4 * i];
        done({ levels: levels, width: canvas.width, height: canvas.height });
      };
      picture.onerror = () => failed(new Error("a slice cannot be shown by this browser"));
      picture.src = "data:image/webp;base64," + image;
    });
  }

  const slices = {};

  /* Returns the levels of a slice of the CT, 0 to 255. */
  viewer.slice = (path) => {
    if (!slices[path]) slices[path] = viewer.load(path).then((content) => pixels(content.image));
    return slices[path];
  };

  const bytes = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

  function unpacked(base64) {
    const stream = new Blob([bytes(base64)]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).arrayBuffer().then((buffer) => new Uint8Array(buffer));
  }

  /* Returns the part that each voxel of a slice belongs to, 0 outside the mask; null where nothing is marked. */
  function cells(data, begin, end, size) {
    if (begin === end) return null;
    const found = new Uint32Array(size);
    let at = begin, place = 0;
    function number() {
      let value = 0, shift = 0, byte;
      do {
        byte = data[at++];
        value |= (byte & 127) << shift;
        shift += 7;
      } while (byte & 128);
      return value;
    }
    while (at < end) {
      place += number();
      const length = number(), part = number();
      found.fill(part, place, place + length);
      place += length;
    }
    return found;
  }

  /* Returns the masks of a finding: what is known of each, and `cells(slice)`. */
  viewer.masks = (sheet) => viewer.load(sheet.masks).then((content) =>
    Promise.all(content.masks.map((mask) => unpacked(mask.data))).then((data) =>
      sheet.layers.map((layer, number) => {
        const ends = content.masks[number].ends, kept = new Map();
        return {
          id: layer.id, name: layer.name, dice: layer.dice, about: content.layers[number],
          cells(slice) {
            if (!kept.has(slice)) {
              if (kept.size > 8) kept.clear();
              const begin = slice ? ends[slice - 1] : 0;
              kept.set(slice, cells(data[number], begin, ends[slice], sheet.grid[0] * sheet.grid[1]));
            }
            return kept.get(slice);
          }
        };
      })));

  /* Returns the HU of every level. */
  viewer.hounsfield = (pairs) => {
    const table = new Float32Array(256);
    for (let i = 1; i < pairs.length; i++) {
      const [from, low] = pairs[i - 1], [to, high] = pairs[i];
      for (let level = from; level <= to; level++) table[level] = low + (high - low) * (level - from) / (to - from);
    }
    return table;
  };
})();
