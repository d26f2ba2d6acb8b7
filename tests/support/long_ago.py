"""A clock that shows the beginning of 2020, for what makes things that end."""

from __future__ import annotations

from datetime import datetime, tzinfo


class LongAgo(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime(2020, 1, 1, tzinfo=tz)
