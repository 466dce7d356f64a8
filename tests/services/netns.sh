#!/usr/bin/env bash
# Several machines that are reached by SSH, on this one: each a network namespace with an address and a server of its own, all on
# one bridge, so that lines can be cut, made slow or lossy, and machines can lose power.
#
#   netns.sh start|stop|status DIR
#   netns.sh cut|heal DIR HOST       nothing passes to or from HOST; everything passes again
#   netns.sh lose DIR HOST PERCENT   that share of the packets in each direction is lost
#   netns.sh rate DIR HOST RATE      the line carries no more, such as 2mbit
#   netns.sh kill|boot DIR HOST      all processes of HOST are gone at once; its server runs again
#
# DIR/env holds what tests need. Twice to start or to stop does no harm. Needs root and Debian's openssh-server, iproute2, iptables.
# NETNS_COUNT hosts are called h1, h2, ...; one user and one home serve all of them, so give each a folder of its own. NETNS_MAX_SESSIONS
# is how many sessions one connection may have. Processes and files are shared: only the network is a host's own.
set -euo pipefail
verb=${1:?a verb} dir=${2:?a folder} host=${3:-} value=${4:-}
export PATH=/usr/sbin:/sbin:$PATH
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
count=$(cat "$dir/count" 2>/dev/null || echo "${NETNS_COUNT:-2}")
# Names of links have at most 15 letters.
number=$(cksum <<<"$dir" | cut -d' ' -f1)
short=${number: -5}
bridge=odb$short
user=odnet$number
public=/run/overdrive-test-$user
# A network that nobody else here has: a part of what is reserved for measurements between networks.
net=198.$((18 + number % 2)).$((number / 2 % 256))

space() { echo "od$short$1"; }
link() { echo "odv$short$1"; }
address() { echo "$net.$((10 + ${1#h}))"; }
alive() { [ -s "$dir/$1.pid" ] && kill -0 "$(cat "$dir/$1.pid")" 2>/dev/null; }
answers() { (exec 3<>"/dev/tcp/$(address "$1")/22") 2>/dev/null; }

boot() {
    alive "$1" && return
    rm -f "$dir/$1.pid"
    ip netns exec "$(space "$1")" setsid /usr/sbin/sshd -f "$dir/sshd_$1" -E "$dir/$1.log" </dev/null >/dev/null 2>&1
    for _ in $(seq 200); do
        if alive "$1" && answers "$1"; then return; fi
        sleep 0.05
    done
    echo "the server of $1 does not answer" >&2
    tail -5 "$dir/$1.log" >&2
    exit 1
}

# Everything that has HOST's network, and only that.
power_off() {
    for _ in 1 2 3; do
        pids=$(ip netns pids "$(space "$1")" 2>/dev/null || true)
        [ -n "$pids" ] || break
        # shellcheck disable=SC2086
        kill -9 $pids 2>/dev/null || true
        sleep 0.05
    done
    rm -f "$dir/$1.pid"
}

start() {
    [ -e "$dir/up" ] && return
    echo "$count" >"$dir/count"
    install -d -m 755 /run/sshd "$public"
    id "$user" >/dev/null 2>&1 || useradd --no-create-home --home-dir "$public/home" --shell /bin/bash "$user"
    install -d -m 700 -o "$user" "$public/home"
    # A locked password would keep keys out, too.
    chpasswd <<<"$user:$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')"
    [ -f "$dir/client" ] || ssh-keygen -q -t ed25519 -N '' -C client -f "$dir/client"
    cp "$dir/client.pub" "$public/authorized_keys"
    ip link show "$bridge" >/dev/null 2>&1 || ip link add "$bridge" type bridge
    ip addr replace "$net.1/24" dev "$bridge"
    ip link set "$bridge" up
    : >"$dir/known_hosts"
    for index in $(seq "$count"); do
        one=h$index
        ip netns list | grep -q "^$(space "$one")\b" || ip netns add "$(space "$one")"
        if ! ip link show "$(link "$one")" >/dev/null 2>&1; then
            ip link add "$(link "$one")" type veth peer name eth0 netns "$(space "$one")"
        fi
        ip link set "$(link "$one")" master "$bridge" up
        ip -n "$(space "$one")" link set lo up
        ip -n "$(space "$one")" addr replace "$(address "$one")/24" dev eth0
        ip -n "$(space "$one")" link set eth0 up
        [ -f "$dir/key_$one" ] || ssh-keygen -q -t ed25519 -N '' -C "$one" -f "$dir/key_$one"
        cat >"$dir/sshd_$one" <<END
ListenAddress $(address "$one")
Port 22
HostKey $dir/key_$one
PidFile $dir/$one.pid
AuthorizedKeysFile $public/authorized_keys
AllowUsers $user
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
MaxStartups 100:30:200
MaxSessions ${NETNS_MAX_SESSIONS:-10}
LogLevel VERBOSE
END
        boot "$one"
    done
    {
        echo "USER=$user"
        echo "KEY=$dir/client"
        echo "HOME=$public/home"
        for index in $(seq "$count"); do echo "H$index=$(address "h$index")"; done
    } >"$dir/env"
    touch "$dir/up"
}

stop() {
    for index in $(seq "$count"); do
        power_off "h$index"
        ip netns del "$(space "h$index")" 2>/dev/null || true
        ip link del "$(link "h$index")" 2>/dev/null || true
    done
    ip link del "$bridge" 2>/dev/null || true
    rm -rf "$public" "$dir/up"
    userdel "$user" 2>/dev/null || true
}

filter() {
    for chain in INPUT OUTPUT; do ip netns exec "$(space "$host")" iptables -w "$1" "$chain" "${@:2}"; done
}

case $verb in
start) start ;;
stop) stop ;;
status) [ -e "$dir/up" ] || exit 3 ;;
# Packets vanish, as when a cable is pulled behind a switch: nobody is told.
cut) filter -I -j DROP ;;
heal)
    filter -F
    tc qdisc del dev "$(link "$host")" root 2>/dev/null || true
    ip netns exec "$(space "$host")" tc qdisc del dev eth0 root 2>/dev/null || true
    ;;
lose) filter -A -m statistic --mode random --probability "$(awk "BEGIN { print ${value:?percent} / 100 }")" -j DROP ;;
rate)
    tc qdisc replace dev "$(link "$host")" root tbf rate "${value:?a rate}" burst 32kb latency 400ms
    ip netns exec "$(space "$host")" tc qdisc replace dev eth0 root tbf rate "$value" burst 32kb latency 400ms
    ;;
kill) power_off "$host" ;;
boot) boot "$host" ;;
*) echo "netns.sh start|stop|status|cut|heal|lose|rate|kill|boot DIR [HOST] [VALUE]" >&2; exit 2 ;;
esac
