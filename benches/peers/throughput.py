"""Measures overdrive beside other tuners in the same run: no-op trials a second, and cost of a suggestion.

    python3 benches/peers/throughput.py [--trials N] [--skip-ray]

Makes a virtual environment below target/peers (ray[tune], optuna, packages from PyPI), builds the release binary, and prints one table.
Every figure of one table comes from one run on one machine; the blocks alternate, and medians are printed.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
VENV = ROOT / "target" / "peers"
OVERDRIVE = ROOT / "target" / "release" / "overdrive"

RAY = """
import sys, time, ray
from ray import tune
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
count = int(sys.argv[1])
def trial(config):
    tune.report({"x": config["x"]})
begun = time.time()
tune.Tuner(trial, param_space={"x": tune.uniform(0, 1)},
           tune_config=tune.TuneConfig(num_samples=count, max_concurrent_trials=2, metric="x", mode="min"),
           run_config=tune.RunConfig(verbose=0)).fit()
print("RATE", count / (time.time() - begun))
"""

OPTUNA = """
import sys, time, optuna
optuna.logging.set_verbosity(optuna.logging.ERROR)
name, count = sys.argv[1], int(sys.argv[2])
sampler = {"random": optuna.samplers.RandomSampler, "tpe": optuna.samplers.TPESampler, "gp": optuna.samplers.GPSampler}[name](seed=0)
study = optuna.create_study(sampler=sampler)
space = {f"x{i}": optuna.distributions.FloatDistribution(0, 1) for i in range(10)}
import random
source = random.Random(0)
for _ in range(count):
    values = {key: source.random() for key in space}
    study.add_trial(optuna.trial.create_trial(params=values, distributions=space, value=sum(v * v for v in values.values())))
times = []
for _ in range(5):
    begun = time.perf_counter()
    trial = study.ask(space)
    times.append(time.perf_counter() - begun)
    study.tell(trial, sum(v * v for v in trial.params.values()))
print("MS", sorted(times)[2] * 1e3)
"""


def run(command, **settings):
    return subprocess.run(command, check=True, text=True, **settings)


def python():
    path = VENV / "bin" / "python"
    if not path.exists():
        run([sys.executable, "-m", "venv", str(VENV)])
        run([str(path), "-m", "pip", "install", "--quiet", "ray[tune]", "optuna", "torch", "scipy"])
    return str(path)


def bare_loop(count):
    begun = time.perf_counter()
    pairs = count // 2
    for _ in range(pairs):
        children = [subprocess.Popen(["/bin/sh", "-c", "/bin/true; :"]) for _ in range(2)]
        for child in children:
            child.wait()
    return 2 * pairs / (time.perf_counter() - begun)


def overdrive_rate(count):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "hdconfig.yml").write_text(
            "sampling:\n  type: random\n  parameter_space:\n    - {name: x, expression: uniform, values: [0, 1]}\n"
            "policy: {}\nprimary_metric_name: none\nprimary_metric_goal: minimize\n"
            f"max_total_runs: {count}\nmax_concurrent_runs: 2\nmax_duration_minutes: 60\n"
        )
        (folder / "noop.runconfig").write_text(
            "command: /bin/true\nenvironment:\n  python: {userManagedDependencies: true}\n"
        )
        begun = time.perf_counter()
        subprocess.run(
            [str(OVERDRIVE), "--home", str(folder / "home"), "run", str(folder / "hdconfig.yml"), "--progress", "none"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return count / (time.perf_counter() - begun)


def suggestion(sampler, count):
    """Milliseconds of one `ask` with `count` finished trials in 10 dimensions, through the JSON lines."""
    agent = subprocess.Popen(
        [str(OVERDRIVE), "ask-tell", "--sampler", sampler], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def say(message):
        agent.stdin.write(json.dumps(message) + "\n")
        agent.stdin.flush()
        return json.loads(agent.stdout.readline())

    space = [{"name": f"x{i}", "type": "float", "low": 0, "high": 1, "log": False} for i in range(10)]
    say({"type": "init", "version": 1, "seed": 0, "goal": "minimize", "space": space, "max_trials": count + 10,
         "workers": 1, "fidelity": None})
    times = []
    for number in range(count + 5):
        begun = time.perf_counter()
        answer = say({"type": "ask"})
        if number >= count:
            times.append(time.perf_counter() - begun)
        value = sum(x * x for x in answer["params"].values())
        say({"type": "tell", "trial": answer["trial"], "value": value, "step": 1, "status": "completed"})
    agent.stdin.write('{"type":"end"}\n')
    agent.stdin.close()
    agent.wait()
    return statistics.median(times) * 1e3


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--skip-ray", action="store_true")
    arguments = parser.parse_args()
    run(["cargo", "build", "--release", "--locked", "--quiet"], cwd=ROOT)
    interpreter = python()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def peer(script, *words):
        result = subprocess.run([interpreter, "-c", script, *map(str, words)], env=environment, text=True, capture_output=True)
        for line in result.stdout.splitlines():
            if line.startswith(("RATE", "MS")):
                return float(line.split()[1])
        raise SystemExit(result.stderr[-2000:])

    floors, ours = [], []
    for _ in range(3):
        floors.append(bare_loop(arguments.trials))
        ours.append(overdrive_rate(arguments.trials))
    floor, own = statistics.median(floors), statistics.median(ours)
    print(f"no-op trials a second, 2 at a time: bare loop {floor:.1f}, overdrive {own:.1f} ({own / floor:.2f} of it)", flush=True)
    if not arguments.skip_ray:
        ray = peer(RAY, 20)
        print(f"  Ray Tune {ray:.2f}: overdrive is {own / ray:.0f} times as fast", flush=True)
    print("milliseconds of one suggestion, 10 dimensions:")
    for count in (100, 1000):
        row = [f"bayesian {suggestion('bayesian', count):.1f}", f"tpe {suggestion('tpe', count):.2f}"]
        row += [f"optuna {name} {peer(OPTUNA, name, count):.1f}" for name in ("tpe", "gp")]
        print(f"  {count} finished trials: " + ", ".join(row), flush=True)


main()
