//! Channels that the user can switch off, and a tracking server of his own.

use super::binary::overdrive;
use super::project::{Project, Sweep, text};
use std::fs;

const BODY: &str =
    r#"echo "${MLFLOW_TRACKING_URI:-none} ${PYTHONPATH:-none}" > "$SEEN/variables"; echo score=1"#;

fn run(settings: &[&str]) -> (String, String) {
    let sweep = Sweep {
        total: 1,
        ..Sweep::default()
    };
    let project = Project::new(BODY, &sweep);
    let mut arguments = vec!["run", "hdconfig.yml"];
    for setting in settings {
        arguments.extend(["--set", setting]);
    }
    let output = overdrive()
        .args(&arguments)
        .current_dir(project.path())
        .env("SEEN", project.seen())
        .env("MLFLOW_TRACKING_URI", "http://me:secret@tracking.example:5000")
        .env_remove("PYTHONPATH")
        .timeout(std::time::Duration::from_secs(60))
        .output()
        .unwrap();
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{err}");
    (fs::read_to_string(project.seen().join("variables")).unwrap(), err)
}

#[test]
fn a_tracking_server_of_the_users_own_is_replaced_aloud() {
    let (variables, err) = run(&[]);
    assert!(variables.starts_with("http://127.0.0.1:"), "{variables}");
    assert!(variables.contains("shim"), "{variables}");
    assert!(
        err.contains("warning: MLFLOW_TRACKING_URI is http://tracking.example:5000: trials log to overdrive"),
        "{err}"
    );
    assert!(!err.contains("secret"), "{err}");
}

#[test]
fn channels_can_be_switched_off() {
    let (variables, err) = run(&["mlflow_endpoint=false", "azureml_shim=false"]);
    assert!(
        variables.starts_with("http://me:secret@tracking.example:5000 "),
        "{variables}"
    );
    assert!(!variables.contains("shim"), "{variables}");
    assert!(!err.contains("MLFLOW_TRACKING_URI"), "{err}");
}
