"""Documents that cannot rot: the settings table is what the code says."""

from __future__ import annotations

from pathlib import Path

from app.cli.settings import settings_page
from app.settings import Settings

ROOT = Path(__file__).resolve().parents[3]


def test_the_settings_page_is_what_the_code_says() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == settings_page(), (
        "run `remand settings --markdown > docs/settings.md`"
    )


def test_every_setting_says_what_it_means() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
