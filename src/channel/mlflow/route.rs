//! From a request to what it means: the key, the host, the path, the fields.

use super::door::Peer;
use super::reply::{self, Fields, bad, integer, missing, number, objects, ok, pairs, refuse, text};
use super::state::{Point, now_ms};
use super::{App, artifact, model};
use crate::channel::Report;
use crate::journal::Channel;
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Query, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde_json::{Value, json};
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

/// Largest JSON body in bytes: some 100,000 metrics in one batch.
const BODY_BYTES_MAX: usize = 16 << 20;
/// The server version that clients are told; above what they need for every call that is answered here.
const VERSION: &str = "3.0.0";

/// The router: everything is below `/t/<key>/`.
pub(super) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/t/{key}/{*rest}", any(enter))
        .fallback(|| async { refuse(StatusCode::NOT_FOUND, "ENDPOINT_NOT_FOUND", "no such path") })
        .with_state(app)
}

/// Lets a request in that knows the key, speaks to this address, and comes from no web page.
async fn enter(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path((key, rest)): Path<(String, String)>,
    request: Request,
) -> Response {
    if !same(key.as_bytes(), app.key.as_bytes()) {
        return refuse(StatusCode::NOT_FOUND, "ENDPOINT_NOT_FOUND", "no such path");
    }
    if !from_here(request.headers(), app.address.port()) {
        return refuse(StatusCode::FORBIDDEN, "PERMISSION_DENIED", "wrong host or origin");
    }
    let method = request.method().clone();
    match rest.trim_end_matches('/') {
        "health" => return "OK".into_response(),
        "version" => return VERSION.into_response(),
        _ => {}
    }
    let prefixes = ["api/2.0/", "api/3.0/", "ajax-api/2.0/", "ajax-api/3.0/"];
    let Some(path) = prefixes.iter().find_map(|prefix| rest.strip_prefix(prefix)) else {
        return refuse(StatusCode::NOT_FOUND, "ENDPOINT_NOT_FOUND", "no such path");
    };
    if path == "mlflow-artifacts/artifacts" || path.starts_with("mlflow-artifacts/artifacts/") {
        return artifact::answer(&app, &method, path, request).await;
    }
    if path.starts_with("mlflow-artifacts/") {
        return refuse(
            StatusCode::NOT_IMPLEMENTED,
            "NOT_IMPLEMENTED",
            "uploads in parts are not offered",
        );
    }
    let Some(path) = path.strip_prefix("mlflow/") else {
        return refuse(StatusCode::NOT_FOUND, "ENDPOINT_NOT_FOUND", "no such path");
    };
    let (parts, body) = request.into_parts();
    let mut fields = match read(body).await {
        Ok(fields) => fields,
        Err(response) => return response,
    };
    if let Ok(Query(query)) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri) {
        fields.extend(
            query
                .into_iter()
                .map(|(name, value)| (name, Value::String(value))),
        );
    }
    dispatch(&app, peer, &method, path.trim_end_matches('/'), &fields)
}

/// Compares without telling by time where the first difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |seen, (x, y)| seen | (x ^ y)) == 0
}

/// The host must be this socket under one of its two names; a browser's page of another origin is turned away.
fn from_here(headers: &HeaderMap, port: u16) -> bool {
    let own = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
    let value = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = value(header::HOST.as_str())
        .is_some_and(|host| own.iter().any(|name| host.eq_ignore_ascii_case(name)));
    let origin = headers
        .get(header::ORIGIN)
        .is_none_or(|origin| own.iter().any(|name| *origin == format!("http://{name}")));
    let site = value("sec-fetch-site").is_none_or(|site| site == "none" || site == "same-origin");
    host && origin && site
}

async fn read(body: Body) -> Result<Fields, Response> {
    let bytes = axum::body::to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| {
        refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            "INVALID_PARAMETER_VALUE",
            "the body is larger than 16 MiB or was cut off",
        )
    })?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Fields::new());
    }
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) | Err(_) => Err(bad("the body is no JSON object")),
    }
}

/// The calls of the tracking protocol.
fn dispatch(app: &App, peer: Peer, method: &Method, path: &str, fields: &Fields) -> Response {
    let id = text(fields, "run_id")
        .or_else(|| text(fields, "run_uuid"))
        .unwrap_or_default()
        .into_owned();
    match (method.as_str(), path) {
        ("GET", "runs/get") => {
            let mut state = app.state();
            ok(&json!({"run": reply::run(&app.config, state.run(&id))}))
        }
        ("POST", "runs/create") => create(app, fields),
        ("POST", "runs/update") => update(app, &id, fields),
        ("POST", "runs/log-metric") => match point(fields) {
            Some((key, value)) => {
                log(app, peer, &id, vec![(key, value)]);
                ok(&json!({}))
            }
            None => bad("log-metric needs key and value"),
        },
        ("POST", "runs/log-batch") => {
            let Some(points) = objects(fields, "metrics").map(point).collect::<Option<Vec<_>>>() else {
                return bad("a metric of the batch has no key or no value");
            };
            set(app, &id, "param", pairs(fields, "params"));
            set(app, &id, "tag", pairs(fields, "tags"));
            log(app, peer, &id, points);
            ok(&json!({}))
        }
        ("POST", "runs/log-parameter" | "runs/set-tag") => {
            let kind = if path == "runs/set-tag" { "tag" } else { "param" };
            let Some(key) = text(fields, "key") else {
                return bad("key is missing");
            };
            set(
                app,
                &id,
                kind,
                vec![(
                    key.into_owned(),
                    text(fields, "value").unwrap_or_default().into_owned(),
                )],
            );
            ok(&json!({}))
        }
        ("POST", "runs/delete-tag") => {
            let key = text(fields, "key").unwrap_or_default();
            let mut state = app.state();
            let child = state.is_child(&id);
            if state.run(&id).tags.shift_remove(&*key).is_some() && !child {
                drop(state);
                app.fact("tag_removed", &key, "");
            }
            ok(&json!({}))
        }
        ("POST", "runs/search") => search(app, fields),
        ("GET", "metrics/get-history") => history(app, &id, fields),
        ("GET", "artifacts/list") => {
            artifact::list_of_run(app, &id, &text(fields, "path").unwrap_or_default())
        }
        // Any name is the trial's own experiment: clients refuse to start the given run in another one.
        ("GET", "experiments/get" | "experiments/get-by-name") => {
            ok(&json!({"experiment": reply::experiment(&app.config, app.started_ms())}))
        }
        ("POST", "experiments/create") => ok(&json!({"experiment_id": app.config.experiment_id})),
        ("GET" | "POST", "experiments/search" | "experiments/list") => {
            ok(&json!({"experiments": [reply::experiment(&app.config, app.started_ms())]}))
        }
        ("POST", "runs/log-model") => {
            model::logged_by_run(app, &id, fields);
            ok(&json!({}))
        }
        // Known, and without effect on a trial.
        (
            "POST",
            "runs/log-inputs"
            | "runs/outputs"
            | "runs/delete"
            | "runs/restore"
            | "experiments/set-experiment-tag"
            | "experiments/update"
            | "experiments/delete"
            | "experiments/restore",
        ) => ok(&json!({})),
        _ => match model::dispatch(app, method, path, fields) {
            Some(response) => response,
            // A server of a newer version may know the call: an error could end the script, an empty answer rarely does.
            None if *method == Method::POST || *method == Method::PATCH => {
                if app.state().first(path) {
                    let message =
                        format!("mlflow call `{path}` is not known here, it was answered with nothing");
                    app.sink.report(Report::Warning {
                        code: "mlflow-unknown-call".to_owned(),
                        message,
                    });
                }
                ok(&json!({}))
            }
            None => refuse(StatusCode::NOT_FOUND, "ENDPOINT_NOT_FOUND", "no such path"),
        },
    }
}

impl App {
    /// When the endpoint began, in milliseconds since 1970.
    fn started_ms(&self) -> i64 {
        self.state().runs.first().map_or(0, |(_, run)| run.start_ms)
    }
}

fn point(fields: &Fields) -> Option<(String, Point)> {
    let key = text(fields, "key")?.into_owned();
    let value = number(fields, "value")?;
    let timestamp = integer(fields, "timestamp").unwrap_or_else(now_ms);
    Some((
        key,
        Point {
            value,
            timestamp,
            step: integer(fields, "step").unwrap_or(0),
            linked: text(fields, "model_id").is_some_and(|id| !id.is_empty()),
        },
    ))
}

/// Takes points in and tells those of the trial; those of a child go to its own file.
fn log(app: &App, peer: Peer, id: &str, points: Vec<(String, Point)>) {
    let now = Instant::now();
    let mut state = app.state();
    let child = state.is_child(id).then(|| id.to_owned());
    let new: Vec<_> = points
        .into_iter()
        .filter(|(key, point)| state.log(id, key, *point, peer, now, |other| app.live.holds(other)))
        .collect();
    drop(state);
    if let Some(child) = child {
        keep_child_points(app, &child, &new);
        return;
    }
    for (name, point) in new {
        app.sink.report(Report::Metric {
            name,
            value: point.value,
            step: Some(point.step),
            channel: Channel::Mlflow,
        });
    }
}

/// Appends to the child's report file; the trial does not depend on it, so a full disk only costs a warning.
fn keep_child_points(app: &App, child: &str, points: &[(String, Point)]) {
    let folder = app.config.folder.join("report.jsonl.d/children");
    let lines: String = points
        .iter()
        .map(|(key, point)| {
            let mut line = reply::metric(key, point);
            if let Some(line) = line.as_object_mut() {
                line.shift_remove("timestamp");
                let name = line.shift_remove("key").unwrap_or_default();
                line.insert("name".to_owned(), name);
                line.insert("channel".to_owned(), "mlflow".into());
            }
            format!("{line}\n")
        })
        .collect();
    let written = std::fs::create_dir_all(&folder).and_then(|()| {
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(folder.join(format!("{child}.jsonl")))?;
        file.write_all(lines.as_bytes())
    });
    if let Err(error) = written
        && app.state().first("children")
    {
        let message = format!("metrics of nested mlflow runs cannot be kept: {error}");
        app.sink.report(Report::Warning {
            code: "mlflow-children".to_owned(),
            message,
        });
    }
}

/// Sets parameters or tags; the trial's are told when they are new or changed.
fn set(app: &App, id: &str, kind: &str, pairs: Vec<(String, String)>) {
    let mut state = app.state();
    let child = state.is_child(id);
    let run = state.run(id);
    let table = if kind == "tag" {
        &mut run.tags
    } else {
        &mut run.params
    };
    let mut changed = Vec::new();
    for (key, value) in pairs {
        if table.insert(key.clone(), value.clone()).as_ref() != Some(&value) {
            changed.push((key, value));
        }
    }
    drop(state);
    for (key, value) in changed.iter().filter(|_| !child) {
        app.fact(kind, key, value);
    }
}

fn create(app: &App, fields: &Fields) -> Response {
    let tags = pairs(fields, "tags");
    let tag = |name: &str| {
        tags.iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    let name = text(fields, "run_name").filter(|name| !name.is_empty());
    let name = name
        .map(std::borrow::Cow::into_owned)
        .or_else(|| tag("mlflow.runName").map(str::to_owned));
    let user = text(fields, "user_id").unwrap_or_default();
    let (id, new) = app
        .state()
        .create(app.config.create, tag("mlflow.parentRunId"), name.clone(), &user);
    if new {
        app.fact("child", &id, name.as_deref().unwrap_or(&id));
    }
    // The trial keeps its own name and parent.
    let tags = tags
        .into_iter()
        .filter(|(key, _)| new || !["mlflow.runName", "mlflow.parentRunId"].contains(&key.as_str()));
    set(app, &id, "tag", tags.collect());
    let mut state = app.state();
    ok(&json!({"run": reply::run(&app.config, state.run(&id))}))
}

/// Never ends the trial: its process does. What the client says is told as a fact.
fn update(app: &App, id: &str, fields: &Fields) -> Response {
    const WORDS: [&str; 6] = ["", "RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"];
    let status = match fields.get("status") {
        Some(Value::Number(number)) => number
            .as_u64()
            .and_then(|at| WORDS.get(usize::try_from(at).ok()?))
            .copied(),
        Some(Value::String(word)) => WORDS.into_iter().find(|known| known == word),
        _ => None,
    };
    let name = text(fields, "run_name").filter(|name| !name.is_empty());
    let mut state = app.state();
    let child = state.is_child(id);
    let run = state.run(id);
    if let Some(status) = status {
        status.clone_into(&mut run.status);
        run.end_ms = integer(fields, "end_time");
    }
    if let Some(name) = &name {
        run.name.clone_from(&name.clone().into_owned());
        run.tags
            .insert("mlflow.runName".to_owned(), name.clone().into_owned());
    }
    let info = reply::info(&app.config, run);
    drop(state);
    if !child {
        if let Some(status) = status.filter(|status| !["", "RUNNING", "SCHEDULED"].contains(status)) {
            app.fact("status", "mlflow", status);
        }
        if let Some(name) = name {
            app.fact("display_name", "display_name", &name);
        }
    }
    ok(&json!({"run_info": info}))
}

/// All runs of this trial; of the filters only the parent is understood.
fn search(app: &App, fields: &Fields) -> Response {
    let filter = text(fields, "filter").unwrap_or_default();
    let quoted = |text: &str| text.split(['\'', '"']).nth(1).map(str::to_owned);
    let parent = filter
        .split_once("mlflow.parentRunId")
        .and_then(|(_, rest)| quoted(rest.trim_start_matches('`')));
    if parent.is_none() && !filter.trim().is_empty() && app.state().first("filter") {
        let message =
            "filters of mlflow.search_runs other than the parent are not applied inside a trial".to_owned();
        app.sink.report(Report::Warning {
            code: "mlflow-filter".to_owned(),
            message,
        });
    }
    let state = app.state();
    let most = integer(fields, "max_results")
        .and_then(|most| usize::try_from(most).ok())
        .unwrap_or(1000);
    let runs: Value = state
        .runs
        .values()
        .filter(|run| {
            parent
                .as_ref()
                .is_none_or(|parent| run.tags.get("mlflow.parentRunId") == Some(parent))
        })
        .take(most)
        .map(|run| reply::run(&app.config, run))
        .collect();
    ok(&json!({"runs": runs}))
}

/// Points of one metric, in pages; the token is the number of points before.
fn history(app: &App, id: &str, fields: &Fields) -> Response {
    let Some(key) = text(fields, "metric_key") else {
        return bad("metric_key is missing");
    };
    let first = text(fields, "page_token")
        .and_then(|token| token.parse::<usize>().ok())
        .unwrap_or(0);
    let most = integer(fields, "max_results")
        .and_then(|most| usize::try_from(most).ok())
        .unwrap_or(25_000)
        .clamp(1, 25_000);
    let mut state = app.state();
    let points = state
        .run(id)
        .metrics
        .get(&*key)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let page: Value = points
        .iter()
        .skip(first)
        .take(most)
        .map(|point| reply::metric(&key, point))
        .collect();
    let mut body = json!({"metrics": page});
    let next = first.saturating_add(most);
    if next < points.len()
        && let Some(body) = body.as_object_mut()
    {
        body.insert("next_page_token".to_owned(), next.to_string().into());
    }
    ok(&body)
}

/// What a GET of something unknown gives; here for the modules beside this one.
pub(super) fn nothing(what: &str) -> Response {
    missing(&format!("{what} does not exist"))
}
