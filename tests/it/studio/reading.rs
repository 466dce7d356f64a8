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
    // An hour costs 3.6 there, so a millisecond a millionth.
    let spent_ms = summary["cost"]["spent_ms"].as_u64().unwrap();
    let spent = summary["cost"]["spent"].as_f64().unwrap();
    assert!(
        spent_ms > 0 && (spent * 1e6 - spent_ms as f64).abs() < 1e-6,
        "{}",
        summary["cost"]
    );
    let ahead_ms = summary["cost"]["ahead_ms"].as_u64().unwrap();
    assert!((summary["cost"]["ahead"].as_f64().unwrap() * 1e6 - ahead_ms as f64).abs() < 1e-6);
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
    for (order, expression) in [
        ("number", ""),
        ("best", ""),
        ("ended", ""),
        ("best", "&where=best%3E=0"),
    ] {
        for reverse in ["", "&reverse=true"] {
            let mut seen = Vec::new();
            let mut cursor = String::new();
            loop {
                let path = format!(
                    "/api/v1/sweeps/HD_test/trials?limit=7&order={order}{reverse}{expression}{cursor}"
                );
                let page = server.get(&path);
                assert_eq!(page["total"], 25);
                let items = page["items"].as_array().unwrap();
                seen.extend(items.iter().map(|row| row["trial"].as_u64().unwrap()));
                match page["next"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            let mut whole: Vec<u64> = (0..25).collect();
            // The larger the number, the better and the later the end.
            let falls = (order == "best") == reverse.is_empty();
            if falls {
                whole.reverse();
            }
            assert_eq!(seen, whole, "{order}{reverse}{expression}");
        }
    }
    let middle = server.get("/api/v1/sweeps/HD_test/trials?offset=20&limit=2");
    assert_eq!(middle["items"][0]["trial"], 20);
    assert_eq!(middle["next"], "number..21");
    // A trial that comes in between moves no page.
    let first = server.get("/api/v1/sweeps/HD_test/trials?order=best&limit=5");
    trial(&mut writer, 25, 25, &[9.0], TrialState::Completed);
    let next = first["next"].as_str().unwrap();
    let second = server.get(&format!(
        "/api/v1/sweeps/HD_test/trials?order=best&limit=5&cursor={next}"
    ));
    assert_eq!(second["items"][0]["trial"], 19);
    for bad in ["x", "best..", "number..1", "best.zz.1"] {
        let path = format!("/api/v1/sweeps/HD_test/trials?order=best&cursor={bad}");
        assert_eq!(server.ask("GET", &path, "").status, 400, "{bad}");
    }
    let best = server.get("/api/v1/sweeps/HD_test/trials?order=best&limit=3");
    assert_eq!(best["items"][1]["trial"], 24);
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
        (Some(6), Some(26))
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
    assert_eq!((&density[..4], density.len()), (&b"ODDN"[..], 40 + 50 * 20 * 2));
    let near = server.get("/api/v1/sweeps/HD_test/nearest?x=1&y=0.999");
    let found = near["trial"].as_u64().unwrap();
    let value = near["values"][1].as_f64().unwrap();
    assert!((value - 0.999).abs() < 0.01, "{near}");
    assert_eq!(
        server.get(&format!("/api/v1/sweeps/HD_test/trials/{found}"))["best"]
            .as_f64()
            .map(|best| best as f32),
        Some(value as f32)
    );
    assert!(server.get("/api/v1/sweeps/HD_test/nearest?x=9&y=0.5")["trial"].is_null());
    // A curve that grows is seen.
    trial(&mut writer, 400, 40, &[0.1, 5.0], TrialState::Running);
    assert_eq!(server.get("/api/v1/sweeps/HD_test/nearest?x=1&y=5")["trial"], 40);
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
