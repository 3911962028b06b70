//! Clusters between the steep areas of a reachability plot: figure 19 of Ankerst et al. 1999, with the predecessor
//! correction of Schubert and Gertz, "Improving the Cluster Structure Extracted from OPTICS Plots", 2018.

use std::ops::RangeInclusive;

use super::outcome::Reachability;

/// A steep-down area, and the highest reachability between its end and the present place.
struct SteepDown {
    start: usize,
    end: usize,
    max_between: f64,
}

/// The plot by place.
struct Plot {
    /// Reachability at each place; an infinite one closes the plot.
    height: Vec<f64>,
    /// The place of the point from which each place was reached.
    reached_from: Vec<usize>,
    complement: f64,
    min_points: usize,
}

/// The direction of an area.
#[derive(Clone, Copy, PartialEq)]
enum Slope {
    Up,
    Down,
}

impl Plot {
    fn ratio(&self, place: usize) -> f64 {
        self.height[place] / self.height[place + 1]
    }

    fn is_steep(&self, place: usize, slope: Slope) -> bool {
        match slope {
            Slope::Up => self.ratio(place) <= self.complement,
            Slope::Down => self.ratio(place) >= 1.0 / self.complement,
        }
    }

    fn goes(&self, place: usize, slope: Slope) -> bool {
        match slope {
            Slope::Up => self.ratio(place) < 1.0,
            Slope::Down => self.ratio(place) > 1.0,
        }
    }

    /// The end of the steep area that starts at `start`: it may hold up to `min_points` places in a row that are not
    /// steep, but none that goes the other way.
    fn extend(&self, start: usize, slope: Slope) -> usize {
        let other = if slope == Slope::Up { Slope::Down } else { Slope::Up };
        let (mut end, mut flat) = (start, 0);
        for place in start..self.reached_from.len() {
            if self.is_steep(place, slope) {
                flat = 0;
                end = place;
            } else if self.goes(place, other) {
                break;
            } else {
                flat += 1;
                if flat > self.min_points {
                    break;
                }
            }
        }
        end
    }

    /// The cluster between a steep-down and a steep-up area, if there is one.
    fn between(&self, down: &SteepDown, up_start: usize, up_end: usize) -> Option<RangeInclusive<usize>> {
        let after = self.height[up_end + 1];
        if after * self.complement < down.max_between {
            return None;
        }
        let (mut start, mut end) = (down.start, up_end);
        let before = self.height[down.start];
        if before * self.complement >= after {
            while start < down.end && self.height[start + 1] > after {
                start += 1;
            }
        } else if after * self.complement >= before {
            while end > up_start && self.height[end - 1] > before {
                end -= 1;
            }
        }
        let (start, end) = self.corrected(start, end)?;
        let long_enough = end - start + 1 >= self.min_points;
        (long_enough && start <= down.end && end >= up_start).then_some(start..=end)
    }

    /// Drops last places that were not reached from within the cluster.
    fn corrected(&self, start: usize, mut end: usize) -> Option<(usize, usize)> {
        while start < end {
            if self.height[start] > self.height[end] || (start..end).contains(&self.reached_from[end]) {
                return Some((start, end));
            }
            end -= 1;
        }
        None
    }
}

/// Forgets areas that a peak since then has cut off, and notes the peak at the others.
fn filter(areas: &mut Vec<SteepDown>, peak: f64, plot: &Plot) {
    if peak.is_infinite() {
        areas.clear();
        return;
    }
    areas.retain(|area| peak <= plot.height[area.start] * plot.complement);
    for area in areas {
        area.max_between = area.max_between.max(peak);
    }
}

/// The ranges of places that are clusters, inner ones first. `place` is the place of each row in the order.
pub(super) fn clusters(
    reachability: &Reachability,
    place: &[usize],
    xi: f64,
    min_points: usize,
) -> Vec<RangeInclusive<usize>> {
    let by_place = |row: &u32| f64::from(reachability.reachability[*row as usize]);
    let plot = Plot {
        height: reachability.order.iter().map(by_place).chain([f64::INFINITY]).collect(),
        reached_from: reachability
            .order
            .iter()
            .map(|&row| place[reachability.predecessor[row as usize] as usize])
            .collect(),
        complement: 1.0 - xi,
        min_points,
    };
    let mut areas: Vec<SteepDown> = Vec::new();
    let mut found = Vec::new();
    let (mut index, mut peak) = (0, 0.0f64);
    for start in 0..plot.reached_from.len() {
        let down = plot.is_steep(start, Slope::Down);
        if start < index || !(down || plot.is_steep(start, Slope::Up)) {
            continue;
        }
        peak = plot.height[index..=start].iter().fold(peak, |peak, &height| peak.max(height));
        filter(&mut areas, peak, &plot);
        if down {
            let end = plot.extend(start, Slope::Down);
            areas.push(SteepDown { start, end, max_between: 0.0 });
            index = end + 1;
        } else {
            let end = plot.extend(start, Slope::Up);
            index = end + 1;
            found.extend(areas.iter().rev().filter_map(|area| plot.between(area, start, end)));
        }
        peak = plot.height[index];
    }
    found
}
