"""All access to files and buckets: opening URLs, manifests, staging, write claims.

The package exports operations on single objects; the protocols built on them have their own modules. It is the door to
the object-store library.
"""

from hdna.storage.objects import (
    delete,
    exists,
    is_probe,
    join,
    list_level,
    list_objects,
    object_size,
    read,
    read_blocks,
    require_conditional_put,
    require_writable,
    upload,
    write,
    write_if_absent,
)
from hdna.storage.stores import is_local, local_path, locate

__all__ = [
    "is_local",
    "local_path",
    "join",
    "exists",
    "object_size",
    "list_level",
    "list_objects",
    "read",
    "read_blocks",
    "write",
    "write_if_absent",
    "require_writable",
    "require_conditional_put",
    "is_probe",
    "upload",
    "delete",
    "locate",
]
