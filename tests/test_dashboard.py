"""The dashboard without a browser: what it knows, whom it answers, what it gives out."""

import gzip
import http.client
import json
import math
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

from lightning_gans.dashboard.guard import given_out, is_loopback
from lightning_gans.dashboard.summary import curves, summary
from lightning_gans.dashboard.sweeps import importance, sweep
from lightning_gans.dashboard.thinning import thin
from lightning_gans.dashboard.watch import Watch
from lightning_gans.runs import MetricsFile, Records
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
    warning = {"samples_seen": 1, "message": "cannot reach postgresql://me:s3cret@db/x"}
    Records(root / "other/version_0/warnings.jsonl").append(warning)
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


def strictly(text: str | bytes):
    """JSON as every browser takes it."""

    def refuse(name: str):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


ODD = {
    "lightning": ("metrics.csv", "epoch,step,x\n0,9,0.5\n", "running"),
    "recursive": ("config.yaml", "a: &x [*x]\n", "unreadable"),
    "date": ("config.yaml", "a: 2020-01-01\nb: !!set {x}\nc: !!binary aGVsbG8=\n", "finished"),
    "infinite": ("config.yaml", "a: .inf\nb: [.nan]\n", "finished"),
    "empty sitting": ("run.json", '{"sittings": [{}]}', "finished"),
    "no sittings": ("run.json", '{"sittings": null}', "finished"),
    "one sitting": ("run.json", '{"sittings": {"started": 5}}', "finished"),
    "number": ("run.json", '{"sittings": [{"started": 5, "outcome": "failed"}]}', "failed"),
    "no step": ("metrics.csv", "samples_seen,a_loss\n9,0.5\n", "finished"),
    "no object": ("quality.jsonl", '[1]\n{"metrics": {"a": {"value": NaN}, "b": 1}}\n', "finished"),
    "no text": ("metrics.csv", "\0\xff\n", "finished"),
    "endless": ("times.tsv", "step\tsamples_seen\tseconds\n9\t1000\tnan\n", "finished"),
}


def test_an_odd_run_harms_no_other(tmp_path):
    """Whatever lies in its files; all answers are JSON that a browser takes."""
    make_run(tmp_path / "good/version_0", pictures=0, reports=5)
    for name, (file, text, _) in ODD.items():
        run = make_run(tmp_path / name / "version_0", pictures=0, reports=5)
        (run / file).write_text(text, encoding="latin-1")
    for file in (tmp_path / "lightning/version_0").glob("[!m]*.*"):
        file.unlink()
    (tmp_path / "lightning/version_0/checkpoints/final.ckpt").unlink()
    with served(tmp_path) as ask:
        told = {run["id"]: run for run in strictly(ask("/api/runs").body)["runs"]}
        assert len(told) == 1 + len(ODD) and told["good/version_0"]["samples"] == 5000
        for name, (_, _, status) in ODD.items():
            assert told[f"{name}/version_0"]["status"] == status, name
            for kind in ("run", "curves"):
                answer = ask(f"/api/{kind}/{name.replace(' ', '%20')}/version_0")
                assert answer.status == 200, name
                strictly(answer.body)
        assert told["recursive/version_0"]["why"].startswith("RecursionError")
        assert told["infinite/version_0"]["config"]["a"] == "inf"
        assert told["date/version_0"]["config"]["a"] == "2020-01-01"
        assert [0.5, None, None] in told["lightning/version_0"]["metrics"].values()
        assert strictly(ask("/api/curves/lightning/version_0").body)["samples"] == [9]
        assert ask("/api/run/recursive/version_0").body == b"null"


def test_a_diverged_metric_has_no_last_value(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,samples_seen,val/nll\n0,1,0.5\n1,2,0.75\n2,3,nan\n")
    line = summary(tmp_path, signature(tmp_path))
    assert line["metrics"]["val/nll"] == (None, 0.5, 1)


def test_runs_without_settings_are_no_seeds_of_one_another(tmp_path):
    groups = set()
    for name, config in (("a", None), ("b", None), ("c", "a: [1\n"), ("d", "- 1\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.csv").write_text("step,samples_seen,a\n0,1,0.5\n")
        if config:
            (tmp_path / name / "config.yaml").write_text(config)
        groups.add(summary(tmp_path / name, signature(tmp_path / name))["group"])
    assert len(groups) == 4


def test_an_ideal_holds_for_its_protocol_alone(tmp_path):
    run = make_run(tmp_path / "version_0", pictures=0)
    quality = {"n_real": 1437, "n": 360, "orientations": 2}
    numbers = {"digits32/fd_digits": {"value": 30.0, "ideal": 15.0, "n": 359}}
    Records(run / "quality.jsonl").append({"protocols": {"digits32": quality}, "metrics": numbers})
    own = "quality/digits32-9bfd1462_train1437x2_n360/fd_digits"
    columns = [f"{RING}/high_quality_chi2", own, own.replace("x2", ""), own + "_low"]
    columns += [own.replace("n360", "n3600"), own.replace("digits32", "digits3")]
    columns += [f"modes/{name}/high_quality_chi2" for name in ("ring8_r1_std0.01_n500", "x_n2500")]
    row = dict.fromkeys(columns, 0.5)
    MetricsFile(run / "metrics.csv").append({"step": 999, "samples_seen": 99999, **row})
    assert curves(run)["ideals"] == {f"{RING}/high_quality_chi2": 0.9889, own: 15.0}


def test_a_run_that_writes_nothing_is_not_read_again(root, monkeypatch):
    """Nor does it stay running: it falls silent at a moment that is known beforehand."""
    read = []

    def counted(run: Path, sign):
        read.append(run)
        return summary(run, sign)

    monkeypatch.setattr("lightning_gans.dashboard.watch.summary", counted)
    watch, now = Watch(root), time.time()
    for later, reads, status in ((0, 4, "running"), (590, 4, "running"), (610, 5, "stopped")):
        for _ in range(2):
            monkeypatch.setattr("time.time", lambda later=later: now + later)
            watch._at = 0  # as if a second had passed
            watch.look()
            assert len(read) == reads
            (line,) = [run for run in watch.told()["runs"] if run["id"] == "other/version_0"]
            assert line["status"] == status


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
    assert watch.told(first["token"].split("-")[0] + "-²")["whole"]


def link(path: Path, to: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(to)


def test_no_link_leads_outside(root):
    """Nor does a pipe, which never ends, hold anything up."""
    outside = make_run(root.parent / "outside/version_0", extra="s3cret")
    make_sweep(root.parent, "elsewhere", 3)
    (root / "sweeps/named").mkdir(parents=True)
    link(root / "sweeps/linked", root.parent / "sweeps/elsewhere")
    link(root / "sweeps/named/sweep.json", root.parent / "sweeps/elsewhere/sweep.json")
    record = {"samples_seen": 1, "message": "s3cret", "metrics": {"s3cret": {"value": 1}}}
    for name in ("warnings", "modes", "quality", "reconstructions"):
        Records(outside / f"{name}.jsonl").append(record)
    for file in ("run.json", "metrics.csv", "times.tsv"):
        text = (outside / file).read_text()
        (outside / file).write_text(text.replace("generator_loss", "s3cret"))
    text = (outside / "run.json").read_text()
    (outside / "run.json").write_text(text.replace("configs/ring.yaml", "s3cret"))
    run = root / "ring/version_0"
    for file in outside.glob("*.*"):
        link(run / file.name, file)
    (root / "ring/version_1/metrics.csv").unlink()
    os.mkfifo(root / "ring/version_1/metrics.csv")
    with served(root) as ask:
        for question in ("runs", "run/ring/version_0", "curves/ring/version_0", "sweeps"):
            answer = ask(f"/api/{question}")
            assert answer.status == 200 and b"s3cret" not in answer.body
            assert b"elsewhere" not in answer.body
        assert ask("/api/curves/ring/version_1").status == 200
        for question in ("sweep/linked", "sweep/named", "importance/linked"):
            assert ask(f"/api/{question}").status == 404
        for file in ("metrics.csv", "modes.jsonl", "warnings.jsonl"):
            assert ask(f"/files/ring/version_0/{file}").status == 404
        assert ask("/files/ring/version_1/metrics.csv").status == 404


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
    "/files/other/version_0/warnings.jsonl",
    "/files/ring/version_0/checkpoints/x.ckpt",
    "/files/ring/version_0/checkpoints/x.ckpt%00.png",
    "/files/ring/version_0",
    "/page/../server.py",
    "/page/%2e%2e/server.py",
    "/api/run/../../outside.png",
    "/api/run/%2e%2e",
    "/api/sweep/..",
    "/api/sweep/..%2f..",
    "/api/sweep/%00",
    "/api/sweep/" + 400 * "x",
    "/api/importance/" + 400 * "x",
    "/files/" + 400 * "x" + ".png",
    "/page/%00",
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
    assert given_out(root, "ring/version_0/metrics.csv") == root / "ring/version_0/metrics.csv"
    assert given_out(root, "/" + str(root / "ring/version_0/metrics.csv")) is None


def test_no_secret_is_told(root):
    with served(root) as ask:
        for path in ("/", "/api/runs", "/api/run/other/version_0", "/api/curves/other/version_0"):
            answer = ask(path)
            assert answer.status == 200 and b"s3cret" not in answer.body
        about = strictly(ask("/api/run/other/version_0").body)
        assert about["warnings"][0]["message"] == "cannot reach postgresql://me:***@db/x"
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
        # Another program's, however odd, takes nothing away and lets nobody in.
        for odd in ('foo={"a":1}', "foo[bar]=1", "a:b=1", "=", "", "x"):
            own = cookie.split(";")[0]
            assert ask("/api/runs", Cookie=f"{odd}; {own}").status == 200, odd
            assert ask("/api/runs", Cookie=f"{odd}; {own}x").status == 401, odd


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
        (["runs", "--token", "abc&def#gh+i"], "--token"),
        (["runs", "--token", "token日本語xyz"], "--token"),
        ([""], "folder's name is empty"),
        (["runs", "--export", "."], "--export '.' is no file's name"),
        (["runs", "--export", "/"], "--export '/' is no file's name"),
        (["runs", "--export", ""], "--export '' is no file's name"),
        (["runs", "--export", "full"], "--export 'full' is no file's name"),
        (["runs", "--export", "x.html", "--newest", "-3"], "--newest -3"),
        (["runs", "--export", "x.html", "--newest", "0"], "--newest 0"),
        (["runs", "--newest", "3"], "--newest chooses what to export"),
        (["runs", "--runs", "ring"], "--runs chooses what to export"),
        (["runs", "--export", "x.html", "--runs", ""], "--runs "),
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
    assert not list(Path().glob(".*.tmp")) and not list(Path().glob("*.html"))


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


def test_an_export_holds_nothing_of_other_runs(lightning, root):
    """No setting, no metric, no name; pictures that are half written are left out."""
    for seed in range(4):
        make_run(root / f"secret_project/version_{seed}", seed=seed, customer="confidential")
        metrics = MetricsFile(root / f"secret_project/version_{seed}/metrics.csv")
        metrics.append({"step": 999, "samples_seen": 99999, "hidden/metric": 1.0})
    picture = next((root / "ring/version_0/samples").glob("*.png"))
    (picture.parent / "epoch_00009_samples_000090000.png").write_bytes(picture.read_bytes()[:60])
    answer = lightning("dashboard", "runs", "--export", "report.html", "--runs", "runs/ring/")
    assert answer.code == 0 and "report.html: 3 runs" in answer.out
    text = Path("report.html").read_text()
    for hidden in ("confidential", "customer", "secret_project", "hidden/metric", "90000.png"):
        assert hidden not in text
    kept = strictly(re.search(r'id="kept">(.*?)</script>', text)[1])
    told = kept["answers"]["runs"]
    assert told["base"]["model.generator_optimizer.lr"] == 1e-3 and told["whole"]
    assert f"{RING}/captured_chi2" in {metric["name"] for metric in told["metrics"]}
    assert len(kept["files"]) == 9


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
    for n in (12, 30):
        found = importance(trials_of(lambda **_: 8.0, n))
        assert found["parameters"] == {"lr": 0.0, "width": 0.0, "loss": 0.0}
        assert found["explained"] is None and "same value" in found["method"]


def test_trials_without_a_value_or_a_parameter_are_left_out_or_a_level():
    content = trials_of(lambda lr, **_: lr, 12)
    extra = {"number": 99, "state": "complete", "parameters": {}, "value": math.nan}
    content["trials"] += [extra, extra | {"value": None}]
    assert importance(content)["parameters"]["lr"] == pytest.approx(1)
    for trial in content["trials"][:6]:
        trial["parameters"]["lr"] = None
        trial["value"] = 5.0
    # Six ties and the ranks of the others: all of it is known from lr and from its lack.
    assert importance(content)["parameters"]["lr"] == pytest.approx(1)
    assert importance({"trials": [extra | {"value": i} for i in range(9)]})["parameters"] == {}


def test_importance_of_noise_is_small_whatever_its_kind():
    """Uncorrected, six choices would have 0.63 on average, and a number with gaps 0.84."""
    mean, noise = dict.fromkeys(("number", "six", "two", "gaps"), 0.0), random.Random(0)
    for _ in range(100):
        trials = []
        for _ in range(10):
            number = noise.random()
            gaps = None if noise.random() < 0.3 else number
            parameters = {"number": number, "six": noise.choice("abcdef")}
            parameters |= {"two": noise.choice("ab"), "gaps": gaps}
            value = noise.random()
            trials.append({"state": "complete", "parameters": parameters, "value": value})
        for name, found in importance({"trials": trials})["parameters"].items():
            mean[name] += found / 100
    assert all(0.05 < found < 0.4 for found in mean.values())


def test_importance_of_a_choice_is_epsilon_squared():
    """Against its usual form: (between - (k - 1) within / (n - k)) / whole, sums of squares."""
    values, kinds = [1, 2, 6, 3, 7, 8, 4, 5, 9], "aaabbbccc"
    trials = [
        {"state": "complete", "parameters": {"x": kind}, "value": value}
        for kind, value in zip(kinds, values, strict=True)
    ]
    between, whole = 3 * (2.0**2 + 1.0**2 + 1.0**2), 60.0
    wanted = (between - 2 * (whole - between) / 6) / whole
    assert importance({"trials": trials})["parameters"]["x"] == pytest.approx(wanted**0.5)


def test_the_variance_that_a_forest_explains_is_of_all_folds_together():
    """Of noise it explains less than nothing, but not much less: folds of 4 trials gave -1.8."""
    noise = random.Random(1)
    found = [
        importance(trials_of(lambda **_: noise.random(), 20, k))["explained"] for k in range(3)
    ]
    assert all(-0.9 < explained < 0.3 for explained in found)


def test_a_sweep_names_its_runs_as_the_page_does(tmp_path):
    make_sweep(tmp_path, "small", 4)
    content = sweep(tmp_path, "small")
    assert content["trials"][2]["runs"] == ["sweeps/small/trial_2/version_0"]
    assert sweep(tmp_path, "none") is None and sweep(tmp_path, "../small") is None
