// SPDX-License-Identifier: Apache-2.0
//! The fare table's file: fares by pairs of stations and by numbers of stops, in TOML.
use super::args::amount;
use super::table::{Fields, Problem};
use cam_types::Fen;
use std::path::Path;
use wallet::flow::fare::{FareTable, Station};

/// Reads `[[fare]]` (from, to, fare) and `[[band]]` (stops, fare).
pub(crate) fn read(path: &Path) -> Result<FareTable, Problem> {
    let mut file = Fields::read(path)?;
    let pairs = file.tables("fare", |pair| {
        let station = |pair: &mut Fields, name| {
            let number = pair.number(name)?;
            pair.wanted(name, number).map(Station)
        };
        Ok((station(pair, "from")?, station(pair, "to")?, fare(pair)?))
    })?;
    let bands = file.tables("band", |band| {
        let stops = band.number("stops")?;
        Ok((band.wanted("stops", stops)?, fare(band)?))
    })?;
    if pairs.is_empty() && bands.is_empty() {
        return Err(file.wrong("", "no [[fare]] and no [[band]], expected one at least"));
    }
    file.finish()?;
    Ok(FareTable::new(pairs, bands))
}

fn fare(table: &mut Fields) -> Result<Fen, Problem> {
    let text = table.text("fare")?;
    let text = table.wanted("fare", text)?;
    amount(&text).map_err(|why| {
        let why = why.strip_suffix("; no money has moved").unwrap_or(&why);
        table.wrong("fare", why)
    })
}
