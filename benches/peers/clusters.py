"""Measures the targets `ray` and `spark` beside what the engines do by themselves, in one run on the clusters of tests/services.

    bash tests/services/ray.sh start DIR; bash tests/services/spark.sh start DIR2
    python3 benches/peers/clusters.py [--overdrive PROGRAM] [--ray DIR] [--spark DIR2] [--rounds N] [--trials N]

First lines: from the decision (for the engine alone: the submission) to the script's first line, medians over N rounds, one at a time.
Rates: no-op trials a second of a whole command, beside tasks of the engine that start a shell each.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]

TASKS = """
import subprocess, sys, time, ray
ray.init(address="auto", log_to_driver=False)
@ray.remote(num_cpus=0.5, max_retries=0)
def task():
    return subprocess.run(["/bin/sh", "-c", "echo score=1"], stdout=subprocess.DEVNULL).returncode
ray.get([task.remote() for _ in range(16)])
begun = time.time()
count = int(sys.argv[1])
ray.get([task.remote() for _ in range(count)])
print("RATE", count / (time.time() - begun))
"""


def facts(folder):
    lines = pathlib.Path(folder, "env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def project(folder, overdrive, attach, values, concurrent, body, pyspark=False):
    """A project with a sweep over `values` whose target is `place`."""
    script = "train.py" if pyspark else "train.sh"
    pathlib.Path(folder, script).write_text(body)
    framework = "framework: PySpark\n" if pyspark else ""
    pathlib.Path(folder, "train.runconfig").write_text(
        f"script: {script}\n{framework}target: place\nenvironment:\n  python:\n    userManagedDependencies: true\n"
    )
    pathlib.Path(folder, "hdconfig.yml").write_text(
        "sampling:\n  type: grid\n  parameter_space:\n    - name: --x\n      expression: choice\n"
        f"      values: {json.dumps(values)}\npolicy:\n  type: NoTerminationPolicy\nprimary_metric_name: score\n"
        f"primary_metric_goal: maximize\nmax_total_runs: {len(values)}\nmax_concurrent_runs: {concurrent}\n"
    )
    subprocess.run([overdrive, "target", "attach", *attach, "-n", "place"], cwd=folder, check=True, capture_output=True)


def sweep(folder, overdrive):
    begun = time.perf_counter()
    command = [overdrive, "run", "hdconfig.yml", "-q", "--progress", "none", "--json"]
    result = json.loads(subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout)
    elapsed = time.perf_counter() - begun
    assert set(result["trials"]) - {"Completed"} == set() or result["trials"]["Completed"], result
    return elapsed


def first_lines(folder, overdrive):
    """Seconds from each attempt's specification, which is written at the decision, to the script's first line."""
    listed = subprocess.run(
        [overdrive, "show", "--json", "--limit", "0"], cwd=folder, check=True, capture_output=True, text=True
    )
    times = []
    for trial in json.loads(listed.stdout)["items"]:
        attempt = pathlib.Path(trial["folder"])
        first = float((attempt / "wd/outputs/first").read_text())
        times.append(first - (attempt / "spec.json").stat().st_mtime)
    return times


class Ray:
    def __init__(self, folder):
        self.facts = facts(folder)
        self.token = pathlib.Path(self.facts["TOKEN"]).read_text().strip()
        self.attach = ["ray", "--dashboard", self.facts["ADDRESS"], "--token-file", self.facts["TOKEN"], "--no-wait"]

    def ask(self, path, body=None):
        request = urllib.request.Request(self.facts["ADDRESS"] + path, headers={"Authorization": f"Bearer {self.token}"})
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        return json.load(urllib.request.urlopen(request, timeout=120))

    def bare(self, rounds, folder):
        times = []
        for number in range(rounds):
            path = pathlib.Path(folder, f"first{number}")
            begun = time.time()
            told = self.ask(
                "/api/jobs/", {"entrypoint": f"date +%s.%N > {path}.new; mv {path}.new {path}", "entrypoint_num_cpus": 1}
            )
            while not path.exists():
                time.sleep(0.02)
            times.append(float(path.read_text()) - begun)
            while self.ask(f"/api/jobs/{told['submission_id']}")["status"] in ("PENDING", "RUNNING"):
                time.sleep(0.2)
        return times

    def tasks(self, count):
        environment = dict(
            os.environ, RAY_ADDRESS=self.facts["GCS"], RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=self.facts["TOKEN"]
        )
        output = subprocess.run(
            [self.facts["PYTHON"], "-c", TASKS, str(count)], env=environment, check=True, capture_output=True, text=True
        ).stdout
        return float(output.split("RATE")[1])


FIRST = "#!/bin/sh\ndate +%s.%N > outputs/first\necho score=1\n"
SPARK = (
    "import os, time\nos.makedirs('outputs', exist_ok=True)\nopen('outputs/first', 'w').write(str(time.time()))\n"
    "from pyspark.sql import SparkSession\nspark = SparkSession.builder.getOrCreate()\n"
    "print('score', spark.sparkContext.parallelize(range(10), 2).sum())\nprint('score=1', flush=True)\nspark.stop()\n"
)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--overdrive", default=str(ROOT / "target/release/overdrive"))
    parser.add_argument("--ray")
    parser.add_argument("--spark")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=200)
    given = parser.parse_args()
    overdrive = str(pathlib.Path(given.overdrive).resolve())

    def row(what, value):
        print(f"| {what} | {value} |", flush=True)

    if given.ray:
        ray = Ray(given.ray)
        with tempfile.TemporaryDirectory() as folder:
            row("Ray alone: submission of a job to its first line", f"{statistics.median(ray.bare(given.rounds, folder)):.2f} s")
        for name, more in (("a job per trial", []), ("tasks", ["--workers"])):
            with tempfile.TemporaryDirectory() as folder:
                project(folder, overdrive, ray.attach + more, list(range(given.rounds)), 1, FIRST)
                sweep(folder, overdrive)
                row(f"overdrive on Ray, {name}: decision to first line", f"{statistics.median(first_lines(folder, overdrive)):.2f} s")
        row(f"Ray alone: {given.trials} tasks that start a shell", f"{ray.tasks(given.trials):.0f}/s")
        with tempfile.TemporaryDirectory() as folder:
            attach = ray.attach + ["--workers", "--cpus", "0.5"]
            project(folder, overdrive, attach, list(range(given.trials)), 16, "#!/bin/sh\necho score=1\n")
            elapsed = sweep(folder, overdrive)
            row(f"overdrive on Ray, tasks: {given.trials} trials, whole command", f"{given.trials / elapsed:.1f}/s ({elapsed:.1f} s)")
    if given.spark:
        known = facts(given.spark)
        submit = f"{known['SPARK_HOME']}/bin/spark-submit"
        os.environ.update(
            SPARK_HOME=known["SPARK_HOME"], SPARK_CONF_DIR=known["SPARK_CONF_DIR"], PYSPARK_PYTHON=known["PYTHON"], SPARK_LOCAL_IP="127.0.0.1"
        )
        alone, first = [], []
        for _ in range(given.rounds):
            with tempfile.TemporaryDirectory() as folder:
                pathlib.Path(folder, "train.py").write_text(SPARK)
                begun = time.time()
                subprocess.run(
                    [submit, "--master", known["MASTER"], "--conf", "spark.cores.max=1", "train.py"],
                    cwd=folder, check=True, capture_output=True,
                )
                alone.append(time.time() - begun)
                first.append(float(pathlib.Path(folder, "outputs/first").read_text()) - begun)
        row("spark-submit alone: start to first line; to its end", f"{statistics.median(first):.1f} s; {statistics.median(alone):.1f} s")
        base = ["spark", "--master", known["MASTER"], "--conf", "spark.cores.max=1", "--slots", "1", "--no-wait"]
        cluster = ["--deploy-mode", "cluster", "--rest", known["REST"], "--web-ui", known["UI"]]
        for name, more in (("client mode", ["--spark-submit", submit]), ("cluster mode", cluster)):
            with tempfile.TemporaryDirectory() as folder:
                project(folder, overdrive, base + more, list(range(given.rounds)), 1, SPARK, pyspark=True)
                elapsed = sweep(folder, overdrive) / given.rounds
                row(
                    f"overdrive on Spark, {name}: decision to first line; a trial",
                    f"{statistics.median(first_lines(folder, overdrive)):.1f} s; {elapsed:.1f} s",
                )


if __name__ == "__main__":
    main()
