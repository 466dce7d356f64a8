//! Logged models (clients from 3.0) and the model registry, both on local folders.

use super::App;
use super::artifact;
use super::folder::{Folder, parts};
use super::reply::{Fields, bad, missing, ok, pairs, text};
use super::route::nothing;
use super::state::now_ms;
use crate::channel::Report;
use axum::http::Method;
use axum::response::Response;
use indexmap::IndexMap;
use serde_json::{Value, json};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Models kept in memory; scripts that log one in each step forget the oldest.
const MODELS_MAX: usize = 1000;

/// What the endpoint knows of models.
#[derive(Debug, Default)]
pub(super) struct Models {
    logged: IndexMap<String, Value>,
    versions: IndexMap<(String, String), Value>,
}

/// Answers calls on models; `None` if the path is none.
pub(super) fn dispatch(app: &App, method: &Method, path: &str, fields: &Fields) -> Option<Response> {
    let mut steps = path.split('/');
    match (steps.next()?, method.as_str(), steps.next(), steps.next()) {
        ("logged-models", "POST", None, None) => Some(create(app, fields)),
        ("logged-models", "POST", Some("search"), None) => {
            let models: Vec<Value> = app.models().logged.values().cloned().collect();
            Some(ok(&json!({"models": models})))
        }
        ("logged-models", "GET", Some(id), None) => Some(match app.models().logged.get(id) {
            Some(model) => ok(&json!({"model": model})),
            None => nothing("the logged model"),
        }),
        ("logged-models", "GET", Some(id), Some("artifacts")) => {
            let folder = text(fields, "artifact_directory_path").unwrap_or_default();
            let prefix = if folder.is_empty() {
                String::new()
            } else {
                format!("{}/", folder.trim_matches('/'))
            };
            let path = format!("{}/models/{id}/artifacts/{folder}", app.config.experiment_id);
            Some(artifact::list(app, &path, &prefix))
        }
        ("logged-models", "PATCH", Some(id), None) => Some(finish(app, id, fields)),
        ("logged-models", "PATCH" | "POST", Some(id), Some(what @ ("tags" | "params"))) => {
            Some(amend(app, id, what, pairs(fields, what)))
        }
        ("logged-models", "DELETE", Some(_), _) => Some(ok(&json!({}))),
        ("registered-models", "POST", Some("create"), None) => {
            let name = text(fields, "name")?;
            Some(ok(&json!({"registered_model": registered(app, &name)})))
        }
        ("registered-models", "GET", Some("get"), None) => {
            let name = text(fields, "name")?;
            let known = app.registry(&name).is_some_and(|folder| folder.is_dir());
            Some(if known {
                ok(&json!({"registered_model": registered(app, &name)}))
            } else {
                nothing("the registered model")
            })
        }
        ("registered-models", "GET" | "POST", Some("get-latest-versions"), None) => {
            let name = text(fields, "name")?;
            Some(ok(&json!({"model_versions": newest(app, &name)})))
        }
        ("registered-models", "GET", Some("search"), None) => Some(ok(&json!({"registered_models": []}))),
        ("model-versions", "POST", Some("create"), None) => Some(register(app, fields)),
        ("model-versions", "GET", Some(what @ ("get" | "get-download-uri")), None) => {
            let key = (
                text(fields, "name")?.into_owned(),
                text(fields, "version")?.into_owned(),
            );
            Some(match app.models().versions.get(&key) {
                Some(version) if what == "get" => ok(&json!({"model_version": version})),
                Some(version) => ok(&json!({"artifact_uri": version.get("source")})),
                None => nothing("the model version"),
            })
        }
        ("model-versions", "GET", Some("search"), None) => {
            let versions: Vec<Value> = app.models().versions.values().cloned().collect();
            Some(ok(&json!({"model_versions": versions})))
        }
        _ => None,
    }
}

impl App {
    fn models(&self) -> std::sync::MutexGuard<'_, Models> {
        self.models
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Folder of a registered model; `None` if the name cannot be one.
    fn registry(&self, name: &str) -> Option<PathBuf> {
        let root = self
            .config
            .registry
            .clone()
            .unwrap_or_else(|| self.config.folder.join("registry"));
        match parts(name)?.as_slice() {
            [single] if !single.starts_with('.') => Some(root.join("models").join(single)),
            _ => None,
        }
    }

    fn tell_model(&self, name: &str, path: String) {
        self.sink.report(Report::Artifact {
            kind: "model".to_owned(),
            name: name.to_owned(),
            path,
        });
    }
}

fn create(app: &App, fields: &Fields) -> Response {
    let id = format!("m-{}", uuid::Uuid::new_v4().simple());
    let now = now_ms();
    let uri = format!(
        "mlflow-artifacts:/{}/models/{id}/artifacts",
        app.config.experiment_id
    );
    let model = json!({
        "info": {
            "model_id": id, "experiment_id": app.config.experiment_id, "name": fields.get("name").cloned().unwrap_or_default(),
            "creation_timestamp_ms": now, "last_updated_timestamp_ms": now, "artifact_uri": uri,
            "status": "LOGGED_MODEL_PENDING", "model_type": fields.get("model_type").cloned().unwrap_or_else(|| "".into()),
            "source_run_id": fields.get("source_run_id").cloned().unwrap_or_else(|| app.config.run_id.clone().into()),
            "tags": fields.get("tags").cloned().unwrap_or_else(|| json!([])),
        },
        "data": {"params": fields.get("params").cloned().unwrap_or_else(|| json!([])), "metrics": []},
    });
    let mut models = app.models();
    if models.logged.len() >= MODELS_MAX {
        models.logged.shift_remove_index(0);
    }
    models.logged.insert(id, model.clone());
    ok(&json!({"model": model}))
}

/// The upload has ended, well or not.
fn finish(app: &App, id: &str, fields: &Fields) -> Response {
    let mut models = app.models();
    let Some(model) = models.logged.get_mut(id) else {
        return nothing("the logged model");
    };
    let status = match fields.get("status") {
        Some(Value::String(word)) => word.clone(),
        Some(Value::Number(number)) if number.as_u64() == Some(3) => "LOGGED_MODEL_UPLOAD_FAILED".to_owned(),
        _ => "LOGGED_MODEL_READY".to_owned(),
    };
    if let Some(info) = model.get_mut("info").and_then(Value::as_object_mut) {
        info.insert("status".to_owned(), status.clone().into());
        info.insert("last_updated_timestamp_ms".to_owned(), now_ms().into());
    }
    let model = model.clone();
    drop(models);
    if status == "LOGGED_MODEL_READY" {
        let name = model.pointer("/info/name").and_then(Value::as_str).unwrap_or(id);
        app.tell_model(name, format!("artifacts/models/{id}"));
    }
    ok(&json!({"model": model}))
}

fn amend(app: &App, id: &str, what: &str, new: Vec<(String, String)>) -> Response {
    let mut models = app.models();
    let Some(model) = models.logged.get_mut(id) else {
        return nothing("the logged model");
    };
    let place = if what == "tags" {
        "/info/tags"
    } else {
        "/data/params"
    };
    if let Some(entries) = model.pointer_mut(place).and_then(Value::as_array_mut) {
        for (key, value) in new {
            entries.retain(|entry| entry.get("key").and_then(Value::as_str) != Some(&key));
            entries.push(json!({"key": key, "value": value}));
        }
    }
    ok(&json!({"model": model}))
}

/// `runs/log-model` of clients before 3.0: the files are there already.
pub(super) fn logged_by_run(app: &App, id: &str, fields: &Fields) {
    let known = text(fields, "model_json").and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let path = known
        .as_ref()
        .and_then(|model| model.get("artifact_path"))
        .and_then(Value::as_str);
    if let Some(path) = path
        && !app.state().is_child(id)
        && parts(path).is_some()
    {
        app.tell_model(path, format!("artifacts/{path}"));
    }
}

fn registered(app: &App, name: &str) -> Value {
    let now = now_ms();
    json!({"name": name, "creation_timestamp": now, "last_updated_timestamp": now, "latest_versions": newest(app, name)})
}

fn newest(app: &App, name: &str) -> Vec<Value> {
    app.models()
        .versions
        .iter()
        .filter(|((known, _), _)| known == name)
        .map(|(_, version)| version.clone())
        .next_back()
        .into_iter()
        .collect()
}

/// Copies a logged model to `<registry>/models/<name>/<version>/`.
fn register(app: &App, fields: &Fields) -> Response {
    let Some(name) = text(fields, "name") else {
        return bad("name is missing");
    };
    let Some(folder) = app.registry(&name) else {
        return bad("the model's name must be one word");
    };
    let source = text(fields, "source").unwrap_or_default().into_owned();
    let model = text(fields, "model_id").map(std::borrow::Cow::into_owned);
    let place = match (
        source.strip_prefix("models:/"),
        source.strip_prefix("mlflow-artifacts:"),
    ) {
        (Some(id), _) => Some(format!("models/{id}")),
        (None, Some(path)) => artifact::place(app, path),
        (None, None) => model.as_ref().map(|id| format!("models/{id}")),
    };
    let version = match allocate(&folder) {
        Ok(version) => version,
        Err(error) => return bad(&format!("the model cannot be registered: {error}")),
    };
    let copied = match place.as_deref().and_then(parts) {
        Some(names) => copy(
            &app.artifacts(),
            &names,
            &folder
                .join(version.to_string())
                .join(names.last().unwrap_or(&"model")),
            0,
        ),
        None => Ok(()),
    };
    if let Err(error) = copied {
        return missing(&format!("the model's files cannot be copied: {error}"));
    }
    let now = now_ms();
    let run = text(fields, "run_id").map_or_else(|| app.config.run_id.clone(), std::borrow::Cow::into_owned);
    let details = json!({"name": name, "version": version, "run_id": run, "created": now / 1000, "source": source,
        "tags": {}, "properties": {}, "description": fields.get("description")});
    // The details are for people; the model itself is there.
    let _ = fs::write(folder.join(format!("{version}.json")), details.to_string());
    let reply = json!({
        "name": name, "version": version.to_string(), "creation_timestamp": now, "last_updated_timestamp": now,
        "current_stage": "None", "status": "READY", "source": source, "run_id": run, "model_id": model,
    });
    app.models()
        .versions
        .insert((name.clone().into_owned(), version.to_string()), reply.clone());
    app.tell_model(
        &format!("{name}:{version}"),
        place.map_or_else(String::new, |place| format!("artifacts/{place}")),
    );
    ok(&json!({"model_version": reply}))
}

/// Makes the folder of the next free version; making it is what claims it.
fn allocate(folder: &Path) -> io::Result<u64> {
    fs::create_dir_all(folder)?;
    let taken = fs::read_dir(folder)?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u64>().ok())
        .max();
    let mut version = taken.unwrap_or(0) + 1;
    loop {
        match fs::create_dir(folder.join(version.to_string())) {
            Ok(()) => return Ok(version),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => version += 1,
            Err(error) => return Err(error),
        }
    }
}

fn copy(from: &Folder, names: &[&str], to: &Path, depth: u32) -> io::Result<()> {
    if depth > 32 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    if let Ok(mut file) = from.open(names) {
        io::copy(&mut file, &mut fs::File::create(to)?)?;
        return Ok(());
    }
    if !from.root().join(names.join("/")).is_dir() {
        return Err(io::ErrorKind::NotFound.into());
    }
    fs::create_dir_all(to)?;
    for entry in from.list(names)? {
        let inner: Vec<&str> = names.iter().copied().chain([entry.name.as_str()]).collect();
        copy(from, &inner, &to.join(&entry.name), depth + 1)?;
    }
    Ok(())
}
