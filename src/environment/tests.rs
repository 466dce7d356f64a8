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
        without_engine: WithoutEngine::Ignore,
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
    assert_eq!(file.conda, ["numpy>=1.2"]);
    assert_eq!(file.pip.len(), 3);
    let mut file = file;
    assert_eq!(file.take_azureml(), ["azureml-defaults==1.0.74"]);
    assert_eq!(file.pip[1], PipItem::Option("--index-url x".into()));
    assert_eq!(file.substitute().unwrap(), ["numpy>=1.2"]);
    assert_eq!(file.pip[0], PipItem::Requirement("numpy>=1.2".into()));
    assert!(file.conda.is_empty());
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
        dependencies: json!({"dependencies": ["python=3.8", "numpy", "gcc_linux-64=11"]}),
    };
    let search_path = std::ffi::OsString::from("/nonexistent");
    let mut progress = |_: &str| {};
    let mut builder = Builder {
        cache: cache.path(),
        base: None,
        search_path: &search_path,
        keep_azureml: false,
        without_engine: WithoutEngine::Ignore,
        progress: &mut progress,
    };
    let error = builder.prepare(&spec).unwrap_err().to_string();
    assert!(
        error.contains("(gcc_linux-64=11)") && error.contains("move them under `pip:`"),
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

/// No conda can be had where the tests run, so this is about how it is called, by the manuals of conda, mamba and micromamba: a new
/// prefix, a definition file, no questions.
#[test]
fn conda_tools_are_called_as_their_manuals_say() {
    use std::os::unix::fs::PermissionsExt;
    for (tool, expected) in [
        ("micromamba", "create --yes --prefix"),
        ("mamba", "env create --prefix"),
        ("conda", "env create --prefix"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join(tool);
        let record = folder.path().join("record");
        let script = format!(
            "#!/bin/sh\necho \"$@\" > {0}\ncp \"${{@: -1}}\" {0}.yml\nwhile [ $# -gt 0 ]; do [ \"$1\" = --prefix ] && prefix=$2; shift; done\n\
             [ ! -e \"$prefix\" ] || exit 3\nmkdir -p \"$prefix/bin\" && ln -s /bin/true \"$prefix/bin/python\"\necho \"$CONDA_ALWAYS_YES $MAMBA_ALWAYS_YES\" > {0}.yes\n",
            record.display()
        )
        .replace("#!/bin/sh", "#!/bin/bash");
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut path = folder.path().as_os_str().to_owned();
        path.push(":/usr/bin:/bin");
        let cache = folder.path().join("cache");
        let spec = EnvironmentSpec::Conda {
            dependencies: json!({"name": "x", "channels": ["conda-forge"],
                "dependencies": ["python=3.8", "scikit-learn=0.22", {"pip": ["azureml-defaults", "tqdm"]}]}),
        };
        let mut told = |_: &str| {};
        let mut builder = Builder {
            cache: &cache,
            base: None,
            search_path: &path,
            keep_azureml: false,
            without_engine: WithoutEngine::Ignore,
            progress: &mut told,
        };
        let prepared = builder.prepare(&spec).unwrap();
        let prefix = cache.join(prepared.key.as_deref().unwrap());
        assert_eq!(prepared.interpreter, prefix.join("bin/python"));
        assert_eq!(prepared.variables["CONDA_PREFIX"], prefix.display().to_string());
        let called = std::fs::read_to_string(&record).unwrap();
        let (start, rest) = called.split_at(expected.len());
        assert_eq!(start, expected);
        assert_eq!(rest.trim(), format!("{0} --file {0}.yml", prefix.display()));
        let definition = std::fs::read_to_string(folder.path().join("record.yml")).unwrap();
        let definition: serde_json::Value = serde_json::from_str(&definition).unwrap();
        assert_eq!(
            definition,
            json!({"channels": ["conda-forge"],
                "dependencies": ["python=3.8", "pip", "scikit-learn=0.22", {"pip": ["tqdm"]}]})
        );
        assert_eq!(
            std::fs::read_to_string(folder.path().join("record.yes")).unwrap(),
            "true true\n"
        );
        std::fs::remove_file(&record).unwrap();
        assert_eq!(builder.prepare(&spec).unwrap(), prepared);
        assert!(!record.exists(), "the second time comes from the cache");
    }
}
