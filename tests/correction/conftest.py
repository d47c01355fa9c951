"""A person at work on a case of a new store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from painting import Session


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    session = Session(tmp_path)
    yield session
    session.journal.close(5)
