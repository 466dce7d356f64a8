"""CPU time of one TPE suggestion in 10 dimensions, by number of finished trials: overdrive, Optuna and rustuna, in turn on one machine.

    python3 -m venv venv && venv/bin/pip install optuna==5.0.0 rustuna
    venv/bin/python benches/peers/suggestion.py target/release/overdrive [--trials 100,1000,10000]

CPU time, not wall time, all threads together: what else the machine does matters little. Every figure is the median of five blocks of
20 `ask` and `tell`; overdrive's includes reading and writing its JSON lines, and the finished trials are its own suggestions, the others'
are random ones (for which they need not suggest).
"""

import argparse
import json
import pathlib
import random
import statistics
import subprocess
import time

BLOCKS, ASKS, DIMENSIONS = 5, 20, 10


def bowl(values):
    return sum(value * value for value in values)


def overdrive(binary, counts):
    agent = subprocess.Popen([binary, "ask-tell", "--sampler", "tpe"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def say(message):
        agent.stdin.write(json.dumps(message) + "\n")
        agent.stdin.flush()
        return json.loads(agent.stdout.readline())

    def cpu():
        tasks = pathlib.Path(f"/proc/{agent.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    space = [{"name": f"x{i}", "type": "float", "low": 0, "high": 1, "log": False} for i in range(DIMENSIONS)]
    say({"type": "init", "version": 1, "seed": 0, "goal": "minimize", "space": space, "workers": 1, "fidelity": None})
    done = 0

    def one():
        nonlocal done
        answer = say({"type": "ask"})
        say({"type": "tell", "trial": answer["trial"], "value": bowl(answer["params"].values()), "step": 1, "status": "completed"})
        done += 1

    for count in counts:
        while done < count:
            one()
        yield count, block(one, cpu)
    agent.stdin.write('{"type":"end"}\n')
    agent.stdin.close()
    agent.wait()


def block(one, cpu):
    times = []
    for _ in range(BLOCKS):
        begun = cpu()
        for _ in range(ASKS):
            one()
        times.append((cpu() - begun) / ASKS * 1e3)
    return statistics.median(times)


def optuna_like(library, counts):
    if hasattr(library, "logging"):
        library.logging.set_verbosity(library.logging.ERROR)
    study = library.create_study(sampler=library.samplers.TPESampler(seed=0))
    space = {f"x{i}": library.distributions.FloatDistribution(0, 1) for i in range(DIMENSIONS)}
    source = random.Random(0)
    done = 0

    def one():
        trial = study.ask()
        values = [trial.suggest_float(name, 0, 1) for name in space]
        # rustuna wants the number, Optuna takes both.
        study.tell(trial.number, bowl(values))

    for count in counts:
        while done < count:
            values = {name: source.random() for name in space}
            study.add_trial(library.trial.create_trial(params=values, distributions=space, value=bowl(values.values())))
            done += 1
        yield count, block(one, time.process_time)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("overdrive")
    parser.add_argument("--trials", default="100,1000,10000")
    arguments = parser.parse_args()
    counts = [int(count) for count in arguments.trials.split(",")]
    import optuna
    import rustuna

    print("milliseconds of CPU time per suggestion, 10 dimensions, TPE")
    sources = {
        "overdrive": overdrive(arguments.overdrive, counts),
        "optuna": optuna_like(optuna, counts),
        "rustuna": optuna_like(rustuna, counts),
    }
    for count in counts:
        row = []
        for name, source in sources.items():
            try:
                row.append(f"{name} {next(source)[1]:.3f}")
            except Exception as error:
                row.append(f"{name} - ({type(error).__name__}: {error})")
        print(f"  {count} finished trials: " + ", ".join(row), flush=True)


if __name__ == "__main__":
    main()
