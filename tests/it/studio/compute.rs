//! Compute targets through the API: seen, created, changed, tested, removed; in use; refusals in the command line's words.

use super::{Server, led, trial};
use overdrive::history::TrialState;
use serde_json::json;

fn form(fields: serde_json::Value) -> String {
    json!({"verb": "create", "kind": "amlcompute", "fields": fields}).to_string()
}

#[test]
fn a_pool_lives_through_the_api() {
    let server = Server::start(false);
    let kinds = server.get("/api/v1/target-kinds");
    assert_eq!(kinds["items"][0]["kind"], "amlcompute");
    let made = server.ask(
        "POST",
        "/api/v1/targets",
        &form(json!({"name": "pool", "vm-size": "STANDARD_D3_V2", "max-nodes": 3})),
    );
    assert_eq!(made.status, 200, "{}", made.text());
    let made = made.json();
    assert_eq!(
        (&made["name"], &made["type"]),
        (&json!("pool"), &json!("amlcompute"))
    );
    assert_eq!(made["amlcompute"]["max_nodes"], 3);
    assert!(server.state().join("compute/pool.yml").is_file());
    let listed = server.get("/api/v1/targets");
    let names: Vec<&str> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|row| row["name"].as_str())
        .collect();
    assert_eq!(names, ["local", "pool"]);
    let changed = server.ask(
        "PATCH",
        "/api/v1/targets/pool",
        &json!({"kind": "amlcompute", "fields": {"max-nodes": 5}}).to_string(),
    );
    assert_eq!(changed.json()["amlcompute"]["max_nodes"], 5, "{}", changed.text());
    let probe = server
        .ask("POST", "/api/v1/targets/pool/actions", r#"{"action": "test"}"#)
        .json();
    assert_eq!(probe["ok"], true, "{probe}");
    assert!(
        probe["steps"]
            .as_array()
            .unwrap()
            .iter()
            .any(|step| step["milliseconds"].as_f64() > Some(0.0))
    );
    let stays = server.ask("POST", "/api/v1/targets/pool/actions", r#"{"action": "detach"}"#);
    assert_eq!(stays.status, 400);
    assert!(stays.text().contains("created, not attached"), "{}", stays.text());
    assert_eq!(server.ask("DELETE", "/api/v1/targets/pool", "").status, 200);
    assert_eq!(server.ask("GET", "/api/v1/targets/pool", "").status, 404);
    assert_eq!(server.ask("DELETE", "/api/v1/targets/pool", "").status, 404);
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    let server = Server::start(false);
    let refused = |body: String| {
        let answer = server.ask("POST", "/api/v1/targets", &body);
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
        answer.json()["error"]["message"].as_str().unwrap().to_owned()
    };
    let words = refused(form(
        json!({"name": "pool", "vm-size": "STANDARD_D3V2X", "max-nodes": 3}),
    ));
    assert!(
        words.contains("STANDARD_D3V2X") && words.contains("Standard_D3_v2"),
        "{words}"
    );
    let words = refused(form(
        json!({"name": "local", "vm-size": "STANDARD_D3_V2", "max-nodes": 3}),
    ));
    assert!(words.contains("reserved"), "{words}");
    // A value that looks like an option stays a value; a name that is none is told.
    let words = refused(form(
        json!({"name": "--user", "vm-size": "STANDARD_D3_V2", "max-nodes": 3}),
    ));
    assert!(words.contains("cannot name a compute target"), "{words}");
    assert!(refused(form(json!({"name": "p", "home": "/"}))).contains("no field `home`"));
    assert!(refused(form(json!({"vm-size": "x"}))).contains("`name` is missing"));
    assert!(refused(form(json!({"name": "p", "max-nodes": {"a": 1}}))).contains("cannot be one"));
    assert!(refused(form(json!({"name": "p", "admin-user-password": "hunter2"}))).contains("secret"));
    let other = json!({"verb": "delete", "kind": "amlcompute", "fields": {"name": "p"}}).to_string();
    assert!(refused(other).contains("no kind of target"));
    assert_eq!(server.ask("GET", "/api/v1/targets/..%2F..%2Fetc", "").status, 404);
    let looking = Server::start(true);
    for (method, path, body) in [
        ("POST", "/api/v1/targets", form(json!({"name": "p"}))),
        ("DELETE", "/api/v1/targets/p", String::new()),
        (
            "POST",
            "/api/v1/targets/local/actions",
            r#"{"action": "test"}"#.into(),
        ),
    ] {
        assert_eq!(looking.ask(method, path, &body).status, 403, "{method} {path}");
    }
}

#[test]
fn what_runs_on_a_target_is_told() {
    let server = Server::start(false);
    let mut writer = led(&server.state());
    trial(&mut writer, 1, 0, &[0.5], TrialState::Completed);
    trial(&mut writer, 2, 1, &[0.5], TrialState::Running);
    trial(&mut writer, 3, 2, &[0.5], TrialState::Running);
    let local = server.get("/api/v1/targets/local");
    assert_eq!(local["usage"]["running"], 2);
    assert_eq!(local["usage"]["sweeps"][0]["sweep"], "HD_test");
    assert_eq!(local["usage"]["wanted"], 4);
    assert!(local["machine"]["cores"].as_u64() > Some(0));
}
