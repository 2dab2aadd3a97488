"""The network interface that ranks talk through. tests/chaos has runs over two nodes with addresses of their own."""

from hdna_cluster.network import interface_of


def test_the_interface_is_the_one_with_the_address() -> None:
    assert interface_of("127.0.0.1") == "lo"
    assert interface_of("192.0.2.200") is None, "an address for documentation, which no machine has"
