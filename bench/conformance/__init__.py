"""The kit that checks a codec, for authors of plug-ins."""

from slashbench.bench.conformance.checks import CHECKS as CHECKS
