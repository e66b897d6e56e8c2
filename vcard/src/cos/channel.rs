// SPDX-License-Identifier: Apache-2.0
//! Secure channels: with a paired box, and with whoever administers the card.

use crate::cas::store::Pairing;
use crate::context::Context;
use crate::decide::{JUDGE, Twice, decide};
use crate::isd;
use crate::isd::store::FIRST_KVN;
use crate::random::Random;
use crate::stop::Stop;
use crate::vault::Vault;
use cam_types::{Aid, Key, StbId};
use ecm_emm::card::{PAIRING_SLOTS, pairing_key_version};
use ecm_emm::keys::pairing_keys;
use gp::scp03::card::{Challenge, Session};
use gp::scp03::{LEVEL_33, ScpError};
use iso7816::apdu::{Command, StatusWord};

/// Whose keys a channel runs under.
#[derive(Clone)]
pub(super) enum Peer {
    /// A pairing slot, with what was in it when the session began.
    Box { slot: usize, stb: StbId, k_pair: Key },
    /// A key version of the issuer's domain.
    Administrator { kvn: u8 },
}

/// The secure channel of the selected application.
#[derive(Clone, Default)]
pub(super) enum Channel {
    /// There is none: commands come in clear.
    #[default]
    Closed,
    /// INITIALIZE UPDATE was answered; the other end is to prove itself next.
    Challenged(Peer, Challenge),
    /// The other end has proved itself.
    Open(Open),
}

/// A channel both of whose ends have proved that they hold the keys.
#[derive(Clone)]
pub(super) struct Open {
    peer: Peer,
    /// The level to which the other end has opened it.
    pub level: Twice<u32>,
    slot: Twice<u32>,
    /// Session keys, and the counter and chained MAC that keep commands in their order.
    pub session: Session,
}

impl Open {
    /// The pairing slot, if it is a box's channel.
    pub(super) fn pairing(&self) -> Option<usize> {
        match self.peer {
            Peer::Box { .. } => Some(self.slot.get() as usize),
            Peer::Administrator { .. } => None,
        }
    }
}

/// INITIALIZE UPDATE to the conditional access application: KVN 3F to 3C, random challenge, no
/// write.
pub(super) fn challenge_pairing(
    vault: &Vault,
    random: &mut Random,
    command: &Command<'_>,
) -> Result<(Channel, Vec<u8>), Stop> {
    host_challenge(command)?;
    let slot = (0..PAIRING_SLOTS)
        .find(|slot| pairing_key_version(*slot) == Some(command.p1))
        .ok_or(StatusWord::REFERENCE_NOT_FOUND)?;
    let slot = usize::from(slot);
    let cas = vault.objects().cas.get(Context::CAS)?;
    let Pairing { stb, k_pair, .. } = cas.pairing(slot).ok_or(StatusWord::REFERENCE_NOT_FOUND)?;
    let mut card_challenge = [0; 8];
    random.fill(&mut card_challenge);
    let keys = pairing_keys(k_pair, *stb);
    let challenge = Challenge::random(&keys, command.data, &card_challenge)
        .map_err(|_| StatusWord::WRONG_DATA)?
        .judged_by(JUDGE);
    let answer = challenge.answer([0; 10], command.p1);
    let peer = Peer::Box { slot, stb: *stb, k_pair: k_pair.clone() };
    Ok((Channel::Challenged(peer, challenge), answer))
}

/// INITIALIZE UPDATE to the issuer's domain: KVN 30 to 32 (or 00, the first), challenge from the
/// sequence counter.
pub(super) fn challenge_issuer(
    vault: &Vault,
    command: &Command<'_>,
) -> Result<(Channel, Vec<u8>), Stop> {
    host_challenge(command)?;
    let kvn = if command.p1 == 0 { FIRST_KVN } else { command.p1 };
    let set = isd::key_set(vault, kvn)?;
    let sequence = set.sequence().ok_or(StatusWord::CONDITIONS)?;
    let challenge =
        Challenge::pseudo_random(&set.keys(), command.data, sequence, Aid::ISSUER.octets())
            .map_err(|_| StatusWord::WRONG_DATA)?
            .judged_by(JUDGE);
    let mut diversification = [0; 10];
    let card = vault.objects().issuer.get(Context::ISSUER)?.card;
    diversification.iter_mut().zip(card.octets()).for_each(|(to, from)| *to = *from);
    let answer = challenge.answer(diversification, kvn);
    Ok((Channel::Challenged(Peer::Administrator { kvn }, challenge), answer))
}

fn host_challenge(command: &Command<'_>) -> Result<(), Stop> {
    if command.p2 != 0 {
        Err(StatusWord::WRONG_P1P2.into())
    } else if command.data.len() != 8 {
        Err(StatusWord::WRONG_LENGTH.into())
    } else {
        Ok(())
    }
}

impl Channel {
    /// EXTERNAL AUTHENTICATE. A wrong one uses the challenge up.
    pub(super) fn authenticate(
        self,
        vault: &mut Vault,
        command: &Command<'_>,
    ) -> Result<Self, Stop> {
        let Self::Challenged(peer, challenge) = self else {
            return Err(StatusWord::CONDITIONS.into());
        };
        // A box works under full protection or not at all.
        if !decide(|| !matches!(peer, Peer::Box { .. }) || command.p1 == LEVEL_33) {
            return Err(StatusWord::SECURITY_STATUS.into());
        }
        let header = [command.cla, command.ins, command.p1, command.p2];
        let session =
            challenge.authenticate(header, command.data).map_err(|error| match error {
                ScpError::Malformed(_) => StatusWord::WRONG_P1P2,
                // The cryptogram does not verify.
                _ => StatusWord::AUTHENTICATION_FAILED,
            })?;
        if let Peer::Administrator { kvn } = peer {
            isd::count_session(vault, kvn)?;
        }
        let slot = match peer {
            Peer::Box { slot, .. } => slot as u32,
            Peer::Administrator { .. } => u32::MAX,
        };
        let level = Twice::new(command.p1.into());
        Ok(Self::Open(Open { peer, level, slot: Twice::new(slot), session }))
    }

    /// What it was opened under still stands.
    pub(super) fn is_valid(&self, vault: &Vault) -> bool {
        let (Self::Challenged(peer, _) | Self::Open(Open { peer, .. })) = self else { return true };
        match peer {
            Peer::Administrator { .. } => true,
            Peer::Box { slot, stb, k_pair } => {
                let cas = vault.objects().cas.get(Context::CAS).ok();
                let held = cas.and_then(|cas| cas.pairing(*slot));
                decide(|| held.is_some_and(|held| held.stb == *stb && held.k_pair == *k_pair))
            }
        }
    }
}
