//! Hostile input for the readers of run configurations and job files: whatever one line becomes, they return, and what they take
//! can be started.

use super::disk::{Disk, folder};
use overdrive::config::launch::template::Template;
use overdrive::config::launch::{LaunchContext, plan};
use overdrive::config::{EnvironmentChoice, Request, resolve};
use overdrive::space::{Assignment, Distribution, Value};
use proptest::prelude::*;
use std::path::Path;

/// What a value is replaced by.
const VALUES: [&str; 12] = [
    "",
    "null",
    "[]",
    "{}",
    "[{}]",
    "-1",
    "1e400",
    "true",
    "''",
    "é",
    "{a: {b: [c]}}",
    "${{search_space.",
];

/// Each line left out, and with each of [`VALUES`] in place of its value.
fn mutations(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .collect();
    let with = |index: usize, line: Option<String>| {
        let mut mutated: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        match line {
            Some(line) => mutated[index] = line,
            None => {
                mutated.remove(index);
            }
        }
        mutated.join("\n")
    };
    let mut all = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        all.push(with(index, None));
        if let Some((key, _)) = line.split_once(':') {
            all.extend(
                VALUES
                    .iter()
                    .map(|value| with(index, Some(format!("{key}: {value}")))),
            );
        }
    }
    all
}

#[test]
fn one_changed_line_never_breaks_a_reader() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let (mut tried, mut taken) = (0, 0);
    for (room, file) in [("runconfig", "x.runconfig"), ("sweep", "x.yml")] {
        for entry in std::fs::read_dir(fixtures.join(room)).unwrap() {
            let path = entry.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "md" || extension == "json")
            {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let folder = folder(&[
                ("train.py", ""),
                ("src/x", ""),
                ("train/x", ""),
                ("python/x", ""),
                (
                    "overdrive.yml",
                    "data_map: {azureml:testCode:1: src, azureml:dummy_code:1: src, azureml:irisdata:1: src}\n",
                ),
            ]);
            let request = Request {
                file: Some(folder.path().join(file)),
                script: (room == "runconfig").then(|| "train.py".to_owned()),
                environment: EnvironmentChoice::Current,
                ..Request::default()
            };
            // Every fifth: each line meets each value over the whole corpus, in a tenth of the time.
            for mutated in mutations(&text).into_iter().step_by(5) {
                std::fs::write(folder.path().join(file), &mutated).unwrap();
                let resolved = resolve(&request, &Disk);
                tried += 1;
                for diagnostic in &resolved.diagnostics {
                    assert!(!diagnostic.message.is_empty() && !diagnostic.message.ends_with('.'));
                    diagnostic.place();
                }
                if let Some(experiment) = resolved.experiment {
                    taken += 1;
                    let values = experiment.space.parameters.iter().map(|parameter| {
                        let value = match &parameter.distribution {
                            Distribution::Choice { options, .. } => options[0].clone(),
                            _ => Value::Float(0.5),
                        };
                        parameter.condition.is_none().then_some(value)
                    });
                    let assignment = Assignment {
                        values: values.collect(),
                    };
                    let plan = plan(&experiment, &assignment, &LaunchContext::default());
                    assert!(plan.is_ok(), "{mutated}\n{plan:?}");
                }
            }
        }
    }
    assert!(tried > 2000 && taken > 300, "{tried} {taken}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// One value is one argument, whatever is in it and wherever it stands.
    #[test]
    fn a_value_stays_one_argument(value in "[^\\x00]{0,40}", quote in 0_usize..3) {
        let mark = ["", "'", "\""][quote];
        let template = format!("t {mark}<${{{{inputs.x}}}}>{mark} end");
        let filled = Template::parse(&template.replace(['<', '>'], if mark.is_empty() { "" } else { "=" }))
            .fill(&|_, _| Some(value.clone()), &|_| None, false)
            .unwrap();
        let edge = if mark.is_empty() { "" } else { "=" };
        prop_assert!(!filled.needs_shell);
        prop_assert_eq!(
            shlex::split(&filled.text),
            Some(vec!["t".to_owned(), format!("{edge}{value}{edge}"), "end".to_owned()])
        );
    }

    /// Any template text can be parsed and filled.
    #[test]
    fn any_text_is_a_template(text in "([a-z $'\"{}\\[\\]().|\\\\é-]|\\$\\{\\{|inputs\\.|\\}\\}){0,30}") {
        let template = Template::parse(&text);
        template.references();
        let _ = template.fill(&|_, _| Some("v".into()), &|_| None, false);
    }
}
