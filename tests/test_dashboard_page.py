"""The dashboard's page, driven in headless Chromium; skipped where there is none."""

import json
import os
import random
import shutil
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lightning_gans.dashboard.export import export
from lightning_gans.dashboard.summary import curves
from lightning_gans.dashboard.watch import Watch
from lightning_gans.runs import MetricsFile
from tests.run_folders import RING, make_run, make_sweep
from tests.test_dashboard import served

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER),
    reason="needs Chromium and its driver (Debian: chromium, chromium-driver)",
)

OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--window-size=1400,900", "--lang=en"),
)
LOSS = "train/generator_loss"
HOSTILE = "</script><!--<script>document.title = 'owned'</script><img src=x onerror=alert(1)>"
CHART = f"return document.querySelector(`[data-metric='{LOSS}'] .chart`)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator:
    """One browser for all tests, which notes every request."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    driver.set_script_timeout(20)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Three seeds, another experiment that has failed, one that runs, and a sweep."""
    root = tmp_path_factory.mktemp("page") / "runs"
    for seed in range(3):
        make_run(root / f"ring/version_{seed}", seed=seed)
    make_run(root / "other/version_0", lr=1e-2, outcome="failed", reports=10)
    make_run(root / "live/version_0", lr=2e-3, outcome=None, reports=10, note=HOSTILE)
    make_sweep(root, "small", 8)
    return root


@pytest.fixture(scope="module")
def address(root) -> Iterator[str]:
    """The page's address."""
    with served(root) as ask:
        yield f"http://127.0.0.1:{ask.port}/"


class Page:
    """What a test does with the page, and what it sees there."""

    def __init__(self, driver) -> None:
        self.driver = driver

    def open(self, address: str) -> "Page":
        self.driver.get("about:blank")
        for kind in ("performance", "browser"):
            self.driver.get_log(kind)
        self.driver.get(address)
        return self.until("return document.body?.dataset.ready")

    def js(self, code: str, *args):
        return self.driver.execute_script(code, *args)

    def until(self, code: str, *args) -> "Page":
        end = time.monotonic() + 20
        while not self.js(code, *args):
            assert time.monotonic() < end, f"in vain: {code}\n{self.driver.get_log('browser')}"
            time.sleep(0.03)
        return self

    def texts(self, selector: str) -> list[str]:
        return self.js(
            "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)",
            selector,
        )

    def press(self, selector: str) -> "Page":
        self.js("document.querySelector(arguments[0]).click()", selector)
        return self

    def give(self, selector: str, value) -> "Page":
        self.js(
            "const e = document.querySelector(arguments[0]); e.value = arguments[1];"
            "for (const kind of ['input', 'change']) e.dispatchEvent(new Event(kind))",
            selector,
            value,
        )
        return self

    def runs(self) -> list[str]:
        return self.js(
            "return [...document.querySelectorAll('.runs tbody tr')].map((r) => r.dataset.run)"
        )

    def traces(self, metric: str) -> list[dict]:
        return self.js(
            "return document.querySelector(`[data-metric='${arguments[0]}'] .chart`)?.data"
            "?.map(({name, x, y, fill}) => ({name, x, y, fill})) ?? []",
            metric,
        )

    def requests(self) -> list[str]:
        messages = [json.loads(e["message"])["message"] for e in self.driver.get_log("performance")]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]

    def complaints(self) -> list[str]:
        return [e["message"] for e in self.driver.get_log("browser") if e["level"] == "SEVERE"]


@pytest.fixture
def page(browser) -> Page:
    return Page(browser)


def test_the_table_sorts_filters_and_chooses_columns(page, address, root):
    page.open(address)
    assert len(page.runs()) == 13
    heads = (
        "return [...document.querySelectorAll('.runs th[aria-sort]')]"
        ".filter((h) => h.ariaSort !== 'none').map((h) => [h.ariaSort, h.textContent])"
    )
    assert page.js(heads)[0][0] == "descending" and "Started" in page.js(heads)[0][1]
    page.press("[data-sort=name]")
    assert page.runs() == sorted(page.runs()) and page.js(heads)[0][0] == "ascending"
    page.press("[data-sort=name]")
    assert page.runs() == sorted(page.runs(), reverse=True)
    page.give("input[type=search]", "ring lr=0.001")
    assert page.runs() == [f"ring/version_{i}" for i in (2, 1, 0)]
    page.give("input[type=search]", "seed_everything=2")
    assert page.runs() == ["ring/version_2"]
    page.give("input[type=search]", "-sweeps -ring/ high_quality_chi2<0.95")
    assert page.runs() == ["live/version_0", "other/version_0"][::-1]
    page.give("input[type=search]", "status!=finished")
    assert page.runs() == ["other/version_0", "live/version_0"]
    page.give("input[type=search]", "")
    page.give(".runs select", "failed")
    assert page.runs() == ["other/version_0"] and "failed" in page.texts(".runs tbody td")[1]
    page.give(".runs select", "")
    # A setting as a column: it differs from what most runs have in two of them.
    page.js(
        "location.hash += '&cols=name|set:model.generator_optimizer.lr|last:' + arguments[0]", LOSS
    )
    page.until("return document.querySelectorAll('.runs thead th').length === 4")
    page.js("document.querySelector(`[data-sort='last:train/generator_loss']`).click()")
    last = {path: curves(root / path)["columns"][LOSS]["y"][-1] for path in page.runs()}
    assert page.runs() == sorted(last, key=last.get)
    assert page.texts(".runs tbody td.differs") and not page.complaints()


def test_curves_are_the_numbers_of_the_files(page, address, root):
    page.open(f"{address}#sel=ring/version_0|ring/version_1|ring/version_2")
    page.until("return document.querySelectorAll('.chart .main-svg').length > 2")
    page.until("return document.querySelectorAll('.numbers tbody tr').length > 5")
    first = MetricsFile(root / "ring/version_0/metrics.csv").series("samples_seen", LOSS)
    trace = page.traces(LOSS)[0]
    assert trace["name"] == "ring/version_0" and (trace["x"], trace["y"]) == first
    label = page.js(CHART + ".ariaLabel")
    assert "train/generator_loss over samples seen: ring/version_0 ends at" in label
    # Smoothing keeps the values as they are, pale, and adds their average.
    page.give("#smoothing", "0.5")
    page.until(CHART + ".data.length === 6")
    pale, smooth = page.traces(LOSS)[:2]
    assert pale["y"] == first[1]
    sums, mass = 0.0, 0.0
    for value, shown in zip(first[1], smooth["y"], strict=True):
        sums, mass = 0.5 * sums + 0.5 * value, 0.5 * mass + 0.5
        assert shown == pytest.approx(sums / mass, rel=1e-12)
    # One curve for the seeds of one config, with the interval of their mean.
    page.js(
        "location.hash = '#sel=ring/version_0|ring/version_1|ring/version_2&seeds=1&band=interval'"
    )
    page.until(CHART + ".data.length === 2")
    band, mean = page.traces(LOSS)
    ends = [
        MetricsFile(root / f"ring/version_{i}/metrics.csv").series("step", LOSS)[1][-1]
        for i in range(3)
    ]
    half = 4.303 * statistics.stdev(ends) / 3**0.5
    middle = statistics.mean(ends)
    assert mean["name"].startswith("mean of 3") and mean["y"][-1] == pytest.approx(middle)
    assert band["y"][len(mean["y"]) - 1] == pytest.approx(middle + half, rel=1e-6)
    assert "95 % interval of the mean" in "".join(page.texts(".key"))
    assert not page.complaints()


def make_curve(run: Path, values: list[float], seed: int = 0) -> Path:
    """A run whose generator's loss has these values, one each 100 samples."""
    make_run(run, seed=seed, reports=0, pictures=0)
    lines = [f"{i},{100 * (i + 1)},{value!r}" for i, value in enumerate(values)]
    (run / "metrics.csv").write_text("\n".join([f"step,samples_seen,{LOSS}", *lines]) + "\n")
    return run


@pytest.mark.parametrize("exported", [False, True])
def test_smoothing_a_long_curve_keeps_its_level(page, tmp_path, exported):
    source, n = random.Random(0), 12_000
    values = [source.expovariate(1) for _ in range(n)]
    make_curve(tmp_path / "runs/long/version_0", values)
    with served(tmp_path / "runs") as ask:
        address = f"http://127.0.0.1:{ask.port}/"
        if exported:
            watch = Watch(tmp_path / "runs")
            watch.look()
            export(watch, watch.newest(), tmp_path / "x.html")
            address = f"file://{tmp_path}/x.html"
        page.open(f"{address}#sel=long/version_0&smooth=0.99&metrics={LOSS}")
        page.until(CHART + "?.data?.length === 2")
    pale, smooth = page.traces(LOSS)
    assert max(pale["y"]) == max(values) and min(pale["y"]) == min(values)
    assert smooth["x"][0] == 100 and smooth["x"][-1] == 100 * n
    assert statistics.mean(smooth["y"]) == pytest.approx(statistics.mean(values), abs=0.02)
    # The average of all values with weight 0.99, at the end of the run.
    exact, mass = 0.0, 0.0
    for value in values:
        exact, mass = 0.99 * exact + 0.01 * value, 0.99 * mass + 0.01
    stretch = n / len(smooth["y"])
    alike = 0.1 if stretch < 100 else 0.25  # of 100 values or so, whose own error is 0.1
    assert smooth["y"][-1] == pytest.approx(exact / mass, abs=alike)


def test_the_mean_over_seeds_says_how_many_reach(page, tmp_path):
    """Three curves that are 0, 0 and 9 all along; the one of 9 ends half-way, another is alone."""
    for seed, (value, length) in enumerate([(0.0, 16), (0.0, 20), (9.0, 8)]):
        make_curve(tmp_path / f"ring/version_{seed}", [value] * length, seed)
    chosen = "|".join(f"ring/version_{seed}" for seed in range(3))
    with served(tmp_path) as ask:
        page.open(f"http://127.0.0.1:{ask.port}/#sel={chosen}&seeds=1&metrics={LOSS}")
        page.until(CHART + "?.data?.length === 2")
    band, mean = page.traces(LOSS)
    assert mean["name"].startswith("mean of 2 to 3: ")
    assert mean["x"] == [*range(100, 801, 100), None, *range(900, 1601, 100)]
    assert mean["y"] == [3.0] * 8 + [None] + [0.0] * 8
    counts = page.js(CHART + ".data[1].text")
    assert set(counts[:8]) == {"mean of 3"} and set(counts[9:]) == {"mean of 2"}
    assert band["y"] == [9.0] * 8 + [0.0] * 8 + [None] + [0.0] * 16
    assert "a mean breaks where a seed begins or ends" in "".join(page.texts(".key"))
    assert not page.complaints()


def test_pictures_follow_the_slider(page, address):
    page.open(f"{address}#sel=ring/version_0|other/version_0&tab=pictures")
    page.until("return document.querySelectorAll('figure img').length === 2")
    images = (
        "return [...document.querySelectorAll('figure img')]"
        ".map((i) => [i.getAttribute('src'), i.alt, i.complete && i.naturalWidth])"
    )
    page.until("return [...document.querySelectorAll('figure img')].every((i) => i.naturalWidth)")
    for src, alt, width in page.js(images):
        assert width == 24 and "after" in alt and "training samples" in alt and "/samples/" in src
    page.give("#moment", 0)
    page.until(
        "return document.querySelector('figure img').src.includes('epoch_00001_samples_000006666')"
    )
    # Of a run with another rhythm the last picture before that moment, or its first.
    assert "other/version_0/samples/epoch_00001" in page.js(images)[1][0]
    page.give("#moment", 2)
    page.until("return location.hash.includes('at=')")
    assert page.js("return document.querySelector('#moment').ariaValueText").endswith("samples")
    assert not page.complaints()


def test_a_run_and_its_differences(page, address, root):
    page.open(f"{address}#tab=run&run=other/version_0")
    page.until("return document.querySelector('.run h2')")
    text = page.js("return document.querySelector('.run').innerText")
    assert "lightning fit --config runs/other/version_0/config.yaml" in text
    assert "0.88 to 0.92" in text and "0.9889" in text and "lr: 0.01" in text
    page.js("location.hash = '#tab=differences&sel=ring/version_0|ring/version_1|other/version_0'")
    page.until("return document.querySelectorAll('.differences tbody tr').length")
    rows = dict(
        zip(page.texts(".differences tbody th"), page.texts(".differences tbody tr"), strict=True)
    )
    assert set(rows) == {"seed_everything", "data.seed", "model.generator_optimizer.lr"}
    assert page.texts(".differences td.differs") == ["1", "0.01", "1"]
    assert not page.complaints()


def test_the_sweep_view(page, address):
    page.open(f"{address}#view=sweeps")
    page.until("return document.querySelectorAll('.sweeps [data-trial]').length === 8")
    page.until("return document.querySelectorAll('.sweeps .chart .main-svg').length >= 6")
    assert len(page.texts("path.trial")) == 7
    assert "Spearman" in "".join(page.texts(".sweeps .soft"))
    assert page.texts(".bars tbody th")
    values = [
        float(text) for text in page.texts(".sweeps [data-trial] td:nth-child(3)") if text != "–"
    ]
    assert values == sorted(values)
    page.press(".sweeps [data-trial] td:last-child a")
    page.until("return document.querySelectorAll('.runs tr.selected').length === 1")
    assert not page.complaints()


def test_the_page_keeps_itself_up_to_date(page, address, root):
    page.open(f"{address}#sel=live/version_0&metrics={LOSS}&filter=live")
    page.until("return document.querySelector('.chart')?.data?.[0]?.x.length === 10")
    metrics = MetricsFile(root / "live/version_0/metrics.csv")
    metrics.append({"step": 109, "samples_seen": 11000, LOSS: 0.25})
    page.until("return document.querySelector('.chart').data[0].x.length === 11")
    assert page.traces(LOSS)[0]["y"][-1] == 0.25
    assert page.js("return document.querySelector('.runs input').value") == "live"


def test_the_keyboard_alone_is_enough(page, address):
    from selenium.webdriver import ActionChains, Keys

    page.open(f"{address}#filter=ring/version_0&sel=-")
    seen = []
    for _ in range(40):
        ActionChains(page.driver).send_keys(Keys.TAB).perform()
        seen.append(
            page.js(
                "const e = document.activeElement; const s = getComputedStyle(e);"
                "const name = e.textContent.trim() || e.ariaLabel || e.type;"
                "return [name, s.outlineStyle !== 'none', e.dataset.focus]"
            )
        )
        if seen[-1][2] == "box ring/version_0":
            break
    names = [name for name, *_ in seen]
    assert seen[0][0] == "Skip to the runs" and "Sweeps" in names and "Theme: system" in names
    assert all(visible for _, visible, _ in seen), seen
    ActionChains(page.driver).send_keys(Keys.SPACE).perform()
    page.until("return location.hash.includes('sel=ring%2Fversion_0')")
    # The table was drawn anew, and the focus has not been lost.
    assert page.js("return document.activeElement.dataset.focus") == "box ring/version_0"
    page.press("#tab-curves").js("document.querySelector('#tab-curves').focus()")
    ActionChains(page.driver).send_keys(Keys.ARROW_RIGHT).perform()
    page.until("return document.activeElement.id === 'tab-pictures'")


FOCUS = (
    "const e = document.activeElement;"
    "return e.dataset.focus ?? e.dataset.sort ?? e.ariaLabel ?? e.textContent"
)


def keys(page: Page, *pressed: str) -> None:
    from selenium.webdriver import ActionChains

    ActionChains(page.driver).send_keys(*pressed).perform()


def test_sweeps_by_keyboard(page, address):
    """Every control can be reached, and has the focus after it has changed what is shown."""
    from selenium.webdriver import Keys

    page.open(f"{address}#view=sweeps")
    page.until("return document.querySelectorAll('.sweeps .chart .main-svg').length >= 6")
    page.js("document.activeElement.blur()")
    seen = []
    while len(seen) < 60 and "trial 3" not in seen:
        keys(page, Keys.TAB)
        seen.append(page.js(FOCUS))
        assert page.js("return getComputedStyle(document.activeElement).outlineStyle !== 'none'")
    controls = ["sweep", "log", "best", "bright", "Parallel coordinates, scrollable", "number"]
    assert [name for name in seen if name in controls] == controls
    keys(page, Keys.SPACE)
    page.until("return document.querySelectorAll('path.trial.chosen').length === 1")
    assert page.js(FOCUS) == "trial 3"
    assert page.js("return document.activeElement.ariaPressed") == "true"
    assert "trial 3:" in page.texts("path.trial.chosen title")[0]
    keys(page, Keys.SPACE)
    page.until("return document.querySelectorAll('path.trial.chosen').length === 0")
    assert page.js(FOCUS) == "trial 3"
    for name, key, changed in (
        ("bright", Keys.ARROW_RIGHT, "best=3"),
        ("log", Keys.SPACE, "loss=log"),
        ("bright", Keys.ARROW_RIGHT, "best=4"),
    ):
        page.js("document.querySelector(`[data-focus='${arguments[0]}']`).focus()", name)
        page.js("document.querySelector('.sweeps header').dataset.old = 'yes'")
        keys(page, key)
        page.until("return location.hash.includes(arguments[0])", changed)
        page.until("return !document.querySelector('.sweeps header').dataset.old")
        assert page.js(FOCUS) == name
    page.js("document.querySelector(`[data-sort='value']`).focus()")
    keys(page, Keys.ENTER)
    page.until("return location.hash.includes('trials=-value')")
    assert page.js(FOCUS) == "value" and not page.complaints()


def test_a_live_run_keeps_the_focus_and_is_quiet(page, tmp_path):
    """What is renewed under the reader's hands stays where it is, and says nothing twice."""
    run = make_run(tmp_path / "live/version_0", outcome=None, reports=10)
    (run / "warnings.jsonl").write_text("")
    with served(tmp_path) as ask:
        page.open(f"http://127.0.0.1:{ask.port}/#tab=run&run=live/version_0")
        page.until("return document.querySelector('.run pre')")
        page.js(
            "window.told = []; const all = {childList: true, characterData: true, subtree: true};"
            "new MutationObserver((some) => told.push(...some))"
            ".observe(document.querySelector('#state'), all)"
        )
        copy = "Copy the command that reproduces it"
        for step, (selector, name) in enumerate(
            [
                (f"[aria-label='{copy}']", copy),
                ("[data-focus=sweeps]", "sweeps"),
            ]
        ):
            page.js("document.querySelector(arguments[0]).focus()", selector)
            page.js("document.querySelector('.run header').dataset.old = 'yes'")
            MetricsFile(run / "metrics.csv").append(
                {"step": 100 + step, "samples_seen": 11000 + step, LOSS: 0.25}
            )
            page.until("return !document.querySelector('.run header').dataset.old")
            page.until(f"return document.querySelector('.facts').innerText.includes('11,00{step}')")
            assert page.js(FOCUS) == name
        assert page.js("return told.length") == 0


def test_menus_close_on_escape(page, address):
    from selenium.webdriver import ActionChains, Keys

    page.open(f"{address}#sel=ring/version_0")
    page.until("return document.querySelectorAll('.chart .main-svg').length > 2")
    menus = "return [...document.querySelectorAll('details.menu')].map((m) => m.open)"
    for i in range(3):
        page.js("document.querySelectorAll('.menu summary')[arguments[0]].focus()", i)
        keys(page, Keys.ENTER)
        page.until("return document.querySelectorAll('.menu[open] .choices input').length")
        keys(page, Keys.TAB)
        assert page.js("return document.activeElement.closest('.choices') !== null")
        keys(page, Keys.ESCAPE)
        assert page.js(menus) == [False] * 3
        assert page.js("return document.activeElement.tagName") == "SUMMARY"
    keys(page, Keys.ENTER)
    page.js("document.querySelector('#smoothing').focus()")
    assert page.js(menus) == [False] * 3
    # The columns that are chosen by keyboard: the focus stays, in what is drawn anew, too.
    page.js("document.querySelector('.runs .menu summary').focus()")
    keys(page, Keys.ENTER)
    page.until("return document.querySelector('.runs .choices label')?.checkVisibility()")
    keys(page, Keys.TAB, Keys.TAB)
    assert page.js(FOCUS) == "usual"
    keys(page, Keys.TAB, Keys.SPACE)  # the first fact: the run's name
    page.until("return !document.querySelector('[data-sort=name]')")
    ActionChains(page.driver).key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT).perform()
    keys(page, Keys.ENTER)
    page.until("return document.querySelector('[data-sort=name]')")
    assert page.js(FOCUS) == "usual"
    assert page.js("return document.querySelector('.choices input[type=checkbox]').checked")


def test_hints_are_not_for_the_pointer_alone(page, address):
    page.open(f"{address}#filter=other")
    reasons = page.texts(".runs td .status")
    assert reasons and all(": as it noted itself" in reason for reason in reasons)
    page.js("document.querySelector('[data-sort=seconds]').focus({focusVisible: true})")
    shown = "return getComputedStyle(document.activeElement, '::after').content"
    assert page.js(shown) == '"time spent training, without pauses"'
    described = "return document.activeElement.ariaDescription"
    assert page.js(described) == "time spent training, without pauses"
    height = "return document.querySelector('#filter-help').clientHeight"
    assert page.js(height) <= 1
    page.js("document.querySelector('.runs input').focus({focusVisible: true})")
    assert page.js(height) > 10


def test_odd_names_harm_nothing(page, tmp_path):
    """Folders with what divides a list in the address, and with bytes that are not UTF-8."""
    for name in ("a|b", "50%u", "plain"):
        make_run(tmp_path / f"{name}/version_0")
    make_run(tmp_path / "odd/version_0", reports=3)
    os.rename(tmp_path / "odd", os.fsencode(tmp_path) + b"/odd\xff")
    chosen = "a|b/version_0"
    with served(tmp_path) as ask:
        page.open(f"http://127.0.0.1:{ask.port}/#sel=-&cols=toString|name|set:valueOf&tab=toString")
        assert page.js("return document.querySelectorAll('.runs tbody tr').length") == 4
        for place in range(4):
            page.js("document.querySelectorAll('.pick input')[arguments[0]].click()", place)
        page.until("return document.querySelectorAll('tr.selected').length === 4")
        page.until("return document.querySelectorAll('.key li').length === 4")
        page.until(CHART + "?.data?.length === 3")
        assert {trace["name"] for trace in page.traces(LOSS)} == {
            "a|b/version_0",
            "50%u/version_0",
            "plain/version_0",
        }
        # A reload shows the same, and deselecting one leaves the others.
        page.open(page.js("return location.href"))
        page.until(CHART + "?.data?.length === 3")
        page.js("document.querySelector(`[data-focus='box ${arguments[0]}']`).click()", chosen)
        page.until(CHART + "?.data?.length === 2")
        assert "not live" not in "".join(page.texts("#state"))


def test_what_is_wrong_with_a_run_is_said(page, tmp_path):
    """One has settings that nobody can read, one a loss that is not a number any more."""
    (make_run(tmp_path / "odd/version_0") / "config.yaml").write_text("a: &x [*x]\n")
    make_curve(tmp_path / "lost/version_0", [0.5, 0.25, float("nan")])
    with served(tmp_path) as ask:
        page.open(f"http://127.0.0.1:{ask.port}/#sel=lost/version_0&cols=name|status|last:{LOSS}")
        page.until(CHART + "?.data?.length === 1")
        states = dict(zip(page.texts(".runs tbody th"), page.texts(".status"), strict=True))
        assert "unreadable: " in states["odd/version_0"]
        page.give(".runs select", "unreadable")
        assert page.runs() == ["odd/version_0"]
        page.give(".runs select", "")
        row = "return document.querySelector(`[data-run='lost/version_0']`).lastChild.textContent"
        assert page.js(row) == "–"
        assert page.traces(LOSS)[0]["y"] == [0.5, 0.25]
        page.until("return document.querySelectorAll('.numbers tbody tr').length === 1")
        assert "diverged" in page.texts(".numbers tbody td")
        assert page.js(CHART + ".ariaLabel").endswith("lost/version_0 has diverged")
        assert not page.complaints()


def test_what_has_no_best_is_shown_by_its_last(page, tmp_path):
    """GANs' losses have no good direction: the usual columns show a number all the same."""
    run = make_run(tmp_path / "x/version_0", pictures=0, reports=1)
    metrics = MetricsFile(run / "metrics.csv")
    metrics.append({"step": 19, "samples_seen": 2000, "val/loss": 0.5})
    metrics.append({"step": 29, "samples_seen": 3000, "val/loss": 0.75, "a/uncorrected": 3.5})
    with served(tmp_path) as ask:
        page.open(f"http://127.0.0.1:{ask.port}/")
        heads = page.js(
            "return [...document.querySelectorAll('[data-sort]')].map((b) => b.dataset.sort)"
        )
        assert "best:val/loss" in heads and "last:a/uncorrected" in heads
        row = page.texts(".runs tbody td")
        assert "0.5" in row and "3.5" in row


@pytest.mark.parametrize("dark", [False, True])
def test_all_text_has_enough_contrast(page, address, dark):
    """WCAG 2.2 AA: 4.5 : 1 for text of this size."""
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
    for hash_, drawn in (
        ("#tab=run&run=other/version_0", 0),
        ("#sel=ring/version_0|other/version_0", 5),
        ("#view=sweeps&trial=3", 5),
    ):
        page.open(address + hash_).until("return document.querySelectorAll('h2, h3').length > 1")
        if drawn:
            page.until("return document.querySelectorAll('.chart .main-svg').length >= 6")
        found = page.js(CONTRAST)
        assert not found["low"], found["low"]
        assert found["seen"]["svg"] >= drawn and found["seen"]["field"] >= 4
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


CONTRAST = """
const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
function over(colours) {
  canvas.clearRect(0, 0, 1, 1);
  for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
  return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((c) => {
    c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; });
}
const light = ([r, g, b]) => 0.2126 * r + 0.7152 * g + 0.0722 * b;
function ratio(grounds, colour) {
  const [a, b] = [light(over(grounds)), light(over([...grounds, colour]))];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}
const low = [];
const seen = {svg: 0, field: 0, text: 0};
const FIELDS = 'input:not([type=range], [type=checkbox]), select, button';
for (const e of document.querySelectorAll('body *')) {
  const field = e.matches(FIELDS);
  const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!own && !field) continue;
  if (e.closest('script, style, title, option, :disabled, [hidden]')) continue;
  if (!e.checkVisibility()) continue;
  const drawn = e.closest('svg') !== null;
  seen[drawn ? 'svg' : field ? 'field' : 'text'] += 1;
  const grounds = [];
  for (let p = e; p; p = p.parentElement) grounds.unshift(getComputedStyle(p).backgroundColor);
  const style = getComputedStyle(e);
  const colours = [drawn ? style.fill : style.color];
  if (e.placeholder) colours.push(getComputedStyle(e, '::placeholder').color);
  for (const colour of colours) {
    if (ratio(grounds, colour) < 4.5) low.push([e.tagName, e.textContent.slice(0, 30), colour]);
  }
  // What shows where a field is needs 3 : 1.
  const edge = style.borderBottomColor;
  if (!field || !parseFloat(style.borderBottomWidth) || e.matches('[role=tab]')) continue;
  if (ratio(grounds.slice(0, -1), edge) < 3) low.push([e.tagName, 'border', edge]);
}
return {low, seen};
"""


def test_no_request_leaves_the_machine(page, address):
    page.open(f"{address}#sel=ring/version_0|other/version_0")
    page.until("return document.querySelectorAll('.chart .main-svg').length > 2")
    for tab in ("pictures", "differences", "run"):
        page.press(f"#tab-{tab}")
        page.until(
            "return document.querySelector('#tabpanel .hint, #tabpanel img, #tabpanel td, h2')"
        )
    page.js("location.hash = '#view=sweeps'")
    page.until("return document.querySelectorAll('.sweeps .chart .main-svg').length >= 4")
    asked = page.requests()
    assert any(url.endswith("/plotly.js") for url in asked)
    own = urlsplit(address).netloc
    others = [
        u for u in asked if urlsplit(u).netloc != own and not u.startswith(("data:", "blob:"))
    ]
    assert not others and not page.complaints()


def test_an_export_works_from_a_file_alone(page, root, tmp_path):
    watch = Watch(root)
    watch.look()
    file = tmp_path / "report.html"
    assert export(watch, watch.newest(), file) == file.stat().st_size
    page.open(f"file://{file}#sel=ring/version_0|other/version_0&metrics={LOSS}")
    page.until("return document.querySelectorAll('.chart .main-svg').length")
    first = MetricsFile(root / "ring/version_0/metrics.csv").series("samples_seen", LOSS)
    assert (page.traces(LOSS)[0]["x"], page.traces(LOSS)[0]["y"]) == first
    page.press("#tab-pictures")
    page.until(
        "return [...document.querySelectorAll('figure img')]"
        ".filter((i) => i.naturalWidth === 24).length === 2"
    )
    page.js("location.hash = '#view=sweeps'")
    page.until("return document.querySelectorAll('.sweeps [data-trial]').length === 8")
    page.until("return document.querySelectorAll('.sweeps .chart .main-svg').length >= 4")
    page.js("location.hash = '#tab=run&run=live/version_0'")
    page.until("return document.querySelector('.run pre')?.innerText.includes('onerror')")
    assert page.driver.title == "runs · lightning_gans" and not page.texts("img[src=x]")
    asked = [url for url in page.requests() if not url.startswith(("data:", "blob:"))]
    assert {url.split("#")[0] for url in asked} == {f"file://{file}"}
    assert not page.complaints()


def test_metrics_of_two_protocols_are_two_panels(page, address):
    page.open(f"{address}#sel=ring/version_0&metrics={RING}/captured_chi2|{RING}/high_quality_chi2")
    page.until("return document.querySelectorAll('.panel .main-svg').length >= 2")
    assert [t.startswith("captured_chi2ring8_r1") for t in page.texts(".panel h3")] == [True, False]
    guides = page.js(
        "return document.querySelector(`[data-metric$='high_quality_chi2'] .chart`).layout.shapes"
    )
    assert [guide["y0"] for guide in guides] == [0.9889]
