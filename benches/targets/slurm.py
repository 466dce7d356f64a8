#!/usr/bin/env python3
"""Slurm's own floor and overdrive on it, in one run on the cluster of tests/services/slurm.sh.

    python3 benches/targets/slurm.py [--overdrive target/debug/overdrive] [--trials 100] [--queued 1000]

Prints a table: submission to the script's first line, no-op trials per second, RPCs of the scheduler (differences of `sdiag`), many
trials queued at once. Needs root and Debian's Slurm.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(*words, **more):
    return subprocess.run(words, check=True, capture_output=True, text=True, **more).stdout


class Project:
    """A project whose trials are `body`, on the target `cluster`."""

    def __init__(self, overdrive, body, attach):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="overdrive-bench-"))
        self.overdrive = overdrive
        (self.folder / "train.sh").write_text(f"#!/bin/sh\n{body}\n")
        (self.folder / "train.runconfig").write_text(
            "script: train.sh\ntarget: cluster\nenvironment:\n  python:\n    userManagedDependencies: true\n"
        )
        self.call("target", "attach", "slurm", "-n", "cluster", "--partition", "main", "--poll-seconds", "1", *attach)

    def call(self, *words):
        env = {**os.environ, "XDG_CONFIG_HOME": str(self.folder / "config")}
        return run(str(self.overdrive), *words, cwd=self.folder, env=env)

    def sweep(self, trials, at_once):
        (self.folder / "hdconfig.yml").write_text(
            "sampling:\n  type: random\n  parameter_space:\n    - name: --x\n      expression: uniform\n      values: [0, 1]\n"
            "policy:\n  type: NoTerminationPolicy\nprimary_metric_name: score\nprimary_metric_goal: maximize\n"
            f"max_total_runs: {trials}\nmax_concurrent_runs: {at_once}\nmax_duration_minutes: 60\n"
        )
        begun = time.time()
        done = json.loads(self.call("run", "hdconfig.yml", "--json", "--progress", "none"))
        assert done["trials"]["Completed"] == trials, done
        return time.time() - begun

    def attempts(self):
        return sorted((self.folder / ".overdrive/sweeps").glob("*/trials/*/*/spec.json"))


def rpcs():
    """RPCs so far by kind."""
    text = run("sdiag")
    by_kind = text.split("statistics by message type", 1)[1].split("statistics by user", 1)[0]
    counts = re.findall(r"^\s+(REQUEST_\S+|MESSAGE_\S+)\s+\(.*?\) count:(\d+)", by_kind, re.M)
    return {name: int(count) for name, count in counts}


def asked(before, after):
    """What was asked of the controller in between, but for the daemons' own pulse and the counting itself."""
    pulse = ("MESSAGE_NODE_REGISTRATION_STATUS", "REQUEST_STATS_INFO", "REQUEST_NODE_INFO")
    more = {name: count - before.get(name, 0) for name, count in after.items() if name not in pulse}
    return {name: count for name, count in more.items() if count > 0}


def bare_latency(folder, times):
    found = []
    for index in range(times):
        seen = folder / f"bare-{index}"
        begun = time.time()
        run("sbatch", "--parsable", "-p", "main", "-o", "/dev/null", "--wrap", f"date +%s.%N > {seen}.new; mv {seen}.new {seen}")
        while not seen.exists():
            time.sleep(0.005)
        found.append(float(seen.read_text()) - begun)
    return found


def srun_rate(count, at_once):
    """Steps per second inside one allocation."""
    script = f"""#!/bin/bash
seq {count} | xargs -P {at_once} -I@ srun --exact -n1 -c1 true
"""
    path = pathlib.Path(tempfile.mkdtemp()) / "steps.sh"
    path.write_text(script)
    begun = time.time()
    run("sbatch", "--wait", "-p", "main", "-n", str(at_once), "-o", "/dev/null", str(path))
    return count / (time.time() - begun)


def row(what, ours, floor):
    print(f"| {what} | {ours} | {floor} |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--overdrive", type=pathlib.Path, default=ROOT / "target/debug/overdrive")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--queued", type=int, default=1000)
    arguments = parser.parse_args()
    service = ROOT / "tests/services/slurm.sh"
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        run("bash", str(service), "start", str(folder))
        try:
            conf = (folder / "env").read_text().splitlines()[0].split("=", 1)[1]
            os.environ["SLURM_CONF"] = conf
            measure(arguments, folder)
        finally:
            run("bash", str(service), "stop", str(folder))


def measure(arguments, folder):
    print("| what | overdrive | Slurm's own |\n|---|---|---|")
    seconds = lambda values: f"{statistics.median(values):.2f} s (median of {len(values)}, most {max(values):.2f})"
    bare = bare_latency(folder, 15)
    jobs = Project(arguments.overdrive, "date +%s.%N > outputs/began; echo score=1", [])
    jobs.sweep(15, 1)
    ours = [float((spec.parent / "wd/outputs/began").read_text()) - spec.stat().st_mtime for spec in jobs.attempts()]
    row("decision to the script's first line, a job per trial", seconds(ours), seconds(bare) + " from `sbatch`")

    noop = Project(arguments.overdrive, "echo score=1", ["--workers", "--slots", "4"])
    before = rpcs()
    took = noop.sweep(arguments.trials, 4)
    by_worker = asked(before, rpcs())
    before = rpcs()
    rate = srun_rate(arguments.trials, 4)
    by_srun = asked(before, rpcs())
    row("no-op trials per second, 4 workers", f"{arguments.trials / took:.1f}/s", f"{rate:.1f}/s by `srun` in one allocation, 4 at once")
    per = lambda counts: sum(counts.values()) * 1000 // arguments.trials
    row("RPCs per 1,000 trials, 4 workers", f"{per(by_worker)}: {by_worker}", f"{per(by_srun)}: {by_srun}")

    before = rpcs()
    jobs = Project(arguments.overdrive, "echo score=1", [])
    took = jobs.sweep(arguments.queued, arguments.queued)
    by_job = asked(before, rpcs())
    row(f"{arguments.queued} trials queued at once, a job each", f"{took:.0f} s, {arguments.queued / took:.1f}/s, RPCs {by_job}", "")
    begun = time.time()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        list(pool.map(lambda _: run("sbatch", "--parsable", "-p", "main", "-o", "/dev/null", "--wrap", "true"), range(arguments.queued)))
    submitted = time.time() - begun
    while run("squeue", "-h", "-t", "PD,R,CG").strip():
        time.sleep(0.5)
    took = time.time() - begun
    row(f"{arguments.queued} jobs by a loop of `sbatch`", "", f"{took:.0f} s, {arguments.queued / took:.1f}/s; submitting alone {submitted:.0f} s")


if __name__ == "__main__":
    main()
