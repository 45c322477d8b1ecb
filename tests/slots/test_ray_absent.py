"""Without Ray: what is said then."""

from __future__ import annotations

import sys

import pytest

from colorsched.errors import MissingExtra
from colorsched.executors.ray.cluster import RayCluster


def test_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r'pip install "colorsched\[ray\]"') as caught:
        RayCluster.connect()
    assert isinstance(caught.value, ImportError)
    assert caught.value.extra == "ray"
