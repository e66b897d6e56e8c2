// SPDX-License-Identifier: Apache-2.0
//! ECMs: made by the schedule, one for each crypto period of a service.

mod maker;

pub use maker::{EcmError, EcmMaker};
