"""slashbench: how many bits does a trained weight really need?"""

__version__ = "0.1.0"
