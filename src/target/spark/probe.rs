//! Looks whether PySpark scripts can be submitted, for real, and how long each step takes.

use super::SparkOptions;
use super::app::Way;
use crate::target::command::{Input, last_line, talk};
use crate::target::probe::{Step, timed};
use std::process::Command;
use std::time::Duration;

/// How long one step may take: a Java machine starts within it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs a script on this machine; its output, or what is wrong.
pub(super) fn here(script: &str) -> Result<String, String> {
    let mut command = Command::new("/bin/sh");
    let spoken = talk(&mut command, Input::Text(script), PATIENCE).map_err(|error| error.to_string())?;
    if spoken.code == Some(0) {
        Ok(spoken.output)
    } else {
        Err(last_line(&spoken.errors))
    }
}

/// Probes by scripts that `ask` runs where scripts are submitted: Spark itself, the cluster's address.
pub(super) fn probe(
    options: &SparkOptions,
    ask: &mut dyn FnMut(&str) -> Result<String, String>,
) -> Vec<Step> {
    let mut steps = Vec::new();
    let way = options.way();
    if !matches!(way, Some(Way::Standalone { .. } | Way::Livy { .. })) {
        let program = word(&options.program());
        steps.push(timed("spark-submit", false, || {
            let found = ask(&format!(
                "command -v {program} >/dev/null || {{ echo {program} is not there >&2; exit 1; }}\n{program} --version 2>&1\n"
            ))?;
            let version = found.split_whitespace().skip_while(|word| *word != "version").nth(1);
            version
                .map(|version| format!("Spark {version}"))
                .ok_or_else(|| last_line(&found))
        }));
    }
    let addresses: Vec<(&'static str, String)> = match &way {
        Some(Way::Standalone { rest, web_ui }) => vec![
            ("REST server", format!("{rest}/v1/submissions/status/none")),
            ("web page", format!("{web_ui}/json/")),
        ],
        Some(Way::Livy { url }) => vec![("Livy", format!("{url}/batches"))],
        _ => Vec::new(),
    };
    for (name, address) in addresses {
        steps.push(timed(name, false, || {
            ask(&format!(
                "curl -sS -o /dev/null -m 20 {0} || python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], \
                 timeout=20)' {0}\n",
                word(&address)
            ))
            .map(|_| "answers".into())
        }));
    }
    if let Some(hosts) = options
        .master
        .as_deref()
        .and_then(|master| master.strip_prefix("spark://"))
    {
        steps.push(timed("master", false, || {
            let connect = "import socket, sys\nfor place in sys.argv[1].split(','):\n    host, _, port = place.rpartition(':')\n    \
                           try:\n        socket.create_connection((host.strip('[]'), int(port)), 20).close()\n        \
                           print(place, 'answers')\n        sys.exit(0)\n    except OSError as error:\n        why = error\n\
                           sys.exit(f'{place}: {why}')\n";
            ask(&format!("python3 -c {} {}\n", word(connect), word(hosts))).map(|found| found.trim().to_owned())
        }));
    }
    steps
}

/// One word of a shell.
fn word(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
