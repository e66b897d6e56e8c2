// SPDX-License-Identifier: Apache-2.0
//! All that lasts on the card: objects in memory, changed by transactions only.

use crate::cas::store::CasStore;
use crate::decide;
use crate::fault::Fault;
use crate::firewall::Objects;
use crate::isd::store::IssuerStore;
use crate::nvm::{BODY, Cut, Nvm, NvmError, PAGE, PageStore, home};
use crate::persist::Persist;
use crate::pin::store::Pin;
use crate::psam::store::PsamStore;
use crate::purse::store::PurseStore;
use crate::stop::Stop;
use cam_types::{DecodeError, Reader};

/// Version of the layout, in front of everything.
pub(crate) const LAYOUT: [u8; 4] = *b"SCV6";

/// Pages of one store.
const fn pages(len: usize) -> usize {
    len.div_ceil(BODY)
}

/// Pages of all objects; every store begins on a page of its own, so that no page has two owners.
pub(crate) const HOME_PAGES: usize = pages(LAYOUT.len() + IssuerStore::LEN)
    + pages(Pin::LEN)
    + pages(CasStore::LEN)
    + pages(PurseStore::LEN)
    + pages(<Option<PsamStore>>::LEN);

/// The home pages of these objects.
pub(crate) fn store(objects: &Objects) -> Vec<u8> {
    let (issuer, pin, cas, purse, psam) = objects.stores();
    let mut out = Vec::with_capacity(HOME_PAGES * BODY);
    out.extend_from_slice(&LAYOUT);
    issuer.store(&mut out);
    on_next_page(&mut out, pin);
    on_next_page(&mut out, cas);
    on_next_page(&mut out, purse);
    on_next_page(&mut out, psam);
    out.resize(HOME_PAGES * BODY, 0);
    home::pages(&out)
}

fn on_next_page(out: &mut Vec<u8>, part: &impl Persist) {
    out.resize(out.len().next_multiple_of(BODY), 0);
    part.store(out);
}

/// The objects in these home pages.
fn load(home: &[u8]) -> Result<Objects, Unusable> {
    another_layout(home)?;
    Ok(objects(&home::octets(home)?)?)
}

/// The pages are those of another version of this program.
fn another_layout(home: &[u8]) -> Result<(), Unusable> {
    match home.first_chunk::<4>() {
        Some(layout @ [b'S', b'C', b'V', b'0'..=b'9']) if *layout != LAYOUT => {
            Err(Unusable::Layout(*layout))
        }
        _ => Ok(()),
    }
}

fn objects(octets: &[u8]) -> Result<Objects, DecodeError> {
    let mut r = Reader::new(octets);
    let mut part = |len: usize| r.bytes(pages(len) * BODY, "store").map(Reader::new);
    let mut first = part(LAYOUT.len() + IssuerStore::LEN)?;
    if *first.array("layout")? != LAYOUT {
        return Err(DecodeError::Checksum("layout version"));
    }
    Ok(Objects::new(
        IssuerStore::load(&mut first)?,
        Pin::load(&mut part(Pin::LEN)?)?,
        CasStore::load(&mut part(CasStore::LEN)?)?,
        PurseStore::load(&mut part(PurseStore::LEN)?)?,
        Persist::load(&mut part(<Option<PsamStore>>::LEN)?)?,
    ))
}

/// Objects and the memory under them.
pub(crate) struct Vault {
    nvm: Nvm,
    objects: Objects,
    faults: Vec<Fault>,
    armed: Option<Cut>,
}

/// Why a memory cannot be used.
#[derive(Debug)]
pub enum Unusable {
    /// It could not be read.
    Memory(NvmError),
    /// What it holds cannot be.
    Damaged(DecodeError),
    /// It is that of another version of this program.
    Layout([u8; 4]),
}

impl From<DecodeError> for Unusable {
    fn from(error: DecodeError) -> Self {
        Self::Damaged(error)
    }
}

impl From<NvmError> for Unusable {
    fn from(error: NvmError) -> Self {
        Self::Memory(error)
    }
}

impl Vault {
    /// Boots the memory and reads the objects.
    pub(crate) fn open(mut store: Box<dyn PageStore>) -> Result<Self, Unusable> {
        let mut first = [0; PAGE];
        if store.pages() != Nvm::pages(HOME_PAGES) && store.read(Nvm::pages(0), &mut first).is_ok()
        {
            another_layout(&first)?;
        }
        let mut nvm = Nvm::new(store, HOME_PAGES)?;
        nvm.boot()?;
        let objects = load(nvm.home())?;
        Ok(Self { nvm, objects, faults: Vec::new(), armed: None })
    }

    /// The same objects over a copy of their memory.
    pub(crate) fn twin(&self, store: Box<dyn PageStore>) -> Self {
        let (objects, faults) = (self.objects.clone(), self.faults.clone());
        Self { nvm: self.nvm.twin(store), objects, faults, armed: self.armed }
    }

    /// Boots again, as after a reset: interrupted transactions are finished or forgotten.
    pub(crate) fn boot(&mut self) -> Result<(), Unusable> {
        self.nvm.boot()?;
        self.objects = load(self.nvm.home())?;
        Ok(())
    }

    /// The objects as they are.
    pub(crate) const fn objects(&self) -> &Objects {
        &self.objects
    }

    /// Changes objects, all or nothing: when `change` fails, or the power does, nothing has
    /// changed.
    pub(crate) fn change<T, E: From<Stop>>(
        &mut self,
        change: impl FnOnce(&mut Objects) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut next = self.objects.clone();
        let result = change(&mut next)?;
        self.commit(next, None)?;
        Ok(result)
    }

    /// The same for a purchase, which an armed power cut hits.
    pub(crate) fn purchase<T, E: From<Stop>>(
        &mut self,
        change: impl FnOnce(&mut Objects) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut next = self.objects.clone();
        let result = change(&mut next)?;
        let cut = self.armed.take();
        self.commit_purchase(next, cut)?;
        Ok(result)
    }

    /// The next purchase loses its power there.
    pub(crate) fn arm(&mut self, cut: Cut) {
        self.armed = Some(cut);
    }

    /// Misbehaves from now on.
    pub(crate) fn add_fault(&mut self, fault: Fault) {
        if fault == Fault::NoJournal {
            self.nvm.without_journal();
        }
        self.faults.push(fault);
    }

    /// Misbehaves in no way.
    pub(crate) const fn is_honest(&self) -> bool {
        self.faults.is_empty()
    }

    /// Misbehaves in this way.
    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    /// Page writes since the memory was opened.
    pub(crate) const fn page_writes(&self) -> u64 {
        self.nvm.page_writes()
    }

    /// Transactions since the memory was opened.
    pub(crate) const fn commits(&self) -> u64 {
        self.nvm.commits()
    }

    /// Does what a transaction has left for after the answer.
    pub(crate) fn bring_home(&mut self) -> Result<(), Stop> {
        Ok(self.nvm.bring_home()?)
    }

    /// Under the fault `forget-commit` a purchase never reaches the memory.
    fn commit_purchase(&mut self, next: Objects, cut: Option<Cut>) -> Result<(), Stop> {
        if !self.has(Fault::ForgetCommit) {
            return self.commit(next, cut);
        }
        self.objects = next;
        if cut.is_some() { Err(Stop::PowerLost) } else { Ok(()) }
    }

    fn commit(&mut self, next: Objects, cut: Option<Cut>) -> Result<(), Stop> {
        if decide::is_alarmed() {
            return Err(Stop::Alarm);
        }
        self.nvm.commit(&store(&next), cut)?;
        self.objects = next;
        Ok(())
    }
}
