//! Trials of several processes: they find each other, count as one trial, and fail as one.

use super::project::{Place, Project, Sweep, text};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;

/// Every process but the first connects to the first; only what the first says counts.
const RENDEZVOUS: &str = r#"exec python3 - <<'END'
import os, socket, time
env = os.environ
rank, world = int(env["RANK"]), int(env["WORLD_SIZE"])
where = (env["MASTER_ADDR"], int(env["MASTER_PORT"]))
with open(f"{env['SEEN']}/{env['OVERDRIVE_TRIAL']}-{rank}", "w") as file:
    file.write(f"{env['LOCAL_RANK']} {env['NODE_RANK']} {env.get('SLURMD_NODENAME', 'here')}")
if rank == 0:
    server = socket.create_server(("", where[1]))
    server.settimeout(60)
    ranks = sorted(int(server.accept()[0].recv(16)) for _ in range(world - 1))
    assert ranks == list(range(1, world)), ranks
    print(f"score={world}")
else:
    for _ in range(300):
        try:
            line = socket.create_connection(where, 5)
            break
        except OSError:
            time.sleep(0.2)
    line.sendall(str(rank).encode())
    print(f"score={1000 + rank}")
    from azureml.core import Run
    Run.get_context().log("score", 2000 + rank)
END"#;

/// Two nodes with two processes each, two trials at once. `nodes` is what the machines are called there.
pub(super) fn torch(place: &Place, nodes: &[&str]) {
    let sweep = Sweep {
        values: vec![json!(1), json!(2)],
        extra: "framework: PyTorch\ncommunicator: Nccl\nnodeCount: 2\npytorch: {processCount: 4}\n",
        ..Sweep::default()
    };
    let project = Project::new(place, RENDEZVOUS, &sweep);
    let result = project.sweep();
    assert_eq!(result["trials"]["Completed"], 2, "{result}");
    assert_eq!(result["best"]["value"], 4.0, "{result}");
    for trial in 0..2 {
        let seen: Vec<String> = (0..4)
            .map(|rank| fs::read_to_string(project.seen().join(format!("{trial}-{rank}"))).unwrap())
            .collect();
        let expected: Vec<(&str, &str)> = vec![("0", "0"), ("1", "0"), ("0", "1"), ("1", "1")];
        let ranks: Vec<(&str, &str)> = seen
            .iter()
            .map(|line| {
                let mut words = line.split(' ');
                (words.next().unwrap(), words.next().unwrap())
            })
            .collect();
        assert_eq!(ranks, expected);
        let machines: BTreeSet<&str> = seen.iter().map(|line| line.rsplit(' ').next().unwrap()).collect();
        assert_eq!(machines, nodes.iter().copied().collect::<BTreeSet<_>>());
        let shown = text(&project.run(&["export", "--what", "metrics"]).stdout);
        let of_rank = |rank| {
            let row = format!(",score/rank_{rank},");
            shown
                .lines()
                .any(|line| line.starts_with(&format!("{trial},")) && line.contains(&row))
        };
        assert!((1..4).all(of_rank), "{shown}");
        let log = project.folder_of(trial).join("azureml-logs/70_driver_log_3.txt");
        assert_eq!(fs::read_to_string(log).unwrap(), "score=1003\n");
    }
}

/// `mpirun` starts them.
pub(super) fn mpi(place: &Place, nodes: &[&str]) {
    let body = r#"echo "$RANK ${OMPI_COMM_WORLD_SIZE:-none} ${SLURMD_NODENAME:-here}" > "$SEEN/$RANK"
[ "$RANK" != 0 ] || echo "score=$WORLD_SIZE""#;
    let sweep = Sweep {
        values: vec![json!(1)],
        extra: "communicator: OpenMpi\nnodeCount: 2\nmpi: {processCountPerNode: 2}\n",
        ..Sweep::default()
    };
    let project = Project::new(place, body, &sweep);
    let result = project.sweep();
    assert_eq!(result["best"]["value"], 4.0, "{result}");
    let mut machines = BTreeSet::new();
    for rank in 0..4 {
        let seen = fs::read_to_string(project.seen().join(rank.to_string())).unwrap();
        let words: Vec<&str> = seen.split_whitespace().collect();
        assert_eq!(words[..2], [rank.to_string().as_str(), "4"]);
        machines.insert(words[2].to_owned());
    }
    assert_eq!(machines, nodes.iter().map(|node| (*node).to_owned()).collect());
}

/// Workers and a parameter server that serves for ever: the trial ends with its workers.
pub(super) fn tensorflow(place: &Place) {
    let body = r#"exec python3 - <<'END'
import json, os, time
config = json.loads(os.environ["TF_CONFIG"])
task, cluster = config["task"], config["cluster"]
with open(f"{os.environ['SEEN']}/{task['type']}-{task['index']}", "w") as file:
    json.dump(cluster, file)
if task["type"] == "ps":
    time.sleep(300)
while not os.path.exists(f"{os.environ['SEEN']}/ps-0"):
    time.sleep(0.1)
if task["index"] == 0:
    print("score=" + str(len(set(cluster["worker"] + cluster["ps"]))))
END"#;
    let sweep = Sweep {
        values: vec![json!(1)],
        extra: "framework: TensorFlow\ncommunicator: ParameterServer\nnodeCount: 2\ntensorflow: {workerCount: 2, parameterServerCount: 1}\n",
        ..Sweep::default()
    };
    let project = Project::new(place, body, &sweep);
    let result = project.sweep();
    assert_eq!(result["best"]["value"], 3.0, "{result}");
    assert_eq!(project.names_seen(), ["ps-0", "worker-0", "worker-1"]);
    let seen: BTreeSet<String> = project
        .names_seen()
        .iter()
        .map(|name| fs::read_to_string(project.seen().join(name)).unwrap())
        .collect();
    assert_eq!(seen.len(), 1, "{seen:?}");
}

/// One of four fails while the others wait for ever: the trial fails with its exit code and its last words, at once.
pub(super) fn one_fails(place: &Place) {
    let body = r#"[ "$RANK" = 2 ] || exec sleep 300
echo "no memory on this device" >&2
exit 7"#;
    let sweep = Sweep {
        values: vec![json!(1)],
        extra: "framework: PyTorch\ncommunicator: Gloo\nnodeCount: 2\npytorch: {processCount: 4}\n",
        ..Sweep::default()
    };
    let project = Project::new(place, body, &sweep);
    let output = project.run(&["run", "hdconfig.yml", "--json"]);
    assert_ne!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let trial = &project.trials()[0];
    assert_eq!(
        (&trial["state"], &trial["attempts"]),
        (&json!("Failed"), &json!(1)),
        "{trial}"
    );
    let log = text(&project.run(&["logs", "0"]).stdout);
    assert!(log.contains("rank 2 ended with exit code 7"), "{log}");
    assert!(log.contains("no memory on this device"), "{log}");
}
