"""Settings of Sphinx. CONTRIBUTING.md says how to build these pages."""

from slashbench.version import __version__

project = "slashbench"
author = "the slashbench authors"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build"]
nitpicky = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_typehints = "none"  # the signature has them in the source; the docstring says them in words
autodoc_member_order = "bysource"
default_role = "code"

html_theme = "furo"
html_title = f"slashbench {release}"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
