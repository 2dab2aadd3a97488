"""What a run that has no workers says it waits for."""

from hdna_cluster.waiting import what_is_missing


def test_it_says_what_the_cluster_lacks() -> None:
    said = what_is_missing(needed=8, alive=8, free=3, kind="GPU")
    assert said == "waiting for 8 GPUs: the cluster has 8, of which 3 are free"


def test_it_does_not_say_that_what_is_free_is_lacking() -> None:
    said = what_is_missing(needed=1, alive=1, free=1, kind="CPU")
    assert said == "waiting for workers to start on 1 of 1 free CPUs"
