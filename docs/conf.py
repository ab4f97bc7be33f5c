"""The documentation as a site: `make docs` builds it into build/docs, without a network; warnings are errors."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / "site"), str(Path(__file__).parents[1])]

from oci_push import __version__  # noqa: E402

project = "oci-push"
author = "The oci-push authors"
copyright = f"{author}, Apache-2.0"
version = release = __version__

extensions = ["myst_parser", "made_pages"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["site"]
nitpicky = True

myst_heading_anchors = 4
myst_links_external_new_tab = False

html_theme = "furo"
html_title = f"oci-push {version}"
html_static_path = ["site/static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "navigation_with_keys": True,
    "light_css_variables": {"color-brand-primary": "#0a5ea8", "color-brand-content": "#0a5ea8"},
    "dark_css_variables": {"color-brand-primary": "#6cb6ff", "color-brand-content": "#6cb6ff"},
}
# `console` blocks hold "…" and answers of programs, which no lexer needs to understand.
highlight_language = "text"
pygments_style = "friendly"
pygments_dark_style = "github-dark"
# "--option" is no dash.
smartquotes = False
