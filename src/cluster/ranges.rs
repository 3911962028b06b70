//! Range queries over rows with sketches, for a clustering that follows its rows.

use rayon::prelude::*;

use super::live::{Density, EdgeStream, Live, Ranges};
use super::pairs::all_within;
use super::progress::Stage;
use super::sketch::{Sketches, Space, floor};
use super::{ClusterError, ClusterInput, RunContext};
use crate::product::products;
use crate::types::{ImageId, Neighbour, PointOffset, Vectors, cosine_distance, dot};

/// Rows that a block of queries is compared with at a time.
const BLOCK_ROWS: usize = 1024;
/// Up to so many queries a matrix product takes longer to arrange its rows than to multiply them.
const FEW_QUERIES: usize = 3;

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

impl Ranges for RowRanges<'_> {
    fn within(
        &self,
        eps: f32,
        queries: &[PointOffset],
        among: Option<&[PointOffset]>,
    ) -> Vec<Vec<Neighbour>> {
        let space = Space::new(self.vectors, self.sketches);
        let short = space.short();
        let asked = short.gather(queries);
        let gathered = among.map(|rows| short.gather(rows));
        let columns = gathered.as_ref().unwrap_or(short).as_slice();
        let row_at = |place: usize| among.map_or(place as PointOffset, |rows| rows[place]);
        let least = floor(eps, space.sketched());
        let dim = short.dim();
        let block = |(block, columns): (usize, &[f32])| {
            let width = columns.len() / dim;
            let mut out = vec![0.0; queries.len() * width];
            if queries.len() <= FEW_QUERIES {
                for (query, out) in out.chunks_exact_mut(width.max(1)).enumerate() {
                    let query = asked.row(query);
                    let each = out.iter_mut().zip(columns.chunks_exact(dim));
                    each.for_each(|(out, column)| *out = dot(query, column));
                }
            } else {
                products(asked.as_slice(), columns, dim, &mut out);
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
