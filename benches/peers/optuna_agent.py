"""Optuna behind the JSON lines of `overdrive bench`: one object in, one object out.

    overdrive bench run --optimizer 'exec:optuna-gp:PYTHON benches/peers/optuna_agent.py gp' ...

Samplers: `random`, `tpe` (Optuna's defaults), `tpe-univariate` (its default before version 5), `gp`, `cma`, `auto` (needs optunahub).
Ordered values are given to Optuna as an integer index, conditional parameters by define-by-run: what a user of Optuna would write.
Curves are reported to `--pruner` (`none`, `median`, `asha`, `hyperband`), which may stop a trial.
"""

import argparse
import json
import os
import sys
import warnings

# One thread, as the other optimizers have.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
warnings.filterwarnings("ignore")

import optuna


def sampler(name, seed):
    samplers = optuna.samplers
    if name == "random":
        return samplers.RandomSampler(seed=seed)
    if name == "tpe":
        return samplers.TPESampler(seed=seed)
    if name == "tpe-univariate":
        return samplers.TPESampler(seed=seed, multivariate=False, constant_liar=False)
    if name == "gp":
        return samplers.GPSampler(seed=seed)
    if name == "cma":
        return samplers.CmaEsSampler(seed=seed)
    if name == "auto":
        import optunahub

        return optunahub.load_module("samplers/auto_sampler").AutoSampler(seed=seed)
    raise SystemExit(f"no sampler is called {name}")


def pruner(name, fidelity):
    low, high = (fidelity["min"], fidelity["max"]) if fidelity else (1, 1)
    if name == "median":
        return optuna.pruners.MedianPruner()
    if name == "asha":
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=low, reduction_factor=3)
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=low, max_resource=high, reduction_factor=3)
    return optuna.pruners.NopPruner()


def suggest(trial, space):
    params = {}
    for entry in space:
        when = entry.get("when")
        if when and params.get(when["param"], object()) not in when["in"]:
            continue
        name, kind = entry["name"], entry["type"]
        if kind == "float":
            params[name] = trial.suggest_float(name, entry["low"], entry["high"], log=bool(entry.get("log")))
        elif kind == "int":
            params[name] = trial.suggest_int(name, int(entry["low"]), int(entry["high"]), log=bool(entry.get("log")))
        elif kind == "ordinal":
            params[name] = entry["values"][trial.suggest_int(name, 0, len(entry["values"]) - 1)]
        else:
            params[name] = trial.suggest_categorical(name, entry["values"])
    return params


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("sampler")
    parser.add_argument("--pruner", default="none")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study, space, trials = None, [], {}
    for line in sys.stdin:
        message = json.loads(line)
        kind = message["type"]
        if kind == "init":
            space = message["space"]
            study = optuna.create_study(
                direction=message["goal"],
                sampler=sampler(arguments.sampler, message["seed"]),
                pruner=pruner(arguments.pruner, message.get("fidelity")),
            )
            answer = {"type": "ready"}
        elif kind == "ask":
            trial = study.ask()
            trials[trial.number] = trial
            answer = {"type": "trial", "trial": trial.number, "params": suggest(trial, space)}
        elif kind == "report":
            trial = trials[message["trial"]]
            trial.report(message["value"], message["step"])
            answer = {"type": "decision", "action": "stop" if trial.should_prune() else "continue"}
        elif kind == "tell":
            trial = trials.pop(message["trial"])
            if message["status"] == "completed":
                study.tell(trial, message["value"])
            else:
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            answer = {"type": "ok"}
        else:
            return
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
