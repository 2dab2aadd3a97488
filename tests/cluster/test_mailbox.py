"""The actor that passes events on: in order, and of too many the newest."""

from hdna_cluster.mailbox import CAPACITY, Mailbox


def test_events_are_taken_once_and_in_order() -> None:
    mailbox = Mailbox()
    for event in ("a", "b"):
        mailbox.put(event)
    assert mailbox.take(False) == (["a", "b"], 0)
    assert mailbox.take(False) == ([], 0)


def test_what_nobody_takes_does_not_pile_up() -> None:
    mailbox = Mailbox()
    for number in range(CAPACITY + 7):
        mailbox.put(str(number))
    events, lost = mailbox.take(False)
    assert (len(events), events[-1], lost) == (CAPACITY, str(CAPACITY + 6), 7)
    assert mailbox.take(False) == ([], 0)


def test_the_answers_to_events_say_whether_to_stop() -> None:
    mailbox = Mailbox()
    assert not mailbox.put("a")
    mailbox.take(True)
    assert mailbox.put("b")
