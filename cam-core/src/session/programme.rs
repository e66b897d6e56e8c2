// SPDX-License-Identifier: Apache-2.0
//! What a PMT or CA_PMT says about a programme, and which ECM streams of it are ours.

use crate::{ScramblingMode, SessionError};
use alloc::vec::Vec;
use cam_types::{CaSystemId, ChannelId, OperatorId, Pid};
use ecm_emm::ca_descriptor::{CaDescriptor, CaPrivate};
use ecm_emm::ca_pmt::{CaInfo, CaPmt, CommandId};
use ecm_emm::card::AccessStatus;
use ecm_emm::descriptor::Descriptors;
use ecm_emm::pmt::Pmt;

/// A programme, reduced to what conditional access needs. It is no larger than its table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Programme {
    number: u16,
    /// scrambling_mode, where there is a scrambling_descriptor.
    signalled: Option<ScramblingMode>,
    /// The programme's ECM streams of ours, for components without CA_descriptors of their own.
    common: Vec<Candidate>,
    /// The scrambled components.
    components: Vec<Component>,
    /// There were more components than are served.
    truncated: bool,
}

/// A scrambled elementary stream.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Component {
    pid: Pid,
    /// Its own ECM streams of ours; `None` where the programme's serve it.
    own: Option<Vec<Candidate>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Candidate {
    system: CaSystemId,
    ecm_pid: Pid,
    /// Absent: any operator, any suite.
    private: Option<CaPrivate>,
}

/// What a session does about its programme.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Plan {
    pub(crate) streams: Vec<StreamPlan>,
    /// Why a component is left out, if one is: of several reasons the worst.
    pub(crate) left_out: Option<LeftOut>,
}

/// Why a scrambled component has no ECM stream, from the best to the worst: how much would have to
/// change for it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum LeftOut {
    /// More ECM streams or components than are served.
    Room,
    /// It is for the card's operator in another suite: an EMM may bring the card there.
    Suite,
    /// It is for other operators' cards.
    Operator,
    /// It is other CA systems'.
    System,
}

impl LeftOut {
    pub(crate) fn reason(self) -> AccessStatus {
        match self {
            Self::Room => AccessStatus::TOO_MANY_STREAMS,
            Self::Suite => AccessStatus::NO_KEY,
            Self::Operator => AccessStatus::UNKNOWN_OPERATOR,
            Self::System => AccessStatus::FOREIGN_SYSTEM,
        }
    }

    /// Another card may change it, so nothing is said of it while there is none.
    pub(crate) fn is_by_card(self) -> bool {
        matches!(self, Self::Suite | Self::Operator)
    }
}

/// An ECM stream to be used and what it is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct StreamPlan {
    pub(crate) ecm_pid: Pid,
    pub(crate) system: CaSystemId,
    /// The card's operator that the stream is for, if the descriptor names it.
    pub(crate) operator: Option<OperatorId>,
    /// The channel that its ECMs are of, if the descriptor names it.
    pub(crate) channel: Option<ChannelId>,
    pub(crate) es_pids: Vec<Pid>,
}

/// What the card can do for one operator, as far as choosing an ECM stream is concerned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct CardAbility {
    pub(crate) operator: OperatorId,
    /// Bit n: suite n is allowed.
    pub(crate) suites: u16,
}

impl Programme {
    /// Elementary streams that are served, at most: more than a PMT section can name.
    const MAX_COMPONENTS: usize = 256;

    pub(crate) fn of_pmt(section: &[u8], ours: &[CaSystemId]) -> Result<Self, SessionError> {
        let pmt = Pmt::parse(section).map_err(SessionError::Table)?;
        if !pmt.current {
            return Err(SessionError::Next);
        }
        let streams = pmt.streams().map(|stream| (stream.pid, stream.descriptors));
        Ok(Self::new(pmt.program_number, pmt.descriptors(), streams, ours))
    }

    /// The components whose command is `wanted`.
    pub(crate) fn of_ca_pmt(
        object: &CaPmt<'_>,
        wanted: impl Fn(Option<CommandId>) -> bool,
        ours: &[CaSystemId],
    ) -> Self {
        let streams = object.streams.iter().filter(|stream| wanted(object.command_for(stream)));
        let streams = streams.map(|stream| (stream.pid, descriptors_of(stream.info)));
        Self::new(object.program_number, descriptors_of(object.program), streams, ours)
    }

    /// A component's own CA_descriptors stand in place of the programme's (ISO/IEC 13818-1
    /// §2.6.16).
    fn new<'a>(
        number: u16,
        descriptors: Descriptors<'a>,
        streams: impl Iterator<Item = (Pid, Descriptors<'a>)>,
        ours: &[CaSystemId],
    ) -> Self {
        let all_scrambled = is_scrambled(descriptors);
        let scrambled = streams.filter_map(|(pid, own)| {
            let has_own = own.ca_descriptors().next().is_some();
            let scrambled = if has_own { is_scrambled(own) } else { all_scrambled };
            scrambled.then(|| Component { pid, own: has_own.then(|| candidates(own, ours)) })
        });
        let mut scrambled = scrambled.fuse();
        let components = scrambled.by_ref().take(Self::MAX_COMPONENTS).collect();
        Self {
            number,
            signalled: descriptors.scrambling_mode(),
            common: candidates(descriptors, ours),
            components,
            truncated: scrambled.next().is_some(),
        }
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    /// scrambling_mode, where there is a scrambling_descriptor.
    pub(crate) fn signalled(&self) -> Option<ScramblingMode> {
        self.signalled
    }

    /// The ECM streams to use with this card; while no card is known the first that is ours.
    pub(crate) fn plan(&self, card: &[CardAbility]) -> Plan {
        let left_out = self.truncated.then_some(LeftOut::Room);
        let mut plan = Plan { streams: Vec::new(), left_out };
        for component in &self.components {
            if let Err(why) = plan.serve(component.pid, self.candidates_of(component), card) {
                plan.left_out = plan.left_out.max(Some(why));
            }
        }
        plan
    }

    fn candidates_of<'a>(&'a self, component: &'a Component) -> &'a [Candidate] {
        component.own.as_ref().unwrap_or(&self.common)
    }
}

impl Plan {
    /// ECM streams of one programme that are used, at most. Each costs the card a command in every
    /// crypto period, and the demultiplexer two filters.
    const MAX_STREAMS: usize = 16;

    fn serve(
        &mut self,
        component: Pid,
        candidates: &[Candidate],
        card: &[CardAbility],
    ) -> Result<(), LeftOut> {
        let choice = choose(candidates, card)?;
        let known = self.streams.iter_mut().find(|stream| stream.ecm_pid == choice.ecm_pid);
        let channel = choice.private.and_then(|private| private.channel);
        if let Some(stream) = known {
            stream.channel = stream.channel.or(channel);
            stream.es_pids.push(component);
            return Ok(());
        }
        if self.streams.len() >= Self::MAX_STREAMS {
            return Err(LeftOut::Room);
        }
        let named = choice.private.filter(|_| !card.is_empty());
        self.streams.push(StreamPlan {
            ecm_pid: choice.ecm_pid,
            system: choice.system,
            operator: named.map(|private| private.operator),
            channel,
            es_pids: alloc::vec![component],
        });
        Ok(())
    }
}

impl StreamPlan {
    /// The same stream under another plan: the card or the PMT may have named its operator or its
    /// channel since.
    pub(crate) fn goes_on_as(&self, plan: &Self) -> bool {
        let operators = self.operator.zip(plan.operator);
        let channels = self.channel.zip(plan.channel);
        self.ecm_pid == plan.ecm_pid
            && operators.is_none_or(|(old, new)| old == new)
            && channels.is_none_or(|(old, new)| old == new)
    }
}

fn descriptors_of<'a>(info: Option<CaInfo<'a>>) -> Descriptors<'a> {
    info.map(|info| info.descriptors).unwrap_or_default()
}

/// Some CA_descriptor names an ECM stream, ours or not (`docs/spec/ecm.md` 1).
fn is_scrambled(descriptors: Descriptors<'_>) -> bool {
    descriptors.ca_descriptors().any(|descriptor| descriptor.pid != Pid::NULL)
}

fn candidates(descriptors: Descriptors<'_>, ours: &[CaSystemId]) -> Vec<Candidate> {
    descriptors
        .ca_descriptors()
        .filter(|descriptor| ours.contains(&descriptor.system) && descriptor.pid != Pid::NULL)
        .map(Candidate::of)
        .collect()
}

/// The first that names an operator and suite of the card, else the first that names none.
fn choose<'a>(candidates: &'a [Candidate], card: &[CardAbility]) -> Result<&'a Candidate, LeftOut> {
    let first = candidates.first().ok_or(LeftOut::System)?;
    if card.is_empty() {
        return Ok(first);
    }
    let named = candidates.iter().find(|candidate| candidate.is_for(card));
    let chosen = named.or_else(|| candidates.iter().find(|of| of.private.is_none()));
    chosen.ok_or_else(|| {
        let is_ours = |of: &CaPrivate| card.iter().any(|can| can.operator == of.operator);
        let ours = candidates.iter().filter_map(|of| of.private.as_ref()).any(is_ours);
        if ours { LeftOut::Suite } else { LeftOut::Operator }
    })
}

impl Candidate {
    fn of(descriptor: CaDescriptor<'_>) -> Self {
        Self {
            system: descriptor.system,
            ecm_pid: descriptor.pid,
            private: CaPrivate::parse(descriptor.private).ok(),
        }
    }

    fn is_for(&self, card: &[CardAbility]) -> bool {
        let Some(private) = self.private else { return false };
        card.iter().any(|ability| {
            ability.operator == private.operator
                && private.suite < 16
                && ability.suites >> private.suite & 1 != 0
        })
    }
}
