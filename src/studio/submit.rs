//! Starting sweeps: the text is saved, and `overdrive run` (or `resume`) leads it as a process of its own that outlives the studio.

use crate::store::{Store, SweepFilter};
use crate::studio::check::{Draft, folder_of, name_of};
use crate::studio::control::changeable;
use crate::studio::error::ApiError;
use crate::studio::read::{Answer, SCHEMA_VERSION};
use crate::studio::state::Studio;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use std::ffi::OsStr;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long an answer waits for the sweep to appear; environments may have to be built first.
const PATIENCE: Duration = Duration::from_secs(20);
const BEAT: Duration = Duration::from_millis(50);
/// Bytes of the process's words that are shown if it fails.
const WORDS_MAX: u64 = 16 * 1024;

/// How starting a sweep stands.
#[derive(Serialize, JsonSchema)]
pub(super) struct Submitted {
    schema_version: u32,
    /// The sweep, once it is there.
    sweep: Option<String>,
    /// `started`, or `preparing` while its environment is built.
    state: &'static str,
    /// The file that was written.
    file: String,
    /// The last words of the process that prepares it.
    message: Option<String>,
}

pub(super) async fn submit(State(studio): State<Studio>, Json(draft): Json<Draft>) -> Answer<Submitted> {
    changeable(&studio)?;
    let folder = folder_of(&studio, &draft)?;
    let io = |error: std::io::Error| ApiError::internal(format!("the sweep could not be started: {error}"));
    let own = studio
        .settings
        .state_folder
        .join("submitted")
        .join(uuid::Uuid::new_v4().simple().to_string());
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&own)
        .map_err(io)?;
    // Where nothing names the experiment, the folder of its file does: it is called as that of the code.
    let named = own.join(folder.file_name().unwrap_or(OsStr::new("sweep")));
    DirBuilder::new().mode(0o700).create(&named).map_err(io)?;
    let file = named.join(name_of(&draft));
    // Paths in job files are relative to the file: such a file has to lie with the code.
    let file = if is_hyperdrive(&draft.text) {
        file
    } else {
        beside_code(&folder, &file)
    };
    let mut out = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&file)
        .map_err(io)?;
    out.write_all(draft.text.as_bytes()).map_err(io)?;
    drop(out);
    let mut command = program(&studio);
    command.arg("run").arg(&file);
    if let Some(script) = given(draft.script.as_ref()) {
        command.arg(script);
    }
    command.arg("--source-directory").arg(&folder);
    let configuration = given(draft.run_configuration.as_ref()).map(|name| located(&folder, &name));
    for (flag, value) in [
        ("--run-configuration", configuration),
        ("--experiment-name", given(draft.experiment.as_ref())),
        ("--name", given(draft.display_name.as_ref())),
    ] {
        if let Some(value) = value {
            // In one word, so that a value may begin with a dash.
            command.arg(format!("{flag}={value}"));
        }
    }
    if !draft.arguments.is_empty() {
        command.arg("--").args(&draft.arguments);
    }
    let words = own.join("words.txt");
    let child = start(command, &folder, &words).map_err(io)?;
    let wanted = file.clone();
    let appeared = move |store: &Store| -> Result<Option<String>, ApiError> {
        let filter = SweepFilter {
            file: Some(wanted.clone()),
            archived: true,
            limit: Some(1),
            ..SweepFilter::default()
        };
        Ok(store.sweeps(&filter)?.into_iter().next().map(|row| row.sweep))
    };
    follow(&studio, child, &words, appeared, &file).await
}

/// Leads a sweep whose controller is gone.
pub(super) async fn lead(studio: &Studio, sweep: String) -> Answer<Submitted> {
    let io = |error: std::io::Error| ApiError::internal(format!("the sweep cannot be led: {error}"));
    let own = studio.settings.state_folder.join("submitted");
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&own)
        .map_err(io)?;
    let words = own.join(format!("{}.words.txt", uuid::Uuid::new_v4().simple()));
    let mut command = program(studio);
    command.arg("resume").arg(&sweep);
    let child = start(command, &studio.settings.project_folder, &words).map_err(io)?;
    let wanted = sweep.clone();
    let led = move |store: &Store| -> Result<Option<String>, ApiError> {
        let leader = store.leader(&wanted)?;
        let here = leader.is_some_and(|leader| leader.presence == crate::process::Presence::Here);
        Ok(here.then(|| wanted.clone()))
    };
    follow(studio, child, &words, led, Path::new(&sweep)).await
}

fn program(studio: &Studio) -> Command {
    let mut command = Command::new(&studio.settings.program);
    command.arg("--home").arg(&studio.settings.state_folder).args([
        "--progress",
        "lines",
        "--color",
        "never",
    ]);
    command
}

fn given(text: Option<&String>) -> Option<String> {
    text.map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
}

fn is_hyperdrive(text: &str) -> bool {
    use crate::config::Format;
    use crate::diagnostic::{Dialect, Source, parse};
    let document = parse(&Source::new("draft", text), Dialect::Yaml12);
    let format = document.root.as_ref().and_then(Format::detect);
    !matches!(
        format,
        Some(Format::SweepJob | Format::CommandJob | Format::PipelineJob)
    )
}

/// A name in the code's folder that nobody has yet.
fn beside_code(folder: &Path, file: &Path) -> PathBuf {
    let stem = file
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default();
    let free = (1..).map(|number| folder.join(format!("{stem}-submitted-{number}.yml")));
    free.into_iter()
        .find(|path| !path.exists())
        .unwrap_or_else(|| file.to_owned())
}

/// A run configuration is looked for beside the file; the saved file lies elsewhere, so the place is named.
fn located(folder: &Path, name: &str) -> String {
    let candidates = [
        folder.join(name),
        folder.join(format!("{name}.runconfig")),
        folder.join(".azureml").join(format!("{name}.runconfig")),
        folder.join("aml_config").join(format!("{name}.runconfig")),
    ];
    let found = candidates.iter().find(|path| path.is_file());
    found.map_or_else(|| name.to_owned(), |path| path.to_string_lossy().into_owned())
}

/// Starts a process that neither the studio's end nor its terminal takes along.
fn start(mut command: Command, folder: &Path, words: &Path) -> std::io::Result<Child> {
    let out = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(words)?;
    let err: File = out.try_clone()?;
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .process_group(0)
        .spawn()
}

/// Waits until the sweep is there, the process has ended, or patience does.
async fn follow(
    studio: &Studio,
    mut child: Child,
    words: &Path,
    appeared: impl Fn(&Store) -> Result<Option<String>, ApiError> + Clone + Send + 'static,
    file: &Path,
) -> Answer<Submitted> {
    let submitted = |sweep, state, message| {
        Json(Submitted {
            schema_version: SCHEMA_VERSION,
            sweep,
            state,
            file: file.to_string_lossy().into_owned(),
            message,
        })
    };
    let begun = tokio::time::Instant::now();
    loop {
        let look = appeared.clone();
        let found = studio.with_store(move |store| look(store)).await?;
        let ended = child.try_wait().unwrap_or(None);
        match (found, ended) {
            (Some(sweep), _) => {
                reap(child);
                return Ok(submitted(Some(sweep), "started", None));
            }
            (None, Some(status)) => {
                let said = said(words);
                let code = status
                    .code()
                    .map_or_else(|| "a signal".to_owned(), |code| format!("code {code}"));
                let message = if said.is_empty() {
                    format!("`overdrive` ended with {code}")
                } else {
                    said
                };
                return Err(ApiError::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "not-started",
                    message,
                ));
            }
            (None, None) if begun.elapsed() > PATIENCE => {
                reap(child);
                return Ok(submitted(None, "preparing", Some(said(words))));
            }
            (None, None) => tokio::time::sleep(BEAT).await,
        }
    }
}

/// Takes the exit status in the background, so that no zombie stays.
fn reap(mut child: Child) {
    // Without a thread the zombie stays until the studio ends; nothing else is lost.
    let _ = std::thread::Builder::new()
        .name("reaper".into())
        .spawn(move || child.wait());
}

/// The last words of the process.
fn said(words: &Path) -> String {
    use std::io::{Read, Seek, SeekFrom};
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(words)?;
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(WORDS_MAX)))?;
        let mut bytes = Vec::new();
        file.take(WORDS_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim().to_owned()
}
