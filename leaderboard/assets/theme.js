/* Light, dark, or as the system is: chosen by a button and kept by the browser. It runs before the page is drawn. */
(function () {
  "use strict";

  var names = ["system", "light", "dark"], kept = null;
  try { kept = localStorage.getItem("groundbench-theme"); } catch (error) { kept = null; }
  var theme = names.indexOf(kept) > 0 ? kept : "system";

  function show(button) {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    if (button) button.textContent = "Theme: " + theme;
  }

  show(null);
  document.addEventListener("DOMContentLoaded", function () {
    var button = document.getElementById("theme");
    if (!button) return;
    button.hidden = false;
    show(button);
    button.addEventListener("click", function () {
      theme = names[(names.indexOf(theme) + 1) % names.length];
      try { localStorage.setItem("groundbench-theme", theme); } catch (error) { kept = theme; }
      show(button);
    });
  });
})();
