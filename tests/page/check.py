"""Opens the page in a browser and uses it: argument 1 is its address, argument 2 a folder for pictures or `-`.

With a third argument, a token, it logs in first. It prints one JSON object of what it has seen; what must hold is
decided by the test that runs it.
"""

import json
import sys
import time

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

CHROMIUM = sys.argv[1]
BASE = sys.argv[2].rstrip("/")
PICTURES = sys.argv[3]
TOKEN = sys.argv[4] if len(sys.argv) > 4 else None
seen = {"axe": {}, "console": [], "paint_ms": [], "filter_ms": None}


def check(page, what):
    result = Axe().run(page)
    seen["axe"][what] = [violation["id"] for violation in result.response["violations"]]


def open_context(browser, **more):
    context = browser.new_context(viewport={"width": 1280, "height": 900}, **more)
    page = context.new_page()
    page.on("console", lambda said: said.type in ("error", "warning") and seen["console"].append(said.text))
    if TOKEN:
        page.goto(BASE + "/")
        page.fill("input[name=token]", TOKEN)
        page.click("button")
        page.wait_for_load_state()
        # That a token is needed is told with 401, which a browser notes.
        seen["console"].clear()
    return page


with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
    for scheme in ("light", "dark"):
        page = open_context(browser, color_scheme=scheme)
        page.goto(BASE + "/")
        paints = page.evaluate("performance.getEntriesByType('paint').map(p => Math.round(p.startTime))")
        seen["paint_ms"].append(min(paints) if paints else None)
        check(page, "home " + scheme)
        if PICTURES != "-":
            page.screenshot(path=f"{PICTURES}/page-{scheme}.png")
        page.goto(BASE + "/requests/bad-0")
        check(page, "request " + scheme)
        if PICTURES != "-":
            page.screenshot(path=f"{PICTURES}/request-{scheme}.png")
        page.goto(BASE + "/requests/stuck-0")
        check(page, "running request " + scheme)
        page.goto(BASE + "/requests/stuck-0/cancel")
        check(page, "ask back " + scheme)
        page.context.close()

    page = open_context(browser)
    page.goto(BASE + "/")
    seen["headings"] = page.locator("h2").all_inner_texts()
    began = time.monotonic()
    page.select_option("select", "FAILED")
    page.click("text=Show")
    page.wait_for_load_state()
    seen["filter_ms"] = round((time.monotonic() - began) * 1000)
    seen["filtered"] = page.locator("section:last-of-type tbody tr").count()

    plain = open_context(browser, java_script_enabled=False)
    plain.goto(BASE + "/?status=FAILED")
    seen["without_script"] = plain.locator("section:last-of-type tbody tr").count()
    plain.context.close()

    # By the keyboard alone: to the first link of the list, and in.
    page.goto(BASE + "/requests/stuck-0")
    page.locator("nav.actions a", has_text="Cancel").focus()
    page.keyboard.press("Enter")
    page.wait_for_load_state()
    page.keyboard.press("Tab")
    page.fill("input[name=reason]", "not needed")
    page.click("button")
    page.wait_for_load_state()
    until = time.monotonic() + 60
    while "failed" not in page.locator("h2").first.inner_text() and time.monotonic() < until:
        time.sleep(0.5)
        page.reload()
    seen["cancelled"] = page.locator("h2").first.inner_text()

    page.goto(BASE + "/requests/bad-0/retry")
    page.click("button")
    page.wait_for_load_state()
    seen["retried"] = page.url
    browser.close()

print(json.dumps(seen))
