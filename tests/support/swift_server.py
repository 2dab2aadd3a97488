"""A real S3 server: OpenStack Swift and its s3api; account, container, object and proxy server in one process.

    python swift_server.py FOLDER

prints its port once it listens on loopback, and serves until its standard input closes, so that it cannot outlive the
tests. Unlike moto it refuses wrong secrets and honours conditional PUT. Two users share one account: `test:tester`
(secret `testing`) may do everything, `test:guest` (secret `guesting`) is denied every bucket.
"""

import socket
import sys
import warnings
from pathlib import Path

import eventlet.wsgi
from swift.common import utils, wsgi
from swift.common.ring import RingBuilder

BACKENDS = ("account", "container", "object")
COMMON = "[DEFAULT]\nswift_dir = {folder}\ndevices = {folder}\nmount_check = false\nlog_level = ERROR\n"
BACKEND = "[pipeline:main]\npipeline = app\n[app:app]\nuse = egg:swift#{name}\n"
FILTERS = ("catch_errors", "listing_formats", "s3api", "tempauth", "copy", "slo", "dlo")
SERVER = {"log_output": False, "protocol": wsgi.SwiftHttpProtocol, "capitalize_response_headers": False}
SETTINGS = {
    "s3api": "location = us-east-1\ndns_compliant_bucket_names = true\n",
    "tempauth": "user_test_tester = testing .admin\nuser_test_guest = guesting\n",
}


def main(folder: Path) -> None:
    """Serve from `folder`."""
    utils.monkey_patch()
    warnings.filterwarnings("ignore", message="capitalize_response_headers is disabled")
    (folder / "disk").mkdir()
    (folder / "swift.conf").write_text("[swift-hash]\nswift_hash_path_prefix = a\nswift_hash_path_suffix = b\n")
    sockets = {name: listening() for name in (*BACKENDS, "proxy")}
    for name in BACKENDS:
        write_ring(folder, name, sockets[name].getsockname()[1])
        (folder / f"{name}.conf").write_text(COMMON.format(folder=folder) + BACKEND.format(name=name))
    (folder / "proxy.conf").write_text(COMMON.format(folder=folder) + proxy_conf())
    utils.set_swift_dir(str(folder))
    for name, sock in sockets.items():
        app = wsgi.loadapp(str(folder / f"{name}.conf"), global_conf={"log_name": name})
        eventlet.spawn(eventlet.wsgi.server, sock, app, **SERVER)
    print(sockets["proxy"].getsockname()[1], flush=True)
    eventlet.tpool.execute(sys.stdin.read)


def listening() -> socket.socket:
    """A socket on a free port of loopback."""
    sock: socket.socket = eventlet.listen(("127.0.0.1", 0))
    return sock


def write_ring(folder: Path, name: str, port: int) -> None:
    """One disk, one copy."""
    ring = RingBuilder(1, 1, 0)
    ring.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "device": "disk", "weight": 1})
    ring.rebalance()
    ring.get_ring().save(str(folder / f"{name}.ring.gz"))


def proxy_conf() -> str:
    """The proxy's filters, from the outside in."""
    filters = "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n{SETTINGS.get(name, '')}" for name in FILTERS)
    return (
        f"[pipeline:main]\npipeline = {' '.join(FILTERS)} proxy-server\n"
        "[app:proxy-server]\nuse = egg:swift#proxy\nallow_account_management = true\naccount_autocreate = true\n"
        + filters
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
