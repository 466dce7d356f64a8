//! `target attach`: what exists already and is only made known, after a look whether it works.

use super::{home, nothing_to_attach, now, told};
use crate::cli::args::{
    AttachCommand, AttachTarget, Declared, Filing, GivenSecret, Globals, Jobs, Reach, Updating,
};
use crate::cli::commands::pools;
use crate::cli::error::CliError;
use crate::cli::exit;
use crate::cli::output::Output;
use crate::report::text;
use crate::store::Store;
use crate::target::kind::{Kind, Settings, Source, Surroundings};
use crate::target::probe::Step;
use crate::target::registry::{Definition, Found, Level, RegistryError, check_name};
use crate::target::slurm::SlurmOptions;
use crate::target::ssh::{self, HostKey, Secret, Ssh, SshOptions, keyring, secret};
use serde_json::{Map, Value, json};
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Attaches what the arguments name; gives the target and the state folder.
pub(in crate::cli::commands) fn attach(
    arguments: &AttachTarget,
    globals: &Globals,
    output: &Output,
) -> Result<(Found, PathBuf), CliError> {
    match &arguments.command {
        AttachCommand::Declared(arguments) => declared(arguments, globals, output),
        AttachCommand::Other(words) => Err(nothing_to_attach(words.first())),
    }
}

/// Makes a target of a kind that declares its fields, after a look whether it works; gives it and the state folder.
pub(in crate::cli::commands) fn declared<V>(
    arguments: &Declared<V>,
    globals: &Globals,
    output: &Output,
) -> Result<(Found, PathBuf), CliError> {
    let filing = &arguments.filing;
    let home = place(filing, globals)?;
    let mut section = Section::default();
    section.give(arguments, &home)?;
    let definition = definition(filing, arguments.kind, section.read(arguments.kind)?)?;
    definition.check()?;
    section.keep()?;
    let surroundings = pools::surroundings(&home);
    let known = section
        .machines
        .iter()
        .try_for_each(|(options, accepted)| known_host(options, *accepted, filing, &surroundings, output));
    let settings = definition.settings.clone();
    let looked = known.and_then(|()| look(filing, output, || settings.probe(&surroundings)));
    finish(looked, definition, filing, home)
}

/// Brings a target of a kind that declares its fields to what is given.
pub(in crate::cli::commands) fn change(
    arguments: &Declared<Updating>,
    globals: &Globals,
) -> Result<Found, CliError> {
    let home = home(&arguments.filing.folder.path, globals)?;
    let name = &arguments.filing.name;
    super::built_in(name)?;
    let registry = pools::registry(&home);
    let mut found = registry.get(name)?;
    let kind = found.definition.kind;
    if kind != arguments.kind {
        let word = kind.word;
        return Err(
            CliError::usage("target-kind", format!("`{name}` is of type `{word}`"))
                .help(format!("write  overdrive target update {word} -n {name}")),
        );
    }
    let mut section = Section::of(&*found.definition.settings);
    section.give(arguments, &home)?;
    let settings = section.read(kind)?;
    if *settings != *found.definition.settings || !section.typed.is_empty() {
        settings.check()?;
        section.keep()?;
        found.definition.settings = settings;
        found.definition.modified_on = Some(now());
        registry.update(&found)?;
    }
    Ok(found)
}

/// A section in the making.
#[derive(Default)]
struct Section {
    entries: Map<String, Value>,
    /// Secrets that were typed, and where they are to be kept.
    typed: Vec<(Secret, String)>,
    /// Machines by SSH, and whether the key of one that was never seen is accepted.
    machines: Vec<(SshOptions, bool)>,
}

impl Section {
    /// The one of a target.
    fn of(settings: &dyn Settings) -> Self {
        Self {
            entries: settings.to_json().as_object().cloned().unwrap_or_default(),
            ..Self::default()
        }
    }

    /// Adds what is given.
    fn give<V>(&mut self, arguments: &Declared<V>, home: &Path) -> Result<(), CliError> {
        let filing = &arguments.filing;
        for (key, secret) in &arguments.secrets {
            let file = format!("{}.{key}", filing.name);
            let typed = match secret {
                GivenSecret { ask: true, .. } => Some(ask_secret(key)?),
                given => given.typed.clone(),
            };
            let ways = [typed.is_some(), secret.file.is_some(), secret.variable.is_some()];
            if ways.iter().filter(|way| **way).count() > 1 {
                return Err(CliError::usage(
                    "credentials",
                    format!("`{key}` is given in two ways; one is enough"),
                ));
            }
            let named = match (typed, &secret.file, &secret.variable) {
                (Some(typed), ..) => {
                    let place = secret::place(&secrets(home), &file);
                    self.typed.push((place.clone(), typed));
                    place
                }
                (None, Some(path), _) => Secret::File(std::path::absolute(path)?),
                (None, None, Some(name)) => Secret::Variable(name.clone()),
                (None, None, None) => continue,
            };
            self.entries.insert((*key).to_owned(), json!(named));
        }
        for (key, reach) in &arguments.machines {
            let (options, typed) = options(reach, filing, home)?;
            self.typed.extend(options.secret.clone().zip(typed));
            let named = !options.address.is_empty();
            let mut machine = json!(options);
            if let Some(entries) = machine.as_object_mut() {
                entries.retain(|_, value| value.as_str() != Some(""));
                if entries.is_empty() {
                    continue;
                }
            }
            let target = match *key {
                "" => &mut self.entries,
                key => {
                    if !named && !self.entries.contains_key(key) {
                        return Err(CliError::usage(
                            "ssh-options",
                            "options of a machine without its `--address`",
                        ));
                    }
                    let entry = self.entries.entry(key).or_insert_with(|| json!({}));
                    match entry.as_object_mut() {
                        Some(entries) => entries,
                        None => continue,
                    }
                }
            };
            target.extend(machine.as_object().cloned().unwrap_or_default());
            self.machines.push((options, reach.accept_host_key));
        }
        self.entries.extend(arguments.given.clone());
        Ok(())
    }

    fn read(&self, kind: &Kind) -> Result<Box<dyn Settings>, CliError> {
        (kind.read)(Source::Json(&Value::Object(self.entries.clone())))
            .map_err(|reason| CliError::usage("target-options", text::printable(&reason)))
    }

    /// Keeps what was typed.
    fn keep(&self) -> Result<(), CliError> {
        for (place, typed) in &self.typed {
            secret::keep_at(place, typed).map_err(|error| {
                CliError::failed("secret", format!("{}: {error}", String::from(place.clone())))
            })?;
        }
        Ok(())
    }
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
fn definition(
    filing: &Filing,
    kind: &'static Kind,
    settings: Box<dyn Settings>,
) -> Result<Definition, CliError> {
    let made = now();
    Ok(Definition {
        name: filing.name.clone(),
        kind,
        description: filing.description.clone(),
        tags: crate::cli::commands::run::tags(&filing.tag)?,
        cost_per_hour: filing.cost_per_hour,
        created_on: Some(made.clone()),
        modified_on: Some(made),
        settings,
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
            forget_secrets(&home, &filing.name, Some(&*definition.settings));
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
        (Some(_), ..) => Some(secret::place(&secrets(home), &filing.name)),
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
        runner: None,
    };
    Ok((options, typed))
}

fn secrets(home: &Path) -> PathBuf {
    pools::private_folder(home).join("secrets")
}

/// Removes the secrets that were kept for a target.
pub(super) fn forget_secrets(home: &Path, name: &str, settings: Option<&dyn Settings>) {
    let own = |key: &str| key.split('.').next() == Some(name);
    for key in settings
        .map(|settings| in_keyring(&settings.to_json()))
        .unwrap_or_default()
    {
        if own(&key) {
            // One that stays is of no use to anybody.
            let _ = keyring::clear(&key);
        }
    }
    let Ok(entries) = std::fs::read_dir(secrets(home)) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        // Names of targets have no dot.
        let file = path
            .file_name()
            .and_then(std::ffi::OsStr::to_str)
            .unwrap_or_default();
        if own(file) {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Names in the keyring that a section mentions.
fn in_keyring(section: &Value) -> Vec<String> {
    match section {
        Value::String(text) => text
            .strip_prefix("keyring:")
            .map(str::to_owned)
            .into_iter()
            .collect(),
        Value::Array(items) => items.iter().flat_map(in_keyring).collect(),
        Value::Object(fields) => fields.values().flat_map(in_keyring).collect(),
        _ => Vec::new(),
    }
}

/// Sees to it that the machine's host key is known.
fn known_host(
    options: &SshOptions,
    accepted: bool,
    filing: &Filing,
    surroundings: &Surroundings,
    output: &Output,
) -> Result<(), CliError> {
    let private = &surroundings.private;
    std::fs::create_dir_all(private)
        .map_err(|error| CliError::failed("folder", format!("{}: {error}", private.display())))?;
    let machine = ssh::machine(options, surroundings);
    if !filing.no_wait && ssh::host_key(&machine) == HostKey::Unknown {
        accept(&machine, accepted, output)?;
    }
    Ok(())
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
