//! The JSON-lines protocol, in process.

use overdrive::ask_tell::{Protocol, ProtocolOptions, parse_policy};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn protocol(sampler: &str, policy: Option<&str>) -> Protocol {
    Protocol::new(ProtocolOptions {
        sampler: Some(sampler.into()),
        policy: policy.map(|text| parse_policy(text).unwrap()),
        seed: None,
    })
}

fn say(protocol: &mut Protocol, message: Value) -> Value {
    let answer = protocol.handle(&message.to_string());
    assert!(!answer.contains('\n'));
    serde_json::from_str(&answer).unwrap()
}

fn lr() -> Value {
    json!([{"name": "lr", "type": "float", "low": 0.0001, "high": 0.1, "log": true}])
}

#[test]
fn the_example_of_the_reference() {
    let mut protocol = protocol("random", None);
    let init = r#"{"type":"init","version":1,"seed":1,"goal":"minimize","space":[{"name":"lr","type":"float","low":0.0001,"high":0.1,"log":true}],"max_trials":2,"workers":1,"fidelity":null}"#;
    assert_eq!(protocol.handle(init), r#"{"type":"ready"}"#);
    for number in 0..2 {
        let trial = say(&mut protocol, json!({"type": "ask"}));
        assert_eq!(
            (&trial["type"], &trial["trial"]),
            (&json!("trial"), &json!(number))
        );
        assert_eq!(trial.get("resource"), None);
        let lr = trial["params"]["lr"].as_f64().unwrap();
        assert!((0.0001..=0.1).contains(&lr));
        let tell = json!({"type": "tell", "trial": number, "value": 0.412, "step": 1, "status": "completed"});
        assert_eq!(say(&mut protocol, tell), json!({"type": "ok"}));
    }
    assert_eq!(
        say(&mut protocol, json!({"type": "ask"})),
        json!({"type": "done"})
    );
    assert_eq!(protocol.handle(r#"{"type":"end"}"#), "");
    assert!(protocol.ended());
}

#[test]
fn conditional_mixed_spaces_keep_their_types() {
    let space = json!([
        {"name": "opt", "type": "categorical", "values": ["sgd", "adam", "none"]},
        {"name": "width", "type": "int", "low": 8, "high": 1024, "log": true},
        {"name": "layers", "type": "int", "low": 1, "high": 3},
        {"name": "drop", "type": "ordinal", "values": [0.0, 0.3, 0.6]},
        {"name": "units2", "type": "ordinal", "values": [16, 32], "when": {"param": "layers", "in": [2, 3.0]}},
        {"name": "lr", "type": "float", "low": 1e-5, "high": 1.0, "log": true, "when": {"param": "opt", "in": ["sgd", "adam"]}},
        {"name": "nesterov", "type": "categorical", "values": [true, false], "when": {"param": "opt", "in": ["sgd"]}},
        {"name": "momentum", "type": "float", "low": 0, "high": 1, "when": {"param": "nesterov", "in": [true]}},
    ]);
    let mut protocol = protocol("random", None);
    let init = json!({"type": "init", "seed": 5, "space": space, "max_trials": 200});
    assert_eq!(say(&mut protocol, init), json!({"type": "ready"}));
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for _ in 0..200 {
        let trial = say(&mut protocol, json!({"type": "ask"}));
        let params = &trial["params"];
        assert!((8..=1024).contains(&params["width"].as_i64().unwrap()));
        assert!(params["drop"].is_f64());
        let has = |name: &str| params.get(name).is_some();
        assert_eq!(has("units2"), params["layers"] != 1);
        assert_eq!(has("lr"), params["opt"] != "none");
        assert_eq!(has("nesterov"), params["opt"] == "sgd");
        assert_eq!(has("momentum"), params["nesterov"] == true);
        for name in ["units2", "lr", "nesterov", "momentum"] {
            *seen.entry(name).or_default() += u32::from(has(name));
        }
    }
    assert!(seen.values().all(|count| *count > 10), "{seen:?}");
}

#[test]
fn curves_are_stopped_and_the_budget_is_whole_trainings() {
    let mut protocol = protocol("random", None);
    let init = json!({"type": "init", "seed": 2, "goal": "minimize", "space": lr(), "max_trials": 10, "workers": 1,
        "fidelity": {"min": 1, "max": 9}});
    assert_eq!(say(&mut protocol, init), json!({"type": "ready"}));
    let (mut trials, mut steps, mut stops) = (0, 0, 0);
    loop {
        let trial = say(&mut protocol, json!({"type": "ask"}));
        if trial["type"] == "done" {
            break;
        }
        trials += 1;
        assert_eq!(trial["resource"], 9);
        let goodness = (trial["params"]["lr"].as_f64().unwrap().log10() + 2.0).abs();
        let mut value = 0.0;
        let mut last = 9;
        for step in 1..=9 {
            steps += 1;
            value = goodness + 1.0 / f64::from(step);
            let report = json!({"type": "report", "trial": trial["trial"], "step": step, "value": value});
            let decision = say(&mut protocol, report);
            assert_eq!(decision["type"], "decision");
            if decision["action"] == "stop" {
                assert!(step >= 3, "not before a third");
                stops += 1;
                last = step;
                break;
            }
        }
        let status = if last == 9 { "completed" } else { "stopped" };
        let tell =
            json!({"type": "tell", "trial": trial["trial"], "value": value, "step": last, "status": status});
        assert_eq!(say(&mut protocol, tell), json!({"type": "ok"}));
    }
    assert!((90..99).contains(&steps), "{steps} steps");
    assert!(trials > 10 && stops > 0, "{trials} trials, {stops} stops");
}

#[test]
fn mistakes_are_answered_and_change_nothing() {
    let mut protocol = protocol("random", Some("bandit:slack_factor=0.1"));
    for (line, message) in [
        (
            "{",
            "not a message: EOF while parsing an object at line 1 column 1",
        ),
        ("[]", "not a message: "),
        (r#"{"type":"dance"}"#, "not a message: unknown variant `dance`"),
        (r#"{"type":"ask"}"#, "`init` comes first"),
        (r#"{"type":"init"}"#, "not a message: missing field `space`"),
        (
            r#"{"type":"init","version":2,"space":[]}"#,
            "this program speaks version 1, not 2",
        ),
        (
            r#"{"type":"init","space":[{"name":"x","type":"float"}]}"#,
            "parameter `x` needs `low` and `high`",
        ),
        (
            r#"{"type":"init","space":[{"name":"x","type":"int","low":0.5,"high":2}]}"#,
            "parameter `x` needs whole numbers as bounds",
        ),
        (
            r#"{"type":"init","space":[{"name":"x","type":"float","low":0,"high":2,"log":true}]}"#,
            "parameter `x` needs bounds above 0 for its logarithm",
        ),
        (
            r#"{"type":"init","space":[{"name":"x","type":"ordinal","values":[1],"when":{"param":"y","in":[1]}}]}"#,
            "parameter `x` depends on `y`, which does not come before it",
        ),
        (
            r#"{"type":"init","space":[],"fidelity":{"min":3,"max":2}}"#,
            "`fidelity` goes from 3 to 2",
        ),
    ] {
        let answer: Value = serde_json::from_str(&protocol.handle(line)).unwrap();
        assert_eq!(answer["type"], "error", "{line}");
        let said = answer["message"].as_str().unwrap();
        assert!(said.starts_with(message), "{line}: {said}");
    }
    assert_eq!(protocol.handle("  "), "");
    let init = json!({"type": "init", "space": lr()});
    assert_eq!(say(&mut protocol, init.clone()), json!({"type": "ready"}));
    assert_eq!(say(&mut protocol, init)["message"], "`init` comes once");
    say(&mut protocol, json!({"type": "ask"}));
    let tell = |value: Value| json!({"type": "tell", "trial": 0, "value": value, "status": "completed"});
    assert_eq!(say(&mut protocol, tell(json!(0.5))), json!({"type": "ok"}));
    assert_eq!(
        say(&mut protocol, tell(json!(0.1))),
        json!({"type": "ok"}),
        "twice is once"
    );
    assert_eq!(protocol.study().unwrap().best().unwrap().value, 0.5);
    let unknown = json!({"type": "tell", "trial": 7, "value": 1.0});
    assert_eq!(say(&mut protocol, unknown)["message"], "there is no trial 7");
    let late = json!({"type": "report", "trial": 0, "step": 1, "value": 1.0});
    assert_eq!(say(&mut protocol, late)["message"], "trial 0 is Completed");
    say(&mut protocol, json!({"type": "ask"}));
    assert_eq!(
        say(&mut protocol, json!({"type": "tell", "trial": 1, "value": null})),
        json!({"type": "ok"})
    );
}

fn word() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!("init")),
        Just(json!("ask")),
        Just(json!("report")),
        Just(json!("tell")),
        Just(json!("end")),
        Just(json!(null)),
        (-2i64..6).prop_map(|number| json!(number)),
        Just(json!(1e308)),
        Just(json!("NaN")),
        Just(json!([])),
        Just(json!({"min": 1, "max": 3})),
        Just(json!([{"name": "x", "type": "int", "low": -9e18, "high": 9e18}])),
        Just(json!([{"name": "x", "type": "int", "low": 5, "high": 1}])),
        Just(json!([{"name": "x", "type": "float", "low": 0, "high": 1}])),
        Just(json!([{"name": "x", "type": "categorical", "values": [null, [1], {"a": 1}]}])),
        Just(json!("stopped")),
    ]
}

fn message() -> impl Strategy<Value = String> {
    const KEYS: &[&str] = &[
        "type",
        "trial",
        "value",
        "step",
        "status",
        "space",
        "fidelity",
        "max_trials",
        "version",
    ];
    let pairs = prop::collection::btree_map(prop::sample::select(KEYS), word(), 0..6);
    prop_oneof![
        4 => (prop::sample::select(&["init", "ask", "ask", "report", "tell"][..]), pairs).prop_map(|(kind, mut pairs)| {
            pairs.insert("type", json!(kind));
            serde_json::to_string(&pairs).unwrap()
        }),
        1 => ".{0,40}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_said_is_answered(begin in any::<bool>(), messages in prop::collection::vec(message(), 0..40)) {
        let mut protocol = protocol("random", Some("median"));
        if begin {
            say(&mut protocol, json!({"type": "init", "space": lr(), "max_trials": 5, "fidelity": {"min": 1, "max": 2}}));
        }
        for message in messages {
            let answer = protocol.handle(&message);
            if !answer.is_empty() {
                let answer: Value = serde_json::from_str(&answer).unwrap();
                prop_assert!(answer["type"].is_string());
            }
        }
    }
}
