// SPDX-License-Identifier: Apache-2.0
//! The scenarios of T=1 in the order of the informative annex of ISO/IEC 7816-3, one test each: its
//! dialogues in `dialogues/t1.txt`, with LRC and with CRC, in any split.

use crate::dialogue::{Player, dialogues, play, scenario};
use iso7816::emv::Profile;
use iso7816::etu::{LineParams, USUAL_CLOCK_HZ};
use iso7816::t1::{Edc, Input, Output, T1, T1Params};
use std::time::Duration;

fn play_scenario(number: u8) {
    scenario(number).iter().for_each(play);
}

// Without errors.

#[test]
fn scenario_01_blocks_alternate_their_numbers() {
    play_scenario(1);
}

#[test]
fn scenario_02_waiting_time_extension() {
    play_scenario(2);
}

#[test]
fn scenario_03_we_offer_ifsd() {
    play_scenario(3);
}

#[test]
fn scenario_04_the_card_changes_ifsc() {
    play_scenario(4);
}

#[test]
fn scenario_05_our_chain() {
    play_scenario(5);
}

#[test]
fn scenario_06_the_chain_of_the_card() {
    play_scenario(6);
}

#[test]
fn scenario_07_both_chained() {
    play_scenario(7);
}

#[test]
fn scenario_08_wtx_inside_our_chain() {
    play_scenario(8);
}

#[test]
fn scenario_09_ifs_inside_our_chain() {
    play_scenario(9);
}

#[test]
fn scenario_10_the_card_aborts_our_chain() {
    play_scenario(10);
}

#[test]
fn scenario_11_we_abort_the_chain_of_the_card() {
    play_scenario(11);
}

// Errors of I-blocks.

#[test]
fn scenario_12_our_block_damaged() {
    play_scenario(12);
}

#[test]
fn scenario_13_the_block_of_the_card_damaged() {
    play_scenario(13);
}

#[test]
fn scenario_14_our_r_block_damaged_too() {
    play_scenario(14);
}

#[test]
fn scenario_15_damage_both_ways() {
    play_scenario(15);
}

#[test]
fn scenario_16_silence_then_the_answer_again() {
    play_scenario(16);
}

#[test]
fn scenario_17_silence_for_the_card_never_saw_it() {
    play_scenario(17);
}

#[test]
fn scenario_18_other_error() {
    play_scenario(18);
}

#[test]
fn scenario_19_three_damaged_answers_lead_to_resynch() {
    play_scenario(19);
}

#[test]
fn scenario_20_three_requests_for_one_block_lead_to_resynch() {
    play_scenario(20);
}

#[test]
fn scenario_21_at_the_start_only_a_reset_helps() {
    play_scenario(21);
}

#[test]
fn scenario_22_a_wrong_number_acknowledges_nothing() {
    play_scenario(22);
}

// Errors of WTX.

#[test]
fn scenario_23_damaged_wtx_request() {
    play_scenario(23);
}

#[test]
fn scenario_24_wtx_asked_again() {
    play_scenario(24);
}

#[test]
fn scenario_25_wtx_response_asked_for_by_r() {
    play_scenario(25);
}

#[test]
fn scenario_26_damage_and_silence_after_wtx() {
    play_scenario(26);
}

#[test]
fn scenario_27_wtx_again_and_again() {
    play_scenario(27);
}

#[test]
fn scenario_28_wtx_of_a_wrong_form() {
    play_scenario(28);
}

// Errors of IFS.

#[test]
fn scenario_29_our_ifs_offer_damaged() {
    play_scenario(29);
}

#[test]
fn scenario_30_the_answer_to_our_offer_damaged() {
    play_scenario(30);
}

#[test]
fn scenario_31_ifs_answered_with_another_value() {
    play_scenario(31);
}

#[test]
fn scenario_32_damaged_ifs_request_of_the_card() {
    play_scenario(32);
}

#[test]
fn scenario_33_ifs_of_00_and_ff() {
    play_scenario(33);
}

// Errors of chains.

#[test]
fn scenario_34_damage_in_our_chain() {
    play_scenario(34);
}

#[test]
fn scenario_35_damaged_acknowledgement() {
    play_scenario(35);
}

#[test]
fn scenario_36_second_block_of_our_chain_damaged() {
    play_scenario(36);
}

#[test]
fn scenario_37_damage_in_the_chain_of_the_card() {
    play_scenario(37);
}

#[test]
fn scenario_38_our_acknowledgement_damaged() {
    play_scenario(38);
}

#[test]
fn scenario_39_a_block_of_the_chain_twice() {
    play_scenario(39);
}

#[test]
fn scenario_40_acknowledged_though_nothing_follows() {
    play_scenario(40);
}

#[test]
fn scenario_41_abort_damaged_or_lost() {
    play_scenario(41);
}

// RESYNCH.

#[test]
fn scenario_42_resynch_lost_once() {
    play_scenario(42);
}

#[test]
fn scenario_43_resynch_in_vain() {
    play_scenario(43);
}

#[test]
fn scenario_44_the_card_may_not_resynchronise() {
    play_scenario(44);
}

#[test]
fn scenario_45_responses_that_nobody_asked_for() {
    play_scenario(45);
}

#[test]
fn scenario_46_resynch_in_our_chain_never_sends_the_tail() {
    play_scenario(46);
}

#[test]
fn scenario_47_resynch_in_the_chain_of_the_card() {
    play_scenario(47);
}

/// And the one of numbers 1 to 47 that is wherever it may be: told as such at once, with the truth
/// about what may have been executed, and nothing goes out afterwards.
#[test]
fn scenario_48_the_card_is_removed_anywhere() {
    let mut places = 0;
    for dialogue in dialogues() {
        for end in 0..=dialogue.steps.len() {
            let mut player = Player::new(&dialogue, Edc::Lrc, 1);
            let mut here = dialogue.title.to_owned();
            for (at, step) in dialogue.steps.iter().take(end).enumerate() {
                here = format!("{}, step {at}: {}", dialogue.title, step.join(" "));
                player.step(step, &here);
            }
            player.remove(&here);
            places += 1;
        }
    }
    assert!(places > 400, "{places}");
}

/// Every dialogue belongs to a scenario that has a test.
#[test]
fn no_dialogue_is_left_out() {
    let mut numbers: Vec<u8> = dialogues()
        .iter()
        .map(|dialogue| dialogue.title.split(' ').next().unwrap().parse().unwrap())
        .collect();
    numbers.dedup();
    assert_eq!(numbers, (1..=47).collect::<Vec<u8>>());
}

/// The offer of an IFSD comes to its end through the same door as a command: with an empty
/// response, whether the card goes along, refuses three times, or nothing needs to be offered.
#[test]
fn an_offer_without_a_command_ends_with_an_empty_response() {
    let now = moments::first();
    let goes_along = [0x00, 0xE1, 0x01, 0xFE, 0x1E];
    let refuses = [0x00, 0x82, 0x00, 0x82];
    for (offer, answer, offers, ifsd) in
        [(254, &goes_along[..], 1, 254), (254, &refuses[..], 3, 32), (32, &[][..], 0, 32)]
    {
        let mut t1 = T1::new(264, 264, Duration::ZERO, offer, Profile::Iso);
        t1.reset(LineParams::initial(USUAL_CLOCK_HZ), T1Params::default());
        t1.announce(now);
        let mut sent = 0;
        let end = loop {
            match t1.poll_output() {
                Output::Transmit(_) => {
                    sent += 1;
                    t1.handle_input(now, Input::Received(answer));
                }
                Output::Wait(Some(at)) => t1.handle_input(at, Input::Timeout),
                Output::Wait(None) => panic!("the offer has no end"),
                Output::Response(response) => break Ok(response.to_vec()),
                Output::Failed(why) => break Err(why),
            }
        };
        assert_eq!((end, sent, t1.ifsd()), (Ok(Vec::new()), offers, ifsd), "{offer} {answer:02X?}");
    }
}
