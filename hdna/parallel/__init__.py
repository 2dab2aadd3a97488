"""All use of torch.distributed: the data × sequence mesh, and models whose samples are shared by ranks."""

from hdna.parallel.mesh import Mesh
from hdna.parallel.sequence import shard_sequence, slice_batch

__all__ = ["Mesh", "shard_sequence", "slice_batch"]
