//! Verification.

use crate::engine::VerifyReport;
use crate::proto;

/// What was looked at, and what was found.
pub(super) fn report(report: &VerifyReport) -> proto::VerifyReport {
    let problem = |problem: &crate::engine::VerifyProblem| proto::VerifyProblem {
        collection: problem.collection.clone(),
        kind: problem.kind.clone(),
        key: problem.key.clone(),
        detail: problem.what.clone(),
    };
    proto::VerifyReport {
        records: report
            .records
            .iter()
            .map(|(kind, count)| proto::RecordCount { kind: kind.clone(), count: *count })
            .collect(),
        collections: report.collections,
        problems: report.problems,
        listed: report.listed.iter().map(problem).collect(),
        skipped: report.skipped.clone(),
    }
}
