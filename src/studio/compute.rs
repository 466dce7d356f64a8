//! Compute targets: seeing, creating, attaching, changing, testing, removing them.
//!
//! The verbs are those of the command line: `overdrive target ... --json` runs as a process of its own, so that shapes, findings and kinds
//! are the same on both sides, whatever kinds there are. Values travel as one word each (`--flag=value`), never through a shell; secrets through a
//! variable or a private file, as the command line offers, never as an argument. What is added here is what runs on each target.

use crate::store::{Store, SweepFilter, SweepRow};
use crate::studio::control::changeable;
use crate::studio::error::ApiError;
use crate::studio::read::{Answer, List, SCHEMA_VERSION};
use crate::studio::state::{Settings, Studio};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fs::DirBuilder;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// Unfinished sweeps are looked for among so many of the newest.
const SWEEPS: u64 = 500;
/// How long a verb may take; reaching a far machine has limits of its own.
const PATIENCE: Duration = Duration::from_secs(180);
/// Folder of secrets that were given in forms, below the state folder.
const SECRETS: &str = "studio-secrets";
/// Verbs that make or change a target.
const VERBS: [&str; 3] = ["create", "attach", "update"];

/// A kind of target that can be created, attached or changed, with the fields of its form.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TargetKind {
    /// `create`, `attach` or `update`.
    pub verb: String,
    /// Name of the kind.
    pub kind: String,
    /// One sentence about it.
    pub about: String,
    /// What can be said about such a target.
    pub fields: Vec<TargetField>,
}

/// One field of a form.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TargetField {
    /// Name, as on the command line without its dashes.
    pub name: String,
    /// What it means.
    pub about: String,
    /// What kind of value it takes, in one word.
    pub value: Option<String>,
    /// Value unless said otherwise.
    pub default: Option<String>,
    /// The only values it takes; empty = any.
    pub choices: Vec<String>,
    /// Heading under which it stands, if not with the main ones.
    pub group: Option<String>,
    /// Whether it must be given.
    pub required: bool,
    /// Whether it is given or not, without a value.
    pub switch: bool,
    /// Whether it can be given several times.
    pub many: bool,
    /// Whether nobody else may see its value.
    pub secret: bool,
    /// Variable that carries it instead of an argument.
    pub variable: Option<String>,
    /// Field that takes the name of a file with it instead.
    pub file: Option<String>,
}

/// A target as `overdrive target list --json` and `target show --json` tell it, and what runs on it.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(super) struct TargetRow {
    /// Name.
    name: String,
    /// Kind; absent if its file cannot be understood.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    /// Whatever else its kind has to tell.
    #[serde(flatten)]
    more: Map<String, Value>,
    /// What runs on it, for this project.
    #[serde(default)]
    usage: Usage,
    /// What this computer has; only of targets that run on it.
    #[serde(default)]
    machine: Option<Machine>,
}

/// What runs on a target.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
struct Usage {
    /// Trials that run or start.
    running: u64,
    /// Trials that wait for a place.
    queued: u64,
    /// Trials at a time that unfinished sweeps on it allow.
    wanted: u64,
    /// Unfinished sweeps on it, newest first.
    sweeps: Vec<Busy>,
}

/// An unfinished sweep on a target.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
struct Busy {
    sweep: String,
    experiment: String,
    state: String,
    running: u64,
    max_concurrent_runs: u64,
}

/// What this computer has.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
struct Machine {
    cores: usize,
    memory_bytes: Option<u64>,
    memory_free_bytes: Option<u64>,
    /// Names of the graphics processors.
    devices: Vec<String>,
}

/// One target, as a document.
#[derive(Serialize, JsonSchema)]
pub(super) struct TargetDetail {
    schema_version: u32,
    #[serde(flatten)]
    row: TargetRow,
}

/// What a probe of a target found, as `overdrive target test --json` tells it.
#[derive(Deserialize, Serialize, JsonSchema)]
pub(super) struct TargetProbe {
    schema_version: u32,
    name: String,
    /// Whether it can run trials.
    ok: bool,
    steps: Vec<ProbeStep>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

/// One step of a probe.
#[derive(Deserialize, Serialize, JsonSchema)]
struct ProbeStep {
    step: String,
    ok: bool,
    /// Whether trials cannot do without it.
    needed: bool,
    /// What was found, or what is wrong.
    found: String,
    milliseconds: f64,
}

/// That a target is gone.
#[derive(Serialize, JsonSchema)]
pub(super) struct TargetRemoved {
    schema_version: u32,
    /// What was done, in words.
    message: String,
}

/// What a form says.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TargetForm {
    /// `create` or `attach`; changes of a target are always `update`.
    verb: Option<String>,
    /// Kind.
    kind: String,
    /// Values by the names of fields: text, number, true, or a list of them.
    fields: IndexMap<String, Value>,
}

/// What may be asked of a target.
#[derive(Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum TargetAction {
    /// Probe it for real, step by step.
    Test,
    /// Let go of an attached one.
    Detach {
        /// Cancel the sweeps that run on it first.
        #[serde(default)]
        force: bool,
    },
}

pub(super) async fn targets(State(studio): State<Studio>) -> Answer<List<TargetRow>> {
    let mut listed = verb(&studio, vec!["list".into()], Vec::new()).await?;
    let items = listed.get_mut("items").map(Value::take).unwrap_or(Value::Null);
    let mut rows: Vec<TargetRow> =
        serde_json::from_value(items).map_err(|error| ApiError::internal(error.to_string()))?;
    let mut usages = usages(&studio).await?;
    for row in &mut rows {
        complete(row, &mut usages);
    }
    Ok(Json(List::page(rows, None)))
}

pub(super) async fn target(State(studio): State<Studio>, Path(name): Path<String>) -> Answer<TargetDetail> {
    shown(&studio, &name).await
}

async fn shown(studio: &Studio, name: &str) -> Answer<TargetDetail> {
    let words = vec!["show".into(), format!("--name={name}")];
    let mut value = verb(studio, words, Vec::new()).await?;
    value.remove("schema_version");
    let mut row: TargetRow = serde_json::from_value(Value::Object(value))
        .map_err(|error| ApiError::internal(error.to_string()))?;
    complete(&mut row, &mut usages(studio).await?);
    Ok(Json(TargetDetail {
        schema_version: SCHEMA_VERSION,
        row,
    }))
}

fn complete(row: &mut TargetRow, usages: &mut IndexMap<String, Usage>) {
    row.usage = usages.shift_remove(&row.name.to_lowercase()).unwrap_or_default();
    if matches!(row.kind.as_deref(), Some("local" | "amlcompute")) {
        row.machine = Some(machine());
    }
}

/// Kinds of targets with the fields of their forms.
pub(super) async fn kinds(State(studio): State<Studio>) -> Json<List<TargetKind>> {
    Json(List::page(studio.settings.kinds.to_vec(), None))
}

pub(super) async fn create(
    State(studio): State<Studio>,
    Json(form): Json<TargetForm>,
) -> Answer<TargetDetail> {
    changeable(&studio)?;
    let word = form.verb.clone().unwrap_or_else(|| "create".to_owned());
    if word == "update" {
        return Err(ApiError::bad("`verb` is create or attach"));
    }
    let name = match form.fields.get("name") {
        Some(Value::String(name)) => name.clone(),
        _ => return Err(ApiError::bad("`name` is missing: what the target is called")),
    };
    said(&studio, &word, &form).await?;
    shown(&studio, &name).await
}

pub(super) async fn update(
    State(studio): State<Studio>,
    Path(name): Path<String>,
    Json(mut form): Json<TargetForm>,
) -> Answer<TargetDetail> {
    changeable(&studio)?;
    form.fields.insert("name".into(), Value::from(name.as_str()));
    said(&studio, "update", &form).await?;
    shown(&studio, &name).await
}

/// Says what a form says; secrets that were kept for a refused one go, and what was there before comes back.
async fn said(studio: &Studio, word: &str, form: &TargetForm) -> Result<(), ApiError> {
    let mut kept = Vec::new();
    let done = match line(&studio.settings, word, form, &mut kept) {
        Ok((words, variables)) => verb(studio, words, variables).await.map(drop),
        Err(error) => Err(error),
    };
    if done.is_err() {
        for Kept { path, before } in kept {
            let _ = match before {
                Some(secret) => write_secret(&path, &secret),
                None => std::fs::remove_file(path),
            };
        }
    }
    done
}

#[derive(Deserialize)]
pub(super) struct RemoveQuery {
    #[serde(default)]
    force: bool,
}

pub(super) async fn delete(
    State(studio): State<Studio>,
    Path(name): Path<String>,
    Query(query): Query<RemoveQuery>,
) -> Answer<TargetRemoved> {
    changeable(&studio)?;
    remove(&studio, "delete", &name, query.force).await
}

async fn remove(studio: &Studio, word: &str, name: &str, force: bool) -> Answer<TargetRemoved> {
    // A name that nothing has is no error on the command line; here somebody looked at it.
    verb(studio, vec!["show".into(), format!("--name={name}")], Vec::new())
        .await
        .or_else(|error| {
            if error.status() == StatusCode::NOT_FOUND {
                Err(error)
            } else {
                Ok(Map::new())
            }
        })?;
    let mut words = vec![word.to_owned(), format!("--name={name}"), "--yes".into()];
    if force {
        words.push("--force".into());
    }
    let said = run(studio, words, Vec::new()).await?;
    forget(&studio.settings, name);
    Ok(Json(TargetRemoved {
        schema_version: SCHEMA_VERSION,
        message: said.words,
    }))
}

/// A test's findings, or that it was let go.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum TargetAnswer {
    /// Of `test`.
    Probe(TargetProbe),
    /// Of `detach`.
    Removed(TargetRemoved),
}

pub(super) async fn act(
    State(studio): State<Studio>,
    Path(name): Path<String>,
    Json(action): Json<TargetAction>,
) -> Answer<TargetAnswer> {
    changeable(&studio)?;
    match action {
        TargetAction::Test => {
            let value = verb(&studio, vec!["test".into(), "--".into(), name], Vec::new()).await?;
            let probe = serde_json::from_value(Value::Object(value))
                .map_err(|error| ApiError::internal(error.to_string()))?;
            Ok(Json(TargetAnswer::Probe(probe)))
        }
        TargetAction::Detach { force } => {
            let Json(removed) = remove(&studio, "detach", &name, force).await?;
            Ok(Json(TargetAnswer::Removed(removed)))
        }
    }
}

type Words = (Vec<String>, Vec<(String, String)>);

/// A file with a secret that was written for a form.
struct Kept {
    path: PathBuf,
    /// What it held before.
    before: Option<Vec<u8>>,
}

/// The arguments and variables that say what a form says.
fn line(settings: &Settings, word: &str, form: &TargetForm, kept: &mut Vec<Kept>) -> Result<Words, ApiError> {
    let known = settings
        .kinds
        .iter()
        .find(|kind| VERBS.contains(&word) && kind.verb == word && kind.kind == form.kind)
        .ok_or_else(|| ApiError::bad(format!("`{word} {}` is no kind of target here", form.kind)))?;
    let mut words = vec![word.to_owned(), known.kind.clone()];
    let mut variables = Vec::new();
    for (name, value) in &form.fields {
        let field = known.fields.iter().find(|field| field.name == *name);
        let field = field.ok_or_else(|| ApiError::bad(format!("`{}` has no field `{name}`", form.kind)))?;
        let values = match value {
            Value::Array(values) if field.many => values.iter().collect(),
            other => vec![other],
        };
        for value in values {
            let text = match value {
                Value::Null | Value::Bool(false) => continue,
                Value::Bool(true) if field.switch => {
                    words.push(format!("--{name}"));
                    continue;
                }
                Value::String(text) if text.is_empty() => continue,
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => return Err(ApiError::bad(format!("`{name}` has a value that cannot be one"))),
            };
            if field.switch || text.contains('\0') {
                return Err(ApiError::bad(format!("`{name}` has a value that cannot be one")));
            }
            match (&field.variable, &field.file) {
                (Some(variable), _) => variables.push((variable.clone(), text)),
                (None, Some(file)) if field.secret => {
                    let target = form
                        .fields
                        .get("name")
                        .and_then(Value::as_str)
                        .unwrap_or_default();
                    let one = keep(settings, target, name, &text, word == "update")?;
                    words.push(format!("--{file}={}", one.path.display()));
                    kept.push(one);
                }
                (None, _) if field.secret => {
                    return Err(ApiError::bad(format!(
                        "`{name}` is a secret, and would be seen in the list of processes: give it on the command line's prompt"
                    )));
                }
                (None, _) => words.push(format!("--{name}={text}")),
            }
        }
    }
    Ok((words, variables))
}

/// Where a secret of a target is kept that was given in a form: one file a field, since a target may have several.
fn secret_path(settings: &Settings, target: &str, field: &str) -> Option<PathBuf> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let legal = |text: &str| (1..=64).contains(&text.len()) && text.bytes().all(plain);
    (legal(target) && legal(field)).then(|| {
        settings
            .state_folder
            .join(SECRETS)
            .join(format!("{}.{field}", target.to_ascii_lowercase()))
    })
}

/// Keeps a secret in a file that only its owner can read.
fn keep(
    settings: &Settings,
    target: &str,
    field: &str,
    secret: &str,
    replace: bool,
) -> Result<Kept, ApiError> {
    let path = secret_path(settings, target, field)
        .ok_or_else(|| ApiError::bad("`name` cannot name a compute target, and a secret needs one"))?;
    let before = std::fs::read(&path).ok();
    if before.is_some() && !replace {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "exists",
            format!("a compute target called `{target}` has a secret already: detach it first"),
        ));
    }
    write_secret(&path, secret.as_bytes())
        .map_err(|error| ApiError::internal(format!("the secret cannot be kept: {error}")))?;
    Ok(Kept { path, before })
}

/// Puts a file in its place as a whole, readable by its owner from the first moment.
fn write_secret(path: &std::path::Path, secret: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(std::path::Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut file = tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(0o600))
        .tempfile_in(folder)?;
    file.write_all(secret)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Removes the secrets of a target that is no more, or never was.
fn forget(settings: &Settings, target: &str) {
    for field in settings.kinds.iter().flat_map(|kind| &kind.fields) {
        if field.secret
            && let Some(path) = secret_path(settings, target, &field.name)
        {
            // Mostly there is none.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// What a verb printed.
struct Said {
    document: Map<String, Value>,
    words: String,
}

async fn verb(
    studio: &Studio,
    words: Vec<String>,
    variables: Vec<(String, String)>,
) -> Result<Map<String, Value>, ApiError> {
    run(studio, words, variables).await.map(|said| said.document)
}

/// Runs `overdrive target ...`; refusals keep the command line's words.
async fn run(
    studio: &Studio,
    words: Vec<String>,
    variables: Vec<(String, String)>,
) -> Result<Said, ApiError> {
    let failed =
        |error: std::io::Error| ApiError::internal(format!("`overdrive target` cannot run: {error}"));
    let child = Command::new(&studio.settings.program)
        .arg("--home")
        .arg(&studio.settings.state_folder)
        .args(["--json", "--color", "never", "--progress", "none", "target"])
        .args(words)
        .envs(variables)
        .current_dir(&studio.settings.project_folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output())
        .await
        .map_err(|_| ApiError::internal("`overdrive target` did not end within three minutes"))?
        .map_err(failed)?;
    let document = serde_json::from_slice::<Map<String, Value>>(&output.stdout).unwrap_or_default();
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    // A failed probe is an answer too.
    if output.status.success() || document.contains_key("steps") {
        return Ok(Said { document, words });
    }
    let error = document.get("error").cloned().or_else(|| {
        serde_json::from_str::<Map<String, Value>>(&words)
            .ok()?
            .get("error")
            .cloned()
    });
    let message = error.as_ref().map_or(words, refusal);
    Err(match output.status.code() {
        Some(3) => ApiError::not_found(message),
        Some(2) => ApiError::bad(message),
        _ => ApiError::new(StatusCode::CONFLICT, "refused", message),
    })
}

/// An error of the command line as one text: what is wrong, and what helps.
fn refusal(error: &Value) -> String {
    let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
    let mut lines: Vec<String> = text("message").into_iter().collect();
    match error.get("help") {
        Some(Value::Array(help)) => {
            lines.extend(help.iter().filter_map(Value::as_str).map(str::to_owned));
        }
        Some(Value::String(help)) => lines.push(help.clone()),
        _ => {}
    }
    if lines.is_empty() {
        error.to_string()
    } else {
        lines.join("\n")
    }
}

/// What runs on each target, by its name in small letters.
async fn usages(studio: &Studio) -> Result<IndexMap<String, Usage>, ApiError> {
    studio.with_store(counted).await
}

fn counted(store: &Store) -> Result<IndexMap<String, Usage>, ApiError> {
    let filter = SweepFilter {
        limit: Some(SWEEPS),
        archived: true,
        ..SweepFilter::default()
    };
    let mut usages: IndexMap<String, Usage> = IndexMap::new();
    for row in store
        .sweeps(&filter)?
        .iter()
        .filter(|row| !row.state.is_terminal())
    {
        let mut running: IndexMap<String, u64> = IndexMap::new();
        for attempt in store.open_attempts(&row.sweep)? {
            let target = if attempt.target.is_empty() {
                row.targets.first().cloned().unwrap_or_default()
            } else {
                attempt.target
            };
            *running.entry(plain(&target)).or_default() += 1;
        }
        let waiting = row.trials.get("Queued").copied().unwrap_or(0);
        for target in &row.targets {
            let usage = usages.entry(plain(target)).or_default();
            let here = running.get(&plain(target)).copied().unwrap_or(0);
            usage.running += here;
            usage.queued += waiting;
            usage.wanted += row.max_concurrent_runs;
            usage.sweeps.push(busy(row, here));
        }
    }
    Ok(usages)
}

fn busy(row: &SweepRow, running: u64) -> Busy {
    Busy {
        sweep: row.sweep.clone(),
        experiment: row.experiment.clone(),
        state: row.state.word().to_owned(),
        running,
        max_concurrent_runs: row.max_concurrent_runs,
    }
}

/// A target's name as files may write it, without the words around it.
fn plain(target: &str) -> String {
    target.strip_prefix("azureml:").unwrap_or(target).to_lowercase()
}

fn machine() -> Machine {
    Machine {
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_bytes: memory("MemTotal"),
        memory_free_bytes: memory("MemAvailable"),
        devices: devices(),
    }
}

/// A line of `/proc/meminfo`, in bytes.
fn memory(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_ascii_whitespace()
        .nth(1)?
        .parse::<u64>()
        .ok()
        .map(|kib| kib * 1024)
}

/// Names of the graphics processors that the driver shows.
fn devices() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/proc/driver/nvidia/gpus") else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("information")).ok())
        .filter_map(|text| {
            let line = text.lines().find(|line| line.starts_with("Model:"))?;
            line.split_once(':').map(|(_, name)| name.trim().to_owned())
        })
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str) -> TargetField {
        TargetField {
            name: name.to_owned(),
            about: String::new(),
            value: None,
            default: None,
            choices: Vec::new(),
            group: None,
            required: false,
            switch: false,
            many: false,
            secret: false,
            variable: None,
            file: None,
        }
    }

    struct NoFiles;

    impl crate::config::Files for NoFiles {
        fn read(&self, _: &std::path::Path) -> Result<Option<String>, String> {
            Ok(None)
        }
        fn exists(&self, _: &std::path::Path) -> bool {
            false
        }
        fn is_folder(&self, _: &std::path::Path) -> bool {
            false
        }
        fn names(&self, _: &std::path::Path) -> Vec<String> {
            Vec::new()
        }
        fn walk(&self, _: &std::path::Path) -> Vec<PathBuf> {
            Vec::new()
        }
        fn absolute(&self, path: &std::path::Path) -> PathBuf {
            path.to_owned()
        }
    }

    #[test]
    fn a_secret_is_never_an_argument() {
        let folder = tempfile::tempdir().unwrap();
        let fields = vec![
            field("name"),
            TargetField {
                switch: true,
                ..field("accept-host-key")
            },
            TargetField {
                many: true,
                ..field("tag")
            },
            TargetField {
                secret: true,
                file: Some("secret-file".into()),
                ..field("password")
            },
            TargetField {
                secret: true,
                variable: Some("OD_KEY".into()),
                ..field("account-key")
            },
        ];
        let kind = TargetKind {
            verb: "attach".into(),
            kind: "remote".into(),
            about: String::new(),
            fields,
        };
        let settings = Settings {
            state_folder: folder.path().to_owned(),
            project_folder: folder.path().to_owned(),
            program: PathBuf::new(),
            read_only: false,
            files: std::sync::Arc::new(NoFiles),
            prices: std::sync::Arc::new(std::collections::HashMap::new),
            kinds: vec![kind].into(),
        };
        let form = |name: &str| {
            TargetForm {
            verb: None,
            kind: "remote".into(),
            fields: serde_json::from_value(serde_json::json!({
                "name": name, "accept-host-key": true, "tag": ["a=1", "--b=2"], "password": "hunter2", "account-key": "k3y",
            }))
            .unwrap(),
        }
        };
        let mut kept = Vec::new();
        let (words, variables) = line(&settings, "attach", &form("Big-Box"), &mut kept).unwrap();
        let path = folder.path().join("studio-secrets/big-box.password");
        let expected = [
            "attach".to_owned(),
            "remote".into(),
            "--name=Big-Box".into(),
            "--accept-host-key".into(),
            "--tag=a=1".into(),
            "--tag=--b=2".into(),
            format!("--secret-file={}", path.display()),
        ];
        assert_eq!(words, expected);
        assert_eq!(variables, [("OD_KEY".to_owned(), "k3y".to_owned())]);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "hunter2");
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(
            line(&settings, "attach", &form("big-box"), &mut kept).is_err(),
            "what is kept is not written over"
        );
        assert!(line(&settings, "attach", &form("../x"), &mut kept).is_err());
        assert!(
            line(&settings, "update", &form("y"), &mut kept).is_err(),
            "a verb that the kind does not have"
        );
        assert_eq!(kept.len(), 1);
        // A change replaces it, and what was there is known.
        let changed = keep(&settings, "big-box", "password", "other", true).unwrap();
        assert_eq!(changed.before.as_deref(), Some(&b"hunter2"[..]));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "other");
        // Two secrets of one target do not meet.
        keep(&settings, "big-box", "account-key", "k", false).unwrap();
        forget(&settings, "BIG-BOX");
        assert!(
            std::fs::read_dir(folder.path().join("studio-secrets"))
                .unwrap()
                .next()
                .is_none()
        );
    }
}
