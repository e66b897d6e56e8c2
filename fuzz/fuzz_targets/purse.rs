// SPDX-License-Identifier: Apache-2.0
#![no_main]
//! The flows of a terminal with a purse, a passbook and a PSAM that is a card: whatever the cards
//! say, nothing panics, a debit is paid by the right MAC2 alone, and what is unsettled is settled
//! or kept at last.
use cam_types::{Aid, BcdDate, BcdTime, Fen, Secret, TerminalId, TerminalSequence};
use libfuzzer_sys::fuzz_target;
use stbcam_fuzz::{Step, steps};
use std::cell::RefCell;
use wallet::card::{ApplicationData, AuthenticationCode};
use wallet::compound::{self, CompoundPurchase};
use wallet::formula::mac2_purchase;
use wallet::keys::{PurchaseKey, TacKey, UnloadKey};
use wallet::load::{Credit, Load};
use wallet::passbook::OverdraftLimit;
use wallet::passbook::overdraft::{OverdraftUpdate, Update};
use wallet::passbook::unload::{self, Unload};
use wallet::pin::{Pin, Verify};
use wallet::port::CardPort;
use wallet::proof::{Settlement, Unsettled};
use wallet::psam::{CardIdentity, CardPsam, Psam, SamApplication, SoftPsam};
use wallet::purchase::{Debit, Debiting, Purchase};
use wallet::read::{LogReading, balance};
use wallet::select::Select;
use wallet::{Mac, Profile};

const TERMINAL: TerminalId = TerminalId::new([0x00, 0x11, 0x22, 0x33, 0x44, 0x55]);
const DATE: BcdDate = BcdDate([0x20, 0x24, 0x01, 0x15]);
const TIME: BcdTime = BcdTime([0x09, 0x45, 0x00]);
const PRICE: Fen = Fen::new(1_234);

fn key() -> PurchaseKey {
    // Of the recorded sessions that the first inputs come from.
    let octets = 0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210_u128.to_be_bytes();
    PurchaseKey::new(Secret::new(octets))
}

/// The card: an answer for each command, or none.
struct Card<'a, I: Iterator<Item = Step<'a>>>(I);

impl<'a, I: Iterator<Item = Step<'a>>> Card<'a, I> {
    fn answer(&mut self) -> Option<&'a [u8]> {
        match self.0.next()? {
            Step::Octets(octets) => Some(octets),
            _ => None,
        }
    }

    fn read(&mut self) -> Option<()> {
        let select = Select::new(Aid::PURSE.octets());
        assert!(select.command().len() <= 22);
        let _ = select.answer(self.answer()?);
        if let Ok(application) = ApplicationData::answer(self.answer()?) {
            let code = AuthenticationCode::answer(self.answer()?).ok();
            for (_, profile) in Profile::ALL {
                let _ = profile.identity(&application, Some([1, 2, 3, 4]), code);
            }
        }
        let _ = balance(self.answer()?);
        let mut reading = Some(LogReading::new());
        while let Some(next) = reading {
            reading = next.answer(self.answer()?).ok().flatten().and_then(|(_, next)| next);
        }
        let pin = Pin::from_digits("123456").unwrap();
        let _ = Verify::new(0, &pin).answer(self.answer());
        Some(())
    }

    fn load(&mut self) -> Option<()> {
        let load = Load::new(1, PRICE, TERMINAL).unwrap();
        let initialized = load.initialized(self.answer()?).ok()?;
        let before = initialized.balance;
        match initialized.credit(DATE, TIME, Mac([0; 4])).finish(self.answer()) {
            Credit::Loaded(receipt) => assert_eq!(before.checked_add(PRICE), Some(receipt.balance)),
            Credit::Refused(_) => {}
            Credit::Unsettled(unsettled) => self.settle(unsettled),
        }
        Some(())
    }

    fn purchase(&mut self, psam: &mut SoftPsam) -> Option<()> {
        let purchase = Purchase::new(1, PRICE, TERMINAL).unwrap();
        let initialized = purchase.initialized(self.answer()?).ok()?;
        let (random, sequence) = (initialized.random, initialized.offline_sequence);
        let debiting = initialized.authorise(DATE, TIME, &CardIdentity::default(), psam).ok()?;
        let answer = self.answer();
        self.debit(debiting, answer, psam, |terminal| key().session(random, sequence, terminal));
        Some(())
    }

    fn compound(&mut self, psam: &mut SoftPsam) -> Option<()> {
        let purchase = CompoundPurchase::new(1, PRICE, TERMINAL);
        let initialized = purchase.initialized(self.answer()?).ok()?;
        let (random, sequence) = (initialized.card().random, initialized.card().offline_sequence);
        let updating =
            initialized.update(compound::Update::by_number(0x17, 1, &[9, 1, 0]).unwrap());
        let updated = updating.updated(self.answer()?).ok()?;
        let debiting = updated.authorise(DATE, TIME, &CardIdentity::default(), psam).ok()?;
        let answer = self.answer();
        self.debit(debiting, answer, psam, |terminal| key().session(random, sequence, terminal));
        Some(())
    }

    fn unload(&mut self) -> Option<()> {
        let unload = Unload::new(1, PRICE, TERMINAL).unwrap();
        let initialized = unload.initialized(self.answer()?).ok()?;
        let before = initialized.card().balance;
        let unloading = initialized.debit(DATE, TIME, Mac([0; 4]));
        let mac3 = unloading.mac3(&UnloadKey::new(Secret::new([0x44; 16])));
        let answer = self.answer();
        match unloading.finish(answer, mac3) {
            unload::Debit::Unloaded(receipt) => {
                assert_eq!(before.checked_sub(PRICE), Some(receipt.balance));
                assert_eq!(answer.unwrap()[..4], mac3.0);
            }
            unload::Debit::Refused(_) => {}
            unload::Debit::Unsettled(unsettled) => self.settle(unsettled),
        }
        Some(())
    }

    fn update(&mut self) -> Option<()> {
        let limit = OverdraftLimit::new(PRICE).unwrap();
        let update = OverdraftUpdate::new(1, limit, TERMINAL);
        let initialized = update.initialized(self.answer()?).ok()?;
        let updating = initialized.update(DATE, TIME, Mac([0; 4]));
        let key = TacKey::new(Secret::new([0x55; 16]));
        match updating.finish_checked(self.answer(), &key) {
            Update::Updated(receipt) => assert!(receipt.balance(&key).is_some()),
            Update::Refused(_) => {}
            Update::Unsettled(unsettled) => self.settle(unsettled),
        }
        Some(())
    }

    /// The fuzzer is the module, too.
    fn module(&mut self) -> Option<()> {
        let card = RefCell::new(self);
        let answer = || card.borrow_mut().answer();
        let mut psam = CardPsam::open(Module(answer), &SamApplication::default()).ok()?;
        let terminal = psam.terminal().ok()?;
        let purchase = Purchase::new(1, PRICE, terminal).unwrap();
        let initialized = purchase.initialized(answer()?).ok()?;
        let identity = CardIdentity::of_serial([0x66; 10]);
        let debiting = initialized.authorise(DATE, TIME, &identity, &mut psam).ok()?;
        let said = answer();
        match debiting.finish(said, &mut psam) {
            Debit::Paid(receipt) => assert_eq!(said.unwrap()[..4], receipt.tac.0),
            Debit::Refused(_) => {}
            Debit::Unsettled(unsettled) => card.borrow_mut().settle(unsettled),
        }
        Some(())
    }

    fn debit(
        &mut self,
        debiting: Debiting,
        answer: Option<&[u8]>,
        psam: &mut SoftPsam,
        session: impl Fn(TerminalSequence) -> wallet::keys::SessionKey,
    ) {
        match debiting.finish(answer, psam) {
            Debit::Paid(receipt) => {
                let Mac(mac2) = mac2_purchase(&session(receipt.terminal_sequence), PRICE);
                assert_eq!(answer.unwrap()[4..8], mac2);
            }
            Debit::Refused(refusal) => assert_eq!(answer.unwrap(), refusal.status.0.to_be_bytes()),
            Debit::Unsettled(unsettled) => self.settle(unsettled),
        }
    }

    fn settle(&mut self, unsettled: Unsettled) {
        let kept = unsettled.octets();
        let mut settlement = Settlement::Ask(unsettled.inquire());
        // Two proofs, the counter, and the whole log.
        for _ in 0..3 + 2 * 255 {
            let Settlement::Ask(inquiry) = settlement else { break };
            settlement = inquiry.answer(self.answer(), |proof| proof.check_mac(|_| false));
        }
        match settlement {
            Settlement::Ask(_) => panic!("questions without end"),
            Settlement::NoAnswer(open)
            | Settlement::Refused(open, _)
            | Settlement::MovedOn(open)
            | Settlement::NotShown(open) => {
                assert_eq!(Unsettled::parse(&kept), Ok(open));
            }
            Settlement::Made(_) | Settlement::NotMade(_) => {}
        }
    }
}

/// A PSAM at a second reader.
struct Module<F>(F);

impl<'a, F: FnMut() -> Option<&'a [u8]>> CardPort for Module<F> {
    fn transmit(&mut self, command: &[u8]) -> Option<Vec<u8>> {
        assert!(command.len() <= 261);
        (self.0)().map(<[u8]>::to_vec)
    }
}

fuzz_target!(|octets: &[u8]| {
    let Some((which, octets)) = octets.split_first() else { return };
    let mut card = Card(steps(octets));
    let mut psam = SoftPsam::new(TERMINAL, TerminalSequence::new(0)).with_key(1, key());
    let _ = match which & 7 {
        0 => card.read(),
        1 => card.load(),
        2 => card.purchase(&mut psam),
        3 => card.compound(&mut psam),
        4 => card.unload(),
        5 => card.update(),
        _ => card.module(),
    };
});
