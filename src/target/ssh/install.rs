//! Brings overdrive itself to a machine, once per build: the file's name there is the hash of its content.

use super::RunnerKind;
use super::client::Ssh;
use crate::target::command::Input;
use crate::target::remote::LineError;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::time::Duration;

/// How long a look at the machine may take.
const LOOK: Duration = Duration::from_secs(120);

/// How long the program may take to get there.
const SEND: Duration = Duration::from_secs(1800);

/// What is on the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Installed {
    /// Folder in which everything is kept; absolute.
    pub(super) root: String,
    /// Why it is another folder than usual.
    pub(super) instead: Option<String>,
    /// What executes trials.
    pub(super) runs: Runs,
}

/// What executes trials on the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Runs {
    /// The program.
    Program {
        /// Its file there.
        path: String,
        /// It had to be brought there.
        brought: bool,
    },
    /// The shell runner.
    Shell {
        /// Why, in words behind `since`.
        why: String,
    },
}

/// Makes sure that the program is there and runs, or that the shell runner can take its place.
pub(super) fn install(ssh: &Ssh) -> Result<Installed, LineError> {
    let binary = ssh.binary();
    let local = |error: std::io::Error| LineError::Refused(format!("`{}`: {error}", binary.display()));
    let mut file = File::open(binary).map_err(local)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(&mut file).map_err(local)?;
    let size = file.metadata().map_err(local)?.len();
    let hash: String = hasher.finalize().to_hex().chars().take(32).collect();
    let options = ssh.options();
    let wanted = options.folder.clone().unwrap_or_default();
    let found = ssh.script(&look(&wanted, &hash, size), LOOK)?;
    let root = value(&found, "root").unwrap_or_default();
    if let Some(trouble) = value(&found, "trouble") {
        return Err(LineError::Refused(format!(
            "nothing can be kept in `{root}` there: {trouble}; name another folder with `--folder`"
        )));
    }
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"/._~+@%,=-".contains(&byte);
    if !root.starts_with('/') || !root.bytes().all(legal) {
        return Err(LineError::Refused(format!(
            "`{root}` cannot be the folder there; name another one with `--folder`"
        )));
    }
    let system = value(&found, "system").unwrap_or_default();
    let runner = options.runner.unwrap_or_default();
    let in_its_place = |why: String, about: &str| {
        // Who named a build, or nothing but one, wants to know that it is the wrong one.
        if runner == RunnerKind::Binary || (options.binary.is_some() && runner == RunnerKind::Auto) {
            return Err(LineError::Refused(format!(
                "overdrive does not run there ({system}): {about}; `--binary FILE` names a build for that machine, `--folder DIR` another \
                 folder if programs may not run in `{root}`, `--runner shell` does without"
            )));
        }
        Ok(Installed {
            root: root.clone(),
            instead: value(&found, "instead"),
            runs: Runs::Shell { why },
        })
    };
    if runner == RunnerKind::Shell {
        return in_its_place("its target says `runner: shell`".into(), "");
    }
    if value(&found, "runs").as_deref() != Some("yes") {
        let why = format!("programs may not run in `{root}`");
        return in_its_place(why.clone(), &why);
    }
    if options.binary.is_none() && !is_ours(&system) {
        let why = format!("the machine is {system} and this build is for another one");
        return in_its_place(why.clone(), &why);
    }
    let refused = |words: &str| in_its_place(format!("it does not run there: {words}"), words);
    if let Some(words) = value(&found, "refused") {
        return refused(&words);
    }
    let program = format!("{root}/bin/{hash}");
    let brought = value(&found, "have").as_deref() != Some("yes");
    if brought {
        file.seek(SeekFrom::Start(0)).map_err(local)?;
        let line = format!(
            "exec sh -c 'umask 077; t={program}.$$; cat >$t && [ $(wc -c <$t) -eq {size} ] && chmod 700 $t && mv $t {program} || {{ rm -f $t; exit 73; }}'"
        );
        ssh.execute(&line, Input::File(&mut file), SEND)?;
    }
    let runs = ssh.script(&format!("{program} --version 2>&1 || echo \"code $?\"\n"), LOOK)?;
    if !runs.starts_with("overdrive ") {
        let words: String = runs
            .lines()
            .next()
            .unwrap_or("no output")
            .trim()
            .chars()
            .take(200)
            .collect();
        // Not sent again for nothing. Should it fail, it is.
        let note = format!(
            "rm -f {program}; printf '%s' {} >{program}.no\n",
            crate::config::launch::template::quote(&words)
        );
        let _ = ssh.script(&note, LOOK);
        return refused(&words);
    }
    Ok(Installed {
        root,
        instead: value(&found, "instead"),
        runs: Runs::Program {
            path: program,
            brought,
        },
    })
}

/// Whether a build like this one can run on a machine of which `uname -s -m` says `system`.
fn is_ours(system: &str) -> bool {
    let Some((kernel, machine)) = system.split_once(' ') else {
        return true;
    };
    let machine = match machine {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        machine => machine,
    };
    kernel.eq_ignore_ascii_case(std::env::consts::OS) && machine == std::env::consts::ARCH
}

/// Asks where everything lies and whether the program is there. Without a folder of the user's choice it is where caches are, or,
/// where that cannot be written, a folder of this user alone among the temporary ones that survive.
fn look(folder: &str, hash: &str, size: u64) -> String {
    format!(
        r#"umask 077
root='{folder}'
case "$root" in
'') root="${{XDG_CACHE_HOME:-$HOME/.cache}}/overdrive" ;;
'~'/*) root="$HOME/${{root#??}}" ;;
/*) ;;
*) root="$HOME/$root" ;;
esac
usable() {{ trouble=$({{ mkdir -p "$1/bin" && true >"$1/bin/.probe.$$"; }} 2>&1 || echo "it cannot be written") && rm -f "$1/bin/.probe.$$" && [ -z "$trouble" ]; }}
if ! usable "$root"; then
    first=$(echo "$trouble" | head -n 1) usual=$root root=
    if [ -z '{folder}' ]; then
        for other in /var/tmp /tmp; do
            other=$other/overdrive-$(id -u)
            # Nobody else may have made it.
            if usable "$other" 2>/dev/null && [ ! -h "$other" ] && [ -O "$other" ]; then chmod 700 "$other"; root=$other; break; fi
        done
    fi
    if [ -z "$root" ]; then echo "OD root=$usual"; echo "OD trouble=$first"; exit 0; fi
    echo "OD instead=\`$usual\` cannot be written"
fi
echo "OD root=$root"
echo "OD system=$(uname -s -m)"
p=$root/bin/.runs.$$
printf '#!/bin/sh
exit 0
' >"$p" && chmod 700 "$p"
if "$p" 2>/dev/null; then echo "OD runs=yes"; fi
rm -f "$p"
if [ -s "$root/bin/{hash}.no" ]; then echo "OD refused=$(cat "$root/bin/{hash}.no")"; fi
if [ -x "$root/bin/{hash}" ] && [ "$(wc -c <"$root/bin/{hash}")" -eq {size} ]; then echo "OD have=yes"; else echo "OD have=no"; fi
"#
    )
}

/// The value that the script told for `key`; other lines are a login shell's.
fn value(text: &str, key: &str) -> Option<String> {
    let mark = format!("OD {key}=");
    let line = text.lines().find_map(|line| line.strip_prefix(&mark))?;
    Some(line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_script_finds_the_folder_and_what_is_in_the_way() {
        let home = tempfile::tempdir().unwrap();
        let run = |folder: &str| {
            let output = Command::new("sh")
                .args(["-c", &look(folder, "abc", 3)])
                .env("HOME", home.path())
                .env_remove("XDG_CACHE_HOME")
                .output()
                .unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let at = |below: &str| home.path().join(below).display().to_string();
        let found = run("");
        assert_eq!(value(&found, "root").unwrap(), at(".cache/overdrive"));
        assert_eq!(value(&found, "have").unwrap(), "no");
        std::fs::write(home.path().join(".cache/overdrive/bin/abc"), "x\ny").unwrap();
        let program = home.path().join(".cache/overdrive/bin/abc");
        std::fs::set_permissions(program, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        assert_eq!(value(&run(""), "have").unwrap(), "yes");
        assert_eq!(value(&run("~/od"), "root").unwrap(), at("od"));
        assert_eq!(value(&run("od2"), "root").unwrap(), at("od2"));
        assert_eq!(value(&found, "runs").unwrap(), "yes");
        std::fs::write(home.path().join("file"), "").unwrap();
        assert!(value(&run("~/file/od"), "trouble").is_some());
        // A home in which nothing can be made: somewhere else, and that is said.
        std::fs::remove_dir_all(home.path().join(".cache")).unwrap();
        std::fs::write(home.path().join(".cache"), "").unwrap();
        let found = run("");
        let uid = rustix::process::getuid().as_raw();
        assert_eq!(
            value(&found, "root").unwrap(),
            format!("/var/tmp/overdrive-{uid}"),
            "{found}"
        );
        assert!(
            value(&found, "instead")
                .unwrap()
                .contains("/.cache/overdrive` cannot be written")
        );
    }

    #[test]
    fn machines_are_told_from_others() {
        let own = format!("Linux {}", std::env::consts::ARCH);
        assert!(is_ours(&own) && is_ours(""));
        for other in ["Linux riscv64", "Darwin arm64", "FreeBSD amd64"] {
            assert!(!is_ours(other), "{other}");
        }
    }
}
