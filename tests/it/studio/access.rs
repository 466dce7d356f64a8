//! Who gets in: the table of routes against every way of being somebody else.

use super::{Server, led, trial};
use overdrive::history::TrialState;
use overdrive::studio::{Access, ROUTES};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;

/// What is tried, with which headers, and the status that must come.
type Case<'a> = (&'a str, Vec<(&'a str, &'a str)>, u16);

/// A path of a route with something in its braces.
fn filled(path: &str) -> String {
    path.replace("{sweep}", "HD_test")
        .replace("{trial}", "0")
        .replace("{target}", "local")
        .replace("{*path}", "HD_test_0/outputs/x")
}

fn server() -> Server {
    let server = Server::start(false);
    let mut writer = led(&server.state());
    trial(&mut writer, 1, 0, &[0.5], TrialState::Completed);
    server
}

#[test]
fn every_route_refuses_strangers() {
    let server = server();
    let bearer = server.bearer();
    let own = format!("http://{}", server.address);
    let mut paths: Vec<(&str, String)> = ROUTES
        .iter()
        .map(|route| (route.method, filled(route.path)))
        .collect();
    paths.extend(
        [
            "/",
            "/sweeps/HD_test",
            "/index.html",
            "/nothing/there",
            "/api/v1/nothing",
        ]
        .map(|path| ("GET", path.to_owned())),
    );
    for (method, path) in paths {
        let body = if ["GET", "DELETE"].contains(&method) {
            ""
        } else {
            "{}"
        };
        let cases: [Case<'_>; 9] = [
            ("no token", vec![], 401),
            (
                "a wrong token",
                vec![(
                    "Authorization",
                    "Bearer 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                )],
                401,
            ),
            ("a wrong cookie", vec![("Cookie", "overdrive_session=0000")], 401),
            (
                "another host",
                vec![("Authorization", &bearer), ("Host", "evil.example:80")],
                421,
            ),
            (
                "a host of another port",
                vec![("Authorization", &bearer), ("Host", "127.0.0.1:1")],
                421,
            ),
            (
                "another origin",
                vec![("Authorization", &bearer), ("Origin", "http://evil.example")],
                403,
            ),
            (
                "no origin at all",
                vec![("Authorization", &bearer), ("Origin", "null")],
                403,
            ),
            (
                "a cross-site request",
                vec![("Authorization", &bearer), ("Sec-Fetch-Site", "cross-site")],
                403,
            ),
            (
                "a same-site request",
                vec![
                    ("Authorization", &bearer),
                    ("Origin", &own),
                    ("Sec-Fetch-Site", "same-site"),
                ],
                403,
            ),
        ];
        for (what, headers, status) in cases {
            let answer = server.send(method, &path, &headers, body);
            assert_eq!(answer.status, status, "{method} {path} with {what}");
            assert!(
                answer
                    .header("content-security-policy")
                    .is_some_and(|policy| policy.contains("default-src 'none'"))
            );
            assert!(
                !answer.text().contains("0.5"),
                "{method} {path} with {what} tells something"
            );
        }
    }
}

#[test]
fn the_owner_gets_in_everywhere() {
    let server = server();
    let bearer = server.bearer();
    for route in ROUTES {
        let body = if ["GET", "DELETE"].contains(&route.method) {
            ""
        } else {
            "{}"
        };
        let own = format!("http://{}", server.address);
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Origin", &own),
            ("Sec-Fetch-Site", "same-origin"),
        ];
        let mut stream = server.open(route.method, &filled(route.path), &headers, body);
        // Streams never end: the first bytes must do.
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).unwrap();
        let status: u16 = String::from_utf8_lossy(&bytes[..read])
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        assert!(
            ![401, 403, 404, 405, 421].contains(&status)
                || route.path.ends_with("/file")
                || route.path.contains("mlflow"),
            "{} {}: {status}",
            route.method,
            route.path
        );
        assert!(status < 500, "{} {}: {status}", route.method, route.path);
    }
}

#[test]
fn a_code_signs_one_browser_in_once() {
    let server = server();
    let code = server.access.code().unwrap();
    let login = format!("/login?code={code}");
    let answer = server.send("GET", &login, &[], "");
    assert_eq!(answer.status, 303);
    let cookie = answer.header("set-cookie").unwrap().to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains(&server.token), "the token itself stays here");
    let pair = cookie.split(';').next().unwrap();
    assert_eq!(
        server
            .send("GET", "/api/v1/about", &[("Cookie", pair)], "")
            .status,
        200
    );
    assert_eq!(server.send("GET", &login, &[], "").status, 401, "a second time");
    assert_eq!(server.send("GET", "/login?code=0", &[], "").status, 401);
    assert_eq!(server.send("GET", "/login", &[], "").status, 401);
    assert_eq!(
        server.send("GET", &login, &[("Host", "evil.example")], "").status,
        421
    );
}

#[test]
fn a_new_code_needs_the_token() {
    let server = server();
    let answer = server.ask("POST", "/api/v1/link", "{}");
    let code = answer.json()["code"].as_str().unwrap().to_owned();
    assert_eq!(
        server.send("GET", &format!("/login?code={code}"), &[], "").status,
        303
    );
}

#[test]
fn the_token_is_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("studio.token");
    Access::open(&path).unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let token = std::fs::read_to_string(&path).unwrap();
    assert_eq!(token.len(), 64);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = Access::open(&path).err().unwrap().to_string();
    assert!(error.contains("can be read by others"), "{error}");
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "short").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(Access::open(&path).is_err());
}

#[test]
fn bodies_are_json_and_small() {
    let server = server();
    let bearer = server.bearer();
    let form = [
        ("Authorization", bearer.as_str()),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    for route in ROUTES.iter().filter(|route| {
        !["GET", "DELETE"].contains(&route.method)
            && !route.path.ends_with("/link")
            && !route.path.contains("mlflow")
    }) {
        let answer = server.send(route.method, &filled(route.path), &form, "action=cancel");
        assert_eq!(answer.status, 415, "{}", route.path);
        let answer = server.ask(route.method, &filled(route.path), "{\"unknown\": 1}");
        assert!(
            [400, 422].contains(&answer.status),
            "{}: {}",
            route.path,
            answer.status
        );
    }
    let large = format!("{{\"text\": \"{}\"}}", "x".repeat(5 << 20));
    assert_eq!(server.ask("POST", "/api/v1/check", &large).status, 413);
}

#[test]
fn the_description_names_every_route_and_every_shape() {
    let server = server();
    let document = server.get("/api/v1/openapi.json");
    for route in ROUTES {
        let operation = &document["paths"][route.path.replace("{*", "{")][route.method.to_ascii_lowercase()];
        assert_eq!(operation["summary"], route.summary, "{}", route.path);
    }
    let text = document.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(
            document["components"]["schemas"].get(name).is_some(),
            "`{name}` is described nowhere"
        );
    }
}

#[test]
fn every_name_at_once_is_no_name() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["--host", "0.0.0.0"][..],
        &["--host", "0.0.0.0", "--insecure"],
        &["--host", "::"],
    ] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_overdrive"))
            .arg("--home")
            .arg(folder.path().join(".overdrive"))
            .arg("studio")
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(
            words.contains("names no address") && words.contains("ssh -L"),
            "{words}"
        );
    }
    assert!(!folder.path().join(".overdrive").exists(), "nothing was made");
}

#[test]
fn the_page_is_served_with_its_policy() {
    let server = server();
    let answer = server.ask("GET", "/sweeps/HD_test/curves?zoom=1", "");
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("text/html; charset=utf-8"))
    );
    let page = answer.text();
    let script = page.split("src=\"/").nth(1).unwrap().split('"').next().unwrap();
    let asset = server.ask("GET", &format!("/{script}"), "");
    assert_eq!(
        asset.header("cache-control"),
        Some("public, max-age=31536000, immutable")
    );
    let policy = answer.header("content-security-policy").unwrap();
    for part in [
        "script-src 'self'",
        "require-trusted-types-for 'script'",
        "frame-ancestors 'none'",
        "trusted-types od-worker",
    ] {
        assert!(policy.contains(part), "{part}");
    }
    // Packed for those who take it.
    let bearer = server.bearer();
    for (accepted, coding) in [
        ("gzip, deflate, br, zstd", Some("br")),
        ("gzip", Some("gzip")),
        ("br;q=0, identity", None),
        ("", None),
    ] {
        let headers = [("Authorization", bearer.as_str()), ("Accept-Encoding", accepted)];
        let packed = server.send("GET", &format!("/{script}"), &headers, "");
        assert_eq!(packed.header("content-encoding"), coding, "{accepted}");
        assert_eq!(packed.header("vary"), Some("accept-encoding"));
        assert_eq!(
            packed.body.len() < asset.body.len() / 2,
            coding.is_some(),
            "{accepted}"
        );
    }
    assert!(!page.contains("<style") && !page.contains("style=") && !page.contains("onload="));
}
