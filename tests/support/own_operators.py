"""Running an operation under a dispatch mode so that the mode also sees into hdna's own operators.

torch shows a mode an operator of `torch.library` as one operation; what its function does passes by.
"""

from collections.abc import Mapping

from torch._library.custom_ops import OPDEFS
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode


def run_within(
    mode: TorchDispatchMode, operation: OpOverload, args: tuple[object, ...], kwargs: Mapping[str, object] | None
) -> object:
    """The operation's result; of an own operator, its function's, run under the mode."""
    own = OPDEFS.get(operation.name())
    if own is None:
        result: object = operation(*args, **(kwargs or {}))
        return result
    with mode:
        found: object = own._init_fn(*args, **(kwargs or {}))
    return found
