use alloc::string::String;
use alloc::vec::Vec;

use cam_types::{Fen, Instant};

use crate::{
    Access, CaPmtReply, Card, Config, Filter, Input, KeyVersion, Offer, OfferId, Output,
    PurchaseError, Receipt, RequestId, Right, SessionError, SessionId, Stats, Ticket, Transaction,
    TxnId, Wallet,
};

/// The conditional access engine of one card reader. See the crate's documentation for its rules.
pub struct Engine {
    config: Config,
    card: Card,
    filters: Vec<Filter>,
    rights: Vec<Right>,
    key_versions: Vec<KeyVersion>,
    wallet: Option<Wallet>,
    stats: Stats,
    tickets: u32,
}

impl Engine {
    /// An engine that waits for a card. With [`Config::probe`] its first output asks for one.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            card: Card::default(),
            filters: Vec::new(),
            rights: Vec::new(),
            key_versions: Vec::new(),
            wallet: None,
            stats: Stats::default(),
            tickets: 0,
        }
    }

    /// The rows that the storage must be asked for before [`Engine::new`].
    pub fn storage_keys() -> Vec<String> {
        Vec::new()
    }

    /// Takes one input. Call [`Engine::poll_output`] until it says [`Output::Wait`] after it.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        let _ = (now, input);
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Output<'_> {
        Output::Wait(None)
    }

    /// Opens a session for the programme of this PMT section.
    pub fn session_open(
        &mut self,
        now: Instant,
        source: u8,
        pmt: &[u8],
    ) -> Result<SessionId, SessionError> {
        let _ = (now, source, pmt);
        Err(SessionError::Full { max: self.config.max_sessions })
    }

    /// The programme's PMT has changed.
    pub fn session_update(
        &mut self,
        now: Instant,
        session: SessionId,
        pmt: &[u8],
    ) -> Result<(), SessionError> {
        let _ = (now, session, pmt);
        Err(SessionError::Unknown)
    }

    /// Closes a session and wipes its keys.
    pub fn session_close(&mut self, now: Instant, session: SessionId) -> Result<(), SessionError> {
        let _ = (now, session);
        Err(SessionError::Unknown)
    }

    /// Takes an EN 50221 CA_PMT object, list management included.
    pub fn ca_pmt(
        &mut self,
        now: Instant,
        source: u8,
        object: &[u8],
    ) -> Result<CaPmtReply, SessionError> {
        let _ = (now, source, object);
        Err(SessionError::Unknown)
    }

    /// Begins a purchase. The same request id gives the same purchase back, whatever became of it,
    /// also after a restart.
    pub fn purchase_begin(
        &mut self,
        now: Instant,
        offer: OfferId,
        request: RequestId,
        price_seen: Fen,
    ) -> Result<TxnId, PurchaseError> {
        let _ = (now, offer, request, price_seen);
        Err(PurchaseError::NoOffer)
    }

    /// Confirms a purchase. `pin` is ASCII digits, empty to try without. The answer comes as
    /// [`crate::Event::Purchase`]; a purchase that has ended reports its end again, without a debit.
    pub fn purchase_confirm(
        &mut self,
        now: Instant,
        txn: TxnId,
        pin: &[u8],
    ) -> Result<(), PurchaseError> {
        let _ = (now, txn, pin);
        Err(PurchaseError::NoTransaction)
    }

    /// Cancels a purchase that is not confirmed.
    pub fn purchase_cancel(&mut self, now: Instant, txn: TxnId) -> Result<(), PurchaseError> {
        let _ = (now, txn);
        Err(PurchaseError::NoTransaction)
    }

    /// How a purchase stands.
    pub fn purchase(&self, txn: TxnId) -> Result<Transaction, PurchaseError> {
        let _ = txn;
        Err(PurchaseError::NoTransaction)
    }

    /// Asks the card whether this PIN (ASCII digits) is right. The answer comes as
    /// [`crate::Event::Pin`].
    pub fn pin_verify(&mut self, now: Instant, pin: &[u8]) -> Result<Ticket, PurchaseError> {
        let _ = (now, pin);
        self.tickets += 1;
        Err(PurchaseError::NoCard)
    }

    /// Resets the card. Keys stay until it answers.
    pub fn card_reset(&mut self, now: Instant) {
        let _ = now;
    }

    /// The section filters wanted now.
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// The access of a session; `None` for an id that is not open.
    pub fn access(&self, session: SessionId) -> Option<Access> {
        let _ = session;
        None
    }

    /// The card.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// What can be bought in a session.
    pub fn offers(&self, session: SessionId) -> impl Iterator<Item = Offer> + '_ {
        let _ = session;
        core::iter::empty()
    }

    /// The rights on the card, as read after the last change.
    pub fn rights(&self) -> &[Right] {
        &self.rights
    }

    /// The purse, as read after the last change.
    pub fn wallet(&self) -> Option<Wallet> {
        self.wallet
    }

    /// The receipts of purchases made here, oldest first.
    pub fn receipts(&self) -> impl Iterator<Item = (TxnId, Receipt)> + '_ {
        core::iter::empty()
    }

    /// The service keys' generations, as read after the last change.
    pub fn key_versions(&self) -> &[KeyVersion] {
        &self.key_versions
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        self.stats
    }
}
