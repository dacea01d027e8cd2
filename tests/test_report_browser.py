"""The report in a real Chromium, headless, driven over the DevTools protocol by selenium."""

from __future__ import annotations

import base64
import json

import pytest

pytest.importorskip("selenium.webdriver")
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from hetal.report.__main__ import main
from tests.browser import CHROMIUM, DRIVER, resize, start
from tests.report_study import ALGORITHMS, NOISES, accuracy_of, write_study

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver (apt install chromium-driver)"
)
SEEDS = range(5)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The report of a study with 3 strategies, 2 noises, 5 seeds."""
    root = tmp_path_factory.mktemp("report")
    study = write_study(root, SEEDS)
    assert main([str(study), "--no-pictures"]) == 0
    return study / "report" / "index.html"


@pytest.fixture(scope="module")
def chromium():
    driver = start()
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium, page):
    """The page just opened, 1400 pixels wide."""
    resize(chromium, 1400)
    chromium.get_log("performance")
    chromium.get(page.as_uri())
    return chromium


def find(browser, css):
    return browser.find_element(By.CSS_SELECTOR, css)


def visible(browser, css):
    return [e for e in browser.find_elements(By.CSS_SELECTOR, css) if e.is_displayed()]


def chip(browser, label):
    return find(browser, f".chip[data-label='{label}']")


def lines(browser):
    """Mean lines in the first chart of learning curves."""
    return len(browser.find_elements(By.CSS_SELECTOR, "#curves .chart[data-index='0'] .mean"))


def column(browser, table, i):
    return [row.find_elements(By.TAG_NAME, "td")[i].text for row in visible(browser, f"{table} tbody tr")]


def test_it_loads_without_errors_and_asks_nobody(browser):
    assert browser.get_log("browser") == []
    sent = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"]
    assert [url for url in urls if not url.startswith(("file:", "data:"))] == []
    assert sum(url.startswith("file:") for url in urls) == 1
    assert lines(browser) == len(ALGORITHMS)
    assert len(visible(browser, "#noise .chart svg")) == 4 * len(NOISES)


def test_it_could_not_ask_anybody(browser):
    asked = browser.execute_async_script(
        "const done = arguments[0]; "
        "document.addEventListener('securitypolicyviolation', (e) => done(e.violatedDirective)); "
        "fetch('http://127.0.0.1:9/').then(() => done('sent'), () => setTimeout(() => done('not reached'), 3000));"
    )
    assert asked == "connect-src"
    browser.get_log("browser")


def test_a_strategy_is_hidden_everywhere_and_comes_back(browser):
    chip(browser, "badge").click()
    assert chip(browser, "badge").get_attribute("aria-pressed") == "false"
    assert lines(browser) == len(ALGORITHMS) - 1
    assert column(browser, "#numbers", 1) == ["coreset", "random"] * 2
    assert len(visible(browser, "#pairs figure:first-child tbody tr")) == 2
    assert [e.text for e in visible(browser, ".forest .name")] == ["coreset", "random"] * 2
    find(browser, "#none").click()
    assert lines(browser) == 0
    find(browser, "#all").click()
    assert lines(browser) == len(ALGORITHMS)


def test_a_noise_is_chosen(browser):
    Select(find(browser, "select[data-facet='noise']")).select_by_visible_text("class x4")
    assert len(visible(browser, "#curves figure")) == 1
    assert {text.split()[1] for text in column(browser, "#numbers", 0)} == {"class"}
    assert len(visible(browser, ".cards article")) == 1


def test_tables_sort_both_ways(browser):
    head = find(browser, "#numbers thead th:nth-child(4)")
    for want in ("descending", "ascending"):
        head.find_element(By.TAG_NAME, "button").click()
        assert head.get_attribute("aria-sort") == want
        values = [float(text.split()[0]) for text in column(browser, "#numbers", 3)]
        assert values == sorted(values, reverse=want == "descending")


def test_what_has_no_value_sorts_last(browser):
    button = find(browser, "#numbers thead th:nth-child(8) button")
    for _ in range(2):
        button.click()
        saved = column(browser, "#numbers", 7)
        assert saved[-2:] == ["", ""]
        assert "" not in saved[:-2]


def test_pointing_at_a_chart_tells_its_values(browser):
    svg = find(browser, "#curves .chart[data-index='0'] svg")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", svg)
    ActionChains(browser).move_to_element_with_offset(svg, svg.size["width"] // 2 - 14, 0).perform()
    tip = find(browser, "#curves .chart[data-index='0'] .tip")
    mean = 100 * sum(accuracy_of("badge", "blank", seed)[-1] for seed in SEEDS) / len(SEEDS)
    assert tip.is_displayed()
    assert "250 labels" in tip.text
    first = tip.text.splitlines()[1]
    assert first.startswith("badge")
    assert f"{mean:.1f}" in first
    assert first.endswith("n\u2009=\u20095")


def test_the_keyboard_is_enough(browser):
    browser.execute_script("document.querySelector('#controls .chip').focus()")
    ActionChains(browser).send_keys(Keys.SPACE).perform()
    assert lines(browser) == len(ALGORITHMS) - 1
    ActionChains(browser).send_keys(Keys.SPACE).perform()
    browser.execute_script("document.querySelector('#same').focus()")
    ActionChains(browser).send_keys(Keys.TAB).perform()
    tip = find(browser, "#curves .chart[data-index='0'] .tip")
    assert "250 labels" in tip.text
    ActionChains(browser).send_keys(Keys.ARROW_LEFT).perform()
    assert "200 labels" in tip.text
    ActionChains(browser).send_keys(Keys.ESCAPE).perform()
    assert not tip.is_displayed()
    browser.execute_script("document.querySelector('#numbers thead button').focus()")
    ActionChains(browser).send_keys(Keys.ENTER).perform()
    assert find(browser, "#numbers thead th").get_attribute("aria-sort") == "descending"


def test_single_seeds_and_other_axes_are_drawn_on_demand(browser):
    assert not browser.find_elements(By.CSS_SELECTOR, "#curves .seed")
    find(browser, "#seeds").click()
    chart = "#curves .chart[data-index='0']"
    assert len(browser.find_elements(By.CSS_SELECTOR, f"{chart} .seed")) == len(SEEDS) * len(ALGORITHMS)
    find(browser, "input[value='time']").click()
    assert "seconds" in find(browser, chart).text


@pytest.mark.parametrize("width", [390, 1400])
def test_nothing_is_wider_than_the_screen(browser, width):
    resize(browser, width)
    browser.refresh()
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert len(visible(browser, "#curves .chart svg")) == len(NOISES)


def test_it_is_dark_where_that_is_wanted(browser):
    colour = "return getComputedStyle(document.body).backgroundColor"
    light = browser.execute_script(colour)
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    assert browser.execute_script(colour) != light
    ink = browser.execute_script("return getComputedStyle(document.body).color")
    letters = browser.execute_script(
        "return [...document.querySelectorAll('.ranks use')].map((e) => getComputedStyle(e).fill)"
    )
    assert letters
    assert set(letters) == {ink}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_it_prints_and_folds_up_again(browser):
    assert not visible(browser, "#pairs details table")
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    assert base64.b64decode(printed["data"]).startswith(b"%PDF")
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert visible(browser, "#pairs details table")
    browser.execute_script("dispatchEvent(new Event('afterprint'))")
    assert not visible(browser, "#pairs details table")


def test_everything_that_can_be_operated_has_a_name(browser):
    nameless = browser.execute_script(
        "return [...document.querySelectorAll('button, select, input, svg[tabindex], img')]"
        ".filter((e) => !(e.textContent.trim() || e.getAttribute('aria-label') || e.alt || e.closest('label')))"
        ".map((e) => e.outerHTML)"
    )
    assert nameless == []
    ids = browser.execute_script("return [...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))
    links = browser.find_elements(By.CSS_SELECTOR, "a[href*='#']")
    assert {link.get_attribute("href").split("#")[1] for link in links} <= set(ids)
