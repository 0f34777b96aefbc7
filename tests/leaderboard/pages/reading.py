"""Find parts of a site that tests read back."""

from __future__ import annotations


def section(page, title: str):
    found, *_ = [node for node in page.all("section") if node.all("h2")[0].text.startswith(title)]
    return found


def whole(site, names: str = "", profile: str = "mlhc2025"):
    """Return the page with every row of the first data set, or of that of these names, under a profile."""
    pages = [page for path, page in site.items() if path.startswith("tables/") and path.endswith(f"-{profile}.html")]
    return next(page for page in pages if names in page.all("h1")[0].text)
