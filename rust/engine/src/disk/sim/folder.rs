//! A folder's names: what readers see, and what a crash leaves of it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use super::bytes::Inode;
use super::lock;
use super::random::Random;
use crate::disk::Entry;

/// What a name stands for.
#[derive(Clone, Debug)]
pub(super) enum Node {
    File(Arc<Inode>),
    Folder(Arc<Folder>),
}

#[derive(Debug, Default)]
pub(super) struct Folder(Mutex<Names>);

#[derive(Debug, Default)]
struct Names {
    /// Names with nothing to sync, the greater part of a folder.
    clean: BTreeMap<String, Node>,
    /// Names that changed since the folder was synced.
    changed: BTreeMap<String, History>,
    /// Whether `sync_all` knows that there is something to sync.
    listed: bool,
}

/// What a name stood for at the last sync, and after each change since: a crash leaves any one of them.
#[derive(Debug)]
struct History {
    durable: Option<Node>,
    changes: Vec<Option<Node>>,
    /// A failed sync made the kernel forget the changes: they stay, but no later sync writes them.
    forgotten: bool,
}

impl Names {
    fn get(&self, name: &str) -> Option<&Node> {
        match self.changed.get(name) {
            Some(history) => history.changes.last().unwrap_or(&history.durable).as_ref(),
            None => self.clean.get(name),
        }
    }
}

impl Folder {
    pub(super) fn get(&self, name: &str) -> Option<Node> {
        lock(&self.0).get(name).cloned()
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        let names = lock(&self.0);
        let changed = names.changed.keys().filter_map(|name| Some((name, names.get(name)?)));
        let entry =
            |(name, node): (&String, &Node)| Entry { name: name.clone(), is_dir: matches!(node, Node::Folder(_)) };
        names.clean.iter().chain(changed).map(entry).collect()
    }

    /// Let `change` decide what a name stands for from now on. Returns whether `sync_all` must be told.
    pub(super) fn change(
        &self,
        name: &str,
        change: impl FnOnce(Option<Node>) -> io::Result<Option<Node>>,
    ) -> io::Result<bool> {
        let mut names = lock(&self.0);
        let old = names.get(name).cloned();
        let new = change(old.clone())?;
        if same(old.as_ref(), new.as_ref()) {
            return Ok(false);
        }
        let durable = names.clean.remove(name);
        let fresh = || History { durable, changes: Vec::new(), forgotten: false };
        let history = names.changed.entry(name.to_owned()).or_insert_with(fresh);
        history.changes.push(new);
        history.forgotten = false;
        Ok(!std::mem::replace(&mut names.listed, true))
    }

    /// `sync_all` has taken the folder off its list.
    pub(super) fn unlist(&self) {
        lock(&self.0).listed = false;
    }

    /// All names become durable as they are, except what an earlier failed sync has made the kernel forget.
    pub(super) fn sync(&self) {
        let mut names = lock(&self.0);
        let (kept, synced) = std::mem::take(&mut names.changed).into_iter().partition(|(_, h)| h.forgotten);
        names.changed = kept;
        let synced: BTreeMap<String, History> = synced;
        for (name, mut history) in synced {
            if let Some(node) = history.changes.pop().unwrap_or(history.durable) {
                names.clean.insert(name, node);
            }
        }
    }

    /// A sync that fails: later ones will believe that there is nothing to do.
    pub(super) fn forget(&self) {
        lock(&self.0).changed.values_mut().for_each(|history| history.forgotten = true);
    }

    /// What each name stands for after a crash; each unsynced change is kept `luck` times of eight.
    pub(super) fn after_crash(&self, random: &mut Random, luck: u64) -> BTreeMap<String, Node> {
        let names = lock(&self.0);
        let mut found = names.clean.clone();
        for (name, history) in &names.changed {
            let kept = history.changes.iter().rfind(|_| random.chance(luck));
            if let Some(node) = kept.unwrap_or(&history.durable) {
                found.insert(name.clone(), node.clone());
            }
        }
        found
    }

    /// A folder with these names, all durable.
    pub(super) fn durable(names: BTreeMap<String, Node>) -> Self {
        Self(Mutex::new(Names { clean: names, ..Names::default() }))
    }
}

fn same(one: Option<&Node>, other: Option<&Node>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(Node::File(a)), Some(Node::File(b))) => Arc::ptr_eq(a, b),
        (Some(Node::Folder(a)), Some(Node::Folder(b))) => Arc::ptr_eq(a, b),
        _ => false,
    }
}
