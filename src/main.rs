//! The `overdrive` binary: all of it is in [`overdrive::cli`].

fn main() -> std::process::ExitCode {
    overdrive::cli::main()
}
