//! What is worth telling of a decision, besides the decision.

use super::drive::Driver;
use crate::controller::Record;
use crate::policy::{PolicySpec, Slack};
use crate::store::Change;

/// Code of the warning about a relative slack of a number that is not positive.
const SLACK_OF_NEGATIVE: &str = "slack-factor";

impl Driver {
    /// A warning about the first best value for which a relative slack means little: none at 0, and below 0 a share of the
    /// magnitude, which nobody has documented.
    pub(super) fn remark(&mut self, record: &Record) -> Option<Change> {
        let Record::Incumbent { trial, value, .. } = record else {
            return None;
        };
        let PolicySpec::Bandit {
            slack: Slack::Factor(factor),
            literal: false,
            ..
        } = self.launcher.experiment.policy
        else {
            return None;
        };
        if self.told_of_slack || *value > 0.0 || factor == 0.0 {
            return None;
        }
        self.told_of_slack = true;
        Some(Change::Warning {
            trial: Some(*trial),
            attempt: None,
            code: SLACK_OF_NEGATIVE.into(),
            message: format!(
                "the best value is {value}, and `slack_factor` is a share of it: `slack_amount` says in the metric's own unit how much worse a trial may be"
            ),
        })
    }
}
