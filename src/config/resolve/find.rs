//! Finding a sweep file by less than its path, as `--hyperdrive-configuration-name` allows.

use crate::config::files::{Files, join};
use crate::diagnostic::{list, nearest};
use std::path::{Path, PathBuf};

/// Why no file was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// Several files match.
    #[error("several files match `{name}`: {}", list(matches.iter().map(String::as_str)))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// What matches.
        matches: Vec<String>,
    },
    /// None matches.
    #[error("there is no file `{name}`{}", nearest.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    Missing {
        /// What was asked for.
        name: String,
        /// The file that was probably meant.
        nearest: Option<String>,
    },
}

/// Looks for `name`: as a path from the working directory, in `project`, in its `.azureml` and `aml_config`; then anywhere below
/// `project` by its exact base name, with `.yml` or `.yaml` added if need be; last by the end of its name, as the old client did.
///
/// # Errors
/// [`FindError`] if several files or none match.
pub fn find_file(name: &str, project: &Path, files: &dyn Files) -> Result<PathBuf, FindError> {
    let is_file = |path: &PathBuf| files.exists(path) && !files.is_folder(path);
    let places = [
        PathBuf::from(name),
        join(project, name),
        join(&project.join(".azureml"), name),
        join(&project.join("aml_config"), name),
    ];
    if let Some(path) = places.into_iter().find(is_file) {
        return Ok(path);
    }
    let all = files.walk(project);
    let texts: Vec<(String, &PathBuf)> = all
        .iter()
        .map(|path| (path.to_string_lossy().into_owned(), path))
        .collect();
    let base = |path: &Path| {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let exact = |wanted: &str| -> Vec<&PathBuf> {
        texts
            .iter()
            .filter(|(text, path)| base(path) == wanted || text == wanted)
            .map(|(_, path)| *path)
            .collect()
    };
    let by_suffix: Vec<&PathBuf> = texts
        .iter()
        .filter(|(text, _)| text.ends_with(name))
        .map(|(_, path)| *path)
        .collect();
    for matches in [
        exact(name),
        exact(&format!("{name}.yml")),
        exact(&format!("{name}.yaml")),
        by_suffix,
    ] {
        match matches.as_slice() {
            [] => {}
            [one] => return Ok(join(project, &one.to_string_lossy())),
            several => {
                return Err(FindError::Ambiguous {
                    name: name.to_owned(),
                    matches: several
                        .iter()
                        .map(|path| path.to_string_lossy().into_owned())
                        .collect(),
                });
            }
        }
    }
    let bases: Vec<String> = all.iter().map(|path| base(path)).collect();
    Err(FindError::Missing {
        name: name.to_owned(),
        nearest: nearest(name, bases.iter().map(String::as_str)).map(str::to_owned),
    })
}
