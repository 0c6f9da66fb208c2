"""A machine whose roofline is known, and not measured in each test."""

import pytest

from groundup.glass import peak


@pytest.fixture
def known_roofline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peak, "flops", lambda *_: 1e18)
    monkeypatch.setattr(peak, "_bandwidth", lambda *_: peak.Bandwidth(1e18, 1e18, 1e18))
