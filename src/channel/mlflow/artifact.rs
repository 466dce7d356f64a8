//! Files of the clients: streamed to and from the attempt's `artifacts/` folder.

use super::App;
use super::folder::{Folder, parts};
use super::reply::{bad, missing, ok, refuse};
use crate::channel::Report;
use axum::body::{Body, HttpBody};
use axum::extract::{Query, Request};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::future::poll_fn;
use std::io::{self, Write};
use std::pin::Pin;
use tokio_util::io::ReaderStream;

impl App {
    /// Where files go.
    pub(super) fn artifacts(&self) -> Folder {
        Folder::new(self.config.folder.join("artifacts"))
    }
}

/// Path below `artifacts/` for a path of the protocol: `<experiment>/<run>/artifacts/x` is `x` for the trial and
/// `children/<run>/x` for a child, `<experiment>/models/<id>/artifacts/x` is `models/<id>/x`.
pub(super) fn place(app: &App, path: &str) -> Option<String> {
    let all = if path.trim_matches('/').is_empty() {
        Vec::new()
    } else {
        parts(path)?
    };
    Some(match all.as_slice() {
        [_, "models", id, "artifacts", rest @ ..] => [&["models", id], rest].concat().join("/"),
        [_, run, "artifacts", rest @ ..] if app.state().is_child(run) => {
            [&["children", run], rest].concat().join("/")
        }
        [_, _, "artifacts", rest @ ..] => rest.join("/"),
        other => other.join("/"),
    })
}

/// Answers everything below `mlflow-artifacts/artifacts`.
pub(super) async fn answer(app: &App, method: &Method, path: &str, request: Request) -> Response {
    let inside = path
        .trim_start_matches("mlflow-artifacts/artifacts")
        .trim_start_matches('/')
        .to_owned();
    match *method {
        Method::GET if inside.is_empty() => {
            let query = Query::<Vec<(String, String)>>::try_from_uri(request.uri()).map(|Query(pairs)| pairs);
            let path = query
                .into_iter()
                .flatten()
                .find(|(name, _)| name == "path")
                .map(|(_, path)| path);
            list(app, &path.unwrap_or_default(), "")
        }
        Method::GET | Method::HEAD => download(app, &inside),
        Method::PUT => upload(app, &inside, request.into_body()).await,
        // Nothing that a script handed over is thrown away.
        Method::DELETE => ok(&json!({})),
        _ => refuse(
            StatusCode::METHOD_NOT_ALLOWED,
            "BAD_REQUEST",
            "only GET, PUT and DELETE",
        ),
    }
}

/// `artifacts/list` of a run: paths are relative to the run's artifact folder.
pub(super) fn list_of_run(app: &App, run: &str, path: &str) -> Response {
    let prefix = if path.is_empty() {
        String::new()
    } else {
        format!("{}/", path.trim_matches('/'))
    };
    let run = app.state().run(run).id.clone();
    list(
        app,
        &format!("{}/{run}/artifacts/{path}", app.config.experiment_id),
        &prefix,
    )
}

/// Entries of a folder; each name gets the prefix.
pub(super) fn list(app: &App, path: &str, prefix: &str) -> Response {
    let Some(place) = place(app, path) else {
        return bad("the path leaves the artifact folder");
    };
    let names: Vec<&str> = place.split('/').filter(|part| !part.is_empty()).collect();
    match app.artifacts().list(&names) {
        Ok(entries) => {
            let files: Value = entries
                .into_iter()
                .map(|entry| {
                    let path = format!("{prefix}{}", entry.name);
                    match entry.size {
                        Some(size) => json!({"path": path, "is_dir": false, "file_size": size}),
                        None => json!({"path": path, "is_dir": true}),
                    }
                })
                .collect();
            ok(&json!({"files": files, "root_uri": format!("mlflow-artifacts:/{path}")}))
        }
        Err(error) => failed(&error),
    }
}

fn failed(error: &io::Error) -> Response {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => missing("there is no such artifact"),
        // Not a 5xx: clients would try again for a long time.
        _ => refuse(
            StatusCode::BAD_REQUEST,
            "IO_ERROR",
            &format!("the artifact cannot be stored or read: {error}"),
        ),
    }
}

fn download(app: &App, path: &str) -> Response {
    let Some(place) = place(app, path) else {
        return bad("the path leaves the artifact folder");
    };
    let Some(names) = parts(&place) else {
        return bad("the path names no file");
    };
    match app
        .artifacts()
        .open(&names)
        .and_then(|file| Ok((file.metadata()?.len(), file)))
    {
        Ok((size, file)) => {
            let headers = [
                (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
                (header::CONTENT_LENGTH, size.to_string()),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
            ];
            (
                headers,
                Body::from_stream(ReaderStream::with_capacity(
                    tokio::fs::File::from_std(file),
                    64 << 10,
                )),
            )
                .into_response()
        }
        Err(error) => failed(&error),
    }
}

async fn upload(app: &App, path: &str, body: Body) -> Response {
    let Some(place) = place(app, path) else {
        return bad("the path leaves the artifact folder");
    };
    let Some(names) = parts(&place) else {
        return bad("the path names no file");
    };
    if body.size_hint().lower() > app.config.artifact_bytes_max {
        return refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            "INVALID_PARAMETER_VALUE",
            "the artifact is too large",
        );
    }
    match store(app, &names, body).await {
        Ok(true) => {
            told(app, &place);
            ok(&json!({}))
        }
        Ok(false) => refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            "INVALID_PARAMETER_VALUE",
            "the artifact is too large",
        ),
        Err(error) => failed(&error),
    }
}

/// Writes the body piece by piece; `false` if it is longer than allowed.
async fn store(app: &App, names: &[&str], mut body: Body) -> io::Result<bool> {
    let mut draft = app.artifacts().create(names)?;
    let mut size = 0_u64;
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(io::Error::other)?;
        if let Ok(data) = frame.into_data() {
            size = size.saturating_add(data.len() as u64);
            if size > app.config.artifact_bytes_max {
                return Ok(false);
            }
            draft.file.write_all(&data)?;
        }
    }
    draft.keep()?;
    Ok(true)
}

/// Tells a file once; the files of a model are told with the model.
fn told(app: &App, place: &str) {
    if place.starts_with("models/")
        || place.starts_with("children/")
        || !app.state().first(&format!("artifact {place}"))
    {
        return;
    }
    app.sink.report(Report::Artifact {
        kind: kind(place).to_owned(),
        name: place.to_owned(),
        path: format!("artifacts/{place}"),
    });
}

/// What a file is, by its name.
fn kind(name: &str) -> &'static str {
    let extension = name
        .rsplit_once('.')
        .map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("png" | "jpg" | "jpeg" | "gif" | "svg" | "webp" | "bmp" | "tif" | "tiff") => "image",
        Some("csv" | "tsv" | "parquet") => "table",
        Some("txt" | "md" | "log") => "text",
        _ => "file",
    }
}
