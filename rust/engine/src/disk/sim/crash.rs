//! The disk that is found after the power went.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError};

use super::bytes::Inode;
use super::folder::{Folder, Node};
use super::random::Random;
use super::{SimDisk, lock};

impl SimDisk {
    /// A disk as it could be found if the power went now. This one stays as it is, so that many crashes can be tried from one moment.
    ///
    /// Of what was not synced any subset is kept: blocks, lengths, names. The seed decides, also how lucky the crash is:
    /// at times all is kept, at times nothing.
    #[must_use]
    pub fn crash(&self, seed: u64) -> Self {
        let _alone = self.shared.gate.write().unwrap_or_else(PoisonError::into_inner);
        let mut random = Random::new(seed);
        let mut luck = || match random.below(4) {
            0 => 0,
            1 => 8,
            _ => random.below(9),
        };
        let (names_luck, blocks_luck) = (luck(), luck());
        let mut crash = Crash { random, names_luck, blocks_luck, files: HashMap::new() };
        let root = crash.folder(&self.shared.root);
        let control = lock(&self.shared.control).after_crash();
        Self::mount(Arc::new(root), control, *lock(&self.shared.clock))
    }
}

struct Crash {
    random: Random,
    names_luck: u64,
    blocks_luck: u64,
    /// A file with two names is one file afterwards, too.
    files: HashMap<*const Inode, Arc<Inode>>,
}

impl Crash {
    fn folder(&mut self, folder: &Folder) -> Folder {
        let found = folder.after_crash(&mut self.random, self.names_luck);
        let mut names = BTreeMap::new();
        for (name, node) in found {
            let node = match node {
                Node::Folder(inner) => Node::Folder(Arc::new(self.folder(&inner))),
                Node::File(inode) => Node::File(self.file(&inode)),
            };
            names.insert(name, node);
        }
        Folder::durable(names)
    }

    fn file(&mut self, inode: &Arc<Inode>) -> Arc<Inode> {
        let found = self
            .files
            .entry(Arc::as_ptr(inode))
            .or_insert_with(|| Arc::new(inode.after_crash(&mut self.random, self.blocks_luck)));
        Arc::clone(found)
    }
}
