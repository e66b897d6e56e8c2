// SPDX-License-Identifier: Apache-2.0
//! One command of every kind, headers and an operator's signing key.

use crate::values::key;
use cam_types::{
    BcdDate, BcdTime, CasTime, Epoch, OperatorId, PackageId, Pseudonym, Slot, StbId, TerminalId,
};
use ecm_emm::ecm::Fingerprint;
use ecm_emm::emm::{
    Address, Emm, EmmCommand, EmmHeader, KeyDelivery, KeyTarget, Pairing, PublicKey, Script,
    TimeStep,
};
use ecm_emm::keys::Role;
use ecm_emm::suite::{Suite, WrappedKey};
use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::hazmat::PrehashSigner;

pub(crate) fn header(address: Address, role: Role, seq: u32) -> EmmHeader {
    let operator = OperatorId::new(0x1201);
    EmmHeader { address, suite: Suite::Cmac128, operator, role, epoch: Epoch::new(1), seq }
}

pub(crate) fn unique(role: Role) -> EmmHeader {
    header(Address::Unique(Pseudonym::new([0xA1; 8])), role, 42)
}

/// One command of every kind, the smallest of its kind.
pub(crate) fn every_command() -> Vec<EmmCommand> {
    let (package, epoch, target) =
        (PackageId::new(1), Epoch::new(2), KeyTarget::Service(Slot::new(1)));
    let (start, end) = (CasTime::new(1), CasTime::new(2));
    let event = cam_types::EventId::new(7);
    let amount = cam_types::Fen::new(100);
    vec![
        EmmCommand::Grant { package, start, end, version: 1, horizon: None },
        EmmCommand::Revoke { package, version: 1 },
        EmmCommand::PpvGrant { event, tier: 1, end },
        EmmCommand::Bitmap { base: package, bitmap: vec![1], end, version: 1 },
        EmmCommand::KeyDeliver(KeyDelivery {
            target,
            epoch,
            suite: 2,
            usage: 0,
            wrapped: WrappedKey::Short([0; 24]),
            kcv: [0; 3],
            not_before: start,
        }),
        EmmCommand::KeyActivate { target, epoch, floor: epoch },
        EmmCommand::KeyDestroy { target, epoch },
        EmmCommand::SuiteAllow { role: Role::Service, mask: 4 },
        EmmCommand::EmmLevel { level: 1, after: None },
        EmmCommand::SigKey { epoch: 1, key: [0; 64] },
        EmmCommand::Topup {
            number: 1,
            amount,
            date: BcdDate([0; 4]),
            time: BcdTime([0; 3]),
            agent: TerminalId::new([0; 6]),
        },
        EmmCommand::Refund { event, sequence: 1, amount },
        EmmCommand::WalletBlock { blocked: true },
        EmmCommand::PinReset { flags: 0, wrapped: [0; 24] },
        EmmCommand::Pair(Pairing {
            slot: 0,
            stb: StbId::new([0; 8]),
            k_pair: [0; 24],
            k_cw: [0; 24],
            kcv: [0; 3],
        }),
        EmmCommand::Unpair(None),
        EmmCommand::BoxBar { number: 1, barred: true, stb: StbId::new([0; 8]) },
        EmmCommand::Osd { id: 1, attributes: 0, text: String::from("a") },
        EmmCommand::Fingerprint(Fingerprint { flags: 0, seconds: 1 }),
        EmmCommand::CardState { blocked: true },
        EmmCommand::ReportRequest { nonce: [0; 8], from: 0 },
        EmmCommand::TimeSync { time: end, step: TimeStep::Forward },
        EmmCommand::GroupAssign {
            index: 0,
            group: 1,
            suite: Suite::Cmac128,
            epoch,
            wrapped: WrappedKey::Short([0; 24]),
        },
        EmmCommand::ReportAck([0; 8]),
        EmmCommand::Script(Script {
            target: 0x30,
            sequence: [0; 3],
            host_challenge: [0; 8],
            host_cryptogram: [0; 8],
            apdus: vec![vec![1]],
        }),
    ]
}

pub(crate) fn plaintext(commands: &[EmmCommand]) -> Vec<u8> {
    let mut plain = Vec::new();
    commands.iter().for_each(|command| command.emit(&mut plain).unwrap());
    plain
}

/// A message with this plaintext whose seal is good, made without the checks of `seal`.
pub(crate) fn forged(header: &EmmHeader, plain: &[u8]) -> Vec<u8> {
    let empty = Emm { header: *header, sealed: &vec![0; 16 + plain.len()] };
    let mut section = Vec::new();
    empty.aad(&mut section);
    let aad = section.clone();
    key(header.suite, 1).seal(&header.key_context(), &aad, plain, &mut section);
    section
}

/// The operator's key of the tests and its public half.
pub(crate) fn signer() -> (SigningKey, PublicKey) {
    let signing = SigningKey::from_slice(&[0x5A; 32]).unwrap();
    let point = signing.verifying_key().to_sec1_point(false);
    let octets = point.as_bytes()[1..].try_into().unwrap();
    (signing, PublicKey::from_octets(&octets).unwrap())
}

pub(crate) fn sign(digest: &[u8; 32]) -> [u8; 64] {
    let signature: p256::ecdsa::Signature = signer().0.sign_prehash(digest).unwrap();
    signature.to_bytes().into()
}
