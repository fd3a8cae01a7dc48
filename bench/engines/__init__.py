"""Engines: they run cells in this process, on local processes, or on a Dask cluster."""
