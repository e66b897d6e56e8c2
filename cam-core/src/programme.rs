//! What a PMT or CA_PMT says about a programme, and which ECM streams of it are ours.

use alloc::vec::Vec;

use cam_types::{CaSystemId, DecodeError, OperatorId, Pid};
use ecm_emm::ca_descriptor::{CaDescriptor, CaPrivate};
use ecm_emm::ca_pmt::{CaInfo, CaPmt, CommandId};
use ecm_emm::descriptor::Descriptors;
use ecm_emm::pmt::Pmt;

use crate::ScramblingMode;

/// A programme, reduced to what conditional access needs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Programme {
    pub(crate) number: u16,
    pub(crate) mode: ScramblingMode,
    components: Vec<Component>,
    /// Some CA_descriptor is there, ours or not.
    pub(crate) scrambled: bool,
}

/// An elementary stream and the ECM streams of ours that could serve it.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Component {
    pid: Pid,
    candidates: Vec<Candidate>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Candidate {
    system: CaSystemId,
    ecm_pid: Pid,
    /// Absent: any operator, any suite.
    private: Option<CaPrivate>,
}

/// An ECM stream to be used and what it is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct StreamPlan {
    pub(crate) ecm_pid: Pid,
    pub(crate) system: CaSystemId,
    pub(crate) operator: Option<OperatorId>,
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
    /// So many ECM streams of one programme are used at most.
    pub(crate) const MAX_STREAMS: usize = 8;
    /// So many elementary streams are served at most.
    const MAX_COMPONENTS: usize = 64;

    pub(crate) fn of_pmt(section: &[u8], ours: &[CaSystemId]) -> Result<Self, DecodeError> {
        let pmt = Pmt::parse(section)?;
        let mut programme = Self {
            number: pmt.program_number,
            mode: mode_of(pmt.descriptors()),
            components: Vec::new(),
            scrambled: false,
        };
        for stream in pmt.streams() {
            programme.add(stream.pid, pmt.descriptors(), stream.descriptors, ours);
        }
        Ok(programme)
    }

    /// Components that the CA_PMT does not want descrambled are left out.
    pub(crate) fn of_ca_pmt(object: &CaPmt<'_>, ours: &[CaSystemId]) -> Self {
        let none = Descriptors::default();
        let wanted = |command: CommandId| command == CommandId::OK_DESCRAMBLING;
        let (program_wanted, program) = match object.program {
            Some(CaInfo { command, descriptors }) => (wanted(command), descriptors),
            None => (true, none),
        };
        let mut programme = Self {
            number: object.program_number,
            mode: mode_of(program),
            components: Vec::new(),
            scrambled: false,
        };
        for stream in &object.streams {
            let (stream_wanted, own) = match stream.info {
                Some(CaInfo { command, descriptors }) => (wanted(command), descriptors),
                None => (program_wanted, none),
            };
            if stream_wanted {
                programme.add(stream.pid, program, own, ours);
            }
        }
        programme
    }

    /// A component's own CA_descriptors stand in place of the programme's (ISO/IEC 13818-1 §2.6.16).
    fn add(
        &mut self,
        pid: Pid,
        programme: Descriptors<'_>,
        own: Descriptors<'_>,
        ours: &[CaSystemId],
    ) {
        let loop_of = if own.ca_descriptors().next().is_some() { own } else { programme };
        if loop_of.ca_descriptors().next().is_none()
            || self.components.len() >= Self::MAX_COMPONENTS
        {
            return;
        }
        self.scrambled = true;
        let candidates = loop_of
            .ca_descriptors()
            .filter(|descriptor| ours.contains(&descriptor.system) && descriptor.pid != Pid::NULL)
            .map(Candidate::of)
            .collect();
        self.components.push(Component { pid, candidates });
    }

    /// The ECM streams to use with this card; while no card is known the first that is ours.
    pub(crate) fn plan(&self, card: &[CardAbility]) -> Vec<StreamPlan> {
        let mut plans: Vec<StreamPlan> = Vec::new();
        for component in &self.components {
            let mut candidates = component.candidates.iter();
            let Some(choice) = candidates.find(|candidate| candidate.suits(card)) else {
                continue;
            };
            let full = plans.len() >= Self::MAX_STREAMS;
            match plans.iter_mut().find(|plan| plan.ecm_pid == choice.ecm_pid) {
                Some(plan) => plan.es_pids.push(component.pid),
                None if full => {}
                None => plans.push(StreamPlan {
                    ecm_pid: choice.ecm_pid,
                    system: choice.system,
                    operator: choice.private.map(|private| private.operator),
                    es_pids: alloc::vec![component.pid],
                }),
            }
        }
        plans
    }
}

/// A programme without a scrambling_descriptor uses CSA2 (EN 300 468 §6.2.32).
fn mode_of(descriptors: Descriptors<'_>) -> ScramblingMode {
    descriptors.scrambling_mode().map_or(ScramblingMode::CSA2, |mode| ScramblingMode(mode.0))
}

impl Candidate {
    fn of(descriptor: CaDescriptor<'_>) -> Self {
        Self {
            system: descriptor.system,
            ecm_pid: descriptor.pid,
            private: CaPrivate::parse(descriptor.private).ok(),
        }
    }

    fn suits(&self, card: &[CardAbility]) -> bool {
        let Some(private) = self.private.filter(|_| !card.is_empty()) else { return true };
        card.iter().any(|ability| {
            ability.operator == private.operator
                && private.suite < 16
                && ability.suites >> private.suite & 1 != 0
        })
    }
}
