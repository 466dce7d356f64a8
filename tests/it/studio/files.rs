//! Files and logs: only what lies below a trial's folder, never as markup.

use super::{Server, led, trial};
use overdrive::history::TrialState;
use std::fs;
use std::os::unix::fs::symlink;

const SECRET: &str = "the-secret-outside";

fn server() -> Server {
    let server = Server::start(false);
    let mut writer = led(&server.state());
    trial(&mut writer, 1, 0, &[0.5], TrialState::Completed);
    let folder = server.state().join("sweeps/HD_test/trials/0/0-abc");
    fs::create_dir_all(folder.join("wd/outputs/sub")).unwrap();
    fs::create_dir_all(folder.join("azureml-logs")).unwrap();
    fs::write(folder.join("wd/outputs/a b.csv"), "x,y\n1,2\n").unwrap();
    fs::write(folder.join("wd/outputs/page.html"), "<script>alert(1)</script>").unwrap();
    fs::write(folder.join("wd/outputs/picture.svg"), "<svg onload='alert(1)'/>").unwrap();
    fs::write(folder.join("wd/outputs/plot.png"), [0x89, b'P', b'N', b'G']).unwrap();
    fs::write(
        folder.join("azureml-logs/70_driver_log.txt"),
        "line 1\nline 2\n<b>line 3</b>\n",
    )
    .unwrap();
    fs::write(folder.join("spec.json"), SECRET).unwrap();
    fs::write(server.folder.path().join("secret.txt"), SECRET).unwrap();
    symlink(
        server.folder.path().join("secret.txt"),
        folder.join("wd/outputs/link.txt"),
    )
    .unwrap();
    symlink(server.folder.path(), folder.join("wd/outputs/sub/out")).unwrap();
    symlink(server.folder.path(), folder.join("artifacts")).unwrap();
    symlink("/proc/self/root", folder.join("wd/outputs/sub/magic")).unwrap();
    server
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

#[test]
fn no_spelling_of_a_path_leads_outside() {
    let server = server();
    let dots = [
        "..",
        "%2e%2e",
        "%2e.",
        ".%2e",
        "..%00",
        "%c0%ae%c0%ae",
        "%252e%252e",
        "..;",
        "....//..",
        "\u{ff0e}\u{ff0e}",
    ];
    let slashes = ["/", "%2f", "%5c", "\\", "%252f", "%c0%af", "//", "/./"];
    let starts = ["wd/outputs", "wd/outputs/sub", "artifacts", ""];
    let mut tried = 0;
    for start in starts {
        for dot in dots {
            for slash in slashes {
                for depth in [3, 9] {
                    let up: String = (0..depth).map(|_| format!("{slash}{dot}")).collect();
                    let path: String = format!("{start}{up}{slash}secret.txt")
                        .chars()
                        .map(|c| {
                            if c.is_ascii() {
                                c.to_string()
                            } else {
                                encoded(&c.to_string())
                            }
                        })
                        .collect();
                    let answer = server.ask(
                        "GET",
                        &format!("/api/v1/sweeps/HD_test/trials/0/file?path={path}"),
                        "",
                    );
                    assert!([400, 404].contains(&answer.status), "{path}: {}", answer.status);
                    assert!(!answer.text().contains(SECRET), "{path}");
                    tried += 1;
                }
            }
        }
    }
    assert!(tried >= 200, "{tried}");
    for path in [
        "wd/outputs/link.txt",
        "wd/outputs/sub/out/secret.txt",
        "wd/outputs/sub/magic/etc/passwd",
        "spec.json",
        "wd/outputs/../../spec.json",
        "wd/outputs/../outputs/plot.png",
        "artifacts/secret.txt",
        "/etc/passwd",
        "wd/outputs",
        "wd/outputs/",
        "wd/outputs//etc/passwd",
    ] {
        let answer = server.ask(
            "GET",
            &format!("/api/v1/sweeps/HD_test/trials/0/file?path={path}"),
            "",
        );
        assert_eq!(answer.status, 404, "{path}");
    }
    for reference in ["..%2f..", "%2e%2e", "HD_test%00", "%2Fetc"] {
        assert_eq!(
            server
                .ask("GET", &format!("/api/v1/sweeps/{reference}/trials/0/log"), "")
                .status,
            404,
            "{reference}"
        );
    }
}

#[test]
fn what_scripts_made_is_never_shown_as_markup() {
    let server = server();
    for (name, kind) in [
        ("page.html", "application/octet-stream"),
        ("picture.svg", "application/octet-stream"),
        ("a%20b.csv", "application/octet-stream"),
        ("plot.png", "image/png"),
    ] {
        let answer = server.ask(
            "GET",
            &format!("/api/v1/sweeps/HD_test/trials/0/file?path=wd/outputs/{name}"),
            "",
        );
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some(kind)),
            "{name}"
        );
        assert_eq!(
            answer.header("content-security-policy"),
            Some("default-src 'none'; sandbox")
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        if kind != "image/png" {
            assert_eq!(answer.header("content-disposition"), Some("attachment"));
        }
    }
    let listed = server.get("/api/v1/sweeps/HD_test/trials/0/files");
    let names: Vec<&str> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["path"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "azureml-logs/70_driver_log.txt",
            "wd/outputs/a b.csv",
            "wd/outputs/page.html",
            "wd/outputs/picture.svg",
            "wd/outputs/plot.png"
        ],
        "links are left out"
    );
}

#[test]
fn a_log_is_read_from_any_byte_on() {
    let server = server();
    let log = |query: &str| server.ask("GET", &format!("/api/v1/sweeps/HD_test/trials/0/log{query}"), "");
    let whole = log("");
    assert_eq!(whole.text(), "line 1\nline 2\n<b>line 3</b>\n");
    assert_eq!(whole.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(
        (whole.header("x-log-next"), whole.header("x-log-size")),
        (Some("28"), Some("28"))
    );
    assert_eq!(log("?offset=7&limit=6").text(), "line 2");
    assert_eq!(log("?offset=-14").text(), "<b>line 3</b>\n");
    assert_eq!(log("?offset=999").text(), "");
    assert_eq!(log("?offset=-999").text(), whole.text());
}
