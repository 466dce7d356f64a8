//! Run configurations: every file of the corpus, the real SDK's own reading of them, spellings, mistakes, resolution by name.

use super::disk::{Disk, codes, fixture, folder};
use overdrive::config::runconfig::{
    Environment, Generation, RunConfig, beside, data_bindings, environment, locate, read, read_conda,
};
use overdrive::config::{DataMap, EnvironmentSpec};
use overdrive::diagnostic::{Diagnostic, Diagnostics, Severity, Source};
use serde_json::{Value as Json, json};
use std::path::Path;

fn read_text(text: &str) -> (Option<RunConfig>, Vec<Diagnostic>) {
    read(
        &Source::new("train.runconfig", text),
        Path::new("train.runconfig"),
        Path::new(""),
        &Disk,
    )
}

fn config(text: &str) -> RunConfig {
    let (config, found) = read_text(text);
    let errors: Vec<_> = found.iter().filter(|d| d.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    config.unwrap()
}

fn corpus(name: &str) -> RunConfig {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/runconfig");
    let (config, found) = read(
        &Source::new(name, fixture(&format!("runconfig/{name}"))),
        &folder.join(name),
        &folder,
        &Disk,
    );
    let worst = found
        .iter()
        .filter(|d| d.severity != Severity::Note)
        .collect::<Vec<_>>();
    if name.contains("myhdi") {
        // Its Spark file is not there; that is worth a warning.
        assert_eq!(codes(&found), ["note old-generation", "warning missing-file"]);
    } else {
        assert!(worst.is_empty(), "{name}: {worst:#?}");
    }
    config.unwrap()
}

/// Differences from the real SDK that are meant: user's names are kept, arguments stay as written, an absent or null
/// `shmSize` means the documented default.
fn same(path: &str, ours: &Json, theirs: &Json) {
    match (ours, theirs) {
        (Json::Object(ours), Json::Object(theirs)) => {
            for (key, theirs) in theirs {
                let name = if path == "data" && key == "trainingDataset" {
                    "training_dataset"
                } else {
                    key
                };
                let ours = ours
                    .get(name)
                    .unwrap_or_else(|| panic!("{path}/{key} is missing"));
                same(format!("{path}/{key}").trim_start_matches('/'), ours, theirs);
            }
        }
        (Json::Array(ours), Json::Array(theirs)) if path == "arguments" => {
            let theirs: Vec<Json> = theirs
                .iter()
                .map(|argument| {
                    argument
                        .as_str()
                        .map_or_else(|| json!(argument.to_string()), |text| json!(text))
                })
                .collect();
            assert_eq!(*ours, theirs, "{path}");
        }
        (ours, Json::Null) if path == "environment/docker/shmSize" => assert_eq!(*ours, json!("2g")),
        _ => assert_eq!(ours, theirs, "{path}"),
    }
}

#[test]
fn the_corpus_reads_as_the_real_sdk_read_it() {
    let golden: Json = serde_json::from_str(&fixture("runconfig/golden-azureml-core-1.61.json")).unwrap();
    let mut compared = 0;
    for (name, theirs) in golden["files"].as_object().unwrap() {
        let ours = corpus(name);
        if name.starts_with("Azure-Samples") {
            // The SDK can no longer read its own oldest generation; see the test below.
            assert_eq!(ours.generation, Generation::Workbench, "{name}");
            continue;
        }
        assert_ne!(ours.generation, Generation::Workbench, "{name}");
        println!("{name}");
        same("", &Json::Object(ours.definition), theirs);
        compared += 1;
    }
    assert_eq!(compared, 13);
}

#[test]
fn the_oldest_generation_works_again() {
    let hdi = corpus("Azure-Samples__MachineLearningSamples-BigData__myhdi.runconfig");
    assert_eq!(hdi.text("framework"), Some("PySpark"));
    assert_eq!(hdi.text("target"), Some("myhdi"));
    assert_eq!(hdi.text("script"), None);
    assert_eq!(hdi.at("history/outputCollection"), &json!(true));
    let folder = folder(&[
        (
            "aml_config/docker.runconfig",
            "ArgumentVector: [train.py, --n, 010]\nTarget: docker\nFramework: Python\nEnvironmentVariables: {A_b: 1}\nCondaDependenciesFile: aml_config/c.yml\nSparkDependenciesFile: s.yml\nTrackedRun: false\n",
        ),
        (
            "aml_config/docker.compute",
            &fixture("runconfig/Azure-Samples__MachineLearningSamples-BigData__docker.compute"),
        ),
        (
            "aml_config/c.yml",
            "dependencies: [python=3.11, {pip: [numpy]}]\n",
        ),
        (
            "s.yml",
            "configuration: {spark.app.name: x}\npackages: [{group: g, artifact: a, version: '1'}]\n",
        ),
    ]);
    let path = locate("docker", folder.path(), &Disk).unwrap().path;
    let source = Source::new("docker.runconfig", std::fs::read_to_string(&path).unwrap());
    let (config, found) = read(&source, &path, folder.path(), &Disk);
    assert_eq!(codes(&found), ["note old-generation"]);
    let config = config.unwrap();
    assert_eq!(config.text("script"), Some("train.py"));
    assert_eq!(
        config
            .arguments
            .iter()
            .map(|a| a.text.as_str())
            .collect::<Vec<_>>(),
        ["--n", "010"]
    );
    assert_eq!(config.text("target"), Some("local"));
    assert_eq!(config.at("history/outputCollection"), &json!(false));
    assert_eq!(
        config.at("environment/environmentVariables"),
        &json!({"A_b": "1"})
    );
    assert_eq!(config.at("environment/spark/packages/0"), &Json::Null);
    assert_eq!(config.at("environment/spark/packages")[0]["group"], "g");
    assert_eq!(config.at("spark/configuration"), &json!({"spark.app.name": "x"}));
    let mut found = Diagnostics::new(&source);
    let resolved = environment(&config, [folder.path(), folder.path()], None, &Disk, &mut found);
    let EnvironmentSpec::Docker { image, inner, .. } = resolved.spec else {
        panic!("{resolved:?}")
    };
    assert_eq!(image.as_deref(), Some("microsoft/mmlspark:plus-0.9.9"));
    assert_eq!(
        *inner,
        EnvironmentSpec::Conda {
            dependencies: json!({"dependencies": ["python=3.11", {"pip": ["numpy"]}]})
        }
    );
    assert!(found.is_empty());
}

#[test]
fn one_file_in_every_spelling() {
    let camel = config(
        "script: t.py\nnodeCount: 2\nmaxRunDurationSeconds: 60\nenvironment:\n  environmentVariables: {MY_VAR: 1, my-var: x}\n  python: {userManagedDependencies: true, interpreterPath: python3}\ndata:\n  training_dataset:\n    environmentVariableName: e\n    dataLocation: {dataset: {name: n, version: 1}}\n    mechanism: mount\namlcompute: {vmSize: S}\n",
    );
    let snake = config(
        "script: t.py\nnode_count: 2\nmax_run_duration_seconds: 60\nenvironment:\n  environment_variables: {MY_VAR: 1, my-var: x}\n  python: {user_managed_dependencies: true, interpreter_path: python3}\ndata:\n  training_dataset:\n    environment_variable_name: e\n    data_location: {dataset: {name: n, version: 1}}\n    mechanism: mount\naml_compute: {vm_size: S}\n",
    );
    let pascal = config(
        "Script: t.py\nNodeCount: 2\nMaxRunDurationSeconds: 60\nEnvironment:\n  EnvironmentVariables: {MY_VAR: 1, my-var: x}\n  Python: {UserManagedDependencies: true, InterpreterPath: python3}\nData:\n  training_dataset:\n    EnvironmentVariableName: e\n    DataLocation: {Dataset: {Name: n, Version: 1}}\n    Mechanism: mount\namlCompute: {vmSize: S}\n",
    );
    assert_eq!(camel.definition, snake.definition);
    assert_eq!(camel.definition, pascal.definition);
    assert_eq!(
        camel.at("environment/environmentVariables"),
        &json!({"MY_VAR": "1", "my-var": "x"})
    );
    assert_eq!(
        camel.at("data/training_dataset/dataLocation/dataset/version"),
        &json!(1)
    );
}

#[test]
fn arguments_stay_as_they_are_written() {
    let config =
        config("script: t.py\narguments: [--lr, 1e-4, --flag, true, --n, 010, --s, yes, --x, 0.10, '']\n");
    let texts: Vec<_> = config
        .arguments
        .iter()
        .map(|argument| argument.text.as_str())
        .collect();
    assert_eq!(
        texts,
        [
            "--lr", "1e-4", "--flag", "true", "--n", "010", "--s", "yes", "--x", "0.10", ""
        ]
    );
}

#[test]
fn nothing_null_and_unknown() {
    let defaults = RunConfig::built_in().definition;
    for (text, expected) in [
        ("", vec!["warning empty-file"]),
        (
            "script:\narguments:\ntarget:\nnodeCount:\nhistory:\nenvironment: {}\n",
            vec![],
        ),
        ("environment:\n", vec!["note empty-environment"]),
    ] {
        let (config, found) = read_text(text);
        assert_eq!(codes(&found), expected, "{text}");
        assert_eq!(config.unwrap().definition, defaults, "{text}");
    }
    let (config, found) =
        read_text("scirpt: t.py\nenvironment:\n  python: {userManagedDependancies: true}\n_x: 1\n");
    assert!(config.is_some());
    assert_eq!(codes(&found), ["warning unknown-key"; 3]);
    let suggested: Vec<_> = found
        .iter()
        .map(|d| d.suggestion.as_ref().map(|suggestion| suggestion.text.as_str()))
        .collect();
    assert_eq!(suggested, [Some("script"), Some("userManagedDependencies"), None]);
    assert_eq!(found[1].place().unwrap(), "train.runconfig:3:12");
}

#[test]
fn wrong_values_are_named_with_their_place() {
    for (text, code, place) in [
        ("nodeCount: 4.7\n", "error argument-type", "1:12"),
        ("nodeCount: 0\n", "error argument-range", "1:12"),
        ("maxRunDurationSeconds: \"60\"\n", "warning quoted-number", "1:24"),
        (
            "environment: {python: {userManagedDependencies: \"no\"}}\n",
            "error argument-type",
            "1:49",
        ),
        (
            "environment: {python: {userManagedDependencies: no}}\n",
            "error argument-type",
            "1:49",
        ),
        (
            "environment: {python: {userManagedDependencies: \"true\"}}\n",
            "warning quoted-boolean",
            "1:49",
        ),
        (
            "dataReferences: {a: {dataStoreName: s, mode: mnt}}\n",
            "error unknown-value",
            "1:46",
        ),
        (
            "dataReferences: {a: {mode: Mount}}\n",
            "error missing-key",
            "1:18",
        ),
        ("data: {a: {mechanism: mount}}\n", "error missing-key", "1:8"),
        ("framework: Pyhton\n", "error unknown-value", "1:12"),
        ("arguments: [[1, 2]]\n", "error argument-type", "1:13"),
        ("arguments: --a 1\n", "warning arguments-text", "1:12"),
        ("script: a.py\nscript: b.py\n", "error duplicate-key", "2:1"),
        (
            "script: a.py\ncommand: python a.py\n",
            "error command-and-script",
            "2:10",
        ),
        (
            "environment: {docker: {baseImage: a, baseDockerfile: b}}\n",
            "error image-and-dockerfile",
            "1:54",
        ),
        ("environment: nowhere.yml\n", "error missing-file", "1:14"),
        ("credentialPassthrough: true\n", "note no-effect", "1:24"),
        ("[1]\n", "error argument-type", "1:1"),
    ] {
        let (_, found) = read_text(text);
        assert_eq!(codes(&found), [code], "{text}");
        assert_eq!(
            found[0].place().unwrap(),
            format!("train.runconfig:{place}"),
            "{text}"
        );
    }
    let modes = &read_text("dataReferences: {a: {dataStoreName: s, mode: mnt}}\n").1[0];
    assert!(
        modes.message.contains("mount, download, upload"),
        "{}",
        modes.message
    );
}

#[test]
fn names_are_resolved_like_the_old_client_did() {
    let folder = folder(&[
        (".azureml/local", "script: plain.py\n"),
        (".azureml/local.runconfig", "script: extension.py\n"),
        (".azureml/vm.runconfig", "{}"),
        ("mnist.runconfig", "{}"),
        ("config/train-aml.runconfig", "{}"),
        ("run_config.yml", "{}"),
        (".azureml/config.json", "{}"),
    ]);
    let project = folder.path();
    for (name, path, as_path) in [
        ("local", ".azureml/local", false),
        ("vm", ".azureml/vm.runconfig", false),
        ("mnist", "mnist.runconfig", false),
        ("config/train-aml", "config/train-aml.runconfig", false),
        ("config/train-aml.runconfig", "config/train-aml.runconfig", true),
        ("run_config.yml", "run_config.yml", true),
    ] {
        let located = locate(name, project, &Disk).unwrap();
        assert_eq!(located.path, project.join(path), "{name}");
        assert_eq!(located.given_as_path, as_path, "{name}");
    }
    let missing = locate("minst", project, &Disk).unwrap_err();
    assert_eq!(missing.nearest.as_deref(), Some("mnist"));
    assert_eq!(missing.present, ["local", "mnist", "vm"]);
    assert_eq!(missing.tried[0], project.join(".azureml/minst"));
    assert_eq!(missing.tried[3], project.join("minst"));

    // An `aml_config` folder hides `.azureml` altogether.
    std::fs::create_dir(project.join("aml_config")).unwrap();
    assert!(locate("vm", project, &Disk).is_err());
}

#[test]
fn the_one_configuration_beside_a_sweep_file() {
    for (files, expected) in [
        (vec![], Ok(None)),
        (vec!["hd.runconfig", ".azureml/local"], Ok(Some("hd.runconfig"))),
        (
            vec![
                ".azureml/local",
                ".azureml/docker",
                ".azureml/conda_dependencies.yml",
            ],
            Ok(Some(".azureml/local")),
        ),
        (
            vec!["aml_config/vm.runconfig"],
            Ok(Some("aml_config/vm.runconfig")),
        ),
        (
            vec!["a.runconfig", "b.runconfig"],
            Err(vec!["a.runconfig", "b.runconfig"]),
        ),
    ] {
        let files: Vec<_> = files.into_iter().map(|path| (path, "{}")).collect();
        let folder = folder(&files);
        let found = beside(folder.path(), &Disk);
        let found = found.map(|found| found.map(|located| located.path));
        let expected = expected
            .map(|found: Option<&str>| found.map(|path| folder.path().join(path)))
            .map_err(|names| names.into_iter().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(found, expected);
    }
}

#[test]
fn conda_files() {
    let folder = folder(&[(
        "requirements.txt",
        "# pinned\nnumpy==1.26 # fast\n\n--extra-index-url https://x\n",
    )]);
    let read = |text: &str| read_conda(&Source::new("conda.yml", text), folder.path(), &Disk);
    let (file, found) = read(
        "name: e\nchannels: [conda-forge]\nprefix: /x\ndependencies:\n- python=3.10\n- pip:\n  - -r requirements.txt\n  - scipy\n",
    );
    assert!(found.is_empty(), "{found:?}");
    assert_eq!(
        file.unwrap().mapping,
        json!({
            "name": "e",
            "channels": ["conda-forge"],
            "dependencies": ["python=3.10", {"pip": ["numpy==1.26", "--extra-index-url https://x", "scipy"]}],
        })
    );
    for (text, code) in [
        ("", "error empty-file"),
        ("dependancies: [python]\n", "error unknown-key"),
        ("dependencies: python\n", "error argument-type"),
        ("dependencies: [{pip: [a]}, {pip: [b]}]\n", "error duplicate-key"),
        ("dependencies: [{npm: [a]}]\n", "error unknown-key"),
        ("dependencies: [{pip: [-r nowhere.txt]}]\n", "error missing-file"),
    ] {
        assert_eq!(codes(&read(text).1), [code], "{text}");
    }
}

fn environment_of(text: &str, folder: &Path) -> (Environment, Vec<Diagnostic>) {
    let source = Source::new("t.runconfig", text);
    let (config, found) = read(&source, &folder.join("config/t.runconfig"), folder, &Disk);
    let mut all = Diagnostics::new(&source);
    all.extend(found);
    let resolved = environment(
        &config.unwrap(),
        [folder, &folder.join("config")],
        None,
        &Disk,
        &mut all,
    );
    (resolved, all.sorted())
}

#[test]
fn environments() {
    let folder = folder(&[
        ("c.yml", "dependencies: [python=3.9]\n"),
        ("config/d.yml", "dependencies: [python=3.8]\n"),
        (
            "env.yml",
            "python: {userManagedDependencies: true}\nenvironmentVariables: {A: x}\n",
        ),
        ("docker/Dockerfile", "FROM a\nRUN b\n"),
    ]);
    let python = |version: &str| EnvironmentSpec::Conda {
        dependencies: json!({ "dependencies": [version] }),
    };
    let own = |interpreter: &str| EnvironmentSpec::UserManaged {
        interpreter: interpreter.into(),
    };
    for (text, expected) in [
        (
            "environment: {python: {condaDependenciesFile: c.yml}}\n",
            python("python=3.9"),
        ),
        (
            "environment: {python: {condaDependenciesFile: d.yml}}\n",
            python("python=3.8"),
        ),
        (
            "environment: {python: {condaDependencies: {dependencies: [python=3.7]}}}\n",
            python("python=3.7"),
        ),
        (
            "environment: {python: {userManagedDependencies: true, condaDependenciesFile: c.yml}}\n",
            own("python"),
        ),
        (
            "environment: {python: {userManagedDependencies: true, interpreterPath: /opt/py}}\n",
            own("/opt/py"),
        ),
        ("environment: env.yml\n", own("python")),
        (
            "environment: {python: {userManagedDependencies: true}, docker: {enabled: true, baseDockerfile: docker/Dockerfile, arguments: [--gpus, all]}}\n",
            EnvironmentSpec::Docker {
                image: None,
                dockerfile: Some("FROM a\nRUN b\n".into()),
                context: None,
                arguments: vec!["--gpus".into(), "all".into()],
                shm_size: Some("2g".into()),
                inner: Box::new(own("python")),
            },
        ),
        (
            "environment: {python: {userManagedDependencies: true}, docker: {baseImage: i}}\ndocker: {useDocker: true, shmSize: 4g}\n",
            EnvironmentSpec::Docker {
                image: Some("i".into()),
                dockerfile: None,
                context: None,
                arguments: vec![],
                shm_size: Some("4g".into()),
                inner: Box::new(own("python")),
            },
        ),
    ] {
        let (resolved, found) = environment_of(text, folder.path());
        assert_eq!(codes(&found), [""; 0], "{text}");
        assert_eq!(resolved.spec, expected, "{text}");
    }
    let (resolved, _) = environment_of(
        "environment: env.yml\nenvironmentVariables: {B: y}\n",
        folder.path(),
    );
    assert_eq!(resolved.variables.iter().collect::<Vec<_>>().len(), 2);
    let (_, found) = environment_of(
        "environment: {python: {condaDependenciesFile: no.yml}}\n",
        folder.path(),
    );
    assert_eq!(codes(&found), ["error missing-file"]);
    assert_eq!(found[0].place().unwrap(), "t.runconfig:1:47");
}

#[test]
fn data_is_found_by_the_users_map_or_said_to_be_missing() {
    let folder = folder(&[]);
    let config = config(
        "data:\n  train_set:\n    dataLocation: {dataset: {name: credit, version: 1}}\n    mechanism: download\n    environmentVariableName: training_data\n  by_id: {dataLocation: {dataset: {id: abc}}}\n  store: {dataLocation: {datapath: {datastoreName: ws, relativePath: a/b}}, mechanism: mount}\n  there:\n    dataLocation: {dataset: {name: x}}\n    mechanism: mount\n    pathOnCompute: /tmp\n  uri: {dataLocation: {uri: {path: 'https://h/f.csv'}}, mechanism: download}\ndataReferences:\n  my_ref: {dataStoreName: ws, pathOnDataStore: c}\n",
    );
    let mut map = DataMap::default();
    let mut found = Vec::new();
    let bindings = data_bindings(&config, &map, folder.path(), &Disk, &mut found);
    assert_eq!(codes(&found), ["error unmapped-data"; 3]);
    assert!(
        found[1].message.contains("dataset `credit`"),
        "{}",
        found[1].message
    );
    assert!(
        found[1].help[0].contains("datasets:\n  credit: "),
        "{:?}",
        found[1].help
    );
    assert_eq!(bindings.len(), 3);

    map.datasets.insert("credit:1".into(), "credit.csv".into());
    map.datastores.insert("ws".into(), "/m".into());
    let mut found = Vec::new();
    let bindings = data_bindings(&config, &map, folder.path(), &Disk, &mut found);
    assert!(found.is_empty(), "{found:?}");
    let credit = folder.path().join("credit.csv").to_string_lossy().into_owned();
    let seen: Vec<_> = bindings
        .iter()
        .map(|b| (b.name.as_str(), b.value.as_str(), b.is_path))
        .collect();
    assert_eq!(
        seen,
        [
            ("my_ref", "/m/c", true),
            ("train_set", &credit, true),
            ("by_id", "abc", false),
            ("store", "/m/a/b", true),
            ("there", "/tmp", true),
            ("uri", "https://h/f.csv", false),
        ]
    );
    assert_eq!(
        bindings[0].variables,
        ["AZUREML_DATAREFERENCE_my_ref", "AZUREML_DATAREFERENCE_myRef"]
    );
    assert_eq!(
        bindings[1].variables,
        [
            "training_data",
            "TRAINING_DATA",
            "AZUREML_DATAREFERENCE_training_data",
            "trainSet"
        ]
    );
    assert_eq!(bindings[1].mechanism.as_deref(), Some("download"));
}
