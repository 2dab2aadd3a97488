"""What ranks that share samples say of contexts, held against one process; each rank makes its own assertions."""

import numpy as np
import torch

from hdna.downstream.context import ContextQuestion, score_contexts, score_contexts_on_ranks
from hdna.downstream.subject import load_subject
from hdna.parallel import Mesh


def same_as_one_process(run: str, question: ContextQuestion) -> None:
    """Five ranks, two to a sample: two samples at once, and one rank is idle."""
    shared = score_contexts_on_ranks(run, question, Mesh.of_this_process(2), torch.device("cpu"), print)
    alone = score_contexts(load_subject(run), question, Mesh(0, 1))
    for found, wanted in zip(shared.tallies, alone.tallies, strict=True):
        np.testing.assert_array_equal(found.bases_CR2, wanted.bases_CR2)
        np.testing.assert_allclose(found.nats_CR2, wanted.nats_CR2, rtol=1e-5)  # fp32, other FFT sizes
