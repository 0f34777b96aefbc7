"""From a board to HTML pages, charts and downloads."""
