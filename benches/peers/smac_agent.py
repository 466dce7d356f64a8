"""SMAC3 behind the JSON lines of `overdrive bench`: one object in, one object out.

    overdrive bench run --optimizer 'exec:smac:PYTHON benches/peers/smac_agent.py hpo' ...

Facades: `hpo` (random forest, SMAC's default for hyperparameters), `blackbox` (its Gaussian process). Each with its own defaults. Ordered
values are an integer index, conditional parameters conditions of ConfigSpace. Curves are not shown to it: it runs every trial to the end.
"""

import json
import logging
import os
import shutil
import sys
import tempfile
import warnings

# One thread, as the other optimizers have.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import ConfigSpace
import smac
from smac.runhistory.dataclasses import TrialValue


def parameter(entry):
    name, kind = entry["name"], entry["type"]
    if kind == "float":
        return ConfigSpace.UniformFloatHyperparameter(name, entry["low"], entry["high"], log=bool(entry.get("log")))
    if kind == "int":
        return ConfigSpace.UniformIntegerHyperparameter(
            name, int(entry["low"]), int(entry["high"]), log=bool(entry.get("log"))
        )
    if kind == "ordinal":
        return ConfigSpace.UniformIntegerHyperparameter(name, 0, len(entry["values"]) - 1)
    return ConfigSpace.CategoricalHyperparameter(name, [str(value) for value in entry["values"]])


def configuration_space(space, seed):
    result = ConfigSpace.ConfigurationSpace(seed=seed)
    made = {entry["name"]: parameter(entry) for entry in space}
    for made_parameter in made.values():
        result.add(made_parameter)
    for entry in space:
        when = entry.get("when")
        if when:
            accepted = [str(value) for value in when["in"]]
            result.add(ConfigSpace.InCondition(made[entry["name"]], made[when["param"]], accepted))
    return result


def parameters(space, configuration):
    chosen = dict(configuration)
    result = {}
    for entry in space:
        value = chosen.get(entry["name"])
        if value is None:
            continue
        kind = entry["type"]
        if kind == "float":
            result[entry["name"]] = float(value)
        elif kind == "int":
            result[entry["name"]] = int(value)
        elif kind == "ordinal":
            result[entry["name"]] = entry["values"][int(value)]
        else:
            result[entry["name"]] = next(option for option in entry["values"] if str(option) == str(value))
    return result


class Agent:
    def __init__(self, facade):
        kinds = {"hpo": smac.HyperparameterOptimizationFacade, "blackbox": smac.BlackBoxFacade}
        if facade not in kinds:
            raise SystemExit(f"no facade is called {facade}")
        self.kind = kinds[facade]
        self.folder = tempfile.mkdtemp(prefix="smac-agent-")
        self.space, self.facade, self.open, self.count = [], None, {}, 0

    def begin(self, message):
        self.space = message["space"]
        scenario = smac.Scenario(
            configuration_space(self.space, message["seed"]),
            deterministic=True,
            n_trials=max(message["max_trials"], 10),
            seed=message["seed"],
            output_directory=self.folder,
        )
        self.facade = self.kind(
            scenario, lambda configuration, seed=0: 0.0, overwrite=True, logging_level=False
        )

    def ask(self):
        info = self.facade.ask()
        number = self.count
        self.count += 1
        self.open[number] = info
        return {"type": "trial", "trial": number, "params": parameters(self.space, info.config)}

    def tell(self, message):
        info = self.open.pop(message["trial"])
        self.facade.tell(info, TrialValue(cost=float(message["value"]), time=0.1), save=False)

    def end(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def main():
    agent = Agent(sys.argv[1] if len(sys.argv) > 1 else "hpo")
    # The library prints; the protocol owns standard output.
    lines, sys.stdout = sys.stdout, sys.stderr
    try:
        for line in sys.stdin:
            message = json.loads(line)
            kind = message["type"]
            if kind == "init":
                agent.begin(message)
                answer = {"type": "ready"}
            elif kind == "ask":
                answer = agent.ask()
            elif kind == "report":
                answer = {"type": "decision", "action": "continue"}
            elif kind == "tell":
                agent.tell(message)
                answer = {"type": "ok"}
            else:
                return
            print(json.dumps(answer), file=lines, flush=True)
    finally:
        agent.end()


if __name__ == "__main__":
    main()
