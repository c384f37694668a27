"""Seconds from `lightning dashboard` to its first view in Chromium, with 200 and with 1,000 runs.

    python benchmarks/dashboard.py

One short run of configs/ring_gan.yaml is trained and copied: each copy has a seed and rates of its
own, and its reports repeated to 240, as 12,000 batches leave them. The first view is complete when
the table has all its runs and the curves of the newest three are drawn. Then the same page is
reloaded, the server being warm, and a row is added to one run until its curve shows it. Last, one
export of 50 runs, and the cost of a report for a run that trains. Needs Chromium and its driver.
"""

import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from selenium import webdriver

from lightning_gans.runs import Times

LIGHTNING = [sys.executable, "-m", "lightning_gans"]
ROUNDS = 5
REPORTS = 240
DRAWN = "return document.querySelectorAll('.chart .main-svg').length >= 12"


def template(folder: Path) -> Path:
    """A real run's folder."""
    command = [*LIGHTNING, "fit", "--config", "configs/ring_gan.yaml", "--run.folder", str(folder)]
    more = ["--trainer.max_epochs", "2", "--data.batches_per_epoch", "100"]
    subprocess.run([*command, *more], check=True, capture_output=True)
    return folder / "ring_gan/version_0"


def copies(original: Path, root: Path, n: int) -> None:
    """``n`` runs like ``original`` that differ in seed and rates."""
    source = random.Random(0)
    config = (original / "config.yaml").read_text()
    head, *rows = (original / "metrics.csv").read_text().splitlines()
    columns = head.split(",")
    step, seen = columns.index("step"), columns.index("samples_seen")
    lines = []
    for i in range(REPORTS):
        cells = rows[i % len(rows)].split(",")
        cells[step], cells[seen] = str(50 * i + 49), str(25600 * (i + 1))
        lines.append(",".join(cells))
    for i in range(n):
        run = root / f"experiment_{i // 50}" / f"version_{i % 50}"
        run.mkdir(parents=True)
        own = re.sub(r"\blr: .*", lambda _: f"lr: {source.uniform(1e-4, 1e-2):.6f}", config)
        (run / "config.yaml").write_text(own.replace("seed_everything: 0", f"seed_everything: {i}"))
        (run / "metrics.csv").write_text("\n".join([head, *lines]) + "\n")
        for part in (*original.glob("*.json*"), original / "times.tsv"):
            shutil.copy(part, run)
        shutil.copytree(original / "samples", run / "samples")
        (run / "checkpoints").mkdir()
        (run / "checkpoints/final.ckpt").touch()


def browser(profile: str) -> webdriver.Chrome:
    """Headless Chromium."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for option in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"):
        options.add_argument(option)
    return webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))


def until(driver: webdriver.Chrome, code: str) -> None:
    """Wait until ``code`` gives true."""
    while not driver.execute_script(code):
        time.sleep(0.005)


def served(root: Path) -> tuple[subprocess.Popen, str]:
    """The command, and the address it prints."""
    command = [*LIGHTNING, "dashboard", str(root), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return process, re.search(r"http://\S+", process.stdout.readline())[0]


def view(driver: webdriver.Chrome, root: Path, n: int) -> tuple[float, float, float, float]:
    """Seconds to the table, to the first view, to that of a reload, and of a question for news."""
    table = f"return document.querySelectorAll('.runs tbody tr').length === {n}"
    start = time.perf_counter()
    process, address = served(root)
    try:
        driver.get(address)
        until(driver, table)
        listed = time.perf_counter() - start
        until(driver, DRAWN)
        first = time.perf_counter() - start
        start = time.perf_counter()
        driver.refresh()
        until(driver, table)
        until(driver, DRAWN)
        again = time.perf_counter() - start
        token = driver.execute_async_script(
            "fetch('/api/runs').then((a) => arguments[0](a.headers.get('etag')))"
        ).strip('W/"')
        time.sleep(1.1)  # the server looks at the files at most once a second
        start = time.perf_counter()
        urllib.request.urlopen(f"{address}api/runs?since={token}").read()
        return listed, first, again, time.perf_counter() - start
    finally:
        driver.get("about:blank")
        process.terminate()
        process.wait()


def middle(values: list[float]) -> str:
    """Median, least and greatest."""
    return f"{statistics.median(values):.2f} s ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    """Measure and print."""
    os.environ["WANDB_MODE"] = "disabled"
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as profile:
        original = template(Path(name) / "original")
        driver = browser(profile)
        for n in (200, 1000):
            root = Path(name) / f"runs_{n}"
            copies(original, root, n)
            rounds = [view(driver, root, n) for _ in range(ROUNDS)]
            parts = ("table", "first view", "reload", "nothing new")
            columns = [list(each) for each in zip(*rounds, strict=True)]
            told = [f"{part} {middle(each)}" for part, each in zip(parts, columns, strict=True)]
            print(f"{n} runs: {', '.join(told)}", flush=True)
        driver.quit()
        report = Path(name) / "report.html"
        start = time.perf_counter()
        command = [*LIGHTNING, "dashboard", str(root), "--export", str(report)]
        print(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
        print(f"export: {time.perf_counter() - start:.2f} s")
        times = Times(Path(name) / "times.tsv")
        times.begin(0)
        start = time.perf_counter()
        for step in range(10_000):
            times.mark(step, step)
        print(f"times.tsv: {(time.perf_counter() - start) * 100:.1f} us a report")


if __name__ == "__main__":
    main()
