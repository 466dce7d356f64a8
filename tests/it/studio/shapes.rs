//! Shapes: what is answered is what is described, and what the command line prints.

use super::{Server, led, trial};
use overdrive::history::TrialState;
use overdrive::studio::ROUTES;
use serde_json::{Map, Value};
use std::process::Command;

/// What is wrong with `value` by `schema`, which stands in `document`; names that the schema does not know are wrong too.
fn wrong(document: &Value, schema: &Value, value: &Value, at: &str, known: &mut Vec<String>) -> Vec<String> {
    let Some(rules) = schema.as_object() else {
        return if *schema == Value::Bool(false) {
            vec![format!("{at}: nothing may be here")]
        } else {
            Vec::new()
        };
    };
    let mut found = Vec::new();
    if let Some(name) = rules.get("$ref").and_then(Value::as_str) {
        let pointer = name.trim_start_matches('#');
        let Some(target) = document.pointer(pointer) else {
            return vec![format!("{at}: `{name}` is described nowhere")];
        };
        found.extend(wrong(document, target, value, at, known));
    }
    if let Some(kinds) = rules.get("type") {
        let is = |kind: &str| match kind {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            // Numbers that JSON cannot write are words.
            "number" => {
                value.is_number()
                    || ["NaN", "Infinity", "-Infinity", "inf", "-inf"]
                        .iter()
                        .any(|word| value == word)
            }
            "array" => value.is_array(),
            "object" => value.is_object(),
            _ => false,
        };
        let fits = match kinds {
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).any(is),
            kind => kind.as_str().is_some_and(is),
        };
        if !fits {
            found.push(format!("{at}: {value} is not of type {kinds}"));
        }
    }
    if let Some(options) = rules.get("enum").and_then(Value::as_array)
        && !options.contains(value)
    {
        found.push(format!("{at}: {value} is none of {options:?}"));
    }
    if let Some(only) = rules.get("const")
        && only != value
    {
        found.push(format!("{at}: {value} is not {only}"));
    }
    for word in ["anyOf", "oneOf"] {
        let Some(options) = rules.get(word).and_then(Value::as_array) else {
            continue;
        };
        let tried: Vec<(Vec<String>, Vec<String>)> = options
            .iter()
            .map(|option| {
                let mut names = Vec::new();
                (strictly(document, option, value, at, &mut names), names)
            })
            .collect();
        match tried.iter().find(|(problems, _)| problems.is_empty()) {
            Some((_, names)) => known.extend(names.iter().cloned()),
            None => found.push(format!("{at}: {value} fits nothing of {word}: {tried:?}")),
        }
    }
    if let (Some(items), Some(values)) = (rules.get("items"), value.as_array()) {
        for (index, value) in values.iter().enumerate().take(50) {
            found.extend(strictly(
                document,
                items,
                value,
                &format!("{at}[{index}]"),
                &mut Vec::new(),
            ));
        }
    }
    if let Some(entries) = value.as_object() {
        for name in rules
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            if name.as_str().is_some_and(|name| !entries.contains_key(name)) {
                found.push(format!("{at}: {name} is missing"));
            }
        }
        let properties = rules.get("properties").and_then(Value::as_object);
        for (name, schema) in properties.into_iter().flatten() {
            known.push(name.clone());
            if let Some(value) = entries.get(name) {
                found.extend(strictly(
                    document,
                    schema,
                    value,
                    &format!("{at}.{name}"),
                    &mut Vec::new(),
                ));
            }
        }
        let rest = rules.get("additionalProperties");
        if let Some(rest) = rest.filter(|rest| **rest != Value::Bool(false)) {
            known.extend(entries.keys().cloned());
            for (name, value) in entries {
                if properties.is_none_or(|properties| !properties.contains_key(name)) {
                    found.extend(strictly(
                        document,
                        rest,
                        value,
                        &format!("{at}.{name}"),
                        &mut Vec::new(),
                    ));
                }
            }
        } else if properties.is_none() && rules.get("$ref").is_none() && rules.get("type").is_some() {
            found.push(format!("{at}: an object about which nothing is said"));
        }
    }
    for part in rules.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        found.extend(wrong(document, part, value, at, known));
    }
    found
}

fn strictly(
    document: &Value,
    schema: &Value,
    value: &Value,
    at: &str,
    known: &mut Vec<String>,
) -> Vec<String> {
    let mut found = wrong(document, schema, value, at, known);
    if let Some(entries) = value.as_object()
        && ["type", "$ref", "allOf", "anyOf", "oneOf"]
            .iter()
            .any(|word| schema.get(word).is_some())
    {
        for name in entries.keys().filter(|name| !known.contains(name)) {
            found.push(format!("{at}: `{name}` is not described"));
        }
    }
    found
}

fn filled() -> Server {
    let server = Server::start(false);
    let mut writer = led(&server.state());
    for number in 0..30 {
        let lr = (number as f64 * 0.754_877_666) % 1.0;
        let state = match number % 7 {
            3 => TrialState::Canceled,
            5 => TrialState::Failed,
            _ => TrialState::Completed,
        };
        trial(
            &mut writer,
            number,
            number,
            &[0.1, 1.0 - (lr - 0.3).powi(2)],
            state,
        );
    }
    trial(&mut writer, 40, 30, &[0.2, f64::NAN], TrialState::Running);
    server
}

#[test]
fn every_answer_is_as_described() {
    let server = filled();
    let document = server.get("/api/v1/openapi.json");
    let mut seen = 0;
    for route in ROUTES
        .iter()
        .filter(|route| route.method == "GET" && !route.answer.contains('/'))
    {
        let path = route
            .path
            .replace("{sweep}", "HD_test")
            .replace("{trial}", "3")
            .replace("{target}", "local");
        let query = match route.path.rsplit('/').next() {
            Some("surface") => "?x=lr&y=kind",
            Some("nearest") => "?x=1&y=0.5",
            _ => "",
        };
        let answer = server.get(&format!("{path}{query}"));
        let schema = &document["components"]["schemas"][route.answer];
        assert!(schema.is_object(), "{}", route.answer);
        let problems = strictly(&document, schema, &answer, route.answer, &mut Vec::new());
        assert!(problems.is_empty(), "{path}: {problems:#?}");
        seen += 1;
    }
    assert!(seen > 15, "{seen}");
    let checked = server.ask(
        "POST",
        "/api/v1/check",
        r#"{"text": "sampling: 3\nmax_total_runs: 4\n"}"#,
    );
    let schema = &document["components"]["schemas"]["Checked"];
    let problems = strictly(&document, schema, &checked.json(), "Checked", &mut Vec::new());
    assert!(problems.is_empty(), "{problems:#?}");
    let refused = server.ask("GET", "/api/v1/sweeps/HD_none", "").json();
    let schema = &document["components"]["schemas"]["Error"];
    assert!(strictly(&document, schema, &refused, "Error", &mut Vec::new()).is_empty());
    // The judge itself: what is not described is found.
    let mut more = refused.clone();
    more["surprise"] = Value::Null;
    assert!(!strictly(&document, schema, &more, "Error", &mut Vec::new()).is_empty());
    assert!(!strictly(&document, schema, &Value::from(3), "Error", &mut Vec::new()).is_empty());
}

#[test]
fn every_body_is_described() {
    let server = filled();
    let document = server.get("/api/v1/openapi.json");
    for route in ROUTES
        .iter()
        .filter(|route| !["GET", "DELETE"].contains(&route.method))
    {
        if route.path.contains("mlflow") || route.path.ends_with("/link") {
            continue;
        }
        assert!(!route.body.is_empty(), "{}", route.path);
        let schema = &document["components"]["schemas"][route.body];
        assert!(
            schema.get("properties").is_some() || schema.get("oneOf").is_some(),
            "{schema}"
        );
    }
}

/// What `overdrive ... --json` prints.
fn printed(server: &Server, arguments: &[&str]) -> Map<String, Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_overdrive"))
        .arg("--home")
        .arg(server.state())
        .arg("--json")
        .args(arguments)
        .current_dir(server.folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
}

/// Durations of what has not ended grow between two looks.
fn settled(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            entries.retain(|name, _| name != "duration_ms" && name != "milliseconds");
            entries.values_mut().for_each(settled);
        }
        Value::Array(values) => values.iter_mut().for_each(settled),
        _ => {}
    }
}

/// Everything that the command line prints is in the API's answer, which adds no more than `more`.
fn same(server: &Server, arguments: &[&str], path: &str, more: &[&str]) {
    let (mut cli, mut api) = (Value::Object(printed(server, arguments)), server.get(path));
    settled(&mut cli);
    settled(&mut api);
    compare(&cli, &api, more, path);
}

fn compare(cli: &Value, api: &Value, more: &[&str], at: &str) {
    let (Some(cli), Some(api)) = (cli.as_object(), api.as_object()) else {
        assert_eq!(cli, api, "{at}");
        return;
    };
    for (name, value) in cli {
        let other = api
            .get(name)
            .unwrap_or_else(|| panic!("{at}: the API has no `{name}`"));
        match (value.as_array(), other.as_array()) {
            (Some(one), Some(two)) if name == "items" => {
                assert_eq!(one.len(), two.len(), "{at}.{name}");
                for (one, two) in one.iter().zip(two) {
                    compare(one, two, more, &format!("{at}.{name}"));
                }
            }
            _ => assert_eq!(value, other, "{at}.{name}"),
        }
    }
    for name in api.keys() {
        assert!(
            cli.contains_key(name) || more.contains(&name.as_str()),
            "{at}: the command line has no `{name}`"
        );
    }
}

#[test]
fn the_command_line_prints_the_same() {
    let server = filled();
    same(
        &server,
        &["list"],
        "/api/v1/sweeps",
        &["eta", "spark", "cost", "led"],
    );
    same(
        &server,
        &["show", "HD_test", "--limit", "4"],
        "/api/v1/sweeps/HD_test?limit=4",
        &[
            "space",
            "sampler",
            "policy",
            "seed",
            "run_definition",
            "extensions",
            "source",
            "position",
        ],
    );
    let detail = ["metrics", "facts", "artifacts", "rank", "scored", "environment"];
    for number in ["3", "5", "30"] {
        let reference = format!("HD_test.{number}");
        same(
            &server,
            &["show", &reference],
            &format!("/api/v1/sweeps/HD_test/trials/{number}"),
            &detail,
        );
        same(
            &server,
            &["why", &reference],
            &format!("/api/v1/sweeps/HD_test/trials/{number}"),
            &detail,
        );
    }
    // The place where a page ends is the same on both sides.
    let cli = printed(&server, &["show", "HD_test", "--limit", "4"]);
    let next = cli["next"].as_str().unwrap();
    let rest = server.get(&format!(
        "/api/v1/sweeps/HD_test/trials?order=best&limit=1&cursor={next}"
    ));
    let listed = printed(&server, &["show", "HD_test", "--limit", "5"]);
    assert_eq!(rest["items"][0]["trial"], listed["items"][4]["trial"]);
    same(
        &server,
        &["target", "list"],
        "/api/v1/targets",
        &["usage", "machine"],
    );
    same(
        &server,
        &["target", "show", "-n", "local"],
        "/api/v1/targets/local",
        &["usage", "machine"],
    );
    let tested = server
        .ask("POST", "/api/v1/targets/local/actions", r#"{"action": "test"}"#)
        .json();
    let cli = printed(&server, &["target", "test", "local"]);
    let names = |value: &Value| -> Vec<Value> {
        value["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| step["step"].clone())
            .collect()
    };
    assert_eq!(names(&tested), names(&Value::Object(cli)));
}
