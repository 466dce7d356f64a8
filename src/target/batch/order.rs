//! What a node is told of an attempt, and how paths that are known only there are written here.

use crate::config::EnvironmentSpec;
use crate::runner::AttemptSpec;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Variable that holds the container's address with the right to use it.
pub(super) const CONTAINER: &str = "OVERDRIVE_BATCH_CONTAINER";
/// Variable that holds `JOB/TASK`.
pub(super) const TASK: &str = "OVERDRIVE_BATCH_TASK";

/// Content of the blob `order`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Order {
    /// Everything the runner needs, with paths as [`Places`] writes them.
    pub(super) spec: AttemptSpec,
    /// Snapshots that must be there: the code's, and those of data.
    pub(super) snapshots: Vec<String>,
    /// The Python environment, if one is needed, and the snapshot against which its files are resolved.
    pub(super) environment: Option<(EnvironmentSpec, Option<String>)>,
    /// As which folder the spec writes what is on the node.
    pub(super) places: Places,
}

/// A folder that exists nowhere, so that whatever lies below it in a specification can be put right on the node. Its name is random.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Places(String);

impl Places {
    pub(super) fn new() -> Self {
        Self(format!("/.overdrive-on-node-{}", uuid::Uuid::new_v4().simple()))
    }

    /// The attempt's folder.
    pub(super) fn attempt(&self) -> PathBuf {
        Path::new(&self.0).join("attempt")
    }

    /// The tree of a snapshot.
    pub(super) fn snapshot(&self, id: &str) -> PathBuf {
        Path::new(&self.0).join("share/snapshots").join(id)
    }

    /// What starts Python.
    pub(super) fn python(&self) -> PathBuf {
        Path::new(&self.0).join("python")
    }

    /// The specification with the node's own paths.
    ///
    /// # Errors
    /// If it cannot be written as JSON and read again.
    pub(super) fn put_right(
        &self,
        spec: &AttemptSpec,
        attempt: &Path,
        share: &Path,
        python: Option<&Path>,
    ) -> serde_json::Result<AttemptSpec> {
        let python = python.unwrap_or(Path::new("python3"));
        let real = [("attempt", attempt), ("share", share), ("python", python)]
            .map(|(name, path)| (format!("{}/{name}", self.0), path.to_string_lossy().into_owned()));
        let replaced = |text: &str| {
            real.iter()
                .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
        };
        let mut value = serde_json::to_value(spec)?;
        walk(&mut value, &replaced);
        serde_json::from_value(value)
    }
}

fn walk(value: &mut Value, replaced: &dyn Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = replaced(text),
        Value::Array(items) => items.iter_mut().for_each(|item| walk(item, replaced)),
        Value::Object(fields) => fields.values_mut().for_each(|field| walk(field, replaced)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_those_of_the_node_and_nothing_else_changes() {
        let places = Places::new();
        let text = format!(
            r#"{{"sweep":"s","experiment":"e","trial":3,"run_id":"s_3","attempt":0,"nonce":"n","argv":["{0}/python","t.py","--out={0}/attempt/named_outputs/o"],
            "env":{{"D":"{0}/share/snapshots/ab/f"}},"snapshot":"{0}/share/snapshots/ab","grace_ms":1,"parameters":{{"x":0.1,"y":"attempt/share"}},
            "log_cap_bytes":1,"shim":true,"mlflow":false}}"#,
            places.0
        );
        let spec: AttemptSpec = serde_json::from_str(&text).unwrap();
        let put = places
            .put_right(
                &spec,
                Path::new("/mnt/t/wd/attempt"),
                Path::new("/mnt/shared/overdrive"),
                Some(Path::new("/env/bin/python")),
            )
            .unwrap();
        assert_eq!(
            put.argv,
            [
                "/env/bin/python",
                "t.py",
                "--out=/mnt/t/wd/attempt/named_outputs/o"
            ]
        );
        assert_eq!(put.env["D"], "/mnt/shared/overdrive/snapshots/ab/f");
        assert_eq!(
            put.snapshot.unwrap(),
            Path::new("/mnt/shared/overdrive/snapshots/ab")
        );
        assert_eq!(put.parameters, spec.parameters);
        assert_ne!(Places::new(), places);
    }
}
