//! Writing the whole store to one file while it is in use.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::store::StoreError;
use crate::store::backup::BackupWriter;

use super::error::EngineError;
use super::lock::now_ms;
use super::operations::{Operation, OperationResult};
use super::persist::Persist;
use super::requests::RequestKey;
use super::{Engine, Started};

/// Characters of a backup's name at most.
const NAME_CHARACTERS_MAX: usize = 64;

/// A backup that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupReport {
    /// The file.
    pub path: String,
    /// Its bytes.
    pub bytes: u64,
    /// Records in it; one that changed meanwhile counts more than once.
    pub records: u64,
}

impl Engine {
    /// Starts writing a backup of all collections; an empty name takes the time. One runs at a time.
    ///
    /// # Errors
    /// No backup folder is set, a name that is not allowed or taken, or one that runs already.
    pub fn backup(&self, name: &str, request: Option<&RequestKey>) -> Result<Arc<Operation>, EngineError> {
        let daemon = self.persist.daemon();
        if let Some(Started { operation }) = daemon.replay(request)? {
            return self.operations.get(operation);
        }
        let folder = self.backup_folder.as_ref().ok_or_else(|| EngineError::Precondition {
            reason: "NO_BACKUP_FOLDER",
            message: "the daemon has no folder for backups; start it with --backup-folder DIR".to_owned(),
        })?;
        let created_ms = now_ms();
        let name = if name.is_empty() { default_name(created_ms) } else { name.to_owned() };
        check_name(&name)?;
        let path = folder.join(&name);
        if path.exists() {
            return Err(EngineError::AlreadyExists { what: "backup", name });
        }
        let operation = self.operations.start("", "Backup")?;
        if request.is_some() {
            let mut batch = daemon.batch();
            batch.remember(request, &Started { operation: operation.status().number })?;
            daemon.commit("request", batch)?;
        }
        let (persist, folder) = (self.persist.clone(), folder.clone());
        self.run(&operation, move |operation| write(&persist, &folder, &path, created_ms, operation));
        Ok(operation)
    }
}

fn write(
    persist: &Persist,
    folder: &Path,
    path: &Path,
    created_ms: i64,
    operation: &Operation,
) -> Result<OperationResult, EngineError> {
    fs::create_dir_all(folder).map_err(|source| StoreError::io("create", folder, source))?;
    let mut file = BackupWriter::create(path, created_ms)?;
    let mut records = 0;
    let copied = persist.copy(&mut |writes| {
        if operation.is_cancelled() {
            return Err(StoreError::Closed);
        }
        records += writes.len() as u64;
        operation.progress("copying", records, 0);
        file.push(&writes)
    });
    if operation.is_cancelled() {
        return Err(EngineError::Cancelled);
    }
    copied?;
    let written = file.finish()?;
    let path = path.display().to_string();
    Ok(OperationResult::BackedUp(BackupReport { path, bytes: written.bytes, records: written.records }))
}

fn check_name(name: &str) -> Result<(), EngineError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.len() <= NAME_CHARACTERS_MAX && !name.starts_with('.') && name.chars().all(allowed) {
        return Ok(());
    }
    let description = format!(
        "must be 1 to {NAME_CHARACTERS_MAX} characters of a-z, A-Z, 0-9, '-', '_' and '.', not starting with '.'"
    );
    Err(EngineError::invalid("name", description))
}

/// Such as `culld-20260131-235959.backup`, in UTC.
fn default_name(ms: i64) -> String {
    let seconds = ms.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Years that begin in March have their odd day at the end: 146,097 days in 400 of them.
    let (era, day) = ((days + 719_468).div_euclid(146_097), (days + 719_468).rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) =
        (era * 400 + year + i64::from(month > 9), if month > 9 { month - 9 } else { month + 3 });
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("culld-{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}.backup")
}

#[cfg(test)]
mod tests {
    use super::default_name;

    #[test]
    fn names_are_dates() {
        for (seconds, name) in [
            (0, "culld-19700101-000000.backup"),
            (951_782_400, "culld-20000229-000000.backup"),
            (951_868_799, "culld-20000229-235959.backup"),
            (4_107_542_399, "culld-21000228-235959.backup"),
            (4_107_542_400, "culld-21000301-000000.backup"),
        ] {
            assert_eq!(default_name(seconds * 1000), name);
        }
    }
}
