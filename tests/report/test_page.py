"""The page in a real browser: opened from disk, sorted, filtered, hovered; no error, no request."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from slashbench.bench.pipeline.distribution import describe
from slashbench.bench.report.output import export
from tests.helpers.report_lab import Lab

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="no browser: apt-get install chromium chromium-driver"
    ),
    pytest.mark.thorough,
]

HOSTILE = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with everything on it: two models, seeds, regimes, a failure, a hostile name."""
    folder = tmp_path_factory.mktemp("page")
    lab = Lab(folder)
    weights = np.random.default_rng(0).laplace(size=(200, 100)).astype(np.float32)
    for seed in range(2):
        for step, size in ((8, 900), (5, 620), (3, 400)):
            for codec, factor in (("huffman", 1.0), ("rans", 0.96), ("zstd", 1.2)):
                for regime in ("plain", "backslash:lam=1"):
                    lab.cell(
                        codec,
                        int(size * factor * (1.0 if regime == "plain" else 0.8)) + seed,
                        recipe=f"{regime}+quantize:step=2^-{step}",
                        seed=seed,
                        decode_ns=int(1e6 / factor),
                        distribution=describe([weights]),
                        log=[] if regime == "plain" else [{"drift": 2.5, "moved": 0.4}],
                    )
    lab.cell("rans", 700, model="other")
    lab.cell("zstd", 0, model="other", failed=f"compress: {HOSTILE}")
    path = folder / "page.html"
    export.write(lab.results(), "html", path)
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1200,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser: Any, page: Path) -> Iterator[Any]:
    """The page anew; afterwards, what it must never have done."""
    browser.get_log("performance")
    browser.get_log("browser")
    browser.get(page.as_uri())
    yield browser
    assert [e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked), asked


def table(browser: Any, title: str) -> Any:
    (found,) = [
        figure
        for figure in browser.find_elements(By.CSS_SELECTOR, "figure.table")
        if figure.find_elements(By.TAG_NAME, "strong")
        and figure.find_element(By.TAG_NAME, "strong").text == title
    ]
    return found


def column(figure: Any, name: str) -> list[str]:
    heads = [head.text for head in figure.find_elements(By.CSS_SELECTOR, "th")]
    at = next(i for i, head in enumerate(heads) if head.startswith(name))
    return [
        row.find_elements(By.TAG_NAME, "td")[at].text
        for row in figure.find_elements(By.CSS_SELECTOR, "tbody tr")
    ]


def drawn(browser: Any, name: str) -> Any:
    plot = browser.find_element(By.CSS_SELECTOR, f"#{name} .plot")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)
    WebDriverWait(browser, 20).until(lambda _: plot.find_elements(By.CSS_SELECTOR, "svg path"))
    return plot


def test_tables_sort_by_number_in_both_directions(opened: Any) -> None:
    sizes = table(opened, "Bytes")
    head = sizes.find_element(By.XPATH, ".//th[.//button[text()='file']]//button")
    head.click()
    rising = [int(text.replace(",", "")) for text in column(sizes, "file")]
    assert rising == sorted(rising)
    assert len(set(rising)) > 3
    head.send_keys(Keys.ENTER)  # from the keyboard alike
    falling = [int(text.replace(",", "")) for text in column(sizes, "file")]
    assert falling == rising[::-1]
    ends = [th.get_attribute("aria-sort") for th in sizes.find_elements(By.TAG_NAME, "th")]
    assert ends.count("descending") == 1


def test_cells_are_filtered_by_words_and_by_choice(opened: Any) -> None:
    cells = opened.find_element(By.CSS_SELECTOR, "#cells figure")
    count = cells.find_element(By.CSS_SELECTOR, ".count")
    assert count.text == "38 rows"
    Select(cells.find_element(By.CSS_SELECTOR, "select")).select_by_visible_text("other")
    assert count.text == "2 of 38 rows"
    cells.find_element(By.CSS_SELECTOR, "input").send_keys("FAILED")
    assert count.text == "1 of 38 rows"
    assert column(cells, "codec") == ["zstd"]


def test_names_are_shown_and_never_run(opened: Any) -> None:
    assert column(table(opened, "Failed cells"), "reason") == [f"compress: {HOSTILE}"]
    assert opened.find_elements(By.CSS_SELECTOR, "img") == []


def test_charts_are_drawn(opened: Any) -> None:
    for name in ("gain-drift", "speed-size", "shares", "heat-map", "histograms"):
        drawn(opened, name)


def test_the_page_opens_with_the_first_screen(opened: Any) -> None:
    first = opened.find_element(By.CSS_SELECTOR, "main section")
    assert first.get_attribute("id") == "summary"
    sides = table(opened, "Smallest file of each side at equal quality")
    assert column(sides, "side") == ["post", "training", "post"]
    assert any(
        "compression while training" in li.text for li in first.find_elements(By.TAG_NAME, "li")
    )
    name = sides.find_element(By.CSS_SELECTOR, "details")
    assert name.find_element(By.TAG_NAME, "summary").text == "rounding, 2^-3"
    assert name.get_attribute("open") is None
    name.find_element(By.TAG_NAME, "summary").send_keys(Keys.ENTER)
    assert name.get_attribute("open")
    assert "plain+quantize:step=2^-3 with rans" in name.text


class TestPictures:
    def dots(self, opened: Any) -> list[Any]:
        picture = opened.find_element(By.ID, "picture-m")
        opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", picture)
        return list(picture.find_elements(By.CSS_SELECTOR, ".dot"))

    def tip(self, opened: Any) -> Any:
        return opened.find_element(By.CSS_SELECTOR, "#picture-m .tip")

    def test_one_a_model_and_no_library_draws_them(self, opened: Any) -> None:
        assert len(opened.find_elements(By.CSS_SELECTOR, "figure.picture")) == 2
        assert len(self.dots(opened)) == 6  # three quantisers of two regimes
        assert not opened.execute_script("return Boolean(window.vegaEmbed)")
        assert len(opened.find_elements(By.CSS_SELECTOR, "#picture-m .curve")) == 2
        assert len(opened.find_elements(By.CSS_SELECTOR, "#picture-m .front")) == 1

    def test_they_answer_the_pointer(self, opened: Any) -> None:
        dots = self.dots(opened)
        assert not self.tip(opened).is_displayed()
        ActionChains(opened).move_to_element(dots[0]).perform()
        told = self.tip(opened).text.splitlines()
        assert told[:2] == ["BackSlash + rounding, 2^-3", "backslash:lam=1+quantize:step=2^-3"]
        assert "bits with rans" in told[2]
        assert "within tolerance" in told[3]

    def test_they_answer_the_keyboard(self, opened: Any) -> None:
        dots = self.dots(opened)
        opened.execute_script("arguments[0].focus()", dots[0])
        first = self.tip(opened).text
        opened.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
        assert opened.switch_to.active_element == dots[1]
        assert self.tip(opened).text not in ("", first)
        opened.switch_to.active_element.send_keys(Keys.END)
        assert opened.switch_to.active_element == dots[-1]
        assert [dot.get_attribute("tabindex") for dot in dots].count("0") == 1
        opened.switch_to.active_element.send_keys(Keys.ESCAPE)
        assert not self.tip(opened).is_displayed()
        assert all("bits with" in dot.get_attribute("aria-label") for dot in dots)

    def test_a_family_is_seen_alone(self, opened: Any) -> None:
        self.dots(opened)
        training, after = opened.find_elements(By.CSS_SELECTOR, "#picture-m .families button")
        assert (training.text, after.text) == ("BackSlash", "after: rounding")
        after.click()
        faded = opened.find_elements(By.CSS_SELECTOR, "#picture-m .dot.faded")
        assert len(faded) == 3
        assert all("BackSlash" in dot.get_attribute("aria-label") for dot in faded)
        after.click()
        assert not opened.find_elements(By.CSS_SELECTOR, "#picture-m .faded")

    def test_a_family_has_one_colour_on_all(self, opened: Any) -> None:
        script = """return [...document.querySelectorAll('.families button')].map(
            (one) => [one.textContent, one.querySelector('[fill]').getAttribute('fill')])"""
        found = {tuple(pair) for pair in opened.execute_script(script)}
        assert len(found) == len({name for name, _ in found}) == 2


def test_the_page_is_small(page: Path) -> None:
    assert page.stat().st_size < 5_000_000


def test_another_model_is_drawn_when_it_is_chosen(opened: Any) -> None:
    plot = drawn(opened, "shares")
    before = plot.find_element(By.CSS_SELECTOR, "svg").get_attribute("innerHTML")
    Select(plot.find_element(By.CSS_SELECTOR, "select")).select_by_visible_text("other")
    WebDriverWait(opened, 10).until(
        lambda _: plot.find_element(By.CSS_SELECTOR, "svg").get_attribute("innerHTML") != before
    )


def test_light_and_dark(opened: Any) -> None:
    def paper() -> str:
        script = "return getComputedStyle(document.body).backgroundColor"
        return str(opened.execute_script(script))

    plot = drawn(opened, "shares")
    Select(plot.find_element(By.CSS_SELECTOR, "select")).select_by_visible_text("other")
    first = paper()
    opened.find_element(By.ID, "theme").click()
    assert paper() != first
    plot = drawn(opened, "shares")
    chosen = Select(plot.find_element(By.CSS_SELECTOR, "select"))
    assert chosen.first_selected_option.text == "other"  # and stays so in other colours
    bars = plot.find_elements(By.CSS_SELECTOR, "g.mark-rect.role-mark path")
    assert len(bars) == 4  # one recipe


def test_a_phone_scrolls_tables_not_the_page(opened: Any) -> None:
    opened.set_window_size(500, 800)
    opened.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 375, "height": 800, "deviceScaleFactor": 2, "mobile": True},
    )
    try:
        assert opened.find_element(By.CSS_SELECTOR, "#picture-m svg").size["width"] <= 375
        script = "return document.documentElement.scrollWidth"
        assert opened.execute_script(script) <= 375
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        opened.set_window_size(1200, 900)


def test_data_can_be_taken_away(opened: Any, tmp_path: Path) -> None:
    opened.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    for name in ("cells.csv", "cells.json", "cells.parquet"):
        found = opened.find_element(By.XPATH, f"//*[text()='{name}']")
        opened.execute_script("arguments[0].click()", found)
        WebDriverWait(opened, 10).until(lambda _, n=name: (tmp_path / n).is_file())
    assert len((tmp_path / "cells.csv").read_text().splitlines()) == 39
    rows = json.loads((tmp_path / "cells.json").read_text())
    assert {row["codec"] for row in rows} == {"huffman", "rans", "zstd"}
    from pyarrow import parquet

    assert parquet.read_table(tmp_path / "cells.parquet").num_rows == 38
