//! JSON of the tracking protocol: reading what clients send, shaping what they get.

use super::state::{Point, Run};
use super::{App, Config};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

/// Body and query of a request in one map.
pub(super) type Fields = Map<String, Value>;

/// A text field; numbers are taken as text.
pub(super) fn text<'a>(fields: &'a Fields, name: &str) -> Option<std::borrow::Cow<'a, str>> {
    match fields.get(name)? {
        Value::String(text) => Some(text.as_str().into()),
        Value::Number(number) => Some(number.to_string().into()),
        _ => None,
    }
}

/// An integer field; protobuf's JSON allows text.
pub(super) fn integer(fields: &Fields, name: &str) -> Option<i64> {
    match fields.get(name)? {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "saturates, which is what a step beyond i64 deserves"
        )]
        Value::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().map(|value| value as i64)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A number field; NaN and infinities come as text.
pub(super) fn number(fields: &Fields, name: &str) -> Option<f64> {
    match fields.get(name)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// The objects of an array field.
pub(super) fn objects<'a>(fields: &'a Fields, name: &str) -> impl Iterator<Item = &'a Fields> {
    fields
        .get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
}

/// Key and value of each entry of an array field.
pub(super) fn pairs(fields: &Fields, name: &str) -> Vec<(String, String)> {
    objects(fields, name)
        .filter_map(|pair| {
            Some((
                text(pair, "key")?.into_owned(),
                text(pair, "value").unwrap_or_default().into_owned(),
            ))
        })
        .collect()
}

/// 200 with a JSON body.
pub(super) fn ok(body: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// An error in the form that the clients read.
pub(super) fn refuse(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({"error_code": code, "message": message}).to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// `INVALID_PARAMETER_VALUE`.
pub(super) fn bad(message: &str) -> Response {
    refuse(StatusCode::BAD_REQUEST, "INVALID_PARAMETER_VALUE", message)
}

/// `RESOURCE_DOES_NOT_EXIST`.
pub(super) fn missing(message: &str) -> Response {
    refuse(StatusCode::NOT_FOUND, "RESOURCE_DOES_NOT_EXIST", message)
}

/// JSON form of a number.
fn value(value: f64) -> Value {
    serde_json::to_value(Number(value)).unwrap_or(Value::Null)
}

#[derive(serde::Serialize)]
struct Number(#[serde(with = "crate::metric::number")] f64);

/// A point.
pub(super) fn metric(key: &str, point: &Point) -> Value {
    json!({"key": key, "value": value(point.value), "timestamp": point.timestamp, "step": point.step})
}

fn entries<'a>(pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> Value {
    pairs
        .into_iter()
        .map(|(key, value)| json!({"key": key, "value": value}))
        .collect()
}

/// `info` of a run.
pub(super) fn info(config: &Config, run: &Run) -> Value {
    let mut info = json!({
        "run_id": run.id, "run_uuid": run.id, "run_name": run.name, "experiment_id": config.experiment_id,
        "user_id": run.user, "status": run.status, "start_time": run.start_ms, "lifecycle_stage": "active",
        "artifact_uri": format!("mlflow-artifacts:/{}/{}/artifacts", config.experiment_id, run.id),
    });
    if let (Some(end), Some(info)) = (run.end_ms, info.as_object_mut()) {
        info.insert("end_time".to_owned(), end.into());
    }
    info
}

/// A run with its newest metrics: the highest step wins, then the later timestamp, then the later arrival.
pub(super) fn run(config: &Config, run: &Run) -> Value {
    let metrics: Value = run
        .metrics
        .iter()
        .filter_map(|(key, points)| {
            points
                .iter()
                .max_by_key(|point| (point.step, point.timestamp))
                .map(|newest| metric(key, newest))
        })
        .collect();
    json!({
        "info": info(config, run),
        "data": {"metrics": metrics, "params": entries(&run.params), "tags": entries(&run.tags)},
        "inputs": {}, "outputs": {},
    })
}

/// The one experiment.
pub(super) fn experiment(config: &Config, started_ms: i64) -> Value {
    json!({
        "experiment_id": config.experiment_id, "name": config.experiment_name, "lifecycle_stage": "active",
        "artifact_location": format!("mlflow-artifacts:/{}", config.experiment_id),
        "creation_time": started_ms, "last_update_time": started_ms, "tags": [],
    })
}

/// Facts beyond this length are cut: they go to the journal, and a tag may hold a whole model description.
const FACT_BYTES_MAX: usize = 8192;

impl App {
    /// Tells a fact.
    pub(super) fn fact(&self, kind: &str, key: &str, value: &str) {
        let mut value = value.to_owned();
        if value.len() > FACT_BYTES_MAX {
            let cut = (0..=FACT_BYTES_MAX)
                .rev()
                .find(|at| value.is_char_boundary(*at))
                .unwrap_or(0);
            value.truncate(cut);
            value.push('…');
        }
        self.sink.report(crate::channel::Report::Fact {
            kind: kind.to_owned(),
            key: key.to_owned(),
            value,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Fields {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn numbers_come_in_either_form() {
        let fields = fields(
            r#"{"a":"NaN","b":"-Infinity","c":"1e3","d":2,"e":"7","f":null,"g":[1],"h":1e300,"i":"x"}"#,
        );
        assert!(number(&fields, "a").unwrap().is_nan());
        assert_eq!(number(&fields, "b"), Some(f64::NEG_INFINITY));
        assert_eq!(number(&fields, "c"), Some(1000.0));
        assert_eq!((integer(&fields, "d"), integer(&fields, "e")), (Some(2), Some(7)));
        for name in ["f", "g", "i", "none"] {
            assert_eq!(
                (number(&fields, name), integer(&fields, name)),
                (None, None),
                "{name}"
            );
        }
        assert_eq!(integer(&fields, "h"), Some(i64::MAX));
    }

    #[test]
    fn the_newest_point_is_that_of_the_highest_step() {
        let config = Config::new("r", "e", "/nowhere");
        let mut entry = Run {
            id: "r".into(),
            ..Run::default()
        };
        let point = |value, step| Point {
            value,
            timestamp: 1,
            step,
            linked: false,
        };
        entry.metrics.insert(
            "acc".into(),
            vec![point(0.1, 3), point(f64::NAN, 5), point(0.2, 4)],
        );
        let reply = run(&config, &entry);
        assert_eq!(
            reply["data"]["metrics"],
            json!([{"key": "acc", "value": "NaN", "timestamp": 1, "step": 5}])
        );
    }
}
