//! The registry on real folders.

use super::*;
use crate::target::pool::{self, Pool, Priority};

fn definition(name: &str) -> Definition {
    Definition {
        name: name.into(),
        kind: &pool::KIND,
        description: Some("for tests".into()),
        tags: IndexMap::from([("team".to_owned(), "a: b".to_owned())]),
        cost_per_hour: None,
        created_on: Some("2026-01-01T00:00:00.000Z".into()),
        modified_on: None,
        settings: Box::new(Pool {
            vm_size: "STANDARD_D3_V2".into(),
            min_nodes: 0,
            max_nodes: 4,
            idle_seconds_before_scaledown: 1800,
            vm_priority: Priority::LowPriority,
            cpus: None,
            memory_gib: None,
            gpus: None,
            slurm: None,
            kubernetes: None,
            admin_username: None,
        }),
    }
}

fn changed(definition: &mut Definition, change: impl FnOnce(&mut Pool)) {
    let mut pool = definition.of::<Pool>().unwrap().clone();
    change(&mut pool);
    definition.settings = Box::new(pool);
}

fn registry() -> (tempfile::TempDir, Registry) {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::new(&folder.path().join("state"), Some(&folder.path().join("config")));
    (folder, registry)
}

#[test]
fn what_is_written_is_read_again() {
    let (folder, registry) = registry();
    assert!(registry.list().unwrap().is_empty());
    let made = registry
        .create(Level::Project, &definition("cpu-cluster"))
        .unwrap();
    assert_eq!(made.path, folder.path().join("state/compute/cpu-cluster.yml"));
    let mut found = registry.get("CPU-Cluster").unwrap();
    assert_eq!(found, made);
    changed(&mut found.definition, |pool| pool.max_nodes = 9);
    registry.update(&found).unwrap();
    assert_eq!(
        registry
            .get("cpu-cluster")
            .unwrap()
            .definition
            .of::<Pool>()
            .unwrap()
            .max_nodes,
        9
    );
    // Nothing but the file is left behind.
    assert_eq!(
        fs::read_dir(folder.path().join("state/compute")).unwrap().count(),
        1
    );
    assert!(registry.remove("Cpu-Cluster").unwrap().is_some());
    assert!(registry.remove("cpu-cluster").unwrap().is_none());
    assert!(matches!(
        registry.get("cpu-cluster"),
        Err(RegistryError::NotFound { .. })
    ));
}

#[test]
fn the_project_wins_over_the_user() {
    let (folder, registry) = registry();
    registry.create(Level::User, &definition("shared")).unwrap();
    assert!(
        folder
            .path()
            .join("config/overdrive/compute/shared.yml")
            .is_file()
    );
    assert_eq!(registry.get("shared").unwrap().level, Level::User);
    let mut own = definition("Shared");
    assert!(matches!(
        registry.create(Level::Project, &own),
        Err(RegistryError::Exists { .. })
    ));
    // Written by hand.
    changed(&mut own, |pool| pool.max_nodes = 1);
    let path = folder.path().join("state/compute/Shared.yml");
    write(&path, &own, true).unwrap();
    assert_eq!(registry.get("shared").unwrap().path, path);
    let all = registry.list().unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].0, "Shared");
}

#[test]
fn names_follow_the_rule() {
    for name in ["a", "cpu-cluster", "A1", &"a".repeat(32)] {
        check_name(name).unwrap();
    }
    for name in ["", "1a", "-a", "a_b", "a.b", "../x", "é", &"a".repeat(33)] {
        assert!(matches!(check_name(name), Err(RegistryError::Name(_))), "{name}");
    }
    for name in ["local", "LOCAL", "amlcompute", "ContainerInstance"] {
        assert!(
            matches!(check_name(name), Err(RegistryError::Reserved(_))),
            "{name}"
        );
    }
}

#[test]
fn files_by_hand_are_read_and_their_errors_told() {
    let (folder, registry) = registry();
    let compute = folder.path().join("state/compute");
    fs::create_dir_all(&compute).unwrap();
    let put = |name: &str, text: &str| fs::write(compute.join(name), text).unwrap();
    put(
        "short.yml",
        "name: short\ntype: amlcompute\namlcompute: {vm_size: d1_v2, max_nodes: 2}\n",
    );
    let short = registry.get("short").unwrap().definition;
    let short = short.of::<Pool>().unwrap();
    assert_eq!((short.idle_seconds_before_scaledown, short.min_nodes), (120, 0));
    for (name, text, told) in [
        (
            "typo",
            "name: typo\ntype: amlcompute\namlcompute: {vm_size: d1_v2, max_node: 2}\n",
            "max_node",
        ),
        (
            "kind",
            "name: kind\ntype: abacus\namlcompute: {vm_size: d1_v2, max_nodes: 2}\n",
            "abacus",
        ),
        (
            "section",
            "name: section\ntype: remote\namlcompute: {vm_size: d1_v2, max_nodes: 2}\n",
            "section",
        ),
        (
            "ssh",
            "name: ssh\ntype: remote\nremote: {address: -oProxyCommand=x}\n",
            "ProxyCommand",
        ),
        (
            "secret",
            "name: secret\ntype: remote\nremote: {address: gpu1, secret: hunter2}\n",
            "env:NAME",
        ),
        (
            "other",
            "name: else\ntype: amlcompute\namlcompute: {vm_size: d1_v2, max_nodes: 2}\n",
            "else",
        ),
        (
            "empty",
            "name: empty\ntype: amlcompute\namlcompute: {vm_size: d1_v2, max_nodes: 0}\n",
            "max_nodes",
        ),
        ("torn", "name: [", "torn.yml"),
    ] {
        put(&format!("{name}.yml"), text);
        let error = registry.get(name).unwrap_err().to_string();
        assert!(error.contains(told), "{name}: {error}");
    }
    put("no_target.yml", "");
    put("notes.txt", "");
    assert_eq!(registry.list().unwrap().len(), 9);
    let error = registry.get("shrot").unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { near: Some(near), .. } if near == "short"));
    // One that cannot be read can be removed all the same.
    assert!(registry.remove("torn").unwrap().is_some());
}

#[test]
fn nothing_is_half_created() {
    let (folder, registry) = registry();
    let mut wrong = definition("wrong");
    changed(&mut wrong, |pool| pool.vm_size = "moon".into());
    assert!(matches!(
        registry.create(Level::Project, &wrong),
        Err(RegistryError::Settings(_))
    ));
    assert!(registry.create(Level::Project, &definition("local")).is_err());
    assert!(!folder.path().join("state").exists());
}
