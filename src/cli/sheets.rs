//! Contact sheets: what is in a cluster at one look.

use std::path::{Path, PathBuf};

use tokio::task::{JoinError, JoinSet};

use super::client::Client;
use super::error::CliError;
use super::progress;
use crate::decode::contact_sheet;
use crate::proto::{Cluster, Member};

/// Pictures on a sheet, at most.
const PICTURES_MAX: usize = 64;
/// Pictures in a row.
const COLUMNS: u32 = 8;
/// Edge of a picture, in pixels.
const CELL_PX: u32 = 160;
/// Sheets drawn at a time, at most; no more than there are processors.
const DRAWN_AT_ONCE_MAX: usize = 16;

/// Thumbnails for a sheet, nearest to the medoid first; of a large cluster some, evenly spread from the medoid to the
/// rim.
async fn thumbnails(client: &mut Client, members: &[Member]) -> Result<Vec<Vec<u8>>, CliError> {
    let step = members.len().div_ceil(PICTURES_MAX).max(1);
    let ids: Vec<String> = members.iter().step_by(step).map(|member| member.image_id.clone()).collect();
    client.thumbnails(&ids).await
}

/// Draws and writes a sheet. Answers false, and writes nothing, where there is nothing to show.
fn draw(thumbnails: &[Vec<u8>], path: &Path) -> Result<bool, CliError> {
    if thumbnails.is_empty() {
        return Ok(false);
    }
    let pictures: Vec<&[u8]> = thumbnails.iter().map(Vec::as_slice).collect();
    let png = contact_sheet(&pictures, COLUMNS, CELL_PX)?;
    std::fs::write(path, png).map_err(CliError::file("write", path))?;
    Ok(true)
}

/// What a drawing thread answered; a panic of it goes on here.
fn drawn(joined: Result<Result<bool, CliError>, JoinError>) -> Result<bool, CliError> {
    match joined {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Writes the sheet of one cluster. Answers false, and writes nothing, where no member is stored any more.
pub(super) async fn write_sheet(
    client: &mut Client,
    members: &[Member],
    path: &Path,
) -> Result<bool, CliError> {
    let thumbnails = thumbnails(client, members).await?;
    let path = path.to_path_buf();
    drawn(tokio::task::spawn_blocking(move || draw(&thumbnails, &path)).await)
}

/// The file of a cluster's sheet.
fn sheet_path(folder: &Path, cluster_id: u64) -> PathBuf {
    folder.join(format!("cluster-{cluster_id:04}.png"))
}

/// Writes a sheet per cluster, and `noise.png` where there is noise, into a folder, which is made if it is not there.
/// Answers how many clusters got theirs.
pub(super) async fn write_sheets(
    client: &mut Client,
    clustering_id: u64,
    clusters: &[Cluster],
    folder: &Path,
) -> Result<u64, CliError> {
    std::fs::create_dir_all(folder).map_err(CliError::file("make the folder", folder))?;
    let at_once = std::thread::available_parallelism().map_or(1, usize::from).min(DRAWN_AT_ONCE_MAX);
    let bar = progress::counted(clusters.len() as u64, "contact sheets");
    let mut drawing = JoinSet::new();
    let mut written = 0;
    for cluster in clusters {
        let members = client.all_members(clustering_id, Some(cluster.cluster_id)).await?;
        let thumbnails = thumbnails(client, &members).await?;
        if drawing.len() >= at_once
            && let Some(sheet) = drawing.join_next().await
        {
            written += u64::from(drawn(sheet)?);
            bar.inc(1);
        }
        let path = sheet_path(folder, cluster.cluster_id);
        drawing.spawn_blocking(move || draw(&thumbnails, &path));
    }
    while let Some(sheet) = drawing.join_next().await {
        written += u64::from(drawn(sheet)?);
        bar.inc(1);
    }
    let noise = client.all_members(clustering_id, None).await?;
    write_sheet(client, &noise, &folder.join("noise.png")).await?;
    bar.finish_and_clear();
    Ok(written)
}
