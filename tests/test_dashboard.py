"""The dashboard without a browser: what it knows, whom it answers, what it gives out."""

import gzip
import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from lightning_gans.dashboard.guard import inside, is_loopback
from lightning_gans.dashboard.summary import curves, summary
from lightning_gans.dashboard.sweeps import importance, sweep
from lightning_gans.dashboard.thinning import thin
from lightning_gans.dashboard.watch import Watch
from lightning_gans.runs.reading import read_series, signature
from tests.conftest import ROOT
from tests.run_folders import RING, make_run, make_sweep

TOKEN = "a-token-of-the-test"


@pytest.fixture
def root(tmp_path) -> Path:
    """Three seeds of one experiment, one run of another, and a secret in each place."""
    root = tmp_path / "runs"
    for seed in range(3):
        make_run(root / f"ring/version_{seed}", seed=seed)
    make_run(root / "other/version_0", lr=1e-2, logger={"api_key": "s3cret"}, outcome=None)
    note = root / "other/version_0/run.json"
    note.write_text(note.read_text().replace("--config", "--api_key=s3cret"))
    (tmp_path / "outside.png").write_bytes(b"s3cret")
    (root / "ring/link.png").symlink_to(tmp_path / "outside.png")
    (root / ".hidden.png").write_bytes(b"s3cret")
    (root / "ring/version_0/checkpoints/x.ckpt").write_bytes(b"s3cret")
    return root


@contextmanager
def served(root: Path, host: str = "127.0.0.1", token: str | None = None):
    """The real server on a free port; gives a function that asks it."""
    import uvicorn

    from lightning_gans.dashboard.server import application

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    app = application(Watch(root), host, port, token)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started:
        time.sleep(0.01)

    def ask(path: str, method: str = "GET", **headers: str):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        headers.setdefault("Host", f"127.0.0.1:{port}")
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for key, value in headers.items():
            connection.putheader(key.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        answer.body = answer.read()
        connection.close()
        return answer

    ask.port = port
    try:
        yield ask
    finally:
        server.should_exit = True
        thread.join()


def test_the_dashboard_needs_no_torch():
    modules = [f.stem for f in (ROOT / "lightning_gans/dashboard").glob("*.py")]
    code = (
        f"import sys\nfor name in {modules}: __import__('lightning_gans.dashboard.' + name)\n"
        "found = {'torch', 'lightning', 'sklearn', 'plotly'} & set(sys.modules)\n"
        "assert not found, found"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_line_of_the_table(root):
    run = root / "ring/version_1"
    line = summary(run, signature(run))
    assert line["status"] == "finished" and line["samples"] == 20000 and line["batches"] == 200
    assert line["metrics"][f"{RING}/captured_chi2"] == (8.0, 8.0, 20000)
    column = read_series(run).columns["train/generator_loss"][1]
    assert line["metrics"]["train/generator_loss"] == (column[-1], None, None)
    share = read_series(run).columns[f"{RING}/high_quality_chi2"][1]
    assert line["metrics"][f"{RING}/high_quality_chi2"] == (share[-1], max(share), 20000)
    assert line["config"]["model.generator_optimizer"] == "Adam"


def test_groups_are_runs_that_differ_in_seeds_alone(root):
    group = {
        name: summary(root / name, signature(root / name))["group"]
        for name in ("ring/version_0", "ring/version_2", "other/version_0")
    }
    assert group["ring/version_0"] == group["ring/version_2"] != group["other/version_0"]


def test_long_curves_keep_their_ends_and_extremes(tmp_path):
    run = make_run(tmp_path / "version_0", reports=3000, pictures=0)
    told, whole = curves(run, points=200), read_series(run)
    for name, (rows, values) in whole.columns.items():
        kept = told["columns"][name]
        assert len(kept["y"]) <= max(200, 2)
        assert kept["y"][0] == values[0] and kept["y"][-1] == values[-1]
        assert min(kept["y"]) == min(values) and max(kept["y"]) == max(values)
        at = dict(zip((whole.samples[row] for row in rows), values, strict=True))
        for row, value in zip(kept["at"], kept["y"], strict=True):
            assert at[told["samples"][row]] == value
    assert curves(run)["ideals"] == {f"{RING}/high_quality_chi2": 0.9889}


def test_long_curves_keep_their_means():
    """Of skewed values the least and the greatest of a stretch have another mean than all."""
    source, n = random.Random(0), 20_000
    values = [source.expovariate(1) for _ in range(n)]
    for points in (1000, 300):
        told = thin(list(range(n)), values, points)
        means = told["means"]
        assert len(told["at"]) + len(means["at"]) <= points + 2
        assert means["at"][0] == 0 and means["at"][-1] == n - 1
        assert means["n"] == pytest.approx(n / len(means["y"]))
        # Stretches may differ in length by one, so their mean is that of all but for 1 in 60.
        middle = sum(values) / n
        assert sum(means["y"]) / len(means["y"]) == pytest.approx(middle, abs=0.01)
        assert sum(told["y"]) / len(told["y"]) > 1.5 * middle
        for i, (row, mean) in enumerate(zip(means["at"], means["y"], strict=True)):
            stretch = range(i * n // len(means["y"]), (i + 1) * n // len(means["y"]))
            assert row in stretch
            assert mean == pytest.approx(sum(values[k] for k in stretch) / len(stretch))
    assert thin([1, 5], [2.0, 3.0], 10) == {"at": [1, 5], "y": [2.0, 3.0]}


def test_only_what_is_new_is_told(root):
    watch = Watch(root)
    watch.look()
    first = watch.told()
    assert first["whole"] and len(first["runs"]) == 4
    # What all have in common is said once.
    assert first["base"]["model.generator_optimizer.lr"] == 1e-3
    by_name = {run["id"]: run["config"] for run in first["runs"]}
    assert by_name["ring/version_0"] == {}
    assert by_name["ring/version_2"] == {"seed_everything": 2, "data.seed": 2}
    assert by_name["other/version_0"]["model.generator_optimizer.lr"] == 1e-2
    watch._at = 0  # as if a second had passed
    watch.look()
    assert watch.token == first["token"]
    with (root / "ring/version_0/metrics.csv").open("a") as file:
        file.write("209,21000,0.25,0.5,,\n")
    (root / "ring/version_1/config.yaml").unlink()
    (root / "ring/version_1/metrics.csv").unlink()
    make_run(root / "new/version_0", pictures=0)
    watch._at = 0
    watch.look()
    second = watch.told(first["token"])
    assert [run["id"] for run in second["runs"]] == ["new/version_0", "ring/version_0"]
    assert second["gone"] == ["ring/version_1"] and not second["whole"]
    assert watch.told("another-7")["whole"]


TRICKS = [
    "/files/../outside.png",
    "/files/ring/../../outside.png",
    "/files/%2e%2e/outside.png",
    "/files/ring%2f..%2f..%2foutside.png",
    "/files/%252e%252e/outside.png",
    "/files/ring/..%5c..%5coutside.png",
    "/files//etc/passwd",
    "/files/%2fetc%2fpasswd",
    "/files/ring/link.png",
    "/files/.hidden.png",
    "/files/other/version_0/config.yaml",
    "/files/other/version_0/run.json",
    "/files/ring/version_0/checkpoints/x.ckpt",
    "/files/ring/version_0/checkpoints/x.ckpt%00.png",
    "/files/ring/version_0",
    "/page/../server.py",
    "/page/%2e%2e/server.py",
    "/api/run/../../outside.png",
    "/api/run/%2e%2e",
    "/api/sweep/..",
    "/api/sweep/..%2f..",
]


def test_files_below_the_folder_alone_are_given_out(root):
    with served(root) as ask:
        picture = ask("/files/ring/version_0/samples/epoch_00001_samples_000006666.png")
        assert picture.status == 200 and picture.body[:4] == b"\x89PNG"
        assert ask("/files/ring/version_0/metrics.csv").status == 200
        for trick in TRICKS:
            answer = ask(trick)
            assert answer.status == 404, trick
            assert b"s3cret" not in answer.body and b"root:" not in answer.body, trick
    assert inside(root, "ring/version_0/metrics.csv") == root / "ring/version_0/metrics.csv"
    assert inside(root, "/" + str(root / "ring/version_0/metrics.csv")) is None


def test_no_secret_is_told(root):
    with served(root) as ask:
        for path in ("/", "/api/runs", "/api/run/other/version_0", "/api/curves/other/version_0"):
            answer = ask(path)
            assert answer.status == 200 and b"s3cret" not in answer.body
        about = json.loads(ask("/api/run/other/version_0").body)
        assert "api_key: '***'" in about["config"]
        assert "--api_key=***" in about["sittings"][0]["command"].replace("'", "")


def test_other_names_are_refused(root):
    """Against DNS rebinding: a page of another name's must not be able to read this one's."""
    with served(root) as ask:
        for host in ("evil.example", f"evil.example:{ask.port}", "localhost.evil.example", ""):
            assert ask("/api/runs", Host=host).status == 421, host
        for host in ("localhost", f"localhost:{ask.port}", "[::1]:80", "127.0.0.1"):
            assert ask("/api/runs", Host=host).status == 200, host
        assert ask("/api/runs", method="POST").status == 405


def test_nothing_without_the_token(root):
    with served(root, "0.0.0.0", TOKEN) as ask:
        for path in ("/", "/api/runs", "/plotly.js", "/page/app.js", "/files/x.png"):
            assert ask(path).status == 401
        for wrong in ("", "x", TOKEN[:-1], TOKEN + "x", "%C3%A4"):
            assert ask(f"/?token={wrong}").status == 401
        answer = ask(f"/?token={TOKEN}&x=1")
        assert answer.status == 303 and answer.getheader("location") == "/?x=1"
        cookie = answer.getheader("set-cookie")
        assert "HttpOnly" in cookie and "SameSite=lax" in cookie
        assert ask("/api/runs", Cookie=cookie.split(";")[0]).status == 200
        assert ask("/api/runs", Cookie=cookie.split("=")[0] + "=x").status == 401


def test_the_page_may_load_its_own_files_alone(root):
    with served(root) as ask:
        rules = ask("/").getheader("content-security-policy")
        assert "default-src 'none'" in rules and "unsafe-eval" not in rules
        assert re.search(r"script-src 'self' ('sha256-[\w+/=]+' ?)+;", rules)
        assert ask("/api/nothing").getheader("content-security-policy") == rules


def test_what_has_not_changed_is_not_sent_again(root):
    with served(root) as ask:
        token = ask("/api/runs").getheader("etag").strip('W/"')
        packed = ask("/page/app.js", Accept_Encoding="gzip")
        assert gzip.decompress(packed.body) == ask("/page/app.js").body
        assert ask(f"/api/runs?since={token}").status == 204
        answer = ask("/api/curves/ring/version_0")
        mark = answer.getheader("etag")
        assert ask("/api/curves/ring/version_0", If_None_Match=mark).status == 304


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("127.9.9.9", True)]
    + [("0.0.0.0", False), ("192.168.0.2", False), ("example.org", False), ("", False)],
)
def test_which_hosts_need_no_token(host, own):
    assert is_loopback(host) is own


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["nowhere"], "nowhere does not exist"),
        (["a.txt"], "a.txt is a file"),
        (["full"], "full holds no runs"),
        (["runs", "--port", "99999"], "--port 99999"),
        (["runs", "--port", "x"], "--port"),
        (["runs", "--prot", "1"], "--prot"),
        (["runs", "--host", "no.such.host.invalid"], "--host no.such.host.invalid"),
        (["runs", "--token", "short"], "--token"),
        (["runs", "--export", "no/where.html"], "--export no/where.html"),
        (["runs", "--export", "x.html", "--runs", "nobody"], "--runs nobody"),
    ],
)
def test_bad_input_gets_one_message(lightning, root, args, told):
    Path("a.txt").write_text("x")
    Path("full").mkdir()
    Path("full/a.txt").write_text("x")
    answer = lightning("dashboard", *args)
    assert answer.code == 2
    assert answer.err.startswith("error: ") and answer.err.count("\n") == 1 and told in answer.err


def test_a_port_that_is_taken_is_named_with_one_that_is_free(lightning, root):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        answer = lightning("dashboard", "runs", "--port", str(port))
    assert answer.code == 2 and f"127.0.0.1:{port} cannot be had" in answer.err
    free = int(re.search(r"--port (\d+) is free", answer.err)[1])
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", free))


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_it_serves_until_ctrl_c(root, host):
    command = [sys.executable, "-m", "lightning_gans", "dashboard", str(root), "--port", "0"]
    process = subprocess.Popen(
        [*command, "--host", host],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    port, token = re.search(r"http://\S+?:(\d+)/(\S*)", process.stdout.readline()).groups()
    assert bool(token) == (host == "0.0.0.0")
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=20)
    connection.request("GET", "/api/runs" + token)
    answer = connection.getresponse()
    assert answer.status == (303 if token else 200)
    answer.close()
    connection.close()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0 and "Traceback" not in err


def test_an_export_holds_all_and_asks_for_nothing(lightning, root):
    answer = lightning("dashboard", "runs", "--export", "report.html", "--runs", "ring", "other/*")
    assert answer.code == 0 and "report.html: 4 runs" in answer.out
    text = Path("report.html").read_text()
    assert "s3cret" not in text and str(root) not in text
    kept = json.loads(re.search(r'id="kept">(.*?)</script>', text)[1])
    assert {run["id"] for run in kept["answers"]["runs"]["runs"]} == set(names_of(root))
    assert "curves/ring/version_2" in kept["answers"]
    assert all(re.match("data:image/(png|webp);base64,", data) for data in kept["files"].values())
    assert len(kept["files"]) == 12
    assert not re.search(r"(src|href)=[\"']?(https?:|//|/)", text)
    answer = lightning("dashboard", "runs", "--export", "report.html", "--newest", "1")
    assert "1 runs (3 others left out" in answer.out


def names_of(root: Path) -> list[str]:
    watch = Watch(root)
    watch.look()
    return watch.newest()


def trials_of(function, n: int, seed: int = 0) -> dict:
    source = random.Random(seed)
    trials = []
    for number in range(n):
        parameters = {
            "lr": 10 ** source.uniform(-4, -1),
            "width": source.randrange(1, 9),
            "loss": source.choice(["hinge", "minimax"]),
            "same": 3,
        }
        value = function(**parameters)
        trials.append(
            {"number": number, "state": "complete", "parameters": parameters, "value": value}
        )
    return {"trials": trials}


def test_importance_of_few_trials_is_their_rank_correlation():
    found = importance(trials_of(lambda lr, **_: 5 - lr**3, 12))
    assert "Spearman" in found["method"] and found["explained"] is None
    assert found["parameters"]["lr"] == pytest.approx(1)
    assert found["parameters"]["width"] < 0.7 and "same" not in found["parameters"]
    split = importance(trials_of(lambda loss, **_: float(loss == "hinge"), 12))
    assert split["parameters"]["loss"] == pytest.approx(1)


def test_importance_of_many_trials_is_what_a_forest_loses():
    found = importance(trials_of(lambda lr, width, **_: (lr - 0.01) ** 2 + 1e-6 * width, 60))
    assert "forest" in found["method"] and found["explained"] > 0.7
    assert found["parameters"]["lr"] > 10 * found["parameters"]["loss"]
    noise = random.Random(1)
    nothing = importance(trials_of(lambda **_: noise.random(), 60))
    assert nothing["explained"] < 0.2


def test_importance_of_nothing_says_so():
    for trials in ({"trials": []}, trials_of(lambda **_: 1.0, 3)):
        assert importance(trials)["parameters"] == {}


def test_a_sweep_names_its_runs_as_the_page_does(tmp_path):
    make_sweep(tmp_path, "small", 4)
    content = sweep(tmp_path, "small")
    assert content["trials"][2]["runs"] == ["sweeps/small/trial_2/version_0"]
    assert sweep(tmp_path, "none") is None and sweep(tmp_path, "../small") is None
