// SPDX-License-Identifier: Apache-2.0
//! What the money commands take: purse, terminal, PIN and side, and how their values are written.
use crate::args::ReaderArgs;
use crate::hex;
use cam_types::{BcdDate, BcdTime, CasTime, Fen, TerminalId};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::path::PathBuf;
use std::time::SystemTime;
use wallet::flow::till::Side;
use wallet::{BalanceCoding, Profile};

/// A purse at a reader.
#[derive(Args, Clone, Debug)]
pub(crate) struct PurseArgs {
    #[command(flatten)]
    pub reader: ReaderArgs,
    /// When no card answers, wait until one does
    #[arg(long)]
    pub wait: bool,
    /// The purse's application, 5 to 16 octets
    #[arg(long, value_name = "HEX", value_parser = aid, default_value = "A00000000386980701", hide_default_value = true)]
    pub aid: Aid,
    /// The scheme whose card it is: how its keys come from master keys, and what MAC1 covers
    ///
    /// pboc: by the serial number. mohurd: the same, with the card's authentication code in MAC1.
    /// campus: by the chip's UID. area: by the issuer's area, then the serial number. What shows in
    /// the card's answers need not be told: status words and numbers are understood either way.
    #[arg(long, value_name = "NAME", default_value = "pboc", value_parser = profile())]
    pub profile: Profile,
    /// What the card's balances mean, instead of what its application's name tells
    ///
    /// pboc: 32 bits of money. low31: bit 31 is no money (Shenzhen, PAY.SZT). overdraft: the same,
    /// and an overdraft limit counted in (T-Union, A000000632010105). Of other names none is known:
    /// 31 bits are money, and with bit 31 set the balance is not told.
    #[arg(long, value_name = "NAME", value_parser = coding())]
    pub balance_coding: Option<BalanceCoding>,
    /// The contactless chip's number, 4 octets, for --profile campus
    #[arg(long, value_name = "HEX", value_parser = octets::<4>)]
    pub uid: Option<[u8; 4]>,
}

/// The terminal that takes or gives money.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Terminal")]
pub(crate) struct TerminalArgs {
    /// Keys of the terminal or host in a TOML file (see below); its values are never shown
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,
    /// A PSAM in this reader makes MAC1 and checks MAC2, instead of a purchase key in --keys
    #[arg(long, value_name = "URL")]
    pub psam: Option<String>,
    /// The PSAM's file or application with the purchase keys: an identifier of 2 octets or a name
    /// of 5 to 16
    #[arg(long, value_name = "HEX", value_parser = octets_of_any_number, requires = "psam")]
    pub psam_application: Option<Octets>,
    /// The terminal's id, 6 octets; a PSAM has its own
    #[arg(long, value_name = "HEX", value_parser = terminal_id)]
    pub terminal: Option<TerminalId>,
    /// The terminal's number for this transaction, instead of the next one in the state directory
    #[arg(long, value_name = "N", conflicts_with = "psam")]
    pub term_seq: Option<u32>,
    /// Date and time of the transaction, as in 2026-11-27T08:30:00 (UTC+8), instead of now
    #[arg(long, value_name = "TIME", value_parser = date_time)]
    pub datetime: Option<DateTime>,
    /// The index of the card's key
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub key_index: u8,
    /// Where the terminal keeps its number and what is not settled
    ///
    /// Without it the directory `stbcam-state` beside the keys file, or without keys
    /// $XDG_STATE_HOME/stbcam (~/.local/state/stbcam). One process at a time.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

/// The cardholder's PIN.
#[derive(Args, Clone, Debug)]
pub(crate) struct PinArgs {
    /// The PIN; `-`: asked for without echo, or read from standard input, one a line
    ///
    /// A PIN on the command line stays in the shell's history and shows in the list of processes.
    #[arg(long, value_name = "DIGITS|-", allow_hyphen_values = true)]
    pub pin: Option<String>,
}

/// Which side of the card the reader is at.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct SideArgs {
    /// contact or contactless, instead of what the answer to reset says
    #[arg(long, value_name = "SIDE", value_parser = side())]
    pub side: Option<Side>,
}

/// An application's name.
pub(crate) type Aid = Octets;

/// Some octets of the command line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Octets(pub Vec<u8>);

/// Date and time as the purse carries them.
pub(crate) type DateTime = (BcdDate, BcdTime);

impl TerminalArgs {
    /// The date and time of a transaction that begins now.
    pub(crate) fn date_time(&self) -> DateTime {
        self.datetime.unwrap_or_else(now)
    }
}

/// Date and time of this moment.
pub(crate) fn now() -> DateTime {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    CasTime::from_unix(seconds).unwrap_or_default().purse_date_time()
}

/// An amount, as in 12.34.
pub(crate) fn amount(text: &str) -> Result<Fen, String> {
    let why = match text.strip_prefix('-') {
        Some(_) => "an amount is not negative: loads add, purchases take".into(),
        None => match text.parse::<Fen>() {
            Ok(amount) => return Ok(amount),
            Err(error) => error.to_string(),
        },
    };
    Err(format!("{why}; no money has moved"))
}

pub(crate) fn octets<const N: usize>(text: &str) -> Result<[u8; N], String> {
    let octets = hex::parse(text).map_err(|error| error.to_string())?;
    let got = octets.len();
    octets.try_into().map_err(|_| format!("{got} octets, expected {N}"))
}

pub(crate) fn octets_of_any_number(text: &str) -> Result<Octets, String> {
    hex::parse(text).map(Octets).map_err(|error| error.to_string())
}

pub(crate) fn octet(text: &str) -> Result<u8, String> {
    octets::<1>(text).map(|[octet]| octet)
}

fn aid(text: &str) -> Result<Aid, String> {
    let octets = octets_of_any_number(text)?;
    match octets.0.len() {
        5..=16 => Ok(octets),
        got => Err(format!("{got} octets, an application's name has 5 to 16")),
    }
}

fn terminal_id(text: &str) -> Result<TerminalId, String> {
    octets(text).map(TerminalId::new)
}

fn profile() -> impl TypedValueParser<Value = Profile> {
    PossibleValuesParser::new(Profile::ALL.map(|(name, _)| name)).map(|wanted| {
        let found = Profile::ALL.iter().find(|(name, _)| *name == wanted);
        found.map_or(Profile::PBOC, |(_, profile)| *profile)
    })
}

fn coding() -> impl TypedValueParser<Value = BalanceCoding> {
    PossibleValuesParser::new(BalanceCoding::ALL.map(|(name, _)| name)).map(|wanted| {
        let found = BalanceCoding::ALL.iter().find(|(name, _)| *name == wanted);
        found.map_or(BalanceCoding::Unknown, |(_, coding)| *coding)
    })
}

fn side() -> impl TypedValueParser<Value = Side> {
    PossibleValuesParser::new(["contact", "contactless"]).map(|side| match side.as_str() {
        "contactless" => Side::Contactless,
        _ => Side::Contact,
    })
}

fn date_time(text: &str) -> Result<DateTime, String> {
    let wrong = || "not a date and time: write it like 2026-11-27T08:30:00".to_owned();
    let separators = |c: char| matches!(c, '-' | ':' | 'T' | ' ');
    let digits: String = text.chars().filter(|c| !separators(*c)).collect();
    let octets: [u8; 7] = octets(&digits).map_err(|_| wrong())?;
    let [_, _, month, day, hour, minute, second] = octets;
    let decimal = digits.bytes().all(|digit| digit.is_ascii_digit());
    let in_range = (0x01..=0x12).contains(&month)
        && (0x01..=0x31).contains(&day)
        && hour <= 0x23
        && minute <= 0x59
        && second <= 0x59;
    if !decimal || !in_range {
        return Err(wrong());
    }
    let [a, b, c, d, e, f, g] = octets;
    Ok((BcdDate([a, b, c, d]), BcdTime([e, f, g])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_that_are_none_move_nothing() {
        assert_eq!(amount("12.34"), Ok(Fen::new(1234)));
        for (text, part) in [
            ("-1", "not negative"),
            ("1.234", "two decimals"),
            ("x", "12.05"),
            ("99999999999", "over"),
        ] {
            let error = amount(text).unwrap_err();
            assert!(error.contains(part) && error.ends_with("no money has moved"), "{error}");
        }
    }

    #[test]
    fn dates_are_those_of_the_purse() {
        let expected = (BcdDate([0x20, 0x26, 0x11, 0x27]), BcdTime([0x08, 0x30, 0x59]));
        for text in ["2026-11-27T08:30:59", "2026-11-27 08:30:59", "20261127083059"] {
            assert_eq!(date_time(text), Ok(expected));
        }
        for text in ["2026-13-27T08:30:59", "2026-11-27", "2026-11-27T24:30:59", "ABCDEFABCDEFAB"] {
            assert!(date_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_default_application_is_ours() {
        assert_eq!(aid("A00000000386980701"), Ok(Octets(cam_types::Aid::PURSE.octets().to_vec())));
        assert!(aid("A000").is_err());
    }
}
