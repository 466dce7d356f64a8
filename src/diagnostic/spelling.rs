//! Nearest spellings: what somebody probably meant.

/// Spellings that are far apart in letters but near in mind: (typed, meant), compared without case, blanks, `-` and `_`.
const SYNONYMS: &[(&str, &str)] = &[
    ("max", "maximize"),
    ("maximise", "maximize"),
    ("maximum", "maximize"),
    ("min", "minimize"),
    ("minimum", "minimize"),
    ("minimise", "minimize"),
    ("maxtotaljobs", "max_total_runs"),
    ("maxtotaltrials", "max_total_runs"),
    ("maxtrials", "max_total_runs"),
    ("maxconcurrentjobs", "max_concurrent_runs"),
    ("maxconcurrenttrials", "max_concurrent_runs"),
    ("paralleltrials", "max_concurrent_runs"),
    ("maxtotalruns", "max_total_trials"),
    ("maxtotaljobs", "max_total_trials"),
    ("maxconcurrentruns", "max_concurrent_trials"),
    ("maxconcurrentjobs", "max_concurrent_trials"),
    ("timeout", "max_duration_minutes"),
    ("maxdurationminutes", "timeout"),
    ("primarymetric", "primary_metric_name"),
    ("primarymetricname", "primary_metric"),
    ("metric", "primary_metric_name"),
    ("goal", "primary_metric_goal"),
    ("primarymetricgoal", "goal"),
    ("earlytermination", "policy"),
    ("policy", "early_termination"),
    ("samplingalgorithm", "sampling"),
    ("sampling", "sampling_algorithm"),
    ("searchspace", "parameter_space"),
    ("parameterspace", "search_space"),
    ("gp", "bayesian"),
    ("bayes", "bayesian"),
    ("bayesianoptimization", "bayesian"),
    ("gridsearch", "grid"),
    ("randomsearch", "random"),
    ("int", "randint"),
    ("categorical", "choice"),
    ("float", "uniform"),
    ("logunif", "loguniform"),
    ("median", "medianstoppingpolicy"),
    ("none", "noterminationpolicy"),
    ("default", "noterminationpolicy"),
];

fn folded(word: &str) -> String {
    word.chars()
        .filter(|letter| !matches!(letter, '_' | '-' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}

/// The candidate that `word` most probably stands for: equal but for case and separators, else within a Damerau-Levenshtein
/// distance of `max(1, len / 3)`, `len` being that of the longer one; the nearest wins, then the first.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Long values are no misspellings, and the distance is quadratic.
    if word.len() > 100 {
        return None;
    }
    let wanted = folded(word);
    let length = word.chars().count();
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let other = folded(candidate);
        if other == wanted {
            return Some(candidate);
        }
        let distance = strsim::damerau_levenshtein(&wanted, &other);
        let limit = (length.max(other.chars().count()) / 3).max(1);
        if distance <= limit
            && distance < other.chars().count()
            && best.is_none_or(|(least, _)| distance < least)
        {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// [`nearest`], with a table of known synonyms tried before the edit distance (after equality but for case).
pub fn nearest_or_synonym<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let wanted = folded(word);
    if let Some(same) = candidates.iter().find(|candidate| folded(candidate) == wanted) {
        return Some(same);
    }
    SYNONYMS
        .iter()
        .filter(|(typed, _)| *typed == wanted)
        .find_map(|(_, meant)| {
            candidates
                .iter()
                .find(|candidate| folded(candidate) == folded(meant))
        })
        .copied()
        .or_else(|| nearest(word, candidates.iter().copied()))
}

/// `a, b, c`, at most twelve of them.
pub fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.into_iter().collect();
    let mut text = words.iter().take(12).copied().collect::<Vec<_>>().join(", ");
    if words.len() > 12 {
        text.push_str(&format!(", and {} more", words.len() - 12));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let expressions = [
            "choice",
            "randint",
            "uniform",
            "quniform",
            "loguniform",
            "qloguniform",
        ];
        assert_eq!(nearest("logunifrom", expressions), Some("loguniform"));
        assert_eq!(nearest("Choice", expressions), Some("choice"));
        assert_eq!(nearest("gibberish", expressions), None);
        assert_eq!(nearest("x", ["y"]), None);
        assert_eq!(
            nearest("slack_facter", ["slack_factor", "slack_amount"]),
            Some("slack_factor")
        );
        assert_eq!(
            nearest_or_synonym("max", &["maximize", "minimize"]),
            Some("maximize")
        );
        assert_eq!(
            nearest_or_synonym("max_total_jobs", &["max_total_runs", "max_concurrent_runs"]),
            Some("max_total_runs")
        );
        assert_eq!(nearest(&"a".repeat(200_000), ["a"]), None);
    }
}
