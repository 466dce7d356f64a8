#!/usr/bin/env bash
# Decision to a script's first line on Kubernetes, beside what the cluster itself needs: one job after the other, the same image, both in one run.
#
#   benches/peers/kubernetes.sh [N]
#
# Starts the cluster of tests/services/kubernetes.sh; OVERDRIVE names the program (default target/release/overdrive, else debug).
set -euo pipefail
count=${1:-10}
here=$(cd "$(dirname "$0")/../.." && pwd)
program=${OVERDRIVE:-$here/target/release/overdrive}
[ -x "$program" ] || program=$here/target/debug/overdrive
work=$(mktemp -d)
trap 'bash "$here/tests/services/kubernetes.sh" stop "$work/cluster" >/dev/null 2>&1; rm -rf "$work"' EXIT
bash "$here/tests/services/kubernetes.sh" start "$work/cluster" >/dev/null
# shellcheck disable=SC1091
. "$work/cluster/env"
export KUBECONFIG
mkdir -p "$work/shared" "$work/cache" "$work/project"
now() { date +%s.%N; }
median() { sort -n | awk '{a[NR] = $1} END {printf "median %.2f s, least %.2f, most %.2f (%d)\n", a[int((NR + 1) / 2)], a[1], a[NR], NR}'; }

# The cluster alone: kubectl create -> the script's first line, by the clock of this machine, which is the node's.
for n in $(seq "$count"); do
    began=$(now)
    kubectl create -f - >/dev/null <<END
apiVersion: batch/v1
kind: Job
metadata: {name: bare-$n}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      volumes: [{name: shared, hostPath: {path: $work/shared}}]
      containers:
      - {name: bare, image: $IMAGE, imagePullPolicy: Never, command: [sh, -c, "date +%s.%N > $work/shared/bare-$n"], volumeMounts: [{name: shared, mountPath: $work/shared}]}
END
    kubectl wait --for=condition=complete --timeout=120s "job/bare-$n" >/dev/null
    stat -c %.Y "$work/shared/bare-$n" | awk -v began="$began" '{print $1 - began}' >>"$work/bare"
    kubectl delete job "bare-$n" --wait=false >/dev/null
done
echo "kubectl create -> script:      $(median <"$work/bare")"

cd "$work/project"
cat >hdconfig.yml <<END
sampling: {type: grid, parameter_space: [{name: --x, expression: choice, values: [$(seq -s, "$count")]}]}
policy: {type: NoTerminationPolicy}
primary_metric_name: score
primary_metric_goal: maximize
max_total_runs: $count
max_concurrent_runs: 1
max_duration_minutes: 30
END
printf 'script: train.sh\ntarget: k8s\nenvironment: {python: {userManagedDependencies: true}}\n' >train.runconfig
printf 'echo score=1\n' >train.sh
attach() { "$program" target attach kubernetes -n k8s --image "$IMAGE" --image-pull-policy Never --cache "host:$work/cache" "$@" >/dev/null 2>&1; }
sweep() {
    local began ended
    began=$(now)
    "$program" run hdconfig.yml -q --progress none --set name="$1" >/dev/null
    ended=$(now)
    awk -v began="$began" -v ended="$ended" -v count="$count" -v what="$2" \
        'BEGIN {printf "%s %.2f s per trial, %.1f s in all, start and end of the sweep included (%d)\n", what, (ended - began) / count, ended - began, count}'
}
attach
sweep warm "overdrive, first sweep:       "
sweep pods "overdrive, a pod per trial:   "
"$program" target detach -n k8s >/dev/null
attach --workers
sweep workers "overdrive, workers:           "

# The cluster's best for many at once.
began=$(now)
for n in $(seq "$count"); do
    printf -- '---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: many-%s}\nspec: {backoffLimit: 0, template: {spec: {restartPolicy: Never, containers: [{name: bare, image: "%s", imagePullPolicy: Never, command: ["true"]}]}}}\n' "$n" "$IMAGE"
done | kubectl create -f - >/dev/null
kubectl wait --for=condition=complete --timeout=300s $(seq -f 'job/many-%g' "$count") >/dev/null
awk -v began="$began" -v ended="$(now)" -v count="$count" 'BEGIN {printf "kubectl create, all at once:   %.2f jobs/s (%d)\n", count / (ended - began), count}'
