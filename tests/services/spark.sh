#!/usr/bin/env bash
# A Spark standalone cluster on this machine: a master with its REST server, and a worker with 4 cores, from PyPI's `pyspark`.
#
#   spark.sh start|stop DIR
#   spark.sh worker DIR kill|start     the worker loses power with all that runs on it, or comes back
#
# DIR/env holds SPARK_HOME, SPARK_CONF_DIR, MASTER, REST, UI and PYTHON. Needs a Java of version 17 or newer. Every user of this machine may
# submit, so the package is kept where all can read it: in $OVERDRIVE_TEST_CACHE/pyspark, or in /var/cache/overdrive-test/pyspark where that
# is closed to others. Drivers of the cluster run as whoever started it.
set -euo pipefail
verb=${1:?start, stop or worker} dir=${2:?a folder}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
root=$(cd "$(dirname "$0")/../.." && pwd)
cache=${OVERDRIVE_TEST_CACHE:-$root/target/test-cache}/pyspark
reachable() { setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$1" 2>/dev/null; }
mkdir -p "$(dirname "$cache")"
reachable "$(dirname "$cache")" || cache=/var/cache/overdrive-test/pyspark
# The interpreter, too, must be one that all can start.
python=/usr/bin/python3
[ -x "$python" ] || python=$(command -v python3)
port=$((30000 + $(cksum <<<"$dir" | cut -d' ' -f1) % 200 * 10))
# What other users must be able to read.
run=/run/overdrive-spark-$port
export PYSPARK_PYTHON=$python SPARK_CONF_DIR=$run/conf SPARK_DAEMON_MEMORY=256m SPARK_LOCAL_IP=127.0.0.1 SPARK_NO_DAEMONIZE=1
export SPARK_DAEMON_JAVA_OPTS="-XX:+UseSerialGC -XX:TieredStopAtLevel=1"

running() { [ -s "$dir/$1.pid" ] && kill -0 "$(cat "$dir/$1.pid")" 2>/dev/null; }

# Prints a process and everything below it.
family() {
    echo "$1"
    for child in $(cat "/proc/$1/task"/*/children 2>/dev/null); do family "$child"; done
}

end() {
    running "$1" || return 0
    # shellcheck disable=SC2046
    kill -9 $(family "$(cat "$dir/$1.pid")") 2>/dev/null || true
    rm -f "$dir/$1.pid"
}

packages() {
    mkdir -p "$cache"
    exec 8>"$cache.lock"
    flock 8
    if [ ! -f "$cache/complete" ]; then
        python3 -m venv --clear "$cache"
        "$cache/bin/pip" install --quiet --disable-pip-version-check pyspark==4.3.0
        chmod -R a+rX "$cache"
        touch "$cache/complete"
    fi
    exec 8>&-
    SPARK_HOME=$(echo "$cache"/lib/python3*/site-packages/pyspark)
    export SPARK_HOME
}

daemon() {
    name=$1
    shift
    setsid "$SPARK_HOME/bin/spark-class" "$@" </dev/null >"$dir/$name.log" 2>&1 &
    echo $! >"$dir/$name.pid"
}

worker() {
    install -d -m 1777 "$run/work"
    daemon worker org.apache.spark.deploy.worker.Worker --host 127.0.0.1 --port $((port + 4)) --webui-port $((port + 5)) \
        --cores 4 --memory 3g --work-dir "$run/work" "spark://127.0.0.1:$((port + 1))"
    for _ in $(seq 900); do
        [ "$(alive)" = 1 ] && return 0
        running worker || break
        sleep 0.2
    done
    echo "the worker did not register" >&2
    tail -n 30 "$dir"/*.log >&2
    return 1
}

alive() {
    python3 - "$port" <<'END' 2>/dev/null || true
import json, sys, urllib.request
state = json.load(urllib.request.urlopen(f"http://127.0.0.1:{int(sys.argv[1]) + 3}/json/", timeout=5))
print(sum(worker["state"] == "ALIVE" for worker in state["workers"]))
END
}

start() {
    packages
    install -d -m 755 "$run" "$run/conf"
    install -d -m 1777 "$run/local"
    cat >"$SPARK_CONF_DIR/spark-defaults.conf" <<END
spark.master.rest.enabled        true
spark.master.rest.port           $((port + 2))
spark.local.dir                  $run/local
spark.executor.memory            512m
spark.driver.memory              512m
spark.driver.host                127.0.0.1
spark.driver.bindAddress         127.0.0.1
spark.ui.enabled                 false
spark.ui.showConsoleProgress     false
spark.worker.timeout             10
spark.driver.extraJavaOptions    -XX:+UseSerialGC -XX:TieredStopAtLevel=1
spark.executor.extraJavaOptions  -XX:+UseSerialGC -XX:TieredStopAtLevel=1
END
    running master || daemon master org.apache.spark.deploy.master.Master --host 127.0.0.1 --port $((port + 1)) --webui-port $((port + 3))
    running worker || worker
    cat >"$dir/env" <<END
SPARK_HOME=$SPARK_HOME
SPARK_CONF_DIR=$SPARK_CONF_DIR
MASTER=spark://127.0.0.1:$((port + 1))
REST=http://127.0.0.1:$((port + 2))
UI=http://127.0.0.1:$((port + 3))
PYTHON=$python
END
}

stop() {
    end worker
    end master
    rm -rf "$run"
}

case $verb in
start) start ;;
stop) stop ;;
worker)
    case ${3:?kill or start} in
    kill) end worker ;;
    start) packages && worker ;;
    esac
    ;;
*) echo "spark.sh start|stop|worker DIR ..." >&2; exit 2 ;;
esac
