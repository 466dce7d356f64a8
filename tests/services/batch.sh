#!/usr/bin/env bash
# A protocol double of Azure Batch with its blob container (azure_batch.py): there is no engine of it that could be started here.
#
#   batch.sh start|stop|status DIR
#
# DIR/env holds what tests need: address, key, token, container. Twice to start or to stop does no harm. Needs python3 alone.
# BATCH_NODES and BATCH_SLOTS: nodes of the pool `pool`, and tasks side by side on each.
set -euo pipefail
verb=${1:?start, stop or status} dir=${2:?a folder}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

running() { [ -s "$dir/pid" ] && kill -0 "$(cat "$dir/pid")" 2>/dev/null; }

start() {
    rm -f "$dir/env"
    setsid python3 "$here/azure_batch.py" "$dir" "${BATCH_NODES:-2}" "${BATCH_SLOTS:-4}" </dev/null >"$dir/log" 2>&1 &
    echo $! >"$dir/pid"
    for _ in $(seq 300); do
        if [ -s "$dir/env" ]; then return; fi
        running || break
        sleep 0.1
    done
    cat "$dir/log" >&2
    exit 1
}

stop() {
    if running; then
        kill "$(cat "$dir/pid")"
        for _ in $(seq 100); do running || break; sleep 0.05; done
    fi
    rm -f "$dir/pid"
}

case $verb in
start) running || start ;;
stop) stop ;;
status) running || exit 3 ;;
*) echo "batch.sh start|stop|status DIR" >&2; exit 2 ;;
esac
