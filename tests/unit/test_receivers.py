"""Who is told of alerts: files beside the inventory, which hold secrets."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from sealift.errors import SealiftError
from sealift.host.alert_settings import EmailSettings, ReceiverSettings
from sealift.site.receivers import open_receivers

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def _private(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def _settings(folder: Path, **other: Path) -> ReceiverSettings:
    ca = folder / "ca.pem"
    ca.write_text(PEM)
    email = EmailSettings(
        to=("a@site.example", "b@site.example"),
        sender="sealift@site.example",
        relay="mail.site.example:587",
        user="sealift",
        password=_private(folder / "password", "pass word\n"),
    )
    given = {
        "webhook": _private(folder / "webhook", "https://pager.site.example/hook?token=SECRET\n"),
        "heartbeat": _private(folder / "heartbeat", "http://pager.site.example:8080/alive"),
    }
    return ReceiverSettings(email=email, **(given | {"ca": ca} | other))


def test_nobody_is_told_where_nobody_is_named() -> None:
    found = open_receivers(ReceiverSettings())
    assert (found.email, found.password, found.webhook, found.heartbeat, found.ca) == (None, "", "", "", "")


def test_what_the_settings_name_is_opened(tmp_path: Path) -> None:
    found = open_receivers(_settings(tmp_path))
    assert found.password == (tmp_path / "password").read_text().strip()
    assert found.webhook == "https://pager.site.example/hook?token=SECRET"
    assert found.heartbeat == "http://pager.site.example:8080/alive"
    assert found.ca == PEM.strip()
    assert "SECRET" not in repr(found)
    assert "pass word" not in repr(found)


@pytest.mark.parametrize(
    "text",
    [
        *("", "ftp://x/", "https://a b/", "https://x/\nhttps://y/", "token SECRET"),
        *(
            "https://h:80a/SECRET",
            "https://h:99999/",
            "https://h:0/",
            "https:///x",
            "https://:80/",
            "https://[h/",
        ),
        *("https://h/%zz", "https://h/%", "https://h/?t=%4"),
    ],
)
def test_what_is_no_address_is_refused_without_being_shown(tmp_path: Path, text: str) -> None:
    wrong = _private(tmp_path / "wrong", text)
    with pytest.raises(SealiftError) as caught:
        open_receivers(_settings(tmp_path, webhook=wrong))
    assert str(caught.value) == (
        f"{wrong}: is something else, expected one address that begins with "
        "http:// or https://. Write it anew."
    )


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    settings = _settings(tmp_path, heartbeat=tmp_path / "none", ca=_private(tmp_path / "no-ca", "MIIB"))
    (tmp_path / "webhook").chmod(0o644)
    with pytest.raises(SealiftError) as caught:
        open_receivers(settings)
    open_to_others, missing, no_pem = str(caught.value).splitlines()
    assert open_to_others == (
        f"{tmp_path}/webhook: has mode 0644, expected 0600. Run: chmod 600 {tmp_path}/webhook"
    )
    assert f"{tmp_path}/none" in missing
    assert no_pem == f"{tmp_path}/no-ca: is something else, expected certificates in PEM. Write it anew."


@pytest.mark.parametrize(
    "wrong",
    [
        {"to": []},
        {"to": ["a@b\nbcc: c@d"]},
        {"sender": "Somebody <a@b>"},
        {"relay": "mail.site.example"},
        {"relay": "mail:25\n"},
        {"user": "sealift"},
        {"password": "/srv/password"},
    ],
)
def test_mail_that_cannot_be_sent_is_refused(wrong: dict[str, object]) -> None:
    right: dict[str, object] = {"to": ["a@b.example"], "sender": "c@d.example", "relay": "mail:25"}
    assert EmailSettings.model_validate(right).starttls
    with pytest.raises(ValidationError):
        EmailSettings.model_validate(right | wrong)
