"""Settings of Sphinx. CONTRIBUTING.md says how to build these pages."""

import sys
from pathlib import Path

from slashbench.version import __version__

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "slashbench"
author = "the slashbench authors"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "gallery",
    "generated_pages",
    "plain_docstrings",
]
exclude_patterns = ["_build"]
suppress_warnings = ["myst.header"]  # included files begin at any level

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

default_role = "code"
autodoc_typehints = "none"  # docstrings have the types that readers need
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"slashbench {release}"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
