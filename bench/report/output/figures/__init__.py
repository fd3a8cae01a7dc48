"""Charts of the page, one a file, drawn by Vega-Lite."""
