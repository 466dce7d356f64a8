//! The stream of changes: resumed where it broke, nothing twice, nothing lost.

use super::{Server, led, trial};
use overdrive::history::TrialState;
use std::io::{BufRead, BufReader};

/// Positions of events from a stream until `until` is reached.
fn positions(server: &Server, path: &str, headers: &[(&str, &str)], until: u64) -> Vec<(u64, String)> {
    let bearer = server.bearer();
    let mut all = vec![("Authorization", bearer.as_str())];
    all.extend_from_slice(headers);
    let stream = server.open("GET", path, &all, "");
    let mut seen = Vec::new();
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap();
        if let Some(data) = line.strip_prefix("data: ") {
            let rows: Vec<serde_json::Value> = serde_json::from_str(data).unwrap();
            seen.extend(rows.iter().map(|row| {
                (
                    row["seq"].as_u64().unwrap(),
                    row["type"].as_str().unwrap().to_owned(),
                )
            }));
            if seen.last().is_some_and(|(seq, _)| *seq >= until) {
                break;
            }
        }
    }
    seen
}

#[test]
fn a_stream_resumes_where_it_broke() {
    let server = Server::start(false);
    let mut writer = led(&server.state());
    for number in 0..5 {
        trial(&mut writer, number, number, &[0.1, 0.2], TrialState::Completed);
    }
    let last = server.get("/api/v1/sweeps/HD_test/summary")["position"]
        .as_u64()
        .unwrap();
    let path = "/api/v1/sweeps/HD_test/events";
    let all = positions(&server, &format!("{path}?after=0"), &[], last);
    assert!(all.len() > 20 && all.windows(2).all(|pair| pair[0].0 < pair[1].0));
    let middle = all[all.len() / 2].0;
    let rest = positions(&server, path, &[("Last-Event-ID", &middle.to_string())], last);
    assert_eq!(
        rest,
        all.iter()
            .filter(|(seq, _)| *seq > middle)
            .cloned()
            .collect::<Vec<_>>()
    );
    // The header is what browsers resume by; it wins over the address.
    assert_eq!(
        positions(
            &server,
            &format!("{path}?after=0"),
            &[("Last-Event-ID", &middle.to_string())],
            last
        ),
        rest
    );
}

#[test]
fn changes_arrive_while_one_listens() {
    let server = Server::start(false);
    let mut writer = led(&server.state());
    let before = server.get("/api/v1/sweeps/HD_test/summary")["position"]
        .as_u64()
        .unwrap();
    let listened = std::thread::scope(|scope| {
        let listener = scope.spawn(|| positions(&server, "/api/v1/events", &[], before + 5));
        std::thread::sleep(std::time::Duration::from_millis(300));
        trial(&mut writer, 1, 0, &[0.5, 0.6], TrialState::Completed);
        listener.join().unwrap()
    });
    assert_eq!(listened.first().map(|(seq, _)| *seq), Some(before + 1));
    assert!(
        listened.iter().any(|(_, kind)| kind == "observed"),
        "{listened:?}"
    );
}

#[test]
fn an_unknown_sweep_has_no_stream() {
    let server = Server::start(false);
    assert_eq!(server.ask("GET", "/api/v1/sweeps/HD_none/events", "").status, 404);
}
