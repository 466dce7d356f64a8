//! What CI systems understand in a log: groups that fold, and annotations of failures.

use crate::report::text;

/// Whose log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ci {
    /// Nobody's who folds.
    #[default]
    None,
    /// GitHub Actions.
    GitHub,
    /// GitLab CI.
    GitLab,
    /// Azure Pipelines.
    Azure,
}

impl Ci {
    /// Found out by the variables that each system sets.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let is = |name: &str| variable(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        if is("GITHUB_ACTIONS") {
            Self::GitHub
        } else if is("GITLAB_CI") {
            Self::GitLab
        } else if is("TF_BUILD") {
            Self::Azure
        } else {
            Self::None
        }
    }

    /// `lines` under a title that folds; nothing where nobody folds. `id` is unique in the log, `seconds` the time since the epoch.
    pub fn group(self, id: &str, title: &str, lines: &[String], seconds: u64) -> Vec<String> {
        let (begin, end) = match self {
            Self::None => return Vec::new(),
            Self::GitHub => (format!("::group::{title}"), "::endgroup::".to_owned()),
            Self::GitLab => (
                format!("\x1b[0Ksection_start:{seconds}:{id}[collapsed=true]\r\x1b[0K{title}"),
                format!("\x1b[0Ksection_end:{seconds}:{id}\r\x1b[0K"),
            ),
            Self::Azure => (format!("##[group]{title}"), "##[endgroup]".to_owned()),
        };
        let quoted = lines.iter().map(|line| format!("| {}", harmless(line)));
        std::iter::once(begin)
            .chain(quoted)
            .chain(std::iter::once(end))
            .collect()
    }

    /// The line that makes a failure visible on the page of the job.
    pub fn failure(self, title: &str, message: &str) -> Option<String> {
        let (title, message) = (harmless(title), harmless(message));
        match self {
            Self::None | Self::GitLab => None,
            Self::GitHub => {
                let value = |text: &str| text.replace('%', "%25");
                let title = value(&title).replace(':', "%3A").replace(',', "%2C");
                Some(format!("::error title={title}::{}", value(&message)))
            }
            Self::Azure => Some(format!("##vso[task.logissue type=error]{title}: {message}")),
        }
    }
}

/// A script's words must not be commands of the system whose log they get into: those begin with `::` or hold `##[`, `##vso[`.
fn harmless(line: &str) -> String {
    text::printable(line)
        .replace("##[", "# #[")
        .replace("##vso[", "# #vso[")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_system_has_its_words() {
        let on = |name: &'static str| Ci::of(|asked| (asked == name).then(|| "true".to_owned()));
        assert_eq!(on("GITHUB_ACTIONS"), Ci::GitHub);
        assert_eq!(on("GITLAB_CI"), Ci::GitLab);
        assert_eq!(on("TF_BUILD"), Ci::Azure);
        assert_eq!(on("CI"), Ci::None);
        let lines = ["::set-output x".to_owned(), "##vso[task.complete]".to_owned()];
        assert_eq!(
            Ci::GitHub.group("t5", "log of trial 5", &lines, 7),
            [
                "::group::log of trial 5",
                "| ::set-output x",
                "| # #vso[task.complete]",
                "::endgroup::"
            ]
        );
        assert_eq!(
            Ci::GitLab.group("t5", "log", &[], 7),
            [
                "\x1b[0Ksection_start:7:t5[collapsed=true]\r\x1b[0Klog",
                "\x1b[0Ksection_end:7:t5\r\x1b[0K"
            ]
        );
        assert!(Ci::None.group("t5", "log", &lines, 7).is_empty());
        assert_eq!(
            Ci::GitHub.failure("trial 5: failed", "exit 1 at 50%").as_deref(),
            Some("::error title=trial 5%3A failed::exit 1 at 50%25")
        );
        assert_eq!(
            Ci::Azure.failure("trial 5", "exit 1").as_deref(),
            Some("##vso[task.logissue type=error]trial 5: exit 1")
        );
    }
}
