//! Tests of snapshots on real folders.

use super::*;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

fn write(root: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn names(root: &Path) -> Vec<String> {
    walk(root)
        .unwrap()
        .files
        .into_iter()
        .map(|file| file.relative)
        .collect()
}

#[test]
fn patterns_are_matched_against_each_file() {
    let root = tempfile::tempdir().unwrap();
    write(
        root.path(),
        &[
            ("a.csv", ""),
            ("d/keep.csv", ""),
            ("data/x", ""),
            ("data/keep.csv", ""),
            ("outputs/a.txt", ""),
            ("x/outputs/a", ""),
            ("outputs2", ""),
            ("rooted/a", ""),
            ("x/rooted/a", ""),
            (
                ".amlignore",
                "*.csv\n!keep.csv\ndata/\n!data/keep.csv\noutputs\n/rooted\n",
            ),
            (".gitignore", "train.py\n"),
            ("train.py", ""),
            ("x/.gitignore", "*\n"),
            (".git/config", ""),
            (".overdrive/overdrive.db", ""),
        ],
    );
    assert_eq!(
        names(root.path()),
        [
            ".amlignore",
            ".gitignore",
            "d/keep.csv",
            "data/keep.csv",
            "outputs2",
            "train.py",
            "x/.gitignore",
            "x/rooted/a"
        ]
    );
}

#[test]
fn gitignore_serves_when_there_is_no_amlignore() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), &[("a", ""), ("b", ""), (".gitignore", "b\n")]);
    assert_eq!(names(root.path()), [".gitignore", "a"]);
}

#[test]
fn links_are_followed_loops_and_pipes_are_named() {
    let outside = tempfile::tempdir().unwrap();
    write(outside.path(), &[("data.txt", "1")]);
    let root = tempfile::tempdir().unwrap();
    write(root.path(), &[("train.py", "")]);
    symlink(outside.path(), root.path().join("data")).unwrap();
    symlink(root.path(), root.path().join("loop")).unwrap();
    symlink("nowhere", root.path().join("dangling")).unwrap();
    std::process::Command::new("mkfifo")
        .arg(root.path().join("pipe"))
        .status()
        .unwrap();
    let found = walk(root.path()).unwrap();
    assert_eq!(
        found
            .files
            .iter()
            .map(|f| f.relative.as_str())
            .collect::<Vec<_>>(),
        ["data/data.txt", "train.py"]
    );
    let notes = found.notes.join("\n");
    for part in [
        "`loop`: a link that leads back",
        "`dangling`",
        "`pipe`: not a regular file",
    ] {
        assert!(notes.contains(part), "{part} missing in {notes}");
    }
}

#[test]
fn equal_folders_share_a_snapshot_and_a_change_costs_only_itself() {
    let store = tempfile::tempdir().unwrap();
    let root = tempfile::tempdir().unwrap();
    write(
        root.path(),
        &[
            ("train.py", "print(1)\n"),
            ("lib/model.py", &"x".repeat(10_000)),
            ("run.sh", "true\n"),
        ],
    );
    fs::set_permissions(root.path().join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    let first = take(root.path(), store.path()).unwrap();
    assert_eq!((first.files, first.new_bytes), (3, first.bytes));
    assert_eq!(
        fs::read_to_string(first.folder.join("train.py")).unwrap(),
        "print(1)\n"
    );
    assert_eq!(
        fs::metadata(first.folder.join("run.sh")).unwrap().mode() & 0o777,
        0o755
    );

    let again = take(root.path(), store.path()).unwrap();
    assert_eq!((again.id.as_str(), again.new_bytes), (first.id.as_str(), 0));

    fs::write(root.path().join("train.py"), "print(2)\n").unwrap();
    let second = take(root.path(), store.path()).unwrap();
    assert_ne!(second.id, first.id);
    assert_eq!(second.new_bytes, 9);
    assert_eq!(
        fs::read_to_string(first.folder.join("train.py")).unwrap(),
        "print(1)\n"
    );
}

#[test]
fn only_the_named_files_when_the_code_is_one_file() {
    let store = tempfile::tempdir().unwrap();
    let root = tempfile::tempdir().unwrap();
    write(root.path(), &[("train.py", "1"), ("other.py", "2")]);
    let taken = take_only(root.path(), &["train.py".into()], store.path()).unwrap();
    assert_eq!(taken.files, 1);
    assert!(taken.folder.join("train.py").is_file() && !taken.folder.join("other.py").exists());
    assert!(take_only(root.path(), &["gone.py".into()], store.path()).is_err());
}

#[test]
fn a_missing_folder_is_one_clear_error() {
    let error = take(Path::new("/nonexistent/src"), Path::new("/nonexistent/store")).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/src"), "{error}");
}
