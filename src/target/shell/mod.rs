//! Machines on which this program cannot run: the agent works here, on the controller's side, and drives the machine by a POSIX shell
//! there (`overdrive shell-agent`, hidden). Attempts are executed by `runner.sh`; see `docs/design/shell-runner.md`.
//!
//! To the controller it is an agent like any other, so everything above the line is the same.

mod attempt;
mod fetch;
mod serve;
mod session;
mod stock;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::Command;

/// How this program is started as such an agent.
pub const VERB: &str = "shell-agent";

/// How commands are run on the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Folder there in which everything is kept; absolute, of plain characters.
    pub root: String,
    /// What a command there is put behind: a program and its arguments.
    pub words: Vec<String>,
    /// What follows is put together and read by a shell there (`ssh`), instead of being passed on word by word (`kubectl exec`).
    pub joined: bool,
    /// Variables of the program.
    pub variables: Vec<(String, String)>,
    /// Why this program does not run there, in words.
    pub why: String,
}

impl Reach {
    /// The command that runs `words` there.
    pub(super) fn command(&self, words: &[&str]) -> Command {
        let (program, arguments) = self
            .words
            .split_first()
            .map_or(("sh", &[][..]), |(program, rest)| (program.as_str(), rest));
        let mut command = Command::new(program);
        command.args(arguments);
        if self.joined {
            let quoted: Vec<String> = words
                .iter()
                .map(|word| crate::config::launch::template::quote(word))
                .collect();
            command.arg(format!("exec {}", quoted.join(" ")));
        } else {
            command.args(words);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The command that starts the agent: this program, with all of this in its arguments, none of which is a secret.
    pub fn agent(&self, program: &std::path::Path) -> Command {
        let mut command = Command::new(program);
        command
            .arg(VERB)
            .arg(&self.root)
            .arg(if self.joined { "joined" } else { "separate" })
            .arg(&self.why);
        for (name, value) in &self.variables {
            command.arg(format!("{name}={value}"));
        }
        command.arg("--").args(&self.words);
        command
    }

    fn of(words: &[OsString]) -> Option<Self> {
        let words: Vec<String> = words
            .iter()
            .map(|word| word.to_str().map(str::to_owned))
            .collect::<Option<_>>()?;
        let split = words.iter().position(|word| word == "--")?;
        let (head, rest) = words.split_at_checked(split)?;
        let [root, joined, why, variables @ ..] = head else {
            return None;
        };
        Some(Self {
            why: why.clone(),
            root: root.clone(),
            joined: joined == "joined",
            variables: variables
                .iter()
                .filter_map(|pair| pair.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            words: rest.get(1..)?.to_vec(),
        })
    }
}

/// Serves the controller at the other end of the standard streams; the whole life of such an agent. Returns its exit code.
pub fn main(words: &[OsString]) -> i32 {
    let Some(reach) = Reach::of(words) else {
        let _ = writeln!(io::stderr(), "overdrive {VERB}: this is for overdrive itself");
        return 2;
    };
    match serve::serve(reach, io::stdin(), io::stdout()) {
        Ok(()) => 0,
        Err(error) => {
            // The line's own log: all that the controller sees if the line breaks.
            let _ = writeln!(io::stderr(), "{error}");
            1
        }
    }
}

/// The attempt's folder there.
fn place(root: &str, run: &str) -> Option<String> {
    super::agent::folder_of(std::path::Path::new(root), run)
        .map(|path: PathBuf| path.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_machine_is_reached_survives_the_way_through_arguments() {
        let reach = Reach {
            root: "/home/me/.cache/overdrive".into(),
            words: ["ssh", "-o", "A=b c", "--", "host"].map(str::to_owned).into(),
            joined: true,
            variables: vec![("SSH_ASKPASS".into(), "/a=b".into())],
            why: "it is another machine".into(),
        };
        let command = reach.agent(std::path::Path::new("/bin/overdrive"));
        let words: Vec<OsString> = command.get_args().skip(1).map(OsString::from).collect();
        assert_eq!(Reach::of(&words), Some(reach.clone()));
        let last = reach.command(&["sh", "/a b/run.sh", "$(x)"]);
        assert_eq!(last.get_args().last().unwrap(), "exec sh '/a b/run.sh' '$(x)'");
        assert_eq!(Reach::of(&[]), None);
    }
}
