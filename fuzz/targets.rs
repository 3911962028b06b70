//! What bytes from strangers go through, one function each: no bytes may make one panic, hang or take much memory.
//!
//! Shared by the fuzz targets and by the tests, which replay the corpora.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use culld::config::ServeArgs;
use culld::decode::{Limits, decode as decode_image, look};
use culld::engine::{Progress, verify_store};
use culld::portable::{Portable, npy_header, read_npy};
use culld::proto;
use culld::store::backup::BackupReader;
use culld::store::{Kind, LogRecord, MemoryStore, Store, Write, codec, verify_chain};
use prost::Message;

/// A target: its name, which is that of its corpus, and what it does.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// Every target.
pub(crate) const TARGETS: [Target; 8] = [
    ("decode", decode),
    ("record", record),
    ("log", log),
    ("message", message),
    ("config", config),
    ("labels", labels),
    ("backup", backup),
    ("export", export),
];

/// An image file, as the daemon takes it in, with smaller limits.
pub(crate) fn decode(bytes: &[u8]) {
    let limits = Limits { bytes_max: 1 << 20, pixels_max: 1 << 20, decode_time_max: Duration::from_secs(2) };
    if let Ok(image) = decode_image(bytes, &limits, 224) {
        assert!(u64::from(image.width) * u64::from(image.height) <= limits.pixels_max);
        assert_eq!(image.rgb.len() as u64, u64::from(image.width) * u64::from(image.height) * 3);
        // What has pixels has a thumbnail, or says why not.
        drop(look(&image));
    }
}

/// A record of any kind whose checksum is right: the first byte says which kind, the rest is the payload.
pub(crate) fn record(bytes: &[u8]) {
    let Some((&first, payload)) = bytes.split_first() else { return };
    let kind = Kind::ALL[usize::from(first) % Kind::ALL.len()];
    let mut key = vec![kind as u8, 0, 0, 0, 1];
    match kind.own_key_bytes() {
        Some(own) => key.resize(key.len() + own, 0),
        None => key.extend_from_slice(b"state"),
    }
    let value = codec::encode_bytes(kind.version(), &key, payload);
    let store = MemoryStore::new();
    let applied = store.apply(vec![Write::Put { key, value }]);
    assert!(applied.is_ok());
    let report = verify_store(&store, &Progress { tell: &|_, _, _| {}, cancelled: &|| false });
    assert!(report.is_ok());
}

/// Entries of an event log.
pub(crate) fn log(bytes: &[u8]) {
    let key = [Kind::Event as u8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    drop(codec::decode::<LogRecord>(Kind::Event.version(), &key, bytes));
    let sealed = codec::encode_bytes(Kind::Event.version(), &key, bytes);
    if let Ok(entries) = codec::decode::<Vec<LogRecord>>(Kind::Event.version(), &key, &sealed) {
        drop(verify_chain(&entries));
    }
}

fn reads<M: Message + Default>(bytes: &[u8]) {
    if let Ok(message) = M::decode(bytes) {
        // What was read is written and read again the same, but for numbers that are none.
        let again = message.encode_to_vec();
        assert!(M::decode(&again[..]).is_ok());
    }
}

/// Requests as they come from the wire.
pub(crate) fn message(bytes: &[u8]) {
    macro_rules! read_all {
        ($($message:ident),* $(,)?) => { $(reads::<proto::$message>(bytes);)* };
    }
    read_all!(
        ActivateClusteringRequest,
        AddImageRequest,
        AddImagesRequest,
        AnswerReviewRequest,
        BackupRequest,
        BatchGetDecisionsRequest,
        BatchGetThumbnailsRequest,
        CancelOperationRequest,
        CreateCollectionRequest,
        DeleteCollectionRequest,
        DeleteImagesRequest,
        EvaluateRequest,
        ExplainDecisionRequest,
        ExportCollectionRequest,
        FetchDecisionsRequest,
        FindDuplicatesRequest,
        FindNeighboursRequest,
        GetClusterRequest,
        GetClusteringRequest,
        GetCollectionRequest,
        GetGrowthRequest,
        GetImageRequest,
        GetMapRequest,
        GetOperationRequest,
        GetPolicyRequest,
        GetReachabilityRequest,
        GetServerInfoRequest,
        GetStatsRequest,
        ImportCollectionRequest,
        ImportSourcesRequest,
        ListClusteringsRequest,
        ListClustersRequest,
        ListCollectionsRequest,
        ListEventsRequest,
        ListImagesRequest,
        ListLiveClustersRequest,
        ListLiveMembersRequest,
        ListMembersRequest,
        ListOperationsRequest,
        NextReviewRequest,
        PreviewVerdictRequest,
        ReclusterRequest,
        SetPolicyRequest,
        SetVerdictRequest,
        SuggestParametersRequest,
        UndoEventRequest,
        VerifyRequest,
        WaitOperationRequest,
        WatchDecisionsRequest,
        WatchOperationRequest,
    );
}

/// A settings file.
pub(crate) fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(settings) = ServeArgs::parse_file(text) {
        drop(settings.resolve());
    }
}

/// A labels file.
pub(crate) fn labels(bytes: &[u8]) {
    drop(culld::cli::check_labels(bytes));
}

/// A backup.
pub(crate) fn backup(bytes: &[u8]) {
    let Ok(mut reader) = BackupReader::over(bytes, Path::new("backup")) else { return };
    let store = MemoryStore::new();
    while let Ok(Some(writes)) = reader.next_piece() {
        if store.apply(writes).is_err() {
            return;
        }
    }
    let visited = store.scan(&[], &mut |_, _| ControlFlow::Continue(()));
    assert!(visited.is_ok());
}

/// An export's entries; the checksums of the tar's headers are made right, so that what headers say is looked at.
pub(crate) fn export(bytes: &[u8]) {
    let mut tar = bytes.to_vec();
    let mut at = 0;
    while let Some(header) = tar.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<512>()) {
        if header.iter().all(|byte| *byte == 0) {
            break;
        }
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let octal = header[124..136].iter().take_while(|byte| (b'0'..b'8').contains(byte));
        let size = octal.fold(0usize, |size, digit| (size << 3 | usize::from(digit - b'0')) & 0xffff_ffff);
        at += 512 + size.next_multiple_of(512);
    }
    let mut portable = Portable::over(&tar[..]);
    let Ok(mut entries) = portable.entries() else { return };
    while let Ok(Some((_, bytes))) = entries.next_entry() {
        for rows in 0..4 {
            if let Some(values) = read_npy(&bytes, rows, 3) {
                assert_eq!(values.len(), rows * 3);
                assert!(bytes.starts_with(&npy_header(rows as u64, 3)));
            }
        }
    }
    drop(entries);
    drop(portable.end());
}
