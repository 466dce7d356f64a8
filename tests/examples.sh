#!/usr/bin/env bash
# Runs every example as the README tells, in a folder of its own, and checks what comes out.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --locked --release --quiet
overdrive=$PWD/target/release/overdrive
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT

check() { # NAME FILE EXPRESSION: runs FILE and evaluates the Python EXPRESSION on its final JSON document
    local name=$1 file=$2 expression=$3
    echo "-- $name"
    "$overdrive" --home "$home/$name" run "$file" --json --progress lines >"$home/$name.json" 2>"$home/$name.log" ||
        { tail -n 40 "$home/$name.log" >&2; echo "examples: $name ended with an error" >&2; exit 1; }
    python3 - "$home/$name.json" "$expression" <<'PYTHON'
import json, sys
result = json.load(open(sys.argv[1]))
best = result["best"]
assert eval(sys.argv[2]), json.dumps(result, indent=1)
print(f"   best {best['value']} with {best['parameters']}; {result['trials']}")
PYTHON
}

check digits examples/digits/hdconfig.yml 'best["value"] > 0.9 and sum(result["trials"].values()) == 24 and not result["trials"].get("Failed")'
check pure-python examples/pure-python/hdconfig.yml 'best["value"] < 0.5 and sum(result["trials"].values()) == 20 and not result["trials"].get("Failed")'
check shell examples/shell/hdconfig.yml 'result["trials"] == {"Completed": 8} and 0 < best["value"] < 100000'
check sweep-job examples/sweep-job/sweep.yml 'best["value"] > 0.9 and result["trials"] == {"Completed": 12}'
