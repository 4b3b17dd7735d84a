//! Opening: the settings and nothing else. Creating: folders first, the settings last and put only where there are none.

use std::io::{IoSlice, IoSliceMut};
use std::sync::{Arc, Mutex, OnceLock};

use super::crew::Crew;
use super::{Inner, Store};
use crate::disk::{Disk, FileSystem};
use crate::error::At;
use crate::format::segment::LEVELS;
use crate::format::settings::{MAX_SETTINGS, Settings};
use crate::index::levels::{Levels, level_dir};
use crate::{Error, Kind, Result};

/// How to open a store.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Open for reading and writing; otherwise nothing is ever written.
    pub write: bool,
    /// Make a store where there is none.
    pub create: bool,
    /// Write to a folder whose locks, links and syncs another host or a user program answers for.
    pub shared: bool,
    /// What a new store is made with; a store that is there keeps its own.
    pub settings: Settings,
    /// Threads for work that can be shared out; 1 at least.
    pub threads: usize,
    /// A batch that has placed more chunks than this writes their entries (64 bytes each) to a temporary file.
    pub entries_in_memory: usize,
    /// Bytes after which a batch begins its next pack; the packs of giant batches in folders are longer.
    pub pack_target: u64,
}

/// The settings' file.
const SETTINGS: &str = "store.json";
/// The folders of a store; `index` holds one for each level.
const FOLDERS: [&str; 9] = ["damage", "documents", "index", "locks", "marks", "packs", "roots", "tmp", "writers"];

impl Store {
    /// Open the store on `disk`.
    ///
    /// # Errors
    /// `NotAStore` when there is none and none is to be made, or when other things stand there; `Unsupported` when it is of a newer format,
    /// or the folder is not this machine's alone and that was not asked for; `Corrupt` when its settings are damaged; the disk's errors.
    pub fn open(disk: Arc<dyn Disk>, options: OpenOptions) -> Result<Self> {
        if options.write && !options.shared {
            refuse_shared(disk.as_ref())?;
        }
        let settings = match read_settings(disk.as_ref())? {
            Some(settings) => settings,
            None if options.create && options.write => create(disk.as_ref(), &options.settings)?,
            None => {
                let text = format!("open {}: there is no store", disk.describe());
                return Err(Error::new(Kind::NotAStore, "no-store", text));
            }
        };
        let inner = Inner {
            levels: Levels::new(Arc::clone(&disk)),
            crew: Crew::new(options.threads, disk.reach().far),
            disk,
            settings,
            writable: options.write,
            threads: options.threads.max(1),
            entries_in_memory: options.entries_in_memory.max(1),
            pack_target: options.pack_target,
            packs: Default::default(),
            neighbours: Default::default(),
            notes: Default::default(),
            pending: Default::default(),
            writer: Mutex::default(),
            poison: OnceLock::new(),
            counters: Default::default(),
            adopted: Default::default(),
            encoders: Mutex::default(),
            decoders: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

pub(crate) fn read_settings(disk: &dyn Disk) -> Result<Option<Settings>> {
    let file = match disk.open(SETTINGS) {
        Ok(Some(file)) => file,
        Ok(None) => return Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", SETTINGS, error)),
    };
    let mut bytes = vec![0; MAX_SETTINGS.saturating_add(1)];
    let len = file.read_at(&mut [IoSliceMut::new(&mut bytes)], 0).at("read", SETTINGS)?;
    bytes.truncate(len);
    Settings::from_file(&bytes).map(Some).map_err(|e| {
        let (kind, cause) = (e.kind(), e.cause());
        e.recast(kind, cause, &format!("open {}", disk.describe()))
    })
}

fn create(disk: &dyn Disk, settings: &Settings) -> Result<Settings> {
    let here = disk.list("").at("list", "")?;
    if here.iter().any(|entry| entry.name == SETTINGS) {
        // Another process made the store meanwhile.
        return read_settings(disk)?.ok_or_else(|| vanished(disk));
    }
    // What a creation that was interrupted may have left is ours.
    if let Some(other) = here.iter().find(|entry| !(entry.is_dir && FOLDERS.contains(&entry.name.as_str()))) {
        let text =
            format!("create a store in {}: the folder holds other things, {:?} for one", disk.describe(), other.name);
        return Err(Error::new(Kind::NotAStore, "not-empty", text));
    }
    for folder in FOLDERS {
        disk.create_dir(folder).at("create", folder)?;
    }
    for level in 0..LEVELS {
        let dir = level_dir(level);
        disk.create_dir(&dir).at("create", &dir)?;
    }
    disk.sync_dir("index").at("sync", "index")?;
    disk.sync_dir("").at("sync", "")?;
    let mut staged = disk.stage().at("stage in", "tmp")?;
    staged.write_at(&[IoSlice::new(&settings.to_file()?)], 0).at("write", SETTINGS)?;
    staged.sync().at("sync", SETTINGS)?;
    match staged.publish(SETTINGS) {
        Ok(()) => {}
        // Another process was first: its settings hold.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(Error::io("create", SETTINGS, error)),
    }
    disk.sync_dir("").at("sync", "")?;
    read_settings(disk)?.ok_or_else(|| vanished(disk))
}

/// Writing to a file system whose locks and syncs others answer for has to be asked for.
fn refuse_shared(disk: &dyn Disk) -> Result<()> {
    let name = match disk.file_system().at("ask for the file system of", &disk.describe())? {
        FileSystem::Local => return Ok(()),
        FileSystem::Network(name) => name,
        FileSystem::UserSpace => "user-space",
    };
    let text =
        format!("open for writing: the folder is on a {name} file system; say shared=True if its rules are kept");
    Err(Error::new(Kind::Unsupported, "shared-file-system", text))
}

fn vanished(disk: &dyn Disk) -> Error {
    Error::new(Kind::NotAStore, "no-store", format!("create a store in {}: it vanished", disk.describe()))
}
