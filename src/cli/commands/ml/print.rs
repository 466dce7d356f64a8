//! Prints a result as the Azure command line does: JMESPath query, JSON, table, tab-separated values, a file of the JSON.

use crate::cli::args::{MlGlobals, OutputFormat};
use crate::cli::error::CliError;
use crate::cli::exit;
use crate::cli::output::Output;
use crate::report::style::Line;
use crate::report::table::{self, Column};
use serde_json::Value;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

/// Where results go.
pub(super) struct Printer<'a> {
    output: &'a Output,
    format: OutputFormat,
    query: Option<String>,
    file: Option<PathBuf>,
    map: Option<fn(Value) -> Value>,
}

impl<'a> Printer<'a> {
    /// Checks query and file before anything is done.
    pub(super) fn new(options: &MlGlobals, output: &'a Output) -> Result<Self, CliError> {
        if let Some(query) = &options.query {
            jmespath::compile(query).map_err(|error| {
                let first = error.to_string();
                let first = first.lines().next().unwrap_or_default().to_owned();
                CliError::usage("query", format!("`{query}` is no JMESPath expression: {first}"))
            })?;
        }
        if let Some(file) = options.output_metadata_file.as_ref().filter(|file| file.exists()) {
            return Err(
                CliError::usage("file-exists", format!("`{}` exists already", file.display()))
                    .help("name a file that does not exist; nothing was started"),
            );
        }
        Ok(Self {
            output,
            format: options.output,
            query: options.query.clone(),
            file: options.output_metadata_file.clone(),
            map: None,
        })
    }

    /// The same, for results that are said in other words first.
    pub(super) fn mapped(&self, map: fn(Value) -> Value) -> Self {
        Self {
            query: self.query.clone(),
            file: self.file.clone(),
            map: Some(map),
            ..*self
        }
    }

    /// Writes the whole result to the file, and what the query leaves of it to standard output.
    pub(super) fn print(&self, result: &Value) -> Result<u8, CliError> {
        let mapped = self.map.map(|map| map(result.clone()));
        let result = mapped.as_ref().unwrap_or(result);
        if let Some(path) = &self.file {
            let failed =
                |error: std::io::Error| CliError::failed("write", format!("`{}`: {error}", path.display()));
            if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                std::fs::create_dir_all(parent).map_err(failed)?;
            }
            let mut file = File::create_new(path).map_err(failed)?;
            writeln!(file, "{}", pretty(result)).map_err(failed)?;
        }
        let result = match &self.query {
            None => result.clone(),
            Some(query) => search(query, result)?,
        };
        match self.format {
            OutputFormat::None => {}
            _ if result.is_null() => {}
            OutputFormat::Json | OutputFormat::Jsonc => self.output.text(&pretty(&result))?,
            OutputFormat::Yaml | OutputFormat::Yamlc => {
                let text = serde_yaml::to_string(&result)
                    .map_err(|error| CliError::failed("yaml", error.to_string()))?;
                self.output.text(&text)?;
            }
            OutputFormat::Tsv => self.output.text(&tsv(&result))?,
            OutputFormat::Table => self.output.lines(&rows(&result, self.output))?,
        }
        Ok(exit::OK)
    }

    /// A sentence on standard output, where the old client printed one.
    pub(super) fn say(&self, text: &str) -> Result<u8, CliError> {
        if self.format != OutputFormat::None {
            self.output.text(text)?;
        }
        Ok(exit::OK)
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn search(query: &str, value: &Value) -> Result<Value, CliError> {
    let failed = |error: jmespath::JmespathError| {
        CliError::usage(
            "query",
            error.to_string().lines().next().unwrap_or_default().to_owned(),
        )
    };
    let expression = jmespath::compile(query).map_err(failed)?;
    let found = expression.search(value).map_err(failed)?;
    serde_json::to_value(&*found).map_err(|error| CliError::failed("query", error.to_string()))
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// Values only, tabs between them, one line per item; nested values by their number of entries, as the old client did.
fn tsv(value: &Value) -> String {
    let cell = |value: &Value| match value {
        Value::Array(items) => items.len().to_string(),
        Value::Object(entries) => entries.len().to_string(),
        other => scalar(other).unwrap_or_default().replace(['\t', '\n'], " "),
    };
    let line = |value: &Value| match value {
        Value::Object(entries) => entries.values().map(cell).collect::<Vec<_>>().join("\t"),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join("\t"),
        other => cell(other),
    };
    match value {
        Value::Array(items) => items.iter().map(line).collect::<Vec<_>>().join("\n"),
        other => line(other),
    }
}

fn rows(value: &Value, output: &Output) -> Vec<Line> {
    let items: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        other => vec![other],
    };
    let mut names: Vec<String> = Vec::new();
    for item in &items {
        if let Value::Object(entries) = item {
            for (name, value) in entries {
                if scalar(value).is_some_and(|text| !text.is_empty()) && !names.contains(name) {
                    names.push(name.clone());
                }
            }
        }
    }
    if names.is_empty() {
        return items
            .iter()
            .map(|item| Line::plain(scalar(item).unwrap_or_else(|| item.to_string())))
            .collect();
    }
    let columns = names
        .iter()
        .map(|name| {
            let mut column = Column::text(title(name), 0);
            for item in &items {
                column.push(
                    item.get(name)
                        .and_then(scalar)
                        .map(|text| crate::report::text::printable(&text))
                        .unwrap_or_default(),
                );
            }
            column
        })
        .collect();
    table::lines(columns, 0, None, output.glyphs)
}

/// `runId` becomes `RunId`.
fn title(name: &str) -> String {
    let mut letters = name.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tab_separated_values() {
        assert_eq!(tsv(&json!("Succeeded")), "Succeeded");
        assert_eq!(
            tsv(&json!([{"a": 1, "b": null, "c": true, "d": {"x": 1}}, {"a": "x\ty"}])),
            "1\t\ttrue\t1\nx y"
        );
        assert_eq!(tsv(&json!(["a", "b"])), "a\nb");
    }

    #[test]
    fn queries_are_jmespath() {
        let value = json!([{"properties": {"score": "0.9"}, "runId": "a"}, {"properties": {}, "runId": "b"}]);
        assert_eq!(
            search("[].properties", &value).unwrap(),
            json!([{"score": "0.9"}, {}])
        );
        assert_eq!(search("[?runId=='b'] | [0].runId", &value).unwrap(), json!("b"));
    }
}
