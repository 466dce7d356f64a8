//! Where the run configuration called NAME lies.

use crate::config::files::{Files, join};
use crate::diagnostic::nearest;
use std::path::{Path, PathBuf};

/// A run configuration that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Its path.
    pub path: PathBuf,
    /// Whether NAME was the path of a file (then paths inside are tried relative to its folder first).
    pub given_as_path: bool,
}

/// A run configuration that was not found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotFound {
    /// What was asked for.
    pub name: String,
    /// Paths that were tried, in order.
    pub tried: Vec<PathBuf>,
    /// Run configurations that are there.
    pub present: Vec<String>,
    /// The one of them that was probably meant.
    pub nearest: Option<String>,
}

/// The folder of run configurations: `aml_config` if there is one, else `.azureml`; never both.
pub fn configuration_folder(project: &Path, files: &dyn Files) -> PathBuf {
    let old = join(project, "aml_config");
    if files.is_folder(&old) {
        old
    } else {
        join(project, ".azureml")
    }
}

/// Looks for the run configuration `name` of the project folder `project`: in its configuration folder without and with
/// `.runconfig`, in the project folder with it and without it; then, as a path, from the working directory.
///
/// # Errors
/// [`NotFound`] with everything that was tried and what is there instead.
pub fn locate(name: &str, project: &Path, files: &dyn Files) -> Result<Located, NotFound> {
    let folder = configuration_folder(project, files);
    let with_extension = format!("{name}.runconfig");
    let mut candidates = vec![
        (join(&folder, name), false),
        (join(&folder, &with_extension), false),
        (join(project, &with_extension), false),
        (join(project, name), true),
    ];
    for path in [name, &with_extension] {
        let path = join(Path::new(""), path);
        if candidates.iter().all(|(known, _)| *known != path) {
            candidates.push((path, true));
        }
    }
    for (path, given_as_path) in &candidates {
        if files.exists(path) && !files.is_folder(path) {
            return Ok(Located {
                path: path.clone(),
                given_as_path: *given_as_path,
            });
        }
    }
    let present = present(project, &folder, files);
    Err(NotFound {
        name: name.to_owned(),
        nearest: nearest(name, present.iter().map(String::as_str)).map(str::to_owned),
        tried: candidates.into_iter().map(|(path, _)| path).collect(),
        present,
    })
}

/// Names by which the run configurations of a project can be asked for.
fn present(project: &Path, folder: &Path, files: &dyn Files) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for file in files.names(project) {
        names.extend(file.strip_suffix(".runconfig").map(str::to_owned));
    }
    for file in files.names(folder) {
        match file.strip_suffix(".runconfig") {
            Some(name) => names.push(name.to_owned()),
            // Files saved by the SDK and by `folder attach` have no extension.
            None if !file.contains('.') => names.push(file),
            None => {}
        }
    }
    names.sort();
    names.dedup();
    names
}

/// The one run configuration that a project has, when none is named: the only `*.runconfig` of the project folder, else the only
/// one of the configuration folder, else `local` there. `Err` lists them if there are several and none of these applies.
///
/// # Errors
/// The names of all, if the choice is open.
pub fn beside(project: &Path, files: &dyn Files) -> Result<Option<Located>, Vec<String>> {
    let folder = configuration_folder(project, files);
    let with_extension = |folder: &Path| {
        let names = files.names(folder);
        names
            .into_iter()
            .filter(|name| name.ends_with(".runconfig"))
            .collect::<Vec<_>>()
    };
    let found = |folder: &Path, name: &str| {
        Ok(Some(Located {
            path: join(folder, name),
            given_as_path: false,
        }))
    };
    for place in [project, &folder] {
        match with_extension(place).as_slice() {
            [] => {}
            [one] => return found(place, one),
            several => {
                if let Some(local) = several.iter().find(|name| *name == "local.runconfig") {
                    return found(place, local);
                }
                return Err(several.to_vec());
            }
        }
    }
    let plain: Vec<String> = files
        .names(&folder)
        .into_iter()
        .filter(|name| !name.contains('.'))
        .collect();
    match plain.as_slice() {
        [] => Ok(None),
        [one] => found(&folder, one),
        several if several.iter().any(|name| name == "local") => found(&folder, "local"),
        several => Err(several.to_vec()),
    }
}
