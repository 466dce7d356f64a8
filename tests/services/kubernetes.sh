#!/usr/bin/env bash
# A Kubernetes cluster on this machine: etcd, API server, controllers, scheduler, and one node with a container runtime of its own.
#
#   kubernetes.sh build              makes the binaries (once per machine: minutes)
#   kubernetes.sh start|stop DIR
#   kubernetes.sh node DIR kill|start    the node loses power, or comes back
#
# DIR/env holds KUBECONFIG and the image's name. Needs root and the Debian packages that `missing` names.
# Debian has no package of the servers, but its source package of kubectl is the whole tree: the binaries are built from it with
# Debian's Go and kept in $OVERDRIVE_TEST_KUBERNETES (default ~/.cache/overdrive-tests/kubernetes).
set -euo pipefail
verb=${1:?build, start, stop or node}
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
version=1.20.2
here=$(cd "$(dirname "$0")" && pwd)
bin=${OVERDRIVE_TEST_KUBERNETES:-${XDG_CACHE_HOME:-$HOME/.cache}/overdrive-tests/kubernetes}

missing() {
    local entry absent=()
    for entry in "$@"; do command -v "${entry%%:*}" >/dev/null 2>&1 || [ -e "${entry%%:*}" ] || absent+=("${entry#*:}"); done
    [ ${#absent[@]} -eq 0 ] || { echo "kubernetes.sh: missing Debian packages: ${absent[*]}" >&2; exit 1; }
}

build() {
    [ -x "$bin/kubernetes" ] && return
    # The vendored reflect2 walks maps wrongly under Go 1.18 and later: the API server dies of it. Debian's newer one takes its place.
    local newer=/usr/share/gocode/src/github.com/modern-go/reflect2
    missing /usr/bin/go:golang-go $newer:golang-github-modern-go-reflect2-dev make:make rsync:rsync jq:jq gcc:gcc dpkg-source:dpkg-dev
    mkdir -p "$bin"
    exec 8>"$bin/lock"
    flock 8
    [ -x "$bin/kubernetes" ] && return
    local work=$bin/build options mirror
    rm -rf "$work"
    mkdir -p "$work/lists/partial" "$work/home"
    mirror=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' | grep '^Debian|Debian|' | head -1 | cut -d'|' -f3)
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm main" >"$work/sources.list"
    options="-o Dir::Etc::sourcelist=$work/sources.list -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists=$work/lists -o Dir::Cache=$work"
    # shellcheck disable=SC2086
    (cd "$work" && apt-get $options update -qq && apt-get $options source -qq --download-only kubernetes && tar xzf kubernetes_*.orig.tar.gz) >"$bin/source.log" 2>&1 ||
        { tail -5 "$bin/source.log" >&2; echo "kubernetes.sh: the source of Kubernetes cannot be fetched" >&2; exit 1; }
    (
        cd "$work/kubernetes-$version"
        export HOME=$work/home GOCACHE=$work/cache CGO_ENABLED=0 PATH=/usr/bin:/bin:/usr/sbin:/sbin
        export KUBE_GIT_TREE_STATE=archive KUBE_GIT_VERSION=v$version KUBE_GIT_COMMIT=debian KUBE_GIT_MAJOR=1 KUBE_GIT_MINOR=20
        rm -f vendor/github.com/modern-go/reflect2/*.go
        cp $newer/*.go vendor/github.com/modern-go/reflect2/
        rm -f vendor/github.com/modern-go/reflect2/*_test.go
        # One binary instead of four: what they share is linked once.
        mkdir cmd/kubernetes
        cat >cmd/kubernetes/main.go <<'GO'
package main

import (
	"fmt"
	"math/rand"
	"os"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func main() {
	rand.Seed(time.Now().UnixNano())
	parts := map[string]func() *cobra.Command{
		"apiserver":   apiserver.NewAPIServerCommand,
		"controllers": controllers.NewControllerManagerCommand,
		"scheduler":   func() *cobra.Command { return scheduler.NewSchedulerCommand() },
		"kubelet":     kubelet.NewKubeletCommand,
	}
	part, known := parts[os.Args[1]]
	if !known {
		fmt.Fprintln(os.Stderr, "apiserver, controllers, scheduler or kubelet")
		os.Exit(2)
	}
	os.Args = append(os.Args[:1], os.Args[2:]...)
	command := part()
	logs.InitLogs()
	defer logs.FlushLogs()
	if err := command.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
GO
        make generated_files
        make WHAT=cmd/kubernetes GOLDFLAGS="-s -w"
        install _output/local/go/bin/kubernetes "$bin/kubernetes.part"
        mv "$bin/kubernetes.part" "$bin/kubernetes"
    ) >"$bin/build.log" 2>&1 || { tail -20 "$bin/build.log" >&2; echo "kubernetes.sh: the build failed, see $bin/build.log" >&2; exit 1; }
    rm -rf "$work"
}

if [ "$verb" = build ]; then build; exit; fi

dir=${2:?a folder}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
number=$(cksum <<<"$dir" | cut -d' ' -f1)
port=$((20000 + number % 10000))
run=/run/overdrive-kubernetes-$port
# Pods have addresses of a network of their own.
net=10.$((64 + number % 128))
bridge=odk$((number % 100000))
export KUBECONFIG=$dir/kubeconfig
image=localhost/overdrive-test:latest
rootfs=${OVERDRIVE_TEST_ROOTFS:-${XDG_CACHE_HOME:-$HOME/.cache}/overdrive-tests/rootfs.tar}

running() { [ -s "$dir/$1.pid" ] && kill -0 "$(cat "$dir/$1.pid")" 2>/dev/null; }

# Starts a daemon under a name, unless it runs.
daemon() {
    local name=$1
    shift
    running "$name" && return
    setsid "$@" </dev/null >>"$dir/$name.log" 2>&1 &
    echo $! >"$dir/$name.pid"
}

end() {
    running "$1" || return 0
    local pid
    pid=$(cat "$dir/$1.pid")
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -9 "$pid" 2>/dev/null || true
    rm -f "$dir/$1.pid"
}

# Waits until a command succeeds, or says what a daemon had to say.
until_ready() {
    local what=$1 log=$2
    shift 2
    for _ in $(seq 600); do "$@" >/dev/null 2>&1 && return; sleep 0.2; done
    tail -5 "$dir/$log.log" >&2
    echo "kubernetes.sh: $what did not come up" >&2
    exit 1
}

certificates() {
    [ -s "$dir/ca.crt" ] && return
    (
        umask 077
        cd "$dir"
        openssl rand -hex 16 >token
        openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 30 -subj /CN=overdrive-test 2>/dev/null
        for name in server kubelet-client; do
            openssl req -newkey rsa:2048 -nodes -keyout $name.key -out $name.csr -subj "/O=system:masters/CN=$name" 2>/dev/null
            openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out $name.crt \
                -extfile <(echo "subjectAltName=IP:127.0.0.1,IP:10.233.0.1,DNS:localhost,DNS:kubernetes") 2>/dev/null
        done
        openssl genrsa -out sa.key 2048 2>/dev/null
        openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
        printf '%s,admin,1,"system:masters"\nguest-token,guest,2\n' "$(cat token)" >tokens.csv
    )
}

# A kubeconfig for a token.
config() {
    cat >"$1" <<END
apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "https://127.0.0.1:$((port + 1))", certificate-authority: $dir/ca.crt}}]
users: [{name: user, user: {token: $2}}]
contexts: [{name: test, context: {cluster: test, user: user, namespace: default}}]
current-context: test
END
    chmod 600 "$1"
}

control_plane() {
    daemon etcd etcd --data-dir "$dir/etcd" --listen-client-urls "http://127.0.0.1:$((port + 2))" \
        --advertise-client-urls "http://127.0.0.1:$((port + 2))" --listen-peer-urls "http://127.0.0.1:$((port + 3))" --unsafe-no-fsync
    daemon apiserver "$bin/kubernetes" apiserver --etcd-servers "http://127.0.0.1:$((port + 2))" --bind-address 127.0.0.1 \
        --advertise-address 127.0.0.1 --secure-port $((port + 1)) --insecure-port 0 --tls-cert-file "$dir/server.crt" \
        --tls-private-key-file "$dir/server.key" --client-ca-file "$dir/ca.crt" --token-auth-file "$dir/tokens.csv" \
        --authorization-mode Node,RBAC --kubelet-client-certificate "$dir/kubelet-client.crt" --kubelet-client-key "$dir/kubelet-client.key" \
        --kubelet-preferred-address-types InternalIP --service-account-issuer https://kubernetes.default.svc \
        --service-account-key-file "$dir/sa.pub" --service-account-signing-key-file "$dir/sa.key" --service-cluster-ip-range 10.233.0.0/16 \
        --allow-privileged --feature-gates TTLAfterFinished=true --endpoint-reconciler-type none --cert-dir "$dir/apiserver-pki"
    until_ready "the API server" apiserver kubectl get --raw /readyz
    daemon controllers "$bin/kubernetes" controllers --kubeconfig "$KUBECONFIG" --bind-address 127.0.0.1 --secure-port $((port + 6)) --port 0 \
        --service-account-private-key-file "$dir/sa.key" --root-ca-file "$dir/ca.crt" --cert-dir "$dir/controllers-pki" \
        --controllers '*,-nodeipam,-route,-service,-attachdetach,bootstrapsigner,tokencleaner' --leader-elect=false \
        --feature-gates TTLAfterFinished=true --node-monitor-period 2s --node-monitor-grace-period 16s --pod-eviction-timeout 10s \
        --kube-api-qps 200 --kube-api-burst 300
    daemon scheduler "$bin/kubernetes" scheduler --kubeconfig "$KUBECONFIG" --bind-address 127.0.0.1 --secure-port $((port + 7)) --port 0 \
        --leader-elect=false --cert-dir "$dir/scheduler-pki"
    until_ready "the service account" controllers kubectl get serviceaccount default
}

ctr() { command ctr -a "$run/containerd.sock" -n k8s.io "$@"; }

# An image of one layer, as an archive that the runtime imports.
archive() { # NAME LAYER.tar OUT COMMAND
    python3 - "$@" <<'END'
import hashlib, io, json, sys, tarfile
name, layer, out, command = sys.argv[1:]
with open(layer, "rb") as file:
    digest = hashlib.file_digest(file, "sha256").hexdigest()
config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"], "Cmd": [command]},
                     "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest]}}).encode()
config_name = hashlib.sha256(config).hexdigest() + ".json"
manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
with tarfile.open(out, "w") as archive:
    for path, content in ((config_name, config), ("manifest.json", manifest)):
        entry = tarfile.TarInfo(path)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    archive.add(layer, "layer.tar")
END
}

images() {
    ctr image ls -q | grep -q overdrive-test && return
    local work
    work=$(mktemp -d "$dir/images.XXXXXX")
    cat >"$work/pause.c" <<'END'
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void down(int signal) { _exit(0); }
static void reap(int signal) { while (waitpid(-1, 0, WNOHANG) > 0); }
int main(void) { signal(SIGTERM, down); signal(SIGINT, down); signal(SIGCHLD, reap); for (;;) pause(); }
END
    gcc -static -Os -o "$work/pause" "$work/pause.c"
    tar -C "$work" -cf "$work/pause.tar" pause
    archive localhost/overdrive-pause:latest "$work/pause.tar" "$work/image.tar" /pause
    ctr image import "$work/image.tar" >/dev/null
    archive $image "$rootfs" "$work/image.tar" /bin/sh
    ctr image import "$work/image.tar" >/dev/null
    rm -rf "$work"
}

node() {
    install -d "$run/containerd" "$dir/containerd" "$dir/cni" "$dir/kubelet"
    cat >"$dir/cni/10-test.conflist" <<END
{"cniVersion": "0.4.0", "name": "overdrive-test", "plugins": [{"type": "bridge", "bridge": "$bridge", "isGateway": true, "ipMasq": false,
 "ipam": {"type": "host-local", "dataDir": "$run/ipam", "ranges": [[{"subnet": "$net.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
END
    cat >"$dir/containerd.toml" <<END
version = 2
root = "$dir/containerd"
state = "$run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "$run/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/overdrive-pause:latest"
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$dir/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
END
    # A kubelet takes no loopback address for its node's: that of the pods' bridge.
    if ! ip link show "$bridge" >/dev/null 2>&1; then
        ip link add "$bridge" type bridge
        ip addr add "$net.0.1/16" dev "$bridge"
        ip link set "$bridge" up
    fi
    daemon containerd containerd --config "$dir/containerd.toml"
    until_ready containerd containerd command ctr -a "$run/containerd.sock" version
    images
    cat >"$dir/kubelet.yaml" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $net.0.1
port: $((port + 5))
healthzPort: 0
readOnlyPort: 0
authentication: {anonymous: {enabled: false}, webhook: {enabled: false}, x509: {clientCAFile: $dir/ca.crt}}
authorization: {mode: AlwaysAllow}
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
failSwapOn: false
resolvConf: ""
evictionHard: {memory.available: "50Mi", nodefs.available: "1%", imagefs.available: "1%", nodefs.inodesFree: "1%"}
imageGCHighThresholdPercent: 100
volumePluginDir: $dir/volumeplugins
makeIPTablesUtilChains: false
syncFrequency: 5s
END
    daemon kubelet "$bin/kubernetes" kubelet --config "$dir/kubelet.yaml" --kubeconfig "$KUBECONFIG" --root-dir "$dir/kubelet" \
        --container-runtime=remote --container-runtime-endpoint "unix://$run/containerd.sock" --hostname-override test-node \
        --node-ip "$net.0.1" --cert-dir "$dir/kubelet-pki" --register-node=true --v=1
}

ready() { kubectl get nodes 2>/dev/null | grep -q ' Ready'; }

# Everything that runs in containers of the node, and the node itself.
node_kill() {
    for name in kubelet containerd; do
        running $name && kill -9 "$(cat "$dir/$name.pid")" || true
        rm -f "$dir/$name.pid"
    done
    for shim in $(pgrep -f "containerd-shim-runc-v2 .*-address $run/containerd.sock" || true); do
        for child in $(cat "/proc/$shim/task"/*/children 2>/dev/null); do kill -9 "$child" 2>/dev/null || true; done
        kill -9 "$shim" 2>/dev/null || true
    done
}

start() {
    missing etcd:etcd-server kubectl:kubernetes-client containerd:containerd ctr:containerd runc:runc /usr/lib/cni/bridge:containernetworking-plugins \
        iptables:iptables openssl:openssl ip:iproute2 gcc:gcc python3:python3 busybox:busybox-static
    build
    bash "$here/rootfs.sh" "$rootfs"
    install -d -m 755 "$run"
    certificates
    config "$dir/kubeconfig" "$(cat "$dir/token")"
    config "$dir/guest" guest-token
    control_plane
    node
    until_ready "the node" kubelet ready
    printf 'KUBECONFIG=%s\nGUEST=%s\nIMAGE=%s\nSOCKET=%s\n' "$dir/kubeconfig" "$dir/guest" "$image" "$run/containerd.sock" >"$dir/env"
}

stop() {
    end kubelet
    if running containerd; then
        for task in $(ctr task ls -q 2>/dev/null); do ctr task kill -s 9 "$task" >/dev/null 2>&1 || true; done
        sleep 0.5
        for task in $(ctr task ls -q 2>/dev/null); do ctr task rm -f "$task" >/dev/null 2>&1 || true; done
        nets=$(for name in $(ctr container ls -q 2>/dev/null); do ctr container info "$name" 2>/dev/null | grep -o 'netns/cni-[0-9a-f-]*' | cut -d/ -f2 || true; done | sort -u)
        for name in $(ctr container ls -q 2>/dev/null); do ctr container rm "$name" >/dev/null 2>&1 || true; done
    fi
    node_kill
    for name in scheduler controllers apiserver etcd; do end $name; done
    grep -E " ($dir|$run)/" /proc/mounts | cut -d' ' -f2 | sort -r | while read -r mount; do umount -l "$mount" 2>/dev/null || true; done
    for name in ${nets:-}; do ip netns del "$name" 2>/dev/null || true; done
    ip link del "$bridge" 2>/dev/null || true
    rm -rf "$run" "$dir"/{etcd,kubelet,containerd}
}

case $verb in
start) start ;;
stop) stop ;;
node)
    case ${3:?kill or start} in
    kill) node_kill ;;
    start) node && until_ready "the node" kubelet ready ;;
    esac
    ;;
*) echo "kubernetes.sh build | start|stop|node DIR ..." >&2; exit 2 ;;
esac
