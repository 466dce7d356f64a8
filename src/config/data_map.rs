//! Where the data behind names lies: datastores, datasets and addresses, mapped to paths by the user.

use crate::diagnostic::{list, nearest};
use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

/// The user's mapping of names to paths (or to addresses that a target can fetch).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataMap {
    /// Datastore name to folder.
    pub datastores: IndexMap<String, String>,
    /// Dataset to path, by `NAME`, `NAME:VERSION` or id.
    pub datasets: IndexMap<String, String>,
    /// Beginning of an address (`azureml:iris:1`, `wasbs://host/`) to path or folder.
    pub locations: IndexMap<String, String>,
}

impl DataMap {
    /// The tables `datastores`, `datasets` and `data_map` of the `overdrive:` section; other values than texts are left out.
    pub fn from_extensions(extensions: &Map<String, Json>) -> Self {
        let table = |key: &str| {
            extensions
                .get(key)
                .and_then(Json::as_object)
                .map(|table| {
                    table
                        .iter()
                        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                        .collect()
                })
                .unwrap_or_default()
        };
        Self {
            datastores: table("datastores"),
            datasets: table("datasets"),
            locations: table("data_map"),
        }
    }

    /// Takes over what `other` has and this has not.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.datastores, &other.datastores),
            (&mut self.datasets, &other.datasets),
            (&mut self.locations, &other.locations),
        ] {
            for (name, path) in theirs {
                mine.entry(name.clone()).or_insert_with(|| path.clone());
            }
        }
    }

    /// The path of a dataset: `NAME:VERSION` before `NAME` before the id.
    pub fn dataset(&self, name: Option<&str>, version: Option<&str>, id: Option<&str>) -> Option<&str> {
        let versioned = name
            .zip(version)
            .map(|(name, version)| format!("{name}:{version}"));
        [versioned.as_deref(), name, id]
            .into_iter()
            .flatten()
            .find_map(|key| self.datasets.get(key))
            .map(String::as_str)
    }

    /// The path of something in a datastore.
    pub fn datastore(&self, name: &str, relative: &str) -> Option<String> {
        let folder = self.datastores.get(name)?;
        let relative = relative.trim_start_matches('/');
        Some(if relative.is_empty() {
            folder.clone()
        } else {
            format!("{}/{relative}", folder.trim_end_matches('/'))
        })
    }

    /// What an address is mapped to: the longest prefix wins, the rest of the address is appended. Datastore addresses
    /// (`azureml://datastores/NAME/paths/REST`) and dataset names (`azureml:NAME:VERSION`, `azureml:NAME@latest`) are looked up in
    /// their tables too.
    pub fn address(&self, address: &str) -> Option<String> {
        let prefix = self
            .locations
            .iter()
            .filter(|(prefix, _)| address.starts_with(prefix.as_str()))
            .max_by_key(|(prefix, _)| prefix.len());
        if let Some((prefix, path)) = prefix {
            let rest = address.get(prefix.len()..).unwrap_or_default();
            return Some(if rest.is_empty() {
                path.clone()
            } else {
                format!("{}/{}", path.trim_end_matches('/'), rest.trim_start_matches('/'))
            });
        }
        if let Some(rest) = address.strip_prefix("azureml://")
            && let Some((_, rest)) = rest.split_once("datastores/")
            && let Some((name, rest)) = rest.split_once('/')
        {
            return self.datastore(name, rest.strip_prefix("paths/").unwrap_or(rest));
        }
        let asset = address.strip_prefix("azureml:")?;
        let (name, version) = match asset.split_once('@') {
            Some((name, _)) => (name, None),
            None => asset
                .split_once(':')
                .map_or((asset, None), |(name, version)| (name, Some(version))),
        };
        self.dataset(Some(name), version, None).map(str::to_owned)
    }

    /// Lines for a message about a name that is not mapped: what to write, and what is mapped already.
    pub fn advice(table: &str, name: &str, known: &IndexMap<String, String>) -> Vec<String> {
        let mut lines = vec![format!(
            "map it in `overdrive.yml`:\n{table}:\n  {}: /path/on/this/machine",
            if name.contains([':', '#']) {
                format!("\"{name}\"")
            } else {
                name.to_owned()
            }
        )];
        if let Some(near) = nearest(name, known.keys().map(String::as_str)) {
            lines.push(format!("`{near}` is mapped; was it meant?"));
        } else if !known.is_empty() {
            lines.push(format!("mapped are {}", list(known.keys().map(String::as_str))));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> DataMap {
        let json = serde_json::json!({
            "datastores": {"ws": "/data/ws/"},
            "datasets": {"iris": "/data/iris.csv", "iris:2": "/data/iris2.csv"},
            "data_map": {"wasbs://c@a/": "/blob", "wasbs://c@a/deep/": "/deep"},
        });
        DataMap::from_extensions(json.as_object().unwrap())
    }

    #[test]
    fn the_most_exact_name_wins() {
        let map = map();
        for (address, path) in [
            ("wasbs://c@a/x/y.csv", Some("/blob/x/y.csv")),
            ("wasbs://c@a/deep/y.csv", Some("/deep/y.csv")),
            ("azureml://datastores/ws/paths/a/b", Some("/data/ws/a/b")),
            ("azureml:iris:1", Some("/data/iris.csv")),
            ("azureml:iris:2", Some("/data/iris2.csv")),
            ("azureml:iris@latest", Some("/data/iris.csv")),
            ("azureml:other:1", None),
            ("s3://x", None),
        ] {
            assert_eq!(map.address(address).as_deref(), path, "{address}");
        }
        assert_eq!(map.datastore("ws", "").as_deref(), Some("/data/ws/"));
        let mut mine = DataMap::default();
        mine.datasets.insert("iris".into(), "/mine".into());
        mine.merge(&map);
        assert_eq!(mine.dataset(Some("iris"), None, None), Some("/mine"));
        assert_eq!(
            mine.dataset(Some("iris"), Some("2"), None),
            Some("/data/iris2.csv")
        );
    }
}
