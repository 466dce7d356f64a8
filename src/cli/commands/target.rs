//! `target create|update|list|show|delete|detach|attach|test`, and what the old verbs share with them.

mod attaching;
mod pruning;

use super::{pools, steer};
use crate::cli::args::{
    Cancel, CreateCommand, CreatePool, Globals, RemoveTarget, Target, TargetCommand, TargetName, TestTarget,
    UpdateCommand, UpdatePool, VmPriority,
};
use crate::cli::error::CliError;
use crate::cli::output::{Output, Progress};
use crate::cli::{exit, place};
use crate::clock::{Clock, SystemClock, iso};
use crate::controller::SweepState;
use crate::diagnostic::nearest;
use crate::report::style::Line;
use crate::report::table::{self, Column};
use crate::report::{document, text};
use crate::store::row::SweepRow;
use crate::store::{FILE, Store, SweepFilter};
use crate::target::kind::KINDS;
use crate::target::kubernetes::KubernetesOptions;
use crate::target::pool::{Machine, Pool, Priority};
use crate::target::probe;
use crate::target::registry::{Definition, Found, Level, Listed, Registry, RegistryError};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

pub(super) use attaching::{attach, change, declared};

/// Kinds that exist, for messages.
fn known_kinds() -> String {
    let kinds = KINDS.map(|kind| format!("`{}` (`{} {}`)", kind.word, kind.verb(), kind.word));
    format!("`local` (this computer, always there), {}", kinds.join(", "))
}

/// Runs one of the verbs.
pub(super) fn target(arguments: Target, globals: &Globals, output: &Output) -> Result<u8, CliError> {
    match arguments.command {
        TargetCommand::Create(CreateCommand::Amlcompute(arguments)) => {
            let found = create(&arguments, globals, output)?;
            tell(&found, "created", output)
        }
        TargetCommand::Update(UpdateCommand::Amlcompute(arguments)) => {
            let found = update(&arguments, globals)?;
            tell(&found, "updated", output)
        }
        TargetCommand::Create(CreateCommand::Declared(arguments)) => {
            let (found, _) = attaching::declared(&arguments, globals, output)?;
            tell(&found, "created", output)
        }
        TargetCommand::Update(UpdateCommand::Declared(arguments)) => {
            let found = change(&arguments, globals)?;
            tell(&found, "updated", output)
        }
        TargetCommand::Create(CreateCommand::Other(words))
        | TargetCommand::Update(UpdateCommand::Other(words)) => Err(no_such_kind(words.first())),
        TargetCommand::Attach(arguments) => {
            let (found, _) = attach(&arguments, globals, output)?;
            tell(&found, "attached", output)
        }
        TargetCommand::List(folder) => list(&folder.path, globals, output),
        TargetCommand::Show(name) => show(&name, globals, output),
        TargetCommand::Delete(arguments) => remove(&arguments, false, globals, output),
        TargetCommand::Detach(arguments) => remove(&arguments, true, globals, output),
        TargetCommand::Test(arguments) => test(&arguments, globals, output),
        TargetCommand::Prune(arguments) => pruning::prune(&arguments, globals, output),
    }
}

/// The answer to a kind that cannot be created.
pub(super) fn no_such_kind(word: Option<&String>) -> CliError {
    let word = word.map(|word| text::printable(word)).unwrap_or_default();
    let error = CliError::usage(
        "target-kind",
        format!("targets of kind `{word}` cannot be created; nothing was created"),
    );
    let error = match nearest(&word, KINDS.map(|kind| kind.word)) {
        Some(near) if near != word => error.help(format!("did you mean `{near}`?")),
        _ => error,
    };
    error.help(format!("kinds that exist: {}", known_kinds()))
}

/// The answer to a resource of a kind that cannot be attached.
fn nothing_to_attach(word: Option<&String>) -> CliError {
    let message = match word.map(|word| text::printable(word)) {
        Some(word) if word == "adla" => {
            "Data Lake Analytics was retired on 2024-02-29; nothing was attached".to_owned()
        }
        Some(word) => format!("resources of kind `{word}` cannot be attached; nothing was attached"),
        None => "resources cannot be attached; nothing was attached".to_owned(),
    };
    CliError::usage("target-kind", message).help(format!("kinds that exist: {}", known_kinds()))
}

/// The state folder of a project folder.
fn home(path: &Path, globals: &Globals) -> Result<PathBuf, CliError> {
    place::state_folder_from(globals, path)
}

fn now() -> String {
    iso(SystemClock.stamp().wall_ms)
}

/// Creates a pool. One of that name and size is brought to the new numbers, so that a script can be run again.
pub(super) fn create(arguments: &CreatePool, globals: &Globals, output: &Output) -> Result<Found, CliError> {
    ignored(arguments, output)?;
    let home = home(&arguments.folder.path, globals)?;
    let (slurm, kubernetes) = match arguments.on.as_str() {
        "local" => (None, None),
        "slurm" => (Some(attaching::jobs(&arguments.jobs)), None),
        "kubernetes" => (None, Some(KubernetesOptions::default())),
        name => pools::cluster(name, &pools::registry(&home), "--on")?,
    };
    if arguments.min_nodes > 0 && (slurm.is_some() || kubernetes.is_some()) {
        output.note("note: nodes of a cluster are its own to keep: `--min-nodes` has no effect there, and nodes come when trials do");
    }
    let pool = Pool {
        vm_size: arguments.vm_size.clone(),
        min_nodes: arguments.min_nodes,
        max_nodes: arguments.max_nodes,
        idle_seconds_before_scaledown: arguments.idle_seconds_before_scaledown,
        vm_priority: match arguments.vm_priority {
            VmPriority::Dedicated => Priority::Dedicated,
            VmPriority::LowPriority => Priority::LowPriority,
        },
        cpus: arguments.cpus,
        memory_gib: arguments.memory_gib,
        gpus: arguments.gpus,
        slurm,
        kubernetes,
        admin_username: arguments.ignored.admin_username.clone(),
    };
    let tags = super::run::tags(&arguments.tag)?;
    crate::target::registry::check_name(&arguments.name)?;
    pool.check()?;
    let level = if arguments.user {
        Level::User
    } else {
        // The store makes the folder with the right permissions, and marks the project.
        drop(Store::open(&home)?);
        Level::Project
    };
    let registry = pools::registry(&home);
    match registry.get(&arguments.name) {
        Err(RegistryError::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
        Ok(mut found) => {
            let same = match found.definition.of::<Pool>() {
                Some(old) => {
                    old.node()? == pool.node()?
                        && old.vm_priority == pool.vm_priority
                        && old.slurm == pool.slurm
                        && old.kubernetes == pool.kubernetes
                }
                None => false,
            };
            if !same {
                return Err(CliError::from(RegistryError::Exists {
                    name: found.definition.name,
                    path: found.path,
                })
                .help("it has another kind, size or priority: remove it first, or choose another name"));
            }
            found.definition.settings = Box::new(pool);
            found.definition.modified_on = Some(now());
            if arguments.description.is_some() {
                found.definition.description.clone_from(&arguments.description);
            }
            if arguments.cost_per_hour.is_some() {
                found.definition.cost_per_hour = arguments.cost_per_hour;
            }
            found.definition.tags.extend(tags);
            registry.update(&found)?;
            return Ok(found);
        }
    }
    let made = now();
    Ok(registry.create(
        level,
        &Definition {
            name: arguments.name.clone(),
            kind: &crate::target::pool::KIND,
            description: arguments.description.clone(),
            tags,
            cost_per_hour: arguments.cost_per_hour,
            created_on: Some(made.clone()),
            modified_on: Some(made),
            settings: Box::new(pool),
        },
    )?)
}

/// The rules of options that have no effect here: what was wrong there is wrong here.
fn ignored(arguments: &CreatePool, output: &Output) -> Result<(), CliError> {
    let options = &arguments.ignored;
    let secret = options.admin_user_password.is_some() || options.admin_user_ssh_key.is_some();
    if options.admin_username.is_some() != secret {
        return Err(CliError::usage(
            "admin-credentials",
            "`--admin-username` and one of `--admin-user-password`, `--admin-user-ssh-key` belong together",
        ));
    }
    let network = [
        &options.vnet_name,
        &options.vnet_resourcegroup_name,
        &options.subnet_name,
    ];
    let given = network.iter().filter(|option| option.is_some()).count();
    if given != 0 && given != network.len() {
        return Err(CliError::usage(
            "virtual-network",
            "`--vnet-name`, `--vnet-resourcegroup-name` and `--subnet-name` belong together: all three or none",
        ));
    }
    if secret || given > 0 || options.location.is_some() || options.assign_identity.is_some() {
        output.note("note: administrator, network, identity and location have no effect on this computer; no secret was kept");
    }
    Ok(())
}

/// Changes the numbers that are given.
pub(super) fn update(arguments: &UpdatePool, globals: &Globals) -> Result<Found, CliError> {
    let registry = pools::registry(&home(&arguments.target.folder.path, globals)?);
    let name = &arguments.target.name;
    built_in(name)?;
    let mut found = registry.get(name)?;
    let Some(before) = found.definition.of::<Pool>() else {
        let kind = found.definition.kind.word;
        return Err(
            CliError::usage("target-kind", format!("`{name}` is of type `{kind}`, not a pool"))
                .help(format!("its file can be edited: {}", found.path.display())),
        );
    };
    let mut pool = before.clone();
    pool.min_nodes = arguments.min_nodes.unwrap_or(pool.min_nodes);
    pool.max_nodes = arguments.max_nodes.unwrap_or(pool.max_nodes);
    pool.idle_seconds_before_scaledown = arguments
        .idle_seconds_before_scaledown
        .unwrap_or(pool.idle_seconds_before_scaledown);
    if *before != pool {
        found.definition.settings = Box::new(pool);
        found.definition.modified_on = Some(now());
        registry.update(&found)?;
    }
    Ok(found)
}

fn built_in(name: &str) -> Result<(), CliError> {
    if name.eq_ignore_ascii_case("local") {
        return Err(CliError::usage(
            "built-in-target",
            "`local` is this computer: it can be neither changed nor removed",
        ));
    }
    Ok(())
}

/// Removes a target; one that is gone already is no error.
pub(super) fn remove(
    arguments: &RemoveTarget,
    detach: bool,
    globals: &Globals,
    output: &Output,
) -> Result<u8, CliError> {
    let name = &arguments.target.name;
    built_in(name)?;
    let home = home(&arguments.target.folder.path, globals)?;
    let registry = pools::registry(&home);
    match registry.get(name) {
        Err(RegistryError::NotFound { .. }) => {
            output.note(&format!(
                "note: no compute target is called `{}`; nothing was removed",
                text::printable(name)
            ));
            return Ok(exit::OK);
        }
        Ok(found) if detach && !found.definition.kind.attached => {
            let name = found.definition.name;
            return Err(CliError::usage(
                "not-attached",
                format!("`{name}` was created, not attached; it stays"),
            )
            .help(format!("`overdrive target delete -n {name}` removes it")));
        }
        Ok(found) if !detach && found.definition.kind.attached => {
            let name = found.definition.name;
            return Err(CliError::usage(
                "attached",
                format!("`{name}` was attached, not created; it stays"),
            )
            .help(format!("`overdrive target detach -n {name}` lets go of it")));
        }
        // A file that cannot be understood can be removed all the same.
        Ok(_) | Err(RegistryError::Malformed { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let busy = busy(&home, name)?;
    if let (Some(first), false) = (busy.first(), arguments.force) {
        let count = busy.len();
        return Err(CliError::failed(
            "target-in-use",
            format!(
                "`{name}` is in use by {count} {} that did not end, `{}`{}",
                if count == 1 { "sweep" } else { "sweeps" },
                first.sweep,
                if count == 1 { "" } else { " the newest" },
            ),
        )
        .help(
            "wait for it, or cancel it with `overdrive cancel`; `--force` cancels first and then removes",
        ));
    }
    let there = Globals {
        home: Some(home),
        ..globals.clone()
    };
    let quiet = Output {
        quiet: true,
        json: false,
        progress: Progress::None,
        ..output.clone()
    };
    for sweep in busy {
        let cancel = Cancel {
            sweep: sweep.sweep,
            trial: Vec::new(),
            no_wait: false,
        };
        steer::cancel(&cancel, &there, &quiet)?;
    }
    let settings = registry.get(name).ok().map(|found| found.definition.settings);
    attaching::forget_secrets(&there.home.clone().unwrap_or_default(), name, settings.as_deref());
    if let Some(path) = registry.remove(name)? {
        output.note(&format!("removed: {}", path.display()));
    }
    Ok(exit::OK)
}

/// Sweeps of this project that name the target and did not end, the newest first.
pub(super) fn busy(home: &Path, name: &str) -> Result<Vec<SweepRow>, CliError> {
    if !home.join(FILE).is_file() {
        return Ok(Vec::new());
    }
    let filter = SweepFilter {
        states: vec![
            SweepState::Running,
            SweepState::Paused,
            SweepState::CancelRequested,
        ],
        archived: true,
        ..SweepFilter::default()
    };
    let mut sweeps = Store::open_read_only(home)?.sweeps(&filter)?;
    sweeps.retain(|sweep| {
        sweep
            .targets
            .iter()
            .any(|target| pools::bare(target).eq_ignore_ascii_case(name))
    });
    Ok(sweeps)
}

/// A target as the JSON of this program tells it.
fn native(found: &Found, machine: &Machine) -> Result<Value, CliError> {
    let mut value = serde_json::to_value(&found.definition)
        .map_err(|error| CliError::failed("json", error.to_string()))?;
    if let Some(entries) = value.as_object_mut() {
        entries.insert("level".into(), json!(found.level));
        entries.insert("file".into(), json!(found.path));
        entries.extend(found.definition.settings.facts(machine));
    }
    Ok(value)
}

fn tell(found: &Found, done: &str, output: &Output) -> Result<u8, CliError> {
    let machine = Machine::here();
    if output.json {
        output.document(&document::document(native(found, &machine)?))?;
        return Ok(exit::OK);
    }
    let name = &found.definition.name;
    let what = text::printable(&found.definition.settings.summary(&machine).what);
    output.text(&format!("{done}: {name} ({what})"))?;
    output.note(&format!("file: {}", found.path.display()));
    Ok(exit::OK)
}

/// Size, nodes and trials at once of a target, for a table.
fn figures(found: &Found, machine: &Machine) -> [String; 3] {
    let summary = found.definition.settings.summary(machine);
    let slots = summary.slots.map(|slots| slots.to_string());
    [
        text::printable(&summary.size),
        summary.nodes,
        slots.unwrap_or(summary.at_a_time),
    ]
}

/// Every target of a project folder.
pub(super) fn all(registry: &Registry) -> Result<Vec<Listed>, CliError> {
    Ok(registry.list()?)
}

fn list(path: &Path, globals: &Globals, output: &Output) -> Result<u8, CliError> {
    let registry = pools::registry(&home(path, globals)?);
    let machine = Machine::here();
    let all = all(&registry)?;
    if output.json {
        let mut items = vec![json!({"name": "local", "type": "local", "slots": null})];
        for (name, found) in &all {
            items.push(match found {
                Ok(found) => native(found, &machine)?,
                Err(error) => json!({"name": name, "error": error.to_string()}),
            });
        }
        output.document(&document::list(&items, None))?;
        return Ok(exit::OK);
    }
    let mut columns = [
        Column::text("name", 0),
        Column::text("type", 1),
        Column::text("size", 2),
        Column::text("nodes", 0),
        Column::text("at a time", 0),
        Column::text("state", 0),
        Column::text("from", 3),
    ];
    let mut row = |cells: [String; 7]| {
        for (column, cell) in columns.iter_mut().zip(cells) {
            column.push(cell);
        }
    };
    let word = |text: &str| text.to_owned();
    row([
        word("local"),
        word("local"),
        String::new(),
        String::new(),
        word("as the sweep says"),
        word("Succeeded"),
        word("built in"),
    ]);
    for (name, found) in &all {
        row(match found {
            Ok(found) => {
                let [size, nodes, slots] = figures(found, &machine);
                [
                    name.clone(),
                    word(found.definition.kind.word),
                    size,
                    nodes,
                    slots,
                    word("Succeeded"),
                    word(match found.level {
                        Level::Project => "project",
                        Level::User => "user",
                    }),
                ]
            }
            Err(_) => {
                let mut cells: [String; 7] = Default::default();
                cells[0].clone_from(name);
                cells[5] = word("Failed");
                cells
            }
        });
    }
    output.lines(&table::lines(
        columns.into(),
        0,
        output.table_width(),
        output.glyphs,
    ))?;
    for (_, found) in &all {
        if let Err(error) = found {
            output.complain(&format!(
                "warning[target-file]: {}",
                text::printable(&error.to_string())
            ));
        }
    }
    Ok(exit::OK)
}

fn show(arguments: &TargetName, globals: &Globals, output: &Output) -> Result<u8, CliError> {
    let home = home(&arguments.folder.path, globals)?;
    let machine = Machine::here();
    let name = pools::bare(&arguments.name);
    let mut value = if name.eq_ignore_ascii_case("local") {
        json!({"name": "local", "type": "local", "cores": machine.cores, "gpus": machine.devices.len()})
    } else {
        native(&pools::registry(&home).get(name)?, &machine)?
    };
    let sweeps: Vec<String> = busy(&home, name)?.into_iter().map(|sweep| sweep.sweep).collect();
    if let Some(entries) = value.as_object_mut() {
        entries.insert("sweeps".into(), json!(sweeps));
    }
    if output.json {
        output.document(&document::document(value))?;
        return Ok(exit::OK);
    }
    let yaml = serde_yaml::to_string(&value).map_err(|error| CliError::failed("yaml", error.to_string()))?;
    output.text(&yaml)?;
    Ok(exit::OK)
}

fn test(arguments: &TestTarget, globals: &Globals, output: &Output) -> Result<u8, CliError> {
    let home = home(&arguments.folder.path, globals)?;
    let name = pools::bare(&arguments.name);
    let steps = if name.eq_ignore_ascii_case("local") {
        // Without a store nothing is left behind: the folder that the state folder would be made in is probed.
        let mut above = home.ancestors();
        let folder = above.find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
        probe::local(folder, Some(Path::new("python3")))
    } else {
        let found = pools::registry(&home).get(name)?;
        found.definition.settings.probe(&pools::surroundings(&home))
    };
    told(name, &steps, output)
}

/// Shows the steps of a probe; the exit code that they mean.
fn told(name: &str, steps: &[probe::Step], output: &Output) -> Result<u8, CliError> {
    let failed = steps
        .iter()
        .filter(|step| step.found.is_err() && !step.optional)
        .count();
    if output.json {
        let items: Vec<Value> = steps
            .iter()
            .map(|step| {
                json!({"step": step.name, "ok": step.found.is_ok(), "needed": !step.optional,
                    "found": step.found.as_ref().unwrap_or_else(|reason| reason),
                    "milliseconds": step.latency.as_secs_f64() * 1000.0})
            })
            .collect();
        output.document(&document::document(
            json!({"name": name, "ok": failed == 0, "steps": items}),
        ))?;
    } else {
        let mut columns = vec![
            Column::text("step", 0),
            Column::text("", 0),
            Column::number("ms", 0),
            Column::text("found", 0),
        ];
        for step in steps {
            let (word, found) = match (&step.found, step.optional) {
                (Ok(found), _) => ("ok", found),
                (Err(found), true) => ("missing", found),
                (Err(found), false) => ("failed", found),
            };
            let cells = [
                step.name.to_owned(),
                word.to_owned(),
                format!("{:.1}", step.latency.as_secs_f64() * 1000.0),
                text::printable(found),
            ];
            for (column, cell) in columns.iter_mut().zip(cells) {
                column.push(cell);
            }
        }
        let lines: Vec<Line> = table::lines(columns, 0, output.table_width(), output.glyphs);
        output.lines(&lines)?;
    }
    Ok(if failed == 0 { exit::OK } else { exit::UNREACHABLE })
}
