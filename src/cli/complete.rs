//! Completion scripts that also know words which only the store knows: sweeps, trials, targets, files.
//!
//! The scripts call the hidden command `overdrive complete KIND`, which prints one word per line and never fails aloud.

use crate::cli::help;
use clap_complete::Shell;
use std::fmt::Write as _;

/// What can be completed from the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Words {
    /// Ids of sweeps, newest first, and `latest`.
    Sweeps,
    /// Trials of the latest sweep, and `best`.
    Trials,
    /// Compute targets.
    Targets,
    /// Sweep files of this folder.
    Files,
}

/// Commands whose argument is a sweep.
const SWEEPS: &str = "resume pause cancel watch show best plot export";
/// Commands whose argument is a trial.
const TRIALS: &str = "why logs show";
/// Commands whose argument is a file.
const FILES: &str = "run check simulate";

/// The completion script of a shell.
pub fn script(shell: Shell) -> String {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut help::command(), "overdrive", &mut bytes);
    let generated = String::from_utf8_lossy(&bytes).into_owned();
    match shell {
        Shell::Bash => bash(generated),
        Shell::Zsh => zsh(&generated),
        Shell::Fish => fish(generated),
        _ => generated,
    }
}

/// A function around the generated one: words of the store where the grammar has an argument of that kind.
fn bash(mut script: String) -> String {
    let alternatives = |words: &str| words.replace(' ', "|");
    let _ = write!(
        script,
        r#"
_overdrive_words() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}" kinds=""
    case "$previous" in
        --target|--ct|--compute-target-name) kinds="targets" ;;
        --resume-from|--parent-run-id|--parent-job-name) kinds="sweeps" ;;
        -r|--run) [[ "${{COMP_WORDS[1]}}" == ml ]] && kinds="sweeps" ;;
    esac
    if [[ -z "$kinds" && "$current" != -* && "$COMP_CWORD" -ge 2 && "$previous" != -* ]]; then
        case "${{COMP_WORDS[1]}}" in {sweeps}) kinds="sweeps" ;; esac
        case "${{COMP_WORDS[1]}}" in {trials}) kinds="$kinds trials" ;; esac
        case "${{COMP_WORDS[1]}}" in {files}) kinds="files" ;; esac
    fi
    if [[ -n "$kinds" ]]; then
        local kind words=""
        for kind in $kinds; do words="$words $(overdrive complete "$kind" 2>/dev/null)"; done
        COMPREPLY=( $(compgen -W "$words" -- "$current") )
        [[ ${{#COMPREPLY[@]}} -gt 0 ]] && return 0
    fi
    _overdrive "$@"
}}
complete -F _overdrive_words -o bashdefault -o default overdrive
"#,
        sweeps = alternatives(SWEEPS),
        trials = alternatives(TRIALS),
        files = alternatives(FILES),
    );
    script
}

/// The generated script with other actions for the arguments that the store knows.
fn zsh(generated: &str) -> String {
    let functions = r#"
_overdrive_complete() { local -a words; words=(${(f)"$(overdrive complete $1 2>/dev/null)"}); compadd -a words }
_overdrive_sweeps() { _overdrive_complete sweeps }
_overdrive_trials() { _overdrive_complete trials }
_overdrive_either() { _overdrive_complete trials; _overdrive_complete sweeps }
_overdrive_targets() { _overdrive_complete targets }
"#;
    let mut script = String::new();
    for (number, line) in generated.lines().enumerate() {
        let kind = match line.trim_start_matches('\'').trim_start_matches(':') {
            rest if rest.starts_with("sweep -- ") => Some("_overdrive_sweeps"),
            rest if rest.starts_with("trial -- ") => Some("_overdrive_trials"),
            rest if rest.starts_with("reference -- ") => Some("_overdrive_either"),
            _ if line.contains("--target=[") || line.contains("--resume-from=[") => {
                Some(if line.contains("--target=[") {
                    "_overdrive_targets"
                } else {
                    "_overdrive_sweeps"
                })
            }
            _ => None,
        };
        match kind {
            Some(kind) => script.push_str(&line.replace(":_default'", &format!(":{kind}'"))),
            None => script.push_str(line),
        }
        script.push('\n');
        if number == 0 {
            script.push_str(functions);
        }
    }
    script
}

fn fish(mut script: String) -> String {
    for (commands, kind) in [(SWEEPS, "sweeps"), (TRIALS, "trials"), (FILES, "files")] {
        let only = if kind == "files" { "" } else { " -f" };
        let _ = writeln!(
            script,
            "complete -c overdrive -n \"__fish_seen_subcommand_from {commands}\"{only} -a \"(overdrive complete {kind} 2>/dev/null)\""
        );
    }
    for (option, kind) in [("target", "targets"), ("resume-from", "sweeps")] {
        let _ = writeln!(
            script,
            "complete -c overdrive -l {option} -x -a \"(overdrive complete {kind} 2>/dev/null)\""
        );
    }
    script
}
