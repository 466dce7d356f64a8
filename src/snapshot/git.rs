//! Facts about the source folder's git work tree, as Azure ML recorded them on a run.

use indexmap::IndexMap;
use std::path::Path;
use std::process::{Command, Stdio};

/// Properties of the work tree that `folder` lies in, by their Azure ML and MLflow names; empty if git is missing or it is no work
/// tree. Environment variables `AZUREML_GIT_*` override single facts. User and password are taken out of the repository's URL.
pub fn facts(folder: &Path, variable: &dyn Fn(&str) -> Option<String>) -> IndexMap<String, String> {
    let mut facts = IndexMap::new();
    let inside = git(folder, &["rev-parse", "--is-inside-work-tree"]).as_deref() == Some("true");
    let ask = |arguments: &[&str]| if inside { git(folder, arguments) } else { None };
    let mut put = |override_name: &str, value: Option<String>, names: &[&str]| {
        if let Some(value) = variable(override_name)
            .or(value)
            .filter(|value| !value.is_empty())
        {
            for name in names {
                facts.insert((*name).to_owned(), value.clone());
            }
        }
    };
    put(
        "AZUREML_GIT_REPOSITORY_URI",
        ask(&["ls-remote", "--get-url"]).map(|url| without_credentials(&url)),
        &["azureml.git.repository_uri", "mlflow.source.git.repoURL"],
    );
    put(
        "AZUREML_GIT_BRANCH",
        ask(&["symbolic-ref", "--short", "HEAD"]),
        &["azureml.git.branch", "mlflow.source.git.branch"],
    );
    put(
        "AZUREML_GIT_COMMIT",
        ask(&["rev-parse", "HEAD"]),
        &["azureml.git.commit", "mlflow.source.git.commit"],
    );
    let dirty = ask(&["status", "--porcelain", "."])
        .map(|status| if status.is_empty() { "False" } else { "True" }.to_owned());
    put("AZUREML_GIT_DIRTY", dirty, &["azureml.git.dirty"]);
    put("AZUREML_GIT_BUILD_ID", None, &["azureml.git.build_id"]);
    put("AZUREML_GIT_BUILD_URI", None, &["azureml.git.build_uri"]);
    facts
}

fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    if !output.status.success() {
        return None;
    }
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn without_credentials(url: &str) -> String {
    match (url.split_once("://"), url.rfind('@')) {
        (Some((scheme, rest)), Some(_)) => {
            let (authority, path) = rest.split_once('/').map_or((rest, ""), |(a, p)| (a, p));
            match authority.rsplit_once('@') {
                Some((_, host)) if path.is_empty() => format!("{scheme}://{host}"),
                Some((_, host)) => format!("{scheme}://{host}/{path}"),
                None => url.to_owned(),
            }
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_leave_the_url() {
        for (url, shown) in [
            (
                "https://user:secret@host.example/a/b.git",
                "https://host.example/a/b.git",
            ),
            ("https://token@host.example/a", "https://host.example/a"),
            ("https://host.example/a@b", "https://host.example/a@b"),
            ("git@host.example:a/b.git", "git@host.example:a/b.git"),
        ] {
            assert_eq!(without_credentials(url), shown);
        }
    }

    #[test]
    fn a_folder_that_is_no_work_tree_has_only_what_the_environment_says() {
        let folder = tempfile::tempdir().unwrap();
        let variable = |name: &str| (name == "AZUREML_GIT_BUILD_ID").then(|| "17".to_owned());
        let facts = facts(folder.path(), &variable);
        assert_eq!(facts.get("azureml.git.build_id").map(String::as_str), Some("17"));
        assert_eq!(facts.len(), 1);
    }
}
