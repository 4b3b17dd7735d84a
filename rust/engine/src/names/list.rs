//! Listing: one scan of the folders, sorted by the full names, served page by page.
//!
//! The encoding keeps the order, so encoded names are sorted as they are, and decoded when a page is read. A name that was cut
//! stands in its file; it is encoded again in full, and sorted as all others.

use super::{DOCUMENT, DOCUMENTS, encoding, read};
use crate::disk::Disk;
use crate::error::At;
use crate::{Cancel, Error, Result};

/// How many names are looked at between two looks at the cancel flag.
const STRIDE: usize = 4096;

/// The names under a prefix at the moment of the scan, in the order of their UTF-8 bytes.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    runs: Vec<Run>,
    /// Where the next page begins: a run, and a name in it.
    next: (usize, usize),
}

/// Sorted names that stand in one folder, none of another folder between them.
#[derive(Clone, Debug)]
struct Run {
    /// The folder, encoded, with the `/` behind it.
    folder: String,
    /// Encoded last parts.
    names: Vec<Box<str>>,
}

impl Listing {
    /// How many names there are in all.
    pub fn len(&self) -> usize {
        self.runs.iter().map(|run| run.names.len()).fold(0, usize::saturating_add)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The next names, at most `limit`; fewer at the end only.
    pub fn page(&mut self, limit: usize) -> Vec<String> {
        let mut page = Vec::with_capacity(limit.min(self.len()));
        while page.len() < limit {
            let (run, name) = self.next;
            let Some(run) = self.runs.get(run) else { break };
            match run.names.get(name) {
                Some(part) => {
                    self.next.1 = name.saturating_add(1);
                    page.extend(decode(&run.folder, part));
                }
                None => self.next = (self.next.0.saturating_add(1), 0),
            }
        }
        page
    }

    /// Let the next page begin behind this name, whether or not it exists.
    pub fn skip_to(&mut self, after: &str) {
        let after = encoding::encode(after);
        let is_behind = |run: &Run, part: &str| run.folder.bytes().chain(part.bytes()).gt(after.bytes());
        let run = self.runs.partition_point(|run| run.names.last().is_none_or(|last| !is_behind(run, last)));
        let name = self.runs.get(run).map_or(0, |run| run.names.partition_point(|part| !is_behind(run, part)));
        self.next = (run, name);
    }
}

/// The full name; `None` when what stands in the folder is no document of ours.
fn decode(folder: &str, part: &str) -> Option<String> {
    encoding::decode(&format!("{folder}{part}"))
}

/// What a scan needs to know everywhere.
struct Scan<'a> {
    disk: &'a dyn Disk,
    cancel: &'a Cancel,
    runs: Vec<Run>,
}

pub(super) fn scan(disk: &dyn Disk, prefix: &str, cancel: &Cancel) -> Result<Listing> {
    let mut path = DOCUMENTS.to_owned();
    let mut folder = String::new();
    let mut parts = encoding::parts(prefix);
    let begins = parts.pop().unwrap_or_default();
    for part in parts {
        path = format!("{path}/{}", encoding::folder_part(part));
        folder = format!("{folder}{}/", encoding::encode(part));
    }
    let mut scan = Scan { disk, cancel, runs: Vec::new() };
    scan.folder(&path, folder, begins)?;
    Ok(Listing { runs: scan.runs, next: (0, 0) })
}

impl Scan<'_> {
    /// Add the documents in and under a folder whose next part begins with `begins`.
    fn folder(&mut self, path: &str, folder: String, begins: &str) -> Result<()> {
        let mut found = self.look(path)?;
        for entry in found.iter_mut().filter(|entry| encoding::is_cut(entry.part())) {
            match self.cut_part(path, entry, encoding::parts(&folder).len())? {
                Some(part) => entry.write_out(&part),
                // A folder without any document.
                None => entry.key = Box::default(),
            }
        }
        found.retain(|entry| !entry.key.is_empty());
        if !begins.is_empty() {
            let mut text = String::new();
            found.retain(|entry| {
                text.clear();
                encoding::decode_part(entry.part(), &mut text).is_some() && text.starts_with(begins)
            });
        }
        let found = sorted(found);
        let mut names = Vec::with_capacity(found.len());
        for entry in found {
            let Some(part) = entry.key.strip_suffix('/') else {
                names.push(entry.key);
                continue;
            };
            self.add(&folder, &mut names);
            let below = entry.below.as_deref().unwrap_or(part);
            self.folder(&format!("{path}/{below}"), format!("{folder}{}", entry.key), "")?;
        }
        self.add(&folder, &mut names);
        Ok(())
    }

    fn add(&mut self, folder: &str, names: &mut Vec<Box<str>>) {
        if !names.is_empty() {
            self.runs.push(Run { folder: folder.to_owned(), names: std::mem::take(names) });
        }
    }

    /// What stands in a folder; nothing when it is missing, unless it is that of all names: a store has it.
    fn look(&self, path: &str) -> Result<Vec<Found>> {
        self.cancel.check()?;
        let mut found = Vec::new();
        let mut seen = 0_usize;
        let visited = self.disk.visit(path, &mut |name, is_dir| {
            found.extend(Found::new(name, is_dir));
            seen = seen.wrapping_add(1);
            !seen.is_multiple_of(STRIDE) || !self.cancel.is_cancelled()
        });
        self.cancel.check()?;
        match visited {
            // Folders below come and go with the names in them.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && path != DOCUMENTS => Ok(Vec::new()),
            visited => visited.at("list", path).map(|()| found),
        }
    }

    /// The text of a part that was cut, from the file of a document that has it in its name; `None` for a folder without one.
    fn cut_part(&self, path: &str, entry: &Found, depth: usize) -> Result<Option<String>> {
        let file = if entry.is_folder() {
            match self.any_document(&format!("{path}/{}", entry.part()))? {
                Some(file) => file,
                None => return Ok(None),
            }
        } else {
            format!("{path}/{}{DOCUMENT}", entry.part())
        };
        let Some(bytes) = read::name_bytes(self.disk, &file)? else { return Ok(None) };
        // The file's name holds the hash of the part: a name that fits it is right, whatever else of the file is damaged.
        let name = crate::format::Envelope::peek_name(&bytes).ok();
        let part = name.and_then(|name| encoding::parts(name).get(depth.saturating_sub(1)).copied());
        match part.filter(|part| encoding::folder_part(part) == entry.part()) {
            Some(part) => Ok(Some(part.to_owned())),
            None => Err(Error::corrupt("envelope", format!("the name of the document in {file:?} cannot be read"))),
        }
    }

    /// The path of some document in or under a folder.
    fn any_document(&self, path: &str) -> Result<Option<String>> {
        let found = self.look(path)?;
        if let Some(entry) = found.iter().find(|entry| !entry.is_folder()) {
            return Ok(Some(format!("{path}/{}{DOCUMENT}", entry.part())));
        }
        for entry in found {
            if let Some(file) = self.any_document(&format!("{path}/{}", entry.part()))? {
                return Ok(Some(file));
            }
        }
        Ok(None)
    }
}

/// A document or a folder, by what it is sorted by: the encoded part, of a folder with the `/` behind it.
struct Found {
    key: Box<str>,
    /// The folder's name on the disk, where the key is not that.
    below: Option<Box<str>>,
}

impl Found {
    /// `None` for what is neither a document nor a folder.
    fn new(name: &str, is_dir: bool) -> Option<Self> {
        let key = if is_dir { format!("{name}/") } else { name.strip_suffix(DOCUMENT)?.to_owned() };
        Some(Self { key: key.into(), below: None })
    }

    fn is_folder(&self) -> bool {
        self.key.ends_with('/')
    }

    fn part(&self) -> &str {
        self.key.strip_suffix('/').unwrap_or(&self.key)
    }

    /// Put the encoding of the whole part in place of the cut one.
    fn write_out(&mut self, part: &str) {
        let whole = encoding::encode(part);
        if self.is_folder() {
            self.below = Some(self.part().into());
            self.key = format!("{whole}/").into();
        } else {
            self.key = whole.into();
        }
    }
}

/// Sort by the keys, each once. What all keys begin with is passed over, and the eight bytes behind it are compared as one number:
/// names in a folder are alike, and a comparison that has to fetch both from memory costs ten times as much.
fn sorted(found: Vec<Found>) -> Vec<Found> {
    let common = found.first().map_or(0, |first| {
        found.iter().fold(first.key.len(), |common, entry| {
            let alike = first.key.bytes().zip(entry.key.bytes()).take(common).take_while(|(a, b)| a == b);
            alike.count()
        })
    });
    let number = |key: &str| {
        let mut bytes = [0; 8];
        let tail = key.as_bytes().get(common..).unwrap_or_default();
        bytes.iter_mut().zip(tail).for_each(|(to, from)| *to = *from);
        u64::from_be_bytes(bytes)
    };
    let mut keyed: Vec<(u64, Found)> = found.into_iter().map(|entry| (number(&entry.key), entry)).collect();
    keyed.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.key.cmp(&b.1.key)));
    keyed.dedup_by(|a, b| a.1.key == b.1.key);
    keyed.into_iter().map(|(_, entry)| entry).collect()
}
