//! The `overdrive` binary: all of it is in [`overdrive::cli`], but for runners, agents and workers.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else: a sweep starts this once per trial, so not even the command line is parsed.
    if let Some(code) = overdrive::target::ssh::secret::of_ssh() {
        return ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX));
    }
    let mut arguments = std::env::args_os().skip(1);
    if std::env::args_os()
        .nth(1)
        .is_some_and(|verb| verb == overdrive::target::shell::VERB)
    {
        let words: Vec<_> = arguments.skip(1).collect();
        let code = overdrive::target::shell::main(&words);
        return ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX));
    }
    if std::env::args_os()
        .nth(1)
        .is_some_and(|verb| verb == overdrive::target::spark::app::VERB)
    {
        let words: Vec<_> = arguments.skip(1).collect();
        let code = overdrive::target::spark::app::main(&words);
        return ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX));
    }
    if let (Some(verb), Some(folder), None) = (arguments.next(), arguments.next(), arguments.next()) {
        let work: Option<fn(&Path) -> i32> = match verb.to_str() {
            Some("runner") if folder == "--serve" => Some(|_| overdrive::runner::fork_server::serve()),
            Some("runner") => Some(overdrive::runner::main),
            Some("ranks") => Some(overdrive::runner::ranks::main),
            Some("agent") => Some(overdrive::target::agent::main),
            Some("batch-task") => Some(overdrive::target::batch::node::main),
            Some("worker") => Some(overdrive::target::slurm::worker::main),
            _ => None,
        };
        if let Some(work) = work {
            return ExitCode::from(u8::try_from(work(folder.as_ref())).unwrap_or(u8::MAX));
        }
    }
    overdrive::cli::main()
}
