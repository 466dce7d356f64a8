//! The endpoint without a client: what is refused, what is answered, in plain HTTP.

use super::trial::Trial;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// An open connection to the endpoint.
struct Client {
    stream: TcpStream,
    host: String,
    prefix: String,
}

impl Client {
    fn new(trial: &Trial) -> Self {
        let uri = trial.endpoint.uri();
        let (host, path) = uri.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let stream = TcpStream::connect(host).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self {
            stream,
            host: host.to_owned(),
            prefix: format!("/{path}"),
        }
    }

    /// Sends a request with these header lines and this body, returns status and body.
    fn raw(&mut self, method: &str, target: &str, headers: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let head = format!(
            "{method} {target} HTTP/1.1\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        );
        self.stream.write_all(head.as_bytes()).unwrap();
        // A server that refuses by the head may close before it has read the body.
        let _ = self.stream.write_all(body);
        let mut seen = Vec::new();
        let mut byte = [0];
        while !seen.ends_with(b"\r\n\r\n") {
            self.stream.read_exact(&mut byte).unwrap();
            seen.push(byte[0]);
        }
        let head = String::from_utf8(seen).unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |text| text.parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        (status, body)
    }

    fn call(&mut self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        };
        let (headers, target) = (
            format!("Host: {}\r\n", self.host),
            format!("{}/{path}", self.prefix),
        );
        let (status, body) = self.raw(method, &target, &headers, &body);
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    fn ok(&mut self, method: &str, path: &str, body: &Value) -> Value {
        let (status, reply) = self.call(method, path, body);
        assert_eq!(status, 200, "{method} {path}: {reply}");
        reply
    }
}

#[test]
fn nobody_connects_nothing_runs() {
    let mut trial = Trial::new();
    let begin = Instant::now();
    trial.endpoint.stop();
    assert!(begin.elapsed() < Duration::from_secs(1));
    assert!(trial.reports().is_empty());
    let port: u16 = trial
        .endpoint
        .uri()
        .split([':', '/'])
        .nth(4)
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        TcpStream::connect(("127.0.0.1", port)).is_err(),
        "still listening"
    );
}

#[test]
fn stops_while_a_client_is_connected() {
    let mut trial = Trial::new();
    let mut client = Client::new(&trial);
    client.ok("GET", "api/2.0/mlflow/runs/get?run_id=HD_7_3", &Value::Null);
    // An upload that never ends must not hold the end of the trial.
    let mut hanging = Client::new(&trial);
    let head = format!(
        "PUT {}/api/2.0/mlflow-artifacts/artifacts/1/HD_7_3/artifacts/x HTTP/1.1\r\nHost: {}\r\nContent-Length: 9\r\n\r\nabc",
        hanging.prefix, hanging.host
    );
    hanging.stream.write_all(head.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let begin = Instant::now();
    trial.endpoint.stop();
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    assert!(!trial.path("artifacts/x").exists());
}

#[test]
fn key_host_and_origin() {
    let trial = Trial::new();
    let client = Client::new(&trial);
    let (host, prefix) = (client.host.clone(), client.prefix.clone());
    let port = host.split_once(':').unwrap().1.to_owned();
    let path = "/api/2.0/mlflow/runs/get";
    let status = |target: &str, headers: &str| Client::new(&trial).raw("GET", target, headers, b"").0;
    assert_eq!(
        status(&format!("{prefix}{path}"), &format!("Host: {host}\r\n")),
        200
    );
    assert_eq!(
        status(&format!("{prefix}{path}"), &format!("Host: LOCALHOST:{port}\r\n")),
        200
    );
    let wrong_key = format!(
        "{}{}",
        &prefix[..prefix.len() - 1],
        if prefix.ends_with('0') { '1' } else { '0' }
    );
    for target in [
        format!("{wrong_key}{path}"),
        path.to_owned(),
        "/".to_owned(),
        format!("/t/{path}"),
        "/health".to_owned(),
        format!("{prefix}/other"),
    ] {
        assert_eq!(status(&target, &format!("Host: {host}\r\n")), 404, "{target}");
    }
    for headers in [
        "Host: evil.example\r\n".to_owned(),
        "Host: 127.0.0.1\r\n".to_owned(),
        String::new(),
        format!("Host: {host}\r\nOrigin: http://evil.example\r\n"),
        format!("Host: {host}\r\nOrigin: null\r\n"),
        format!("Host: {host}\r\nSec-Fetch-Site: cross-site\r\n"),
    ] {
        assert_eq!(status(&format!("{prefix}{path}"), &headers), 403, "{headers}");
    }
    let text = |target: &str| {
        Client::new(&trial)
            .raw(
                "GET",
                &format!("{prefix}/{target}"),
                &format!("Host: {host}\r\n"),
                b"",
            )
            .1
    };
    assert_eq!(text("health"), b"OK");
    assert_eq!(text("version"), b"3.0.0");
    // Two attempts do not know each other's key.
    let other = Trial::new();
    assert_ne!(Client::new(&other).prefix, prefix);
    assert_eq!(
        Client::new(&other)
            .raw(
                "GET",
                &format!("{prefix}{path}"),
                &format!("Host: {}\r\n", Client::new(&other).host),
                b""
            )
            .0,
        404
    );
}

#[test]
fn same_calls_under_all_prefixes() {
    let trial = Trial::new();
    let mut client = Client::new(&trial);
    for (step, prefix) in ["api/2.0", "api/3.0", "ajax-api/2.0", "ajax-api/3.0"]
        .iter()
        .enumerate()
    {
        client.ok(
            "POST",
            &format!("{prefix}/mlflow/runs/log-metric"),
            &json!({"run_id": "HD_7_3", "key": "a", "value": 1, "timestamp": "5", "step": step.to_string()}),
        );
    }
    let steps: Vec<_> = trial
        .points("a")
        .into_iter()
        .map(|(_, step)| step.unwrap())
        .collect();
    assert_eq!(steps, [0, 1, 2, 3]);
}

#[test]
fn any_experiment_is_the_trials_own() {
    let trial = Trial::new();
    let mut client = Client::new(&trial);
    for path in [
        "experiments/get-by-name?experiment_name=other",
        "experiments/get?experiment_id=99",
    ] {
        assert_eq!(
            client.ok("GET", &format!("api/2.0/mlflow/{path}"), &Value::Null)["experiment"]["experiment_id"],
            "1"
        );
    }
    assert_eq!(
        client.ok("POST", "api/2.0/mlflow/experiments/create", &json!({"name": "n"})),
        json!({"experiment_id": "1"})
    );
    let run = client.ok(
        "GET",
        "api/2.0/mlflow/runs/get?run_id=somebody-else",
        &Value::Null,
    );
    assert_eq!(run["run"]["info"]["run_id"], "HD_7_3");
    assert_eq!(
        run["run"]["info"]["artifact_uri"],
        "mlflow-artifacts:/1/HD_7_3/artifacts"
    );
    assert_eq!(
        run["run"]["data"]["tags"][1],
        json!({"key": "mlflow.parentRunId", "value": "HD_7"})
    );
}

#[test]
fn finished_is_a_word_and_later_points_count() {
    let trial = Trial::new();
    let mut client = Client::new(&trial);
    client.ok(
        "POST",
        "api/2.0/mlflow/runs/update",
        &json!({"run_id": "HD_7_3", "status": "FINISHED", "end_time": 5}),
    );
    client.ok(
        "POST",
        "api/2.0/mlflow/runs/log-metric",
        &json!({"run_id": "HD_7_3", "key": "a", "value": "NaN"}),
    );
    assert_eq!(trial.fact("status", "mlflow").as_deref(), Some("FINISHED"));
    assert!(trial.points("a")[0].0.is_nan());
}

#[test]
fn malformed_bodies_are_refused_and_unknown_calls_answered() {
    let trial = Trial::new();
    let mut client = Client::new(&trial);
    for body in ["[1]", "{", "nonsense", "\u{0}"] {
        let (headers, target) = (
            format!("Host: {}\r\n", client.host),
            format!("{}/api/2.0/mlflow/runs/log-metric", client.prefix),
        );
        assert_eq!(
            client.raw("POST", &target, &headers, body.as_bytes()).0,
            400,
            "{body}"
        );
    }
    for body in [
        json!({}),
        json!({"key": "a"}),
        json!({"key": "a", "value": "much"}),
        json!({"key": {}, "value": 1}),
    ] {
        assert_eq!(
            client.call("POST", "api/2.0/mlflow/runs/log-metric", &body).0,
            400,
            "{body}"
        );
    }
    let half =
        json!({"metrics": [{"key": "a", "value": 1}, {"key": "b"}], "params": [{"key": "p", "value": "1"}]});
    assert_eq!(client.call("POST", "api/2.0/mlflow/runs/log-batch", &half).0, 400);
    assert!(trial.reports().is_empty(), "half a batch was taken");
    for _ in 0..2 {
        assert_eq!(
            client.ok("POST", "api/3.0/mlflow/traces/of/tomorrow", &json!({})),
            json!({})
        );
    }
    assert_eq!(trial.warnings(), ["mlflow-unknown-call"]);
    assert_eq!(client.call("GET", "api/2.0/mlflow/unknown", &Value::Null).0, 404);
    assert_eq!(
        client
            .call("POST", "api/2.0/mlflow-artifacts/mpu/create/x", &json!({}))
            .0,
        501
    );
}

#[test]
fn a_body_that_is_too_large_is_refused() {
    let trial = Trial::with(|config| config.artifact_bytes_max = 1000);
    let mut client = Client::new(&trial);
    let target = |client: &Client, path: &str| {
        (
            format!("{}/{path}", client.prefix),
            format!("Host: {}\r\n", client.host),
        )
    };
    let (path, headers) = target(
        &client,
        "api/2.0/mlflow-artifacts/artifacts/1/HD_7_3/artifacts/big",
    );
    assert_eq!(client.raw("PUT", &path, &headers, &[0; 1001]).0, 413);
    let mut client = Client::new(&trial);
    assert_eq!(client.raw("PUT", &path, &headers, &[0; 1000]).0, 200);
    assert_eq!(
        std::fs::metadata(trial.path("artifacts/big")).unwrap().len(),
        1000
    );
    // Announced small, sent in pieces without end.
    let mut client = Client::new(&trial);
    let head = format!("PUT {path}2 HTTP/1.1\r\n{headers}Transfer-Encoding: chunked\r\n\r\n");
    client.stream.write_all(head.as_bytes()).unwrap();
    for _ in 0..3 {
        let _ = client
            .stream
            .write_all(format!("190\r\n{}\r\n", "x".repeat(400)).as_bytes());
    }
    let mut start = [0; 12];
    client.stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
    assert!(!trial.path("artifacts/big2").exists());
}

#[test]
fn files_stay_inside() {
    let trial = Trial::new();
    std::fs::write(trial.path("secret"), "s").unwrap();
    let mut client = Client::new(&trial);
    for path in [
        "../secret",
        "%2e%2e/secret",
        "..%2fsecret",
        "a/%2e%2e/%2e%2e/secret",
        "1/HD_7_3/artifacts/../../secret",
        "%00",
        "a%00b",
    ] {
        for method in ["PUT", "GET"] {
            let (status, _) = Client::new(&trial).call(
                method,
                &format!("api/2.0/mlflow-artifacts/artifacts/{path}"),
                &json!({}),
            );
            assert!((400..500).contains(&status), "{method} {path}: {status}");
        }
    }
    assert_eq!(
        client
            .call("GET", "api/2.0/mlflow-artifacts/artifacts?path=../", &Value::Null)
            .0,
        400
    );
    assert_eq!(std::fs::read_to_string(trial.path("secret")).unwrap(), "s");
    client.ok(
        "PUT",
        "api/2.0/mlflow-artifacts/artifacts/1/HD_7_3/artifacts/a%20b/c.png",
        &json!({}),
    );
    client.ok(
        "PUT",
        "api/2.0/mlflow-artifacts/artifacts/1/HD_7_3/artifacts/a%20b/c.png",
        &json!({}),
    );
    assert_eq!(
        trial.artifacts(),
        [("image".to_owned(), "artifacts/a b/c.png".to_owned())]
    );
    let listed = client.ok(
        "GET",
        "api/2.0/mlflow-artifacts/artifacts?path=1%2FHD_7_3%2Fartifacts",
        &Value::Null,
    );
    assert_eq!(listed["files"], json!([{"path": "a b", "is_dir": true}]));
    let listed = client.ok(
        "GET",
        "api/2.0/mlflow/artifacts/list?run_id=HD_7_3&path=a%20b",
        &Value::Null,
    );
    assert_eq!(
        listed["files"],
        json!([{"path": "a b/c.png", "is_dir": false, "file_size": 2}])
    );
}

#[test]
fn history_comes_in_pages() {
    let trial = Trial::new();
    let mut client = Client::new(&trial);
    let metrics: Value = (0..2500)
        .map(|step| json!({"key": "a", "value": step, "timestamp": step, "step": step}))
        .collect();
    client.ok(
        "POST",
        "api/2.0/mlflow/runs/log-batch",
        &json!({"run_id": "HD_7_3", "metrics": metrics}),
    );
    let mut seen = 0;
    let mut token = String::new();
    loop {
        let page = client.ok(
            "GET",
            &format!(
                "api/2.0/mlflow/metrics/get-history?run_id=x&metric_key=a&max_results=1000&page_token={token}"
            ),
            &Value::Null,
        );
        seen += page["metrics"].as_array().unwrap().len();
        match page["next_page_token"].as_str() {
            Some(next) => next.clone_into(&mut token),
            None => break,
        }
    }
    assert_eq!((seen, trial.points("a").len()), (2500, 2500));
}

#[test]
fn equal_points_of_two_ranks_count_once() {
    let trial = Trial::new();
    let (mut one, mut two) = (Client::new(&trial), Client::new(&trial));
    let point = json!({"run_id": "HD_7_3", "key": "a", "value": 0.5, "step": 1});
    for client in [&mut one, &mut two] {
        client.ok("POST", "api/2.0/mlflow/runs/log-metric", &point);
    }
    assert_eq!(trial.points("a").len(), 1);
    one.ok("POST", "api/2.0/mlflow/runs/log-metric", &point);
    assert_eq!(trial.points("a").len(), 2, "the same process said it again");
}

#[test]
fn flush_to_report_is_fast() {
    let trial = Trial::new();
    let mut client = Client::new(&trial);
    client.ok(
        "POST",
        "api/2.0/mlflow/runs/log-metric",
        &json!({"key": "a", "value": 0}),
    );
    let mut times: Vec<Duration> = (0..200)
        .map(|step| {
            let begin = Instant::now();
            client.ok(
                "POST",
                "api/2.0/mlflow/runs/log-metric",
                &json!({"key": "a", "value": step, "step": step}),
            );
            begin.elapsed()
        })
        .collect();
    times.sort();
    eprintln!(
        "log-metric round trip: median {:?}, 99 % {:?}",
        times[100], times[198]
    );
    // Far from what is usual (below 0.2 ms); the machine may be busy.
    assert!(times[100] < Duration::from_millis(20), "{:?}", times[100]);
}
