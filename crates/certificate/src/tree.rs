//! A Merkle tree as RFC 6962 §2.1 has it, made leaf by leaf in memory that grows with the logarithm of their number.

use sha2::{Digest, Sha256};

/// SHA-256.
pub type Hash = [u8; 32];

/// The hash over two subtrees.
fn node(left: &Hash, right: &Hash) -> Hash {
    let mut hash = Sha256::new();
    hash.update([1]);
    hash.update(left);
    hash.update(right);
    hash.finalize().into()
}

/// A tree that is being made: its complete subtrees, the largest first, and a path from one leaf if asked for.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    size: u64,
    subtrees: Vec<Hash>,
    followed: Option<Followed>,
}

/// The way up from one leaf.
#[derive(Clone, Debug)]
struct Followed {
    leaf: u64,
    /// The subtree that holds the leaf, once it was pushed.
    subtree: Option<usize>,
    path: Vec<Hash>,
}

impl Tree {
    /// Without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Without leaves; keeps the path of leaf `index`, from 0.
    #[must_use]
    pub fn following(index: u64) -> Self {
        Self { followed: Some(Followed { leaf: index, subtree: None, path: Vec::new() }), ..Self::default() }
    }

    /// Leaves so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf, which is a hash already.
    pub fn push(&mut self, leaf: Hash) {
        if let Some(followed) = self.followed.as_mut().filter(|followed| followed.leaf == self.size) {
            followed.subtree = Some(self.subtrees.len());
        }
        self.subtrees.push(leaf);
        // Two complete subtrees of a size become one: as many times as the number of leaves before this one ends in ones.
        for _ in 0..self.size.trailing_ones() {
            self.join_last();
        }
        self.size += 1;
    }

    /// The root; that of no leaves is the hash of nothing.
    #[must_use]
    pub fn root(self) -> Hash {
        self.root_and_path().0
    }

    /// The root, and from the leaf up to it the hashes beside the followed leaf's way; `None` if that was never pushed.
    #[must_use]
    pub fn root_and_path(mut self) -> (Hash, Option<Vec<Hash>>) {
        while self.subtrees.len() > 1 {
            self.join_last();
        }
        let root = self.subtrees.pop().unwrap_or_else(|| Sha256::digest([]).into());
        (root, self.followed.filter(|followed| followed.subtree.is_some()).map(|followed| followed.path))
    }

    fn join_last(&mut self) {
        let (Some(right), Some(left)) = (self.subtrees.pop(), self.subtrees.pop()) else { return };
        let place = self.subtrees.len();
        if let Some(followed) = &mut self.followed {
            if followed.subtree == Some(place) {
                followed.path.push(right);
            } else if followed.subtree == Some(place + 1) {
                followed.path.push(left);
                followed.subtree = Some(place);
            }
        }
        self.subtrees.push(node(&left, &right));
    }
}

/// The root to which `path` leads from `leaf`, which is number `index` of `size` (RFC 9162 §2.1.3.2); `None` if the path has another length
/// than such a tree gives.
#[must_use]
pub fn root_of(leaf: Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut place, mut last, mut hash) = (index, size - 1, leaf);
    for beside in path {
        if last == 0 {
            return None;
        }
        if place & 1 == 1 || place == last {
            hash = node(beside, &hash);
            let up = place.trailing_zeros().min(63);
            if place & 1 == 0 {
                (place, last) = (place >> up, last >> up);
            }
        } else {
            hash = node(&hash, beside);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    (last == 0).then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(index: u64) -> Hash {
        Sha256::digest([&[0], &index.to_be_bytes()[..]].concat()).into()
    }

    /// RFC 6962's own words, with all leaves in memory.
    fn by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [leaf] => *leaf,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                node(&by_definition(&leaves[..split]), &by_definition(&leaves[split..]))
            }
        }
    }

    #[test]
    fn roots_are_those_of_the_definition_and_memory_is_logarithmic() {
        let mut tree = Tree::new();
        let leaves: Vec<Hash> = (0..200).map(leaf).collect();
        for size in 0..=leaves.len() {
            assert_eq!(tree.clone().root(), by_definition(&leaves[..size]), "{size}");
            assert!(tree.subtrees.len() <= 8, "{size}");
            tree.push(leaf(size as u64));
        }
    }

    #[test]
    fn the_path_of_every_leaf_leads_to_the_root_and_of_no_other() {
        for size in 1..70_u64 {
            for index in 0..size {
                let mut tree = Tree::following(index);
                (0..size).for_each(|number| tree.push(leaf(number)));
                let (root, path) = tree.root_and_path();
                let path = path.unwrap();
                assert_eq!(root_of(leaf(index), index, size, &path), Some(root), "{index} of {size}");
                assert_ne!(root_of(leaf(size), index, size, &path), Some(root), "another leaf: {index} of {size}");
                if size > 1 {
                    assert_ne!(root_of(leaf(index), (index + 1) % size, size, &path), Some(root), "another place: {index} of {size}");
                    assert_eq!(root_of(leaf(index), index, size, &path[1..]), None, "a shorter path: {index} of {size}");
                    assert_eq!(root_of(leaf(index), index, size, &[&path[..], &[leaf(0)]].concat()), None, "a longer path");
                }
            }
            assert_eq!(root_of(leaf(0), size, size, &[]), None, "no such leaf");
        }
        assert_eq!(Tree::following(0).root_and_path().1, None, "never pushed");
    }
}
