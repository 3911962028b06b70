//! Range queries over rows with sketches, for a clustering that follows its rows.

use rayon::prelude::*;

use super::live::{Density, EdgeStream, Live, Ranges};
use super::pairs::all_within;
use super::progress::Stage;
use super::sketch::{Sketches, Space, floor};
use super::sweep::OPEN_SHARE;
use super::{ClusterError, ClusterInput, RunContext};
use crate::product::products;
use crate::types::{ImageId, Neighbour, PointOffset, Vectors, cosine_distance, dot};

/// Rows that a block of queries is compared with at a time.
const BLOCK_ROWS: usize = 1024;
/// Up to so many queries a matrix product takes longer to arrange its rows than to multiply them.
const FEW_QUERIES: usize = 3;

/// Where leaders leave more than one in so many rows to look at, a scan of all rows is as fast.
const LED_SHARE_OF_FEW: usize = 3;
/// The same for more queries than [`FEW_QUERIES`], which a matrix product brings each row to at once.
const LED_SHARE_OF_MANY: usize = 16;

/// Rows as a clustering that follows them asks for them.
#[derive(Clone, Copy)]
pub struct RowRanges<'a> {
    vectors: &'a Vectors,
    sketches: &'a Sketches,
    id: &'a (dyn Fn(PointOffset) -> ImageId + Sync),
}

impl<'a> RowRanges<'a> {
    /// Rows, their sketches, and whose they are.
    pub fn new(
        vectors: &'a Vectors,
        sketches: &'a Sketches,
        id: &'a (dyn Fn(PointOffset) -> ImageId + Sync),
    ) -> Self {
        Self { vectors, sketches, id }
    }
}

impl RowRanges<'_> {
    /// [`Ranges::within`] of all rows by way of their leaders; `None` where these leave out too little.
    fn led(&self, space: &Space<'_>, eps: f32, queries: &[PointOffset]) -> Option<Vec<Vec<Neighbour>>> {
        let leaders = space.leaders()?;
        let rows: Vec<Vec<PointOffset>> =
            queries.par_iter().map(|&query| leaders.near(self.vectors.row(query as usize), eps)).collect();
        let looked_at: usize = rows.iter().map(Vec::len).sum();
        let share = if queries.len() > FEW_QUERIES { LED_SHARE_OF_MANY } else { LED_SHARE_OF_FEW };
        if looked_at * share > queries.len() * space.len() {
            return None;
        }
        let (short, least) = (space.short(), floor(eps, space.sketched()));
        let of_query = |(&query, rows): (&PointOffset, Vec<PointOffset>)| {
            let sketch = short.row(query as usize);
            let near = |&offset: &PointOffset| {
                if offset == query || dot(sketch, short.row(offset as usize)) < least {
                    return None;
                }
                let distance = self.distance(query, offset);
                (distance <= eps).then_some(Neighbour { offset, distance })
            };
            rows.par_iter().with_min_len(BLOCK_ROWS).filter_map(near).collect()
        };
        Some(queries.par_iter().zip(rows).map(of_query).collect())
    }
}

impl Ranges for RowRanges<'_> {
    fn within(
        &self,
        eps: f32,
        queries: &[PointOffset],
        among: Option<&[PointOffset]>,
    ) -> Vec<Vec<Neighbour>> {
        let space = Space::new(self.vectors, self.sketches);
        if among.is_none()
            && let Some(answers) = self.led(&space, eps, queries)
        {
            return answers;
        }
        let short = space.short();
        let asked = short.gather(queries);
        let gathered = among.map(|rows| short.gather(rows));
        let columns = gathered.as_ref().unwrap_or(short).as_slice();
        let row_at = |place: usize| among.map_or(place as PointOffset, |rows| rows[place]);
        let dim = short.dim();
        let many = queries.len() > FEW_QUERIES;
        let whole = (many && space.sketched()).then(|| self.vectors.gather(queries));
        let block = |(block, columns): (usize, &[f32])| {
            let width = columns.len() / dim;
            let mut least = floor(eps, space.sketched());
            let mut out = vec![0.0; queries.len() * width];
            if many {
                products(asked.as_slice(), columns, dim, &mut out);
            } else {
                for (query, out) in out.chunks_exact_mut(width.max(1)).enumerate() {
                    let query = asked.row(query);
                    let each = out.iter_mut().zip(columns.chunks_exact(dim));
                    each.for_each(|(out, column)| *out = dot(query, column));
                }
            }
            let open = || out.iter().filter(|&&product| product >= least).count();
            if let Some(whole) = whole.as_ref().filter(|_| open() * OPEN_SHARE >= out.len()) {
                let first = block * BLOCK_ROWS;
                let columns = among.map(|rows| self.vectors.gather(&rows[first..first + width]));
                let (vectors, first) = columns.as_ref().map_or((self.vectors, first), |rows| (rows, 0));
                let dim = vectors.dim();
                let columns = &vectors.as_slice()[first * dim..(first + width) * dim];
                products(whole.as_slice(), columns, dim, &mut out);
                least = floor(eps, false);
            }
            let mut found: Vec<(usize, Neighbour)> = Vec::new();
            for (query, products) in out.chunks_exact(width.max(1)).enumerate() {
                for (place, _) in products.iter().enumerate().filter(|&(_, &product)| product >= least) {
                    let offset = row_at(block * BLOCK_ROWS + place);
                    let distance = self.distance(queries[query], offset);
                    if distance <= eps && offset != queries[query] {
                        found.push((query, Neighbour { offset, distance }));
                    }
                }
            }
            found
        };
        let blocks: Vec<_> = columns.par_chunks(BLOCK_ROWS * dim).enumerate().map(block).collect();
        let mut answers = vec![Vec::new(); queries.len()];
        blocks.into_iter().flatten().for_each(|(query, neighbour)| answers[query].push(neighbour));
        answers
    }

    fn distance(&self, a: PointOffset, b: PointOffset) -> f32 {
        cosine_distance(self.vectors.row(a as usize), self.vectors.row(b as usize))
    }

    fn id(&self, row: PointOffset) -> ImageId {
        (self.id)(row)
    }
}

/// Clusters all rows densely, to be followed from here on, and answers their sketches too. Exact.
///
/// # Errors
/// [`ClusterError`]: cancelled, or inconsistent input.
pub fn follow(
    input: &ClusterInput<'_>,
    density: Density,
    context: &RunContext<'_>,
) -> Result<(Live, Sketches), ClusterError> {
    super::check_input(input)?;
    let sketches = Sketches::new(input.vectors);
    EdgeStream::check(density, input.vectors.len())?;
    let mut stream = EdgeStream::new(density, input.vectors.len());
    let space = Space::new(input.vectors, &sketches);
    all_within(&space, density.eps, &Stage::whole(context), |a, b| stream.edge(a, b))?;
    let id = |row: PointOffset| input.ids[row as usize];
    let live = stream.finish(&RowRanges::new(input.vectors, &sketches, &id));
    Ok((live, sketches))
}
