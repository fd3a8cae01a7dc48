"""Parameters that FSDP2 has sharded, told from others without loading FSDP2, which takes a second.

A process can only meet a sharded tensor if something has loaded `torch.distributed.tensor` there.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from typing_extensions import TypeIs

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor


def is_sharded(tensor: Any) -> TypeIs[DTensor]:
    """Return whether a tensor is sharded by FSDP2."""
    loaded = sys.modules.get("torch.distributed.tensor")
    return loaded is not None and isinstance(tensor, loaded.DTensor)
