"""What may be named as a place to tell, and what is refused with what to do."""

import pytest

from hub.core.targets import Kind, Reach, check, named, parse
from hub.errors import BadInput

REACH = Reach(mail=True, domains=("Example.org",), ntfy="https://ntfy.campus/base/")


@pytest.mark.parametrize(("text", "url", "host", "port"), [
    ("https://Hooks.Example.ORG", "https://hooks.example.org/", "hooks.example.org", 443),
    ("http://h.example:8080/a?b=c#d", "http://h.example:8080/a?b=c", "h.example", 8080),
    ("https://h.example/a b/한", "https://h.example/a%20b/%ED%95%9C", "h.example", 443),
    ("https://h.example/a%2Fb?x=%20", "https://h.example/a%2Fb?x=%20", "h.example", 443),
    ("https://마당.한국/", "https://xn--ok1b32k.xn--3e0b707e/", "xn--ok1b32k.xn--3e0b707e", 443),
    ("http://[2606:4700::1111]/", "http://[2606:4700::1111]/", "2606:4700::1111", 80),
    ("HTTPS://h.example.", "https://h.example/", "h.example", 443),
])
def test_a_webhook(text: str, url: str, host: str, port: int) -> None:
    found = parse(text, REACH)
    assert (found.kind, found.url, found.host, found.port) == (Kind.WEBHOOK, url, host, port)


@pytest.mark.parametrize(("text", "url", "topic"), [
    ("ntfy://night_1", "https://ntfy.campus/base/", "night_1"),
    ("ntfy:night", "https://ntfy.campus/base/", "night"),
    ("ntfy+https://n.example/t", "https://n.example/", "t"),
    ("ntfy+http://n.example:8080/sub/t/", "http://n.example:8080/sub/", "t"),
])
def test_a_topic(text: str, url: str, topic: str) -> None:
    found = parse(text, REACH)
    assert (found.kind, found.url, found.topic) == (Kind.NTFY, url, topic)
    assert found.ours == ("campus" in url)


@pytest.mark.parametrize("text", [
    "", " ", "h.example", "//h.example/", "ftp://h.example/", "file:///etc/passwd", "https:",
    "https://", "https:///x", "https://a..b/", "https://-a.example/", "https://a b/",
    "https://h.example:0/", "https://h.example:70000/", "https://h.example:x/", "https://[::1",
    "http://[fe80::1%25eth0]/", "https://h.example/\r\nX: y", "https://h.example/\0",
    "ntfy://", "ntfy://a/b", "ntfy://a?x=1", "ntfy://ü", "ntfy+https://n.example/",
    "ntfy+ftp://n.example/t", "javascript:alert(1)", "https://h.example/" + "x" * 500,
    "https://" + "ㄱ" * 70 + ".example/", "gopher://h.example/",
])
def test_what_is_no_place(text: str) -> None:
    with pytest.raises(BadInput) as e:
        parse(text, REACH)
    assert e.value.reason == "notify"
    assert "mailto:" in e.value.message
    assert len(e.value.message) < 300


@pytest.mark.parametrize("text", ["https://me:word@h.example/", "https://me@h.example/"])
def test_a_password_in_an_address_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(BadInput) as e:
        parse(text, REACH)
    assert "word@" not in e.value.message
    assert "me" not in e.value.message.split("h.example")[0].replace("name", "")


@pytest.mark.parametrize("text", [
    "mailto:", "mailto:ana", "mailto:@example.org", "mailto:a@", "mailto:a@b@", "mailto:a b@c.org",
    "mailto:a@example.org?bcc=b@example.org", "mailto:a@example.org,b@example.org",
    "mailto:<a@example.org>", "mailto:a@exa_mple..org", "mailto:.a@example.org",
    "mailto:a..b@example.org", "mailto:a@example.org\n", "mailto:한@example.org",
    "mailto:" + "a" * 65 + "@example.org",
])
def test_what_is_no_mail_address(text: str) -> None:
    with pytest.raises(BadInput) as e:
        check([text], REACH, "ana")
    assert e.value.reason == "notify"


def test_whom_mail_may_go_to() -> None:
    check(["mailto:anybody@EXAMPLE.org"], REACH, "ana")
    check(["mailto:Ana@elsewhere.net"], REACH, "ana@elsewhere.net")
    for reach, says in ((REACH, "Example.org"), (Reach(mail=True), "notify_mail_domains"),
                        (Reach(domains=("elsewhere.net",)), "sends no mail")):
        with pytest.raises(BadInput, match=says):
            check(["mailto:bo@elsewhere.net"], reach, "ana@elsewhere.net")
    with pytest.raises(BadInput):  # no domain below another is meant
        check(["mailto:a@sub.example.org"], REACH, "ana")


@pytest.mark.parametrize(("pattern", "text"), [
    ("h.example:8065", "https://h.example:8065/"), ("h.example:*", "https://h.example:22/"),
    ("*.example:*", "http://a.example:1/"), ("*.example", "https://a.example/"),
    ("H.Example", "https://h.example/"), ("10.0.0.5:8065", "http://10.0.0.5:8065"),
])
def test_hosts_that_the_operator_names(pattern: str, text: str) -> None:
    (found,) = check([text], Reach((pattern,)), "ana")
    assert named(found, Reach((pattern,)))


@pytest.mark.parametrize(("pattern", "text"), [
    ("x", "https://h.example:8065/"), ("h.example", "https://h.example:8065/"),
    ("*.example", "https://a.example.net/"), ("h.example:8065", "https://h.example/"),
])
def test_hosts_and_ports_that_nobody_names(pattern: str, text: str) -> None:
    found = parse(text, Reach((pattern,)))
    assert not named(found, Reach((pattern,)))
    if found.port not in {80, 443}:
        with pytest.raises(BadInput, match="notify_hosts"):
            check([text], Reach((pattern,)), "ana")


def test_the_operators_own_ntfy_may_be_anywhere() -> None:
    reach = Reach(ntfy="http://10.0.0.1:2586")
    (found,) = check(["ntfy://night"], reach, "ana")
    assert named(found, reach)


def test_not_everybody_is_told() -> None:
    with pytest.raises(BadInput, match="up to 5"):
        check(["ntfy://night"] * 6, REACH, "ana")


def test_what_a_log_may_show() -> None:
    shown = [parse(x, REACH).shown for x in (
        "https://h.example/services/TOKEN", "ntfy://my-topic", "mailto:a@example.org")]
    assert shown == ["h.example:443", "ntfy.campus:443", "a@example.org"]
