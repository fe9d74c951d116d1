"""A page in a real browser."""

import os
from pathlib import Path

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))


class Opened:
    """A page that is drawn, with all that it asked for and complained of."""

    def __init__(self, browser, path, fragment="", **context):
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.context = browser.new_context(**context)
        self.context.set_default_timeout(5000)
        self.page = self.context.new_page()
        own = ("blob:null/", "data:")  # what the page itself made, as on the way to a PNG
        self.page.on("request", lambda asked: self.requests.extend([asked.url] * (not asked.url.startswith(own))))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: self.errors.append(dialog.message))
        self.page.on("console", lambda said: self.errors.extend([said.text] * (said.type == "error")))
        self.page.goto(path.as_uri() + fragment)
        self.page.wait_for_selector("html[data-ready]", state="attached")

    def text(self, selector):
        return str(self.page.locator(selector).first.inner_text())

    def fill(self, **values):
        """Moves sliders, by name with _ for -."""
        for name, value in values.items():
            self.page.locator(f'[name="{name.replace("_", "-")}"]').first.fill(str(value))
