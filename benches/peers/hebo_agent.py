"""HEBO behind the JSON lines of `overdrive bench`: one object in, one object out.

    overdrive bench run --optimizer 'exec:hebo:PYTHON benches/peers/hebo_agent.py' ...

Its own defaults. HEBO knows no conditions: it sees a flat space, and inactive values are dropped from what it proposes. Ordered values are an
integer index. It has no notion of pending trials either: with several workers it is asked again before the earlier ones are told.
"""

import json
import os
import sys
import warnings

# One thread, as the other optimizers have.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
warnings.filterwarnings("ignore")

import numpy
import torch
from hebo.design_space.design_space import DesignSpace
from hebo.optimizers.hebo import HEBO


def description(entry):
    name, kind = entry["name"], entry["type"]
    if kind == "float":
        return {"name": name, "type": "pow" if entry.get("log") else "num", "lb": entry["low"], "ub": entry["high"]}
    if kind == "int":
        form = "pow_int" if entry.get("log") else "int"
        return {"name": name, "type": form, "lb": entry["low"], "ub": entry["high"]}
    if kind == "ordinal":
        return {"name": name, "type": "int", "lb": 0, "ub": len(entry["values"]) - 1}
    return {"name": name, "type": "cat", "categories": entry["values"]}


def parameters(space, row):
    result = {}
    for entry in space:
        when = entry.get("when")
        if when and result.get(when["param"], object()) not in when["in"]:
            continue
        value, kind = row[entry["name"]], entry["type"]
        if kind == "float":
            result[entry["name"]] = min(max(float(value), entry["low"]), entry["high"])
        elif kind == "int":
            result[entry["name"]] = int(min(max(round(float(value)), entry["low"]), entry["high"]))
        elif kind == "ordinal":
            result[entry["name"]] = entry["values"][int(value)]
        else:
            result[entry["name"]] = value
    return result


def main():
    # The library prints; the protocol owns standard output.
    lines, sys.stdout = sys.stdout, sys.stderr
    torch.set_num_threads(1)
    optimizer, space, pending, count = None, [], {}, 0
    for line in sys.stdin:
        message = json.loads(line)
        kind = message["type"]
        if kind == "init":
            space = message["space"]
            torch.manual_seed(message["seed"])
            numpy.random.seed(message["seed"])
            optimizer = HEBO(DesignSpace().parse([description(entry) for entry in space]), scramble_seed=message["seed"])
            answer = {"type": "ready"}
        elif kind == "ask":
            suggestion = optimizer.suggest(n_suggestions=1)
            pending[count] = suggestion
            answer = {"type": "trial", "trial": count, "params": parameters(space, suggestion.iloc[0].to_dict())}
            count += 1
        elif kind == "report":
            answer = {"type": "decision", "action": "continue"}
        elif kind == "tell":
            optimizer.observe(pending.pop(message["trial"]), numpy.array([[float(message["value"])]]))
            answer = {"type": "ok"}
        else:
            return
        print(json.dumps(answer), file=lines, flush=True)


if __name__ == "__main__":
    main()
