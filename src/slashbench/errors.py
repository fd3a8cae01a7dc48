"""The errors slashbench raises. A message says what was wrong and what to do about it."""

from __future__ import annotations


class SlashbenchError(Exception):
    """Base of every error of ours; `exit_code` is what `bench` returns when one gets that far."""

    exit_code = 1


class UsageError(SlashbenchError):
    """The request can't be carried out as written; nothing was run."""

    exit_code = 2


class UnknownName(UsageError):
    """A registry has no entry of that name."""


class BadSetting(UsageError, ValueError):
    """A setting that an entry does not have, or a value it can't take."""


class DuplicateName(UsageError):
    """Two entries of one registry claim the same name."""


class MissingDependency(UsageError):
    """An entry needs a package that is not installed; the message holds the pip line."""


class BrokenPlugin(UsageError):
    """A plug-in is registered but fails to import."""


class StageBusy(SlashbenchError):
    """Another process holds the lease of this stage; retry later."""


class StoreUnusable(UsageError):
    """The results folder can't be written: no permission, a file in its place, a full disk."""


class Unencodable(SlashbenchError, ValueError):
    """A codec refuses this array. Raised before any byte is written."""


class CorruptStream(SlashbenchError, ValueError):
    """Encoded bytes are damaged, cut off, or claim more than they may."""


class CorruptFile(SlashbenchError, ValueError):
    """A checkpoint or record file is damaged or not what its header says."""


class OtherBase(UsageError):
    """What is kept as a difference was made from another base than the one at hand, if any."""


class TrainingDiverged(SlashbenchError):
    """The loss or the weights stopped being finite numbers."""


class VerificationMismatch(SlashbenchError):
    """Decoded weights are not the weights that were encoded."""

    exit_code = 3


class NotVerifiable(SlashbenchError):
    """Nothing was found wrong, but not everything can be compared with the original."""


class NotConformant(SlashbenchError, AssertionError):
    """A codec does not do what every codec must; the message says how to see it again."""


class EngineLost(SlashbenchError):
    """The engine is gone (scheduler or all workers lost). Finished cells are kept."""
