//! Schema of run configurations in their canonical spelling. The reader also takes other spellings of the keys, whence keys that
//! are not listed here are allowed.

use super::{any_case, described, scalar, table};
use serde_json::{Value as Json, json};

/// The schema.
pub(super) fn schema() -> Json {
    let mut schema = open("how one run is started", top());
    for (key, value) in sections().as_object().into_iter().flatten() {
        schema["properties"][key] = value.clone();
    }
    schema
}

fn open(description: &str, properties: Json) -> Json {
    json!({"description": description, "type": ["object", "null"], "properties": properties})
}

fn whole(description: &str) -> Json {
    json!({"description": description, "type": ["integer", "null"]})
}

fn text(description: &str) -> Json {
    json!({"description": description, "type": ["string", "null"]})
}

fn boolean(description: &str) -> Json {
    json!({"description": description, "type": ["boolean", "null"]})
}

fn nullable(mut schema: Json) -> Json {
    if let Some(description) = schema
        .as_object_mut()
        .and_then(|object| object.remove("description"))
    {
        return json!({"description": description, "anyOf": [schema, {"type": "null"}]});
    }
    json!({"anyOf": [schema, {"type": "null"}]})
}

fn top() -> Json {
    json!({
        "script": text("path of the script, relative to the source folder"),
        "arguments": {
            "description": "fixed arguments, before those of the sweep",
            "type": ["array", "null"], "items": scalar(),
        },
        "command": {"description": "instead of script and arguments", "type": ["string", "array", "null"]},
        "target": text("compute target; local = this machine"),
        "framework": nullable(any_case(
            &["Python", "PySpark", "CNTK", "TensorFlow", "PyTorch", "R", "TensorFlowParameterServer", "PythonMpi", "PythonIntelMpi", "PySparkInteractive"],
            "what runs the script",
        )),
        "communicator": nullable(any_case(
            &["None", "ParameterServer", "OpenMpi", "IntelMpi", "Mpi", "Gloo", "Nccl"],
            "launcher of distributed runs",
        )),
        "maxRunDurationSeconds": whole("hard limit of one run"),
        "nodeCount": {"description": "nodes of one run", "type": ["integer", "null"], "minimum": 1},
        "priority": whole("scheduler priority"),
        "environmentVariables": nullable(table("variables of the run", scalar())),
        "sourceDirectoryDataStore": text("datastore that carries the source folder"),
        "autoPrepareEnvironment": boolean("ignored"),
        "credentialPassthrough": boolean("ignored"),
    })
}

fn sections() -> Json {
    json!({
        "environment": {"description": "interpreter, packages, image; or the path of a file with them", "anyOf": [
            {"type": "string"}, environment(),
        ]},
        "docker": open("Docker at run time", json!({
            "useDocker": boolean("run in a container"),
            "sharedVolumes": boolean("share volumes"),
            "arguments": {"type": ["array", "null"], "items": scalar()},
            "shmSize": text("shared memory, for instance 2g"),
        })),
        "history": open("what is recorded", json!({
            "outputCollection": boolean("record status, logs, metrics, outputs"),
            "snapshotProject": boolean("take a snapshot of the source folder"),
            "directoriesToWatch": {"type": ["array", "null"], "items": {"type": "string"}},
        })),
        "spark": open("Spark settings", json!({"configuration": nullable(table("passed as --conf", scalar()))})),
        "hdi": open("HDInsight", json!({"yarnDeployMode": nullable(any_case(&["cluster", "client", "None"], "deploy mode"))})),
        "tensorflow": open("TensorFlow parameter servers", json!({
            "workerCount": whole("workers"), "parameterServerCount": whole("parameter servers"),
        })),
        "mpi": open("MPI", json!({"processCountPerNode": whole("processes per node"), "nodeCount": whole("nodes")})),
        "pytorch": open("PyTorch", json!({
            "communicationBackend": nullable(any_case(&["nccl", "gloo"], "back end")),
            "processCount": whole("processes in total"), "nodeCount": whole("nodes"),
        })),
        "dataReferences": nullable(table("folders of datastores", open("a folder of a datastore", json!({
            "dataStoreName": text("datastore"),
            "pathOnDataStore": text("path in it"),
            "mode": nullable(any_case(&["mount", "download", "upload"], "how it gets there")),
            "overwrite": boolean("overwrite what is there"),
            "pathOnCompute": text("where it lies for the script"),
        })))),
        "data": nullable(table("datasets", open("a dataset", json!({
            "dataLocation": {"type": ["object", "null"]},
            "mechanism": nullable(any_case(&["direct", "mount", "download", "upload"], "how it gets there")),
            "environmentVariableName": text("variable that holds the path"),
            "pathOnCompute": text("where it lies for the script"),
            "createOutputDirectories": boolean("make folders"),
            "overwrite": boolean("overwrite what is there"),
        })))),
        "outputData": {"type": ["object", "null"]},
        "amlcompute": open("a cluster made for this run", json!({
            "vmSize": text("machine type"),
            "vmPriority": nullable(any_case(&["dedicated", "lowpriority"], "priority")),
            "retainCluster": boolean("keep it"),
            "name": text("name"),
            "clusterMaxNodeCount": whole("most nodes"),
        })),
    })
}

fn environment() -> Json {
    open(
        "interpreter, packages, image",
        json!({
            "name": text("label"),
            "version": described(json!({"type": ["string", "number", "null"]}), "label"),
            "environmentVariables": nullable(table("variables of the run", scalar())),
            "python": open("Python", json!({
                "userManagedDependencies": boolean("use the interpreter as it is"),
                "interpreterPath": text("the interpreter, if it is used as it is"),
                "condaDependenciesFile": text("conda file, relative to the source folder"),
                "condaDependencies": {"description": "a conda file's content", "type": ["object", "null"]},
                "baseCondaEnvironment": text("ignored"),
            })),
            "docker": open("Docker", json!({
                "enabled": boolean("run in a container"),
                "baseImage": text("image"),
                "baseDockerfile": text("text of a Dockerfile, instead of an image"),
                "sharedVolumes": boolean("share volumes"),
                "shmSize": text("shared memory, for instance 2g"),
                "arguments": {"description": "further arguments of docker run", "type": ["array", "null"], "items": scalar()},
                "baseImageRegistry": {"type": ["object", "null"]},
            })),
            "spark": open("Spark packages", json!({
                "repositories": {"type": ["array", "null"]},
                "packages": {"type": ["array", "null"]},
                "precachePackages": boolean("fetch packages before"),
            })),
        }),
    )
}
