//! The `overdrive` binary: all of it is in [`overdrive::cli`], but for runners.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else: a sweep starts this once per trial, so not even the command line is parsed.
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == "runner")
        && let (Some(folder), None) = (arguments.next(), arguments.next())
    {
        let code = if folder == "--serve" {
            overdrive::runner::fork_server::serve()
        } else {
            overdrive::runner::main(folder.as_ref())
        };
        return ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX));
    }
    overdrive::cli::main()
}
