"""Human antibody germline V regions of IMGT/GENE-DB, as the ANARCI package carries them."""

from __future__ import annotations

import ast
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from slashbench.bench.data.base import Dataset, file_sha256, package_folder
from slashbench.errors import CorruptFile

CHAINS = ("H", "K", "L")  # heavy, kappa, lambda


class Germlines(Dataset):
    """Amino-acid sequences of human immunoglobulin V genes, the first allele of each gene.

    Beside them those of mouse, rhesus and other species, for calibration.

    Source: IMGT/GENE-DB (Giudicelli, Chaume & Lefranc, Nucleic Acids Research 33, 2005), in the
    form in which ANARCI (Dunbar & Deane, Bioinformatics 32, 2016) distributes it.
    """

    source: ClassVar[str] = "IMGT/GENE-DB human V genes, in anarci's germlines.py"
    licence: ClassVar[str] = "BSD-3-Clause package; IMGT data, cited"

    @cached_property
    def sequences(self) -> list[str]:
        """Sequences without gaps, by chain and gene name."""
        return [
            gapped.replace("-", "")
            for chain in CHAINS
            for name, gapped in sorted(self._genes[chain]["human"].items())
            if name.endswith("*01")
        ]

    @cached_property
    def other_species(self) -> list[str]:
        """Sequences of all other species' V genes, none of which is one of `sequences`; sorted."""
        found = {
            gapped.replace("-", "")
            for chain in CHAINS
            for species, alleles in self._genes[chain].items()
            for gapped in alleles.values()
            if species != "human"
        }
        return sorted(found - set(self.sequences))

    @cached_property
    def _genes(self) -> dict[str, dict[str, dict[str, str]]]:
        """chain -> species -> allele -> gapped sequence. Read as a literal, never executed."""
        try:
            tree = ast.parse(_file().read_text(encoding="utf-8"))
            tables = {
                node.targets[0].id: node.value
                for node in tree.body
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
            }
            table = ast.literal_eval(tables["all_germlines"])
            genes: dict[str, dict[str, dict[str, str]]] = table["V"]
        except (SyntaxError, ValueError, KeyError) as error:
            raise CorruptFile(
                "anarci's germlines.py has no table of all_germlines; install anarci 2026.2"
            ) from error
        return genes

    def sha256(self) -> str:
        """Hash of the file in the package."""
        return file_sha256(_file())


def _file() -> Path:
    return package_folder("anarci") / "germlines.py"
