//! Steering: what may be asked, what is refused, and a sweep that really starts.

use super::{Server, led, trial};
use overdrive::history::TrialState;
use overdrive::store::{Request, Store};
use serde_json::json;
use std::time::{Duration, Instant};

fn open_requests(server: &Server) -> Vec<Request> {
    let store = Store::open_read_only(&server.state()).unwrap();
    store
        .open_requests("HD_test")
        .unwrap()
        .into_iter()
        .map(|(_, request)| request.unwrap())
        .collect()
}

#[test]
fn wishes_wait_for_a_controller() {
    let server = Server::start(false);
    let mut writer = led(&server.state());
    trial(&mut writer, 1, 0, &[0.5], TrialState::Completed);
    trial(&mut writer, 2, 1, &[0.5], TrialState::Running);
    let actions = "/api/v1/sweeps/HD_test/actions";
    let answer = server.ask(
        "POST",
        actions,
        &json!({"action": "set_limits", "max_total_runs": 7}).to_string(),
    );
    assert_eq!(
        (answer.status, answer.json()["state"].as_str()),
        (200, Some("waiting"))
    );
    let body = json!({"action": "enqueue", "parameters": {"--lr": 0.25, "kind": "b"}}).to_string();
    assert_eq!(server.ask("POST", actions, &body).status, 200);
    assert_eq!(
        server
            .ask(
                "POST",
                "/api/v1/sweeps/HD_test/trials/1/actions",
                "{\"action\": \"cancel\"}"
            )
            .status,
        200
    );
    assert_eq!(
        server
            .ask(
                "POST",
                "/api/v1/sweeps/HD_test/trials/0/actions",
                "{\"action\": \"rerun\"}"
            )
            .status,
        200
    );
    let requests = open_requests(&server);
    assert!(
        matches!(&requests[0], Request::SetLimits { limits } if limits.max_total == 7 && limits.max_concurrent == 4)
    );
    assert!(matches!(&requests[1], Request::Enqueue { assignment } if assignment.values.len() == 2));
    assert!(matches!(
        requests[2..],
        [Request::CancelTrial { trial: 1 }, Request::Rerun { trial: 0 }]
    ));
}

#[test]
fn nonsense_is_refused_before_anybody_is_asked() {
    let server = Server::start(false);
    let mut writer = led(&server.state());
    trial(&mut writer, 1, 0, &[0.5], TrialState::Completed);
    let actions = "/api/v1/sweeps/HD_test/actions";
    for body in [
        json!({"action": "set_limits", "max_total_runs": 0}),
        json!({"action": "set_limits", "max_duration_minutes": -1.0}),
        json!({"action": "enqueue", "parameters": {"lr": 0.5}}),
        json!({"action": "enqueue", "parameters": {"lr": 0.5, "kind": "c"}}),
        json!({"action": "enqueue", "parameters": {"lr": 0.5, "kind": "a", "more": 1}}),
    ] {
        let answer = server.ask("POST", actions, &body.to_string());
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
    }
    for body in [
        json!({"action": "explode"}),
        json!({"action": "cancel", "extra": 1}),
        json!({}),
    ] {
        assert_eq!(
            server.ask("POST", actions, &body.to_string()).status,
            422,
            "{body}"
        );
    }
    assert_eq!(
        server
            .ask(
                "POST",
                "/api/v1/sweeps/HD_test/trials/0/actions",
                "{\"action\": \"cancel\"}"
            )
            .status,
        409
    );
    assert_eq!(
        server
            .ask(
                "POST",
                "/api/v1/sweeps/HD_none/actions",
                "{\"action\": \"pause\"}"
            )
            .status,
        404
    );
    assert!(open_requests(&server).is_empty());
}

#[test]
fn labels_and_archive() {
    let server = Server::start(false);
    led(&server.state());
    let hostile = "<img src=x onerror=alert(1)>\u{202e}";
    let body = json!({"tags": {"team": hostile}, "notes": hostile, "archived": true}).to_string();
    assert_eq!(server.ask("PATCH", "/api/v1/sweeps/HD_test", &body).status, 200);
    assert!(
        server.get("/api/v1/sweeps")["items"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    let row = &server.get("/api/v1/sweeps?archived=true")["items"][0];
    assert_eq!(
        (row["tags"]["team"].as_str(), row["notes"].as_str()),
        (Some(hostile), Some(hostile))
    );
}

#[test]
fn a_read_only_studio_changes_nothing() {
    let server = Server::start(true);
    led(&server.state());
    for (method, path, body) in [
        (
            "POST",
            "/api/v1/sweeps/HD_test/actions",
            "{\"action\": \"cancel\"}",
        ),
        (
            "POST",
            "/api/v1/sweeps/HD_test/trials/0/actions",
            "{\"action\": \"cancel\"}",
        ),
        ("PATCH", "/api/v1/sweeps/HD_test", "{\"archived\": true}"),
        ("POST", "/api/v1/sweeps", "{\"text\": \"\"}"),
        ("POST", "/api/v1/sweeps/HD_test/actions", "{\"action\": \"lead\"}"),
    ] {
        assert_eq!(server.ask(method, path, body).status, 403, "{method} {path}");
    }
    assert!(open_requests(&server).is_empty());
}

const TEXT: &str = "sampling:\n  type: random\n  parameter_space:\n    - name: lr\n      expression: uniform\n      values: [0.1, 0.9]\n\
primary_metric_name: score\nprimary_metric_goal: maximize\nmax_total_runs: 3\nmax_concurrent_runs: 2\n";

#[test]
fn a_text_is_checked_with_the_words_of_the_command_line() {
    let server = Server::start(false);
    std::fs::write(server.folder.path().join("train.py"), "").unwrap();
    let check = |text: &str| {
        server
            .ask(
                "POST",
                "/api/v1/check",
                &json!({"text": text, "script": "train.py"}).to_string(),
            )
            .json()
    };
    let good = check(TEXT);
    assert_eq!(
        (good["ok"].as_bool(), good["plan"]["max_total_runs"].as_u64()),
        (Some(true), Some(3)),
        "{good}"
    );
    let bad = check(&TEXT.replace("uniform", "unifrom"));
    let found = bad["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|found| found["severity"] == "error")
        .unwrap();
    assert_eq!(
        (
            bad["ok"].as_bool(),
            found["slug"].as_str(),
            found["line"].as_u64()
        ),
        (Some(false), Some("unknown-expression"), Some(5)),
        "{bad}"
    );
    assert_eq!(found["suggestion"]["text"], "uniform");
    for folder in ["..", "/etc", "../..", "nothing"] {
        let body = json!({"text": TEXT, "source_directory": folder}).to_string();
        assert_eq!(server.ask("POST", "/api/v1/check", &body).status, 400, "{folder}");
        assert_eq!(
            server.ask("POST", "/api/v1/sweeps", &body).status,
            400,
            "{folder}"
        );
    }
    // Deep nesting must not keep the server busy.
    let begun = Instant::now();
    assert_eq!(check(&"[".repeat(20_000))["ok"], false);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_submitted_sweep_runs_in_a_process_of_its_own() {
    let server = Server::start(false);
    let script = "import argparse\np = argparse.ArgumentParser()\np.add_argument('--lr', type=float)\nprint('score:', p.parse_args().lr)\n";
    std::fs::write(server.folder.path().join("train.py"), script).unwrap();
    let refused = server.ask(
        "POST",
        "/api/v1/sweeps",
        &json!({"text": TEXT.replace("maximize", "max"), "script": "train.py"}).to_string(),
    );
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("bad-goal"), "{}", refused.text());
    let body = json!({"text": TEXT.replace("name: lr", "name: --lr"), "script": "train.py", "display_name": "-n; $(x)"}).to_string();
    let answer = server.ask("POST", "/api/v1/sweeps", &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sweep = answer.json()["sweep"].as_str().unwrap().to_owned();
    let begun = Instant::now();
    loop {
        let row = server.get(&format!("/api/v1/sweeps/{sweep}"));
        if row["state"] == "Completed" {
            assert_eq!(row["display_name"], "-n; $(x)");
            assert!(row["best"]["value"].is_f64(), "{row}");
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(90), "{row}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
