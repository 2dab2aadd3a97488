"""Which folders are listed."""

import pytest

from hdna import storage


def heard_levels(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Filled with the URL of each folder that is listed from now on; it is listed all the same."""
    heard: list[str] = []
    one_level = storage.list_level

    def hear(url: str) -> tuple[list[str], list[str]]:
        heard.append(url)
        return one_level(url)

    monkeypatch.setattr(storage, "list_level", hear)
    return heard
