"""Spans of time in words."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """`2 min 05 s`; hours and days where there are any."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02} min"
    days, hours = divmod(hours, 24)
    return f"{days:,} d {hours:02} h"
