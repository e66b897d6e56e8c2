// SPDX-License-Identifier: Apache-2.0
//! Parity marks of a terminal with PARMRK: `FF FF` is an FF, `FF 00 xx` is a damaged xx.

/// Takes marks out of a stream that comes in any split.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Marks {
    #[default]
    Plain,
    /// FF came.
    Escaped,
    /// FF 00 came.
    Damaged,
}

impl Marks {
    /// Takes the marks out of the first `len` octets of `buf`, in place. How many octets are left,
    /// and whether one of them is damaged. A damaged octet stays, with the value that was read.
    pub(super) fn unescape(&mut self, buf: &mut [u8], len: usize) -> (usize, bool) {
        let mut damaged = false;
        let mut kept = 0;
        for at in 0..len.min(buf.len()) {
            let Some(&octet) = buf.get(at) else { break };
            let keep = match (*self, octet) {
                (Self::Plain, 0xFF) => {
                    *self = Self::Escaped;
                    None
                }
                (Self::Plain, octet) => Some(octet),
                (Self::Escaped, 0x00) => {
                    *self = Self::Damaged;
                    None
                }
                (Self::Escaped, octet) => {
                    *self = Self::Plain;
                    // Anything but FF is no mark that a kernel makes: the line is not to be
                    // trusted.
                    damaged |= octet != 0xFF;
                    Some(octet)
                }
                (Self::Damaged, octet) => {
                    *self = Self::Plain;
                    damaged = true;
                    Some(octet)
                }
            };
            if let (Some(octet), Some(place)) = (keep, buf.get_mut(kept)) {
                *place = octet;
                kept += 1;
            }
        }
        (kept, damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_in_any_split() {
        // 3B, damaged 65, FF, 01
        let stream = [0x3B, 0xFF, 0x00, 0x65, 0xFF, 0xFF, 0x01];
        for split in 0..=stream.len() {
            let mut marks = Marks::default();
            let (mut out, mut damaged) = (Vec::new(), false);
            for part in [&stream[..split], &stream[split..]] {
                let mut buf = part.to_vec();
                let (len, bad) = marks.unescape(&mut buf, part.len());
                damaged |= bad;
                out.extend_from_slice(&buf[..len]);
            }
            assert_eq!(out, [0x3B, 0x65, 0xFF, 0x01], "split at {split}");
            assert!(damaged);
        }
    }

    #[test]
    fn clean_octets_pass() {
        let mut all: Vec<u8> = (0..0xFF).collect();
        let len = all.len();
        assert_eq!(Marks::default().unescape(&mut all, len), (len, false));
        assert_eq!(Marks::default().unescape(&mut [0xFF, 0x12], 2), (1, true));
    }
}
