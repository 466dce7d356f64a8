//! The ways in besides the loopback: TLS with a certificate of one's own or a given one, a socket in the file system; each with the real binary.

use super::Answer;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use ureq::http::Response;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

/// A studio as a process, with what it said of itself.
struct Served {
    child: Child,
    said: serde_json::Value,
}

impl Served {
    fn says(&self, key: &str) -> &str {
        self.said[key]
            .as_str()
            .unwrap_or_else(|| panic!("{key}: {}", self.said))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_overdrive"));
    command
        .arg("--home")
        .arg(folder.join(".overdrive"))
        .args(["studio", "--json"])
        .args(arguments);
    command
}

fn serve(folder: &Path, arguments: &[&str]) -> Served {
    let mut child = command(folder, arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut text = Vec::new();
    let mut byte = [0];
    let said = loop {
        assert_eq!(
            out.read(&mut byte).unwrap(),
            1,
            "it ended: {}",
            String::from_utf8_lossy(&text)
        );
        text.push(byte[0]);
        if b"}\n".contains(&byte[0])
            && let Ok(said) = serde_json::from_slice(&text)
        {
            break said;
        }
    };
    Served { child, said }
}

fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output: Output = command(folder, arguments).output().unwrap();
    assert!(
        [1, 2].contains(&output.status.code().unwrap()),
        "{arguments:?}: {output:?}"
    );
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn token(folder: &Path) -> String {
    let text = std::fs::read_to_string(folder.join(".overdrive/studio.token")).unwrap();
    format!("Bearer {}", text.trim())
}

/// A client that trusts one certificate and nothing else, and follows nothing.
fn trusting(certificate: &Path) -> ureq::Agent {
    let text = std::fs::read(certificate).unwrap();
    let roots: Vec<_> = parse_pem(&text)
        .filter_map(|item| match item.unwrap() {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .collect();
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .build();
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(Duration::from_secs(60)))
        .tls_config(tls)
        .build()
        .into()
}

fn ask(agent: &ureq::Agent, url: &str, headers: &[(&str, &str)]) -> Response<ureq::Body> {
    let mut request = agent.get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.call().unwrap()
}

#[test]
fn an_encrypted_studio_is_known_by_its_fingerprint() {
    let folder = tempfile::tempdir().unwrap();
    let studio = serve(folder.path(), &["--tls", "--port", "0"]);
    let base = studio.says("address");
    assert!(base.starts_with("https://127.0.0.1:"), "{base}");
    let host = base.strip_prefix("https://").unwrap();
    let file = PathBuf::from(studio.says("certificate"));
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let print = studio.says("fingerprint");
    let pairs: Vec<&str> = print.split(':').collect();
    assert!(
        pairs.len() == 32
            && pairs
                .iter()
                .all(|pair| pair.len() == 2 && u8::from_str_radix(pair, 16).is_ok()),
        "{print}"
    );

    // Clients that connect and say nothing keep nobody out.
    let silent: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(host).unwrap()).collect();
    let agent = trusting(&file);
    let about = format!("{base}/api/v1/about");
    let signed_in = ask(&agent, studio.says("link"), &[]);
    assert_eq!(signed_in.status(), 303);
    let cookie = signed_in.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("__Host-overdrive_session="), "{cookie}");
    for part in ["Secure", "HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let pair = cookie.split(';').next().unwrap();
    drop(silent);
    let bearer = token(folder.path());
    let other_scheme = format!("http://{host}");
    for (what, headers, status) in [
        ("the cookie", vec![("Cookie", pair)], 200),
        ("the token", vec![("Authorization", bearer.as_str())], 200),
        ("nothing", vec![], 401),
        (
            "a cookie that is sent in the clear, too",
            vec![("Cookie", pair.trim_start_matches("__Host-"))],
            401,
        ),
        (
            "its own origin",
            vec![("Authorization", &bearer), ("Origin", base)],
            200,
        ),
        (
            "its address without encryption",
            vec![("Authorization", &bearer), ("Origin", &other_scheme)],
            403,
        ),
        (
            "another host",
            vec![("Authorization", &bearer), ("Host", "evil.example")],
            421,
        ),
    ] {
        assert_eq!(ask(&agent, &about, &headers).status(), status, "{what}");
    }
    // Who trusts others only does not get as far as asking.
    let given = given(folder.path(), &["tuner.example"]);
    assert!(trusting(&given.0).get(&about).call().is_err());

    // A link for another browser, once; the key of the first is the key of the second start.
    let output = command(folder.path(), &["--link"]).output().unwrap();
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let link = said["link"].as_str().unwrap();
    assert_eq!(ask(&agent, link, &[]).status(), 303);
    assert_eq!(ask(&agent, link, &[]).status(), 401, "a second time");
    let print = print.to_owned();
    drop(studio);
    assert_eq!(
        command(folder.path(), &["--link"]).status().unwrap().code(),
        Some(3)
    );
    let again = serve(folder.path(), &["--tls", "--port", "0"]);
    assert_eq!(again.says("fingerprint"), print);
    // What was made for the last start is no good at this one.
    let path = link.split_once("/login").unwrap().1;
    assert_eq!(
        ask(&agent, &format!("{}/login{path}", again.says("address")), &[]).status(),
        401
    );
}

/// A certificate for `names` and its key, in files.
fn given(folder: &Path, names: &[&str]) -> (PathBuf, PathBuf) {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let unique = made.signing_key.serialize_pem().len() + std::fs::read_dir(folder).unwrap().count();
    let files = (
        folder.join(format!("{unique}.crt")),
        folder.join(format!("{unique}.key")),
    );
    std::fs::write(&files.0, made.cert.pem()).unwrap();
    std::fs::write(&files.1, made.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(&files.1, std::fs::Permissions::from_mode(0o600)).unwrap();
    files
}

#[test]
fn a_given_certificate_is_served_under_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = given(folder.path(), &["tuner.example", "127.0.0.1"]);
    let (other, _) = given(folder.path(), &["other.example"]);
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let with = |certificate: &Path, key: &Path| {
        [
            "--tls-cert".to_owned(),
            text(certificate),
            "--tls-key".into(),
            text(key),
            "--port".into(),
            "0".into(),
            "--name".into(),
            "tuner.example".into(),
        ]
    };
    let arguments = with(&certificate, &key);
    let studio = serve(folder.path(), &arguments.each_ref().map(String::as_str));
    let base = studio.says("address");
    let port = base.strip_prefix("https://tuner.example:").unwrap();
    let agent = trusting(&certificate);
    let bearer = token(folder.path());
    let here = format!("https://127.0.0.1:{port}/api/v1/about");
    let name = format!("tuner.example:{port}");
    for (host, status) in [
        (name.as_str(), 200),
        ("tuner.example", 421),
        ("other.example", 421),
    ] {
        assert_eq!(
            ask(&agent, &here, &[("Authorization", &bearer), ("Host", host)]).status(),
            status,
            "{host}"
        );
    }
    drop(studio);

    // What does not go together, or is not secret, is refused before anything listens.
    for (certificate, key, word) in [
        (&other, &key, "does not go with"),
        (&key, &key, "no certificate"),
        (&certificate, &certificate, "can be read by everybody"),
        (&folder.path().join("none.crt"), &key, "none.crt"),
    ] {
        let arguments = with(certificate, key);
        let words = refused(folder.path(), &arguments.each_ref().map(String::as_str));
        assert!(words.contains(word), "{word}: {words}");
    }
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let arguments = with(&certificate, &key);
    let words = refused(folder.path(), &arguments.each_ref().map(String::as_str));
    assert!(words.contains("chmod 600"), "{words}");
}

/// A request through a socket.
fn through(socket: &Path, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut text = format!("GET {path} HTTP/1.1\r\nConnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    stream.write_all(text.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    Answer::parse(&bytes)
}

#[test]
fn a_socket_is_for_its_owner_and_whoever_forwards_it() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("studio.sock");
    let path = socket.to_str().unwrap();
    let mut studio = serve(folder.path(), &["--socket", path]);
    assert_eq!(studio.says("socket"), path);
    assert_eq!(
        std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let bearer = token(folder.path());
    let key = ("Authorization", bearer.as_str());
    for (what, headers, status) in [
        ("a forwarded port", vec![key, ("Host", "localhost:4711")], 200),
        (
            "its page",
            vec![
                key,
                ("Host", "127.0.0.1:4711"),
                ("Origin", "http://127.0.0.1:4711"),
            ],
            200,
        ),
        ("nobody", vec![("Host", "localhost:4711")], 401),
        (
            "a name that was rebound",
            vec![key, ("Host", "evil.example:4711")],
            421,
        ),
        (
            "a name that begins well",
            vec![key, ("Host", "localhost.evil.example")],
            421,
        ),
        (
            "a page of another port",
            vec![
                key,
                ("Host", "localhost:4711"),
                ("Origin", "http://localhost:3000"),
            ],
            403,
        ),
    ] {
        assert_eq!(
            through(&socket, "/api/v1/about", &headers).status,
            status,
            "{what}"
        );
    }
    let said: serde_json::Value =
        serde_json::from_slice(&command(folder.path(), &["--link"]).output().unwrap().stdout).unwrap();
    let link = said["link"]
        .as_str()
        .unwrap()
        .strip_prefix("http://localhost:8712")
        .unwrap();
    let answer = through(&socket, link, &[("Host", "localhost:8712")]);
    assert_eq!(answer.status, 303);
    assert!(!answer.header("set-cookie").unwrap().contains("Secure"));

    // A second one does not take it away; one that was killed leaves it to the next.
    let words = refused(folder.path(), &["--socket", path]);
    assert!(words.contains("is served already"), "{words}");
    studio.child.kill().unwrap();
    studio.child.wait().unwrap();
    assert!(socket.exists());
    let mut studio = serve(folder.path(), &["--socket", path]);
    let id = rustix::process::Pid::from_child(&studio.child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert!(studio.child.wait().unwrap().success());
    assert!(!socket.exists(), "it takes its socket with it");

    // Nothing else that lies there is touched.
    std::fs::write(&socket, "a file").unwrap();
    let words = refused(folder.path(), &["--socket", path]);
    assert!(words.contains("no socket"), "{words}");
    assert_eq!(std::fs::read_to_string(&socket).unwrap(), "a file");
    std::fs::remove_file(&socket).unwrap();
    let theirs = UnixListener::bind(&socket).unwrap();
    assert!(refused(folder.path(), &["--socket", path]).contains("is served already"));
    drop(theirs);
}
