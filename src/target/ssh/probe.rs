//! Looks whether a machine can run trials, for real, and how long each step takes.

use super::client::{Ssh, UNKNOWN_HOST};
use super::install::{self, Runs};
use crate::target::command::{Input, talk};
use crate::target::probe::{Step, timed};
use crate::target::remote::LineError;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A difference between the clocks that limits and logs can live with, milliseconds.
const CLOCK_TOLERANCE_MS: i64 = 5_000;

/// Probes the machine: reach, host key, login, program, disk, Python, cores, GPUs, clock. Stops at the first step without which
/// the next cannot be tried.
pub fn probe(ssh: &Ssh) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut reach = timed("reach", false, || reach(ssh));
    // Without an answer by itself, a login says more about why.
    reach.optional = false;
    let reached = reach.found.is_ok();
    steps.push(reach);
    if !reached {
        return steps;
    }
    steps.push(timed("host key", false, || match host_key(ssh) {
        HostKey::Known => Ok("known".into()),
        HostKey::Unknown => Err("it was never seen; `attach` can accept it".into()),
        HostKey::Refused(reason) => Err(reason),
    }));
    if steps.iter().any(|step| step.found.is_err()) {
        return steps;
    }
    let fresh = ssh.clone().unshared();
    steps.push(timed("login", false, || {
        let name = fresh.script("id -un\n", PATIENCE).map_err(text)?;
        Ok(format!("as {}", name.trim()))
    }));
    if steps.iter().any(|step| step.found.is_err()) {
        return steps;
    }
    let mut root = String::new();
    steps.push(timed("program", false, || {
        let installed = install::install(ssh).map_err(text)?;
        root.clone_from(&installed.root);
        let what = match &installed.runs {
            Runs::Program { brought: true, .. } => "overdrive runs, brought there".to_owned(),
            Runs::Program { .. } => "overdrive runs, there already".to_owned(),
            Runs::Shell { why } => format!("the shell runner, since {why}"),
        };
        Ok(match &installed.instead {
            Some(instead) => format!(
                "{what}; everything is kept in `{}`, since {instead}",
                installed.root
            ),
            None => what,
        })
    }));
    if root.is_empty() {
        return steps;
    }
    let ask = |script: &str| {
        ssh.script(script, PATIENCE)
            .map_err(text)
            .map(|found| found.trim().to_owned())
    };
    steps.push(timed("disk", false, || {
        let script = format!(
            "f={root}/.probe.$$; dd if=/dev/zero of=$f bs=65536 count=16 2>/dev/null && sync $f 2>/dev/null; s=$(wc -c <$f); rm -f $f\n\
             [ \"$s\" -eq 1048576 ] || {{ echo 'cannot write 1 MiB'; exit 0; }}\n\
             df -Pk {root} | awk 'END {{ printf \"%.1f GiB free in {root}, 1 MiB written\", $4 / 1048576 }}'\n"
        );
        ask(&script).and_then(|found| if found.contains("free") { Ok(found) } else { Err(found) })
    }));
    steps.push(timed("python", true, || {
        ask("python3 -c 'import sys; print(sys.version.split()[0], sys.executable)' 2>/dev/null || echo none\n")
            .and_then(|found| if found == "none" { Err("no python3 on the search path".into()) } else { Ok(found) })
    }));
    steps.push(timed("cores", false, || {
        ask("n=$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN); m=$(awk '/^MemTotal/ { printf \"%.1f\", $2 / 1048576 }' /proc/meminfo 2>/dev/null)\n\
             echo \"$n cores, ${m:-?} GiB of memory\"\n")
    }));
    steps.push(timed("gpus", true, || {
        ask("nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | awk '{ n++; s = s (n > 1 ? \", \" : \"\") $0 } END { if (n) print n \": \" s; else print \"none\" }'\n")
    }));
    steps.push(timed("clock", false, || clock(ssh)));
    steps
}

fn text(error: LineError) -> String {
    match error {
        LineError::Unreachable(reason) | LineError::Refused(reason) => reason,
    }
}

/// Connects without `ssh`, where the configuration names no way through other machines.
fn reach(ssh: &Ssh) -> Result<String, String> {
    let (host, port) = match resolve(ssh) {
        Ok(resolved) => resolved,
        Err(Through::Others(way)) => return Ok(format!("through {way}")),
        Err(Through::Nothing(reason)) => return Err(reason),
    };
    let mut last = format!("`{host}` has no address");
    for address in (host.as_str(), port)
        .to_socket_addrs()
        .map_err(|error| format!("`{host}`: {error}"))?
    {
        match TcpStream::connect_timeout(&address, Duration::from_secs(10)) {
            Ok(_) => return Ok(address.to_string()),
            Err(error) => last = format!("{address}: {error}"),
        }
    }
    Err(last)
}

/// Why there is no address to connect to.
enum Through {
    /// Other machines lead there.
    Others(String),
    /// `ssh` could not be asked.
    Nothing(String),
}

/// Host and port by the user's configuration.
fn resolve(ssh: &Ssh) -> Result<(String, u16), Through> {
    let mut command = ssh.resolved();
    let spoken = talk(&mut command, Input::Text(""), PATIENCE)
        .map_err(|error| Through::Nothing(format!("ssh: {error}")))?;
    let value = |key: &str| {
        let mut lines = spoken.output.lines();
        lines
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
            .map(str::to_owned)
    };
    if let Some(way) = value("proxyjump")
        .or_else(|| value("proxycommand"))
        .filter(|way| way != "none")
    {
        return Err(Through::Others(way));
    }
    let host = value("hostname").unwrap_or_else(|| ssh.options().address.clone());
    let port = value("port").and_then(|port| port.parse().ok()).unwrap_or(22);
    Ok((host, port))
}

/// What is known of a machine's host key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostKey {
    /// It is the one that is known.
    Known,
    /// It was never seen.
    Unknown,
    /// It is another one, or could not be looked at.
    Refused(String),
}

/// Looks at the host key alone: offers no way to log in, so that what is refused then is only that.
pub fn host_key(ssh: &Ssh) -> HostKey {
    let fresh = ssh.clone().unshared();
    let command = fresh.command();
    let arguments: Vec<_> = command.get_args().map(std::ffi::OsString::from).collect();
    let mut asking = std::process::Command::new("ssh");
    // The first value of an option counts.
    asking
        .args(["-o", "PreferredAuthentications=none", "-o", "BatchMode=yes"])
        .args(arguments)
        .arg("true");
    let spoken = match talk(&mut asking, Input::Text(""), PATIENCE) {
        Ok(spoken) => spoken,
        Err(error) => return HostKey::Refused(format!("ssh: {error}")),
    };
    if spoken.code == Some(0) || spoken.errors.contains("Permission denied") {
        return HostKey::Known;
    }
    let reason = text(fresh.explain(&spoken.errors));
    if reason.ends_with(UNKNOWN_HOST) {
        HostKey::Unknown
    } else {
        HostKey::Refused(reason)
    }
}

/// Fingerprints of the keys that the machine shows now.
pub fn fingerprints(ssh: &Ssh) -> Vec<String> {
    let Ok((host, port)) = resolve(ssh) else {
        return Vec::new();
    };
    let mut scan = std::process::Command::new("ssh-keyscan");
    scan.args(["-T", "10", "-p", &port.to_string(), "--"]).arg(host);
    let Ok(scanned) = talk(&mut scan, Input::Text(""), PATIENCE) else {
        return Vec::new();
    };
    let mut show = std::process::Command::new("ssh-keygen");
    show.args(["-l", "-f", "-"]);
    let Ok(shown) = talk(&mut show, Input::Text(&scanned.output), PATIENCE) else {
        return Vec::new();
    };
    let short = |line: &str| {
        let mut words = line.split_whitespace();
        let print = words.nth(1)?;
        Some(format!("{print} {}", words.next_back().unwrap_or_default()))
    };
    shown.output.lines().filter_map(short).collect()
}

/// How far the clock there is from this one, as far as the way there and back lets know.
fn clock(ssh: &Ssh) -> Result<String, String> {
    let now = || {
        i64::try_from(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_millis(),
        )
        .unwrap_or(0)
    };
    let before = now();
    let found = ssh.script("date +%s\n", PATIENCE).map_err(text)?;
    let after = now();
    let there = found
        .trim()
        .parse::<i64>()
        .map_err(|_| format!("`date` says `{}`", found.trim()))?
        * 1000;
    // A whole second began between `there` and `there + 999`.
    let apart = if there > after {
        there - after
    } else {
        (before - (there + 999)).max(0)
    };
    let told = if apart == 0 {
        "the same second as here".to_owned()
    } else {
        format!("{apart} ms from here")
    };
    if apart > CLOCK_TOLERANCE_MS {
        Err(told)
    } else {
        Ok(told)
    }
}
