//! Operations.

use tonic::Code;

use crate::engine::{FailureKind, OperationFailure, OperationResult, OperationStatus};
use crate::proto;

use super::{clustering, timestamp};

pub(in crate::grpc) fn operation(status: &OperationStatus) -> proto::Operation {
    proto::Operation {
        name: format!("operations/{}", status.number),
        collection: status.collection.clone(),
        method: status.method.clone(),
        create_time: Some(timestamp(status.created_ms)),
        end_time: status.ended_ms.map(timestamp),
        phase: status.phase.clone(),
        work_done: status.done,
        work_total: status.total,
        done: status.result.is_some(),
        result: status.result.as_ref().map(|result| match result {
            Ok(found) => success(found),
            Err(failed) => proto::operation::Result::Error(failure(failed)),
        }),
    }
}

fn success(result: &OperationResult) -> proto::operation::Result {
    match result {
        OperationResult::Clustering(head, active) => {
            proto::operation::Result::Clustering(clustering(head, *active, false))
        }
        OperationResult::Verified(found) => {
            proto::operation::Result::Verify(crate::grpc::verify::report(found))
        }
        OperationResult::BackedUp(report) => proto::operation::Result::Backup(proto::BackupReport {
            path: report.path.clone(),
            bytes: report.bytes,
            records: report.records,
        }),
        OperationResult::Import(summary) => proto::operation::Result::Import(proto::ImportResult {
            files: summary.files,
            added: summary.added,
            already_present: summary.already_present,
            rejected: summary.rejected,
            failed: summary.failed,
            problems: summary
                .problems
                .iter()
                .map(|(path, detail)| proto::ImportProblem { path: path.clone(), detail: detail.clone() })
                .collect(),
        }),
    }
}

fn failure(failure: &OperationFailure) -> proto::OperationError {
    let (code, reason) = match failure.kind {
        FailureKind::Cancelled => (Code::Cancelled, "CANCELLED"),
        FailureKind::Interrupted => (Code::Aborted, "INTERRUPTED"),
        FailureKind::Precondition => (Code::FailedPrecondition, "PRECONDITION"),
        FailureKind::StorageFull => (Code::ResourceExhausted, "STORAGE_FULL"),
        FailureKind::Internal => (Code::Internal, "INTERNAL"),
    };
    proto::OperationError { code: code.into(), message: failure.message.clone(), reason: reason.to_owned() }
}
