//! Logs and files of a trial. Paths are opened beneath the attempt's folder by the kernel (`openat2`, no links out); what scripts made is
//! never shown as markup: text is text, everything else an attachment in a sandbox.

use crate::studio::error::ApiError;
use crate::studio::read::{Answer, List};
use crate::studio::state::Studio;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

/// Bytes of log in one answer unless asked otherwise, and at most.
const LOG_BYTES: u64 = 64 * 1024;
const LOG_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Largest file that is handed out in one piece.
const FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Files that are listed at most.
const FILES_MAX: usize = 100_000;
/// Folders of an attempt that people may look into.
const SHOWN: [&str; 6] = [
    "wd/outputs",
    "wd/logs",
    "artifacts",
    "named_outputs",
    "azureml-logs",
    "user_logs",
];

async fn folder(studio: &Studio, reference: String, trial: u64) -> Result<PathBuf, ApiError> {
    studio
        .with_store(move |store| {
            let row = store.trial(&store.resolve(&reference)?, trial)?;
            row.folder
                .map(PathBuf::from)
                .ok_or_else(|| ApiError::not_found(format!("trial {trial} has not been started yet")))
        })
        .await
}

/// Opens `path` for reading: below one of the folders that are shown, never outside it, neither by dots nor through links.
fn open_beneath(folder: &std::path::Path, path: &str) -> Result<File, ApiError> {
    let missing = || ApiError::not_found(format!("no file `{path}`"));
    let (shown, rest) = SHOWN
        .iter()
        .find_map(|shown| Some((*shown, path.strip_prefix(shown)?.strip_prefix('/')?)))
        .ok_or_else(missing)?;
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let attempt = rustix::fs::openat(CWD, folder, directory, Mode::empty()).map_err(|_| missing())?;
    // The script owns what lies in its folder, the shown folders included: each may have become a link.
    let root =
        rustix::fs::openat2(&attempt, shown, directory, Mode::empty(), beneath).map_err(|_| missing())?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::openat2(&root, rest, flags, Mode::empty(), beneath).map_err(|_| missing())?;
    let file = File::from(file);
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => Ok(file),
        _ => Err(missing()),
    }
}

#[derive(Deserialize)]
pub(super) struct LogQuery {
    offset: Option<i64>,
    limit: Option<u64>,
}

pub(super) async fn log(
    State(studio): State<Studio>,
    Path((reference, trial)): Path<(String, u64)>,
    Query(query): Query<LogQuery>,
) -> Result<Response, ApiError> {
    let folder = folder(&studio, reference, trial).await?;
    let work = move || -> Result<(Vec<u8>, u64, u64), ApiError> {
        let mut file = match open_beneath(&folder, "azureml-logs/70_driver_log.txt") {
            Ok(file) => file,
            // Nothing was printed yet.
            Err(_) => return Ok((Vec::new(), 0, 0)),
        };
        let io = |error: std::io::Error| ApiError::internal(error.to_string());
        let size = file.metadata().map_err(io)?.len();
        let offset = query.offset.unwrap_or(0);
        let start = if offset < 0 {
            size.saturating_sub(offset.unsigned_abs())
        } else {
            offset.unsigned_abs().min(size)
        };
        file.seek(SeekFrom::Start(start)).map_err(io)?;
        let mut bytes = Vec::new();
        let limit = query.limit.unwrap_or(LOG_BYTES).min(LOG_BYTES_MAX);
        file.take(limit).read_to_end(&mut bytes).map_err(io)?;
        Ok((bytes, start, size))
    };
    let (bytes, start, size) = tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| ApiError::internal("the log cannot be read"))??;
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert("x-log-offset", HeaderValue::from(start));
    headers.insert("x-log-next", HeaderValue::from(start + bytes.len() as u64));
    headers.insert("x-log-size", HeaderValue::from(size));
    Ok((headers, bytes).into_response())
}

#[derive(Deserialize)]
pub(super) struct ListQuery {
    limit: Option<usize>,
    cursor: Option<String>,
}

/// A file of a trial.
#[derive(Serialize, JsonSchema)]
pub(super) struct FileRow {
    /// Path below the attempt's folder.
    path: String,
    bytes: u64,
}

/// Whether a shown folder is the trial's own: no part of its path below `folder` is a link.
fn is_own(folder: &std::path::Path, shown: &str) -> bool {
    let mut path = folder.to_owned();
    shown.split('/').all(|part| {
        path.push(part);
        std::fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir())
    })
}

/// All files of a trial that people may see, with their sizes, by path.
pub(super) async fn all(
    studio: &Studio,
    reference: String,
    trial: u64,
) -> Result<Vec<(String, u64)>, ApiError> {
    let folder = folder(studio, reference, trial).await?;
    let work = move || {
        let mut files: Vec<(String, u64)> = Vec::new();
        let mut waiting: Vec<String> = SHOWN
            .iter()
            .filter(|shown| is_own(&folder, shown))
            .map(|name| (*name).to_owned())
            .collect();
        while let Some(below) = waiting.pop() {
            let Ok(entries) = std::fs::read_dir(folder.join(&below)) else {
                continue;
            };
            for entry in entries.filter_map(Result::ok) {
                // Links are not followed: what they lead to is not the trial's.
                let (Ok(kind), Ok(name)) = (entry.file_type(), entry.file_name().into_string()) else {
                    continue;
                };
                let path = format!("{below}/{name}");
                if kind.is_dir() {
                    waiting.push(path);
                } else if kind.is_file() && files.len() < FILES_MAX {
                    files.push((path, entry.metadata().map_or(0, |metadata| metadata.len())));
                }
            }
        }
        files.sort();
        files
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| ApiError::internal("the folder cannot be read"))
}

pub(super) async fn list(
    State(studio): State<Studio>,
    Path((reference, trial)): Path<(String, u64)>,
    Query(query): Query<ListQuery>,
) -> Answer<List<FileRow>> {
    let files = all(&studio, reference, trial).await?;
    let limit = query.limit.unwrap_or(500).clamp(1, 10_000);
    let behind = |path: &String| query.cursor.as_ref().is_none_or(|cursor| path > cursor);
    let mut items: Vec<FileRow> = files
        .into_iter()
        .filter(|(path, _)| behind(path))
        .take(limit + 1)
        .map(|(path, bytes)| FileRow { path, bytes })
        .collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|row| row.path.clone());
    Ok(Json(List::page(items, next)))
}

#[derive(Deserialize)]
pub(super) struct FileQuery {
    path: String,
}

pub(super) async fn download(
    State(studio): State<Studio>,
    Path((reference, trial)): Path<(String, u64)>,
    Query(query): Query<FileQuery>,
) -> Result<Response, ApiError> {
    one(&studio, reference, trial, query.path).await
}

/// One file of a trial, by its path as listed.
pub(super) async fn one(
    studio: &Studio,
    reference: String,
    trial: u64,
    path: String,
) -> Result<Response, ApiError> {
    let folder = folder(studio, reference, trial).await?;
    let wanted = path.clone();
    let file = tokio::task::spawn_blocking(move || open_beneath(&folder, &wanted))
        .await
        .map_err(|_| ApiError::internal("the file cannot be read"))??;
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    if size > FILE_BYTES_MAX {
        return Err(ApiError::bad(format!(
            "`{}` has {size} bytes; take it from the trial's folder",
            path
        )));
    }
    let stream = tokio_util::io::ReaderStream::new(tokio::fs::File::from_std(file));
    let mut headers = HeaderMap::new();
    // Images are the only thing a page shows by itself; the sandbox keeps even those from doing anything.
    let kind = match path
        .rsplit('.')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase()
        .as_str()
    {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        _ => "application/octet-stream",
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; sandbox"),
    );
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    if kind == "application/octet-stream" {
        headers.insert(
            header::CONTENT_DISPOSITION,
            HeaderValue::from_static("attachment"),
        );
    }
    Ok((headers, axum::body::Body::from_stream(stream)).into_response())
}
