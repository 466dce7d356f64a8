//! Environments in containers: an image that is there or built, with the files' packages in it, built once per content.

use super::conda_file::{CondaFile, PipItem};
use super::{Builder, EnvironmentError, Prepared, WithoutEngine};
use crate::config::EnvironmentSpec;
use crate::container::{self, CHOICE, Container, ContainerError, Engine, Recipe};
use indexmap::IndexMap;
use std::path::PathBuf;

/// Where packages lie in an image that was built for them.
const PREFIX: &str = "/opt/overdrive";

/// Installs them there: with the conda that is in the image, else by pip.
const INSTALL: &str = r#"set -e
for tool in micromamba mamba conda /opt/miniconda/bin/conda /opt/conda/bin/conda; do
    if command -v "$tool" >/dev/null 2>&1; then
        case $tool in
        *micromamba) exec "$tool" create --yes --prefix "$1" --file "$2/environment.yml" ;;
        *) CONDA_ALWAYS_YES=true exec "$tool" env create --prefix "$1" --file "$2/environment.yml" ;;
        esac
    fi
done
if [ ! -e "$2/requirements.txt" ]; then
    echo "the image has neither micromamba, mamba nor conda, and some of its conda packages are not on PyPI" >&2
    exit 1
fi
python=$(command -v python3 || command -v python) || { echo "the image has no Python" >&2; exit 1; }
"$python" -m venv "$1"
[ ! -s "$2/requirements.txt" ] || "$1/bin/python" -m pip install --no-cache-dir --disable-pip-version-check -r "$2/requirements.txt"
"#;

impl Builder<'_> {
    /// The environment in the container that `spec` asks for, or the inner one where that is what to do without an engine.
    pub(super) fn in_container(&mut self, spec: &EnvironmentSpec) -> Result<Prepared, EnvironmentError> {
        let EnvironmentSpec::Docker {
            image,
            dockerfile,
            context,
            arguments,
            shm_size,
            inner,
        } = spec
        else {
            return self.prepare(spec);
        };
        let wanted = std::env::var(CHOICE).ok();
        let engine = match Engine::find(self.search_path, wanted.as_deref()) {
            Ok(engine) => engine,
            Err(error) if self.without_engine == WithoutEngine::Refuse => return Err(error.into()),
            Err(error) => {
                let mut prepared = self.prepare(inner)?;
                prepared.notes.push(format!("the container is left out: {error}"));
                return Ok(prepared);
            }
        };
        let left = container::sweep(&engine);
        if left > 0 {
            (self.progress)(&format!("removed {left} containers of runners that are gone"));
        }
        let cache = self.cache.join("images");
        let base = match (dockerfile, image) {
            (Some(dockerfile), _) => {
                let recipe = Recipe {
                    dockerfile: dockerfile.clone(),
                    context: context.clone().filter(|context| context.is_dir()),
                    ..Recipe::default()
                };
                container::build(&engine, &recipe, &cache, self.progress)?
            }
            (None, Some(image)) => image.clone(),
            (None, None) => {
                return Err(ContainerError::NoImage {
                    image: String::new(),
                    reason: "the files name none; set `environment.docker.baseImage`".into(),
                }
                .into());
            }
        };
        let below = container::have(&engine, &base, self.progress)?;
        let mut notes = Vec::new();
        let (image, names) = match inner.as_ref() {
            EnvironmentSpec::Conda { dependencies } => {
                match self.recipe(dependencies, (&base, below), &mut notes)? {
                    Some(recipe) => {
                        let image = container::build(&engine, &recipe, &cache, self.progress)?;
                        (image, vec![format!("{PREFIX}/bin/python")])
                    }
                    None => (base, pythons("python3")),
                }
            }
            EnvironmentSpec::UserManaged { interpreter } => (base, pythons(interpreter)),
            EnvironmentSpec::Docker { .. } => (base, pythons("python")),
        };
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let inside = container::look(&engine, &image, &names)?;
        let wanted = names.first().copied().unwrap_or_default();
        if inside.interpreter.is_none() {
            notes.push(format!("the image `{image}` has no `{wanted}`"));
        }
        Ok(Prepared {
            interpreter: PathBuf::from(inside.interpreter.as_deref().unwrap_or(wanted)),
            container: Some(Container {
                engine,
                image,
                arguments: arguments.clone(),
                shm_size: shm_size.clone(),
                init: inside.init,
                gpus: std::path::Path::new("/proc/driver/nvidia").exists(),
            }),
            path_prepend: Vec::new(),
            variables: IndexMap::new(),
            key: None,
            notes,
        })
    }

    /// What to build on `below` so that the packages of a conda mapping are in the image; `None` if there are none.
    fn recipe(
        &self,
        dependencies: &serde_json::Value,
        (base, below): (&str, String),
        notes: &mut Vec<String>,
    ) -> Result<Option<Recipe>, EnvironmentError> {
        let mut file = CondaFile::read(dependencies)?;
        if !self.keep_azureml {
            let left_out = file.take_azureml();
            if !left_out.is_empty() {
                notes.push(format!(
                    "{} not installed: overdrive's own `azureml` module answers `Run.get_context()`",
                    left_out.join(", ")
                ));
            }
        }
        if file.pip.is_empty() && file.conda.is_empty() {
            return Ok(None);
        }
        let mut files = vec![
            ("environment.yml", file.to_yaml()),
            ("install.sh", INSTALL.to_owned()),
        ];
        if file.substitute().is_ok() {
            let lines: Vec<&str> = file
                .pip
                .iter()
                .map(|item| match item {
                    PipItem::Requirement(text) | PipItem::Option(text) => text.as_str(),
                })
                .collect();
            files.push(("requirements.txt", lines.join("\n")));
        }
        let copies: String = files
            .iter()
            .map(|(name, _)| format!("COPY {name} /tmp/overdrive/{name}\n"))
            .collect();
        Ok(Some(Recipe {
            dockerfile: format!(
                "FROM {base}\nUSER root\n{copies}RUN sh /tmp/overdrive/install.sh {PREFIX} /tmp/overdrive && rm -rf /tmp/overdrive\n\
                 ENV CONDA_PREFIX={PREFIX} PATH={PREFIX}/bin:$PATH\n"
            ),
            context: None,
            files,
            below,
        }))
    }
}

/// Names under which the interpreter may be found in an image.
fn pythons(wanted: &str) -> Vec<String> {
    let mut names = vec![wanted.to_owned()];
    // Debian has no plain `python`; scripts that ask for it mean Python 3.
    if wanted == "python" || wanted == "python3" {
        names.extend(["python3".to_owned(), "python".to_owned()]);
    }
    names
}
