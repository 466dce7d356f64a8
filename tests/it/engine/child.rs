//! The controller as a process of its own, so that it can be killed: this test binary, started again with one test that does
//! nothing unless it is told of a project.

use super::Project;
use overdrive::config::Experiment;
use overdrive::engine::Engine;
use overdrive::store::Store;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// Starts a process that leads the sweep `HD_child` of a project: creates it if it is not there, else resumes it.
pub fn controller(project: &Project, trials: u64, concurrent: u64) -> Child {
    controller_of(project, &project.experiment(trials, concurrent))
}

/// The same of another experiment.
pub fn controller_of(project: &Project, experiment: &Experiment) -> Child {
    let file = project.state().with_file_name("experiment.json");
    std::fs::write(&file, serde_json::to_vec(experiment).unwrap()).unwrap();
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "engine::child::lead",
            "--nocapture",
            "--test-threads=1",
        ])
        .env("OVERDRIVE_TEST_PROJECT", project.state().parent().unwrap())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn lead() {
    let Some(folder) = std::env::var_os("OVERDRIVE_TEST_PROJECT") else {
        return;
    };
    let folder = Path::new(&folder);
    let experiment = serde_json::from_slice(&std::fs::read(folder.join("experiment.json")).unwrap()).unwrap();
    let state = folder.join(".overdrive");
    let store = Arc::new(Store::open(&state).unwrap());
    let mut setup = Project::new("").setup();
    if let Some(preparation) = &mut setup.preparation {
        preparation.snapshot = Some(folder.join("code"));
    }
    let engine = match store.sweep("HD_child") {
        Ok(row) if row.state.is_terminal() => return,
        Ok(_) => Engine::resume(&store, "HD_child", setup),
        Err(_) => Engine::start(&store, "HD_child", &experiment, setup),
    };
    match engine {
        Ok(engine) => {
            engine.wait().unwrap();
        }
        Err(error) => panic!("{error}"),
    }
}
