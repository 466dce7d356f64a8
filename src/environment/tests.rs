//! Tests of environments with the interpreter of this machine; no package is downloaded.

use super::*;
use serde_json::json;

fn path() -> std::ffi::OsString {
    std::env::var_os("PATH").unwrap()
}

fn prepare(
    spec: &EnvironmentSpec,
    cache: &Path,
    told: &mut Vec<String>,
) -> Result<Prepared, EnvironmentError> {
    let search_path = path();
    let mut progress = |line: &str| told.push(line.to_owned());
    Builder {
        cache,
        base: None,
        search_path: &search_path,
        keep_azureml: false,
        progress: &mut progress,
    }
    .prepare(spec)
}

#[test]
fn a_conda_file_is_taken_apart() {
    let file = CondaFile::read(&json!({
        "name": "project_environment",
        "channels": ["conda-forge"],
        "dependencies": ["python=3.8.13", "pip", "numpy>=1.2", {"pip": ["azureml-defaults==1.0.74", "scikit-learn", "--index-url x"]}]
    }))
    .unwrap();
    assert_eq!(file.python.as_deref(), Some("3.8.13"));
    assert_eq!(file.conda_only(), ["numpy>=1.2"]);
    assert_eq!(file.pip.len(), 3);
    let mut file = file;
    assert_eq!(file.take_azureml(), ["azureml-defaults==1.0.74"]);
    assert_eq!(file.pip[1], PipItem::Option("--index-url x".into()));
}

#[test]
fn wrong_mappings_are_named() {
    for (mapping, part) in [
        (json!([1]), "mapping"),
        (json!({"dependancies": []}), "`dependancies`"),
        (
            json!({"dependencies": [{"conda": []}]}),
            "neither text nor a `pip` list",
        ),
    ] {
        let error = CondaFile::read(&mapping).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn conda_packages_without_conda_are_refused_in_words() {
    let cache = tempfile::tempdir().unwrap();
    let spec = EnvironmentSpec::Conda {
        dependencies: json!({"dependencies": ["python=3.8", "cudatoolkit=11"]}),
    };
    let search_path = std::ffi::OsString::from("/nonexistent");
    let mut progress = |_: &str| {};
    let mut builder = Builder {
        cache: cache.path(),
        base: None,
        search_path: &search_path,
        keep_azureml: false,
        progress: &mut progress,
    };
    let error = builder.prepare(&spec).unwrap_err().to_string();
    assert!(
        error.contains("cudatoolkit=11") && error.contains("move them under `pip:`"),
        "{error}"
    );
}

#[test]
fn user_managed_python_is_found_even_without_a_plain_python() {
    let cache = tempfile::tempdir().unwrap();
    let spec = EnvironmentSpec::UserManaged {
        interpreter: "python".into(),
    };
    let prepared = prepare(&spec, cache.path(), &mut Vec::new()).unwrap();
    assert!(prepared.interpreter.is_absolute());
    let missing = EnvironmentSpec::UserManaged {
        interpreter: "no-such-python".into(),
    };
    assert!(matches!(
        prepare(&missing, cache.path(), &mut Vec::new()),
        Err(EnvironmentError::NoInterpreter { .. })
    ));
}

#[test]
fn an_environment_is_built_once_and_again_after_an_interrupted_build() {
    let cache = tempfile::tempdir().unwrap();
    let spec = EnvironmentSpec::Conda {
        dependencies: json!({"dependencies": [{"pip": ["azureml-defaults"]}]}),
    };
    let mut told = Vec::new();
    let first = prepare(&spec, cache.path(), &mut told).unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(first.notes.iter().any(|note| note.contains("azureml-defaults")));
    assert!(first.interpreter.exists());
    prepare(&spec, cache.path(), &mut told).unwrap();
    assert_eq!(told.len(), 1, "the second time comes from the cache");
    std::fs::remove_file(cache.path().join(first.key.unwrap()).join(".ready")).unwrap();
    prepare(&spec, cache.path(), &mut told).unwrap();
    assert_eq!(told.len(), 2, "a build without its mark is made again");
}

#[test]
fn a_failed_build_shows_the_end_of_its_log() {
    let cache = tempfile::tempdir().unwrap();
    let spec = EnvironmentSpec::Conda {
        dependencies: json!({"dependencies": [{"pip": ["--no-index", "no-such-package-here"]}]}),
    };
    let error = prepare(&spec, cache.path(), &mut Vec::new())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no-such-package-here") && error.contains("whole log"),
        "{error}"
    );
}
