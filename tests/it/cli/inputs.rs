//! Inputs of jobs that lie in the web: fetched once for all trials, or left to the script.

use super::binary::overdrive;
use super::project::text;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const BODY: &str = "length,width\n5.1,3.5\n";

/// Serves `BODY` at `/iris.csv` and 404 elsewhere; counts whole files sent.
fn serve() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = String::new();
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            while lines.read_line(&mut head).unwrap_or(0) > 2 {}
            let answer = if !head.starts_with("GET /iris.csv") {
                "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned()
            } else if head.to_lowercase().contains("if-none-match: \"v1\"") {
                "HTTP/1.1 304 Not Modified\r\nconnection: close\r\n\r\n".to_owned()
            } else {
                count.fetch_add(1, Ordering::SeqCst);
                format!(
                    "HTTP/1.1 200 OK\r\netag: \"v1\"\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{BODY}",
                    BODY.len()
                )
            };
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (address, sent)
}

#[test]
fn an_input_in_the_web_is_fetched_once_and_reaches_every_trial_as_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let (address, sent) = serve();
    fs::write(
        folder.path().join("sweep.yml"),
        format!(
            "type: sweep
search_space:
  x: {{type: choice, values: [1, 2, 3]}}
sampling_algorithm: grid
objective: {{goal: maximize, primary_metric: lines}}
limits: {{max_total_trials: 3, max_concurrent_trials: 2}}
inputs:
  iris: {{type: uri_file, path: {address}/iris.csv, mode: download}}
  link: {{type: uri_file, path: {address}/iris.csv, mode: direct}}
trial:
  command: >-
    echo lines=$(wc -l < ${{{{inputs.iris}}}}) && test \"$AZURE_ML_INPUT_iris\" = ${{{{inputs.iris}}}} && echo ${{{{inputs.link}}}} > outputs/link.txt
  environment: azureml:none:1
"
        ),
    )
    .unwrap();
    let run = || {
        overdrive()
            .args(["run", "sweep.yml", "--json"])
            .current_dir(folder.path())
            .env("XDG_CACHE_HOME", folder.path().join("cache"))
            .timeout(std::time::Duration::from_secs(120))
            .output()
            .unwrap()
    };
    let first = run();
    assert_eq!(first.status.code(), Some(0), "{}", text(&first.stderr));
    assert!(
        text(&first.stderr).contains("input `iris`: fetching"),
        "{}",
        text(&first.stderr)
    );
    let document: serde_json::Value = serde_json::from_slice(&first.stdout).unwrap();
    assert_eq!(document["best"]["value"], 2.0, "{document}");
    assert_eq!(document["trials"]["Completed"], 3, "{document}");
    let links: Vec<_> = walk(&folder.path().join(".overdrive"))
        .into_iter()
        .filter(|path| path.ends_with("outputs/link.txt"))
        .collect();
    assert_eq!(links.len(), 3);
    assert!(
        links
            .iter()
            .all(|path| fs::read_to_string(path).unwrap().trim() == format!("{address}/iris.csv"))
    );

    let second = run();
    assert_eq!(second.status.code(), Some(0), "{}", text(&second.stderr));
    assert_eq!(
        sent.load(Ordering::SeqCst),
        1,
        "an unchanged file is not sent twice"
    );
}

#[test]
fn an_input_that_is_not_there_is_said_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let (address, _) = serve();
    fs::write(
        folder.path().join("job.yml"),
        format!(
            "type: command\ncommand: cat ${{{{inputs.data}}}}\nenvironment: azureml:none:1\ninputs:\n  data: {{path: {address}/none.csv?sig=secret}}\n"
        ),
    )
    .unwrap();
    let output = overdrive()
        .args(["run", "job.yml"])
        .current_dir(folder.path())
        .env("XDG_CACHE_HOME", folder.path().join("cache"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    let words = text(&output.stderr);
    assert!(words.contains("error[input]: input `data`:"), "{words}");
    assert!(words.contains("/none.csv answered 404 Not Found"), "{words}");
    assert!(
        words.contains("`mode: direct`") && !words.contains("secret"),
        "{words}"
    );
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                true => folders.push(entry.path()),
                false => found.push(entry.path()),
            }
        }
    }
    found
}
