//! `az configure --defaults`: names that are kept for the lines to come, in the user's configuration folder.

use crate::cli::error::CliError;
use crate::cli::exit;
use crate::cli::output::Output;
use crate::cli::settings;
use indexmap::IndexMap;
use std::path::PathBuf;

fn file() -> Option<PathBuf> {
    Some(settings::configuration_folder()?.join("overdrive/az.json"))
}

fn read() -> IndexMap<String, String> {
    file()
        .and_then(|path| std::fs::read_to_string(path).ok())
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default()
}

/// The name that is kept under `key`.
pub(super) fn get(key: &str) -> Option<String> {
    read().shift_remove(key)
}

/// Keeps `KEY=VALUE` pairs; an empty value forgets the key.
pub(super) fn set(pairs: &[String], output: &Output) -> Result<u8, CliError> {
    let mut known = read();
    for pair in pairs {
        let (key, value) = pair
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| CliError::usage("defaults", format!("`{pair}` is not of the form KEY=VALUE")))?;
        if value.is_empty() {
            known.shift_remove(key);
        } else {
            known.insert(key.to_owned(), value.to_owned());
        }
    }
    let Some(path) = file() else {
        return Err(CliError::usage(
            "no-home",
            "there is no home folder to keep the names in",
        ));
    };
    let failed = |error: std::io::Error| CliError::failed("write", format!("`{}`: {error}", path.display()));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let text =
        serde_json::to_string_pretty(&known).map_err(|error| CliError::failed("json", error.to_string()))?;
    std::fs::write(&path, text + "\n").map_err(failed)?;
    output.note("note: the workspace is kept as a label; groups have no effect here");
    Ok(exit::OK)
}
