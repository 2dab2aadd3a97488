"""A first signal asks for a last checkpoint; a second one, or the end of the time for it, ends a run at once."""

import signal

import pytest

from hdna.run.events import Event
from hdna_cluster.stopping import StopRequest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_ends(number: signal.Signals) -> None:
    said: list[Event] = []
    stop = StopRequest(60, said.append)
    before = signal.getsignal(number)
    with stop.listening():
        stop.check()
        assert not stop.asked and not said
        signal.raise_signal(number)
        stop.check()
        stop.check()
        assert stop.asked and len(said) == 1
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) == before


def test_there_is_an_end_to_waiting_for_the_last_checkpoint() -> None:
    said: list[Event] = []
    stop = StopRequest(0, said.append)
    with stop.listening():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            stop.check()
    assert said[-1] == "no last checkpoint within checkpoint.grace_s=0: ending without it"
