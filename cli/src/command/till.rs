// SPDX-License-Identifier: Apache-2.0
//! `stbcam till`: sells for a fixed amount, above a limit with the PIN.
use crate::args::Common;
use crate::failure::Failure;
use crate::money::args::{PinArgs, PurseArgs, SideArgs, TerminalArgs, amount};
use crate::money::pin;
use crate::money::terminal::{Outcome, Terminal};
use crate::record::Record;
use crate::record::money::Settlement;
use cam_types::Fen;
use clap::Args;
use wallet::flow::till::{Side, Till};

#[derive(Args, Clone, Debug)]
pub(crate) struct TillArgs {
    #[command(flatten)]
    purse: PurseArgs,
    /// How much, as in 12.34
    #[arg(long, value_name = "YUAN", value_parser = amount, allow_hyphen_values = true)]
    amount: Fen,
    /// Up to this no PIN is wanted; above it the PIN, and only at contacts
    #[arg(long, value_name = "YUAN", value_parser = amount, default_value = "50.00")]
    pin_free: Fen,
    /// The most that the till may take
    #[arg(long, value_name = "YUAN", value_parser = amount)]
    limit: Option<Fen>,
    #[command(flatten)]
    pin: PinArgs,
    #[command(flatten)]
    side: SideArgs,
    /// The same amount of one card after the other, until SIGINT or SIGTERM
    #[arg(long = "loop")]
    many: bool,
    #[command(flatten)]
    terminal: TerminalArgs,
}

pub(super) fn run(args: &TillArgs, common: &Common) -> Result<(), Failure> {
    let mut terminal = Terminal::open(&args.purse, &args.terminal, common)?;
    terminal.card.limits(args.limit, None);
    terminal.serve(args.many, args.purse.wait.into(), common, |terminal| {
        let side = args.side.side.unwrap_or_else(|| terminal.card.side());
        let till = Till { pin_free: args.pin_free, side };
        let pin = match (&args.pin.pin, side) {
            (Some(argument), Side::Contact) if args.amount > args.pin_free => {
                Some(pin::read(argument, "PIN")?)
            }
            _ => None,
        };
        let sold = terminal.pay(args.amount, |purse, order, psam| {
            Ok((till.sell(purse, order, pin.as_ref(), psam)?, ()))
        })?;
        match sold {
            Outcome::Done((paid, ())) => Ok(common.out().say(&Record::Paid(paid))?),
            Outcome::Earlier(settled) => {
                let serial = terminal.card.ask(|purse| Ok(purse.serial()))?;
                common.out().say(&Record::Settled(Settlement::new(serial, &settled)))?;
                Err(Failure::Earlier(
                    "an earlier sale to this card had to be settled first; this one has not begun, and no money has moved by it"
                        .into(),
                ))
            }
        }
    })
}
