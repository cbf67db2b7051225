"""Mail by the operator's own server."""

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate

from hub.config import Settings
from hub.errors import BadInput, Unknown

_TIMEOUT = 20.0  # seconds for one step of the talk
_NEVER = range(500, 600)  # of SMTP: as it is, it will not be taken


class Postman:
    """Sends mail as the settings say."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def send(self, id: str, to: str, subject: str, text: str) -> None:
        """Hand one mail to the server. The same id makes the same Message-ID.

        Raises:
            BadInput: reason "notify": the server does not take it, and never will.
            Unknown: no answer, or not just now; it may have been taken.
        """
        try:
            mail = self._mail(id, to, subject, text)
            with self._connected() as line:
                line.send_message(mail)
        except smtplib.SMTPRecipientsRefused as e:
            code, said = next(iter(e.recipients.values()))
            raise _problem(code, said) from e
        except smtplib.SMTPResponseException as e:
            raise _problem(e.smtp_code, e.smtp_error) from e
        except (OSError, smtplib.SMTPException, UnicodeError) as e:
            raise Unknown(f"{type(e).__name__}: {e}") from e
        except ValueError as e:  # what cannot stand in a header
            raise BadInput("The mail cannot be written: {error}", reason="notify", error=e) from e

    def _mail(self, id: str, to: str, subject: str, text: str) -> EmailMessage:
        mail = EmailMessage()
        domain = self._settings.smtp_from.rpartition("@")[2]
        mail["From"] = self._settings.smtp_from
        mail["To"] = to
        mail["Subject"] = subject
        mail["Date"] = formatdate()
        mail["Message-ID"] = f"<{id}.madang@{domain}>"
        mail["Auto-Submitted"] = "auto-generated"  # no holiday message comes back
        mail["X-Madang-Id"] = id
        mail.set_content(text, cte="quoted-printable")  # not every server takes eight bits
        return mail

    def _connected(self) -> smtplib.SMTP:
        settings, trust = self._settings, ssl.create_default_context()
        place = settings.smtp_host, settings.smtp_port
        line = (
            smtplib.SMTP_SSL(*place, timeout=_TIMEOUT, context=trust)
            if settings.smtp_tls == "tls" else smtplib.SMTP(*place, timeout=_TIMEOUT)
        )
        try:
            if settings.smtp_tls == "starttls":
                line.starttls(context=trust)
            if settings.smtp_user and settings.smtp_password_file:
                word = settings.smtp_password_file.read_text(encoding="utf-8").strip()
                line.login(settings.smtp_user, word)
        except BaseException:
            line.close()
            raise
        return line


def _problem(code: int, said: bytes | str) -> Exception:
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    # a wrong password is the operator's to mend, and mail waits for it
    if code in _NEVER and code not in {530, 534, 535, 538}:
        return BadInput("The mail server says {code}: {said}", reason="notify", code=code,
                        said=text)
    return Unknown(f"{code} {text}")
