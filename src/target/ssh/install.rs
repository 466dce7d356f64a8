//! Brings overdrive itself to a machine, once per build: the file's name there is the hash of its content.

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
    /// The program's file.
    pub(super) program: String,
    /// It had to be brought there.
    pub(super) brought: bool,
}

/// Makes sure that the program is there and runs.
pub(super) fn install(ssh: &Ssh) -> Result<Installed, LineError> {
    let binary = ssh.binary();
    let local = |error: std::io::Error| LineError::Refused(format!("`{}`: {error}", binary.display()));
    let mut file = File::open(binary).map_err(local)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(&mut file).map_err(local)?;
    let size = file.metadata().map_err(local)?.len();
    let hash: String = hasher.finalize().to_hex().chars().take(32).collect();
    let wanted = ssh.options().folder.clone().unwrap_or_default();
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
        let system = value(&found, "system").unwrap_or_default();
        return Err(LineError::Refused(format!(
            "overdrive does not run there ({system}): {}; `--binary FILE` names a build for that machine, `--folder DIR` another \
             folder if programs may not run in `{root}`",
            runs.lines().next().unwrap_or("no output").trim()
        )));
    }
    Ok(Installed {
        root,
        program,
        brought,
    })
}

/// Asks where everything lies and whether the program is there.
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
echo "OD root=$root"
echo "OD system=$(uname -s -m)"
trouble=$(mkdir -p "$root/bin" 2>&1 && [ -w "$root/bin" ] || echo "it cannot be written") || true
[ -z "$trouble" ] || {{ echo "OD trouble=$(echo "$trouble" | head -n 1)"; exit 0; }}
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
        std::fs::write(home.path().join("file"), "").unwrap();
        assert!(value(&run("~/file/od"), "trouble").is_some());
    }
}
