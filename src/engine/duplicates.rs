//! Groups of near-duplicates, each with the picture to keep.
//!
//! Pictures are taken in the order in which they would be kept: pixels, then bytes, then age. Each that is in no group yet
//! gets all free pictures that are its near-duplicates, and then those that are near-duplicates of at least half of
//! these: a gray copy of a crop finds its group through the others. Chains make no group: a page is like the next one,
//! the next like a third, and soon a whole book would be one page.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, TryLockError};
use std::time::Duration;

use rayon::prelude::*;

use crate::decide::Duplicate;
use crate::decode::PerceptualHash;
use crate::types::{Generation, ImageId, PointOffset, Vectors};

use super::collection::Collection;
use super::error::EngineError;
use super::filter::Filter;
use super::likeness::{Picture, Thresholds};
use super::lock::read;
use super::state::Snapshot;

/// Images that one search takes at most: with as many, two cores take half a minute.
pub const DUPLICATES_IMAGES_MAX: usize = 50_000;
/// Members of a group that are asked whether another belongs to it, at most: the keeper and those nearest to it.
const WITNESSES_MAX: usize = 8;
/// Pictures compared by one thread at a time.
const BLOCK_ROWS: usize = 1024;

/// What to look for.
#[derive(Debug, Clone, PartialEq)]
pub struct DuplicateQuery {
    /// Among which images.
    pub filter: Filter,
    /// How far near-duplicates may be apart; `None` means the policy's.
    pub thresholds: Option<Thresholds>,
}

/// One picture of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct DuplicateMember {
    /// Which image.
    pub image: ImageId,
    /// Pixels, upright.
    pub width: u32,
    /// Pixels, upright.
    pub height: u32,
    /// Size of the file.
    pub bytes: u64,
    /// When it was added, milliseconds since 1970 UTC.
    pub added_ms: i64,
    /// Cosine distance to the keeper, [0, 2].
    pub distance: f32,
    /// Share of the hash's bits that differ from the keeper's, [0, 1].
    pub hash_distance: f32,
}

/// Near-duplicates.
#[derive(Debug, Clone, PartialEq)]
pub struct DuplicateGroup {
    /// The keeper, then the others, nearest to it first.
    pub members: Vec<DuplicateMember>,
    /// Why the keeper is to be kept, in words.
    pub reason: String,
}

/// All near-duplicates among some images.
#[derive(Debug, Clone, PartialEq)]
pub struct Duplicates {
    /// Largest groups first, then by the keeper's id.
    pub groups: Vec<DuplicateGroup>,
    /// Images compared.
    pub compared: u64,
    /// Images left out: without structure, or stored before perceptual hashes were.
    pub without_hash: u64,
    /// The generation of the images.
    pub generation: Generation,
}

/// What was found last, for the next page of it.
pub(super) struct FoundDuplicates {
    query: DuplicateQuery,
    thresholds: Thresholds,
    found: Arc<Duplicates>,
}

/// A picture that is looked at.
struct Candidate {
    offset: PointOffset,
    hash: PerceptualHash,
    member: DuplicateMember,
}

impl Candidate {
    fn picture<'a>(&'a self, vectors: &'a Vectors) -> Picture<'a> {
        let embedding = vectors.row(self.offset as usize);
        Picture { image: self.member.image, hash: &self.hash, embedding }
    }

    /// In the order in which pictures are kept: most pixels, most bytes, added first; then by id.
    fn rank(&self) -> impl Ord + use<> {
        let DuplicateMember { image, width, height, bytes, added_ms, .. } = self.member;
        (Reverse(u64::from(width) * u64::from(height)), Reverse(bytes), added_ms, image)
    }
}

/// What a caller waits while another search runs.
const SEARCH_RETRY_AFTER: Duration = Duration::from_secs(5);

impl Collection {
    /// Finds the near-duplicates among the images selected. Asked the same again, it answers at once while no image came
    /// or went.
    ///
    /// # Errors
    /// Another search that still runs, too many images, thresholds that are turned off, most images deleted meanwhile, or a store that fails.
    pub fn duplicates(&self, query: &DuplicateQuery) -> Result<Arc<Duplicates>, EngineError> {
        let mut last = match self.duplicates.try_lock() {
            Ok(last) => last,
            Err(TryLockError::Poisoned(last)) => last.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(EngineError::Exhausted {
                    message: "near-duplicates of this collection are being looked for already".to_owned(),
                    retry_after: Some(SEARCH_RETRY_AFTER),
                });
            }
        };
        let snapshot = self.snapshot();
        let thresholds = query.thresholds.or_else(|| Thresholds::of(&snapshot.policy)).ok_or_else(|| {
            let description = "must be given where the policy turns near-duplicates off";
            EngineError::invalid("duplicate_distance", description)
        })?;
        if let Some(last) = last.as_ref()
            && last.query == *query
            && last.thresholds == thresholds
            && last.found.generation == snapshot.generation
            && query.filter.holds_by_image()
        {
            return Ok(Arc::clone(&last.found));
        }
        let (candidates, without_hash) = self.candidates_for(&snapshot, &query.filter)?;
        let search = Search {
            collection: self,
            thresholds,
            compactions: snapshot.compactions,
            taken: candidates.iter().map(|_| AtomicBool::new(false)).collect(),
            candidates: &candidates,
        };
        let mut groups = search.groups()?;
        groups.sort_by_key(|group| (Reverse(group.members.len()), group.members[0].image));
        let compared = candidates.len() as u64;
        let found = Arc::new(Duplicates { groups, compared, without_hash, generation: snapshot.generation });
        *last = Some(FoundDuplicates { query: query.clone(), thresholds, found: Arc::clone(&found) });
        Ok(found)
    }

    /// The images selected that have a hash, in the order in which they would be kept, and the number of those that have
    /// none.
    fn candidates_for(
        &self,
        snapshot: &Snapshot,
        filter: &Filter,
    ) -> Result<(Vec<Candidate>, u64), EngineError> {
        let selected = self.select(snapshot, filter)?;
        if selected.len() > DUPLICATES_IMAGES_MAX {
            return Err(EngineError::Precondition {
                reason: "TOO_MANY_IMAGES",
                message: format!(
                    "{} images are selected, at most {DUPLICATES_IMAGES_MAX} are compared at a time: narrow the \
                     filter, by cluster or source",
                    selected.len()
                ),
            });
        }
        let (mut candidates, mut without_hash) = (Vec::with_capacity(selected.len()), 0);
        for (offset, image) in selected {
            let Some(hash) = snapshot.rows.get(offset).hash else {
                without_hash += 1;
                continue;
            };
            // Deleted since the snapshot.
            let Some(header) = self.store.header(&image)? else { continue };
            let member = DuplicateMember {
                image,
                width: header.width,
                height: header.height,
                bytes: header.bytes,
                added_ms: header.added_ms,
                distance: 0.0,
                hash_distance: 0.0,
            };
            candidates.push(Candidate { offset, hash, member });
        }
        candidates.sort_by_cached_key(Candidate::rank);
        Ok((candidates, without_hash))
    }
}

/// One search for groups; candidates are named by their place.
struct Search<'a> {
    collection: &'a Collection,
    thresholds: Thresholds,
    compactions: u64,
    candidates: &'a [Candidate],
    /// Those that are in a group.
    taken: Vec<AtomicBool>,
}

impl Search<'_> {
    /// Not for a thread of the pool that clusters: while it waits for others with the state in hand it would take up
    /// other work there, which may ask for the state again.
    fn groups(&self) -> Result<Vec<DuplicateGroup>, EngineError> {
        let mut groups = Vec::new();
        for keeper in 0..self.candidates.len() {
            if self.taken[keeper].load(Ordering::Relaxed) {
                continue;
            }
            let direct = self.like(keeper, keeper + 1)?;
            if direct.is_empty() {
                continue;
            }
            self.take(keeper);
            direct.iter().for_each(|(place, _)| self.take(*place));
            let others = self.indirect(keeper, &direct)?;
            groups.push(self.group(keeper, direct, others));
        }
        Ok(groups)
    }

    fn take(&self, place: usize) {
        self.taken[place].store(true, Ordering::Relaxed);
    }

    /// The free candidates from a place on that are near-duplicates of one.
    fn like(&self, of: usize, from: usize) -> Result<Vec<(usize, Duplicate)>, EngineError> {
        let state = read(&self.collection.state);
        if state.compactions != self.compactions {
            return Err(EngineError::Precondition {
                reason: "IMAGES_MOVED",
                message: "most images were deleted while near-duplicates were looked for: ask again".into(),
            });
        }
        let vectors = &state.vectors;
        let own = self.candidates[of].picture(vectors);
        let look = |place: usize| {
            let free = !self.taken[place].load(Ordering::Relaxed);
            let other = &self.candidates[place];
            let found = free.then(|| self.thresholds.compare(own, other.picture(vectors)))?;
            found.map(|duplicate| (place, duplicate))
        };
        let places = (from..self.candidates.len()).into_par_iter().with_min_len(BLOCK_ROWS);
        Ok(places.filter_map(look).collect())
    }

    /// The free candidates that are near-duplicates of at least half of the group.
    fn indirect(&self, keeper: usize, direct: &[(usize, Duplicate)]) -> Result<Vec<usize>, EngineError> {
        let mut nearest: Vec<&(usize, Duplicate)> = direct.iter().collect();
        nearest.sort_by(|a, b| a.1.separation.total_cmp(&b.1.separation).then_with(|| a.0.cmp(&b.0)));
        let witnesses = nearest.len().min(WITNESSES_MAX - 1);
        let mut likes = vec![0; self.candidates.len()];
        for (witness, _) in &nearest[..witnesses] {
            self.like(*witness, keeper + 1)?.into_iter().for_each(|(place, _)| likes[place] += 1);
        }
        // The keeper is a witness too, against.
        let enough = |likes: usize| likes * 2 > witnesses;
        let found: Vec<usize> = (0..likes.len()).filter(|&place| enough(likes[place])).collect();
        found.iter().for_each(|place| self.take(*place));
        Ok(found)
    }

    fn group(&self, keeper: usize, direct: Vec<(usize, Duplicate)>, others: Vec<usize>) -> DuplicateGroup {
        let first = &self.candidates[keeper];
        let member = |place: usize, distance: f32, hash_distance: f32| DuplicateMember {
            distance,
            hash_distance,
            ..self.candidates[place].member.clone()
        };
        let mut members: Vec<DuplicateMember> = direct
            .into_iter()
            .map(|(place, duplicate)| member(place, duplicate.distance, duplicate.hash_distance))
            .collect();
        {
            let state = read(&self.collection.state);
            if state.compactions == self.compactions {
                let row = |candidate: &Candidate| state.vectors.row(candidate.offset as usize);
                members.extend(others.into_iter().map(|place| {
                    let other = &self.candidates[place];
                    let distance = crate::types::cosine_distance(row(first), row(other));
                    member(place, distance, first.hash.distance(&other.hash))
                }));
            }
        }
        members.sort_by(|a, b| a.distance.total_cmp(&b.distance).then_with(|| a.image.cmp(&b.image)));
        let reason = reason(&first.member, &members);
        members.insert(0, first.member.clone());
        DuplicateGroup { members, reason }
    }
}

/// Why the keeper is kept rather than any of the others.
fn reason(keeper: &DuplicateMember, others: &[DuplicateMember]) -> String {
    let pixels = |member: &DuplicateMember| u64::from(member.width) * u64::from(member.height);
    let DuplicateMember { width, height, bytes, .. } = keeper;
    let rivals: Vec<_> = others.iter().filter(|other| pixels(other) == pixels(keeper)).collect();
    if rivals.is_empty() {
        return format!("it has the most pixels, {width} x {height}");
    }
    let rivals: Vec<_> = rivals.into_iter().filter(|other| other.bytes == *bytes).collect();
    if rivals.is_empty() {
        return format!(
            "none has more pixels than {width} x {height}, and of those with as many it has the most bytes, {bytes}"
        );
    }
    let first = rivals.iter().all(|other| other.added_ms > keeper.added_ms);
    let by = if first { "it was added first" } else { "its id comes first" };
    format!(
        "none has more pixels than {width} x {height} or more bytes than {bytes}, and of those with as many {by}"
    )
}
