//! Contact sheets: what is in a cluster at one look.

use std::path::{Path, PathBuf};

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

/// Writes a sheet of a cluster's members, nearest to the medoid first; of a large cluster some, evenly spread from the
/// medoid to the rim. Answers false, and writes nothing, where there is no member with a thumbnail any more.
pub(super) async fn write_sheet(
    client: &mut Client,
    members: &[Member],
    path: &Path,
) -> Result<bool, CliError> {
    let step = members.len().div_ceil(PICTURES_MAX).max(1);
    let ids: Vec<String> = members.iter().step_by(step).map(|member| member.image_id.clone()).collect();
    let thumbnails = client.thumbnails(&ids).await?;
    if thumbnails.is_empty() {
        return Ok(false);
    }
    let draw = move || {
        let pictures: Vec<&[u8]> = thumbnails.iter().map(Vec::as_slice).collect();
        contact_sheet(&pictures, COLUMNS, CELL_PX)
    };
    let png = match tokio::task::spawn_blocking(draw).await {
        Ok(png) => png?,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    std::fs::write(path, png).map_err(CliError::file("write", path))?;
    Ok(true)
}

/// The file of a cluster's sheet.
pub(super) fn sheet_path(folder: &Path, cluster_id: u64) -> PathBuf {
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
    let bar = progress::counted(clusters.len() as u64, "contact sheets");
    let mut written = 0;
    for cluster in clusters {
        let members = client.all_members(clustering_id, Some(cluster.cluster_id)).await?;
        let path = sheet_path(folder, cluster.cluster_id);
        written += u64::from(write_sheet(client, &members, &path).await?);
        bar.inc(1);
    }
    let noise = client.all_members(clustering_id, None).await?;
    write_sheet(client, &noise, &folder.join("noise.png")).await?;
    bar.finish_and_clear();
    Ok(written)
}
