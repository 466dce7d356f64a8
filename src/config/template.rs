//! Files to start from: `overdrive init` writes a commented hdconfig and a runconfig made for a given script.
//!
//! The script is read, not run: declared options (argparse, click, shell `case` labels) become parameters with ranges round their
//! defaults, the first logged metric becomes the primary one. What cannot be found is written as an example to change.

use super::hyperdrive::sampler_names;
use super::literal::short;
use crate::diagnostic::{Dialect, Kind, resolve};
use regex::Regex;

/// An option that the script declares.
#[derive(Clone, Debug, PartialEq)]
pub struct ScriptOption {
    /// As typed, dashes included.
    pub name: String,
    /// What it takes.
    pub kind: OptionKind,
}

/// What an option takes.
#[derive(Clone, Debug, PartialEq)]
pub enum OptionKind {
    /// A real, with its default.
    Float(Option<f64>),
    /// A whole number, with its default.
    Int(Option<i64>),
    /// One of several texts.
    Choices(Vec<String>),
}

/// What was found in a script.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scan {
    /// Options that look tunable, in order.
    pub options: Vec<ScriptOption>,
    /// Names under which the script reports numbers, in order.
    pub metrics: Vec<String>,
}

/// Options that are about where and how, not about what to try.
const NOT_TUNABLE: [&str; 30] = [
    "data",
    "path",
    "dir",
    "folder",
    "file",
    "output",
    "input",
    "out",
    "seed",
    "epochs",
    "epoch",
    "steps",
    "device",
    "gpu",
    "workers",
    "worker",
    "verbose",
    "log",
    "debug",
    "name",
    "model_dir",
    "checkpoint",
    "resume",
    "host",
    "port",
    "rank",
    "version",
    "config",
    "help",
    "random_state",
];

/// Most options that go into a template; more are left to the user.
const MOST_OPTIONS: usize = 8;

fn pattern(text: &str) -> Option<Regex> {
    Regex::new(text).ok()
}

/// Looks for options and metrics in the text of a script (Python, or anything that mentions `--name` in a shell `case`).
pub fn scan(text: &str) -> Scan {
    let mut scan = Scan::default();
    // The call of argparse or click, over several lines, up to the bracket that closes it (one level of brackets inside).
    let call = pattern(r#"(?s)(?:add_argument|\boption)\(((?:[^()]|\([^()]*\))*)\)"#);
    for call in call.iter().flat_map(|call| call.captures_iter(text)) {
        if let Some(option) = call.get(1).and_then(|body| declared(body.as_str())) {
            push(&mut scan.options, option);
        }
    }
    let label = pattern(r"(?m)^\s*(--[a-zA-Z][\w-]*)\)");
    for label in label.iter().flat_map(|label| label.captures_iter(text)) {
        if let Some(name) = label.get(1) {
            let option = ScriptOption {
                name: name.as_str().to_owned(),
                kind: OptionKind::Float(None),
            };
            push(&mut scan.options, option);
        }
    }
    let reported = [
        r#"\.log\(\s*(?:name\s*=\s*)?["']([^"'\n]{1,80})["']"#,
        r#"log_metric\(\s*(?:key\s*=\s*)?["']([^"'\n]{1,80})["']"#,
        // `loss={loss:.4f}`, `loss=%f`, `size=$(wc -c)` in what is printed.
        r#"(?m)\b(?:print|echo|printf)\b.*?\b([A-Za-z_]\w{0,40})=[{$%]"#,
    ];
    for metric in reported.iter().filter_map(|text| pattern(text)) {
        for found in metric.captures_iter(text) {
            if let Some(name) = found.get(1)
                && !scan.metrics.iter().any(|known| known == name.as_str())
            {
                scan.metrics.push(name.as_str().to_owned());
            }
        }
    }
    scan
}

fn push(options: &mut Vec<ScriptOption>, option: ScriptOption) {
    let plain = option
        .name
        .trim_start_matches('-')
        .replace('-', "_")
        .to_lowercase();
    let tunable = !plain
        .split('_')
        .chain([plain.as_str()])
        .any(|part| NOT_TUNABLE.contains(&part));
    if tunable && options.len() < MOST_OPTIONS && !options.iter().any(|known| known.name == option.name) {
        options.push(option);
    }
}

/// The option that the arguments of `add_argument` or `option` declare, if it takes a value that one would tune.
fn declared(body: &str) -> Option<ScriptOption> {
    if body.contains("store_true") || body.contains("store_false") || body.contains("is_flag") {
        return None;
    }
    let name = pattern(r#"["'](--[a-zA-Z][\w-]*)["']"#)?
        .captures(body)?
        .get(1)?
        .as_str()
        .to_owned();
    if let Some(choices) =
        pattern(r#"(?s)(?:choices\s*=\s*|Choice\()\[([^\]]*)\]"#).and_then(|list| list.captures(body))
    {
        let items: Vec<String> = choices
            .get(1)?
            .as_str()
            .split(',')
            .map(|item| item.trim().trim_matches(['"', '\'']).to_owned())
            .filter(|item| !item.is_empty())
            .collect();
        return (!items.is_empty()).then_some(ScriptOption {
            name,
            kind: OptionKind::Choices(items),
        });
    }
    let default = pattern(r"default\s*=\s*([-+0-9.eE_]+)")
        .and_then(|default| default.captures(body))
        .and_then(|default| default.get(1).map(|text| text.as_str().to_owned()));
    let typed = pattern(r"type\s*=\s*(float|int)\b")
        .and_then(|kind| kind.captures(body))
        .and_then(|kind| kind.get(1).map(|text| text.as_str().to_owned()));
    let kind = match (typed.as_deref(), default) {
        (Some("int"), default) => {
            OptionKind::Int(default.and_then(|text| text.replace('_', "").parse().ok()))
        }
        (Some(_), default) => OptionKind::Float(default.and_then(|text| text.parse().ok())),
        (None, Some(default)) => match default.parse::<i64>() {
            Ok(whole) => OptionKind::Int(Some(whole)),
            Err(_) => OptionKind::Float(Some(default.parse().ok()?)),
        },
        (None, None) => return None,
    };
    Some(ScriptOption { name, kind })
}

/// A scalar as YAML that both of the old loaders read as this text.
pub fn yaml_text(text: &str) -> String {
    let plain = !text.is_empty()
        && text.chars().all(|letter| {
            letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.' | '/' | ' ' | '+' | '=' | '@' | '%')
        })
        && (text.starts_with("--")
            || text.starts_with(|first: char| first.is_alphanumeric() || matches!(first, '_' | '.' | '/')))
        && text.trim() == text
        && [Dialect::Yaml11, Dialect::Yaml12]
            .into_iter()
            .all(|dialect| matches!(resolve(text, dialect), Kind::Str(_)));
    if plain && text != "---" && text != "..." && !text.starts_with("--- ") {
        text.to_owned()
    } else {
        // A JSON string is a YAML string.
        serde_json::Value::from(text).to_string()
    }
}

/// Whether a smaller value of a metric of this name is better, going by the words in it.
fn smaller_is_better(metric: &str) -> bool {
    let metric = metric.to_lowercase();
    [
        "loss",
        "error",
        "rmse",
        "mse",
        "mae",
        "perplexity",
        "size",
        "time",
        "latency",
        "cost",
    ]
    .iter()
    .any(|word| metric.contains(word))
}

/// An hdconfig file for a script with these options and metrics.
pub fn hdconfig(scan: &Scan) -> String {
    let mut text = String::from(
        "# What to try, whom to stop early, what to optimise. `overdrive check` explains every mistake.\n\
         sampling:\n",
    );
    text.push_str(&format!("  type: random  # {}\n", sampler_names().join(", ")));
    text.push_str("  parameter_space:  # one entry per option of the script\n");
    let example = [ScriptOption {
        name: "--learning_rate".to_owned(),
        kind: OptionKind::Float(Some(0.01)),
    }];
    let options = if scan.options.is_empty() {
        text.push_str("    # no option was found in the script; this one is an example\n");
        &example[..]
    } else {
        &scan.options[..]
    };
    for option in options {
        text.push_str(&parameter(option));
    }
    text.push_str(
        "policy:\n  \
           type: BanditPolicy  # MedianStoppingPolicy, TruncationSelectionPolicy, NoTerminationPolicy\n  \
           evaluation_interval: 1  # judge at every report of the metric ...\n  \
           delay_evaluation: 5  # ... from the fifth on\n  \
           slack_factor: 0.1  # stop whoever is worse than the best by more than 10 %\n",
    );
    let metric = scan.metrics.first().map_or("accuracy", String::as_str);
    let others: Vec<&str> = scan.metrics.iter().skip(1).take(6).map(String::as_str).collect();
    let remark = match (scan.metrics.is_empty(), others.is_empty()) {
        (true, _) => "  # the name exactly as the script logs it".to_owned(),
        (false, true) => String::new(),
        (false, false) => format!("  # the script also reports {}", others.join(", ")),
    };
    let goal = if smaller_is_better(metric) {
        "minimize"
    } else {
        "maximize"
    };
    text.push_str(&format!(
        "primary_metric_name: {}{}\n\
         primary_metric_goal: {goal}\n\
         max_total_runs: 20\n\
         max_concurrent_runs: 2\n\
         max_duration_minutes: 60\n",
        yaml_text(metric),
        remark.replace(['\n', '\r'], " "),
    ));
    text
}

fn parameter(option: &ScriptOption) -> String {
    let (expression, values, remark) = match &option.kind {
        OptionKind::Choices(choices) => {
            let choices: Vec<String> = choices.iter().map(|choice| choice_text(choice)).collect();
            ("choice", choices.join(", "), String::new())
        }
        OptionKind::Int(Some(default)) if *default > 0 => {
            let mut sizes: Vec<i64> = [
                default / 4,
                default / 2,
                *default,
                default.saturating_mul(2),
                default.saturating_mul(4),
            ]
            .into_iter()
            .filter(|size| *size > 0)
            .collect();
            sizes.dedup();
            let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
            (
                "choice",
                sizes.join(", "),
                format!("the script's default is {default}"),
            )
        }
        OptionKind::Int(_) => ("choice", "16, 32, 64, 128".to_owned(), "an example".to_owned()),
        // Small positive defaults are scales: tried over two orders of magnitude.
        OptionKind::Float(Some(default)) if *default > 0.0 && *default < 0.5 => {
            let (low, high) = (default / 10.0, default * 10.0);
            (
                "loguniform",
                format!("{:.2}, {:.2}", low.ln(), high.ln()),
                format!("natural logarithms of {} and {}", short(low, 3), short(high, 3)),
            )
        }
        OptionKind::Float(Some(default)) if *default > 1.0 => (
            "uniform",
            format!("{}, {}", short(default / 4.0, 3), short(default * 4.0, 3)),
            format!("the script's default is {}", short(*default, 6)),
        ),
        OptionKind::Float(_) => ("uniform", "0, 1".to_owned(), "lower and upper bound".to_owned()),
    };
    let remark = if remark.is_empty() {
        remark
    } else {
        format!("  # {remark}")
    };
    format!(
        "    - name: {}\n      expression: {expression}\n      values: [{values}]{remark}\n",
        yaml_text(&option.name)
    )
}

/// A choice as the script declares it: numbers stay numbers.
fn choice_text(choice: &str) -> String {
    match resolve(choice, Dialect::Yaml12) {
        Kind::Int(_) | Kind::Float(_) => choice.to_owned(),
        _ => yaml_text(choice),
    }
}

/// A run configuration that starts `script` (a path relative to the source folder) on this machine.
pub fn runconfig(script: &str) -> String {
    let mut text = format!(
        "# How one trial is started: this script with its fixed arguments, then the parameters.\n\
         script: {}\n\
         arguments: []\n\
         target: local\n",
        yaml_text(script)
    );
    text.push_str(if script.ends_with(".py") {
        "framework: Python\n\
         environment:\n  \
           python:\n    \
             userManagedDependencies: true  # false: build an environment from condaDependenciesFile\n    \
             interpreterPath: python3\n    \
             # condaDependenciesFile: conda_dependencies.yml\n"
    } else {
        "environment:\n  \
           python:\n    \
             userManagedDependencies: true\n"
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::hyperdrive::read;
    use crate::diagnostic::{Source, parse};

    const SCRIPT: &str = r#"
parser = argparse.ArgumentParser()
parser.add_argument("--data-path", type=str, default="/data")
parser.add_argument("--learning_rate", "-l", type=float, default=1e-3,
                    help="step (of Adam)")
parser.add_argument("--hidden_units", type=int, default=32)
parser.add_argument("--optimizer", choices=["sgd", "adam", "no"], default="adam")
parser.add_argument("--dropout", default=0.5)
parser.add_argument("--fast", action="store_true")
parser.add_argument("--seed", type=int, default=1)
run.log("val_loss", loss)
mlflow.log_metric("accuracy", 0.5)
print(f"epoch {epoch} f1={score}")
"#;

    #[test]
    fn a_script_is_understood() {
        let scan = scan(SCRIPT);
        assert_eq!(scan.metrics, ["val_loss", "accuracy", "f1"]);
        let option = |name: &str, kind| ScriptOption {
            name: name.into(),
            kind,
        };
        assert_eq!(
            scan.options,
            [
                option("--learning_rate", OptionKind::Float(Some(1e-3))),
                option("--hidden_units", OptionKind::Int(Some(32))),
                option(
                    "--optimizer",
                    OptionKind::Choices(vec!["sgd".into(), "adam".into(), "no".into()])
                ),
                option("--dropout", OptionKind::Float(Some(0.5))),
            ]
        );
    }

    #[test]
    fn templates_load_in_silence() {
        let shell = "case $1 in\n  --level) level=$2 ;;\nesac\necho \"size=$(wc -c)\"\n";
        for script in ["", SCRIPT, shell] {
            let text = hdconfig(&scan(script));
            let reading = read(&Source::new("hdconfig.yml", text.clone()));
            assert_eq!(reading.diagnostics, [], "{text}");
        }
        let found = read(&Source::new("hdconfig.yml", hdconfig(&scan(SCRIPT))))
            .value
            .unwrap();
        assert_eq!(found.metric.name, "val_loss");
        assert_eq!(found.metric.goal, crate::metric::Goal::Minimize);
        assert_eq!(found.space.len(), 4);
        for script in ["train.py", "a b/x: y.sh", "yes"] {
            let source = Source::new("x.runconfig", runconfig(script));
            let document = parse(&source, Dialect::Yaml12);
            assert_eq!(document.diagnostics, []);
            assert_eq!(
                document.root.unwrap().get("script").unwrap().as_str(),
                Some(script)
            );
        }
    }

    #[test]
    fn texts_survive_both_loaders() {
        for text in [
            "yes",
            "1e-3",
            "0123",
            "1:30",
            "--lr",
            "-",
            "---",
            "",
            " x",
            "a: b",
            "a #b",
            "#",
            "null",
            "é",
            "2020-01-01",
            "<<",
        ] {
            for dialect in [Dialect::Yaml11, Dialect::Yaml12] {
                let source = Source::new("x.yml", format!("key: {}\n", yaml_text(text)));
                let root = parse(&source, dialect).root.unwrap();
                assert_eq!(root.get("key").unwrap().as_str(), Some(text));
            }
        }
    }
}
