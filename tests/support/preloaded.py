"""What the fork server imports: all that its forks need, out of the reach of their garbage collectors, which would look
at some hundred thousand objects of torch and DeepSpeed each time, and copy their pages.
"""

import gc

import support.forked_command
import support.rank_tasks  # noqa: F401

gc.collect()
gc.freeze()
