"""The network interface that ranks talk through: on each node the one with the address by which Ray knows the node.

gloo takes the interface of the address that the host's name resolves to, which on Debian and Ubuntu is the loopback:
ranks of another node then connect to their own. NCCL guesses as well, by order and name.
"""

import os
from typing import Any

import psutil
from ray.train.torch import TorchConfig

_VARIABLES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")


class NodeNetworkConfig(TorchConfig):  # type: ignore[misc]  # Ray has no types
    """Ray Train's process group, on the right interface of each node."""

    @property
    def backend_cls(self) -> type:
        """What Ray Train calls before the ranks meet."""
        return _NodeNetwork


class _NodeNetwork(TorchConfig().backend_cls):  # type: ignore[misc]  # nor has it here
    def on_start(self, worker_group: Any, backend_config: TorchConfig) -> None:  # noqa: ANN401
        worker_group.execute(_use_interface_of_node)
        super().on_start(worker_group, backend_config)


def _use_interface_of_node() -> None:
    """In a worker: set what the user has not."""
    import ray

    if interface := interface_of(ray.util.get_node_ip_address()):
        for variable in _VARIABLES:
            os.environ.setdefault(variable, interface)


def interface_of(address: str) -> str | None:
    """The interface of this machine with that IP address; None if it has none, as behind address translation."""
    names = (name for name, found in psutil.net_if_addrs().items() if address in (entry.address for entry in found))
    return next(names, None)
