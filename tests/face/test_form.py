"""The options form: cards, what is chosen already, and what may come back."""

from pathlib import Path
from typing import Any

import pytest

from hub.config import Settings
from hub.core.sizes import Offer
from hub.errors import BadInput
from hub.face import form

SMALL = Offer("1g.5gb", "A100-40", 1, 1, 4864, total=3, free=0, waiting=2)
LARGE = Offer("3g.20gb", "A100-40", 3, 4, 19968, total=2, free=1, waiting=0)
WHOLE = Offer("7g.40gb", "A100-40", 7, 8, 40192, total=1, free=1, waiting=0)
IMAGE = "madang/notebook:latest"


def _settings(**values: Any) -> Settings:
    return Settings(data=Path("/nowhere"), **values)


def test_a_card_for_each_image_and_size() -> None:
    images = {IMAGE: "PyTorch", "lab/<b>:1": "<b>Bold</b>"}
    made = form.build(_settings(images=images), (SMALL, LARGE))
    assert [g.title for g in made.sections] == ["PyTorch", "<b>Bold</b>"]
    cards = [[c.profile for c in g.cards] for g in made.sections]
    assert cards == [["1g.5gb", "3g.20gb", "cpu"]] * 2
    html = form.render(made, "en")
    assert "<b>Bold" not in html
    assert html.count('type="radio" name="choice"') == 6
    assert html.count(" checked") == 1


def test_a_card_says_what_one_gets_and_whether_one_waits() -> None:
    html = form.render(form.build(_settings(), (SMALL, LARGE, WHOLE)), "en")
    for text in ("4.8 GiB of GPU memory", "3/7 of a GPU", "A whole GPU", "1 of 2 free now",
                 "None of 3 free: join the line (2 waiting)", "CPU only"):
        assert text in html.replace("&#39;", "'"), html
    korean = form.render(form.build(_settings(), (SMALL,)), "ko")
    assert "줄 서기 (대기 2명)" in korean
    assert "CPU만" in korean


@pytest.mark.parametrize(("last", "chosen"), [
    (None, "3g.20gb"),  # the first that is free
    ({"image": IMAGE, "profile": "1g.5gb"}, "1g.5gb"),
    ({"image": IMAGE, "profile": "9g.90gb"}, "3g.20gb"),
    ({"image": ["x"], "profile": {}}, "3g.20gb"),
    (["no", "options"], "3g.20gb"),
])
def test_the_choice_of_before_is_made_again(last: object, chosen: str) -> None:
    cards = form.build(_settings(), (SMALL, LARGE), last).sections[0].cards
    assert [c.profile for c in cards if c.checked] == [chosen]


def test_without_an_answer_of_the_store_there_is_still_a_form() -> None:
    html = form.render(form.build(_settings(), (), problem="<busy>"), "en")
    assert "&lt;busy&gt;" in html
    assert "CPU only" in html
    none = form.build(_settings(cpu_offer=False), (SMALL,))
    assert [c.profile for c in none.sections[0].cards] == ["1g.5gb"]


def test_what_a_card_posts_comes_back_as_its_choice() -> None:
    image = "registry.lab:5000/a/b:1"
    settings = _settings(images={image: "One"})
    card = form.build(settings, (LARGE,)).sections[0].cards[0]
    options = form.from_form({"choice": [card.value]})
    assert form.check(settings, options) == form.Choice("3g.20gb", image)


@pytest.mark.parametrize(("posted", "reason"), [
    ({}, "no-choice"),
    ({"choice": []}, "no-choice"),
    ({"choice": ["x"], "environment": ["LD_PRELOAD=/x"]}, "options"),
    ({"choice": ["x"], "image_file": ["…"]}, "options"),
])
def test_a_form_that_is_not_ours_is_refused(posted: dict[str, list[str]], reason: str) -> None:
    with pytest.raises(BadInput) as refused:
        form.from_form(posted)
    assert refused.value.reason == reason


@pytest.mark.parametrize(("options", "reason"), [
    ({"image": "evil:latest"}, "image"),
    ({"image": f"{IMAGE} "}, "image"),
    ({"image": ["madang/notebook:latest"]}, "options"),
    ({"profile": None}, "options"),
    ({"environment": {"LD_PRELOAD": "/x"}}, "options"),
    ({"cmd": "sh"}, "options"),
    ({"profile": "1g.5gb", "volumes": "/:/host"}, "options"),
    (["profile"], "options"),
    ("1g.5gb", "options"),
])
def test_options_from_anywhere_are_checked(options: object, reason: str) -> None:
    with pytest.raises(BadInput) as refused:
        form.check(_settings(), options)
    assert refused.value.reason == reason


def test_a_hostile_image_name_is_data_in_the_message() -> None:
    with pytest.raises(BadInput, match=r"\{0\.__class__\}"):
        form.check(_settings(), {"image": "{0.__class__}"})


def test_no_options_are_a_server_without_a_slice() -> None:
    assert form.check(_settings(), {}) == form.Choice(form.CPU, IMAGE)
    with pytest.raises(BadInput) as refused:
        form.check(_settings(cpu_offer=False), {})
    assert refused.value.reason == "cpu-offer"


def test_a_language_that_we_do_not_speak_is_nobodys() -> None:
    assert form.check(_settings(), {"language": "ko"}).language == "ko"
    assert form.check(_settings(), {"language": "../../x"}).language == ""


def test_a_link_may_choose() -> None:
    assert form.from_query({"profile": ["1g.5gb"]}) == {"profile": "1g.5gb"}
    with pytest.raises(BadInput):
        form.from_query({"user": ["root"]})


def test_who_is_in_several_groups_chooses_in_whose_name() -> None:
    groups = ("ai-2025", "<b>vision")
    one = form.render(form.build(_settings(), (SMALL,), groups=("ai-2025",)), "en")
    assert "<select" not in one
    made = form.build(_settings(), (SMALL,), {"group": "<b>vision"}, groups=groups)
    html = form.render(made, "en")
    assert '<option value="ai-2025">' in html
    assert '<option value="&lt;b&gt;vision" selected>' in html
    for last in ({"group": "gone"}, {"group": ["ai-2025"]}, {}):
        assert form.build(_settings(), (SMALL,), last, groups=groups).group == "ai-2025"
    posted = form.from_form({"choice": [f"{IMAGE} 1g.5gb"], "group": ["ai-2025"]})
    assert form.check(_settings(), posted) == form.Choice("1g.5gb", IMAGE, group="ai-2025")
    assert form.from_query({"group": ["ai-2025"]}) == {"group": "ai-2025"}
    assert len(form.check(_settings(), {"group": "x" * 10_000}).group) < 100
    with pytest.raises(BadInput):
        form.check(_settings(), {"group": ["ai-2025"]})
