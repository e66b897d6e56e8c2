// SPDX-License-Identifier: Apache-2.0
//! A card to talk to at once: the demo's card, paired with the demo's box, and what that box needs.

use super::said::{at, print};
use clap::Args;
use headend::emm::Senders;
use headend::files::operator::Operator;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use vcard::{Card, Personalisation};

/// The demo's operator: its keys are consecutive octets, and nobody else's.
const OPERATOR: &str = include_str!("../../../examples/demo/operator.toml");
const CARD: &str = include_str!("../../../examples/demo/card.toml");

#[derive(Args)]
pub(super) struct Demo {
    /// The directory to make; what it holds already is not written over
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Makes the card, its box's state directory with the pairing in it, and the box's keys.
pub(super) fn demo(args: &Demo) -> Result<(), String> {
    let path = Path::new("examples/demo/operator.toml");
    let operator = Operator::parse(path, OPERATOR).map_err(|error| error.to_string())?;
    let pairing = operator.pairing.first().ok_or_else(|| at(path, &"it has no [[pairing]]"))?;
    let stb =
        operator.stb(pairing.stb).ok_or_else(|| at(path, &"the pairing's box is not in it"))?;
    let senders = Senders::new(&operator);
    let half = |made: Result<Vec<u8>, headend::emm::EmmError>| made.map_err(|why| why.to_string());
    let card_half = half(senders.card_half(pairing.card, pairing.stb))?;
    let box_half = half(senders.box_half(pairing.card, pairing.stb))?;

    let path = Path::new("examples/demo/card.toml");
    let mut card = Personalisation::from_text(CARD, path).map_err(|error| error.to_string())?;
    card.factory_emm.push(("the card's half of the pairing".into(), card_half));
    let image = Card::personalise(&card).map_err(|error| error.to_string())?;

    let [memory, box_file, state] =
        ["card.nvm", "box.txt", "state"].map(|name| args.out.join(name));
    for made in [&memory, &box_file, &state] {
        if made.symlink_metadata().is_ok() {
            return Err(at(made, &"is there already; give another --out, or remove it"));
        }
    }
    directory(&args.out)?;
    directory(&state)?;
    image.write_to(&memory).map_err(|error| at(&memory, &error))?;
    let keys = [
        ("stb_id", stb.stb_id.0.to_vec()),
        ("box_key", stb.box_key.0.expose().to_vec()),
        ("ladder_key", stb.ladder_key.0.expose().to_vec()),
    ];
    let mut lines = String::new();
    for (name, octets) in keys {
        let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        lines += &format!("{name} {hex}\n");
    }
    secret(&box_file, lines.as_bytes())?;
    secret(&state.join(format!("pairing.{}", pairing.slot)), &box_half)?;
    print(&next(&args.out))
}

/// What to do with it.
fn next(out: &Path) -> String {
    let out = out.display();
    format!(
        "{out}/card.nvm: the card, paired with the box of box.txt; its PIN is in examples/demo/card.toml\n\
         {out}/box.txt: the box's number, its key and the root of its key ladder\n\
         {out}/state: the box's state_dir, with its half of the pairing\n\
         Now put the card into a reader:\n  \
         vcard serve --memory {out}/card.nvm --link {out}/card0\n\
         and let a box talk to it:\n  \
         player --reader serial:{out}/card0 --box {out}/box.txt --state {out}/state STREAM"
    )
}

fn directory(path: &Path) -> Result<(), String> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| at(path, &error))
}

/// A new file that its owner alone can read.
fn secret(path: &Path, octets: &[u8]) -> Result<(), String> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(octets)).map_err(|error| at(path, &error))
}
