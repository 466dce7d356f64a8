//! The MLflow door: searches by filter and order, in pages that keep their place.

use super::{Server, led, trial};
use overdrive::history::TrialState;
use serde_json::{Value, json};

fn filled() -> Server {
    let server = Server::start(false);
    let mut writer = led(&server.state());
    for number in 0..12 {
        let state = match number % 4 {
            1 => TrialState::Failed,
            3 => TrialState::Canceled,
            _ => TrialState::Completed,
        };
        trial(
            &mut writer,
            number * 10,
            number,
            &[0.1, number as f64 / 100.0],
            state,
        );
    }
    server
}

fn search(server: &Server, body: Value) -> (u16, Value) {
    let found = server
        .ask("POST", "/api/2.0/mlflow/experiments/search", "{}")
        .json();
    let mut body = body;
    body["experiment_ids"] = json!([found["experiments"][0]["experiment_id"]]);
    let answer = server.ask("POST", "/api/2.0/mlflow/runs/search", &body.to_string());
    (answer.status, answer.json())
}

fn names(server: &Server, filter: &str, order: &[&str]) -> Vec<String> {
    let (status, answer) = search(server, json!({"filter": filter, "order_by": order}));
    assert_eq!(status, 200, "{filter}: {answer}");
    let runs = answer["runs"].as_array().unwrap();
    runs.iter()
        .map(|run| {
            run["info"]["run_id"]
                .as_str()
                .unwrap()
                .trim_start_matches("HD_test")
                .to_owned()
        })
        .collect()
}

#[test]
fn filters_choose_and_orders_sort() {
    let server = filled();
    let trials = "tags.mlflow.parentRunId = 'HD_test'";
    assert_eq!(names(&server, trials, &[]).len(), 12);
    assert_eq!(names(&server, "", &[]).len(), 13);
    let up = ["metrics.Accuracy ASC"];
    assert_eq!(
        names(&server, &format!("metrics.Accuracy > 0.08 and {trials}"), &up),
        ["_9", "_10", "_11"]
    );
    assert_eq!(
        names(
            &server,
            "metrics.`Accuracy` >= 0.08 AND attributes.status = 'FINISHED'",
            &["metrics.Accuracy DESC"]
        ),
        ["_10", "_8"]
    );
    assert_eq!(
        names(&server, "status IN ('FAILED') AND params.kind = 'a'", &up),
        ["_9"]
    );
    assert_eq!(
        names(&server, "tags.overdrive.reason LIKE 'exit 1%'", &["start_time"]),
        ["_1", "_5", "_9"]
    );
    assert_eq!(names(&server, "run_id = 'HD_test'", &[]), [""]);
    assert_eq!(names(&server, "metrics.nothing < 1", &[]), [""; 0]);
    assert_eq!(
        names(&server, "params.kind != 'b' and metrics.Accuracy < 0.05", &up),
        ["_0", "_3"]
    );
    // The latest first, unless asked otherwise.
    assert_eq!(names(&server, trials, &[])[..2], ["_11", "_10"]);
    for bad in ["metrics.x >", "params.y > 1 or params.z = 'a'", "what.x = 1"] {
        let (status, answer) = search(&server, json!({"filter": bad}));
        assert_eq!(
            (status, &answer["error_code"]),
            (400, &json!("INVALID_PARAMETER_VALUE")),
            "{bad}"
        );
        assert!(
            answer["message"].as_str().unwrap().contains("not understood"),
            "{answer}"
        );
    }
    assert_eq!(search(&server, json!({"order_by": ["metrics.x UP"]})).0, 400);
    assert_eq!(search(&server, json!({"page_token": "zz"})).0, 400);
}

#[test]
fn pages_keep_their_place() {
    let server = filled();
    for order in [
        json!([]),
        json!(["metrics.Accuracy DESC"]),
        json!(["params.kind ASC", "attributes.run_id DESC"]),
    ] {
        let mut seen: Vec<String> = Vec::new();
        let mut token = Value::Null;
        loop {
            let (status, page) = search(
                &server,
                json!({"max_results": 5, "order_by": order, "page_token": token}),
            );
            assert_eq!(status, 200, "{page}");
            seen.extend(
                page["runs"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|run| run["info"]["run_id"].to_string()),
            );
            token = page["next_page_token"].clone();
            if token.is_null() {
                break;
            }
        }
        assert_eq!(seen.len(), 13, "{seen:?}");
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 13);
    }
    let (_, answer) = search(&server, json!({"filter": "run_id = 'HD_test_7'"}));
    let run = &answer["runs"][0];
    assert_eq!(run["data"]["metrics"][0]["value"], 0.07);
    assert_eq!(run["data"]["metrics"][0]["step"], 1);
    assert_eq!(run["info"]["status"], "KILLED");
}
