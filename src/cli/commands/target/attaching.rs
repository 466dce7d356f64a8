//! `target attach`: what exists already and is only made known, after a look whether it works.

use super::{home, nothing_to_attach, now, told};
use crate::cli::args::{
    AttachCommand, AttachRemote, AttachSlurm, AttachTarget, Filing, Globals, Jobs, Reach,
};
use crate::cli::commands::pools;
use crate::cli::error::CliError;
use crate::cli::exit;
use crate::cli::output::Output;
use crate::report::text;
use crate::store::Store;
use crate::target::probe::Step;
use crate::target::registry::{Definition, Found, Kind, Level, RegistryError, check_name};
use crate::target::slurm::SlurmOptions;
use crate::target::ssh::{self, HostKey, Secret, Ssh, SshOptions, secret};
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Attaches what the arguments name; gives the target and the state folder.
pub(in crate::cli::commands) fn attach(
    arguments: &AttachTarget,
    globals: &Globals,
    output: &Output,
) -> Result<(Found, PathBuf), CliError> {
    match &arguments.command {
        AttachCommand::Remote(arguments) => attach_remote(arguments, globals, output),
        AttachCommand::Slurm(arguments) => attach_slurm(arguments, globals, output),
        AttachCommand::Other(words) => Err(nothing_to_attach(words.first())),
    }
}

fn attach_remote(
    arguments: &AttachRemote,
    globals: &Globals,
    output: &Output,
) -> Result<(Found, PathBuf), CliError> {
    let filing = &arguments.filing;
    let home = place(filing, globals)?;
    let (mut options, typed) = options(&arguments.reach, filing, &home)?;
    options.slots = arguments.slots;
    options.check().map_err(RegistryError::from)?;
    let definition = Definition {
        remote: Some(options.clone()),
        ..definition(filing, Kind::Remote)?
    };
    definition.check()?;
    keep(typed, &home, filing)?;
    let looked = known_host(&options, &arguments.reach, filing, &home, output)
        .and_then(|machine| look(filing, output, || ssh::probe(&machine)));
    finish(looked, definition, filing, home)
}

fn attach_slurm(
    arguments: &AttachSlurm,
    globals: &Globals,
    output: &Output,
) -> Result<(Found, PathBuf), CliError> {
    let filing = &arguments.filing;
    let home = place(filing, globals)?;
    let mut cluster = SlurmOptions {
        cpus_per_task: arguments.cpus,
        memory: arguments.memory.clone(),
        slots: arguments.slots,
        ..jobs(&arguments.jobs)
    };
    let mut typed = None;
    if arguments.login.address.is_some() {
        let (login, secret) = options(&arguments.login, filing, &home)?;
        (cluster.login, typed) = (Some(login), secret);
    }
    let definition = Definition {
        slurm: Some(cluster.clone()),
        ..definition(filing, Kind::Slurm)?
    };
    definition.check()?;
    keep(typed, &home, filing)?;
    let known = match &cluster.login {
        Some(login) => known_host(login, &arguments.login, filing, &home, output).map(|_| ()),
        None => Ok(()),
    };
    let looked = known.and_then(|()| look(filing, output, || pools::probe_slurm(&cluster, &home)));
    finish(looked, definition, filing, home)
}

/// How jobs are submitted, by the arguments.
pub(super) fn jobs(jobs: &Jobs) -> SlurmOptions {
    SlurmOptions {
        partition: jobs.partition.clone(),
        account: jobs.account.clone(),
        qos: jobs.qos.clone(),
        gres: jobs.gres.clone(),
        constraint: jobs.constraint.clone(),
        time: jobs.time.clone(),
        directives: jobs.directive.clone(),
        workers: jobs.workers,
        poll_seconds: jobs.poll_seconds,
        ..SlurmOptions::default()
    }
}

/// What all kinds have in common.
fn definition(filing: &Filing, kind: Kind) -> Result<Definition, CliError> {
    let made = now();
    Ok(Definition {
        name: filing.name.clone(),
        kind,
        description: filing.description.clone(),
        tags: crate::cli::commands::run::tags(&filing.tag)?,
        created_on: Some(made.clone()),
        modified_on: Some(made),
        amlcompute: None,
        remote: None,
        slurm: None,
    })
}

/// The state folder, if the name is free.
fn place(filing: &Filing, globals: &Globals) -> Result<PathBuf, CliError> {
    check_name(&filing.name)?;
    let home = home(&filing.folder.path, globals)?;
    match pools::registry(&home).get(&filing.name) {
        Err(RegistryError::NotFound { .. }) => Ok(home),
        Err(error) => Err(error.into()),
        Ok(found) => Err(CliError::from(RegistryError::Exists {
            name: found.definition.name,
            path: found.path,
        })
        .help("edit its file, or detach it first")),
    }
}

/// Writes the file, if the look at the target went well; else nothing stays.
fn finish(
    looked: Result<(), CliError>,
    definition: Definition,
    filing: &Filing,
    home: PathBuf,
) -> Result<(Found, PathBuf), CliError> {
    let made = looked.and_then(|()| {
        let level = if filing.user {
            Level::User
        } else {
            // The store makes the folder with the right permissions, and marks the project.
            drop(Store::open(&home)?);
            Level::Project
        };
        Ok(pools::registry(&home).create(level, &definition)?)
    });
    match made {
        Ok(found) => Ok((found, home)),
        Err(error) => {
            forget_secret(&home, &filing.name);
            Err(error)
        }
    }
}

/// Options of the arguments, and a secret that was typed and must be kept somewhere.
fn options(reach: &Reach, filing: &Filing, home: &Path) -> Result<(SshOptions, Option<String>), CliError> {
    let word = if reach.private_key_file.is_some() {
        "passphrase"
    } else {
        "password"
    };
    if reach.password.is_some() && reach.private_key_file.is_some() {
        return Err(CliError::usage(
            "credentials",
            "both a password and a key are given; nothing was attached",
        ));
    }
    if reach.private_key_passphrase.is_some() && reach.private_key_file.is_none() {
        return Err(CliError::usage(
            "credentials",
            "a passphrase without its `--private-key-file`",
        ));
    }
    let absolute = |path: &Option<PathBuf>| path.as_ref().map(std::path::absolute).transpose();
    let typed = reach
        .password
        .clone()
        .or_else(|| reach.private_key_passphrase.clone());
    let ways = [
        typed.is_some(),
        reach.ask_secret,
        reach.secret_file.is_some(),
        reach.secret_env.is_some(),
    ];
    if ways.iter().filter(|way| **way).count() > 1 {
        return Err(CliError::usage(
            "credentials",
            format!("the {word} is given in two ways; one is enough"),
        ));
    }
    let typed = if reach.ask_secret {
        Some(ask_secret(word)?)
    } else {
        typed
    };
    let secret = match (&typed, absolute(&reach.secret_file)?, &reach.secret_env) {
        (Some(_), ..) => Some(Secret::File(secret_path(home, &filing.name))),
        (None, Some(path), _) => Some(Secret::File(path)),
        (None, None, Some(name)) => Some(Secret::Variable(name.clone())),
        (None, None, None) => None,
    };
    let options = SshOptions {
        address: reach.address.clone().unwrap_or_default(),
        port: reach.ssh_port,
        username: reach.username.clone(),
        private_key_file: absolute(&reach.private_key_file)?,
        secret,
        ssh_config: absolute(&reach.ssh_config)?,
        folder: reach.root.clone(),
        slots: None,
        binary: absolute(&reach.binary)?,
    };
    Ok((options, typed))
}

fn secrets(home: &Path) -> PathBuf {
    pools::private_folder(home).join("secrets")
}

fn secret_path(home: &Path, name: &str) -> PathBuf {
    secrets(home).join(name)
}

fn keep(typed: Option<String>, home: &Path, filing: &Filing) -> Result<(), CliError> {
    let Some(typed) = typed else { return Ok(()) };
    secret::keep(&secrets(home), &filing.name, &typed)
        .map(|_| ())
        .map_err(|error| CliError::failed("secret", format!("{}: {error}", secrets(home).display())))
}

/// Removes the secret that was kept for a target.
pub(super) fn forget_secret(home: &Path, name: &str) {
    // Mostly there is none.
    let _ = std::fs::remove_file(secret_path(home, name));
}

/// The machine, once its host key is known.
fn known_host(
    options: &SshOptions,
    reach: &Reach,
    filing: &Filing,
    home: &Path,
    output: &Output,
) -> Result<Ssh, CliError> {
    let private = pools::private_folder(home);
    std::fs::create_dir_all(&private)
        .map_err(|error| CliError::failed("folder", format!("{}: {error}", private.display())))?;
    let machine = pools::ssh(options, home);
    if !filing.no_wait && ssh::host_key(&machine) == HostKey::Unknown {
        accept(&machine, reach.accept_host_key, output)?;
    }
    Ok(machine)
}

/// Looks at the target step by step.
fn look(filing: &Filing, output: &Output, probe: impl FnOnce() -> Vec<Step>) -> Result<(), CliError> {
    if filing.no_wait {
        return Ok(());
    }
    let steps = probe();
    let shown = Output {
        // The result on standard output is the target.
        json: false,
        ..output.clone()
    };
    let code = if output.json {
        verdict(&steps)
    } else {
        told(&filing.name, &steps, &shown)?
    };
    if code == exit::OK {
        return Ok(());
    }
    let reason = steps
        .iter()
        .find_map(|step| {
            step.found
                .as_ref()
                .err()
                .filter(|_| !step.optional)
                .map(|reason| format!("{}: {reason}", step.name))
        })
        .unwrap_or_default();
    Err(CliError::new(
        exit::UNREACHABLE,
        "target-refused",
        text::printable(&format!("nothing was attached: {reason}")),
    )
    .help("`--no-wait` attaches it without looking"))
}

fn verdict(steps: &[Step]) -> u8 {
    let failed = steps.iter().any(|step| step.found.is_err() && !step.optional);
    if failed { exit::UNREACHABLE } else { exit::OK }
}

/// The key of a host that was never seen: accepted by option, or by the user who has seen its fingerprint.
fn accept(machine: &Ssh, accepted: bool, output: &Output) -> Result<(), CliError> {
    let shown = ssh::fingerprints(machine);
    let keys = if shown.is_empty() {
        "its key could not be read".to_owned()
    } else {
        shown.join(", ")
    };
    let host = machine.destination();
    let yes =
        accepted || (std::io::stdin().is_terminal() && std::io::stderr().is_terminal() && ask(&host, &keys)?);
    if !yes {
        return Err(CliError::new(
            exit::UNREACHABLE,
            "unknown-host-key",
            format!("the key of {host} was never seen: {}", text::printable(&keys)),
        )
        .help("compare it with what the machine's owner says, then add `--accept-host-key`"));
    }
    output.note(&format!("host key accepted: {}", text::printable(&keys)));
    match ssh::host_key(&machine.clone().accepting_new_host()) {
        HostKey::Refused(reason) => Err(CliError::new(
            exit::UNREACHABLE,
            "host-key",
            text::printable(&reason),
        )),
        HostKey::Known | HostKey::Unknown => Ok(()),
    }
}

fn ask(host: &str, keys: &str) -> Result<bool, CliError> {
    let mut to = std::io::stderr().lock();
    write!(
        to,
        "{host} was never seen; its keys: {}\naccept them? [y/N] ",
        text::printable(keys)
    )?;
    to.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "yes"))
}

/// Asks for a secret on the terminal, without showing it; from a pipe, its first line.
fn ask_secret(word: &str) -> Result<String, CliError> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let stdin = std::io::stdin();
    let before = tcgetattr(&stdin).ok();
    if let Some(before) = &before {
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Flush, &silent).map_err(std::io::Error::from)?;
        write!(std::io::stderr(), "{word}: ")?;
    }
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    if let Some(before) = &before {
        tcsetattr(&stdin, OptionalActions::Flush, before).map_err(std::io::Error::from)?;
        writeln!(std::io::stderr())?;
    }
    read?;
    let secret = line.trim_end_matches(['\r', '\n']).to_owned();
    if secret.is_empty() {
        return Err(CliError::usage("credentials", format!("no {word} was given")));
    }
    Ok(secret)
}
