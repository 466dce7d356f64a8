//! What the views read: the same shapes as the CLI, small at any size.

use super::{Server, led, trial};
use overdrive::history::TrialState;
use std::time::Instant;

#[test]
fn the_summary_has_the_four_answers() {
    let server = Server::start(false);
    let mut writer = led(&server.state());
    trial(&mut writer, 100, 0, &[0.5, 0.7], TrialState::Completed);
    trial(&mut writer, 200, 1, &[0.6], TrialState::Canceled);
    trial(&mut writer, 300, 2, &[0.9, 0.8], TrialState::Completed);
    trial(&mut writer, 400, 3, &[], TrialState::Failed);
    trial(&mut writer, 500, 4, &[0.2], TrialState::Running);
    let summary = server.get("/api/v1/sweeps/HD_test/summary");
    assert_eq!(
        summary["best_so_far"],
        serde_json::json!([[1, 100, 0.7], [3, 300, 0.9]])
    );
    assert_eq!(summary["sweep"]["trials"]["Completed"], 2);
    assert_eq!(summary["sweep"]["stopped_by_policy"], 1);
    assert_eq!(summary["trouble"][0]["trial"], 3);
    assert_eq!(summary["trouble"][0]["reason"], "exit 1: <b>bold</b>");
    assert_eq!(summary["led"], true);
    assert_eq!(summary["saved"], serde_json::json!({"reports": 1, "of": 8}));
    assert!(summary["eta"]["middle_ms"].is_u64());
    // Another look after another trial: kept up, not counted twice.
    trial(&mut writer, 600, 5, &[0.95], TrialState::Completed);
    let summary = server.get("/api/v1/sweeps/HD_test/summary");
    assert_eq!(summary["best_so_far"][2], serde_json::json!([5, 600, 0.95]));
    let listed = server.get("/api/v1/sweeps");
    assert_eq!(listed["items"][0]["spark"].as_array().unwrap().len(), 5);
}

#[test]
fn trials_come_in_pages_and_by_expression() {
    let server = Server::start(false);
    let mut writer = led(&server.state());
    for number in 0..25 {
        let state = if number % 5 == 4 {
            TrialState::Failed
        } else {
            TrialState::Completed
        };
        trial(&mut writer, number, number, &[number as f64 / 100.0], state);
    }
    let mut seen = Vec::new();
    let mut next = Some(0);
    while let Some(cursor) = next {
        let page = server.get(&format!("/api/v1/sweeps/HD_test/trials?limit=10&cursor={cursor}"));
        assert_eq!(page["total"], 25);
        seen.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| row["trial"].as_u64().unwrap()),
        );
        next = page["next"].as_u64();
    }
    assert_eq!(seen, (0..25).collect::<Vec<u64>>());
    let best = server.get("/api/v1/sweeps/HD_test/trials?order=best&limit=3");
    assert_eq!(best["items"][0]["trial"], 24);
    let failed = server.get("/api/v1/sweeps/HD_test/trials?where=state:failed%20best%3E0.1");
    assert_eq!(failed["total"], 3);
    assert_eq!(
        server.get("/api/v1/sweeps/HD_test/trials?state=Failed")["total"],
        5
    );
    for bad in ["?where=%22open", "?order=size", "?state=Sleeping", "?where=%3C3"] {
        assert_eq!(
            server
                .ask("GET", &format!("/api/v1/sweeps/HD_test/trials{bad}"), "")
                .status,
            400,
            "{bad}"
        );
    }
    let detail = server.get("/api/v1/sweeps/HD_test/trials/20");
    assert_eq!(
        (detail["rank"].as_u64(), detail["scored"].as_u64()),
        (Some(5), Some(25))
    );
    assert_eq!(
        server.ask("GET", "/api/v1/sweeps/HD_test/trials/99", "").status,
        404
    );
}

#[test]
fn columns_importance_surface_and_history() {
    let server = Server::start(false);
    let mut writer = led(&server.state());
    let few = server.get("/api/v1/sweeps/HD_test/importance");
    assert!(few["missing"].as_str().unwrap().contains("needs 10"), "{few}");
    for number in 0..40 {
        let lr = (number as f64 * 0.754_877_666) % 1.0;
        let state = if number % 7 == 3 {
            TrialState::Canceled
        } else {
            TrialState::Completed
        };
        trial(
            &mut writer,
            number,
            number,
            &[0.1, 1.0 - (lr - 0.3).powi(2)],
            state,
        );
    }
    let importance = server.get("/api/v1/sweeps/HD_test/importance");
    for method in importance["methods"].as_array().unwrap() {
        assert_eq!(method["items"][0]["parameter"], "lr", "{method}");
    }
    let surface = server.get("/api/v1/sweeps/HD_test/surface?x=lr&y=kind");
    let cells =
        surface["x"]["values"].as_array().unwrap().len() * surface["y"]["values"].as_array().unwrap().len();
    assert_eq!(surface["mean"].as_array().unwrap().len(), cells);
    for bad in ["?x=lr&y=lr", "?x=lr&y=nothing"] {
        assert_eq!(
            server
                .ask("GET", &format!("/api/v1/sweeps/HD_test/surface{bad}"), "")
                .status,
            400
        );
    }
    let points = server.get("/api/v1/sweeps/HD_test/points");
    assert_eq!(points["parameters"]["kind"][0], "a");
    assert_eq!(points["stops"]["trial"].as_array().unwrap().len(), 6);
    let curves = server.ask("GET", "/api/v1/sweeps/HD_test/curves", "").body;
    assert_eq!(
        (
            &curves[..4],
            u32::from_le_bytes(curves[8..12].try_into().unwrap())
        ),
        (&b"ODCV"[..], 40)
    );
    let some = server
        .ask("GET", "/api/v1/sweeps/HD_test/curves?trials=3,5", "")
        .body;
    assert_eq!(u32::from_le_bytes(some[8..12].try_into().unwrap()), 2);
    let density = server
        .ask("GET", "/api/v1/sweeps/HD_test/density?w=50&h=20", "")
        .body;
    assert_eq!((&density[..4], density.len()), (&b"ODDN"[..], 36 + 50 * 20 * 2));
    for bad in ["?w=0&h=5", "?w=5", "?w=9999&h=5", "?w=5&h=5&y0=1&y1=1"] {
        assert_eq!(
            server
                .ask("GET", &format!("/api/v1/sweeps/HD_test/density{bad}"), "")
                .status,
            400,
            "{bad}"
        );
    }
    let history = server.get("/api/v1/sweeps/HD_test/history?trial=3&limit=100");
    let kinds: Vec<&str> = history["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds.first(), Some(&"trial_state"));
    assert!(
        kinds.contains(&"stopped") && kinds.contains(&"trial_created") && !kinds.contains(&"observed"),
        "{kinds:?}"
    );
}

#[test]
fn a_summary_reads_no_trial_twice() {
    let server = Server::start(false);
    let mut writer = led(&server.state());
    for number in 0..3_000 {
        trial(
            &mut writer,
            number,
            number,
            &[number as f64],
            TrialState::Completed,
        );
    }
    server.get("/api/v1/sweeps/HD_test/summary");
    let begun = Instant::now();
    let summary = server.ask("GET", "/api/v1/sweeps/HD_test/summary", "");
    let took = begun.elapsed();
    assert!(summary.body.len() < 150_000, "{} bytes", summary.body.len());
    assert!(took.as_millis() < 500, "{took:?}");
    assert!(summary.json()["best_so_far"].as_array().unwrap().len() <= 1000);
}
