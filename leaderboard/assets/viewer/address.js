/* What is seen stands in the address (#view=1&z=34&a=RUN&b=RUN&show=errors&...), so that it can be linked to. */
(function () {
  "use strict";

  const viewer = window.groundbenchViewer;
  const SHOWS = ["models", "errors", "differ", "parts"];

  /* Returns what the address says, by name; ?a=RUN before a place of the page also names a model. */
  viewer.asked = () => {
    const found = {};
    (location.search.slice(1) + "&" + location.hash.slice(1)).split("&").forEach((part) => {
      const cut = part.indexOf("=");
      if (cut > 0) try { found[part.slice(0, cut)] = decodeURIComponent(part.slice(cut + 1)); } catch (error) { return; }
    });
    return found;
  };

  const number = (text, low, high) => {
    const value = text === undefined || text === "" ? NaN : Number(text);
    return isFinite(value) ? Math.max(low, Math.min(high, value)) : null;
  };

  /* Returns the part of a viewer's state that the address gives; what it gives wrongly is left out. */
  viewer.fromAddress = (view) => {
    const asked = viewer.asked(), sheet = view.sheet, state = {};
    const slice = sheet.depths.indexOf(number(asked.z, 0, sheet.grid[2]));
    if (slice >= 0) state.slice = slice;
    ["a", "b"].forEach((key) => {
      if (asked[key] === undefined) return;
      const layer = sheet.layers.findIndex((one) => one.id && one.id === asked[key]);
      if (layer >= 0 || asked[key] === "none") state[key] = layer;
    });
    const ends = (asked.hu || "").split(":").map((text) => number(text, -3000, 5000));
    if (ends.length === 2 && ends[0] !== null && ends[1] > ends[0]) [state.low, state.high] = ends;
    if (SHOWS.includes(asked.show)) state.show = asked.show;
    if (asked.draw === "fill" || asked.draw === "both") state.fill = true;
    if (asked.draw === "outline") state.fill = false;
    if (asked.draw === "fill") state.outline = false;
    if (asked.ref === "0") state.reference = false;
    const opacity = number(asked.opacity, 0, 100), zoom = number(asked.zoom, 1, 32);
    if (opacity !== null) state.opacity = opacity / 100;
    if (zoom !== null) state.zoom = zoom;
    const at = (asked.at || "").split(":").map((text, axis) => number(text, 0, sheet.grid[axis]));
    if (at.length === 2 && at[0] !== null && at[1] !== null) [state.x, state.y] = at;
    return state;
  };

  let late = 0;

  /* Writes what is seen into the address, a moment after the last change. */
  viewer.toAddress = (view) => {
    clearTimeout(late);
    late = setTimeout(() => {
      const state = view.state, layer = (place) => place >= 0 ? view.sheet.layers[place].id : "none";
      const parts = {
        view: view.number, z: view.sheet.depths[state.slice], a: layer(state.a), b: state.b >= 0 || viewer.asked().b ? layer(state.b) : "",
        hu: Math.round(state.low) + ":" + Math.round(state.high), show: state.show === "models" ? "" : state.show,
        draw: state.fill && state.outline ? "both" : state.fill ? "fill" : "outline", ref: state.reference ? "" : "0",
        opacity: Math.round(state.opacity * 100), zoom: state.zoom > 1 ? state.zoom.toFixed(2) : "",
        at: state.zoom > 1 ? state.x.toFixed(1) + ":" + state.y.toFixed(1) : ""
      };
      const address = "#" + Object.keys(parts).filter((key) => parts[key] !== "")
        .map((key) => key + "=" + encodeURIComponent(parts[key]).replace(/%3A/g, ":")).join("&");
      try { history.replaceState(null, "", address); } catch (error) { location.replace(address); }
      view.box.dataset.address = address;
    }, 150);
  };
})();
