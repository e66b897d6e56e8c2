// SPDX-License-Identifier: Apache-2.0
//! The host's descrambler as the card thread's: its table of functions is let go when the context
//! closes.

use crate::callback::callback;
use crate::error::{self, Error};
use crate::host::{
    STBCAM_ALGO_CISSA, STBCAM_ALGO_CSA, STBCAM_ALGO_IDSA, STBCAM_ALGO_OTHER, STBCAM_ALGO_SCTE52,
    STBCAM_CW_EVEN, STBCAM_CW_IS_WRAPPED, STBCAM_CW_ODD, STBCAM_CW_PREVIEW,
    STBCAM_LADDER_CLEAR_ALLOWED, stbcam_cw_t, stbcam_descrambler_ops_t, stbcam_ladder_t,
};
use crate::result::known_text_of;
use crate::size::CStruct;
use cam_core::{Ecw, SessionId};
use ecm_emm::scrambling::Algorithm;
use stb_shim::descrambler::{Descrambler, LadderKeys, Refused};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zeroize::Zeroize;

// SAFETY: repr(C), starts with struct_size, and holds a nullable pointer and optional functions,
// which a caller promises to be what they say.
unsafe impl CStruct for stbcam_descrambler_ops_t {}

// SAFETY: repr(C), numbers and a pointer that may be NULL, its size first.
unsafe impl CStruct for stbcam_cw_t {}

// SAFETY: repr(C), numbers alone, its size first.
unsafe impl CStruct for stbcam_ladder_t {}

/// The host's descrambler. Clones share one table.
#[derive(Clone)]
pub(crate) struct HostDescrambler(Arc<Mutex<DescramblerState>>);

struct DescramblerState {
    /// `None` once the context is closed.
    ops: Option<stbcam_descrambler_ops_t>,
    /// The sessions that have control words.
    keyed: BTreeSet<u32>,
    pids: Vec<u16>,
}

// SAFETY: `user` is only handed back to the host's functions, which take calls from the card
// thread and the closing thread, one at a time.
unsafe impl Send for DescramblerState {}

impl HostDescrambler {
    /// Checks a table of functions.
    pub(crate) fn new(ops: stbcam_descrambler_ops_t) -> Result<Self, Error> {
        let missing = |name| Err(Error::argument(format!("descrambler.{name} is NULL")));
        match (ops.load_ladder, ops.set_cw, ops.clear) {
            (None, _, _) => return missing("load_ladder"),
            (_, None, _) => return missing("set_cw"),
            (_, _, None) => return missing("clear"),
            _ => {}
        }
        let state = DescramblerState { ops: Some(ops), keyed: BTreeSet::new(), pids: Vec::new() };
        Ok(Self(Arc::new(Mutex::new(state))))
    }

    /// Wipes the control words of every session; the host is not called any more once this has
    /// returned.
    pub(crate) fn revoke(&self) {
        let mut state = self.state();
        for session in std::mem::take(&mut state.keyed) {
            state.clear(session);
        }
        state.ops = None;
    }

    fn state(&self) -> MutexGuard<'_, DescramblerState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DescramblerState {
    fn clear(&self, session: u32) {
        if let Some(stbcam_descrambler_ops_t { clear: Some(clear), user, .. }) = self.ops {
            // SAFETY: the host gave the function and the pointer that belongs to it.
            callback(|| unsafe { clear(user, session) });
        }
    }
}

impl Descrambler for HostDescrambler {
    fn load_ladder(&mut self, keys: &LadderKeys<'_>) -> Result<(), Refused> {
        let state = self.state();
        let Some(stbcam_descrambler_ops_t { load_ladder: Some(load), user, .. }) = state.ops else {
            return Ok(());
        };
        let ladder = stbcam_ladder_t {
            struct_size: size_of::<stbcam_ladder_t>(),
            flags: if keys.clear_allowed { STBCAM_LADDER_CLEAR_ALLOWED } else { 0 },
            pairing_slot: keys.pairing_slot,
            reserved: [0; 3],
            ek2: *keys.ek2.expose(),
            ek1: *keys.ek1.expose(),
        };
        // SAFETY: the host gave the function and the pointer that belongs to it; the structure
        // lives until it returns.
        match told(|| unsafe { load(user, &raw const ladder) }) {
            Ok(()) => Ok(()),
            Err(answer) => Err(Refused(format!(
                "the box's load_ladder answered {answer} to pairing slot {}; 0 is done",
                keys.pairing_slot
            ))),
        }
    }

    fn set_cw(&mut self, ecw: &Ecw<'_>, period_ms: u32) -> Result<(), Refused> {
        let mut state = self.state();
        let state = &mut *state;
        let Some(stbcam_descrambler_ops_t { set_cw: Some(set), user, .. }) = state.ops else {
            return Ok(());
        };
        state.keyed.insert(ecw.session.0);
        state.pids.clear();
        state.pids.extend(ecw.es_pids.iter().map(|pid| pid.value()));
        let mut cw = c_cw(ecw, period_ms, &state.pids);
        // SAFETY: as above; the list of PIDs lives in `state`, which is locked.
        let taken = told(|| unsafe { set(user, &raw const cw) });
        cw.even.zeroize();
        cw.odd.zeroize();
        let Err(answer) = taken else { return Ok(()) };
        let known =
            if cw.algo == STBCAM_ALGO_OTHER { ", which the library does not know" } else { "" };
        Err(Refused(format!(
            "the box's set_cw answered {answer} to scrambling_mode 0x{:02X}{known}; 0 is done",
            ecw.mode.0
        )))
    }

    fn clear(&mut self, session: SessionId) {
        let mut state = self.state();
        state.keyed.remove(&session.0);
        state.clear(session.0);
    }
}

/// What a function of the host answers; other than 0 with its text, if it is a result of ours:
/// what the library has said inside, else what the result means.
fn told(call: impl FnOnce() -> i32) -> Result<(), String> {
    let before = error::reported();
    let answer = callback(call);
    if answer == 0 {
        return Ok(());
    }
    let last = error::last();
    Err(if error::reported() != before && last.code == answer {
        format!("{answer} ({})", last.text)
    } else if let Some(text) = known_text_of(answer) {
        format!("{answer} ({})", text.to_string_lossy())
    } else {
        answer.to_string()
    })
}

fn c_cw(ecw: &Ecw<'_>, period_ms: u32, pids: &[u16]) -> stbcam_cw_t {
    let (algo, iv) = match ecw.mode.algorithm() {
        Some(Algorithm::Csa2) => (STBCAM_ALGO_CSA, None),
        Some(Algorithm::Cissa) => (STBCAM_ALGO_CISSA, Some(Algorithm::CISSA_IV)),
        Some(Algorithm::Idsa) => (STBCAM_ALGO_IDSA, Some([0; 16])),
        Some(Algorithm::Scte52) => (STBCAM_ALGO_SCTE52, None),
        None => (STBCAM_ALGO_OTHER, None),
    };
    let widened = |octets: &[u8; 16]| {
        let mut wide = [0; 32];
        wide.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
        wide
    };
    let preview = if ecw.preview { STBCAM_CW_PREVIEW } else { 0 };
    stbcam_cw_t {
        struct_size: size_of::<stbcam_cw_t>(),
        session: ecw.session.0,
        flags: STBCAM_CW_IS_WRAPPED | preview,
        crypto_period: ecw.crypto_period,
        crypto_period_ms: period_ms,
        ecm_pid: ecw.ecm_pid.value(),
        source: ecw.source,
        algo,
        scrambling_mode: ecw.mode.0,
        parity_mask: STBCAM_CW_EVEN | STBCAM_CW_ODD,
        key_len: 16,
        iv_len: if iv.is_some() { 16 } else { 0 },
        copy_control: ecw.cci,
        reserved: [0; 7],
        even: widened(ecw.even),
        odd: widened(ecw.odd),
        iv: iv.unwrap_or_default(),
        es_pids: pids.as_ptr(),
        es_pid_count: pids.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::STBCAM_E_ARG;
    use cam_core::ScramblingMode;
    use cam_types::{Key, Parity, Pid};
    use std::ffi::c_void;

    /// What the host answers: the number that `user` points to.
    unsafe extern "C" fn load(user: *mut c_void, _: *const stbcam_ladder_t) -> i32 {
        // SAFETY: the test gave a pointer to an i32 that outlives the table.
        unsafe { *user.cast::<i32>() }
    }

    unsafe extern "C" fn set(user: *mut c_void, _: *const stbcam_cw_t) -> i32 {
        // SAFETY: as above.
        unsafe { *user.cast::<i32>() }
    }

    unsafe extern "C" fn clear(_: *mut c_void, _: u32) {}

    fn ecw(mode: u8) -> Ecw<'static> {
        Ecw {
            session: SessionId(1),
            source: 0,
            ecm_pid: Pid::from_field(0x140),
            es_pids: &[],
            mode: ScramblingMode(mode),
            even: &[0; 16],
            odd: &[0; 16],
            crypto_period: 4,
            parity: Parity::Even,
            cci: 0,
            preview: false,
        }
    }

    /// Anything but 0 is a refusal, told by the number and the mode; a host whose context is closed
    /// refuses nothing; a table without one of its functions is refused by name.
    #[test]
    fn what_the_host_answers() {
        let (ek2, ek1) = (Key::new([2; 16]), Key::new([1; 16]));
        let ladder = LadderKeys { pairing_slot: 2, ek2: &ek2, ek1: &ek1, clear_allowed: false };
        for (answer, mode, said) in [
            (0, 0x02, None),
            (-5, 0x10, Some("answered -5 (not in this state) to scrambling_mode 0x10; 0 is done")),
            (-99, 0x10, Some("answered -99 to scrambling_mode 0x10; 0 is done")),
            (1, 0x03, Some("scrambling_mode 0x03, which the library does not know; 0 is done")),
        ] {
            let mut answer = answer;
            let ops = stbcam_descrambler_ops_t {
                struct_size: size_of::<stbcam_descrambler_ops_t>(),
                user: (&raw mut answer).cast(),
                load_ladder: Some(load),
                set_cw: Some(set),
                clear: Some(clear),
            };
            let ecw = ecw(mode);
            let mut host = HostDescrambler::new(ops).unwrap();
            let cw_taken = host.set_cw(&ecw, 0);
            let ladder_taken = host.load_ladder(&ladder);
            match said {
                None => assert_eq!((cw_taken, ladder_taken), (Ok(()), Ok(()))),
                Some(said) => {
                    let Refused(why) = cw_taken.unwrap_err();
                    assert!(why.contains(said), "{why}");
                    let Refused(why) = ladder_taken.unwrap_err();
                    let number = why.contains(&format!("answered {answer} "));
                    assert!(number && why.contains("to pairing slot 2"), "{why}");
                }
            }
            host.revoke();
            assert_eq!(host.set_cw(&ecw, 0), Ok(()));
            for (ops, named) in [
                (stbcam_descrambler_ops_t { load_ladder: None, ..ops }, "load_ladder"),
                (stbcam_descrambler_ops_t { set_cw: None, ..ops }, "set_cw"),
                (stbcam_descrambler_ops_t { clear: None, ..ops }, "clear"),
            ] {
                let Err(error) = HostDescrambler::new(ops) else { panic!("without {named}") };
                assert_eq!(error.code, STBCAM_E_ARG);
                assert_eq!(error.text, format!("descrambler.{named} is NULL"));
            }
        }
    }

    /// What a chip is told of each mode: which algorithm, and the IV that the mode alone decides.
    #[test]
    fn a_mode_is_told_by_its_algorithm_and_iv() {
        for (mode, algo, iv_len, iv) in [
            (0x01, 1, 0, [0; 16]),
            (0x02, 1, 0, [0; 16]),
            (0x03, 0, 0, [0; 16]),
            (0x10, 5, 16, *b"DVBTMCPTAESCISSA"),
            (0x70, 8, 16, [0; 16]),
            (0x71, 0, 0, [0; 16]),
            (0xDE, 2, 0, [0; 16]),
        ] {
            let cw = c_cw(&ecw(mode), 0, &[]);
            let told = (cw.scrambling_mode, cw.algo, cw.iv_len, cw.iv, cw.key_len);
            assert_eq!(told, (mode, algo, iv_len, iv, 16), "{mode:02X}");
        }
    }

    /// The software descrambler's reasons come through its table, with what would work.
    #[test]
    fn what_the_software_descrambler_answers() {
        let mut soft = std::ptr::null_mut();
        let mut ops = stbcam_descrambler_ops_t {
            struct_size: size_of::<stbcam_descrambler_ops_t>(),
            user: std::ptr::null_mut(),
            load_ladder: None,
            set_cw: None,
            clear: None,
        };
        // SAFETY: 16 octets of a key, and a place for the handle; struct_size is set.
        unsafe {
            let root = [0x70; 16];
            assert_eq!(crate::stbcam_soft_descrambler_new(root.as_ptr(), &raw mut soft), 0);
            assert_eq!(crate::stbcam_soft_descrambler_ops(soft, &raw mut ops), 0);
        }
        let mut host = HostDescrambler::new(ops).unwrap();
        let mut ecw = ecw(0x10);
        let Refused(why) = host.set_cw(&ecw, 0).unwrap_err();
        assert!(why.contains("answered -5 (no pairing is loaded"), "{why}");
        ecw.mode = ScramblingMode(0x55);
        let Refused(why) = host.set_cw(&ecw, 0).unwrap_err();
        assert!(why.contains("answered -9 (scrambling_mode 0x55 is not one"), "{why}");
        assert!(why.contains("0x01, 0x02, 0x10, 0x70 and 0xDE work"), "{why}");
        assert_eq!(crate::stbcam_soft_descrambler_free(soft), 0);
    }
}
