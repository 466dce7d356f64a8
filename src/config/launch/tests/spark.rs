//! PySpark scripts.

use super::*;

#[test]
fn a_target_says_where_spark_is_and_the_files_how_yarn_is_used() {
    let mut experiment = experiment(Dialect::Hyperdrive, script("train.py", &[]), &[]);
    experiment.launch.framework = "pyspark".into();
    let argv = |experiment: &Experiment, spark: SparkSubmit| {
        let context = LaunchContext { spark, ..context() };
        plan(experiment, &values(&[]), &context).unwrap().argv
    };
    let standalone = SparkSubmit {
        program: vec!["/opt/spark/bin/spark-submit".into()],
        master: Some("spark://head:7077".into()),
        conf: [("spark.cores.max".to_owned(), "1".to_owned())].into(),
        ..SparkSubmit::default()
    };
    assert_eq!(
        argv(&experiment, standalone),
        [
            "/opt/spark/bin/spark-submit",
            "--master",
            "spark://head:7077",
            "--conf",
            "spark.cores.max=1",
            "train.py"
        ]
    );
    let yarn = SparkSubmit {
        master: Some("yarn".into()),
        ..SparkSubmit::default()
    };
    let mode = |argv: Vec<String>| argv[4].clone();
    assert_eq!(mode(argv(&experiment, yarn.clone())), "cluster");
    experiment.launch.run_definition = json!({"hdi": {"yarnDeployMode": "Client"}});
    assert_eq!(mode(argv(&experiment, yarn.clone())), "client");
    let decided = SparkSubmit {
        deploy_mode: Some("cluster".into()),
        ..yarn
    };
    assert_eq!(mode(argv(&experiment, decided)), "cluster");
}

#[test]
fn spark_gets_its_packages_and_settings() {
    let mut experiment = experiment(Dialect::Hyperdrive, script("train.py", &["--a"]), &[]);
    experiment.launch.framework = "pyspark".into();
    experiment.launch.run_definition = json!({
        "environment": {"spark": {
            "repositories": ["https://r/x", "https://r/y"],
            "packages": [{"group": "com.microsoft", "artifact": "mmlspark", "version": 0.9}],
        }},
        "spark": {"configuration": {"spark.app.name": "A B", "spark.yarn.maxAppAttempts": 1}},
    });
    assert_eq!(
        argv(&experiment, &[]),
        [
            "spark-submit",
            "--repositories",
            "https://r/x,https://r/y",
            "--packages",
            "com.microsoft:mmlspark:0.9",
            "--conf",
            "spark.app.name=A B",
            "--conf",
            "spark.yarn.maxAppAttempts=1",
            "train.py",
            "--a",
        ]
    );
}

#[test]
fn an_environment_of_ones_own_is_named_to_spark_where_its_nodes_can_see_it() {
    let mut experiment = experiment(Dialect::Hyperdrive, script("train.py", &[]), &[]);
    experiment.launch.framework = "pyspark".into();
    let planned = |experiment: &Experiment, master: &str| {
        let context = LaunchContext {
            spark: SparkSubmit {
                master: Some(master.into()),
                program: vec!["/proc/self/exe".into(), "spark-app".into()],
                ..SparkSubmit::default()
            },
            ..context()
        };
        plan(experiment, &values(&[]), &context).unwrap().env
    };
    let env = planned(&experiment, "spark://head:7077");
    assert_eq!(env.get("PYSPARK_PYTHON"), None);
    assert!(env[SPARK_VARIABLES].contains("AZUREML_RUN_ID"), "{env:?}");
    experiment.launch.environment = EnvironmentSpec::Conda {
        dependencies: json!({"dependencies": []}),
    };
    assert_eq!(
        planned(&experiment, "spark://head:7077")["PYSPARK_PYTHON"],
        "/env/bin/python"
    );
    assert_eq!(planned(&experiment, "yarn").get("PYSPARK_PYTHON"), None);
}
