//! A conda environment file as a mapping: which Python, which conda packages, which pip packages.

use crate::environment::{EnvironmentError, substitutes};
use serde_json::Value;

/// One line of the `pip:` list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PipItem {
    /// A requirement: `scikit-learn==1.5`.
    Requirement(String),
    /// An option of pip: `--index-url URL`, `-r requirements.txt`.
    Option(String),
}

/// The parts of a conda file that matter for building.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CondaFile {
    /// Version after `python=`; `None` = any.
    pub python: Option<String>,
    /// Channels in order.
    pub channels: Vec<String>,
    /// Conda packages other than python and pip, as written.
    pub conda: Vec<String>,
    /// The `pip:` list.
    pub pip: Vec<PipItem>,
}

/// Allowed top-level keys.
const KEYS: [&str; 4] = ["name", "channels", "dependencies", "prefix"];

impl CondaFile {
    /// Reads the mapping.
    ///
    /// # Errors
    /// [`EnvironmentError::Mapping`] for unknown keys or entries that are neither text nor one `pip` list.
    pub fn read(mapping: &Value) -> Result<Self, EnvironmentError> {
        let wrong = |reason: String| EnvironmentError::Mapping { reason };
        let Some(mapping) = mapping.as_object() else {
            return Err(wrong("a mapping with `dependencies` is expected".into()));
        };
        if let Some(key) = mapping.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(wrong(format!(
                "unknown key `{key}`; allowed are name, channels, dependencies, prefix"
            )));
        }
        let mut file = Self::default();
        let list = |key: &str| match mapping.get(key) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(items)) => Ok(items.clone()),
            Some(_) => Err(wrong(format!("`{key}` must be a list"))),
        };
        for channel in list("channels")? {
            let channel = channel
                .as_str()
                .ok_or_else(|| wrong("a channel must be text".into()))?;
            file.channels.push(channel.to_owned());
        }
        for item in list("dependencies")? {
            match item {
                Value::String(text) => file.add_conda(text.trim()),
                Value::Object(map) if map.len() == 1 && map.contains_key("pip") => {
                    let items = map
                        .get("pip")
                        .and_then(Value::as_array)
                        .cloned()
                        .unwrap_or_default();
                    for item in items {
                        let text = item
                            .as_str()
                            .ok_or_else(|| wrong("an item of `pip` must be text".into()))?;
                        let text = text.trim().to_owned();
                        file.pip.push(if text.starts_with('-') {
                            PipItem::Option(text)
                        } else {
                            PipItem::Requirement(text)
                        });
                    }
                }
                other => {
                    return Err(wrong(format!(
                        "`{other}` in `dependencies` is neither text nor a `pip` list"
                    )));
                }
            }
        }
        Ok(file)
    }

    fn add_conda(&mut self, text: &str) {
        let bare = text.rsplit_once("::").map_or(text, |(_, bare)| bare);
        let (name, version) = bare.find(|c: char| "=<>! ".contains(c)).map_or((bare, ""), |at| {
            (bare.get(..at).unwrap_or(bare), bare.get(at..).unwrap_or(""))
        });
        match name {
            "python" => {
                let version = version.trim_matches(|c: char| c == '=' || c == ' ');
                let version = version.split('=').next().unwrap_or(version);
                self.python = (!version.is_empty()).then(|| version.to_owned());
            }
            "pip" => {}
            _ => self.conda.push(text.to_owned()),
        }
    }

    /// Takes out the `azureml-*` pip packages and returns their names.
    pub fn take_azureml(&mut self) -> Vec<String> {
        let (taken, kept) = std::mem::take(&mut self.pip).into_iter().partition(|item| {
            matches!(item, PipItem::Requirement(text) if text.to_ascii_lowercase().replace('_', "-").starts_with("azureml-"))
        });
        self.pip = kept;
        let taken: Vec<PipItem> = taken;
        taken
            .into_iter()
            .map(|item| match item {
                PipItem::Requirement(text) | PipItem::Option(text) => text,
            })
            .collect()
    }

    /// Turns the conda packages into requirements of pip and returns them; changes nothing if any of them cannot be had that way.
    ///
    /// # Errors
    /// The packages that only conda can bring.
    pub fn substitute(&mut self) -> Result<Vec<String>, Vec<String>> {
        let (known, unknown): (Vec<_>, Vec<_>) = self
            .conda
            .iter()
            .map(|package| substitutes::requirement(package).ok_or_else(|| package.clone()))
            .partition(Result::is_ok);
        if !unknown.is_empty() {
            return Err(unknown.into_iter().filter_map(Result::err).collect());
        }
        let mut found: Vec<String> = known.into_iter().flatten().collect();
        found.retain(|requirement| !requirement.is_empty());
        self.conda.clear();
        let items = found.iter().cloned().map(PipItem::Requirement);
        self.pip.splice(0..0, items);
        Ok(found)
    }

    /// One text for equal content.
    pub fn canonical(&self) -> String {
        format!("{self:?}")
    }

    /// The file to hand to conda.
    pub fn to_yaml(&self) -> String {
        let mut dependencies: Vec<Value> = vec![match &self.python {
            Some(version) => format!("python={version}").into(),
            None => "python".into(),
        }];
        dependencies.push("pip".into());
        dependencies.extend(self.conda.iter().map(|text| Value::from(text.as_str())));
        if !self.pip.is_empty() {
            let items: Vec<&str> = self
                .pip
                .iter()
                .map(|item| match item {
                    PipItem::Requirement(text) | PipItem::Option(text) => text.as_str(),
                })
                .collect();
            dependencies.push(serde_json::json!({ "pip": items }));
        }
        // JSON is YAML, and needs no quoting rules of its own.
        serde_json::json!({ "channels": self.channels, "dependencies": dependencies }).to_string()
    }
}
