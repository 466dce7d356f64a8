//! Downloads from a small server on the loopback address.

use super::*;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What the server does with a request, and what it was asked.
#[derive(Default)]
struct Site {
    /// Status, headers, body, and how many bytes of it are really sent.
    answer: Mutex<(u16, Vec<String>, Vec<u8>, usize)>,
    requests: Mutex<Vec<String>>,
}

struct Server {
    address: String,
    site: Arc<Site>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let site = Arc::new(Site::default());
        let shared = Arc::clone(&site);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &shared);
            }
        });
        Self { address, site }
    }

    fn says(&self, status: u16, headers: &[&str], body: &str) {
        let headers = headers.iter().map(|line| (*line).to_owned()).collect();
        *self.site.answer.lock().unwrap() = (status, headers, body.as_bytes().to_vec(), body.len());
    }

    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.site.requests.lock().unwrap())
    }
}

fn answer(mut stream: TcpStream, site: &Site) {
    let mut head = String::new();
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        head.push_str(&line.to_ascii_lowercase());
    }
    site.requests.lock().unwrap().push(head);
    let (status, headers, body, sent) = site.answer.lock().unwrap().clone();
    let mut text = format!("HTTP/1.1 {status} Whatever\r\nconnection: close\r\n");
    if status != 304 {
        text.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    for header in headers {
        text.push_str(&format!("{header}\r\n"));
    }
    text.push_str("\r\n");
    let _ = stream.write_all(text.as_bytes());
    let _ = stream.write_all(&body[..sent]);
}

fn fetch(cache: &Path, address: &str) -> (Result<Fetched, DownloadError>, Vec<String>) {
    let mut told = Vec::new();
    let outcome = Downloads {
        cache,
        progress: &mut |line| told.push(line.to_owned()),
    }
    .fetch(address);
    (outcome, told)
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn a_file_is_fetched_once_and_again_only_when_it_has_changed() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start();
    let address = format!("{}/sets/iris.csv?sig=secret", server.address);
    server.says(
        200,
        &["ETag: \"one\"", "Last-Modified: Tue, 24 Nov 2026 10:00:00 GMT"],
        "a,b\n1,2\n",
    );
    let (first, told) = fetch(cache.path(), &address);
    let first = first.unwrap();
    assert_eq!(fs::read_to_string(&first.path).unwrap(), "a,b\n1,2\n");
    assert!(first.path.ends_with("iris.csv"), "{first:?}");
    assert_eq!((first.bytes, &first.note), (8, &None));
    assert!(
        told[0].contains("/sets/iris.csv (0.0 KiB)") && !told[0].contains("secret"),
        "{told:?}"
    );
    assert!(!server.requests()[0].contains("if-none-match"));

    server.says(304, &[], "");
    let (second, told) = fetch(cache.path(), &address);
    assert_eq!(second.unwrap(), first);
    assert!(told.is_empty(), "{told:?}");
    let asked = server.requests();
    assert!(asked[0].contains("if-none-match: \"one\""), "{asked:?}");
    assert!(
        asked[0].contains("if-modified-since: tue, 24 nov 2026 10:00:00 gmt"),
        "{asked:?}"
    );

    server.says(200, &["ETag: \"two\""], "changed");
    let third = fetch(cache.path(), &address).0.unwrap();
    assert_eq!(fs::read_to_string(&third.path).unwrap(), "changed");
    assert_eq!(
        fs::read_to_string(&first.path).unwrap(),
        "a,b\n1,2\n",
        "a trial may still read it"
    );
    for file in files_below(&cache.path().join("index")) {
        assert!(!fs::read_to_string(file).unwrap().contains("secret"));
    }
}

#[test]
fn what_was_lost_from_the_cache_is_fetched_again() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start();
    let address = format!("{}/x.bin", server.address);
    server.says(200, &["ETag: \"one\""], "bytes");
    let first = fetch(cache.path(), &address).0.unwrap();
    fs::remove_file(&first.path).unwrap();
    let second = fetch(cache.path(), &address).0.unwrap();
    assert_eq!(fs::read_to_string(&second.path).unwrap(), "bytes");
    assert!(
        server
            .requests()
            .iter()
            .all(|request| !request.contains("if-none-match"))
    );
}

#[test]
fn a_refusal_is_told_with_its_status_and_leaves_nothing() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start();
    server.says(404, &[], "no such thing");
    let error = fetch(cache.path(), &format!("{}/x.csv?key=1", server.address))
        .0
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{}/x.csv answered 404 Not Found", server.address)
    );
    assert_eq!(server.requests().len(), 1, "a plain no is not asked for again");
    server.says(503, &[], "");
    let error = fetch(cache.path(), &format!("{}/x.csv", server.address))
        .0
        .unwrap_err();
    assert!(error.to_string().contains("503 Service Unavailable"), "{error}");
    assert_eq!(server.requests().len(), 3);
    assert!(files_below(cache.path()).is_empty());
}

#[test]
fn half_a_file_is_no_file() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start();
    server.says(200, &[], "0123456789");
    server.site.answer.lock().unwrap().3 = 4;
    let error = fetch(cache.path(), &format!("{}/x.csv", server.address))
        .0
        .unwrap_err();
    assert!(matches!(error, DownloadError::Cut { got: 4, .. }), "{error:?}");
    assert!(files_below(cache.path()).is_empty());
}

#[test]
fn without_its_server_the_older_copy_serves() {
    let cache = tempfile::tempdir().unwrap();
    let port = {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let address = format!("http://127.0.0.1:{port}/x.csv");
    let error = fetch(cache.path(), &address).0.unwrap_err();
    assert!(matches!(error, DownloadError::Unreachable { .. }), "{error:?}");
    let known = Known {
        address: address.clone(),
        content: blake3::hash(b"old").to_hex().to_string(),
        bytes: 3,
        name: "x.csv".into(),
        marks: Marks::default(),
    };
    let mut quiet = |_: &str| {};
    let downloads = Downloads {
        cache: cache.path(),
        progress: &mut quiet,
    };
    let index = cache
        .path()
        .join("index")
        .join(format!("{}.json", blake3::hash(address.as_bytes()).to_hex()));
    let mut draft = tempfile::NamedTempFile::new_in(cache.path()).unwrap();
    draft.write_all(b"old").unwrap();
    downloads.keep(draft, &index, &known).unwrap();
    let fetched = fetch(cache.path(), &address).0.unwrap();
    assert_eq!(fs::read_to_string(&fetched.path).unwrap(), "old");
    assert!(fetched.note.unwrap().contains("using the copy fetched before"));
}

#[test]
fn names_lead_nowhere_and_keys_are_not_shown() {
    for (address, seen, name) in [
        (
            "https://u:p@h.example/a/b.csv?sig=1#x",
            "https://h.example/a/b.csv",
            "b.csv",
        ),
        ("https://h.example", "https://h.example", "data"),
        ("https://h.example/a/..", "https://h.example/a/..", "data"),
        ("https://h.example/a%2Fb", "https://h.example/a%2Fb", "a%2Fb"),
    ] {
        assert_eq!(shown(address), seen);
        assert_eq!(name_of(seen), name);
    }
    let cache = tempfile::tempdir().unwrap();
    let error = fetch(cache.path(), "http://127.0.0.1:1/folder/").0.unwrap_err();
    assert!(matches!(error, DownloadError::Folder { .. }), "{error:?}");
}
