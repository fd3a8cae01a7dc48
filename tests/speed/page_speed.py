"""How soon a page of boards answers its reader, in a real browser.

    python -m tests.speed.page_speed PAGE [--rounds 5]

Opens the page from disk, each time in a fresh tab, and prints one JSON object: the size of the
file, and medians in milliseconds from the start of loading until the first screen stands, until
scripts have run, and until a click on a column's head has sorted its table. Nothing else should run
on the machine.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
from pathlib import Path
from typing import Any

from selenium import webdriver

SORTED = """
const done = arguments[0];
const head = document.querySelector('figure.table th button');
head.click();
requestAnimationFrame(() => done(performance.now()));
"""
LOADED = """
const [navigation] = performance.getEntriesByType('navigation');
const [paint] = performance.getEntriesByName('first-contentful-paint');
return {first_screen: paint ? paint.startTime : null, scripts: navigation.loadEventEnd};
"""


def browser() -> Any:
    """Start Chromium without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1200,900"):
        options.add_argument(argument)
    return webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    driver = browser()
    rounds: list[dict[str, float]] = []
    try:
        for _ in range(options.rounds + 1):
            driver.switch_to.new_window("tab")
            driver.get(options.page.resolve().as_uri())
            sorted_ms = driver.execute_async_script(SORTED)
            rounds.append({**driver.execute_script(LOADED), "sorted": sorted_ms})
    finally:
        driver.quit()
    found = {
        f"{name}_ms": round(statistics.median(each[name] for each in rounds[1:]))
        for name in rounds[0]
    }
    print(json.dumps({"megabytes": round(options.page.stat().st_size / 1e6, 2), **found}, indent=1))


if __name__ == "__main__":
    main()
