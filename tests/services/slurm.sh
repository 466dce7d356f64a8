#!/usr/bin/env bash
# A Slurm cluster on this machine: a controller, two nodes that are always there (partition main) and two that are started when there
# is work and stopped when there is none (partition elastic), each a daemon of its own, told apart by name and port.
#
#   slurm.sh start|stop DIR
#   slurm.sh node DIR NAME kill|start      a node loses power, or comes back
#   slurm.sh controller DIR kill|start     nobody answers sbatch and squeue, or somebody does again
#
# DIR/env holds SLURM_CONF and POWER_LOG, which nodes were started and stopped. Needs root and Debian's munge, slurmctld, slurmd, slurm-client. Jobs run as whoever submits them.
set -euo pipefail
verb=${1:?start, stop, node or controller} dir=${2:?a folder}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
port=$((20000 + $(cksum <<<"$dir" | cut -d' ' -f1) % 10000))
# Every job's owner must be able to read it.
run=/run/overdrive-slurm-$port
export SLURM_CONF=$run/slurm.conf PATH=$PATH:/usr/sbin:/sbin
nodes="n1 n2"
elastic="e1 e2"

running() { [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null; }

# Prints a process and everything below it.
family() {
    echo "$1"
    for child in $(cat "/proc/$1/task"/*/children 2>/dev/null); do family "$child"; done
}

# The daemon of a node, the shepherds of its jobs (they have left it: known by their socket) and what runs under them.
of_node() {
    if running "$run/$1.pid"; then family "$(cat "$run/$1.pid")"; fi
    ss -Hxlp src "$run/spool/$1/*" 2>/dev/null | grep -o 'pid=[0-9]*' | cut -d= -f2 | sort -u |
        while read -r shepherd; do family "$shepherd"; done
}

node() {
    case $2 in
    start) running "$run/$1.pid" || setsid slurmd -N "$1" -f "$SLURM_CONF" </dev/null >/dev/null 2>&1 ;;
    kill)
        # shellcheck disable=SC2046
        kill -9 $(of_node "$1" | sort -u) 2>/dev/null || true
        rm -rf "$run/$1.pid" "$run/spool/$1"
        ;;
    esac
}

controller() {
    case $1 in
    start) running "$run/controller.pid" || setsid slurmctld -f "$SLURM_CONF" </dev/null >"$dir/controller.out" 2>&1 ;;
    kill) ! running "$run/controller.pid" || kill -9 "$(cat "$run/controller.pid")" ;;
    esac
}

configure() {
    install -d -m 755 "$run" "$run/spool"
    install -d -m 700 "$run/state"
    [ -s "$run/state/munge.key" ] || (umask 077 && head -c 128 /dev/urandom >"$run/state/munge.key")
    cat >"$SLURM_CONF" <<END
ClusterName=overdrive
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$run/munge.socket
CredType=cred/munge
StateSaveLocation=$run/state
SlurmdSpoolDir=$run/spool/%n
SlurmctldPidFile=$run/controller.pid
SlurmdPidFile=$run/%n.pid
SlurmctldLogFile=$run/controller.log
SlurmdLogFile=$run/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=0,batch_sched_delay=0
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=10
InactiveLimit=0
KillWait=3
MinJobAge=300
JobRequeue=1
END
    offset=10
    for name in $nodes $elastic; do
        case $name in n*) state=UNKNOWN ;; *) state=CLOUD ;; esac
        echo "NodeName=$name NodeHostname=localhost NodeAddr=127.0.0.1 Port=$((port + offset)) CPUs=4 RealMemory=2000 State=$state"
        offset=$((offset + 1))
    done >>"$SLURM_CONF"
    {
        echo "PartitionName=main Nodes=${nodes// /,} Default=YES MaxTime=INFINITE State=UP SuspendTime=INFINITE"
        echo "PartitionName=elastic Nodes=${elastic// /,} MaxTime=INFINITE State=UP"
        echo "ResumeProgram=$run/power-up"
        echo "SuspendProgram=$run/power-down"
        printf '%s\n' ResumeTimeout=60 SuspendTimeout=5 SuspendTime=5 ResumeRate=0 SuspendRate=0
    } >>"$SLURM_CONF"
    # What a cloud does: to start a machine is to start its daemon. The controller calls these with next to no environment.
    cat >"$run/power-up" <<END
#!/bin/bash
export SLURM_CONF=$SLURM_CONF PATH=/usr/sbin:/usr/bin:/sbin:/bin
for name in \$(scontrol show hostnames "\$1"); do
    echo "up \$name" >>$run/power.log
    # One that has booted before the controller asked for it has not booted yet.
    (sleep 2; exec setsid slurmd -N "\$name" -f $SLURM_CONF -b) </dev/null >>$run/power.log 2>&1 &
done
END
    cat >"$run/power-down" <<END
#!/bin/bash
export SLURM_CONF=$SLURM_CONF PATH=/usr/sbin:/usr/bin:/sbin:/bin
for name in \$(scontrol show hostnames "\$1"); do
    echo "down \$name" >>$run/power.log
    [ ! -s $run/\$name.pid ] || kill "\$(cat $run/\$name.pid)"
done
END
    chmod 755 "$run/power-up" "$run/power-down"
}

start() {
    configure
    running "$run/munge.pid" || setsid munged --force --key-file="$run/state/munge.key" --socket="$run/munge.socket" \
        --pid-file="$run/munge.pid" --log-file="$dir/munge.log" --seed-file="$run/state/munge.seed" 2>>"$dir/munge.log"
    controller start
    for name in $nodes; do node "$name" start; done
    for _ in $(seq 300); do
        [ "$(sinfo -h -N -p main -t idle,mix,alloc -o %N 2>/dev/null | wc -l)" = "$(wc -w <<<"$nodes")" ] && break
        sleep 0.1
    done
    sinfo
    printf '%s\n' "SLURM_CONF=$SLURM_CONF" "POWER_LOG=$run/power.log" >"$dir/env"
}

stop() {
    [ -d "$run" ] || return 0
    for name in $nodes $elastic; do node "$name" kill; done
    for pid in "$run/controller.pid" "$run/munge.pid"; do
        if running "$pid"; then
            kill "$(cat "$pid")"
            for _ in $(seq 100); do running "$pid" || break; sleep 0.05; done
            ! running "$pid" || kill -9 "$(cat "$pid")"
        fi
    done
    rm -rf "$run"
}

case $verb in
start) start ;;
stop) stop ;;
node) node "${3:?its name}" "${4:?kill or start}" ;;
controller) controller "${3:?kill or start}" ;;
*) echo "slurm.sh start|stop|node|controller DIR ..." >&2; exit 2 ;;
esac
