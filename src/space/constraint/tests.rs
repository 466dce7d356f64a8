//! Tests of the constraint language: truth, inactive parameters, mistakes with their places.

use super::*;
use crate::space::{Distribution, Parameter, Value};

fn space() -> SearchSpace {
    let choice = |options: &[&str]| Distribution::Choice {
        options: options.iter().map(|o| Value::Str((*o).to_string())).collect(),
        ordered: None,
    };
    let parameter = |name: &str, distribution| Parameter {
        name: name.into(),
        distribution,
        condition: None,
    };
    SearchSpace {
        parameters: vec![
            parameter(
                "layers",
                Distribution::Int {
                    low: 1,
                    high: 8,
                    log: false,
                },
            ),
            parameter("--hidden-width", Distribution::Randint { upper: 4097 }),
            parameter("optimizer", choice(&["sgd", "adam"])),
            parameter("momentum", Distribution::Uniform { low: 0.0, high: 1.0 }),
            parameter("outer/0/inner", Distribution::Uniform { low: 0.0, high: 1.0 }),
        ],
        constraints: Vec::new(),
    }
}

fn assignment(layers: i64, width: i64, optimizer: &str, momentum: Option<f64>) -> Assignment {
    Assignment {
        values: vec![
            Some(Value::Int(layers)),
            Some(Value::Int(width)),
            Some(Value::Str(optimizer.into())),
            momentum.map(Value::Float),
            Some(Value::Float(0.25)),
        ],
    }
}

fn holds(text: &str, a: &Assignment) -> bool {
    Constraint::compile(text, &space()).unwrap().holds(a)
}

#[test]
fn truth_of_expressions() {
    let a = assignment(4, 512, "sgd", Some(0.75));
    for (text, expected) in [
        ("layers * hidden_width <= 4096", true),
        ("layers * hidden_width < 2048", false),
        ("layers*`--hidden-width`<=2_048", true),
        ("optimizer == \"sgd\" or momentum < 0.5", true),
        ("optimizer == 'adam' || momentum < .5", false),
        ("not (optimizer == 'adam') and momentum >= 7.5e-1", true),
        ("!(layers > 3)", false),
        ("2 < layers <= 4 < hidden_width", true),
        ("2 < layers < 4", false),
        ("layers in [1, 2, 4] && optimizer not in ('adam',)", true),
        ("2 ** 3 ** 2 == 512", true),
        ("-2 ** 2 == -4", true),
        ("7 // 2 == 3 and -7 // 2 == -4 and -7 % 3 == 2", true),
        ("1 + 2 * 3 - 4 / 2 == 5", true),
        ("max(layers, 2, 9) == 9 and min(layers, 2) == 2", true),
        (
            "log2(hidden_width) == 9 and sqrt(layers) == 2 and abs(-1) == 1",
            true,
        ),
        ("layers / 0 > 1", true),
        ("`outer/0/inner` < 0.5", true),
        ("(layers > 1) == true", true),
        ("optimizer != 'adam' and optimizer < 'tgd'", true),
        ("layers == 4.0", true),
    ] {
        assert_eq!(holds(text, &a), expected, "{text}");
    }
}

#[test]
fn inactive_parameters_switch_a_constraint_off() {
    let a = assignment(4, 512, "sgd", None);
    assert!(holds("momentum > 5", &a));
    assert!(holds("layers > 100 and momentum > 5", &a));
    assert!(!holds("layers > 100", &a));
}

#[test]
fn mistakes_have_a_place_and_a_reason() {
    for (text, column, reason) in [
        ("", 1, "empty"),
        ("layers <", 9, "expected a value or a parameter, found the end"),
        ("layers = 4", 8, "write `==`"),
        ("layrs < 3", 1, "did you mean `layers`"),
        ("optimizer == sgd", 14, "text needs quotes"),
        ("(layers < 3", 12, "expected `)`"),
        ("layers + optimizer < 3", 10, "a number is needed"),
        ("layers * 2", 1, "not a condition"),
        ("layers < 'a'", 10, "no order"),
        ("layers ? 3", 8, "no meaning"),
        ("foo(layers) < 3", 1, "no function is called `foo`"),
        ("sqrt(layers, 2) < 3", 1, "takes one argument"),
        ("optimizer == \"sgd", 14, "closing \" is missing"),
        ("layers 3", 8, "expected an operator"),
        ("layers in 3", 11, "expected a list"),
        ("layers < 3 and hidden_width", 16, "a condition is needed"),
        ("é == 1 ", 1, "no parameter"),
    ] {
        let error = Constraint::compile(text, &space()).unwrap_err();
        assert!(error.reason.contains(reason), "{text}: {error}");
        assert_eq!(error.column, column, "{text}: {error}");
    }
    let deep = format!("{}layers < 3{}", "(".repeat(5000), ")".repeat(5000));
    assert!(
        Constraint::compile(&deep, &space())
            .unwrap_err()
            .reason
            .contains("nested")
    );
    let minus = format!("{}layers < 3", "-".repeat(5000));
    assert!(Constraint::compile(&minus, &space()).is_err());
}

#[test]
fn ambiguous_names_need_backquotes() {
    let mut space = space();
    let twin = Parameter {
        name: "hidden-width".into(),
        distribution: Distribution::Randint { upper: 3 },
        condition: None,
    };
    space.parameters.push(twin);
    assert!(
        Constraint::compile("hidden_width < 2", &space)
            .unwrap_err()
            .reason
            .contains("backquotes")
    );
    assert_eq!(
        Constraint::compile("`hidden-width` < 2", &space)
            .unwrap()
            .parameters(),
        [5]
    );
}
