//! From a minimum spanning tree to clusters: the condensed tree and its excess of mass (Campello, Moulavi, Zimek and
//! Sander, "Hierarchical Density Estimates for Data Clustering, Visualization, and Outlier Detection", 2015).

use std::collections::HashMap;

use super::mst::{Edge, UnionFind};

/// Distances below this are one and the same point to f32 rounding; their density is capped.
const DISTANCE_MIN: f32 = 1e-6;

/// One merge of the single-linkage dendrogram; ids below n are points, n + i is the merge at place i.
struct Merge {
    left: u32,
    right: u32,
    distance: f32,
    size: u32,
}

/// A cluster of the condensed tree.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// The cluster it split from; `None` for the root.
    pub(super) parent: Option<u32>,
    /// The distance at which it split from its parent.
    pub(super) birth_distance: f32,
    /// Excess of mass: the sum over its points of how much denser they get within it, in 1 / distance.
    pub(super) stability: f64,
    /// The clusters it splits into: none, or two and more.
    pub(super) children: Vec<u32>,
}

/// The hierarchy of clusters of at least `min_cluster_size` points; node 0 is the root, parents precede children.
pub(super) struct CondensedTree {
    pub(super) nodes: Vec<Node>,
    /// The cluster that each point falls out of.
    home: Vec<u32>,
}

/// The density of a distance.
fn density(distance: f32) -> f64 {
    1.0 / f64::from(distance.max(DISTANCE_MIN))
}

fn single_linkage(points: usize, edges: &[Edge]) -> Vec<Merge> {
    let mut sets = UnionFind::new(points);
    let mut top: Vec<u32> = (0..points as u32).collect();
    let mut merges: Vec<Merge> = Vec::with_capacity(edges.len());
    for edge in edges {
        let (a, b) = (sets.find(edge.a), sets.find(edge.b));
        let (left, right) = (top[a as usize], top[b as usize]);
        let Some(root) = sets.union(a, b) else { continue };
        let size = size_of(left, points, &merges) + size_of(right, points, &merges);
        top[root as usize] = (points + merges.len()) as u32;
        merges.push(Merge { left, right, distance: edge.weight, size });
    }
    merges
}

fn size_of(id: u32, points: usize, merges: &[Merge]) -> u32 {
    (id as usize).checked_sub(points).map_or(1, |place| merges[place].size)
}

/// Something that was merged at a level.
struct Part {
    id: u32,
    size: u32,
    /// Whether it is large enough for a cluster.
    big: bool,
    /// The place of the big part that a small one was merged with first.
    owner: Option<usize>,
}

/// All that was merged at one distance. Equal distances are common, a core distance being that of several links;
/// taking them at once keeps the order of ties from making clusters that exist at no distance.
struct Level {
    parts: Vec<Part>,
}

impl Level {
    fn new(id: u32, distance: f32, points: usize, merges: &[Merge], min_cluster_size: usize) -> Self {
        let (mut open, mut parts, mut inner) = (vec![id], Vec::new(), Vec::new());
        while let Some(id) = open.pop() {
            match (id as usize).checked_sub(points).map(|place| (place, &merges[place])) {
                Some((place, merge)) if merge.distance == distance => {
                    open.extend([merge.right, merge.left]);
                    inner.push(place);
                }
                other => {
                    let size = other.map_or(1, |(_, merge)| merge.size);
                    parts.push(Part { id, size, big: size as usize >= min_cluster_size, owner: None });
                }
            }
        }
        let mut level = Self { parts };
        if level.big().count() > 1 {
            level.find_owners(inner, points, merges);
        }
        level
    }

    fn big(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.big)
    }

    /// Follows the merges in their order: a group without a big part waits until it meets one.
    fn find_owners(&mut self, mut inner: Vec<usize>, points: usize, merges: &[Merge]) {
        inner.sort_unstable();
        let group = |(place, part): (usize, &Part)| {
            (part.id, if part.big { (Some(place), Vec::new()) } else { (None, vec![place]) })
        };
        let mut groups: HashMap<u32, (Option<usize>, Vec<usize>)> =
            self.parts.iter().enumerate().map(group).collect();
        for place in inner {
            let Merge { left, right, .. } = merges[place];
            let (a, mut waiting) = groups.remove(&left).unwrap_or_default();
            let (b, more) = groups.remove(&right).unwrap_or_default();
            waiting.extend(more);
            let owner = a.or(b);
            if owner.is_some() {
                waiting.drain(..).for_each(|small| self.parts[small].owner = owner);
            }
            groups.insert((points + place) as u32, (owner, waiting));
        }
    }
}

impl CondensedTree {
    /// Condenses the dendrogram of `edges`, the spanning tree of `points` points in ascending order of weight.
    pub(super) fn new(points: usize, edges: &[Edge], min_cluster_size: usize) -> Self {
        let merges = single_linkage(points, edges);
        let root = Node { parent: None, birth_distance: f32::INFINITY, stability: 0.0, children: Vec::new() };
        let mut tree = Self { nodes: vec![root], home: vec![0; points] };
        if merges.is_empty() {
            return tree;
        }
        let mut open = vec![((points + merges.len() - 1) as u32, 0u32)];
        while let Some((id, node)) = open.pop() {
            let Some(place) = (id as usize).checked_sub(points) else {
                continue;
            };
            let distance = merges[place].distance;
            let level = Level::new(id, distance, points, &merges, min_cluster_size);
            let splits = level.big().count() > 1;
            let children: Vec<u32> = level
                .parts
                .iter()
                .map(|part| if splits && part.big { tree.split(node, distance) } else { node })
                .collect();
            for (part, &child) in level.parts.iter().zip(&children) {
                if part.big {
                    open.push((part.id, child));
                } else {
                    let owner = part.owner.map_or(node, |owner| children[owner]);
                    tree.settle(part.id, owner, points, &merges);
                }
                if splits || !part.big {
                    tree.leave(node, distance, part.size);
                }
            }
        }
        tree
    }

    fn split(&mut self, parent: u32, distance: f32) -> u32 {
        let child = self.nodes.len() as u32;
        self.nodes[parent as usize].children.push(child);
        self.nodes.push(Node {
            parent: Some(parent),
            birth_distance: distance,
            stability: 0.0,
            children: Vec::new(),
        });
        child
    }

    /// Accounts for `size` points that leave the cluster at `distance`.
    fn leave(&mut self, node: u32, distance: f32, size: u32) {
        let node = &mut self.nodes[node as usize];
        // The root is born at density 0.
        let birth = if node.parent.is_some() { density(node.birth_distance) } else { 0.0 };
        node.stability += (density(distance) - birth) * f64::from(size);
    }

    /// Makes `node` the home of every point under the dendrogram's `id`.
    fn settle(&mut self, id: u32, node: u32, points: usize, merges: &[Merge]) {
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            match (id as usize).checked_sub(points) {
                None => self.home[id as usize] = node,
                Some(place) => open.extend([merges[place].left, merges[place].right]),
            }
        }
    }

    /// The clusters with the largest total excess of mass of which none holds another; never the root.
    pub(super) fn excess_of_mass(&self) -> Vec<u32> {
        let mut value: Vec<f64> = self.nodes.iter().map(|node| node.stability).collect();
        let mut chosen = vec![true; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate().rev().filter(|(_, node)| !node.children.is_empty())
        {
            let below: f64 = node.children.iter().map(|&child| value[child as usize]).sum();
            if below > value[index] || index == 0 {
                chosen[index] = false;
                value[index] = below;
            }
        }
        chosen[0] = false;
        // The topmost of the chosen on each way down; parents come first.
        let mut covered = vec![false; self.nodes.len()];
        let mut selected = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            covered[index] = node.parent.is_some_and(|parent| covered[parent as usize]);
            if chosen[index] && !covered[index] {
                covered[index] = true;
                selected.push(index as u32);
            }
        }
        selected
    }

    /// Labels by place in `selected`; points outside of every selected cluster are noise.
    pub(super) fn labels(&self, selected: &[u32]) -> Vec<Option<u32>> {
        let mut of_node: Vec<Option<u32>> = vec![None; self.nodes.len()];
        for (label, &node) in selected.iter().enumerate() {
            of_node[node as usize] = Some(label as u32);
        }
        for (index, node) in self.nodes.iter().enumerate() {
            if let Some(parent) = node.parent {
                of_node[index] = of_node[index].or(of_node[parent as usize]);
            }
        }
        self.home.iter().map(|&node| of_node[node as usize]).collect()
    }
}
