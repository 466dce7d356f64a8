//! `complete`: words of the store for the shells; `install-alias`: the program under the name `az`.

use super::{pools, target};
use crate::cli::args::{Globals, InstallAlias};
use crate::cli::complete::Words;
use crate::cli::disk::Disk;
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::cli::{exit, place};
use crate::config::Files;
use crate::store::{SweepFilter, TrialOrder, TrialQuery};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Most words of one kind.
const MOST: u64 = 100;

/// Prints words, one per line. What cannot be read yields none: a shell that completes must not be told of errors.
pub(super) fn complete(kind: Words, globals: &Globals, output: &Output) -> Result<u8, CliError> {
    let words = words(kind, globals).unwrap_or_default();
    if !words.is_empty() {
        output.text(&words.join("\n"))?;
    }
    Ok(exit::OK)
}

fn words(kind: Words, globals: &Globals) -> Result<Vec<String>, CliError> {
    Ok(match kind {
        Words::Sweeps => {
            let filter = SweepFilter {
                limit: Some(MOST),
                ..SweepFilter::default()
            };
            let sweeps = place::read(globals)?.sweeps(&filter)?;
            std::iter::once("latest".to_owned())
                .chain(sweeps.into_iter().map(|sweep| sweep.sweep))
                .collect()
        }
        Words::Trials => {
            let store = place::read(globals)?;
            let sweep = store.resolve("latest")?;
            let query = TrialQuery {
                order: TrialOrder::Number,
                limit: Some(MOST),
                ..TrialQuery::default()
            };
            let trials = store.trials(&sweep, &query)?;
            std::iter::once("best".to_owned())
                .chain(trials.iter().map(|trial| trial.trial.to_string()))
                .collect()
        }
        Words::Targets => {
            let home = place::state_folder(globals)?;
            let known = target::all(&pools::registry(&home))?;
            std::iter::once("local".to_owned())
                .chain(known.into_iter().map(|(name, _)| name))
                .collect()
        }
        Words::Files => Disk
            .names(Path::new(""))
            .into_iter()
            .filter(|name| [".yml", ".yaml", ".json"].iter().any(|end| name.ends_with(end)))
            .collect(),
    })
}

/// Makes the program callable as `az`.
pub(super) fn install_alias(arguments: &InstallAlias, output: &Output) -> Result<u8, CliError> {
    let program = std::env::current_exe()?;
    if arguments.function {
        // Only where the variable is set, so that one line in a profile does for scripts that want it and those that do not.
        let program = shlex::try_quote(&program.to_string_lossy())
            .map_or_else(|_| "overdrive".to_owned(), |quoted| quoted.into_owned());
        output.text(&format!(
            "az() {{ if [ \"${{OVERDRIVE_AZ:-}}\" = 1 ]; then {program} az \"$@\"; else command az \"$@\"; fi; }}"
        ))?;
        return Ok(exit::OK);
    }
    let folder = match &arguments.directory {
        Some(folder) => folder.clone(),
        None => std::env::var_os("HOME")
            .map(|home| PathBuf::from(home).join(".local/bin"))
            .ok_or_else(|| {
                CliError::usage("no-home", "there is no home folder").help("`--directory DIR` names another")
            })?,
    };
    let link = folder.join("az");
    if let Some(real) = real_az(&program).filter(|_| !arguments.force) {
        return Err(
            CliError::usage("az-exists", format!("a real `az` is there: {}", real.display())).help(
                "`--force` puts this program before it; lines that are not `az ml` are passed on to it",
            ),
        );
    }
    if let Ok(there) = std::fs::symlink_metadata(&link) {
        let ours = std::fs::canonicalize(&link).is_ok_and(|path| path == program);
        let replaceable = ours || (arguments.force && there.file_type().is_symlink());
        if !replaceable {
            return Err(CliError::usage(
                "file-exists",
                format!("`{}` exists already", link.display()),
            ));
        }
        std::fs::remove_file(&link)?;
    }
    std::fs::create_dir_all(&folder)?;
    std::os::unix::fs::symlink(&program, &link)?;
    output.note(&format!("written: {} -> {}", link.display(), program.display()));
    let on_path =
        std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|part| part == folder));
    if !on_path {
        output.note(&format!(
            "note: {} is not on PATH: export PATH=\"{}:$PATH\"",
            folder.display(),
            folder.display()
        ));
    }
    Ok(exit::OK)
}

/// The first `az` on PATH that is not this program.
pub(in crate::cli) fn real_az(program: &Path) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join("az"))
        .find(|candidate| {
            let runs = std::fs::metadata(candidate)
                .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
            runs && std::fs::canonicalize(candidate).is_ok_and(|path| path != program)
        })
}
