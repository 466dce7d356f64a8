#!/usr/bin/env bash
# A Ray cluster on this machine: a head with its dashboard and one more node, from PyPI's `ray[default]`.
#
#   ray.sh start|stop DIR
#   ray.sh node DIR kill|start            the second node loses power, or comes back
#   ray.sh dashboard DIR stop|go       nobody answers the Jobs API, or somebody does again
#
# DIR/env holds ADDRESS (dashboard), TOKEN (the file of its token), GCS and PYTHON (an interpreter that has `ray`). The packages are kept in
# $OVERDRIVE_TEST_CACHE/ray. RAY_CPUS (4) is the number of cores of each node. Jobs run as whoever started the cluster.
# Nothing leaves loopback: the head is 127.0.0.2, the other node 127.0.0.3.
set -euo pipefail
verb=${1:?start, stop, node or dashboard} dir=${2:?a folder}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
root=$(cd "$(dirname "$0")/../.." && pwd)
cache=${OVERDRIVE_TEST_CACHE:-$root/target/test-cache}/ray
# A block of 300 ports of its own, so that clusters of other folders do not meet this one.
port=$((20000 + $(cksum <<<"$dir" | cut -d' ' -f1) % 30 * 300))
# Sockets lie below it, whose paths may have 107 bytes.
run=/run/overdrive-ray-$port
cores=${RAY_CPUS:-4}
export RAY_USAGE_STATS_ENABLED=0 RAY_DISABLE_IMPORT_WARNING=1 PATH=$cache/bin:$PATH
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$dir/token
unset RAY_ADDRESS RAY_AUTH_TOKEN

running() { [ -s "$dir/$1.pid" ] && kill -0 "$(cat "$dir/$1.pid")" 2>/dev/null; }

# Prints a process and everything below it.
family() {
    echo "$1"
    for child in $(cat "/proc/$1/task"/*/children 2>/dev/null); do family "$child"; done
}

end() {
    running "$1" || return 0
    pid=$(cat "$dir/$1.pid")
    all=$(family "$pid")
    if [ "$2" = TERM ]; then
        kill "$pid" 2>/dev/null || true
        for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    fi
    # shellcheck disable=SC2086
    kill -9 $all 2>/dev/null || true
    rm -f "$dir/$1.pid"
}

packages() {
    mkdir -p "$cache"
    exec 8>"$cache.lock"
    flock 8
    if [ ! -f "$cache/complete" ]; then
        python3 -m venv --clear "$cache"
        "$cache/bin/pip" install --quiet --disable-pip-version-check 'ray[default]==2.60.0'
        touch "$cache/complete"
    fi
    exec 8>&-
}

# `ray start` in a session of its own; $1 names it, the rest are its options.
daemon() {
    name=$1
    shift
    setsid ray start --block --disable-usage-stats --temp-dir "$run" --num-cpus "$cores" --object-store-memory 80000000 "$@" \
        </dev/null >"$dir/$name.log" 2>&1 &
    echo $! >"$dir/$name.pid"
    precedence "$name" -15
}

# On a busy machine its parts do not find each other within the 15 s that they give themselves: until they have, they come first.
precedence() {
    echo "$2" 2>/dev/null >"/proc/$(cat "$dir/$1.pid")/autogroup" || true
}

node() {
    daemon node --address "127.0.0.2:$((port + 1))" --node-ip-address 127.0.0.3 --dashboard-agent-listen-port $((port + 11)) \
        --metrics-export-port $((port + 12)) --dashboard-agent-grpc-port $((port + 13)) --runtime-env-agent-port $((port + 14)) \
        --min-worker-port $((port + 200)) --max-worker-port $((port + 299)) --resources '{"second": 100}'
}

# How many nodes the dashboard counts as alive.
alive() {
    python3 - "$port" "$dir/token" <<'END' 2>/dev/null || true
import json, sys, urllib.request
address = f"http://127.0.0.1:{int(sys.argv[1]) + 2}/api/v0/nodes"
token = open(sys.argv[2]).read().strip()
answer = json.load(urllib.request.urlopen(urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"}), timeout=5))
print(sum(node["state"] == "ALIVE" for node in answer["data"]["result"]["result"]))
END
}

# Brings a daemon up until the dashboard counts $2 nodes. Ray gives up on a busy machine within seconds, so it gets a second chance.
up() {
    local tries until
    for tries in 1 2 3 4 5; do
        running "$1" || "$1"
        until=$((SECONDS + 120))
        while running "$1" && [ $SECONDS -lt $until ]; do
            if [ "$(alive)" = "$2" ]; then
                precedence "$1" 0
                return 0
            fi
            sleep 0.2
        done
        end "$1" KILL
    done
    echo "ray did not come up in $tries tries" >&2
    tail -n 30 "$dir/$1.log" >&2
    return 1
}

head() {
    daemon head --head --node-ip-address 127.0.0.2 --port $((port + 1)) --dashboard-host 127.0.0.1 --dashboard-port $((port + 2)) \
        --ray-client-server-port $((port + 3)) --dashboard-agent-listen-port $((port + 4)) --metrics-export-port $((port + 5)) \
        --dashboard-agent-grpc-port $((port + 6)) --runtime-env-agent-port $((port + 7)) \
        --min-worker-port $((port + 100)) --max-worker-port $((port + 199))
}

start() {
    packages
    mkdir -p "$run"
    [ -s "$dir/token" ] || (umask 077 && od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$dir/token")
    up head 1
    up node 2
    cat >"$dir/env" <<END
ADDRESS=http://127.0.0.1:$((port + 2))
GCS=127.0.0.2:$((port + 1))
TOKEN=$dir/token
PYTHON=$cache/bin/python3
END
}

stop() {
    end node KILL
    end head TERM
    rm -rf "$run"
}

dashboards() {
    for pid in $(family "$(cat "$dir/head.pid")"); do
        if tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q 'dashboard/dashboard.py\|ray-dashboard-'; then echo "$pid"; fi
    done
}

case $verb in
start) start ;;
stop) stop ;;
node)
    case ${3:?kill or start} in
    kill) end node KILL ;;
    start) up node 2 ;;
    esac
    ;;
dashboard)
    case ${3:?stop or go} in
    stop) signal=STOP ;;
    go) signal=CONT ;;
    esac
    # shellcheck disable=SC2046
    kill -$signal $(dashboards)
    ;;
*) echo "ray.sh start|stop|node|dashboard DIR ..." >&2; exit 2 ;;
esac
