"""`selfreward view` in a real browser: it can be read, used by keyboard, followed live, and says nothing on the console."""

import fcntl
import os
import time
from pathlib import Path
from typing import Any

import pytest
from support_browser import Open, violations
from support_view import HOSTILE, judged, prompts_of, sampled

from selfreward import store
from selfreward.labels import labels

pytestmark = pytest.mark.browser

PAGES = {
    "runs": "/",
    "run": "/runs/read",
    "list": "/runs/read/files/m2/pairs?q=zebra",
    "judgements": "/runs/read/files/m2/judgements?odd=1",
    "lineage": "/runs/read/files/m2/pairs/0",
    "answers": "/runs/read/answers",
}


@pytest.mark.parametrize("width, scheme", [(1600, "light"), (400, "dark")])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_its_window_and_is_accessible(
    server: str, open_page: Open, name: str, width: int, scheme: str
) -> None:
    page = open_page(server + PAGES[name], width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert violations(page) == []


def test_searching_and_filtering_by_keyboard(server: str, open_page: Open) -> None:
    page = open_page(f"{server}/runs/read/files/m2/judgements")
    page.get_by_label("Search the judge's words").fill("because")
    page.keyboard.press("Enter")
    page.wait_for_url("**?q=because**")
    assert page.locator("#found").inner_text() == "180 found"
    page.get_by_label("only with votes that cannot be read").check()
    page.get_by_label("Order").select_option("highest first")
    page.get_by_role("button", name="Show").press("Enter")
    page.wait_for_url("**odd=1**")
    assert page.locator("#found").inner_text() == "60 found"
    assert page.locator("mark").first.inner_text() == "Because"
    page.get_by_role("link", name="next").first.click()
    page.wait_for_url("**page=1**")
    page.get_by_role("link", name="Open number 1", exact=True).press("Enter")
    assert page.get_by_role("heading", level=1).inner_text() == "A prompt of m2 and what became of it"


def test_what_models_write_never_runs(server: str, open_page: Open) -> None:
    page = open_page(f"{server}/runs/read/files/m2/pairs?q=script")
    assert (
        page.locator(".prompt")
        .first.inner_text()
        .startswith("Say <script>alert(1)</script> {{ 7 * 7 }} \\u001b[31mred")
    )
    assert page.locator("main script, main b:text('xerus')").count() == 0
    assert HOSTILE not in page.content()


def test_dark_and_light_follow_the_system_until_a_person_chooses(server: str, open_page: Open) -> None:
    page = open_page(server, scheme="dark")

    def is_dark() -> bool:
        return bool(page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 27)")

    assert is_dark()
    page.get_by_role("button", name="Light or dark colours").click()
    assert not is_dark()
    page.reload()
    assert not is_dark()
    page.emulate_media(color_scheme="light")
    assert not is_dark()


def test_a_running_run_is_followed_without_loading_the_page_again(server: str, open_page: Open, runs: Path) -> None:
    run = runs / "written"
    path = run / "m2" / store.JUDGEMENTS_FILE
    os.utime(path, (time.time() + 50, time.time() + 50))
    with (run / store.LOCK_FILE).open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        page = open_page(f"{server}/runs/written")
        live = page.locator("[data-poll]")
        live.get_by_text("m2 judgements: 180 of 180").wait_for()
        page.evaluate("window.isTheSame = true")
        store.append(path, [judged(one) for one in sampled(prompts_of(70)[65], "m1").samples])
        os.utime(path, (time.time() + 60, time.time() + 60))
        live.get_by_text("m2 judgements: 183 of 180").wait_for()
        assert live.get_by_text("animal number 65").first.is_visible()
        assert "running" in live.inner_text() and page.evaluate("window.isTheSame")


def test_a_pair_is_marked_and_a_response_judged_again(server: str, open_page: Open, runs: Path) -> None:
    run = runs / "written"
    page = open_page(f"{server}/runs/written/files/m2/pairs/0")
    page.get_by_role("button", name="No, the other is better").click()
    page.locator("button[aria-pressed='true']").wait_for()
    assert [said.is_right for said in labels(run).values()] == [False]
    before = (run / "m2" / store.JUDGEMENTS_FILE).read_bytes()
    article = page.get_by_role("article").first
    article.get_by_text("Judge again").click()
    article.get_by_role("spinbutton", name="votes").fill("2")
    article.get_by_role("button", name="Judge").click()
    article.get_by_text("Judged again:").wait_for(timeout=60_000)
    assert article.get_by_text("It is good.").count() == 2
    assert (run / "m2" / store.JUDGEMENTS_FILE).read_bytes() == before


def test_another_site_can_neither_read_nor_change_anything(
    server: str, open_page: Open, runs: Path, chromium: Any
) -> None:
    """A page of another origin, here one without any, tries what browsers let it try."""
    page = chromium.new_page()
    page.goto("about:blank")
    page.set_content(f"""
        <iframe src="{server}/"></iframe>
        <form method="post" action="{server}/runs/read/label"><input name="said" value="right"></form>""")
    assert page.evaluate(f"fetch('{server}/').then(() => 'read', () => 'refused')") == "refused"
    with page.expect_navigation() as navigated:
        page.evaluate("document.forms[0].submit()")
    assert navigated.value.status == 403
    assert labels(runs / "read") == {}
    page.close()
