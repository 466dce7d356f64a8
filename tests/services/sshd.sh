#!/usr/bin/env bash
# A machine that is reached by SSH: a server of its own on loopback, with a user of its own.
#
#   sshd.sh start|stop|gone DIR [PORT]
#
# DIR/env holds what tests need: port, user, password, keys. Twice to start or to stop does no harm. Needs root and Debian's
# openssh-server. `stop` leaves the user and his home, `gone` does not. SSHD_SETENV=NAME=VALUE sets a variable in all sessions.
set -euo pipefail
verb=${1:?start, stop or gone} dir=${2:?a folder} port=${3:-}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
user=odtest$(cksum <<<"$dir" | cut -d' ' -f1)
# What the server and its user must be able to read, whoever owns DIR.
public=/run/overdrive-test-$user

running() { [ -s "$dir/pid" ] && kill -0 "$(cat "$dir/pid")" 2>/dev/null; }

key() { [ -f "$dir/$1" ] || ssh-keygen -q -t ed25519 -N "$2" -C "$1" -f "$dir/$1"; }

start() {
    install -d -m 755 /run/sshd "$public"
    if ! id "$user" >/dev/null 2>&1; then
        useradd --no-create-home --home-dir "$public/home" --shell /bin/bash "$user"
    fi
    install -d -m 700 -o "$user" "$public/home"
    [ -s "$dir/password" ] || (umask 077 && od -An -N12 -tx1 /dev/urandom | tr -d ' \n' >"$dir/password")
    chpasswd <<<"$user:$(cat "$dir/password")"
    key host ''
    key client ''
    key locked 'open sesame'
    cat "$dir/client.pub" "$dir/locked.pub" >"$public/authorized_keys"
    [ -n "$port" ] || port=$(cat "$dir/port" 2>/dev/null ||
        python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    echo "$port" >"$dir/port"
    cat >"$dir/sshd_config" <<END
ListenAddress 127.0.0.1
Port $port
HostKey $dir/host
PidFile $dir/pid
AuthorizedKeysFile $public/authorized_keys
AllowUsers $user
PasswordAuthentication yes
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
MaxStartups 100:30:200
MaxSessions 10
LogLevel VERBOSE
END
    # What sessions find in their environment, beyond what a login gives.
    [ -z "${SSHD_SETENV:-}" ] || echo "$SSHD_SETENV" >"$dir/setenv"
    [ ! -s "$dir/setenv" ] || echo "SetEnv $(cat "$dir/setenv")" >>"$dir/sshd_config"
    setsid /usr/sbin/sshd -f "$dir/sshd_config" -E "$dir/log" </dev/null >/dev/null 2>&1
    for _ in $(seq 200); do
        if running && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
        sleep 0.05
    done
    running
    cat >"$dir/env" <<END
PORT=$port
USER=$user
PASSWORD=$(cat "$dir/password")
KEY=$dir/client
LOCKED=$dir/locked
HOME=$public/home
END
}

# Sessions are children of the server.
stop() {
    if running; then
        pid=$(cat "$dir/pid")
        below=$(ps -o pid= --ppid "$pid" || true)
        # shellcheck disable=SC2086
        kill $pid $below 2>/dev/null || true
        for _ in $(seq 100); do running || break; sleep 0.05; done
    fi
    rm -f "$dir/pid"
}

case $verb in
start) running || start ;;
stop) stop ;;
gone)
    stop
    rm -rf "$public"
    userdel "$user" 2>/dev/null || true
    ;;
*) echo "sshd.sh start|stop|gone DIR [PORT]" >&2; exit 2 ;;
esac
