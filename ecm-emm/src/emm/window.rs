// SPDX-License-Identifier: Apache-2.0
//! Against replay: which EMM numbers of a key generation were applied already.

/// Which numbers of a key generation a card has already applied: the highest and 64 below.
///
/// It starts empty with a delivered generation. Numbers may arrive in any order within 64.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Window {
    /// The highest number applied; 0 before the first.
    pub hi: u32,
    /// Bit n is set when `hi - n` has been applied.
    pub bitmap: u64,
}

/// What a window says about a number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WindowCheck {
    /// Not seen: carry it out.
    New,
    /// Carried out before: success, nothing to write.
    Duplicate,
    /// Too old to tell: refuse.
    Stale,
}

impl Window {
    /// How many numbers it remembers.
    pub const SIZE: u32 = 64;

    /// hi4 ‖ bitmap8, as the card stores it.
    pub const fn octets(&self) -> [u8; 12] {
        let [h1, h2, h3, h4] = self.hi.to_be_bytes();
        let [b1, b2, b3, b4, b5, b6, b7, b8] = self.bitmap.to_be_bytes();
        [h1, h2, h3, h4, b1, b2, b3, b4, b5, b6, b7, b8]
    }

    /// From what the card stored.
    pub const fn from_octets(octets: [u8; 12]) -> Self {
        let [h1, h2, h3, h4, b1, b2, b3, b4, b5, b6, b7, b8] = octets;
        Self {
            hi: u32::from_be_bytes([h1, h2, h3, h4]),
            bitmap: u64::from_be_bytes([b1, b2, b3, b4, b5, b6, b7, b8]),
        }
    }

    /// Changes nothing. 0 is never a number and always stale.
    pub const fn check(&self, seq: u32) -> WindowCheck {
        if seq == 0 {
            return WindowCheck::Stale;
        }
        match self.hi.checked_sub(seq) {
            None => WindowCheck::New,
            Some(Self::SIZE..) => WindowCheck::Stale,
            Some(age) if self.bitmap >> age & 1 != 0 => WindowCheck::Duplicate,
            Some(_) => WindowCheck::New,
        }
    }

    /// Marks a number as applied; one that is stale, or 0, changes nothing.
    pub const fn set(&mut self, seq: u32) {
        if seq > self.hi {
            let step = seq - self.hi;
            self.bitmap = if step < Self::SIZE { self.bitmap << step } else { 0 };
            self.hi = seq;
        }
        let age = self.hi - seq;
        if seq != 0 && age < Self::SIZE {
            self.bitmap |= 1 << age;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_reaches_64_back() {
        let mut window = Window::default();
        window.set(100);
        for (seq, expected) in [
            (0, WindowCheck::Stale),
            (1, WindowCheck::Stale),
            (36, WindowCheck::Stale), // hi - 64
            (37, WindowCheck::New),   // hi - 63
            (99, WindowCheck::New),
            (100, WindowCheck::Duplicate),
            (101, WindowCheck::New),
            (u32::MAX, WindowCheck::New),
        ] {
            assert_eq!(window.check(seq), expected, "{seq}");
        }
        window.set(37);
        assert_eq!(window.check(37), WindowCheck::Duplicate);
        window.set(101);
        assert_eq!(window.check(37), WindowCheck::Stale);
        assert_eq!(window.check(100), WindowCheck::Duplicate);
    }

    #[test]
    fn zero_is_never_a_number() {
        let mut window = Window::default();
        window.set(0);
        assert_eq!(window, Window::default());
        assert_eq!(window.check(0), WindowCheck::Stale);
        assert_eq!(window.check(1), WindowCheck::New);
        window.set(1);
        assert_eq!(window.check(0), WindowCheck::Stale);
        assert_eq!(window.check(1), WindowCheck::Duplicate);
    }

    #[test]
    fn steps_at_the_edges_of_the_bitmap() {
        for (step, first) in [
            (1, WindowCheck::Duplicate),
            (63, WindowCheck::Duplicate),
            (64, WindowCheck::Stale),
            (65, WindowCheck::Stale),
            (u32::MAX - 7, WindowCheck::Stale),
        ] {
            let mut window = Window::default();
            window.set(7);
            window.set(7 + step);
            assert_eq!(window.check(7), first, "{step}");
            assert_eq!(window.check(7 + step), WindowCheck::Duplicate, "{step}");
            assert_eq!(Window::from_octets(window.octets()), window);
        }
        let mut window = Window::default();
        window.set(u32::MAX);
        assert_eq!(window.check(u32::MAX), WindowCheck::Duplicate);
        assert_eq!(window.check(u32::MAX - 63), WindowCheck::New);
        assert_eq!(window.check(u32::MAX - 64), WindowCheck::Stale);
    }
}
