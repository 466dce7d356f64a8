//! The one table of routes: method, path, summary; from it come the router, the API description and the security tests.

use crate::studio::access::{Guard, guard};
use crate::studio::state::Studio;
use crate::studio::{
    assets, check, columns, compute, control, density, files, mlflow, model, openapi, overview, read, stream,
    submit,
};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{MethodRouter, get, patch, post};
use std::net::SocketAddr;

/// Largest accepted body: a configuration file, never data.
const BODY_MAX_BYTES: usize = 4 * 1024 * 1024;

/// One route of the API.
pub struct Route {
    /// `GET`, `POST`, `PATCH`.
    pub method: &'static str,
    /// Path with `{name}` parts.
    pub path: &'static str,
    /// What it gives or does, one sentence.
    pub summary: &'static str,
    /// Name of the schema of its answer in the API description, or a media type.
    pub answer: &'static str,
    /// Query parameters: name, what it means.
    pub query: &'static [(&'static str, &'static str)],
    handler: fn() -> MethodRouter<Studio>,
}

const PAGE: &[(&str, &str)] = &[
    ("limit", "at most this many items, 500 by default"),
    ("cursor", "`next` of the page before"),
];

/// All routes of the API, in the order of the description.
pub const ROUTES: &[Route] = &[
    Route {
        method: "GET",
        path: "/api/v1/sweeps",
        summary: "all sweeps, newest first",
        answer: "SweepList",
        query: &[
            ("experiment", "only of this experiment"),
            ("state", "only in this state"),
            ("archived", "archived ones too"),
            ("limit", "at most this many items"),
        ],
        handler: || get(overview::sweeps),
    },
    Route {
        method: "POST",
        path: "/api/v1/sweeps",
        summary: "starts a sweep from a text, led by a process of its own",
        answer: "Submitted",
        query: &[],
        handler: || post(submit::submit),
    },
    Route {
        method: "POST",
        path: "/api/v1/check",
        summary: "findings in a text, and what would run",
        answer: "Checked",
        query: &[],
        handler: || post(check::check),
    },
    Route {
        method: "POST",
        path: "/api/v1/link",
        summary: "a one-time code by which a browser signs in (`/login?code=`)",
        answer: "Link",
        query: &[],
        handler: || post(assets::link),
    },
    Route {
        method: "GET",
        path: "/api/v1/sweeps/{sweep}/history",
        summary: "events of a sweep or of one trial, newest first, reports left out",
        answer: "EventList",
        query: &[
            ("before", "only before this position"),
            ("trial", "only of this trial"),
            ("kinds", "only these kinds, separated by commas"),
            ("limit", "at most this many items, 500 by default"),
        ],
        handler: || get(read::history),
    },
    Route {
        method: "GET",
        path: "/api/v1/sweeps/{sweep}/importance",
        summary: "importance of parameters by PED-ANOVA and fANOVA",
        answer: "Importances",
        query: &[],
        handler: || get(model::importances),
    },
    Route {
        method: "GET",
        path: "/api/v1/sweeps/{sweep}/surface",
        summary: "what a model sees over two parameters",
        answer: "Surface",
        query: &[("x", "parameter"), ("y", "parameter")],
        handler: || get(model::surface),
    },
    Route {
        method: "GET",
        path: "/api/v1/sweeps/{sweep}/density",
        summary: "learning curves as counts per pixel (see the description)",
        answer: "application/octet-stream",
        query: &[
            ("metric", "name; the primary metric by default"),
            ("w", "pixels"),
            ("h", "pixels"),
            ("x0", "first point; 0 by default"),
            ("x1", "last point; the longest curve by default"),
            ("y0", "lowest value"),
            ("y1", "highest value"),
        ],
        handler: || get(density::density),
    },
    Route {
        method: "GET",
        path: "/api/v1/sweeps/{sweep}",
        summary: "one sweep with its space, policy and sampler",
        answer: "SweepDetail",
        query: &[],
        handler: || get(read::sweep),
    },
    Route {
        method: "PATCH",
        path: "/api/v1/sweeps/{sweep}",
        summary: "change tags, notes, archiving",
        answer: "SweepRow",
        query: &[],
        handler: || patch(control::label),
    },
    Route {
        method: "GET",
        path: "/api/v1/sweeps/{sweep}/summary",
        summary: "everything the first view needs: the sweep, best-so-far (at most 1,000 points), the first 40 trials",
        answer: "Summary",
        query: &[],
        handler: || get(overview::summary),
    },
    Route {
        method: "POST",
        path: "/api/v1/sweeps/{sweep}/actions",
        summary: "cancel, pause, resume, set_limits, enqueue, lead",
        answer: "Requested",
        query: &[],
        handler: || post(control::sweep_action),
    },
    Route {
        method: "GET",
        path: "/api/v1/sweeps/{sweep}/trials",
        summary: "trials of a sweep",
        answer: "TrialList",
        query: &[
            ("order", "`number`, `best`, `started` or `ended`"),
            ("reverse", "the other way round"),
            ("state", "states, separated by commas"),
            (
                "where",
                "search expression: `state:failed lr<0.01 best>0.9 \"text\"`",
            ),
            ("limit", "at most this many items, 500 by default"),
            ("cursor", "`next` of the page before"),
        ],
        handler: || get(read::trials),
    },
    Route {
        method: "GET",
        path: "/api/v1/sweeps/{sweep}/trials/{trial}",
        summary: "one trial with attempts, metric names, facts and artifacts",
        answer: "TrialDetail",
        query: &[],
        handler: || get(read::trial),
    },
    Route {
        method: "POST",
        path: "/api/v1/sweeps/{sweep}/trials/{trial}/actions",
        summary: "cancel or rerun",
        answer: "Requested",
        query: &[],
        handler: || post(control::trial_action),
    },
    Route {
        method: "GET",
        path: "/api/v1/sweeps/{sweep}/trials/{trial}/curve",
        summary: "all points of one metric of one trial",
        answer: "MetricPoints",
        query: &[("metric", "name; the primary metric by default")],
        handler: || get(read::curve),
    },
    Route {
        method: "GET",
        path: "/api/v1/sweeps/{sweep}/trials/{trial}/log",
        summary: "captured output from a byte offset on",
        answer: "text/plain",
        query: &[
            ("offset", "first byte; negative counts from the end"),
            ("limit", "at most this many bytes, 64 KiB by default"),
        ],
        handler: || get(files::log),
    },
    Route {
        method: "GET",
        path: "/api/v1/sweeps/{sweep}/trials/{trial}/files",
        summary: "files in the trial's outputs, logs and artifacts",
        answer: "FileList",
        query: PAGE,
        handler: || get(files::list),
    },
    Route {
        method: "GET",
        path: "/api/v1/sweeps/{sweep}/trials/{trial}/file",
        summary: "one file, as an attachment",
        answer: "application/octet-stream",
        query: &[("path", "path as listed")],
        handler: || get(files::download),
    },
    Route {
        method: "GET",
        path: "/api/v1/sweeps/{sweep}/metrics",
        summary: "names of all metrics that were reported",
        answer: "MetricList",
        query: &[],
        handler: || get(read::metrics),
    },
    Route {
        method: "GET",
        path: "/api/v1/sweeps/{sweep}/curves",
        summary: "learning curves of many trials as binary columns (see the description)",
        answer: "application/octet-stream",
        query: &[
            ("metric", "name; the primary metric by default"),
            ("limit", "at most this many trials, 20,000 by default"),
            ("after", "only trials with a larger number"),
            ("trials", "only these, numbers separated by commas"),
        ],
        handler: || get(columns::curves),
    },
    Route {
        method: "GET",
        path: "/api/v1/sweeps/{sweep}/points",
        summary: "parameters, state and best value of every trial as columns, for scatter, slices and parallel coordinates",
        answer: "Points",
        query: &[],
        handler: || get(columns::points),
    },
    Route {
        method: "GET",
        path: "/api/v1/sweeps/{sweep}/events",
        summary: "live changes of a sweep (server-sent events; resume by `Last-Event-ID`)",
        answer: "text/event-stream",
        query: &[("after", "position to begin after")],
        handler: || get(stream::sweep_events),
    },
    Route {
        method: "GET",
        path: "/api/v1/events",
        summary: "live changes of all sweeps (server-sent events; resume by `Last-Event-ID`)",
        answer: "text/event-stream",
        query: &[("after", "position to begin after")],
        handler: || get(stream::all_events),
    },
    Route {
        method: "GET",
        path: "/api/v1/targets",
        summary: "compute targets with capacity and state",
        answer: "TargetList",
        query: &[],
        handler: || get(compute::targets),
    },
    Route {
        method: "GET",
        path: "/api/v1/about",
        summary: "version, folders, what may be changed",
        answer: "About",
        query: &[],
        handler: || get(read::about),
    },
    Route {
        method: "GET",
        path: "/api/2.0/mlflow/experiments/search",
        summary: "MLflow: all experiments",
        answer: "application/json",
        query: &[],
        handler: || get(mlflow::search_experiments),
    },
    Route {
        method: "POST",
        path: "/api/2.0/mlflow/experiments/search",
        summary: "MLflow: all experiments",
        answer: "application/json",
        query: &[],
        handler: || post(mlflow::search_experiments),
    },
    Route {
        method: "GET",
        path: "/api/2.0/mlflow/experiments/get",
        summary: "MLflow: one experiment",
        answer: "application/json",
        query: &[("experiment_id", "id")],
        handler: || get(mlflow::get_experiment),
    },
    Route {
        method: "GET",
        path: "/api/2.0/mlflow/experiments/get-by-name",
        summary: "MLflow: one experiment",
        answer: "application/json",
        query: &[("experiment_name", "name")],
        handler: || get(mlflow::get_experiment),
    },
    Route {
        method: "POST",
        path: "/api/2.0/mlflow/runs/search",
        summary: "MLflow: sweeps and trials of experiments",
        answer: "application/json",
        query: &[],
        handler: || post(mlflow::search_runs),
    },
    Route {
        method: "GET",
        path: "/api/2.0/mlflow/runs/get",
        summary: "MLflow: one sweep or trial",
        answer: "application/json",
        query: &[("run_id", "run id")],
        handler: || get(mlflow::get_run),
    },
    Route {
        method: "GET",
        path: "/api/2.0/mlflow/metrics/get-history",
        summary: "MLflow: all points of a metric",
        answer: "application/json",
        query: &[("run_id", "run id"), ("metric_key", "name")],
        handler: || get(mlflow::metric_history),
    },
    Route {
        method: "GET",
        path: "/api/2.0/mlflow/artifacts/list",
        summary: "MLflow: files of a trial",
        answer: "application/json",
        query: &[("run_id", "run id"), ("path", "folder")],
        handler: || get(mlflow::artifacts),
    },
    Route {
        method: "GET",
        path: "/api/2.0/mlflow-artifacts/artifacts/{*path}",
        summary: "MLflow: one file of a trial",
        answer: "application/octet-stream",
        query: &[],
        handler: || get(mlflow::artifact),
    },
    Route {
        method: "GET",
        path: "/api/v1/openapi.json",
        summary: "this description",
        answer: "application/json",
        query: &[],
        handler: || get(openapi::description),
    },
];

/// The whole server.
pub(super) fn router(studio: Studio, address: SocketAddr) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        // Methods of one path are merged.
        router = router.route(route.path, (route.handler)());
    }
    let entrance = Guard {
        access: studio.access.clone(),
        address,
    };
    router
        .route("/login", get(assets::login))
        .fallback(assets::page)
        .layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
        .layer(axum::middleware::from_fn_with_state(entrance, guard))
        .with_state(studio)
}
