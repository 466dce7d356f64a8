//! The azureml shim: Python sources that are put first on `PYTHONPATH`, so that `azureml.core.Run.get_context()` of an unchanged
//! script answers. The sources live in `assets/`; what they append to the report file is described in `docs/reference/metrics.md`.

use indexmap::IndexMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

macro_rules! sources {
    ($($path:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("assets/", $path)))),+]
    };
}

/// Files of the shim, relative to the folder that goes on `PYTHONPATH`.
const SOURCES: &[(&str, &str)] = sources![
    "azureml/__init__.py",
    "azureml/_overdrive/__init__.py",
    "azureml/_overdrive/artifacts.py",
    "azureml/_overdrive/objects.py",
    "azureml/_overdrive/patch.py",
    "azureml/_overdrive/report.py",
    "azureml/_overdrive/trial.py",
    "azureml/_overdrive/values.py",
    "azureml/_overdrive/fallback/core/__init__.py",
    "azureml/_overdrive/fallback/core/dataset.py",
    "azureml/_overdrive/fallback/core/datastore.py",
    "azureml/_overdrive/fallback/core/environment.py",
    "azureml/_overdrive/fallback/core/experiment.py",
    "azureml/_overdrive/fallback/core/keyvault.py",
    "azureml/_overdrive/fallback/core/model.py",
    "azureml/_overdrive/fallback/core/run.py",
    "azureml/_overdrive/fallback/core/workspace.py",
    "azureml/_overdrive/fallback/data/__init__.py",
    "azureml/_overdrive/fallback/data/file_dataset.py",
    "azureml/_overdrive/fallback/data/tabular_dataset.py",
    "azureml/_overdrive/fallback/exceptions/__init__.py",
];

/// Why the shim could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the azureml shim to `{path}`")]
pub struct ShimError {
    /// The folder or file.
    path: PathBuf,
    /// Cause.
    #[source]
    source: std::io::Error,
}

/// Writes the shim below `dir`, once per content, and returns the folder to put first on `PYTHONPATH`.
///
/// Safe to be called by many processes at once: the folder is made under a temporary name and renamed.
///
/// # Errors
/// [`ShimError`] if `dir` cannot be written.
pub fn install(dir: &Path) -> Result<PathBuf, ShimError> {
    let target = dir.join(folder_name());
    if target.is_dir() {
        return Ok(target);
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ShimError { path, source }
    };
    fs::create_dir_all(dir).map_err(failed(dir))?;
    let staging = tempfile::Builder::new()
        .prefix(".azureml-")
        .tempdir_in(dir)
        .map_err(failed(dir))?;
    for (path, text) in SOURCES {
        let file = staging.path().join(path);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).map_err(failed(folder))?;
        }
        fs::write(&file, text).map_err(failed(&file))?;
    }
    match fs::rename(staging.path(), &target) {
        Ok(()) => {
            // The folder has moved: nothing is left for the guard to remove.
            let _ = staging.keep();
            Ok(target)
        }
        Err(_) if target.is_dir() => Ok(target),
        Err(source) => Err(ShimError { path: target, source }),
    }
}

/// Files of the shim, relative to the folder that goes on `PYTHONPATH`, with what is in them.
pub(crate) fn sources() -> &'static [(&'static str, &'static str)] {
    SOURCES
}

/// Name of the shim's folder: it changes with the sources.
pub(crate) fn folder_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let mut hasher = blake3::Hasher::new();
        for (path, text) in SOURCES {
            hasher
                .update(path.as_bytes())
                .update(&[0])
                .update(text.as_bytes())
                .update(&[0]);
        }
        let hash: String = hasher.finalize().to_hex().chars().take(16).collect();
        format!("azureml-{hash}")
    })
}

/// What the shim is told about its trial.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The report file that it appends to.
    pub report: &'a Path,
    /// The attempt's `artifacts/` folder.
    pub artifacts: &'a Path,
    /// Sweep id; `None` for a run of its own, whose `parent` is `None`.
    pub sweep: Option<&'a str>,
    /// Run id shown to the script.
    pub run_id: &'a str,
    /// Experiment name.
    pub experiment: &'a str,
    /// Primary metric: columns of tables with this name count as points.
    pub primary_metric: Option<&'a str>,
    /// Folder of registered models and datasets.
    pub registry: Option<&'a Path>,
    /// Data map: name -> path.
    pub inputs: &'a IndexMap<String, String>,
}

/// Variables that the script needs beside `PYTHONPATH`, also when the shim itself is switched off. Those by which a dataset is known
/// (`AZUREML_DATASET_ENVIRONMENT_VARS` and what it lists) are part of the trial's own environment: only the files say how each of them is
/// consumed.
///
/// Never the whole group that makes a real azureml-core look for its service: subscription, resource group, workspace, token and
/// endpoint are not set.
pub fn environment(context: &Context<'_>) -> IndexMap<String, String> {
    let mut env = IndexMap::new();
    let mut set = |name: &str, value: &str| {
        // A NUL cannot be passed to a process.
        if !value.contains('\0') {
            env.insert(name.to_owned(), value.to_owned());
        }
    };
    set("OVERDRIVE_REPORT", &context.report.to_string_lossy());
    set("OVERDRIVE_ARTIFACTS", &context.artifacts.to_string_lossy());
    set("OVERDRIVE_RUN_ID", context.run_id);
    set("AZUREML_RUN_ID", context.run_id);
    set("AZUREML_ARM_PROJECT_NAME", context.experiment);
    if let Some(sweep) = context.sweep {
        set("OVERDRIVE_SWEEP", sweep);
    }
    if let Some(primary) = context.primary_metric {
        set("OVERDRIVE_PRIMARY_METRIC", primary);
    }
    if let Some(registry) = context.registry {
        set("OVERDRIVE_REGISTRY", &registry.to_string_lossy());
    }
    if !context.inputs.is_empty() {
        set("OVERDRIVE_INPUTS", &serde_json::json!(context.inputs).to_string());
    }
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_asset_is_listed() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/channel/assets");
        let mut found = Vec::new();
        let mut stack = vec![root.clone()];
        while let Some(folder) = stack.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    stack.push(path);
                } else if path.extension().is_some_and(|extension| extension == "py") {
                    found.push(path.strip_prefix(&root).unwrap().to_string_lossy().into_owned());
                }
            }
        }
        found.sort();
        let mut listed: Vec<String> = SOURCES.iter().map(|(path, _)| (*path).to_owned()).collect();
        listed.sort();
        assert_eq!(found, listed);
    }

    #[test]
    fn installs_once_and_never_sets_the_group_that_reaches_for_the_service() {
        let dir = tempfile::tempdir().unwrap();
        let first = install(dir.path()).unwrap();
        let file = first.join("azureml/core");
        assert!(!file.exists());
        let stamp = fs::metadata(first.join("azureml/__init__.py"))
            .unwrap()
            .modified()
            .unwrap();
        assert_eq!(install(dir.path()).unwrap(), first);
        assert_eq!(
            fs::metadata(first.join("azureml/__init__.py"))
                .unwrap()
                .modified()
                .unwrap(),
            stamp
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

        let inputs = IndexMap::from([("PATH".to_owned(), "/x".to_owned())]);
        let env = environment(&Context {
            report: Path::new("/a/report.jsonl"),
            artifacts: Path::new("/a/artifacts"),
            sweep: Some("HD_1"),
            run_id: "HD_1_0",
            experiment: "e",
            primary_metric: None,
            registry: None,
            inputs: &inputs,
        });
        assert_eq!(env["OVERDRIVE_INPUTS"], r#"{"PATH":"/x"}"#);
        assert!(!env.contains_key("PATH"));
        assert!(!env.contains_key("AZUREML_DATASET_ENVIRONMENT_VARS"));
        for name in [
            "AZUREML_ARM_SUBSCRIPTION",
            "AZUREML_SERVICE_ENDPOINT",
            "AZUREML_RUN_TOKEN",
        ] {
            assert!(!env.contains_key(name));
        }
    }
}
