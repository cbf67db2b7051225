"""The board in a browser: windows with a session, and what is done in them."""

from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect

from hub.core.lease import Kind
from tests.face.running import PREFIX, Running

CARDS = ("A100-40:3g.20gb,2g.10gb,1g.5gb,1g.5gb",)
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True,
}
# the page's streams, so that a test can break them
_SOURCES = """
    const Real = window.EventSource;
    window.sources = [];
    window.EventSource = class extends Real {
      constructor(...given) { super(...given); window.sources.push(this); }
    };
"""


class Visit:
    """One browser window with a session, and everything that went wrong in it.

    `refusals`: statuses with which the API may decline something in this window.
    """

    def __init__(
        self, browser: Browser, service: Running, who: str, *, refusals: tuple[int, ...] = (),
        **options: Any,
    ) -> None:
        self.context: BrowserContext = browser.new_context(
            **({"locale": "en", "viewport": {"width": 1280, "height": 900}} | options)
        )
        self.context.add_cookies([
            {"name": "service-madang", "value": f"t-{who}", "url": service.url + PREFIX}
        ])
        self.context.add_init_script(_SOURCES)
        self.page: Page = self.context.new_page()
        self.faults: list[str] = []
        self.outside: list[str] = []
        self._refusals = tuple(f"status of {x}" for x in refusals)
        self.page.on("pageerror", lambda e: self.faults.append(str(e)))
        self.page.on("console", self._said)
        self.page.on("request", lambda r: self.outside.append(r.url)
                     if not r.url.startswith((service.url, "data:")) else None)
        self.page.goto(service.url + PREFIX)

    def _said(self, message: ConsoleMessage) -> None:
        # the browser asks the hub for the icon of a plain text; here is no hub
        icon = "favicon" in message.location["url"]
        if message.type == "error" and not icon and not any(
            x in message.text for x in self._refusals
        ):
            self.faults.append(message.text)

    def press(self, name: str, *, within: str = "body") -> None:
        """Press the button of this name; the one in a dialog where one is open."""
        place = "dialog[open]" if self.page.locator("dialog[open]").count() else within
        self.page.locator(place).get_by_role("button", name=name, exact=True).first.click()

    @property
    def dialog(self) -> Locator:
        """The dialog that is open."""
        return self.page.locator("dialog[open]")

    def live(self) -> "Visit":
        """Wait until the page has the state."""
        expect(self.page.locator("#connection")).not_to_be_empty()
        expect(self.page.locator(".slice").first).to_be_visible()
        return self

    def fits(self) -> bool:
        """Whether nothing has to be scrolled sideways."""
        return bool(self.page.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        ))

    def close(self) -> None:
        """Close it; nothing has gone wrong in it, and nothing came from elsewhere."""
        self.context.close()
        assert self.faults == []
        assert self.outside == []


def ask(service: Running, user: str, profile: str = "1g.5gb") -> str:
    """A server's request, as the hub makes it: the lease's id."""
    return service.broker.ask(
        user=user, kind=Kind.SERVER, name="", profile=profile, image="madang/notebook:latest"
    ).id
