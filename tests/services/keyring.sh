#!/usr/bin/env bash
# A user's session with a keyring of its own, open, as a desktop has one.
#
#   keyring.sh start|stop|status DIR
#
# DIR/env holds the address of the session's bus. Twice to start or to stop does no harm. Needs Debian's dbus, gnome-keyring and
# libsecret-tools.
set -euo pipefail
verb=${1:?start, stop or status} dir=${2:?a folder}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

running() { [ -s "$dir/pid" ] && kill -0 "$(cat "$dir/pid")" 2>/dev/null; }

start() {
    export HOME=$dir/home XDG_DATA_HOME=$dir/home/data XDG_RUNTIME_DIR=$dir/run
    install -d -m 700 "$HOME" "$XDG_DATA_HOME" "$XDG_RUNTIME_DIR"
    dbus-daemon --session --fork --nopidfile --print-pid=3 --print-address=4 3>"$dir/pid" 4>"$dir/address" </dev/null >"$dir/log" 2>&1
    DBUS_SESSION_BUS_ADDRESS=$(cat "$dir/address")
    export DBUS_SESSION_BUS_ADDRESS
    printf 'open sesame\n' | gnome-keyring-daemon --unlock --daemonize --components=secrets >>"$dir/log" 2>&1
    bus=(dbus-send --session --print-reply=literal --dest=org.freedesktop.DBus / org.freedesktop.DBus.GetConnectionUnixProcessID)
    # A question before it has its name would start another one.
    for _ in $(seq 200); do
        if "${bus[@]}" string:org.freedesktop.secrets 2>/dev/null | awk '{ print $2 }' >"$dir/keyring" && [ -s "$dir/keyring" ]; then break; fi
        sleep 0.05
    done
    for _ in $(seq 100); do
        if printf probe | timeout 5 secret-tool store --label=probe probe probe 2>>"$dir/log"; then break; fi
        sleep 0.1
    done
    [ "$(secret-tool lookup probe probe)" = probe ]
    secret-tool clear probe probe
    echo "DBUS_SESSION_BUS_ADDRESS=$DBUS_SESSION_BUS_ADDRESS" >"$dir/env"
}

stop() {
    if running; then kill "$(cat "$dir/keyring")" "$(cat "$dir/pid")" 2>/dev/null || true; fi
    rm -f "$dir/pid" "$dir/keyring"
}

case $verb in
start) running || start ;;
stop) stop ;;
status) running || exit 3 ;;
*) echo "keyring.sh start|stop|status DIR" >&2; exit 2 ;;
esac
