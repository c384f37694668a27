"""The Weights & Biases run: what an agent of its sweeps starts, and what it finds afterwards."""

import json
import os
import struct
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from wandb import wandb_agent
from wandb.proto import wandb_internal_pb2 as protocol

from lightning_gans.runs import MetricsFile
from lightning_gans.sweeps.command import command_line
from lightning_gans.sweeps.schema import read_sweep

VALUES = {"model.lr": 0.1, "data.shuffle": True, "model.betas": [0.0, 0.9], "a": None, "b": False}
FORMS = ("args", "args_no_equals", "args_no_hyphens", "args_no_boolean_flags", "args_json")


def agent_runs(command, values, program="train.py"):
    """Let wandb's own agent start what a sweep's ``command`` means; its process."""
    agent = SimpleNamespace(
        _in_jupyter=False,
        _function=None,
        _forward_signals=False,
        _sweep_command=list(command),
        _run_processes={},
    )
    given = {name: {"value": value} for name, value in values.items()}
    order = {"type": "run", "run_id": "agents-own", "program": program, "args": given}
    wandb_agent.Agent._command_run(agent, order)
    return agent._run_processes["agents-own"]


@pytest.fixture
def agent(tmp_path, monkeypatch):
    """An agent's surroundings, and no account."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WANDB_MODE")
    for name in ("WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH", "WANDB_SWEEP_ID"):
        monkeypatch.setenv(name, "sweep")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)


@pytest.mark.parametrize("form", [*FORMS, "args_append_hydra", "args_override_hydra"])
def test_a_command_line_is_what_wandbs_agent_starts(form, agent, monkeypatch):
    started = []
    monkeypatch.setattr(
        wandb_agent,
        "AgentProcess",
        lambda command, **_: started.append(command) or SimpleNamespace(),
    )
    monkeypatch.setenv("PLACE", "here")
    command = ["${env}", "${interpreter}", "${program}", f"${{{form}}}", "in-${envvar:PLACE}"]
    command += ["${envvar:NO_SUCH_PLACE}"]
    agent_runs(command, VALUES)
    assert command_line(command, VALUES, "train.py") == started[0]


def records(path):
    """What a .wandb file holds: a log in blocks of 32 KiB, as LevelDB writes it."""
    content = path.read_bytes()
    assert content[:4] == b":W&B"
    position, record = 7, b""
    while position + 7 <= len(content):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", content[position : position + 7])
        part = content[position + 7 : position + 7 + length]
        position += 7 + length
        record = part if kind in (1, 2) else record + part
        if kind in (1, 4):
            yield protocol.Record.FromString(record)


def unpacked(items):
    """The values of history, config or summary by key; pictures and tables are nested."""
    values = {}
    for item in items:
        *outer, last = item.nested_key or [item.key]
        place = values
        for key in outer:
            place = place.setdefault(key, {})
        place[last] = json.loads(item.value_json)
    return values


@pytest.fixture
def tracked(agent):
    """A run as `wandb agent` starts it from a shipped sweep file; its folder, and W&B's records."""
    sweep = read_sweep("configs/sweeps/ring.yaml")
    few = ["--data.batches_per_epoch=3", "--trainer.log_every_n_steps=1", "--samples.n=16"]
    few += ["--trainer.check_val_every_n_epoch=1"]
    more = ["--run.tags=[ring,tried]", "--run.artifact=true", "--run.group=many"]
    values = {name: law.edges[0] for name, law in sweep.laws.items()}
    values |= {"trainer.max_epochs": 2}
    process = agent_runs([*sweep.command, *few, *more], values)
    assert process.wait() == 0
    run = Path("runs/ring_gan/version_0")
    (binary,) = run.glob("wandb/offline-run-*/run-*.wandb")
    for _ in range(60):  # a process of wandb's own writes it, when it is given time
        found = list(records(binary))
        if any(record.WhichOneof("record_type") == "exit" for record in found):
            break
        time.sleep(0.5)
    return run, found


def test_an_agents_run_tells_wandb_all_that_its_folder_shows(tracked):
    run, found = tracked

    def of(kind):
        return [record for record in found if record.WhichOneof("record_type") == kind]

    history = [unpacked(record.history.item) for record in of("history")]
    metrics = MetricsFile(run / "metrics.csv")
    columns = set(metrics.columns) - {"step", "samples_seen", "epoch"}
    assert {c.partition("/")[0] for c in columns} == {"train", "val", "modes", "gradients"}
    for column in columns:  # every number, at the samples seen at which it was measured
        told = [(row["samples_seen"], row[column]) for row in history if column in row]
        np.testing.assert_allclose(
            told, np.transpose(metrics.series("samples_seen", column)), rtol=1e-8
        )
    short = [row["modes/reverse_kl"] for row in history if "modes/reverse_kl" in row]
    long = metrics.series("samples_seen", "modes/ring8_r1_std0.01_n2500/reverse_kl")[1]
    assert short == pytest.approx(long)  # as sweep files name it

    media = {key: value for row in history for key, value in row.items() if isinstance(value, dict)}
    kinds = {key: value["_type"] for key, value in media.items() if "_type" in value}
    assert kinds == {
        "samples": "images/separated",
        "samples/real": "images/separated",
        "modes": "image-file",
        "modes/table": "table-file",
        "modes/counts": "table-file",
        "modes/histogram": "histogram",
    }
    files = next(run.glob("wandb/offline-run-*/files"))
    sample = (run / "samples/epoch_00002_samples_000003072.png").read_bytes()
    assert (
        files / media["samples"]["filenames"][0]
    ).read_bytes() == sample  # a PNG, as in the folder
    row = json.loads((run / "modes.jsonl").read_text().splitlines()[-1])
    counts = json.loads((files / media["modes/counts"]["path"]).read_text())
    assert [samples for _, samples in counts["data"]] == row["counts"]
    assert media["modes/histogram"]["values"] == row["counts"]
    table = json.loads((files / media["modes/table"]["path"]).read_text())
    kept = [[key, *(m[f] for f in table["columns"][1:])] for key, m in row["metrics"].items()]
    assert table["data"] == kept and {"value", "low", "high", "ideal", "n"} < set(table["columns"])

    (about,) = (record.run for record in of("run"))
    assert about.run_id == "agents-own" and (run / "wandb_id").read_text() == "agents-own"
    assert (about.run_group, list(about.tags)) == ("many", ["ring", "tried"])
    config = unpacked(item for record in of("config") for item in record.config.update)
    assert config["model"] == yaml.safe_load((run / "config.yaml").read_text())["model"]

    summary = unpacked(item for record in of("summary") for item in record.summary.update)
    column = "modes/ring8_r1_std0.01_n2500/reverse_kl"
    seen, values = metrics.series("samples_seen", column)
    assert summary[f"best/{column}"] == pytest.approx(min(values))
    assert summary[f"best_samples_seen/{column}"] == seen[values.index(min(values))]

    (artifact,) = (r.artifact for r in of("artifact") if r.artifact.type == "model")
    kept = {entry.path: entry.local_path for entry in artifact.manifest.contents}
    assert kept.keys() == {"weights.pt", "config.yaml"}
    weights = torch.load(kept["weights.pt"], weights_only=True)
    final = torch.load(run / "checkpoints/final.ckpt", weights_only=True)["state_dict"]
    assert weights.keys() == {k[14:] for k in final if k.startswith("generator_ema.")}
    assert all(torch.equal(w, final[f"generator_ema.{k}"]) for k, w in weights.items())
