#!/bin/sh
# overdrive's runner for machines on which its program cannot run: one attempt of one trial, by POSIX sh and its common tools.
#
#   sh runner.sh run FOLDER         executes the attempt whose `order.sh` lies in FOLDER
#   sh runner.sh orphans NONCE      ends what a runner that is gone left running
#   sh runner.sh pack FOLDER [all]  writes what an attempt left (or all that is there): a head and the bytes of each
#   sh runner.sh take FILE SIZE MODE  makes a file of the standard input
#   set -- lib; . runner.sh         makes what the controller's side asks for known to a shell that it talks to
#
# Facts go to FOLDER/account, a line each: NUMBER WORD ... CHECKSUM, where the checksum is that of `cksum` over the checksum before and the
# rest of the line, so that a torn or foreign line is known. What the numbers on the output mean is told by whoever reads it.
# Needs /proc. See docs/design/shell-runner.md.

users_umask=$(umask)
umask 077
set -f

log=azureml-logs/70_driver_log.txt
seq=0
crc=0

# Milliseconds since boot, in `now`.
clock() {
    read -r up rest </proc/uptime
    parts=${up#*.}
    now=$((${up%.*} * 1000 + ${parts#0} * 10))
}

# State, parent, session and start time of the process $1; false if there is none.
look() {
    state='' parent='' session='' ticks=''
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
    # shellcheck disable=SC2086
    set -- ${line##*) }
    [ $# -ge 20 ] || return 1
    state=$1 parent=$2 session=$4
    shift 19
    ticks=$1
}

# shellcheck disable=SC2016
ascii=' !"#$%&'\''()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefghijklmnopqrstuvwxyz{|}~'

# What POSIX `cksum` says of text $1, which is printable ASCII, in `sum`; small machines have no `cksum`.
checksum() {
    unread=$1 sum=0 length=${#1}
    while [ -n "$unread" ]; do
        later=${unread#?}
        before=${ascii%%"${unread%"$later"}"*}
        unread=$later
        sum=$((sum ^ ((${#before} + 32) << 24)))
        for bit in 1 2 3 4 5 6 7 8; do
            sum=$(((sum << 1 ^ (sum >> 31 & 1) * 0x04c11db7) & 0xffffffff))
        done
    done
    while [ "$length" -gt 0 ]; do
        sum=$((sum ^ (length & 255) << 24))
        for bit in 1 2 3 4 5 6 7 8; do
            sum=$(((sum << 1 ^ (sum >> 31 & 1) * 0x04c11db7) & 0xffffffff))
        done
        length=$((length >> 8))
    done
    sum=$((sum ^ 0xffffffff))
}

# Appends a fact, a line of printable ASCII; false if the disk does not take it.
say() {
    fact="$seq $*"
    checksum "$crc $fact"
    if [ -n "$torn" ]; then fact_line="
$fact $sum"; else fact_line="$fact $sum"; fi
    if printf '%s\n' "$fact_line" 2>/dev/null >>account; then
        torn='' crc=$sum seq=$((seq + 1))
    else
        # A part of it may be there: the next one begins a line of its own.
        torn=yes
        return 1
    fi
}

# The same for what must be told: on a full disk in the room that was set aside, and again until somebody made room.
say_last() {
    tries=0
    until say "$@"; do
        rm -f reserve
        tries=$((tries + 1))
        [ "$tries" -lt 3600 ] || return 1
        [ "$tries" -lt 3 ] || sleep 1
    done
}

# It cannot be started: class, reason.
refuse() {
    say_last refused "$1" "$(printf '%s' "$2" | LC_ALL=C tr '\n' ' ' | LC_ALL=C tr -c ' -~' '?' | cut -c 1-500)"
    say_last sealed
    exit 0
}

# Sizes of the log and of the report file, in `log_size` and `report_size`.
measure() {
    # shellcheck disable=SC2046
    set -- $(LC_ALL=C ls -lnd "$log" report.jsonl 2>/dev/null)
    log_size=${5:-0}
    report_size=${14:-0}
}

# Tells how far output and reports have come, if they have.
grown() {
    measure
    [ "$log_size $report_size" != "$told" ] || return 0
    clock
    say grew $((now - begun)) "$log_size" "$report_size" && told="$log_size $report_size"
    return 0
}

# Copies what comes to the end of file $1 until it has $2 bytes more (or a block too much); false at the end of the input.
fill() {
    have=0
    while [ "$have" -lt "$2" ]; do
        blocks=$((($2 - have + 16383) / 16384))
        said=$(LC_ALL=C dd bs=16384 count="$blocks" 2>&1 >>"$1")
        case $said in
        '0+0 records in'*) return 1 ;;
        esac
        # shellcheck disable=SC2046
        set -- "$1" "$2" $(LC_ALL=C ls -lnd "$1" 2>/dev/null)
        size=${7:-0}
        if [ "$size" -le "$have" ]; then
            # The disk takes nothing: what comes is dropped, so that the script goes on.
            { : >unwritten; } 2>/dev/null
            said=$(LC_ALL=C dd bs=16384 count=64 2>&1 >/dev/null)
            case $said in
            '0+0 records in'*) return 1 ;;
            esac
        fi
        have=$size
    done
}

# Writes the output to the log: all of it up to half the limit, then the last half of what follows.
capture() {
    half=$((od_cap / 2))
    fill "$log" "$half" || return 0
    part=a other=b lost=0
    until ! fill "azureml-logs/70_driver_log.part-$part.txt" "$half"; do
        swap=$part part=$other other=$swap
        gone=azureml-logs/70_driver_log.part-$part.txt
        if [ -e "$gone" ]; then
            lost=$((lost + $(wc -c <"$gone")))
            rm -f "$gone"
        fi
    done
    now_part=azureml-logs/70_driver_log.part-$part.txt
    older=azureml-logs/70_driver_log.part-$other.txt
    [ -e "$now_part" ] || : >"$now_part"
    [ -e "$older" ] || : >"$older"
    both=$(($(wc -c <"$older") + $(wc -c <"$now_part")))
    # The first half may be a block longer.
    rest=$((od_cap - $(wc -c <"$log")))
    [ "$both" -le "$rest" ] || lost=$((lost + both - rest))
    if [ "$lost" -gt 0 ]; then
        printf '\n[overdrive: %s bytes left out here]\n' "$lost" >>"$log"
        echo "$lost" >capped
    fi
    cat "$older" "$now_part" | tail -c "$rest" >>"$log"
    rm -f "$older" "$now_part"
}

# Processes of the trial, in `members`: those of the script's session, and those that have the attempt's cookie in their environment.
# $1 = the session or empty, $2 = the cookie's value, $3 = start time of the oldest that can belong to it.
find_members() {
    members='' in_session=''
    set +f
    for place in /proc/[0-9]*; do
        pid=${place#/proc/}
        look "$pid" || continue
        case $state in Z | X) continue ;; esac
        [ "$ticks" -ge "$3" ] || continue
        if [ -n "$1" ] && [ "$session" = "$1" ]; then
            members="$members $pid:$ticks" in_session=yes
        elif [ -r "$place/environ" ] && has_cookie "$place/environ" "$2"; then
            members="$members $pid:$ticks"
        fi
    done
    set -f
}

if printf 'a\0b' 2>/dev/null | grep -qzx b 2>/dev/null; then
    has_cookie() { grep -qszx "OVERDRIVE_COOKIE=$2" "$1"; }
else
    has_cookie() { tr '\0' '\n' 2>/dev/null <"$1" | grep -qx "OVERDRIVE_COOKIE=$2"; }
fi

# KILL to all of the trial until nobody is left, at most 5 s; who is left is in `members`. Arguments as above.
end_members() {
    clock
    until_ms=$((now + 5000))
    while :; do
        find_members "$1" "$2" "$3"
        [ -n "$members" ] || return 0
        clock
        [ "$now" -lt "$until_ms" ] || return 1
        # While somebody is in the session, its number is nobody else's.
        [ -z "$in_session" ] || kill -KILL "-$1" 2>/dev/null
        for member in $members; do
            # Another process may have its number by now.
            if look "${member%:*}" && [ "$ticks" = "${member#*:}" ]; then kill -KILL "${member%:*}" 2>/dev/null; fi
        done
        $nap
    done
}

# How many processes the kernel has killed for want of memory, in `killed`.
count_killed() {
    killed=0
    while read -r name value; do
        if [ "$name" = oom_kill ]; then killed=$value; fi
    done 2>/dev/null </proc/vmstat
}

# The script is to end because of $1: TERM now, KILL after the grace.
ask_to_end() {
    [ -z "$ending" ] || return 0
    ending=$1
    clock
    kill_at=$((now + od_grace_ms))
    if [ -n "$group" ]; then
        kill -TERM "-$script" 2>/dev/null
        kill -CONT "-$script" 2>/dev/null
    else
        kill -TERM "$script" 2>/dev/null
    fi
}

# What is to be done now and then while the script runs.
tick() {
    [ -z "$told_to" ] || ask_to_end "$told_to"
    if [ -e cancel ]; then ask_to_end cancel; fi
    clock
    if [ -n "$od_timeout_ms" ] && [ $((now - started)) -ge "$od_timeout_ms" ]; then ask_to_end timeout; fi
    if [ -n "$ending" ] && [ -z "$struck" ] && [ "$now" -ge "$kill_at" ]; then
        if [ "$ending" = cancel ] && [ ! -e cancel ]; then
            # It was taken back within the grace.
            ending=''
        else
            struck=yes
            end_members "$group" "$od_nonce" "$script_ticks"
        fi
    fi
    grown
}

run() {
    cd "$1" || exit 70
    # shellcheck disable=SC1091
    . ./order.sh || exit 70
    torn=''
    sleep 0.01 2>/dev/null && nap='sleep 0.1' pause=0.2 || nap='sleep 1' pause=1
    read -r boot </proc/sys/kernel/random/boot_id
    look $$ || exit 70
    own_ticks=$ticks
    host=$(uname -n | LC_ALL=C tr -c '\n!-~' '?')
    # Whoever makes this link executes the attempt; it appears with all that it says.
    printf '{"host":"%s","boot_id":"%s","pid":%s,"start_ticks":%s,"nonce":"%s"}' \
        "$host" "$boot" $$ "$own_ticks" "$od_nonce" >"claim.$$" || exit 70
    if ! ln "claim.$$" claim 2>/dev/null; then
        if [ -e claim ] || ! (set -C && cat "claim.$$" >claim) 2>/dev/null; then
            rm -f "claim.$$"
            exit 0
        fi
    fi
    rm -f "claim.$$"
    clock
    begun=$now
    : >account
    dd if=/dev/zero of=reserve bs=4096 count=4 2>/dev/null
    say_last claimed "$host" "$boot" $$ "$own_ticks" "$(date +%s)000" 1

    told_to='' ending='' struck='' survivors='' told='0 0'
    trap 'told_to=terminated' TERM INT
    trap '' HUP
    trap : USR1

    if [ -n "$od_in_place" ]; then
        work=$od_in_place
        [ -d "$work" ] || refuse setup "the folder $work does not exist"
    else
        work=$PWD/wd
        if [ -n "$od_snapshot" ]; then
            said=$(cp -R -P -p "$od_snapshot/." wd 2>&1 && chmod -R u+w wd 2>&1) ||
                refuse infrastructure "cannot copy the snapshot: $said"
        else
            mkdir -p wd || refuse infrastructure "cannot make $work"
        fi
    fi
    said=$(mkdir -p "$work/outputs" "$work/logs" azureml-logs user_logs artifacts 2>&1 && od_outputs 2>&1) ||
        refuse infrastructure "cannot make the folders of the trial: $said"
    ln -s ../azureml-logs/70_driver_log.txt user_logs/std_log.txt 2>/dev/null
    { : >"$log" && mkfifo out life; } 2>/dev/null || refuse infrastructure "cannot make a pipe in $PWD"
    if said=$(cd "$work" && od_environment && od_check 2>&1); then :; else
        refuse setup "${said:-the command cannot be started}"
    fi
    if [ -e cancel ]; then
        say_last exited 0 - - cancel
        say_last sealed
        exit 0
    fi
    [ -z "$told_to" ] || refuse infrastructure "the runner was told to end"
    setsid=''
    # Found before the script's own search path counts.
    if command -v setsid >/dev/null 2>&1; then setsid=$(command -v setsid); fi
    env=$(command -v env)
    count_killed
    killed_before=$killed

    main=$$
    capture <out >/dev/null 2>&1 &
    capturer=$!
    # Whoever holds the pipe of life is this process alone: at its end, whatever ended it, the script goes, too.
    $setsid sh "$0" guard "$PWD" "$own_ticks" "$od_nonce" </dev/null >/dev/null 2>&1 &
    exec 9>life
    (
        exec 9>&-
        trap - TERM INT HUP USR1
        umask "$users_umask"
        cd "$work" || exit 127
        { echo 500 >/proc/self/oom_score_adj; } 2>/dev/null
        od_environment
        od_command
    ) </dev/null >out 2>&1 &
    script=$!
    look "$script"
    script_ticks=${ticks:-$own_ticks}
    group=''
    [ -z "$setsid" ] || group=$script
    clock
    started=$now
    say_last started "$script" "$script_ticks" $((now - begun))
    begun=$now
    # Wakes this shell, which waits for the script.
    (
        exec 9>&-
        trap - TERM INT
        beats=0
        while sleep "$pause" && kill -USR1 "$main" 2>/dev/null; do
            # What runs for long need not be looked at so often.
            beats=$((beats + 1))
            [ "$pause" = 1 ] || case $beats in 300) pause=0.5 ;; 1500) pause=1 ;; esac
        done
    ) </dev/null >/dev/null 2>&1 &
    ticker=$!

    tick
    code='' gone=0
    while :; do
        wait "$script"
        got=$?
        if [ "$got" -eq 127 ] && [ -n "$code" ]; then break; fi
        code=$got
        [ "$code" -gt 128 ] || break
        # A signal ended the script, or the waiting.
        if kill -0 "$script" 2>/dev/null; then
            tick
            if [ -n "$struck" ] && [ -n "$members" ]; then
                survivors=$members
                case " $members" in *" $script:"*) code='' && break ;; esac
            fi
            continue
        fi
        # The waiting may have been ended in the moment of the script's own end, whose code is then still to be had. A shell that has
        # given it says 127, or the same again.
        gone=$((gone + 1))
        [ "$gone" -le 3 ] || break
    done
    clock
    duration=$((now - started))
    # A cluster signals all at once: why the script was ended is known a moment later.
    if [ -z "$ending" ] && [ "${code:-0}" -gt 128 ]; then
        $nap
        [ -z "$told_to" ] || ending=$told_to
    fi
    if [ -z "$survivors" ]; then
        end_members "$group" "$od_nonce" "$script_ticks"
        survivors=$members
    fi
    # The last of the output, at most 2 s: somebody who could not be ended may hold its other end.
    clock
    drained=$((now + 2000)) parts_before=''
    while wait "$capturer"; [ $? -gt 128 ] && kill -0 "$capturer" 2>/dev/null; do
        clock
        # On a busy machine, and while a long log is put together, more comes all the time.
        parts_now=$(LC_ALL=C ls -ln azureml-logs 2>/dev/null)
        [ "$parts_now" = "$parts_before" ] || drained=$((now + 2000)) parts_before=$parts_now
        [ "$now" -lt "$drained" ] || break
    done
    kill "$capturer" 2>/dev/null
    kill "$ticker" 2>/dev/null
    grown
    [ ! -e capped ] || say warned log-capped "$(cat capped) bytes in the middle of the log were left out"
    [ ! -e unwritten ] || say warned log-disk-full "a part of the log could not be written"
    exit_code=- signal=-
    if [ -z "$code" ]; then :
    elif [ "$code" -gt 128 ] && [ "$code" -le 192 ]; then signal=$((code - 128))
    else exit_code=$code; fi
    if [ -z "$ending" ] && [ "$signal" = 9 ]; then
        count_killed
        [ "$killed" -le "$killed_before" ] || ending=oom
    fi
    left=''
    for member in $survivors; do left="$left ${member%:*}"; done
    # shellcheck disable=SC2086
    say_last exited "$duration" "$exit_code" "$signal" "${ending:--}" $left
    say_last sealed
    rm -f out life reserve capped unwritten
    echo over >&9
    exit 0
}

# Waits for the end of the runner in folder $1; ends the trial of cookie $3 unless the runner was done.
guard() {
    cd "$1" || exit 70
    word=''
    read -r word <life
    [ "$word" != over ] || exit 0
    sleep 0.01 2>/dev/null && nap='sleep 0.1' || nap='sleep 1'
    end_members '' "$3" "$2"
}

# What is known of the attempt in folder $1, and its account from about byte $2 on; $3 = process that was started for it, if any.
od_look() {
    text='' life=''
    { IFS= read -r text <"$1/claim"; } 2>/dev/null
    case $text in
    *'"nonce":'*'}')
        pid=${text#*\"pid\":} start=${text#*\"start_ticks\":}
        pid=${pid%%,*} start=${start%%,*}
        claim_boot=${text#*\"boot_id\":\"} claim_host=${text#*\"host\":\"}
        claim_boot=${claim_boot%%\"*} claim_host=${claim_host%%\"*}
        if [ "$pid" = 0 ]; then life=nobody
        elif [ "$claim_host" != "$od_host" ]; then life="elsewhere $claim_host"
        elif [ "$claim_boot" != "$od_boot" ]; then life=restarted
        elif look "$pid" && [ "$ticks" = "$start" ] && [ "$state" != Z ]; then life=alive
        else life="gone $pid"; fi
        ;;
    *)
        if [ -n "$3" ] && look "$3" && [ "$state" != Z ]; then life=alive
        elif [ -e "$1/claim" ]; then life=alive
        elif [ -n "$3" ]; then life="silent $3 $(tail -n 1 "$1/runner.log" 2>/dev/null)"
        else
            life=unclaimed claim_boot=''
            { read -r claim_boot <"$1/boot"; } 2>/dev/null
            [ -z "$claim_boot" ] || [ "$claim_boot" = "$od_boot" ] || life=restarted
        fi
        ;;
    esac
    printf '%s\n' "$life"
    od_piece "$1/account" "$2" 64
    od_cut
}

# At most $3 blocks of file $1 from the one on in which byte $2 lies.
od_piece() {
    if [ -f "$1" ] && [ ! -h "$1" ]; then dd if="$1" bs=4096 skip=$(($2 / 4096)) count="$3" 2>/dev/null; fi
}

# What was said is one piece.
od_cut() { printf '\n%s\n' "$od_mark"; }

# Starts the runner for folder $1, away from this shell; its process.
od_start() {
    (
        cd "$1" || exit 1
        if command -v setsid >/dev/null 2>&1; then
            setsid sh "$od_runner" run "$1" </dev/null >runner.log 2>&1 &
        else
            nohup sh "$od_runner" run "$1" </dev/null >runner.log 2>&1 &
        fi
        echo $!
    )
}

# Ends the attempt in folder $1, or claims it in nobody's name so that it never starts.
od_cancel() {
    mkdir -p "$1" || return 1
    printf '{"host":"%s","boot_id":"%s","pid":0,"start_ticks":0,"nonce":""}' "$od_host" "$od_boot" >"$1/nobody.$$" || return 1
    if ln "$1/nobody.$$" "$1/claim" 2>/dev/null; then rm -f "$1/nobody.$$"; return 0; fi
    rm -f "$1/nobody.$$"
    : >"$1/cancel"
}

# Writes a head and what is behind path $1.
pack_one() {
    if [ -h "$1" ]; then
        to=$(readlink "$1" && echo .) || return 0
        to=${to%??}
        printf 'l 0 %s %s\n%s\n%s' "${#to}" "${#1}" "$1" "$to"
    elif [ -d "$1" ]; then
        printf 'd 0 0 %s\n%s\n' "${#1}" "$1"
        for path in "$1"/* "$1"/.[!.]* "$1"/..?*; do
            if [ -e "$path" ] || [ -h "$path" ]; then pack_one "$path"; fi
        done
    elif [ -f "$1" ] && [ -r "$1" ]; then
        # shellcheck disable=SC2046
        set -- "$1" $(stat -c '%a %s' "$1" 2>/dev/null)
        [ $# -eq 3 ] || set -- "$1" 600 $(($(wc -c <"$1")))
        printf 'f %s %s %s\n%s\n' "$2" "$3" "${#1}" "$1"
        head -c "$3" "$1"
    fi
}

pack() {
    # What is not there left nothing.
    cd "$1" 2>/dev/null || { printf 'e 0 0 0\n' && exit 0; }
    LC_ALL=C
    set +f
    for path in ./*; do
        [ -z "$2" ] || { pack_one "$path" && continue; }
        case $path in
        ./account | ./order.sh | ./wd | ./out | ./life | ./reserve | ./spec.json | ./boot | ./cancel | ./runner.log | ./journal | './*') ;;
        ./azureml-logs) printf 'd 0 0 14\n./azureml-logs\n' ;;
        *) pack_one "$path" ;;
        esac
    done
    if [ -z "$2" ]; then
        for path in ./wd/outputs ./wd/logs; do
            if [ -d "$path" ]; then pack_one "$path"; fi
        done
    fi
    printf 'e 0 0 0\n'
}

take() {
    draft=$1.$$
    cat >"$draft" && [ "$(($(wc -c <"$draft")))" -eq "$2" ] && chmod "$3" "$draft" && mv -f "$draft" "$1" && return 0
    rm -f "$draft"
    exit 73
}

case ${1:-} in
lib) ;;
pack) pack "$2" "${3:-}" ;;
take) take "$2" "$3" "$4" ;;
run) run "$2" ;;
guard) guard "$2" "$3" "$4" ;;
orphans)
    sleep 0.01 2>/dev/null && nap='sleep 0.1' || nap='sleep 1'
    end_members '' "$2" 0
    ;;
*)
    echo 'runner.sh run FOLDER | orphans NONCE | pack FOLDER [all] | take FILE SIZE MODE' >&2
    exit 2
    ;;
esac
