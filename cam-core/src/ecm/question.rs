// SPDX-License-Identifier: Apache-2.0
//! What an ECM command asks: the section, and the channel that the broadcast says it is of.

use cam_types::ChannelId;

/// A section, for those who expect this channel. The answer to one question says nothing about the
/// same section for another channel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Question<'a> {
    pub(crate) section: &'a [u8],
    /// `None`: any.
    pub(crate) channel: Option<ChannelId>,
}

impl Question<'_> {
    /// P1 P2 of the ECM command: 0000 is any channel.
    pub(crate) fn p1p2(&self) -> [u8; 2] {
        self.channel.map_or([0; 2], ChannelId::to_be_bytes)
    }
}
