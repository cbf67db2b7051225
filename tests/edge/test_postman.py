"""Mail by a real SMTP talk."""

import email
import email.policy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.edge.postman import Postman
from hub.errors import BadInput, Unknown
from tests.edge.answering import Mail, certificate, mail_server
from tests.edge.docker_fixtures import settings_for


@pytest.fixture
def server() -> Iterator[Mail]:
    with mail_server() as made:
        yield made


def postman(folder: Path, server: Mail, **more: Any) -> Postman:
    return Postman(settings_for(folder, **{
        "smtp_host": "localhost", "smtp_port": server.port, "smtp_tls": "none",
        "smtp_from": "madang@example.org", **more,
    }))


def send(by: Postman, subject: str = "밤 실험 끝남: 실패", text: str = "첫 줄\n링크") -> None:
    by.send("ab-0", "ana@example.org", subject, text)


def test_a_mail_is_whole_and_says_that_a_machine_wrote_it(server: Mail, tmp_path: Path) -> None:
    send(postman(tmp_path, server))
    ((sender, to, text),) = server.mails
    assert sender.startswith("<madang@example.org>")
    assert [x.split(" ")[0] for x in to] == ["<ana@example.org>"]
    mail = email.message_from_string(text, policy=email.policy.default)
    assert mail["Subject"] == "밤 실험 끝남: 실패"
    assert mail["Message-ID"] == "<ab-0.madang@example.org>"
    assert (mail["Auto-Submitted"], mail["To"]) == ("auto-generated", "ana@example.org")
    assert mail.get_content().strip().splitlines() == ["첫 줄", "링크"]


def test_nobody_writes_headers_by_a_name(server: Mail, tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        send(postman(tmp_path, server), "x\r\nBcc: all@example.org")
    assert server.mails == []


def test_the_password_goes_over_a_safe_line_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, public = certificate(tmp_path, "localhost")
    (tmp_path / "word").write_text("hush\n")
    login = {"smtp_tls": "starttls", "smtp_user": "madang", "smtp_password_file": tmp_path / "word"}
    with mail_server(context) as server:
        with pytest.raises(Unknown, match="CERTIFICATE_VERIFY_FAILED"):
            send(postman(tmp_path, server, **login))
        assert server.users == []
        monkeypatch.setenv("SSL_CERT_FILE", str(public))
        send(postman(tmp_path, server, **login))
    assert server.users == ["\0madang\0hush"]
    assert server.safe == [True]


def test_a_server_without_tls_is_not_spoken_to_where_tls_is_wanted(
    server: Mail, tmp_path: Path
) -> None:
    with pytest.raises(Unknown, match="STARTTLS"):
        send(postman(tmp_path, server, smtp_tls="starttls"))
    assert server.mails == []


@pytest.mark.parametrize(("verb", "reply", "problem"), [
    ("RCPT", "550 no such box", BadInput), ("RCPT", "450 busy", Unknown),
    ("MAIL", "553 not you", BadInput), ("MAIL", "421 later", Unknown),
    ("DATA", "554 spam", BadInput), ("DATA", "452 full", Unknown),
    ("MAIL", "530 log in first", Unknown),
])
def test_what_never_will_be_taken_is_not_tried_again(
    server: Mail, tmp_path: Path, verb: str, reply: str, problem: type[Exception]
) -> None:
    server.replies[verb] = reply
    with pytest.raises(problem, match=reply[:3]):
        send(postman(tmp_path, server))


def test_a_server_that_is_away_is_no_answer(tmp_path: Path) -> None:
    with mail_server() as gone:
        pass
    with pytest.raises(Unknown):
        send(postman(tmp_path, gone))
    with pytest.raises(Unknown):
        send(postman(tmp_path, gone, smtp_user="x", smtp_password_file=tmp_path / "none"))
