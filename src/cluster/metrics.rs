//! Agreement of two labellings; noise, where it occurs, is the caller's to make a class of.

use std::collections::HashMap;

/// Counts of a cross table of two labellings.
struct Contingency {
    cells: HashMap<(i64, i64), f64>,
    rows: HashMap<i64, f64>,
    columns: HashMap<i64, f64>,
    total: f64,
}

fn contingency(a: &[i64], b: &[i64]) -> Contingency {
    let mut table = Contingency {
        cells: HashMap::new(),
        rows: HashMap::new(),
        columns: HashMap::new(),
        total: a.len().min(b.len()) as f64,
    };
    for (&x, &y) in a.iter().zip(b) {
        *table.cells.entry((x, y)).or_default() += 1.0;
        *table.rows.entry(x).or_default() += 1.0;
        *table.columns.entry(y).or_default() += 1.0;
    }
    table
}

/// Labels as classes, noise being the class −1.
pub fn classes(labels: &[Option<u32>]) -> Vec<i64> {
    labels.iter().map(|label| label.map_or(-1, i64::from)).collect()
}

/// The adjusted Rand index (Hubert and Arabie 1985), at most 1; 0 is what chance gives. 1 for fewer than two points.
pub fn adjusted_rand_index(a: &[i64], b: &[i64]) -> f64 {
    let table = contingency(a, b);
    let pairs = |n: f64| n * (n - 1.0) / 2.0;
    // Sums of whole numbers: exact, in whatever order the map yields them.
    let together: f64 = table.cells.values().map(|&n| pairs(n)).sum();
    let rows: f64 = table.rows.values().map(|&n| pairs(n)).sum();
    let columns: f64 = table.columns.values().map(|&n| pairs(n)).sum();
    if table.total < 2.0 {
        return 1.0;
    }
    let expected = rows * columns / pairs(table.total);
    let max = f64::midpoint(rows, columns);
    if max == expected { 1.0 } else { (together - expected) / (max - expected) }
}

/// Mutual information over the arithmetic mean of the entropies, in [0, 1]; 1 when both are one class.
pub fn normalized_mutual_information(a: &[i64], b: &[i64]) -> f64 {
    let table = contingency(a, b);
    let entropy = |counts: &HashMap<i64, f64>| -> f64 {
        sum_sorted(counts.values().map(|&n| -(n / table.total) * (n / table.total).ln()).collect())
    };
    let mutual = sum_sorted(
        table
            .cells
            .iter()
            .map(|(&(x, y), &n)| {
                let independent = table.rows[&x] * table.columns[&y];
                n / table.total * (n * table.total / independent).ln()
            })
            .collect(),
    );
    let mean = f64::midpoint(entropy(&table.rows), entropy(&table.columns));
    if mean <= 0.0 { 1.0 } else { (mutual / mean).clamp(0.0, 1.0) }
}

/// A sum that does not depend on a map's order.
fn sum_sorted(mut terms: Vec<f64>) -> f64 {
    terms.sort_by(f64::total_cmp);
    terms.into_iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        // scikit-learn's documented examples.
        assert!((adjusted_rand_index(&[0, 0, 1, 2], &[0, 0, 1, 1]) - 0.571_428).abs() < 1e-5);
        assert_eq!(adjusted_rand_index(&[0, 0, 1, 1], &[5, 5, -1, -1]), 1.0);
        assert!((normalized_mutual_information(&[0, 0, 1, 1], &[1, 1, 0, 0]) - 1.0).abs() < 1e-12);
        assert!(normalized_mutual_information(&[0, 0, 0, 0], &[0, 1, 2, 3]) < 1e-12);
    }
}
